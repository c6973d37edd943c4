/* POST /v1/chat/completions (contract 03 §1): OpenAI's chat format on top of an agent run. */
#include "base/clock.h"
#include "base/utf8.h"
#include "chat/completion.h"
#include "store/runs.h"
#include "web/sse_out.h"

enum { KEPT_MAX = 16 << 20, FRAME_MAX = 16 << 20, DELTA_MAX = 1 << 20 };

/* One call on its way through the handler. */
struct call {
    struct request *req;
    struct completion c;
    struct kept kept;
    struct agent agent;
    struct run *run;
    struct run_result result;
    const char *model;   /* echoed */
    int64_t created;     /* Unix seconds */
    const char *chunk_head, *chunk_tail; /* the constant parts of a content frame */
    struct buf *frame;
    bool torn;           /* a frame found no memory and was not sent */
};

/* ---- the answer's JSON ---- */

static void write_usage(struct jsonw *w, const struct llm_usage *u)
{
    jw_kobj(w, "usage");
    jw_kint(w, "prompt_tokens", u->prompt_tokens);
    jw_kint(w, "completion_tokens", u->completion_tokens);
    jw_kint(w, "total_tokens", u->prompt_tokens + u->completion_tokens);
    jw_kobj(w, "prompt_tokens_details");
    jw_kint(w, "cached_tokens", u->cached_tokens);
    jw_obj_end(w);
    jw_kobj(w, "completion_tokens_details");
    jw_kint(w, "reasoning_tokens", u->reasoning_tokens);
    jw_obj_end(w);
    jw_obj_end(w);
}

static void write_tool_calls(struct jsonw *w, const struct run_result *r, bool indexed)
{
    jw_karr(w, "tool_calls");
    for (size_t i = 0; i < r->tool_call_count; i++) {
        jw_obj(w);
        if (indexed)
            jw_kint(w, "index", (int64_t)i);
        jw_kstr(w, "id", r->tool_calls[i].id);
        jw_kstr(w, "type", "function");
        jw_kobj(w, "function");
        jw_kstr(w, "name", r->tool_calls[i].name);
        jw_kstr(w, "arguments", r->tool_calls[i].arguments);
        jw_obj_end(w);
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

static void write_head(struct jsonw *w, const struct call *call, const char *object)
{
    jw_obj(w);
    jw_kstr(w, "id", arena_printf(call->req->arena, "chatcmpl-%s", call->run->hex));
    jw_kstr(w, "object", object);
    jw_kint(w, "created", call->created);
    jw_kstr(w, "model", call->model);
}

static void write_completion(struct jsonw *w, const struct call *call, const struct run_result *r)
{
    write_head(w, call, "chat.completion");
    jw_karr(w, "choices");
    jw_obj(w);
    jw_kint(w, "index", 0);
    jw_kobj(w, "message");
    jw_kstr(w, "role", "assistant");
    jw_kstr(w, "content", r->content);
    jw_knull(w, "refusal");
    if (r->tool_call_count)
        write_tool_calls(w, r, false);
    jw_obj_end(w);
    jw_knull(w, "logprobs");
    jw_kstr(w, "finish_reason", llm_finish_name(r->finish));
    jw_obj_end(w);
    jw_arr_end(w);
    write_usage(w, &r->usage);
    jw_knull(w, "system_fingerprint");
    jw_obj_end(w);
}

/* ---- streaming ---- */

static void send_frame(struct call *call)
{
    if (call->frame->failed)
        call->torn = true;
    else
        sse_frame(call->req, NULL, buf_str(call->frame), call->frame->len);
    buf_clear(call->frame);
}

static void chunk_begin(struct call *call, struct jsonw *w)
{
    jw_init(w, call->frame);
    write_head(w, call, "chat.completion.chunk");
    jw_knull(w, "system_fingerprint");
    jw_karr(w, "choices");
    jw_obj(w);
    jw_kint(w, "index", 0);
    jw_kobj(w, "delta");
}

static void chunk_end(struct call *call, struct jsonw *w, const char *finish, const struct llm_usage *usage)
{
    jw_obj_end(w);
    jw_knull(w, "logprobs");
    jw_kstr(w, "finish_reason", finish);
    jw_obj_end(w);
    jw_arr_end(w);
    if (usage)
        write_usage(w, usage);
    else if (call->c.include_usage)
        jw_knull(w, "usage");
    jw_obj_end(w);
    send_frame(call);
}

/* A content frame is the same but for its text: its two constant parts are built once. */
static void stream_begin(struct call *call)
{
    static const char mark[] = "\"content\":\"";
    struct jsonw w;
    sse_begin(call->req);
    chunk_begin(call, &w);
    jw_kstr(&w, "content", "");
    jw_obj_end(&w);
    jw_knull(&w, "logprobs");
    jw_knull(&w, "finish_reason");
    jw_obj_end(&w);
    jw_arr_end(&w);
    if (call->c.include_usage)
        jw_knull(&w, "usage");
    jw_obj_end(&w);
    const char *text = arena_strndup(call->req->arena, buf_str(call->frame), call->frame->len);
    const char *at = strstr(text, mark); /* model names are escaped, so the first unescaped mark is ours */
    size_t head = (size_t)(at - text) + sizeof mark - 1;
    call->chunk_head = arena_strndup(call->req->arena, text, head);
    call->chunk_tail = text + head;
    buf_clear(call->frame);

    chunk_begin(call, &w);
    jw_kstr(&w, "role", "assistant");
    jw_kstr(&w, "content", "");
    chunk_end(call, &w, NULL, NULL);
    sse_flush(call->req);
}

/* Escaped text may be six times as long; pieces keep a frame below its maximum. */
static void on_text(void *ctx, const char *s, size_t n)
{
    struct call *call = ctx;
    for (size_t step; n; s += step, n -= step) {
        step = n <= DELTA_MAX ? n : utf8_cut(s, n, DELTA_MAX);
        buf_adds(call->frame, call->chunk_head);
        json_escape(call->frame, s, step);
        buf_adds(call->frame, call->chunk_tail);
        send_frame(call);
    }
}

/* The caller wants the run to go on without him (03 §1.11). */
static bool keeps_running(const struct request *req)
{
    const char *v = req_header(req, "X-GoClaw-Keep-Running");
    return v && (strcmp(v, "true") == 0 || strcmp(v, "1") == 0);
}

static void client_check(struct call *call, bool here)
{
    if (!here && !keeps_running(call->req))
        cancel_fire(&call->run->cancel, CANCEL_CLIENT_GONE);
}

static void on_flush(void *ctx)
{
    struct call *call = ctx;
    client_check(call, sse_flush(call->req));
}

static void on_tick(void *ctx)
{
    struct call *call = ctx;
    if (call->req->streaming)
        client_check(call, sse_keepalive(call->req));
}

static void send_done(struct call *call)
{
    sse_frame(call->req, NULL, "[DONE]", 6);
}

static void send_tool_calls(struct call *call, const struct run_result *r)
{
    struct jsonw w;
    chunk_begin(call, &w);
    write_tool_calls(&w, r, true);
    chunk_end(call, &w, NULL, NULL);
}

static reply stream_fail(struct call *call, const struct fault *f)
{
    struct jsonw w;
    jw_init(&w, call->frame);
    fault_write(&w, f, call->req->locale);
    call->req->error_code = fault_info(f->kind)->code;
    send_frame(call);
    send_done(call);
    return sse_end(call->req);
}

/* The one terminal event of a stream, then [DONE]. */
static reply stream_end(struct call *call, const struct run_result *r)
{
    struct jsonw w;
    if (r->status != RUN_COMPLETED)
        return stream_fail(call, &r->fault);
    if (r->tool_call_count)
        send_tool_calls(call, r);
    if (call->torn) {
        struct fault f;
        fault_set(&f, FAULT_INTERNAL, MSG_internal, NULL, "answer", NULL);
        return stream_fail(call, &f);
    }
    chunk_begin(call, &w);
    chunk_end(call, &w, llm_finish_name(r->finish), call->c.include_usage ? NULL : &r->usage);
    if (call->c.include_usage) {
        jw_init(&w, call->frame);
        write_head(&w, call, "chat.completion.chunk");
        jw_knull(&w, "system_fingerprint");
        jw_karr(&w, "choices");
        jw_arr_end(&w);
        write_usage(&w, &r->usage);
        jw_obj_end(&w);
        send_frame(call);
    }
    send_done(call);
    return sse_end(call->req);
}

/* ---- kept answers ---- */

static void keep(struct run *run, const struct run_result *r, void *ctx)
{
    struct call *call = ctx;
    struct buf *b = buf_new(run->arena, KEPT_MAX);
    struct jsonw w;
    jw_init(&w, b);
    if (r->status == RUN_COMPLETED)
        write_completion(&w, call, r);
    else
        fault_write(&w, &r->fault, LOCALE_EN);
    run->kept_json = b->failed ? NULL : buf_str(b);
    run->kept_status = r->status == RUN_COMPLETED ? 200 : fault_info(r->fault.kind)->status;
}

/* As write_usage wrote it. */
static struct llm_usage kept_usage(json_object *answer)
{
    json_object *usage = json_get(answer, "usage");
    return (struct llm_usage){
        .prompt_tokens = json_int(usage, "prompt_tokens", 0),
        .completion_tokens = json_int(usage, "completion_tokens", 0),
        .cached_tokens = json_int(json_get(usage, "prompt_tokens_details"), "cached_tokens", 0),
        .reasoning_tokens = json_int(json_get(usage, "completion_tokens_details"), "reasoning_tokens", 0),
    };
}

/* The stored answer as a stream: its text in one delta, then the normal end. */
static reply replay_stream(struct call *call, json_object *answer)
{
    json_object *choices = json_get(answer, "choices");
    json_object *choice = choices ? json_object_array_get_idx(choices, 0) : NULL;
    json_object *message = choice ? json_get(choice, "message") : NULL;
    json_object *calls = message ? json_get(message, "tool_calls") : NULL;
    const char *text = message ? json_str(message, "content") : NULL;
    const char *finish = choice ? json_str(choice, "finish_reason") : NULL;
    struct run_result *r = &call->result;
    *r = (struct run_result){.status = RUN_COMPLETED, .content = text ? text : ""};
    for (enum llm_finish i = LLM_STOP; finish && i <= LLM_CONTENT_FILTER; i++)
        if (strcmp(finish, llm_finish_name(i)) == 0)
            r->finish = i;
    r->usage = kept_usage(answer);
    r->tool_call_count = calls ? json_object_array_length(calls) : 0;
    struct llm_tool_call *list = ARENA_ARRAY(call->req->arena, struct llm_tool_call, r->tool_call_count);
    for (size_t i = 0; i < r->tool_call_count; i++) {
        json_object *one = json_object_array_get_idx(calls, i), *fn = json_get(one, "function");
        list[i] = (struct llm_tool_call){
            .id = json_str(one, "id"), .name = json_str(fn, "name"), .arguments = json_str(fn, "arguments")};
    }
    r->tool_calls = list;
    stream_begin(call);
    if (*r->content)
        on_text(call, r->content, strlen(r->content));
    return stream_end(call, r);
}

/* The headers of the run that gave the answer (03 §1.1). */
static void announce_kept(struct call *call)
{
    struct request *req = call->req;
    struct run_row row;
    reply_header(req, "X-GoClaw-Run-Id", call->kept.run_id);
    struct db *db = req_db(req);
    bool found = run_find(db, req->arena, req->who.tenant_id, call->kept.run_id, &row) == DB_ROW;
    req_db_done(req, db);
    if (found && row.session_key)
        reply_header(req, "X-GoClaw-Session-Key", session_key_encode(req->arena, row.session_key));
    if (found && row.agent_id)
        reply_header(req, "X-GoClaw-Agent-Id", row.agent_id);
}

/* The headers a kept error had when it was new (03 §1.10). */
static void announce_error(struct request *req, json_object *error)
{
    int64_t wait_ms = json_int(error, "retryAfterMs", 0);
    if (wait_ms > 0)
        reply_header(req, "Retry-After", arena_printf(req->arena, "%lld", (long long)(wait_ms + 999) / 1000));
    reply_header(req, "X-Should-Retry", "false");
}

static reply replay(struct call *call, const char *text, int status)
{
    announce_kept(call);
    struct json_fault jf;
    json_object *answer = json_parse(call->req->arena, text, strlen(text), 0, &jf);
    const char *id = answer ? json_str(answer, "id") : NULL;
    if (status == 200 && call->c.stream && id && strlen(id) > 9) {
        struct run *was = ARENA_NEW(call->req->arena, struct run);
        snprintf(was->hex, sizeof was->hex, "%s", id + 9);
        call->run = was;
        call->created = json_int(answer, "created", 0);
        call->model = json_str(answer, "model");
        return replay_stream(call, answer);
    }
    if (status != 200)
        announce_error(call->req, json_get(answer, "error"));
    return reply_bytes(call->req, status, "application/json", text, strlen(text));
}

/* ---- the checklist ---- */

static void announce(struct call *call)
{
    struct request *req = call->req;
    reply_header(req, "X-GoClaw-Run-Id", call->run->id);
    reply_header(req, "X-GoClaw-Session-Key", session_key_encode(req->arena, call->run->session_key));
    reply_header(req, "X-GoClaw-Agent-Id", call->agent.id);
}

static reply finish(struct call *call)
{
    struct run_result *r = &call->result;
    if (call->req->streaming)
        return stream_end(call, r);
    if (r->status != RUN_COMPLETED)
        return reply_fault(call->req, &r->fault);
    write_completion(&call->req->w, call, r);
    return reply_json(call->req, 200);
}

static reply run_it(struct call *call, const struct run_input *in)
{
    struct request *req = call->req;
    struct fault f = {0};
    call->run = run_new(chat_of(req)->engine, req->arena, in);
    call->created = call->run->started_ms / 1000;
    if (in->answer_key) {
        call->run->keep = keep;
        call->run->keep_ctx = call;
    }
    reply done;
    if (!kept_claim(req, &call->kept, call->run->id, &f)) {
        done = reply_fault(req, &f);
        run_release(call->run);
        return done;
    }
    bool watched = !keeps_running(req) && chat_of(req)->gone &&
                   gone_add(chat_of(req)->gone, req_client_fd(req), &call->run->cancel);
    req->admitted = run_admit(call->run, &f);
    if (req->admitted) {
        if (call->c.stream) {
            announce(call);
            stream_begin(call);
        }
        run_execute(call->run, &call->result);
    } else {
        kept_drop(req, &call->kept, call->run->id);
    }
    if (!call->c.stream || !req->admitted)
        announce(call); /* now the session has its final key */
    if (watched)
        gone_remove(chat_of(req)->gone, req_client_fd(req));
    run_release(call->run);
    done = req->admitted ? finish(call) : reply_fault(req, &f);
    return done;
}

reply chat_completions(struct request *req)
{
    struct call *call = ARENA_NEW(req->arena, struct call);
    struct fault f = {0};
    const char *answer = NULL;
    int status = 0;
    call->req = req;
    call->frame = buf_new(req->arena, FRAME_MAX);

    enum kept_rc kept = kept_lookup(req, &call->kept, &answer, &status, &f);
    if (kept == KEPT_FAULT || !completion_parse(req, &call->c, &f))
        return reply_fault(req, &f);
    if (kept == KEPT_REPLAY)
        return replay(call, answer, status);
    struct agent_ref ref = agent_ref_from(req, call->c.model);
    if (!agent_resolve(req, &ref, access_user(req, call->c.user), &call->agent, &f))
        return reply_fault(req, &f);
    if (!call->c.input)
        return reply_error(req, FAULT_INVALID, MSG_no_user_message, "messages", NULL, NULL);
    call->model = call->c.model && *call->c.model ? call->c.model
                                                  : arena_printf(req->arena, "goclaw:%s", call->agent.agent_key);

    struct run_events events = {on_text, on_flush, on_tick, call};
    struct run_input in = {
        .tenant_id = req->who.tenant_id,
        .agent = &call->agent,
        .user = recorded_user(req, call->c.user),
        .may_use_any_session = req->who.role >= ROLE_ADMIN && !req->who.user,
        .channel = "http",
        .text = call->c.input,
        .tool_results = call->c.tool_results,
        .tool_result_count = call->c.tool_result_count,
        .context = call->c.context,
        .context_count = call->c.context_count,
        .extra_system = call->c.system,
        .client_tools = call->c.tools,
        .client_tool_count = call->c.tool_count,
        .params = call->c.params,
        .locale = req->locale,
        .stream = call->c.stream,
        .events = &events,
        .answer_scope = call->kept.scope,
        .answer_key = call->kept.key,
        .body_hash = call->kept.body_hash,
    };
    if (!call->c.stream)
        events.text = NULL, events.flush = NULL;
    if (!session_choose(req, &call->c, &call->agent, &in, &f))
        return reply_fault(req, &f);
    return run_it(call, &in);
}

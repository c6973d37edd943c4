/* The iterations of a run (contract 03 §3.6, §3.7): call the model, run what it asks for, until it answers. */
#include "agent/run_parts.h"
#include "agent/text.h"
#include "base/clock.h"
#include "base/log.h"

enum { VISIBLE_MAX = 16 << 20, TRUNCATED_TRIES = 3, CHECKPOINT_EVERY = 5 };

struct loop {
    struct run *run;
    struct run_result *result;
    struct text_filter filter;
    struct buf visible;   /* this iteration's text, filtered, not handed on yet */
    bool hold;            /* keep the text back until the iteration is known to be the last */
    bool gave_any;        /* text of this iteration was handed on */
    bool gave_before;     /* text of an earlier iteration was */
    int iteration;        /* from 1 */
    int stored;           /* the one after which messages were stored last */
};

static void give(struct loop *l)
{
    const struct run_events *ev = l->run->in->events;
    if (!ev || !ev->text || !l->visible.len)
        return;
    if (!l->gave_any && l->gave_before)
        ev->text(ev->ctx, "\n\n", 2);
    ev->text(ev->ctx, l->visible.data, l->visible.len);
    l->gave_any = true;
    buf_clear(&l->visible);
}

static void on_text(void *ctx, const char *s, size_t n)
{
    struct loop *l = ctx;
    text_filter_feed(&l->filter, s, n, &l->visible);
    if (!l->hold)
        give(l);
}

static void on_flush(void *ctx)
{
    struct loop *l = ctx;
    const struct run_events *ev = l->run->in->events;
    if (ev && ev->flush)
        ev->flush(ev->ctx);
}

static void on_tick(void *ctx)
{
    struct loop *l = ctx;
    const struct run_events *ev = l->run->in->events;
    if (!l->run->engine->pool)
        engine_marks(l->run->engine);
    record_running_again(l->run);
    if (ev && ev->tick)
        ev->tick(ev->ctx);
}

static void on_retrying(void *ctx, int attempt, int max_attempts, const char *why)
{
    struct loop *l = ctx;
    log_event(LOG_WARN, 5103, "run.retrying", LOG_S, "run_id", l->run->id, LOG_I, "attempt", (int64_t)attempt, LOG_I,
              "max", (int64_t)max_attempts, LOG_S, "why", why, LOG_END);
}

/* The text of an iteration is complete. */
static void iteration_text_end(struct loop *l, bool final)
{
    text_filter_finish(&l->filter, &l->visible);
    if (l->hold && !final)
        buf_clear(&l->visible);
    give(l);
    on_flush(l);
    l->gave_before |= l->gave_any;
    l->gave_any = false;
    text_filter_reset(&l->filter);
    buf_clear(&l->visible);
}

/* The agent's cap; a request may lower it, never raise it. */
static int64_t max_tokens(struct run *r)
{
    int64_t cap = r->engine->config->max_tokens;
    json_object *other = run_json(r, r->in->agent->other_config);
    int64_t own = other ? json_int(other, "max_tokens", 0) : 0;
    if (own > 0)
        cap = own;
    int64_t asked = r->in->params.max_tokens;
    return asked > 0 && asked < cap ? asked : cap;
}

/* What the request says, else the agent's thinking level; NULL when that is off. */
static const char *reasoning_effort(struct run *r)
{
    static const char *const levels[] = {"low", "medium", "high"};
    if (r->in->params.reasoning_effort && *r->in->params.reasoning_effort)
        return r->in->params.reasoning_effort;
    const char *level = json_str(run_json(r, r->in->agent->other_config), "thinking_level");
    for (size_t i = 0; level && i < sizeof levels / sizeof *levels; i++)
        if (strcmp(levels[i], level) == 0)
            return levels[i];
    return NULL;
}

/* "required" or a named tool has done its work once a tool was called; "none" holds for the whole run. */
static bool chooses_none(json_object *choice)
{
    return json_object_is_type(choice, json_type_string) && strcmp(json_object_get_string(choice), "none") == 0;
}

static bool call_model(struct loop *l, bool with_tools, struct llm_answer *answer)
{
    struct run *r = l->run;
    struct llm_request req = {
        .model = r->model,
        .messages = r->messages,
        .message_count = r->message_count,
        .tools = with_tools ? r->tools : NULL,
        .tool_count = with_tools ? r->tool_count : 0,
        .params = r->in->params,
        .stream = r->in->stream,
    };
    req.params.max_tokens = max_tokens(r);
    req.params.reasoning_effort = reasoning_effort(r);
    if (!(req.params.temperature >= 0))
        req.params.temperature = r->engine->config->temperature;
    if (!with_tools || (r->tool_calls > 0 && !chooses_none(req.params.tool_choice)))
        req.params.tool_choice = NULL;
    struct llm_sink sink = {on_text, NULL, on_flush, on_tick, on_retrying, l};
    if (!r->in->stream)
        sink.text = NULL;
    struct span *span = record_span(r, "llm_call",
                                    arena_printf(r->arena, "%s/%s #%d", r->provider.name, r->model, l->iteration));
    const char *detail = NULL;
    bool ok = llm_call(r->arena, &r->provider, &req, &sink, &r->cancel, answer, &l->result->fault, &detail);
    if (answer->usage.prompt_tokens > 0) {
        r->last_prompt_tokens = answer->usage.prompt_tokens;
        r->measured_count = r->message_count;
    }
    record_model_call(r, l->result, span, answer, ok       ? NULL
                                                  : detail ? detail
                                                  : cancel_check(&r->cancel) != CANCEL_NONE ? "cancelled" : "failed");
    return ok;
}

/* What the caller gets of a text (contract 03 §3.9, §3.10). */
static const char *delivered(const char *clean)
{
    return text_is_silent(clean) ? "" : clean;
}

static void final_answer(struct loop *l, const struct llm_answer *answer)
{
    char *clean = text_sanitize(l->run->arena, answer->text);
    record_message(l->run, &(struct llm_message){.role = LLM_ASSISTANT, .text = clean}, answer->thinking);
    l->result->content = delivered(clean);
    l->result->finish = answer->finish == LLM_TOOL_CALLS ? LLM_STOP : answer->finish;
}

/* The model turns in circles: the run ends with a word of our own. */
static void apologise(struct loop *l, const char *tool)
{
    struct run *r = l->run;
    struct buf *text = buf_new(r->arena, 8192);
    message_format(text, MSG_loop_stopped, r->in->locale, (const char *const[3]){tool});
    buf_adds(&l->visible, buf_str(text));
    give(l);
    on_flush(l);
    record_message(r, &(struct llm_message){.role = LLM_ASSISTANT, .text = buf_str(text)}, NULL);
    r->tags = "[\"loop_killed\"]";
    l->result->content = buf_str(text);
    l->result->finish = LLM_STOP;
    log_event(LOG_WARN, 5108, "run.loop_stopped", LOG_S, "run_id", r->id, LOG_S, "tool", tool, LOG_I, "iteration",
              (int64_t)l->iteration, LOG_END);
}

static void note(struct loop *l, const char *text)
{
    run_push(l->run, &(struct llm_message){.role = LLM_USER, .text = text});
}

static bool iterate(struct loop *l)
{
    struct run *r = l->run;
    int64_t limit = r->in->agent->max_tool_iterations > 0 ? r->in->agent->max_tool_iterations : 1;
    int truncated = 0;
    for (l->iteration = 1;; l->iteration++) {
        bool last = l->iteration >= limit;
        if (l->iteration > 1)
            compact_when_full(r, l->result);
        if (last && l->iteration > 1)
            note(l, "[System Message] This is the last step. No tools are available; answer now.");
        else if (l->iteration == limit * 3 / 4 && l->iteration > 1 && !l->gave_before)
            note(l, "[System Message] Three quarters of the steps are used. Start to conclude.");
        struct llm_answer answer = {.text = ""};
        bool with_tools = !last || limit == 1, ok = call_model(l, with_tools, &answer);
        if (!ok && answer.context_overflow && compact_after_overflow(r, l->result)) {
            answer = (struct llm_answer){.text = ""};
            ok = call_model(l, with_tools, &answer);
        }
        bool calls = ok && answer.tool_call_count > 0;
        iteration_text_end(l, ok && !calls);
        if (!ok)
            return false;
        if (!calls) {
            final_answer(l, &answer);
            return true;
        }
        if (answer.finish == LLM_LENGTH) {
            if (++truncated > TRUNCATED_TRIES)
                return fault_set(&l->result->fault, FAULT_UNAVAILABLE, MSG_provider_request_failed, NULL,
                                 r->provider.name, "tool call arguments were cut off repeatedly");
            note(l, "[System Message] Your tool call was cut off by the output limit. Use shorter arguments.");
            continue;
        }
        struct tools_outcome outcome;
        tools_run(r, l->iteration, &answer, &outcome);
        if (outcome.looping) {
            apologise(l, outcome.looping);
            return true;
        }
        if (outcome.client_count > 0) {
            l->result->tool_calls = outcome.client;
            l->result->tool_call_count = outcome.client_count;
            l->result->content = delivered(text_sanitize(r->arena, answer.text));
            l->result->finish = LLM_TOOL_CALLS;
            return true;
        }
        if (cancel_check(&r->cancel) != CANCEL_NONE)
            return false;
        if (last) {
            l->result->content = delivered(text_sanitize(r->arena, answer.text));
            l->result->finish = LLM_STOP;
            return true;
        }
        if (outcome.note)
            note(l, outcome.note);
        if (l->iteration - l->stored >= CHECKPOINT_EVERY) {
            record_checkpoint(r);
            l->stored = l->iteration;
        }
    }
}

bool loop_run(struct run *r, struct run_result *result)
{
    struct loop l = {.run = r, .result = result, .visible = BUF_INIT(VISIBLE_MAX)};
    l.hold = !r->engine->config->stream_intermediate;
    text_filter_init(&l.filter);
    bool ok = iterate(&l);
    text_filter_release(&l.filter);
    buf_release(&l.visible);
    return ok;
}

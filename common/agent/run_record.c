/* What a run leaves behind, gathered while it goes on and written in one transaction (contract 03 §8). */
#include <stdatomic.h>

#include "agent/run_parts.h"
#include "agent/session_compact.h"
#include "agent/text.h"
#include "base/clock.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "store/cancels.h"
#include "store/keys.h"

enum { PREVIEW = 500, PREVIEW_VERBOSE = 200000, ERROR_MAX = 2000, AGAIN_MS = 5000 };

static void *grow(struct arena *a, void *old, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return old;
    *cap = *cap ? *cap * 2 : 8;
    void *more = arena_alloc(a, *cap * size);
    if (count)
        memcpy(more, old, count * size);
    return more;
}

static const char *now_text(struct run *r)
{
    char *t = arena_alloc(r->arena, TIME_TEXT_SIZE);
    time_format(clock_ms(), t);
    return t;
}

static const char *new_id(struct run *r)
{
    char *id = arena_alloc(r->arena, UUID_SIZE);
    uuid_new(id);
    return id;
}

static const char *tool_calls_json(struct run *r, const struct llm_message *m)
{
    if (!m->tool_call_count)
        return NULL;
    struct buf *b = buf_new(r->arena, 16 << 20);
    struct jsonw w;
    jw_init(&w, b);
    jw_arr(&w);
    for (size_t i = 0; i < m->tool_call_count; i++) {
        const struct llm_tool_call *c = &m->tool_calls[i];
        jw_obj(&w);
        jw_kstr(&w, "id", c->id);
        jw_kstr(&w, "name", c->name);
        jw_kraw(&w, "arguments", c->malformed ? "{}" : c->arguments);
        if (c->signature != NULL) {
            jw_kobj(&w, "metadata");
            jw_kstr(&w, "thought_signature", c->signature);
            jw_obj_end(&w);
        }
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    return b->failed ? NULL : buf_str(b);
}

void record_message(struct run *r, const struct llm_message *m, const char *thinking)
{
    static const char *const roles[] = {
        [LLM_SYSTEM] = "system", [LLM_USER] = "user", [LLM_ASSISTANT] = "assistant", [LLM_TOOL] = "tool"};
    r->rows = grow(r->arena, r->rows, r->row_count, &r->row_cap, sizeof *r->rows);
    r->rows[r->row_count++] = (struct message){
        .id = new_id(r),
        .role = roles[m->role],
        .content = m->text ? m->text : "",
        .thinking = thinking && *thinking ? thinking : NULL,
        .tool_calls = tool_calls_json(r, m),
        .tool_call_id = m->role == LLM_TOOL ? m->tool_call_id : NULL,
        .is_error = m->is_error,
        .created_at = now_text(r),
    };
}

struct span *record_span(struct run *r, const char *type, const char *name)
{
    /* Pointers are handed out, so spans are allocated one by one and the array holds copies at the end. */
    struct span *s = ARENA_NEW(r->arena, struct span);
    *s = (struct span){.id = new_id(r),
                       .trace_id = r->trace_id,
                       .parent_span_id = r->trace_id,
                       .tenant_id = r->in->tenant_id,
                       .agent_id = r->in->agent->id,
                       .type = type,
                       .name = name,
                       .start_time = now_text(r),
                       .duration_ms = clock_mono_ms(),
                       .cost = -1};
    return s;
}

void record_span_end(struct run *r, struct span *s, const char *status, const char *error)
{
    s->status = status;
    s->error = error;
    s->end_time = now_text(r);
    s->duration_ms = clock_mono_ms() - s->duration_ms;
    r->spans = grow(r->arena, r->spans, r->span_count, &r->span_cap, sizeof *r->spans);
    r->spans[r->span_count++] = *s;
}

static struct trace trace_base(struct run *r)
{
    char *start = arena_alloc(r->arena, TIME_TEXT_SIZE);
    time_format(r->started_ms, start);
    size_t max = r->engine->config->trace_verbose ? PREVIEW_VERBOSE : PREVIEW;
    return (struct trace){
        .id = r->trace_id,
        .tenant_id = r->in->tenant_id,
        .run_id = r->id,
        .session_key = r->session_key,
        .user_id = r->in->user,
        .channel = r->in->channel,
        .agent_id = r->in->agent->id,
        .agent_key = r->in->agent->agent_key,
        .name = arena_printf(r->arena, "chat %s", r->in->agent->agent_key),
        .input_preview = text_preview(r->arena, r->in->text, max),
        .status = "running",
        .start_time = start,
        .worker = locks_worker(r->engine->locks),
    };
}

/* Says whether the running row is still needed: a run that ends before its row was written needs none, the
 * finished row says it all. Shared by the run and the writer. */
struct running {
    atomic_bool skip;
    atomic_bool inserted;
    atomic_bool lost; /* the writer gave it up: somebody else held the database for too long */
    atomic_int owners;
    int64_t since; /* clock_mono_ms */
};

/* The row itself belongs to the writer alone: the run's arena may be gone when its turn comes. */
struct running_row {
    struct arena *arena;
    struct trace trace;
    const char *session_id; /* NULL: it was not there when the run was admitted */
    struct running *flag;
};

static enum db_rc running_job(struct db *db, void *arg)
{
    struct running_row *row = arg;
    const struct trace *t = &row->trace;
    if (atomic_load(&row->flag->skip))
        return DB_OK;
    enum db_rc rc = trace_insert(db, t);
    atomic_store(&row->flag->inserted, rc == DB_OK);
    /* Whoever deletes or resets a session marks the runs whose rows are there. */
    return rc == DB_OK && row->session_id ? cancel_mark_orphan(db, t->tenant_id, t->id, t->session_key, row->session_id)
                                          : rc;
}

static void running_drop(struct running *flag)
{
    if (atomic_fetch_sub(&flag->owners, 1) == 1)
        free(flag);
}

static void running_row_free(void *arg)
{
    struct running_row *row = arg;
    if (!atomic_load(&row->flag->inserted))
        atomic_store(&row->flag->lost, true);
    running_drop(row->flag);
    arena_free(row->arena);
}

void record_running(struct run *r)
{
    struct running *flag = malloc(sizeof *flag);
    if (!flag)
        return; /* the finished row will do */
    atomic_init(&flag->skip, false);
    atomic_init(&flag->inserted, false);
    atomic_init(&flag->lost, false);
    atomic_init(&flag->owners, 2);
    flag->since = clock_mono_ms();
    r->running = flag;
    struct arena *a = arena_new();
    struct running_row *row = ARENA_NEW(a, struct running_row);
    row->arena = a;
    row->flag = flag;
    row->trace = trace_base(r);
    row->session_id = r->session_id;
    const char **texts[] = {&row->trace.id,        &row->trace.tenant_id, &row->trace.run_id,  &row->trace.session_key,
                            &row->trace.user_id,   &row->trace.channel,   &row->trace.agent_id, &row->trace.agent_key,
                            &row->trace.name,      &row->trace.status,    &row->trace.input_preview,
                            &row->trace.start_time, &row->session_id};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = arena_strdup(a, *texts[i]);
    writer_post(r->engine->writer, r->engine->db, running_job, row, running_row_free);
}

/* The finished row is on its way: the running one is not needed any more. */
static void running_skip(struct run *r)
{
    if (r->running)
        atomic_store(&r->running->skip, true);
}

void record_running_release(struct run *r)
{
    if (r->running)
        running_drop(r->running);
    r->running = NULL;
}

void record_running_again(struct run *r)
{
    if (!r->running || !atomic_load(&r->running->lost) || clock_mono_ms() - r->running->since < AGAIN_MS)
        return;
    record_running_release(r);
    record_running(r);
}

struct finish {
    struct run *run;
    struct trace trace;
    struct session_write session;
    struct usage_delta usage;
    struct kept_answer kept;
    bool compact; /* the session became too long */
};

static enum db_rc write_session(struct db *db, struct finish *f)
{
    const struct run *r = f->run;
    enum db_rc rc = session_append(db, &f->session, r->rows + r->saved, r->row_count - r->saved);
    if (rc == DB_OK && f->compact && *f->session.id != '\0')
        rc = session_compact_want(db, f->run, f->session.id,
                                  f->session.spared ? f->session.spare_key : f->session.key);
    return rc;
}

static enum db_rc write_trace(struct db *db, struct finish *f)
{
    enum db_rc rc = trace_finish(db, &f->trace);
    for (size_t i = 0; rc == DB_OK && i < f->run->span_count; i++)
        rc = span_insert(db, &f->run->spans[i]);
    if (rc == DB_OK)
        rc = usage_add(db, &f->usage);
    if (rc == DB_OK && f->run->in->answer_scope && f->run->kept_json)
        rc = answer_finish(db, &f->kept);
    return rc;
}

struct tenant_look {
    struct db *db;
    const char *id;
};

static enum db_rc tenant_look(void *ctx, struct arena *a, void **value)
{
    const struct tenant_look *look = ctx;
    struct tenant *t = ARENA_NEW(a, struct tenant);
    *value = t;
    return tenant_by_id(look->db, a, look->id, t);
}

/* Whoever would delete it must wait for this transaction, so a fresh copy tells the truth. */
bool record_tenant_gone(struct db *db, const struct run *r)
{
    struct tenant_look look = {db, r->in->tenant_id};
    const char *key = arena_printf(r->arena, "run in %s", look.id);
    void *found = NULL;
    return memo_get(r->engine->memo, r->arena, key, strlen(key), tenant_look, &look, &found) == DB_OK;
}

static enum db_rc finish_job(struct db *db, void *arg)
{
    struct finish *f = arg;
    if (record_tenant_gone(db, f->run))
        return DB_OK;
    enum db_rc rc = write_session(db, f);
    f->trace.session_key = f->session.spared ? f->session.spare_key : f->session.key;
    return rc == DB_OK ? write_trace(db, f) : rc;
}

/* The session is another user's, who was faster to make it: the messages have no home, the trace is kept. */
static enum db_rc trace_only_job(struct db *db, void *arg)
{
    const struct finish *f = arg;
    return record_tenant_gone(db, f->run) ? DB_OK : write_trace(db, arg);
}

static const char *error_text(struct run *r, const struct run_result *result)
{
    if (result->cancelled == CANCEL_SHUTDOWN)
        return "gateway shutting down";
    if (result->status != RUN_ERROR)
        return NULL;
    if (result->cancelled == CANCEL_DEADLINE)
        return "agent run exceeded time limit";
    struct buf *b = buf_new(r->arena, 8192);
    message_format(b, result->fault.message, LOCALE_EN, result->fault.args);
    return text_preview(r->arena, buf_str(b), ERROR_MAX);
}

static void fill_trace(struct run *r, struct finish *f, const struct run_result *result)
{
    static const char *const names[] = {
        [RUN_COMPLETED] = "completed", [RUN_ERROR] = "error", [RUN_CANCELLED] = "cancelled"};
    f->trace = trace_base(r);
    f->trace.status = names[result->status];
    f->trace.error = error_text(r, result);
    f->trace.output_preview = text_preview(r->arena, result->content,
                                           r->engine->config->trace_verbose ? PREVIEW_VERBOSE : PREVIEW);
    f->trace.model = r->model;
    f->trace.provider = r->provider.name;
    f->trace.end_time = now_text(r);
    f->trace.duration_ms = clock_mono_ms() - r->started_mono;
    f->trace.span_count = (int64_t)r->span_count + 1;
    f->trace.llm_call_count = r->llm_calls;
    f->trace.tool_call_count = r->tool_calls;
    f->trace.input_tokens = result->usage.prompt_tokens;
    f->trace.output_tokens = result->usage.completion_tokens;
    f->trace.cost = r->cost > 0 ? r->cost : 0;
    f->trace.tags = r->tags;
    if (result->usage.cached_tokens > 0 || result->usage.cache_creation_tokens > 0)
        f->trace.metadata =
            arena_printf(r->arena, "{\"total_cache_read_tokens\":%lld,\"total_cache_creation_tokens\":%lld}",
                         (long long)result->usage.cached_tokens, (long long)result->usage.cache_creation_tokens);
}

static void fill_usage(struct run *r, struct finish *f, const struct run_result *result)
{
    char *hour = arena_strdup(r->arena, f->trace.start_time);
    memcpy(hour + 13, ":00:00.000Z", 12);
    f->usage = (struct usage_delta){.tenant_id = r->in->tenant_id,
                                    .bucket_hour = hour,
                                    .agent_id = r->in->agent->id,
                                    .user_id = r->in->user ? r->in->user : "",
                                    .channel = r->in->channel,
                                    .provider = r->provider.name,
                                    .model = r->model,
                                    .requests = 1,
                                    .errors = result->status == RUN_ERROR,
                                    .llm_calls = r->llm_calls,
                                    .tool_calls = r->tool_calls,
                                    .input_tokens = result->usage.prompt_tokens,
                                    .output_tokens = result->usage.completion_tokens,
                                    .cache_read_tokens = result->usage.cached_tokens,
                                    .cache_create_tokens = result->usage.cache_creation_tokens,
                                    .thinking_tokens = result->usage.reasoning_tokens,
                                    .duration_ms = f->trace.duration_ms,
                                    .cost = f->trace.cost};
}

struct session_write record_session(struct run *r)
{
    /* It may be another user's, and stays his; one that is made belongs to this user. */
    bool others = r->in->may_use_any_session && r->session_id;
    return (struct session_write){.is_new = r->new_session && r->saved == 0,
                                  .spare_key = r->key_open ? run_long_key(r) : NULL,
                                  .tenant_id = r->in->tenant_id,
                                  .key = r->session_key,
                                  .agent_id = r->in->agent->id,
                                  .user_id = others ? NULL : r->in->user,
                                  .channel = r->in->channel,
                                  .model = r->model,
                                  .provider = r->provider.name,
                                  .last_prompt_tokens = -1,
                                  .context_window = r->in->agent->context_window,
                                  .began = r->session_id};
}

enum db_rc record_finish(struct run *r, struct run_result *result)
{
    struct finish *f = ARENA_NEW(r->arena, struct finish);
    f->run = r;
    running_skip(r);
    fill_trace(r, f, result);
    fill_usage(r, f, result);
    f->compact = session_compact_due(r);
    f->session = record_session(r);
    f->session.add_input_tokens = result->usage.prompt_tokens;
    f->session.add_output_tokens = result->usage.completion_tokens;
    f->session.last_prompt_tokens = r->last_prompt_tokens;
    f->kept = (struct kept_answer){.scope = r->in->answer_scope,
                                   .key = r->in->answer_key,
                                   .body_hash = r->in->body_hash,
                                   .run_id = r->id,
                                   .state = result->status == RUN_CANCELLED   ? "gone"
                                            : result->status == RUN_COMPLETED ? "done"
                                                                              : "failed",
                                   .status = r->kept_status,
                                   .answer = r->kept_json,
                                   .created_at = f->trace.end_time,
                                   .worker = f->trace.worker};
    enum db_rc rc = writer_run(r->engine->writer, r->engine->db, finish_job, f);
    if (rc == DB_CONSTRAINT && f->session.is_new) {
        /* Keys count up: another user saw this one coming and took it after the client was told of it. */
        f->session.key = run_long_key(r);
        rc = writer_run(r->engine->writer, r->engine->db, finish_job, f);
    }
    if (rc == DB_CONSTRAINT) {
        log_event(LOG_WARN, 5107, "run.messages_dropped", LOG_S, "run_id", r->id, LOG_S, "session_key", r->session_key,
                  LOG_END);
        rc = writer_run(r->engine->writer, r->engine->db, trace_only_job, f);
    }
    if (rc == DB_OK && f->session.spared)
        run_use_key(r, f->session.spare_key);
    return rc;
}

static enum db_rc refused_job(struct db *db, void *arg)
{
    struct finish *f = arg;
    if (record_tenant_gone(db, f->run))
        return DB_OK;
    enum db_rc rc = trace_finish(db, &f->trace);
    return rc == DB_OK ? usage_add(db, &f->usage) : rc;
}

void record_refused(struct run *r, const struct run_result *result)
{
    struct finish *f = ARENA_NEW(r->arena, struct finish);
    f->run = r;
    running_skip(r);
    fill_trace(r, f, result);
    fill_usage(r, f, result);
    if (writer_run(r->engine->writer, r->engine->db, refused_job, f) != DB_OK)
        log_event(LOG_ERROR, 5105, "run.refusal_not_saved", LOG_S, "run_id", r->id, LOG_END);
}

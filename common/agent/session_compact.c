#include "agent/session_compact.h"

#include "agent/compact.h"
#include "agent/cost.h"
#include "agent/history.h"
#include "agent/provider.h"
#include "agent/text.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/changes.h"
#include "store/runs.h"
#include "store/sessions.h"

enum {
    TOTAL_MS = 120000,
    ROWS_MAX = 2000, /* as many as a run looks at */
    TRIES = 2,
    CHARS_PER_TOKEN = 2,
    CHARS_WITHOUT_WINDOW = 400000,
    PREVIEW = 500,
};

struct work {
    struct engine *engine;
    struct arena *arena;
    const struct job *job;
    const char *key;
    bool overflow;
    struct session session;
    struct agent agent;
    struct llm_provider provider; /* name NULL: there is none */
    const char *model;
    struct message *rows;
    size_t row_count;
    const char *summary; /* what was made */
    int64_t to;          /* the session's context begins here then */
    struct trace trace; /* of the calls, when there were any */
    struct span spans[TRIES];
    size_t calls;
    struct usage_delta usage;
    const char *error;
    bool stored;
};

static enum db_rc provider_load(struct work *w, struct db *db)
{
    const struct config *config = w->engine->config;
    const char *name = provider_name_of(config, &w->agent);
    struct provider row;
    enum db_rc rc = provider_lookup(db, w->arena, config, w->job->tenant_id, name, &row);
    if (rc != DB_ROW)
        return rc;
    if (provider_resolve(w->arena, config, w->job->tenant_id, &row, &w->provider) != PROVIDER_USABLE)
        w->provider.name = NULL;
    w->model = provider_model_of(config, &w->agent, &w->provider);
    return DB_OK;
}

/* DB_ROW: everything is there; DB_OK: session or agent is not. */
static enum db_rc load(struct work *w)
{
    const char *tenant = w->job->tenant_id;
    struct db *db = engine_db(w->engine);
    enum db_rc rc = db ? session_find(db, w->arena, tenant, w->key, &w->session) : DB_ERROR;
    bool found = rc == DB_ROW && strcmp(w->session.id, w->job->entity_id) == 0;
    if (rc == DB_ROW)
        rc = found ? agent_find(db, w->arena, tenant, w->session.agent_id, &w->agent) : DB_OK;
    found = rc == DB_ROW;
    if (found)
        rc = provider_load(w, db);
    if (found && rc == DB_OK)
        rc = session_messages(db, w->arena, w->session.id, w->session.context_start, 0, ROWS_MAX, &w->rows,
                              &w->row_count);
    engine_db_done(w->engine, db);
    return found && rc == DB_OK ? DB_ROW : rc;
}

static bool run_going_on(struct work *w)
{
    if (!queue_claim(w->engine->queue, w->job->tenant_id, w->key))
        return true;
    queue_unclaim(w->engine->queue, w->job->tenant_id, w->key);
    return false;
}

static const char *now_text(struct work *w)
{
    char *t = arena_alloc(w->arena, TIME_TEXT_SIZE);
    time_format(clock_ms(), t);
    return t;
}

static const char *new_id(struct work *w)
{
    char *id = arena_alloc(w->arena, UUID_SIZE);
    uuid_new(id);
    return id;
}

/* One call of the model, with its span. */
static struct llm_answer call(struct work *w, const struct compact_job *job, struct cancel *cancel)
{
    struct llm_answer answer;
    struct span *s = &w->spans[w->calls++];
    int64_t began = clock_mono_ms();
    *s = (struct span){.id = new_id(w),
                       .trace_id = w->trace.id,
                       .parent_span_id = w->trace.id,
                       .tenant_id = w->job->tenant_id,
                       .agent_id = w->agent.id,
                       .type = "llm_call",
                       .name = arena_printf(w->arena, "%s/%s compaction", w->provider.name, w->model),
                       .provider = w->provider.name,
                       .model = w->model,
                       .start_time = now_text(w)};
    w->summary = compact_ask(w->arena, &w->provider, w->model, job, NULL, cancel, &answer, &w->error);
    s->end_time = now_text(w);
    s->duration_ms = clock_mono_ms() - began;
    s->status = w->summary ? "completed" : "error";
    s->error = w->summary ? NULL : w->error;
    s->finish_reason = w->summary ? llm_finish_name(answer.finish) : NULL;
    s->output_preview = text_preview(w->arena, answer.text ? answer.text : "", PREVIEW);
    s->input_tokens = answer.usage.prompt_tokens;
    s->output_tokens = answer.usage.completion_tokens;
    s->cost = cost_of(w->arena, w->engine->config, w->provider.name, w->model, &answer.usage);
    w->usage.cache_read_tokens += answer.usage.cached_tokens;
    w->usage.cache_create_tokens += answer.usage.cache_creation_tokens;
    w->usage.thinking_tokens += answer.usage.reasoning_tokens;
    return answer;
}

enum asked { ASKED_OK, ASKED_FAILED, ASKED_STOPPING };

static enum asked ask(struct work *w, struct compact_job *job)
{
    struct cancel cancel;
    struct live_run live = {.id = w->job->id,
                            .tenant_id = w->job->tenant_id,
                            .session_key = w->key,
                            .agent_id = w->agent.id,
                            .agent_key = w->agent.agent_key,
                            .user_id = w->session.user_id,
                            .phase = "compacting",
                            .cancel = &cancel};
    cancel_init(&cancel, clock_mono_ms() + TOTAL_MS);
    bool added = engine_add(w->engine, &live), overflow = added;
    for (int i = 0; i < TRIES && !w->summary && overflow; i++, job->max_chars /= 4)
        overflow = call(w, job, &cancel).context_overflow;
    if (added)
        engine_remove(w->engine, &live);
    enum cancel_reason why = added ? cancel_check(&cancel) : CANCEL_SHUTDOWN;
    cancel_release(&cancel);
    return w->summary ? ASKED_OK : why == CANCEL_SHUTDOWN ? ASKED_STOPPING : ASKED_FAILED;
}

/* Nothing to do counts as done: the session may have become short again meanwhile. */
static enum asked sum_up(struct work *w)
{
    size_t n = 0;
    int64_t window = w->agent.context_window;
    struct compact_rules rules = compact_rules_of(w->arena, w->engine->config, w->agent.compaction_config);
    struct llm_message *m = history_from_rows(w->arena, w->rows, w->row_count, &n);
    size_t head = n == w->row_count ? compact_split(m, n, (size_t)rules.keep_last) : 0;
    bool due = w->overflow || (int64_t)n > rules.min_messages ||
               compact_is_full(&rules, window, history_estimate_tokens(m, n)) ||
               compact_is_full(&rules, window, w->session.last_prompt_tokens);
    if (head == 0 || !due)
        return ASKED_OK;
    if (!w->provider.name) {
        w->error = "there is no usable provider";
        return ASKED_FAILED;
    }
    struct compact_job job = {w->session.summary ? w->session.summary : "", m, head,
                              window > 0 ? (size_t)window * CHARS_PER_TOKEN : CHARS_WITHOUT_WINDOW};
    w->to = w->rows[head].seq;
    if (strcmp(w->provider.type, "offline") == 0) {
        w->summary = compact_without_model(w->arena, &job);
        return ASKED_OK;
    }
    return ask(w, &job);
}

/* ---- what becomes of it ---- */

static enum db_rc audit(struct work *w, struct db *db)
{
    struct activity a = {
        .tenant_id = w->job->tenant_id,
        .actor_type = "system",
        .actor_id = "system",
        .action = "session.compacted",
        .entity_type = "session",
        .entity_id = w->key,
    };
    return activity_add(db, &a);
}

/* What was spent is seen as what runs spend: a trace of its own, counted in its session and its hour. */
static void account(struct work *w)
{
    struct trace *t = &w->trace;
    const struct span *first = &w->spans[0], *last = &w->spans[w->calls - 1];
    t->tenant_id = w->job->tenant_id;
    t->run_id = t->id;
    t->session_key = w->key;
    t->user_id = w->session.user_id;
    t->channel = w->session.channel;
    t->agent_id = w->agent.id;
    t->agent_key = w->agent.agent_key;
    t->name = arena_printf(w->arena, "compaction %s", w->agent.agent_key);
    t->tags = "[\"compaction\"]";
    t->status = last->status;
    t->error = last->error;
    t->output_preview = last->output_preview;
    t->model = w->model;
    t->provider = w->provider.name;
    t->start_time = first->start_time;
    t->end_time = last->end_time;
    t->llm_call_count = (int64_t)w->calls;
    t->span_count = t->llm_call_count + 1;
    for (size_t i = 0; i < w->calls; i++) {
        t->duration_ms += w->spans[i].duration_ms;
        t->input_tokens += w->spans[i].input_tokens;
        t->output_tokens += w->spans[i].output_tokens;
        t->cost += w->spans[i].cost > 0 ? w->spans[i].cost : 0;
    }
    char *hour = arena_strdup(w->arena, t->start_time);
    memcpy(hour + 13, ":00:00.000Z", 12);
    struct usage_delta *u = &w->usage;
    u->tenant_id = t->tenant_id;
    u->bucket_hour = hour;
    u->agent_id = t->agent_id;
    u->user_id = t->user_id;
    u->channel = t->channel;
    u->provider = t->provider;
    u->model = t->model;
    u->requests = 1;
    u->errors = w->summary == NULL;
    u->llm_calls = t->llm_call_count;
    u->input_tokens = t->input_tokens;
    u->output_tokens = t->output_tokens;
    u->duration_ms = t->duration_ms;
    u->cost = t->cost;
}

static enum db_rc account_store(struct work *w, struct db *db)
{
    const struct trace *t = &w->trace;
    enum db_rc rc = session_spend(db, t->tenant_id, t->session_key, t->input_tokens, t->output_tokens);
    if (rc == DB_OK)
        rc = trace_finish(db, t);
    for (size_t i = 0; rc == DB_OK && i < w->calls; i++)
        rc = span_insert(db, &w->spans[i]);
    return rc == DB_OK ? usage_add(db, &w->usage) : rc;
}

static enum db_rc end_job(struct db *db, void *arg)
{
    struct work *w = arg;
    w->stored = false;
    enum db_rc rc = job_drop(db, w->job);
    if (rc != DB_ROW)
        return rc; /* not ours any more */
    rc = w->summary ? session_sum_up(db, w->job->tenant_id, w->key, w->session.id, w->session.context_start, w->to,
                                     w->summary)
                    : DB_OK;
    if (rc == DB_ROW) {
        w->stored = true;
        rc = audit(w, db);
    }
    return rc == DB_OK && w->calls > 0 ? account_store(w, db) : rc;
}

static enum db_rc return_job(struct db *db, void *arg)
{
    return job_return(db, ((struct work *)arg)->job);
}

static void finish(struct work *w)
{
    if (w->calls > 0)
        account(w);
    if (w->error && !w->summary)
        log_event(LOG_WARN, 5311, "session.compaction_failed", LOG_S, "session_key", w->key, LOG_S, "reason", w->error,
                  LOG_END);
    if (writer_run(w->engine->writer, w->engine->db, end_job, w) != DB_OK)
        log_event(LOG_ERROR, 5312, "session.compaction_not_saved", LOG_S, "session_key", w->key, LOG_END);
    else if (w->stored)
        log_event(LOG_INFO, 0, "session.compacted", LOG_S, "session_key", w->key, LOG_I, "context_start", w->to,
                  LOG_END);
}

static struct work *work_new(struct engine *e, struct arena *a, const struct job *j)
{
    struct work *w = ARENA_NEW(a, struct work);
    json_object *payload = json_parse(a, j->payload, strlen(j->payload), 0, NULL);
    const char *key = json_str(payload, "session_key");
    w->engine = e;
    w->arena = a;
    w->job = j;
    w->key = key ? key : "";
    w->trace.id = new_id(w);
    w->overflow = json_flag(payload, "overflow", false);
    return w;
}

void session_compact(struct engine *e, const struct job *j)
{
    struct arena *a = arena_new();
    struct work *w = work_new(e, a, j);
    enum asked asked = ASKED_OK;
    if (!run_going_on(w)) {
        enum db_rc rc = load(w);
        asked = rc == DB_ROW ? sum_up(w) : rc == DB_OK ? ASKED_OK : ASKED_STOPPING;
    }
    if (asked == ASKED_STOPPING)
        writer_run(e->writer, e->db, return_job, w);
    else
        finish(w);
    arena_free(a);
}

void session_compact_give_up(struct engine *e, const struct job *j)
{
    struct arena *a = arena_new();
    struct work *w = work_new(e, a, j);
    w->error = "it was begun three times and never came to an end";
    finish(w);
    arena_free(a);
}

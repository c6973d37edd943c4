#include "agent/session_compact.h"

#include "agent/compact.h"
#include "agent/cost.h"
#include "agent/history.h"
#include "agent/provider.h"
#include "agent/run.h"
#include "base/clock.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "base/utf8.h"
#include "store/changes.h"

enum {
    TOTAL_MS = 120000,
    ROWS_MAX = 2000, /* as many as a run looks at */
    TRIES = 2,
    CHARS_PER_TOKEN = 2,
    CHARS_WITHOUT_WINDOW = 400000,
    CHARS_PER_ESTIMATED_TOKEN = 3,
};

/* ---- at the end of a run ---- */

static int64_t text_bytes(const char *s)
{
    return s ? (int64_t)strlen(s) : 0;
}

static int64_t text_chars(const char *s)
{
    return s ? (int64_t)utf8_count(s, strlen(s)) : 0;
}

/* What the next run of the session will be shown; messages that came with a new session's request are not stored. */
static int64_t size_left(const struct run *r, int64_t (*size)(const char *s))
{
    int64_t sum = 0;
    for (size_t i = 1; i < r->context_count; i++)
        sum += size(r->context[i].text);
    for (size_t i = r->context_count > 0 ? r->setup_rows : 0; i < r->row_count; i++)
        sum += size(r->rows[i].content) + size(r->rows[i].tool_calls);
    return sum;
}

/* There are never more characters than bytes, and these are counted faster. */
static bool is_full(const struct run *r, const struct compact_rules *rules)
{
    int64_t window = r->in->agent->context_window;
    return compact_is_full(rules, window, size_left(r, text_bytes) / CHARS_PER_ESTIMATED_TOKEN) &&
           compact_is_full(rules, window, size_left(r, text_chars) / CHARS_PER_ESTIMATED_TOKEN);
}

bool session_compact_due(const struct run *r)
{
    int64_t messages = (int64_t)(r->context_rows + r->row_count);
    if (messages < COMPACT_MESSAGES_MIN)
        return false;
    if (r->compacted || r->overflowed)
        return true;
    struct compact_rules rules = compact_rules_of(r->arena, r->engine->config, r->in->agent->compaction_config);
    return messages > rules.min_messages || is_full(r, &rules) ||
           (!r->new_session && compact_is_full(&rules, r->in->agent->context_window, r->last_prompt_tokens));
}

enum db_rc session_compact_want(struct db *db, struct run *r, const char *session_id, const char *session_key)
{
    struct buf *payload = buf_new(r->arena, 8192);
    struct jsonw w;
    jw_init(&w, payload);
    jw_obj(&w);
    jw_kstr(&w, "session_key", session_key);
    jw_kbool(&w, "overflow", r->overflowed || r->compacted);
    jw_obj_end(&w);
    return job_want(db, r->in->tenant_id, JOB_COMPACT, session_id, buf_str(payload));
}

/* ---- the job ---- */

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
    struct usage_delta usage;
    const char *error;
    bool stored;
};

static enum db_rc provider_load(struct work *w, struct db *db)
{
    const struct config *config = w->engine->config;
    const char *name = *w->agent.provider ? w->agent.provider : config->default_provider;
    struct provider row;
    enum db_rc rc = provider_lookup(db, w->arena, config, w->job->tenant_id, name, &row);
    if (rc != DB_ROW)
        return rc;
    if (provider_resolve(w->arena, config, w->job->tenant_id, &row, &w->provider) != PROVIDER_USABLE)
        w->provider.name = NULL;
    w->model = *w->agent.model               ? w->agent.model
               : *w->provider.default_model ? w->provider.default_model
                                             : config->default_model;
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

static void usage_count(struct work *w, const struct llm_usage *u)
{
    double cost = cost_of(w->arena, w->engine->config, w->provider.name, w->model, u);
    struct usage_delta *d = &w->usage;
    d->llm_calls++;
    d->input_tokens += u->prompt_tokens;
    d->output_tokens += u->completion_tokens;
    d->cache_read_tokens += u->cached_tokens;
    d->cache_create_tokens += u->cache_creation_tokens;
    d->thinking_tokens += u->reasoning_tokens;
    d->cost += cost > 0 ? cost : 0;
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
    for (int i = 0; i < TRIES && !w->summary && overflow; i++, job->max_chars /= 4) {
        struct llm_answer answer;
        w->summary = compact_ask(w->arena, &w->provider, w->model, job, NULL, &cancel, &answer, &w->error);
        usage_count(w, &answer.usage);
        overflow = answer.context_overflow;
    }
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

static void usage_name(struct work *w)
{
    char *hour = arena_alloc(w->arena, TIME_TEXT_SIZE);
    time_format(clock_ms(), hour);
    memcpy(hour + 13, ":00:00.000Z", 12);
    w->usage.tenant_id = w->job->tenant_id;
    w->usage.bucket_hour = hour;
    w->usage.agent_id = w->agent.id;
    w->usage.user_id = w->session.user_id;
    w->usage.channel = w->session.channel;
    w->usage.provider = w->provider.name;
    w->usage.model = w->model;
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
    return rc == DB_OK && w->usage.llm_calls > 0 ? usage_add(db, &w->usage) : rc;
}

static enum db_rc return_job(struct db *db, void *arg)
{
    return job_return(db, ((struct work *)arg)->job);
}

static void finish(struct work *w)
{
    usage_name(w);
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

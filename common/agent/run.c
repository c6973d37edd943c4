#include "agent/run.h"

#include "agent/guard.h"
#include "agent/run_parts.h"
#include "agent/text.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"

enum { RUN8 = 8 };

static const char *const status_names[] = {
    [RUN_COMPLETED] = "completed", [RUN_ERROR] = "error", [RUN_CANCELLED] = "cancelled"};

bool fault_from_db(struct fault *f, enum db_rc rc)
{
    bool passing = rc == DB_BUSY || rc == DB_FULL;
    return fault_set(f, passing ? FAULT_UNAVAILABLE : FAULT_INTERNAL, passing ? MSG_unavailable : MSG_internal, NULL,
                     passing ? NULL : "storage", NULL);
}

void fault_from_cancel(struct run *r, enum cancel_reason why, struct fault *f)
{
    switch (why) {
    case CANCEL_DEADLINE:
        fault_set(f, FAULT_TIMEOUT, MSG_agent_timeout, NULL,
                  arena_printf(r->arena, "%lld", (long long)r->engine->config->run_timeout_sec), NULL);
        return;
    case CANCEL_SHUTDOWN:
        fault_set(f, FAULT_UNAVAILABLE, MSG_shutting_down, NULL, NULL, NULL);
        return;
    case CANCEL_BY_USER:
    case CANCEL_CLIENT_GONE:
    case CANCEL_NONE:
        fault_set(f, FAULT_STATE, MSG_run_cancelled, NULL, NULL, NULL);
        return;
    }
}

struct run *run_new(struct engine *e, struct arena *a, const struct run_input *in)
{
    struct run *r = ARENA_NEW(a, struct run);
    r->engine = e;
    r->arena = a;
    r->in = in;
    r->cost = -1;
    r->last_prompt_tokens = -1;
    engine_run_id(e, r->id);
    uuid_hex(r->id, r->hex);
    memcpy(r->trace_id, r->id, sizeof r->trace_id); /* a run has one trace: one id serves both */
    r->started_ms = clock_ms();
    r->started_mono = clock_mono_ms();
    cancel_init(&r->cancel, r->started_mono + e->config->run_timeout_sec * 1000);
    r->new_session = in->session_key == NULL;
    r->session_key = in->session_key ? in->session_key
                                     : arena_printf(a, "%s%s", in->session_prefix, r->hex + strlen(r->hex) - RUN8);
    r->live = (struct live_run){.id = r->id,
                                .tenant_id = in->tenant_id,
                                .session_key = r->session_key,
                                .agent_id = in->agent->id,
                                .agent_key = in->agent->agent_key,
                                .user_id = in->user,
                                .answer_scope = in->answer_scope,
                                .body_hash = in->body_hash,
                                .phase = "queued",
                                .cancel = &r->cancel};
    return r;
}

bool run_session_fits(struct run *r, const struct session *s, struct fault *f)
{
    if (!r->in->may_use_any_session && s->user_id && r->in->user && strcmp(s->user_id, r->in->user) != 0)
        return fault_set(f, FAULT_FORBIDDEN, MSG_session_other_user, NULL, NULL, NULL);
    if (s->agent_id && strcmp(s->agent_id, r->in->agent->id) != 0)
        return fault_set(f, FAULT_INVALID, MSG_session_other_agent, "session_key", NULL, NULL);
    return true;
}

const char *run_long_key(struct run *r)
{
    return arena_printf(r->arena, "%s%s", r->in->session_prefix, r->hex);
}

void run_use_key(struct run *r, const char *key)
{
    pthread_mutex_lock(&r->engine->lock);
    r->session_key = r->live.session_key = key;
    pthread_mutex_unlock(&r->engine->lock);
}

/* The session as it is now: owner and agent must fit; a generated key must be free. Asked again once it is this
 * run's turn: until then somebody else may have made the session. A new session that nobody is told of before its end
 * needs no look: it is made then, under a key that is free. */
static bool admit_session(struct run *r, struct fault *f)
{
    r->key_open = r->new_session && !r->in->stream;
    if (r->key_open)
        return true;
    struct db *db = engine_db(r->engine);
    if (!db)
        return fault_from_db(f, DB_ERROR);
    struct session s;
    enum db_rc rc = r->new_session ? session_taken(db, r->in->tenant_id, r->session_key)
                                   : session_find(db, r->arena, r->in->tenant_id, r->session_key, &s);
    engine_db_done(r->engine, db);
    if (rc == DB_OK)
        return true;
    if (rc != DB_ROW)
        return fault_from_db(f, rc);
    if (!r->new_session) {
        r->session_id = s.id;
        return run_session_fits(r, &s, f);
    }
    run_use_key(r, run_long_key(r));
    return true;
}

static bool admit_budget(struct run *r, struct fault *f)
{
    const struct agent *agent = r->in->agent;
    if (agent->budget_monthly_cents <= 0)
        return true;
    char month[TIME_TEXT_SIZE];
    time_format(r->started_ms, month);
    memcpy(month + 8, "01T00:00:00.000Z", 17);
    int64_t spent = 0;
    struct db *db = engine_db(r->engine);
    enum db_rc rc = db ? agent_spent_cents(db, r->in->tenant_id, agent->id, month, &spent) : DB_ERROR;
    engine_db_done(r->engine, db);
    if (rc != DB_ROW && rc != DB_OK)
        return fault_from_db(f, rc);
    if (spent >= agent->budget_monthly_cents)
        return fault_set(f, FAULT_STATE, MSG_budget_exceeded, NULL, NULL, NULL);
    return true;
}

/* Contract 03 §3.12. Names and lengths are logged, never the text. */
static bool admit_input(struct run *r, struct fault *f)
{
    int64_t action = r->engine->config->injection_action;
    const char *names = action == INJECTION_OFF ? NULL : guard_scan(r->arena, r->in->text);
    if (!names)
        return true;
    bool block = action == INJECTION_BLOCK;
    log_event(action == INJECTION_LOG ? LOG_INFO : LOG_WARN, 5104,
              block ? "security.injection_blocked" : "security.injection_detected", LOG_S, "run_id", r->id, LOG_S,
              "patterns", names, LOG_I, "bytes", (int64_t)strlen(r->in->text), LOG_END);
    return block ? fault_set(f, FAULT_INVALID, MSG_injection_blocked, "messages", names, NULL) : true;
}

static bool admit_checks(struct run *r, struct fault *f)
{
    if (strcmp(r->in->agent->status, "active") != 0)
        return fault_set(f, FAULT_STATE, MSG_agent_not_active, NULL, NULL, NULL);
    return setup_tools(r, f) && admit_input(r, f) && admit_session(r, f) && setup_provider(r, f) && admit_budget(r, f);
}

static void tick(void *ctx)
{
    struct run *r = ctx;
    if (!r->engine->pool)
        engine_marks(r->engine);
    record_running_again(r);
    if (r->in->events && r->in->events->tick)
        r->in->events->tick(r->in->events->ctx);
}

/* A stream tells its new session's key at its beginning: whoever goes on in it waits for the end. Keys count up, so
 * somebody may be in this one already; nobody knows the long one. */
static void claim_announced(struct run *r)
{
    struct queue *q = r->engine->queue;
    if (!r->new_session || !r->in->stream)
        return;
    r->turn = queue_claim(q, r->in->tenant_id, r->session_key);
    if (r->turn)
        return;
    run_use_key(r, run_long_key(r));
    r->turn = queue_claim(q, r->in->tenant_id, r->session_key);
}

/* A run that waited in vain leaves its trace, so that whoever saw it queued sees how it ended. */
static void refuse(struct run *r, const struct fault *f, enum cancel_reason why)
{
    struct run_result result = {.content = "", .fault = *f, .cancelled = why};
    result.status = why == CANCEL_NONE || why == CANCEL_DEADLINE ? RUN_ERROR : RUN_CANCELLED;
    record_refused(r, &result);
    metrics_add(METRIC_RUNS_REFUSED, 1);
    if (r->turn)
        queue_unclaim(r->engine->queue, r->in->tenant_id, r->session_key);
    engine_remove(r->engine, &r->live);
}

bool run_admit(struct run *r, struct fault *f)
{
    if (!admit_checks(r, f))
        return false;
    if (!engine_add(r->engine, &r->live))
        return fault_set(f, FAULT_UNAVAILABLE, MSG_shutting_down, NULL, NULL, NULL);
    claim_announced(r);
    record_running(r);
    enum cancel_reason why = CANCEL_NONE;
    switch (queue_enter(r->engine->queue, r->in->tenant_id, r->new_session ? NULL : r->session_key, &r->cancel, tick,
                        r)) {
    case QUEUE_ENTERED:
        r->admitted = true;
        r->turn |= !r->new_session;
        metrics_gauge(GAUGE_RUNS, 1);
        return true;
    case QUEUE_FULL:
        fault_set(f, FAULT_UNAVAILABLE, MSG_queue_full, NULL, NULL, NULL);
        break;
    case QUEUE_NO_SLOT:
        fault_set(f, FAULT_UNAVAILABLE, MSG_no_run_slot, NULL, NULL, NULL);
        break;
    case QUEUE_CANCELLED:
        why = cancel_check(&r->cancel);
        fault_from_cancel(r, why, f);
        break;
    }
    refuse(r, f, why);
    return false;
}

static void count(const struct run *r, const struct run_result *result)
{
    static const enum metric outcomes[] = {[RUN_COMPLETED] = METRIC_RUNS_COMPLETED, [RUN_ERROR] = METRIC_RUNS_ERROR,
                                           [RUN_CANCELLED] = METRIC_RUNS_CANCELLED};
    metrics_add(outcomes[result->status], 1);
    metrics_add(METRIC_LLM_CALLS, r->llm_calls);
    metrics_add(METRIC_TOKENS_IN, result->usage.prompt_tokens);
    metrics_add(METRIC_TOKENS_OUT, result->usage.completion_tokens);
}

static void cancelled_result(struct run *r, enum cancel_reason why, struct run_result *result)
{
    fault_from_cancel(r, why, &result->fault);
    result->cancelled = why;
    result->status = why == CANCEL_DEADLINE ? RUN_ERROR : RUN_CANCELLED;
    if (why == CANCEL_BY_USER || why == CANCEL_CLIENT_GONE)
        record_message(r, &(struct llm_message){.role = LLM_ASSISTANT, .text = "[Stopped by user]"}, NULL);
}

void run_execute(struct run *r, struct run_result *result)
{
    *result = (struct run_result){.content = ""};
    engine_phase(r->engine, &r->live, "thinking");
    bool ok = setup_messages(r, &result->fault) && loop_run(r, result);
    enum cancel_reason why = ok ? CANCEL_NONE : cancel_check(&r->cancel);
    if (ok)
        result->status = RUN_COMPLETED;
    else if (why != CANCEL_NONE)
        cancelled_result(r, why, result);
    else
        result->status = RUN_ERROR;
    engine_phase(r->engine, &r->live, "saving");
    if (r->keep)
        r->keep(r, result, r->keep_ctx);
    enum db_rc rc = record_finish(r, result);
    if (rc != DB_OK) {
        log_event(LOG_ERROR, 5101, "run.not_saved", LOG_S, "run_id", r->id, LOG_I, "rc", (int64_t)rc, LOG_END);
        engine_note_unsaved(r->engine);
        result->status = RUN_ERROR;
        fault_from_db(&result->fault, rc);
    }
    count(r, result);
    log_event(result->status == RUN_COMPLETED ? LOG_DEBUG : LOG_INFO, 0, "run", LOG_S, "run_id", r->id, LOG_S,
              "tenant_id", r->in->tenant_id, LOG_S, "agent", r->in->agent->agent_key, LOG_S, "status", status_names[result->status], LOG_I, "ms",
              clock_mono_ms() - r->started_mono, LOG_I, "llm_calls", r->llm_calls, LOG_END);
}

void run_release(struct run *r)
{
    if (r->admitted) {
        metrics_gauge(GAUGE_RUNS, -1);
        queue_leave(r->engine->queue, r->in->tenant_id, r->turn ? r->session_key : NULL);
        engine_remove(r->engine, &r->live);
    }
    record_running_release(r);
    cancel_release(&r->cancel);
}

json_object *run_json(struct run *r, const char *text)
{
    struct json_fault jf;
    return strcmp(text, "{}") == 0 ? NULL : json_parse(r->arena, text, strlen(text), 0, &jf);
}

void run_push(struct run *r, const struct llm_message *m)
{
    if (r->message_count == r->message_cap) {
        size_t cap = r->message_cap ? r->message_cap * 2 : 32;
        struct llm_message *more = ARENA_ARRAY(r->arena, struct llm_message, cap);
        if (r->message_count)
            memcpy(more, r->messages, r->message_count * sizeof *more);
        r->messages = more;
        r->message_cap = cap;
    }
    r->messages[r->message_count++] = *m;
}

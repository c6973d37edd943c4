/* Traces, spans, usage: what a run leaves, and reading runs back. */
#include <stdlib.h>
#include <string.h>

#include "store/internal.h"
#include "store/runs.h"

enum db_rc trace_insert(struct db *db, const struct trace *t)
{
    /* The row may be there already when a job is tried again. */
    SQL(insert, "INSERT INTO traces (id, tenant_id, run_id, session_key, user_id, channel, agent_id, agent_key, name,"
                " status, start_time, input_preview, tags, worker)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) ON CONFLICT DO NOTHING");
    return db_exec(db, &insert, "ttttttttttttti", t->id, t->tenant_id, t->run_id, t->session_key, t->user_id,
                   t->channel, t->agent_id, t->agent_key, t->name, t->status, t->start_time, t->input_preview, t->tags,
                   t->worker);
}

enum db_rc trace_finish(struct db *db, const struct trace *t)
{
    SQL(finish,
        "INSERT INTO traces (id, tenant_id, run_id, session_key, user_id, channel, agent_id, agent_key, name, status,"
        " start_time, end_time, duration_ms, span_count, llm_call_count, tool_call_count, total_input_tokens,"
        " total_output_tokens, total_cost, worker, error, input_preview, output_preview, metadata, tags, model,"
        " provider)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,"
        " ?23, ?24, ?25, ?26, ?27)"
        " ON CONFLICT (tenant_id, id) DO UPDATE SET session_key = ?4, status = ?10, end_time = ?12, duration_ms = ?13, span_count = ?14,"
        " llm_call_count = ?15, tool_call_count = ?16, total_input_tokens = ?17, total_output_tokens = ?18,"
        " total_cost = ?19, error = ?21, output_preview = ?23, metadata = ?24, tags = ?25, model = ?26, provider = ?27");
    return db_exec(db, &finish, "ttttttttttttiiiiiidittttttt", t->id, t->tenant_id, t->run_id, t->session_key,
                   t->user_id, t->channel, t->agent_id, t->agent_key, t->name, t->status, t->start_time, t->end_time,
                   t->duration_ms, t->span_count, t->llm_call_count, t->tool_call_count, t->input_tokens,
                   t->output_tokens, t->cost, t->worker, t->error, t->input_preview, t->output_preview, t->metadata,
                   t->tags, t->model, t->provider);
}

enum db_rc span_insert(struct db *db, const struct span *s)
{
    SQL(insert, "INSERT INTO spans (trace_id, start_time, id, tenant_id, parent_span_id, agent_id, span_type, name,"
                " status, error, end_time, duration_ms, model, provider, input_tokens, output_tokens, total_cost,"
                " finish_reason, tool_name, tool_call_id, input_preview, output_preview, metadata)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,"
                " CASE WHEN ?17 < 0 THEN NULL ELSE ?17 END, ?18, ?19, ?20, ?21, ?22, ?23)");
    return db_exec(db, &insert, "tttttttttttittiidtttttt", s->trace_id, s->start_time, s->id, s->tenant_id,
                   s->parent_span_id, s->agent_id, s->type, s->name, s->status, s->error, s->end_time, s->duration_ms,
                   s->model, s->provider, s->input_tokens, s->output_tokens, s->cost, s->finish_reason, s->tool_name,
                   s->tool_call_id, s->input_preview, s->output_preview, s->metadata);
}

static enum db_rc month_add(struct db *db, const struct usage_delta *u)
{
    SQL(add, "INSERT INTO agent_monthly_cost (tenant_id, agent_id, month, cost) VALUES (?1, ?2, substr(?3, 1, 7), ?4)"
             " ON CONFLICT DO UPDATE SET cost = cost + ?4");
    return db_exec(db, &add, "tttd", u->tenant_id, u->agent_id, u->bucket_hour, u->cost);
}

static enum db_rc usage_write(struct db *db, const struct usage_delta *u)
{
    SQL(add, "INSERT INTO usage_hourly (tenant_id, bucket_hour, agent_id, user_id, channel, provider, model, requests,"
             " errors, llm_calls, tool_calls, input_tokens, output_tokens, cache_read_tokens, cache_create_tokens,"
             " thinking_tokens, duration_ms, cost)"
             " VALUES (?1, ?2, COALESCE(?3, ''), COALESCE(?4, ''), COALESCE(?5, ''), COALESCE(?6, ''),"
             " COALESCE(?7, ''), ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)"
             " ON CONFLICT DO UPDATE SET requests = requests + ?8, errors = errors + ?9, llm_calls = llm_calls + ?10,"
             " tool_calls = tool_calls + ?11, input_tokens = input_tokens + ?12, output_tokens = output_tokens + ?13,"
             " cache_read_tokens = cache_read_tokens + ?14, cache_create_tokens = cache_create_tokens + ?15,"
             " thinking_tokens = thinking_tokens + ?16, duration_ms = duration_ms + ?17, cost = cost + ?18");
    enum db_rc rc = db_exec(db, &add, "tttttttiiiiiiiiiid", u->tenant_id, u->bucket_hour, u->agent_id, u->user_id,
                            u->channel, u->provider, u->model, u->requests, u->errors, u->llm_calls, u->tool_calls,
                            u->input_tokens, u->output_tokens, u->cache_read_tokens, u->cache_create_tokens,
                            u->thinking_tokens, u->duration_ms, u->cost);
    if (rc == DB_OK && u->cost > 0 && u->agent_id)
        rc = month_add(db, u);
    return rc;
}

/* Usage of the open transaction: runs that end together are mostly of the same hour, agent and user. */
struct usage_sums {
    size_t n;
    struct usage_delta list[32];
};

static bool text_same(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool key_same(const struct usage_delta *a, const struct usage_delta *b)
{
    return text_same(a->user_id, b->user_id) && text_same(a->agent_id, b->agent_id) &&
           text_same(a->tenant_id, b->tenant_id) && text_same(a->bucket_hour, b->bucket_hour) &&
           text_same(a->channel, b->channel) && text_same(a->provider, b->provider) && text_same(a->model, b->model);
}

static void usage_sum(struct usage_delta *to, const struct usage_delta *u)
{
    to->requests += u->requests;
    to->errors += u->errors;
    to->llm_calls += u->llm_calls;
    to->tool_calls += u->tool_calls;
    to->input_tokens += u->input_tokens;
    to->output_tokens += u->output_tokens;
    to->cache_read_tokens += u->cache_read_tokens;
    to->cache_create_tokens += u->cache_create_tokens;
    to->thinking_tokens += u->thinking_tokens;
    to->duration_ms += u->duration_ms;
    to->cost += u->cost;
}

static enum db_rc usage_flush(struct db *db, void *state)
{
    const struct usage_sums *sums = state;
    enum db_rc rc = DB_OK;
    for (size_t i = 0; rc == DB_OK && i < sums->n; i++)
        rc = usage_write(db, &sums->list[i]);
    return rc;
}

enum db_rc usage_add(struct db *db, const struct usage_delta *u)
{
    struct db_late *late = db_late(db);
    if (late && !late->state)
        *late = (struct db_late){usage_flush, free, calloc(1, sizeof(struct usage_sums))};
    struct usage_sums *sums = late ? late->state : NULL;
    size_t i = 0;
    while (sums && i < sums->n && !key_same(&sums->list[i], u))
        i++;
    if (!sums || i == sizeof sums->list / sizeof *sums->list)
        return usage_write(db, u);
    if (i < sums->n)
        usage_sum(&sums->list[i], u);
    else
        sums->list[sums->n++] = *u;
    return DB_OK;
}

enum db_rc traces_interrupt(struct db *db, int64_t worker, const char *before, const char *now, int64_t *count)
{
    SQL(interrupt, "UPDATE traces SET status = 'error', error = 'interrupted', end_time = ?2,"
                   " duration_ms = MAX(0, CAST(ROUND((julianday(?2) - julianday(start_time)) * 86400000) AS INTEGER))"
                   " WHERE status <> 'completed' AND status = 'running' AND worker = ?1 AND start_time < ?3");
    enum db_rc rc = db_exec(db, &interrupt, "itt", worker, now, before);
    *count = rc == DB_OK ? db_changes(db) : 0;
    return rc;
}

enum db_rc traces_running_workers(struct db *db, int64_t *workers, size_t max, size_t *count)
{
    SQL(owners, "SELECT DISTINCT worker FROM traces WHERE status <> 'completed' AND status = 'running' LIMIT ?1");
    *count = 0;
    struct db_stmt *s = db_query(db, &owners, "i", (int64_t)max);
    enum db_rc rc;
    while ((rc = db_next(s)) == DB_ROW)
        workers[(*count)++] = db_int(s, 0);
    return rc;
}

/* The oldest of one tenant, as its ids are in the order of time. */
#define OLDEST "(SELECT id FROM traces WHERE tenant_id = ?3 ORDER BY id LIMIT ?2)"

static enum db_rc tenant_prune(struct db *db, const char *tenant_id, const char *before, int64_t max, int64_t *count)
{
    SQL(spans, "DELETE FROM spans WHERE trace_id IN"
               " (SELECT id FROM traces WHERE tenant_id = ?3 AND id IN " OLDEST " AND start_time < ?1)");
    SQL(traces, "DELETE FROM traces WHERE tenant_id = ?3 AND id IN " OLDEST " AND start_time < ?1");
    enum db_rc rc = db_exec(db, &spans, "tit", before, max, tenant_id);
    if (rc == DB_OK)
        rc = db_exec(db, &traces, "tit", before, max, tenant_id);
    *count += rc == DB_OK ? db_changes(db) : 0;
    return rc;
}

enum db_rc traces_prune(struct db *db, const char *before, int64_t max, int64_t *count)
{
    SQL(tenants, "SELECT id FROM tenants");
    enum db_rc rc = DB_OK, more;
    *count = 0;
    struct db_stmt *s = db_query(db, &tenants, "");
    while ((more = db_next(s)) == DB_ROW && rc == DB_OK && *count < max)
        rc = tenant_prune(db, db_peek(s, 0, NULL), before, max - *count, count);
    db_reset(s);
    return rc != DB_OK ? rc : more == DB_ROW ? DB_OK : more;
}

/* Runs: the traces seen as runs --------------------------------------------- */

#define RUN_COLUMNS "id, agent_id, agent_key, session_key, user_id, status, start_time, end_time, error, tenant_id"

static void run_read(struct db_stmt *s, struct arena *a, struct run_row *out)
{
    *out = (struct run_row){
        .id = db_text(s, 0, a),
        .agent_id = db_text(s, 1, a),
        .agent_key = db_text(s, 2, a),
        .session_key = db_text(s, 3, a),
        .user_id = db_text(s, 4, a),
        .status = db_text(s, 5, a),
        .started_at = db_text(s, 6, a),
        .ended_at = db_text(s, 7, a),
        .error = db_text(s, 8, a),
        .tenant_id = db_text(s, 9, a),
    };
}

enum db_rc run_find(struct db *db, struct arena *a, const char *tenant_id, const char *run_id, struct run_row *out)
{
    SQL(find, "SELECT " RUN_COLUMNS " FROM traces WHERE tenant_id = ?1 AND id = ?2");
    struct db_stmt *s = db_query(db, &find, "tt", tenant_id, run_id);
    enum db_rc rc = db_next(s);
    if (rc == DB_ROW)
        run_read(s, a, out);
    db_reset(s);
    return rc;
}

/* One statement for each index. Runs that did not complete are few and have one of their own; the others are found
 * by looking at all. A page by key begins after the run named in `before`. */
#define OF_TENANT " FROM traces WHERE tenant_id = ?1"
#define OF_USER OF_TENANT " AND user_id = ?2"
#define UNFINISHED " FROM traces INDEXED BY traces_unfinished WHERE status <> 'completed' AND status = ?3" \
    " AND tenant_id = ?1 AND (?2 IS NULL OR user_id = ?2)"
#define WITH_STATUS " AND (?3 IS NULL OR status = ?3)"
#define PAGE " AND id < ?4 ORDER BY id DESC LIMIT ?5 OFFSET ?6"
#define COUNTED(where) "SELECT COUNT(*) FROM (SELECT 1" where " LIMIT 10001)"

enum run_index { BY_TENANT, BY_USER, BY_STATUS, RUN_INDEXES };

static struct db_stmt *run_count(struct db *db, enum run_index index, const char *tenant_id, const char *user,
                                 const char *status)
{
    static struct sql all[RUN_INDEXES] = {
        [BY_TENANT] = {.text = COUNTED(OF_TENANT)},
        [BY_USER] = {.text = COUNTED(OF_USER)},
    };
    static struct sql with_status[RUN_INDEXES] = {
        [BY_TENANT] = {.text = COUNTED(OF_TENANT WITH_STATUS)},
        [BY_USER] = {.text = COUNTED(OF_USER WITH_STATUS)},
        [BY_STATUS] = {.text = COUNTED(UNFINISHED)},
    };
    if (status)
        return db_query(db, &with_status[index], "ttt", tenant_id, user, status);
    return db_query(db, &all[index], user ? "tt" : "t", tenant_id, user);
}

/* Is there such a run? */
static enum db_rc run_exists(struct db *db, const char *tenant_id, const char *id)
{
    SQL(find, "SELECT 1 FROM traces WHERE tenant_id = ?1 AND id = ?2");
    struct db_stmt *s = db_query(db, &find, "tt", tenant_id, id);
    enum db_rc rc = db_next(s);
    db_reset(s);
    return rc;
}

enum db_rc run_list(struct db *db, struct arena *a, const char *tenant_id, const char *user, const char *status,
                    const char *before, int64_t limit, int64_t offset, struct run_row **out, size_t *count,
                    int64_t *total, bool *total_capped)
{
    static struct sql pages[RUN_INDEXES] = {
        [BY_TENANT] = {.text = "SELECT " RUN_COLUMNS OF_TENANT WITH_STATUS PAGE},
        [BY_USER] = {.text = "SELECT " RUN_COLUMNS OF_USER WITH_STATUS PAGE},
        [BY_STATUS] = {.text = "SELECT " RUN_COLUMNS UNFINISHED PAGE},
    };
    *out = NULL;
    *count = 0;
    enum run_index index = user ? BY_USER : BY_TENANT;
    if (status && strcmp(status, "completed") != 0)
        index = BY_STATUS;
    enum db_rc rc = total_read(run_count(db, index, tenant_id, user, status), total, total_capped);
    if (rc != DB_OK)
        return rc;
    rc = before ? run_exists(db, tenant_id, before) : DB_ROW;
    if (rc != DB_ROW)
        return rc;
    struct db_stmt *s =
        db_query(db, &pages[index], "ttttii", tenant_id, user, status, before ? before : "~", limit, offset);
    while ((rc = db_next(s)) == DB_ROW)
        run_read(s, a, rows_add(a, out, count, sizeof **out));
    return rc;
}

/* Runs over HTTP, and /ready (contract 00-decisions): what is running, what ran, and the button that stops it. */
#include "chat/chat.h"
#include "base/clock.h"
#include "store/cancels.h"
#include "store/runs.h"
#include "web/query.h"

enum { CANCEL_WAIT_MS = 3000, LOOK_EVERY_MS = 100, BACKLOG_MAX = 20000 };

static void write_run(struct request *req, const struct run_row *row)
{
    struct jsonw *w = &req->w;
    char phase[32];
    engine_phase_of(chat_of(req)->engine, req->who.tenant_id, row->id, phase, sizeof phase);
    jw_kstr(w, "id", row->id);
    jw_kopt(w, "agent_id", row->agent_id);
    jw_kopt(w, "agent_key", row->agent_key);
    jw_kopt(w, "session_key", row->session_key);
    jw_kopt(w, "user_id", row->user_id);
    jw_kstr(w, "status", row->status);
    jw_kstr(w, "phase", *phase ? phase : strcmp(row->status, "running") == 0 ? "running" : "ended");
    jw_kstr(w, "started_at", row->started_at);
    jw_kstr(w, "ended_at", row->ended_at);
    jw_kopt(w, "error", row->error);
}

static void write_runs(struct request *req, const char *name, const struct run_row *rows, size_t n)
{
    jw_karr(&req->w, name);
    for (size_t i = 0; i < n; i++) {
        jw_obj(&req->w);
        write_run(req, &rows[i]);
        jw_obj_end(&req->w);
    }
    jw_arr_end(&req->w);
}

/* Below admin only one's own runs. */
static const char *owner_filter(const struct request *req)
{
    return req->who.role >= ROLE_ADMIN ? NULL : req->who.user;
}

reply runs_list(struct request *req)
{
    int64_t limit = req_query_int(req, "limit", 50, 1, 200), offset = req_query_int(req, "offset", 0, 0, INT64_MAX);
    struct run_row *rows = NULL;
    size_t n = 0;
    int64_t total = 0;
    bool capped = false;
    struct db *db = req_db(req);
    enum db_rc rc = run_list(db, req->arena, req->who.tenant_id, owner_filter(req), req_query(req, "status"),
                             req_query(req, "before"), limit, offset, &rows, &n, &total, &capped);
    req_db_done(req, db);
    if (rc != DB_OK)
        return reply_db(req, rc);
    jw_obj(&req->w);
    write_runs(req, "runs", rows, n);
    if (req->gw->config->list_payload_alias)
        write_runs(req, "payload", rows, n);
    query_page_end(req, total, capped, limit, offset);
    jw_obj_end(&req->w);
    return reply_json(req, 200);
}

static enum db_rc nothing_job(struct db *db, void *arg)
{
    (void)db;
    (void)arg;
    return DB_OK;
}

static enum db_rc look_up(struct request *req, const char *id, struct run_row *row)
{
    struct db *db = req_db(req);
    enum db_rc rc = run_find(db, req->arena, req->who.tenant_id, id, row);
    req_db_done(req, db);
    return rc;
}

/* A client may ask for its run as soon as a stream has told the id. The row is written without the run waiting for it;
 * what the writer was given before is committed before what it is given now. */
static enum db_rc look_up_young(struct request *req, const char *id, struct run_row *row)
{
    char phase[32];
    engine_phase_of(chat_of(req)->engine, req->who.tenant_id, id, phase, sizeof phase);
    if (!*phase || !req->gw->writer)
        return DB_OK;
    enum db_rc rc = writer_run(req->gw->writer, NULL, nothing_job, NULL);
    return rc == DB_OK ? look_up(req, id, row) : rc;
}

/* A run of the tenant the caller may see; another user's is as good as absent. */
static bool find(struct request *req, struct run_row *row, reply *done)
{
    char id[UUID_SIZE];
    if (!uuid_parse(req->params[0], id)) {
        *done = reply_error(req, FAULT_INVALID, MSG_invalid_id, "id", "run", NULL);
        return false;
    }
    enum db_rc rc = look_up(req, id, row);
    if (rc == DB_OK)
        rc = look_up_young(req, id, row);
    const char *owner = owner_filter(req);
    bool visible = rc == DB_ROW && (!owner || (row->user_id && strcmp(owner, row->user_id) == 0));
    if (visible)
        return true;
    *done = rc == DB_ROW || rc == DB_OK ? reply_error(req, FAULT_NOT_FOUND, MSG_not_found, "id", "run", id)
                                        : reply_db(req, rc);
    return false;
}

static reply answer(struct request *req, const struct run_row *row, bool ok)
{
    jw_obj(&req->w);
    write_run(req, row);
    if (ok)
        jw_kbool(&req->w, "ok", true);
    jw_obj_end(&req->w);
    return reply_json(req, 200);
}

reply runs_get(struct request *req)
{
    struct run_row row;
    reply done;
    return find(req, &row, &done) ? answer(req, &row, false) : done;
}

static enum db_rc mark_job(struct db *db, void *arg)
{
    const struct run_row *row = arg;
    return cancel_mark_run(db, row->tenant_id, row->id);
}

static bool running(const struct run_row *row)
{
    return strcmp(row->status, "running") == 0;
}

/* The run of another process: a mark that its owner sees within a second, and a look at its row until it has ended.
 * false: answered. */
static bool cancel_elsewhere(struct request *req, struct run_row *row, reply *done)
{
    struct db *db = req->gw->writer ? NULL : req_db(req);
    enum db_rc rc = writer_run(req->gw->writer, db, mark_job, row);
    req_db_done(req, db);
    if (rc != DB_OK) {
        *done = reply_db(req, rc);
        return false;
    }
    for (int64_t until = clock_mono_ms() + CANCEL_WAIT_MS; running(row) && clock_mono_ms() < until;) {
        nanosleep(&(struct timespec){.tv_nsec = LOOK_EVERY_MS * 1000000L}, NULL);
        if (!find(req, row, done))
            return false;
    }
    return true;
}

reply runs_cancel(struct request *req)
{
    struct run_row row;
    reply done;
    if (!find(req, &row, &done))
        return done;
    if (!running(&row))
        return answer(req, &row, true);
    struct engine *e = chat_of(req)->engine;
    bool here = engine_cancel(e, req->who.tenant_id, row.id, CANCEL_WAIT_MS) == ENGINE_CANCEL_FIRED;
    if (here ? !find(req, &row, &done) : !cancel_elsewhere(req, &row, &done))
        return done;
    return answer(req, &row, true);
}

reply ready(struct request *req)
{
    struct chat *c = chat_of(req);
    struct db *db = req_db(req);
    bool database = db && db_writable(db);
    req_db_done(req, db);
    bool writer = !req->gw->writer || writer_backlog(req->gw->writer) < BACKLOG_MAX;
    bool open = !engine_draining(c->engine);
    if (database && writer && open) {
        jw_obj(&req->w);
        jw_kstr(&req->w, "status", "ready");
        jw_obj_end(&req->w);
        return reply_json(req, 200);
    }
    struct fault f = {0};
    fault_set(&f, FAULT_UNAVAILABLE, open ? MSG_unavailable : MSG_shutting_down, NULL, NULL, NULL);
    f.details = arena_printf(req->arena, "{\"missing\":[%s%s%s]}", database ? "" : "\"database\"",
                             !database && (!writer || !open) ? "," : "",
                             !open     ? "\"accepting_runs\""
                             : !writer ? "\"writer\""
                                       : "");
    return reply_fault(req, &f);
}

/* sessions: what was said (contract 03 §6.3, §6.4). Runs write sessions; this program shows and edits them. */
#include "sessions/session.h"
#include "store/agents.h"
#include "web/query.h"
#include "web/service.h"

#define N(a) (sizeof(a) / sizeof *(a))

enum { LIST_LIMIT = 20, LIST_MAX = 200, PAGE_LIMIT = 200, PAGE_MAX = 1000, PREVIEW_MESSAGES = 50 };

static void write_items(struct jsonw *w, const char *name, const struct session *rows, size_t n)
{
    jw_karr(w, name);
    for (size_t i = 0; i < n; i++) {
        jw_obj(w);
        session_write(w, &rows[i]);
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

/* The agent filter: key or uuid. false: answered, or nothing can match. */
static bool agent_filter(struct request *req, struct db *db, struct session_filter *f, bool *nothing, struct fault *fault)
{
    const char *ref = req_query(req, "agent_id");
    if (!ref)
        ref = req_query(req, "agentId");
    if (!ref)
        return true;
    if (!uuid_parse(ref, NULL) && !slug_valid(ref))
        return fault_set(fault, FAULT_INVALID, MSG_invalid_id, "agent_id", "agent", NULL);
    struct agent agent;
    *nothing = agent_find(db, req->arena, req->who.tenant_id, ref, &agent) != DB_ROW;
    f->agent_id = *nothing ? NULL : agent.id;
    return true;
}

static reply sessions_list(struct request *req)
{
    struct session_filter f = {
        .tenant_id = req->who.tenant_id,
        .user_id = req->who.role >= ROLE_ADMIN ? req_query(req, "user_id") : req->who.user,
        .channel = req_query(req, "channel"),
        .before = req_query(req, "before"),
        .limit = req_query_int(req, "limit", LIST_LIMIT, 1, LIST_MAX),
        .offset = req_query_int(req, "offset", 0, 0, INT64_MAX),
    };
    struct session *rows = NULL;
    size_t n = 0;
    int64_t total = 0;
    bool capped = false, nothing = false;
    struct fault fault = {0};
    struct db *db = req_db(req);
    bool ok = agent_filter(req, db, &f, &nothing, &fault);
    enum db_rc rc = ok && !nothing ? session_list(db, req->arena, &f, &rows, &n, &total, &capped) : DB_OK;
    req_db_done(req, db);
    if (!ok)
        return reply_fault(req, &fault);
    if (rc != DB_OK)
        return reply_db(req, rc);
    jw_obj(&req->w);
    write_items(&req->w, "sessions", rows, n);
    if (req->gw->config->list_payload_alias)
        write_items(&req->w, "payload", rows, n);
    query_page_end(req, total, capped, f.limit, f.offset);
    jw_obj_end(&req->w);
    return reply_json(req, 200);
}

static void write_message(struct jsonw *w, const struct message *m)
{
    jw_obj(w);
    jw_kstr(w, "id", m->id);
    jw_kstr(w, "role", m->role);
    jw_kstr(w, "content", m->content);
    jw_kopt(w, "thinking", m->thinking);
    if (m->media_refs)
        jw_kraw(w, "media_refs", m->media_refs);
    if (m->tool_calls)
        jw_kraw(w, "tool_calls", m->tool_calls);
    jw_kopt(w, "tool_call_id", m->tool_call_id);
    if (m->is_error)
        jw_kbool(w, "is_error", true);
    jw_kstr(w, "created_at", m->created_at);
    jw_obj_end(w);
}

/* The number of the message that `before` names; an unknown one gives an empty page. */
static enum db_rc before_seq(struct request *req, struct db *db, const struct session *s, int64_t *seq)
{
    const char *id = req_query(req, "before");
    *seq = 0;
    if (!id)
        return DB_OK;
    enum db_rc rc = session_message_seq(db, s->id, id, seq);
    if (rc == DB_OK)
        *seq = 1;
    return rc == DB_ROW ? DB_OK : rc;
}

static reply messages_reply(struct request *req, int64_t limit, bool full)
{
    struct session s;
    struct fault f = {0};
    struct message *rows = NULL;
    size_t n = 0;
    int64_t before = 0;
    enum db_rc rc = DB_OK;
    struct db *db = req_db(req);
    bool found = session_open(req, db, &s, &f);
    if (found)
        rc = before_seq(req, db, &s, &before);
    if (found && rc == DB_OK)
        rc = session_messages(db, req->arena, s.id, 0, before, limit, &rows, &n);
    req_db_done(req, db);
    if (!found)
        return reply_fault(req, &f);
    if (rc != DB_OK)
        return reply_db(req, rc);
    if (full)
        reply_header(req, "ETag", session_etag(req->arena, &s));
    jw_obj(&req->w);
    if (full)
        session_write(&req->w, &s);
    else
        jw_kstr(&req->w, "key", s.key);
    jw_karr(&req->w, "messages");
    for (size_t i = 0; i < n; i++)
        write_message(&req->w, &rows[i]);
    jw_arr_end(&req->w);
    jw_kstr(&req->w, "summary", s.summary ? s.summary : "");
    jw_obj_end(&req->w);
    return reply_json(req, 200);
}

static reply sessions_get(struct request *req)
{
    return messages_reply(req, req_query_int(req, "limit", PAGE_LIMIT, 1, PAGE_MAX), true);
}

static reply sessions_preview(struct request *req)
{
    return messages_reply(req, PREVIEW_MESSAGES, false);
}

static const struct route routes[] = {
    {METHOD_GET, "/v1/sessions", ROLE_VIEWER, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, sessions_list, "Sessions",
     "List sessions, the last used first", 0},
    {METHOD_GET, "/v1/sessions/{key}", ROLE_VIEWER, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, sessions_get, "Sessions",
     "Get a session with its newest messages", 0},
    {METHOD_GET, "/v1/sessions/{key}/preview", ROLE_VIEWER, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, sessions_preview,
     "Sessions", "Get the newest messages of a session", 0},
    {METHOD_POST, "/v1/sessions/{key}/preview", ROLE_VIEWER, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, sessions_preview,
     "Sessions", "Get the newest messages of a session", ROUTE_ALIAS},
    {METHOD_PATCH, "/v1/sessions/{key}", ROLE_OPERATOR, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, session_patch, "Sessions",
     "Change label, model or metadata of a session", ROUTE_LATE_BODY},
    {METHOD_POST, "/v1/sessions/{key}/reset", ROLE_OPERATOR, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, session_reset_post,
     "Sessions", "Empty a session; its runs are cancelled", ROUTE_LATE_BODY},
    {METHOD_DELETE, "/v1/sessions/{key}", ROLE_OPERATOR, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, session_remove, "Sessions",
     "Delete a session with its messages; its runs are cancelled", ROUTE_NO_BODY},
};

int main(int argc, char **argv)
{
    static const struct program program = {"sessions", routes, N(routes), PROGRAM_PREFORK, NULL, NULL, NULL, NULL, NULL};
    return service_main(&program, argc, argv);
}

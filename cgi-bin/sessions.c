/* sessions: what was said (contract 03 §6.3, §6.4). Runs write sessions; this program shows and edits them. */
#include "store/sessions.h"

#include "store/agents.h"
#include "web/query.h"
#include "web/service.h"

#define N(a) (sizeof(a) / sizeof *(a))

enum { LIST_LIMIT = 20, LIST_MAX = 200, PAGE_LIMIT = 200, PAGE_MAX = 1000, PREVIEW_MESSAGES = 50, BASE_TOKENS = 12000 };

static void write_item(struct jsonw *w, const struct session *s)
{
    jw_kstr(w, "key", s->key);
    jw_kstr(w, "session_key", s->key);
    jw_kint(w, "messageCount", s->message_count);
    jw_kstr(w, "created", s->created_at);
    jw_kstr(w, "updated", s->updated_at);
    jw_kopt(w, "label", s->label);
    jw_kopt(w, "channel", s->channel);
    jw_kopt(w, "userID", s->user_id);
    jw_kopt(w, "user_id", s->user_id);
    if (s->metadata && strcmp(s->metadata, "{}") != 0)
        jw_kraw(w, "metadata", s->metadata);
    jw_kopt(w, "model", s->model);
    jw_kopt(w, "provider", s->provider);
    if (s->input_tokens) {
        jw_kint(w, "inputTokens", s->input_tokens);
        jw_kint(w, "input_tokens", s->input_tokens);
    }
    if (s->output_tokens) {
        jw_kint(w, "outputTokens", s->output_tokens);
        jw_kint(w, "output_tokens", s->output_tokens);
    }
    jw_kopt(w, "agentName", s->agent_name);
    jw_kopt(w, "agent_id", s->agent_key);
    jw_kint(w, "estimatedTokens", s->message_bytes / 4 + BASE_TOKENS);
    if (s->context_window)
        jw_kint(w, "contextWindow", s->context_window);
    if (s->compaction_count)
        jw_kint(w, "compactionCount", s->compaction_count);
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
    jw_karr(&req->w, "sessions");
    for (size_t i = 0; i < n; i++) {
        jw_obj(&req->w);
        write_item(&req->w, &rows[i]);
        jw_obj_end(&req->w);
    }
    jw_arr_end(&req->w);
    query_page_end(req, total, capped, f.limit, f.offset);
    jw_obj_end(&req->w);
    return reply_json(req, 200);
}

/* Existence first, then ownership: missing is 404, somebody else's 403 (03 §6.5). */
static bool find(struct request *req, struct db *db, struct session *s, struct fault *f)
{
    const char *key = req->params[0];
    enum db_rc rc = session_find(db, req->arena, req->who.tenant_id, key, s);
    if (rc == DB_OK)
        return fault_set(f, FAULT_NOT_FOUND, MSG_not_found, "key", "session", key);
    if (rc != DB_ROW)
        return fault_set(f, FAULT_UNAVAILABLE, MSG_unavailable, NULL, NULL, NULL);
    bool own = s->user_id && req->who.user && strcmp(s->user_id, req->who.user) == 0;
    if (req->who.role < ROLE_ADMIN && !own)
        return fault_set(f, FAULT_FORBIDDEN, MSG_no_access, NULL, "session", NULL);
    return true;
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

/* Contract 01 §12.14: changes with whatever a run or an edit changes. */
static void etag(struct request *req, const struct session *s)
{
    char hex[SHA256_HEX_SIZE];
    const char *text = arena_printf(req->arena, "%s\n%s\n%lld\n%lld\n%s\n%s\n%s\n%s", s->id, s->updated_at,
                                    (long long)s->message_count, (long long)s->output_tokens, s->label, s->model,
                                    s->metadata, s->summary);
    sha256_hex(text, strlen(text), hex);
    reply_header(req, "ETag", arena_printf(req->arena, "\"%.32s\"", hex));
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
    bool found = find(req, db, &s, &f);
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
        etag(req, &s);
    jw_obj(&req->w);
    if (full)
        write_item(&req->w, &s);
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
};

int main(int argc, char **argv)
{
    static const struct program program = {"sessions", routes, N(routes), PROGRAM_PREFORK, NULL, NULL, NULL, NULL, NULL};
    return service_main(&program, argc, argv);
}

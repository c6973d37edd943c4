/* Which session a completion goes on in (contract 03 §1.6). */
#include "base/utf8.h"
#include "chat/completion.h"
#include "store/sessions.h"
#include "web/reply.h"

enum { SESSION_NAME_MAX = 200, SESSION_KEY_MAX = 500 };

/* The key stands in a response header and in the log: no control characters, the two-byte ones included. */
static bool is_text(const char *s)
{
    size_t step;
    for (size_t n = strlen(s); n; s += step, n -= step) {
        uint32_t cp = 0;
        step = utf8_decode(s, n, &cp);
        if (step == 0 || cp < 0x20 || (cp >= 0x7F && cp < 0xA0))
            return false;
    }
    return true;
}

/* The session that was asked for by name. */
static bool named(struct request *req, const struct completion *c, const char *agent_key, struct run_input *in,
                  struct fault *f)
{
    const char *s = c->session, *wrong = NULL;
    const char *prefix = arena_printf(req->arena, "agent:%s:", agent_key);
    bool full = strncmp(s, "agent:", 6) == 0;
    if (!is_text(s))
        wrong = "valid text without control characters";
    else if (strlen(s) > (full ? SESSION_KEY_MAX : SESSION_NAME_MAX))
        wrong = full ? "at most 500 bytes" : "at most 200 bytes";
    else if (full && strncmp(s, prefix, strlen(prefix)) != 0)
        wrong = "a session of the agent that is called";
    if (wrong)
        return fault_set(f, FAULT_INVALID, MSG_must_be, c->session_param, c->session_param, wrong);
    in->session_key = full ? s : arena_printf(req->arena, "%shttp:direct:%s", prefix, s);
    return true;
}

/* Results of tool calls belong to the session that made the calls; a session that was named must be that one. */
static bool of_tool_call(struct request *req, const char *call_id, struct run_input *in, struct fault *f)
{
    const char *key = NULL;
    struct db *db = req_db(req);
    enum db_rc rc = session_by_tool_call(db, req->arena, req->who.tenant_id, call_id, &key);
    req_db_done(req, db);
    if (rc != DB_ROW && rc != DB_OK) {
        fault_db(req, rc, f);
        return false;
    }
    if (rc == DB_OK || (in->session_key && strcmp(in->session_key, key) != 0))
        return fault_set(f, FAULT_INVALID, MSG_unknown_tool_call, "messages", call_id, NULL);
    in->session_key = key;
    return true;
}

bool session_choose(struct request *req, const struct completion *c, const struct agent *agent, struct run_input *in,
                    struct fault *f)
{
    in->session_prefix = arena_printf(req->arena, "agent:%s:http-%s-", agent->agent_key, in->user);
    if (c->session && !named(req, c, agent->agent_key, in, f))
        return false;
    return !c->tool_result_count || of_tool_call(req, c->tool_results[0].tool_call_id, in, f);
}

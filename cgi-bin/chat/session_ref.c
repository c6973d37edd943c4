/* Which session a completion goes on in (contract 03 §1.6). */
#include "base/percent.h"
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

/* Header values are ASCII for most clients, so a name stands there percent-encoded, as it would in a path; what is
 * sent as it is, is taken as it is. NULL: malformed. */
static const char *header_decode(struct arena *a, const char *s)
{
    size_t n = strlen(s);
    char *text = arena_strndup(a, s, n);
    return percent_decode(text, n, false, &n) && strlen(text) == n ? text : NULL;
}

const char *session_key_encode(struct arena *a, const char *key)
{
    struct buf *out = buf_new(a, 16 * SESSION_KEY_MAX);
    for (size_t n; *key; key += n) {
        n = strcspn(key, "/");
        percent_encode_path(out, arena_strndup(a, key, n));
        for (; key[n] == '/'; n++)
            buf_adds(out, "%2F");
    }
    return buf_str(out);
}

/* The session that was asked for by name. */
static bool named(struct request *req, const struct completion *c, const char *agent_key, struct run_input *in,
                  struct fault *f)
{
    const char *s = c->session, *wrong = NULL;
    const char *prefix = arena_printf(req->arena, "agent:%s:", agent_key);
    if (strncmp(c->session_param, "X-", 2) == 0)
        s = header_decode(req->arena, s);
    bool full = s && strncmp(s, "agent:", 6) == 0;
    if (!s)
        wrong = "percent-encoded text";
    else if (!is_text(s))
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

static bool unknown_call(struct fault *f, const char *call_id)
{
    return fault_set(f, FAULT_INVALID, MSG_unknown_tool_call, "messages", call_id, NULL);
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
        return unknown_call(f, call_id);
    in->session_key = key;
    return true;
}

/* Each result answers a call of its own. */
static bool named_once(const struct completion *c, struct fault *f)
{
    for (size_t i = 1; i < c->tool_result_count; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(c->tool_results[i].tool_call_id, c->tool_results[k].tool_call_id) == 0)
                return unknown_call(f, c->tool_results[i].tool_call_id);
    return true;
}

bool session_choose(struct request *req, const struct completion *c, const struct agent *agent, struct run_input *in,
                    struct fault *f)
{
    in->session_prefix = arena_printf(req->arena, "agent:%s:http-%s-", agent->agent_key, in->user);
    if (c->session && !named(req, c, agent->agent_key, in, f))
        return false;
    for (size_t i = 0; i < c->tool_result_count; i++)
        if (!of_tool_call(req, c->tool_results[i].tool_call_id, in, f))
            return false;
    return named_once(c, f);
}

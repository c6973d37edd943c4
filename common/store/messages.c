/* The transcript of a session: appended to, read in pages. */
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "store/internal.h"
#include "store/sessions.h"

static int64_t text_bytes(const char *s)
{
    return s ? (int64_t)strlen(s) : 0;
}

static int64_t message_bytes(const struct message *m, size_t n)
{
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += text_bytes(m[i].content) + text_bytes(m[i].thinking) + text_bytes(m[i].tool_calls);
    return sum;
}

struct appended {
    char id[UUID_SIZE];
    int64_t message_count; /* with the new ones */
};

#define INSERT_SESSION                                                                                               \
    "INSERT INTO sessions (id, tenant_id, key, agent_id, user_id, channel, model, provider, label, input_tokens,"    \
    " output_tokens, last_prompt_tokens, context_window, message_count, message_bytes, last_message_count,"          \
    " created_at, updated_at)"                                                                                       \
    " VALUES (?1, ?2, ?3, ?4, COALESCE(?5, ''), COALESCE(?6, ''), COALESCE(?7, ''), COALESCE(?8, ''),"               \
    " COALESCE(?9, ''), ?10, ?11, MAX(?12, 0), ?13, ?14, ?15, CASE WHEN ?12 < 0 THEN 0 ELSE ?14 END, ?16, ?16)"

/* One statement makes or finds the session, adds the counters and reserves the message numbers; inside the transaction
 * the second sees exactly that (RETURNING would cost a temporary table a run), and a session that was just made needs
 * none. A session of another user is not touched. */
static enum db_rc session_upsert(struct db *db, struct session_write *w, const struct message *messages, size_t n,
                                 struct appended *out)
{
    SQL(make, INSERT_SESSION " ON CONFLICT DO NOTHING");
    SQL(upsert,
        INSERT_SESSION " ON CONFLICT (tenant_id, key) DO UPDATE SET"
        " channel = COALESCE(?6, channel), model = COALESCE(?7, model), provider = COALESCE(?8, provider),"
        " label = CASE WHEN label = '' THEN excluded.label ELSE label END,"
        " input_tokens = input_tokens + ?10, output_tokens = output_tokens + ?11,"
        " last_prompt_tokens = CASE WHEN ?12 < 0 THEN last_prompt_tokens ELSE ?12 END,"
        " context_window = CASE WHEN ?13 > 0 THEN ?13 ELSE context_window END,"
        " message_count = message_count + ?14, message_bytes = message_bytes + ?15,"
        " last_message_count = CASE WHEN ?12 < 0 THEN last_message_count ELSE message_count + ?14 END,"
        " updated_at = MAX(updated_at, ?16)"
        " WHERE (?5 IS NULL OR user_id = ?5) AND (?17 IS NULL OR id = ?17)");
    SQL(place, "SELECT id, message_count FROM sessions WHERE tenant_id = ?1 AND key = ?2");
    /* How it is tried: a new session under its key, under the spare one, and one that may exist. */
    struct {
        struct sql *sql;
        const char *key, *types;
        bool wanted;
    } const tries[] = {
        {&make, w->key, "tttttttttiiiiiit", w->is_new},
        {&make, w->spare_key, "tttttttttiiiiiit", w->is_new && w->spare_key},
        {&upsert, w->key, "tttttttttiiiiiitt", !w->is_new || !w->spare_key},
    };
    char now[TIME_TEXT_SIZE];
    uuid_new(out->id);
    out->message_count = (int64_t)n;
    time_format(clock_ms(), now);
    w->spared = false;
    enum db_rc rc = DB_OK;
    int64_t rows = 0;
    for (size_t i = 0; rc == DB_OK && rows == 0 && i < sizeof tries / sizeof *tries; i++) {
        if (!tries[i].wanted)
            continue;
        rc = db_exec(db, tries[i].sql, tries[i].types, out->id, w->tenant_id, tries[i].key, w->agent_id, w->user_id,
                     w->channel, w->model, w->provider, w->label, w->add_input_tokens, w->add_output_tokens,
                     w->last_prompt_tokens, w->context_window, (int64_t)n, message_bytes(messages, n), now, w->began);
        rows = rc == DB_OK ? db_changes(db) : 0;
        w->spared = i == 1;
        if (tries[i].sql == &make && rows == 1)
            return DB_OK;
    }
    if (rc != DB_OK)
        return rc;
    if (rows == 0)
        return DB_CONSTRAINT;
    struct db_stmt *s = db_query(db, &place, "tt", w->tenant_id, w->key);
    rc = db_next(s);
    if (rc != DB_ROW)
        return rc == DB_OK ? DB_ERROR : rc;
    memcpy(out->id, db_peek(s, 0, NULL), UUID_SIZE);
    out->message_count = db_int(s, 1);
    db_reset(s);
    return DB_OK;
}

static bool agent_missing(struct db *db, const char *agent_id)
{
    SQL(find, "SELECT 1 FROM agents WHERE id = ?1");
    struct db_stmt *s = db_query(db, &find, "t", agent_id);
    enum db_rc rc = db_next(s);
    db_reset(s);
    return rc == DB_OK;
}

static const char *key_used(const struct session_write *w)
{
    return w->spared ? w->spare_key : w->key;
}

static enum db_rc tool_calls_index(struct db *db, const struct session_write *w, const struct message *m)
{
    SQL(index, "INSERT INTO tool_call_index (tenant_id, tool_call_id, called_at, session_key)"
               " SELECT ?1, value ->> '$.id', ?2, ?3 FROM json_each(CASE WHEN json_valid(?4) THEN ?4 ELSE '[]' END)"
               " WHERE type = 'object' AND json_type(value, '$.id') = 'text' ON CONFLICT DO NOTHING");
    return db_exec(db, &index, "tttt", w->tenant_id, m->created_at, key_used(w), m->tool_calls);
}

static enum db_rc message_insert(struct db *db, const struct session_write *w, const char *session_id, int64_t seq,
                                 const struct message *m)
{
    SQL(insert, "INSERT INTO messages (session_id, seq, tenant_id, id, role, is_error, created_at, tool_call_id,"
                " content, thinking, tool_calls, media_refs)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, COALESCE(?9, ''), ?10, ?11, ?12)");
    enum db_rc rc = db_exec(db, &insert, "titttbtttttt", session_id, seq, w->tenant_id, m->id, m->role, (int)m->is_error,
                            m->created_at, m->tool_call_id, m->content, m->thinking, m->tool_calls, m->media_refs);
    if (rc == DB_OK && m->tool_calls)
        rc = tool_calls_index(db, w, m);
    return rc;
}

/* The session the run began in was reset meanwhile: it has another id. */
static bool session_replaced(struct db *db, const struct session_write *w)
{
    SQL(find, "SELECT 1 FROM sessions WHERE tenant_id = ?1 AND key = ?2 AND id <> ?3");
    struct db_stmt *s = db_query(db, &find, "ttt", w->tenant_id, w->key, w->began);
    enum db_rc rc = db_next(s);
    db_reset(s);
    return rc == DB_ROW;
}

static enum db_rc session_undo(struct db *db, const char *tenant_id, const char *key)
{
    SQL(undo, "DELETE FROM sessions WHERE tenant_id = ?1 AND key = ?2");
    return db_exec(db, &undo, "tt", tenant_id, key);
}

enum db_rc session_append(struct db *db, struct session_write *w, const struct message *messages, size_t n)
{
    struct appended at;
    *w->id = '\0';
    enum db_rc rc = session_upsert(db, w, messages, n, &at);
    /* The agent was deleted while the run went on and its sessions with it, or the session was reset: late writes are
     * dropped. A session that was deleted has just come back under another id. */
    if (rc == DB_CONSTRAINT && (agent_missing(db, w->agent_id) || session_replaced(db, w)))
        return DB_OK;
    if (rc == DB_OK && w->began && strcmp(w->began, at.id) != 0)
        return session_undo(db, w->tenant_id, w->key);
    memcpy(w->id, at.id, sizeof w->id);
    int64_t seq = at.message_count - (int64_t)n;
    for (size_t i = 0; i < n && rc == DB_OK; i++)
        rc = message_insert(db, w, at.id, ++seq, &messages[i]);
    return rc;
}

static void message_row(struct db_stmt *s, struct arena *a, struct message *out)
{
    *out = (struct message){
        .seq = db_int(s, 0),
        .id = db_text(s, 1, a),
        .role = db_text(s, 2, a),
        .is_error = db_int(s, 3) != 0,
        .created_at = db_text(s, 4, a),
        .tool_call_id = db_text(s, 5, a),
        .content = db_text(s, 6, a),
        .thinking = db_text(s, 7, a),
        .tool_calls = db_text(s, 8, a),
        .media_refs = db_text(s, 9, a),
    };
}

static void messages_turn(struct message *m, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        struct message other = m[i];
        m[i] = m[n - 1 - i];
        m[n - 1 - i] = other;
    }
}

enum db_rc session_messages(struct db *db, struct arena *a, const char *session_id, int64_t from, int64_t before,
                            int64_t limit, struct message **out, size_t *count)
{
    SQL(newest, "SELECT seq, id, role, is_error, created_at, tool_call_id, content, thinking, tool_calls, media_refs"
                " FROM messages WHERE session_id = ?1 AND seq >= ?2 AND seq < ?3 ORDER BY seq DESC LIMIT ?4");
    *out = NULL;
    *count = 0;
    struct db_stmt *s = db_query(db, &newest, "tiii", session_id, from, before > 0 ? before : INT64_MAX,
                                 limit > 0 ? limit : INT64_C(-1));
    enum db_rc rc;
    while ((rc = db_next(s)) == DB_ROW)
        message_row(s, a, rows_add(a, out, count, sizeof **out));
    messages_turn(*out, *count);
    return rc;
}

enum db_rc session_message_seq(struct db *db, const char *session_id, const char *message_id, int64_t *seq)
{
    SQL(find, "SELECT seq FROM messages WHERE session_id = ?1 AND id = ?2 ORDER BY seq DESC LIMIT 1");
    struct db_stmt *s = db_query(db, &find, "tt", session_id, message_id);
    enum db_rc rc = db_next(s);
    if (rc == DB_ROW)
        *seq = db_int(s, 0);
    db_reset(s);
    return rc;
}

enum db_rc session_by_tool_call(struct db *db, struct arena *a, const char *tenant_id, const char *tool_call_id,
                                const char **key)
{
    SQL(find, "SELECT i.session_key FROM tool_call_index i WHERE i.tenant_id = ?1 AND i.tool_call_id = ?2"
              " AND NOT EXISTS (SELECT 1 FROM tool_call_index o WHERE o.tenant_id = i.tenant_id"
              " AND o.session_key = i.session_key AND o.called_at > i.called_at)"
              " ORDER BY i.called_at DESC, i.session_key DESC LIMIT 1");
    struct db_stmt *s = db_query(db, &find, "tt", tenant_id, tool_call_id);
    enum db_rc rc = db_next(s);
    if (rc == DB_ROW)
        *key = db_text(s, 0, a);
    db_reset(s);
    return rc;
}

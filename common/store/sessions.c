#include "store/sessions.h"

#include <string.h>

#include "base/id.h"
#include "store/cancels.h"
#include "store/internal.h"

#define SESSION_COLUMNS                                                                                              \
    "s.id, s.tenant_id, s.key, s.agent_id, s.user_id, a.agent_key, a.display_name, s.channel, s.label, s.model,"     \
    " s.provider, s.summary, s.metadata, s.input_tokens, s.output_tokens, s.compaction_count, s.last_prompt_tokens," \
    " s.message_count, s.message_bytes, s.context_window, s.context_start, s.created_at, s.updated_at"
#define SESSION_FROM " FROM sessions s LEFT JOIN agents a ON a.id = s.agent_id"

static void session_row(struct db_stmt *s, struct arena *a, struct session *out)
{
    *out = (struct session){
        .id = db_text(s, 0, a),
        .tenant_id = db_text(s, 1, a),
        .key = db_text(s, 2, a),
        .agent_id = db_text(s, 3, a),
        .user_id = db_text(s, 4, a),
        .agent_key = db_text(s, 5, a),
        .agent_name = db_text(s, 6, a),
        .channel = db_text(s, 7, a),
        .label = db_text(s, 8, a),
        .model = db_text(s, 9, a),
        .provider = db_text(s, 10, a),
        .summary = db_text(s, 11, a),
        .metadata = db_text(s, 12, a),
        .input_tokens = db_int(s, 13),
        .output_tokens = db_int(s, 14),
        .compaction_count = db_int(s, 15),
        .last_prompt_tokens = db_int(s, 16),
        .message_count = db_int(s, 17),
        .message_bytes = db_int(s, 18),
        .context_window = db_int(s, 19),
        .context_start = db_int(s, 20),
        .created_at = db_text(s, 21, a),
        .updated_at = db_text(s, 22, a),
    };
}

enum db_rc session_taken(struct db *db, const char *tenant_id, const char *key)
{
    SQL(find, "SELECT 1 FROM sessions WHERE tenant_id = ?1 AND key = ?2");
    struct db_stmt *s = db_query(db, &find, "tt", tenant_id, key);
    enum db_rc rc = db_next(s);
    db_reset(s);
    return rc;
}

enum db_rc session_find(struct db *db, struct arena *a, const char *tenant_id, const char *key, struct session *out)
{
    SQL(find, "SELECT " SESSION_COLUMNS SESSION_FROM " WHERE s.tenant_id = ?1 AND s.key = ?2");
    struct db_stmt *s = db_query(db, &find, "tt", tenant_id, key);
    enum db_rc rc = db_next(s);
    if (rc != DB_ROW)
        return rc;
    session_row(s, a, out);
    db_reset(s);
    return DB_ROW;
}

/* Lists --------------------------------------------------------------------
 * One statement for each index, so that a page is read in order from it; agent and channel are looked at row by
 * row. A page by key begins after (updated_at, key) of the session named in `before`. */

#define OF_TENANT " WHERE s.tenant_id = ?1"
#define OF_USER OF_TENANT " AND s.user_id = ?2"
#define FILTERED                                \
    " AND (?3 IS NULL OR s.agent_id = ?3)"      \
    " AND (?4 IS NULL OR s.channel = ?4 OR s.key_channel = ?4)"
#define PAGE                                                               \
    " AND s.updated_at <= ?5 AND (s.updated_at < ?5 OR s.key > ?6)"        \
    " ORDER BY s.updated_at DESC, s.key LIMIT ?7 OFFSET ?8"
#define COUNTED(where) "SELECT COUNT(*) FROM (SELECT 1 FROM sessions s" where " LIMIT 10001)"

static enum db_rc list_total(struct db *db, const struct session_filter *f, int64_t *total, bool *capped)
{
    SQL(of_tenant, COUNTED(OF_TENANT));
    SQL(of_user, COUNTED(OF_USER));
    SQL(filtered, COUNTED(OF_TENANT FILTERED));
    SQL(filtered_user, COUNTED(OF_USER FILTERED));
    struct db_stmt *s;
    if (f->agent_id || f->channel)
        s = db_query(db, f->user_id ? &filtered_user : &filtered, "tttt", f->tenant_id, f->user_id, f->agent_id,
                     f->channel);
    else if (f->user_id)
        s = db_query(db, &of_user, "tt", f->tenant_id, f->user_id);
    else
        s = db_query(db, &of_tenant, "t", f->tenant_id);
    return total_read(s, total, capped);
}

/* Where the page begins; DB_OK when there is no such session. */
static enum db_rc list_start(struct db *db, struct arena *a, const struct session_filter *f, const char **updated,
                             const char **key)
{
    SQL(place, "SELECT updated_at, key FROM sessions WHERE tenant_id = ?2 AND key = ?1");
    *updated = "~"; /* after every time */
    *key = "";
    if (!f->before)
        return DB_ROW;
    struct db_stmt *s = db_query(db, &place, "tt", f->before, f->tenant_id);
    enum db_rc rc = db_next(s);
    if (rc != DB_ROW)
        return rc;
    *updated = db_text(s, 0, a);
    *key = db_text(s, 1, a);
    db_reset(s);
    return DB_ROW;
}

enum db_rc session_list(struct db *db, struct arena *a, const struct session_filter *f, struct session **out,
                        size_t *count, int64_t *total, bool *total_capped)
{
    SQL(of_tenant, "SELECT " SESSION_COLUMNS SESSION_FROM OF_TENANT FILTERED PAGE);
    SQL(of_user, "SELECT " SESSION_COLUMNS SESSION_FROM OF_USER FILTERED PAGE);
    *out = NULL;
    *count = 0;
    enum db_rc rc = list_total(db, f, total, total_capped);
    if (rc != DB_OK)
        return rc;
    const char *updated, *key;
    rc = list_start(db, a, f, &updated, &key);
    if (rc != DB_ROW)
        return rc;
    struct db_stmt *s = db_query(db, f->user_id ? &of_user : &of_tenant, "ttttttii", f->tenant_id, f->user_id,
                                 f->agent_id, f->channel, updated, key, f->limit, f->offset);
    while ((rc = db_next(s)) == DB_ROW)
        session_row(s, a, rows_add(a, out, count, sizeof **out));
    return rc;
}

/* Changes ------------------------------------------------------------------ */

enum db_rc session_update(struct db *db, const char *tenant_id, const char *key, const char *label, const char *model,
                          const char *metadata, const char *now)
{
    SQL(update, "UPDATE sessions SET label = ?3, model = ?4, metadata = ?5, updated_at = ?6"
                " WHERE tenant_id = ?1 AND key = ?2");
    return db_exec(db, &update, "tttttt", tenant_id, key, label, model, metadata, now);
}

enum db_rc session_sum_up(struct db *db, const char *tenant_id, const char *key, const char *id, int64_t from,
                          int64_t to, const char *summary)
{
    SQL(sum_up, "UPDATE sessions SET summary = ?6, context_start = ?5, compaction_count = compaction_count + 1"
                " WHERE tenant_id = ?1 AND key = ?2 AND id = ?3 AND context_start = ?4");
    enum db_rc rc = db_exec(db, &sum_up, "tttiit", tenant_id, key, id, from, to, summary);
    return rc == DB_OK && db_changes(db) > 0 ? DB_ROW : rc;
}

enum db_rc session_spend(struct db *db, const char *tenant_id, const char *key, int64_t input_tokens,
                         int64_t output_tokens)
{
    SQL(spend, "UPDATE sessions SET input_tokens = input_tokens + ?3, output_tokens = output_tokens + ?4"
               " WHERE tenant_id = ?1 AND key = ?2");
    return db_exec(db, &spend, "ttii", tenant_id, key, input_tokens, output_tokens);
}

enum db_rc session_reset(struct db *db, const char *tenant_id, const char *key, const char *now)
{
    SQL(calls, "DELETE FROM tool_call_index WHERE tenant_id = ?1 AND session_key = ?2");
    SQL(rows, "DELETE FROM messages WHERE session_id = (SELECT id FROM sessions WHERE tenant_id = ?1 AND key = ?2)");
    SQL(counters, "UPDATE sessions SET id = ?4, summary = '', message_count = 0, message_bytes = 0, context_start = 1,"
                  " last_prompt_tokens = 0, last_message_count = 0, updated_at = ?3 WHERE tenant_id = ?1 AND key = ?2");
    char id[UUID_SIZE];
    uuid_new(id);
    enum db_rc rc = cancel_mark_session(db, tenant_id, key);
    if (rc == DB_OK)
        rc = db_exec(db, &calls, "tt", tenant_id, key);
    if (rc == DB_OK)
        rc = db_exec(db, &rows, "tt", tenant_id, key);
    return rc == DB_OK ? db_exec(db, &counters, "tttt", tenant_id, key, now, id) : rc;
}

enum db_rc session_delete(struct db *db, const char *tenant_id, const char *key)
{
    SQL(gone, "DELETE FROM sessions WHERE tenant_id = ?1 AND key = ?2");
    enum db_rc rc = cancel_mark_session(db, tenant_id, key);
    return rc == DB_OK ? db_exec(db, &gone, "tt", tenant_id, key) : rc;
}

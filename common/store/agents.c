#include "store/agents.h"

#include "base/clock.h"
#include "base/id.h"

#define AGENT_COLUMNS                                                                                   \
    "id, tenant_id, agent_key, display_name, owner_id, provider, model, agent_type, status, workspace," \
    " context_window, max_tool_iterations, is_default, COALESCE(budget_monthly_cents, 0), other_config," \
    " tools_config, created_at, compaction_config"

static enum db_rc agent_row(struct db_stmt *s, struct arena *a, struct agent *out)
{
    enum db_rc rc = db_next(s);
    if (rc != DB_ROW)
        return rc;
    *out = (struct agent){
        .id = db_text(s, 0, a),
        .tenant_id = db_text(s, 1, a),
        .agent_key = db_text(s, 2, a),
        .display_name = db_text(s, 3, a),
        .owner_id = db_text(s, 4, a),
        .provider = db_text(s, 5, a),
        .model = db_text(s, 6, a),
        .agent_type = db_text(s, 7, a),
        .status = db_text(s, 8, a),
        .workspace = db_text(s, 9, a),
        .context_window = db_int(s, 10),
        .max_tool_iterations = db_int(s, 11),
        .is_default = db_int(s, 12) != 0,
        .budget_monthly_cents = db_int(s, 13),
        .other_config = db_text(s, 14, a),
        .tools_config = db_text(s, 15, a),
        .created_at = db_text(s, 16, a),
        .compaction_config = db_text(s, 17, a),
    };
    db_reset(s);
    return DB_ROW;
}

enum db_rc agent_find(struct db *db, struct arena *a, const char *tenant_id, const char *ref, struct agent *out)
{
    SQL(by_id, "SELECT " AGENT_COLUMNS " FROM agents WHERE tenant_id = ?1 AND id = ?2 AND deleted_at IS NULL");
    SQL(by_key, "SELECT " AGENT_COLUMNS " FROM agents WHERE tenant_id = ?1 AND agent_key = ?2 AND deleted_at IS NULL");
    char id[UUID_SIZE];
    if (uuid_parse(ref, id))
        return agent_row(db_query(db, &by_id, "tt", tenant_id, id), a, out);
    return agent_row(db_query(db, &by_key, "tt", tenant_id, ref), a, out);
}

enum db_rc agent_default(struct db *db, struct arena *a, const char *tenant_id, struct agent *out)
{
    SQL(flagged, "SELECT " AGENT_COLUMNS " FROM agents WHERE tenant_id = ?1 AND is_default = 1 AND deleted_at IS NULL"
                 " ORDER BY created_at, id LIMIT 1");
    enum db_rc rc = agent_find(db, a, tenant_id, "default", out);
    if (rc != DB_OK)
        return rc;
    return agent_row(db_query(db, &flagged, "t", tenant_id), a, out);
}

enum db_rc agent_accessible(struct db *db, const struct agent *agent, const char *user)
{
    SQL(usable, "SELECT 1 FROM agents WHERE id = ?1 AND tenant_id = ?2 AND deleted_at IS NULL"
                " AND (is_default = 1 OR owner_id = ?3"
                " OR EXISTS (SELECT 1 FROM agent_shares WHERE agent_id = ?1 AND user_id = ?3))");
    struct db_stmt *s = db_query(db, &usable, "ttt", agent->id, agent->tenant_id, user);
    enum db_rc rc = db_next(s);
    db_reset(s);
    return rc;
}

enum db_rc agent_each_active(struct db *db, struct arena *a, const char *tenant_id, const char *user,
                             void (*each)(void *ctx, const char *agent_key, const char *created_at), void *ctx)
{
    SQL(active, "SELECT agent_key, created_at FROM agents"
                " WHERE tenant_id = ?1 AND status = 'active' AND deleted_at IS NULL"
                " AND (?2 IS NULL OR is_default = 1 OR owner_id = ?2"
                " OR EXISTS (SELECT 1 FROM agent_shares x WHERE x.agent_id = agents.id AND x.user_id = ?2))"
                " ORDER BY agent_key");
    struct db_stmt *s = db_query(db, &active, "tt", tenant_id, user);
    enum db_rc rc;
    while ((rc = db_next(s)) == DB_ROW) {
        const char *key = db_text(s, 0, a);
        each(ctx, key, db_text(s, 1, a));
    }
    return rc;
}

static const char *text_or(const char *s, const char *otherwise)
{
    return s ? s : otherwise;
}

enum db_rc agent_create(struct db *db, struct arena *a, const struct agent *in, const char **id)
{
    SQL(insert, "INSERT INTO agents (id, tenant_id, agent_key, display_name, owner_id, provider, model, agent_type,"
                " status, workspace, context_window, max_tool_iterations, is_default, budget_monthly_cents,"
                " other_config, tools_config, created_at, updated_at)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?17)");
    char now[TIME_TEXT_SIZE];
    time_format(clock_ms(), now);
    char *fresh = arena_alloc(a, UUID_SIZE);
    uuid_new(fresh);
    *id = fresh;
    const int64_t *budget = in->budget_monthly_cents > 0 ? &in->budget_monthly_cents : NULL;
    enum db_rc rc = db_exec(
        db, &insert, "ttttttttttiibnttt", fresh, in->tenant_id, in->agent_key, text_or(in->display_name, ""),
        in->owner_id, text_or(in->provider, ""), text_or(in->model, ""), text_or(in->agent_type, "open"),
        text_or(in->status, "active"), text_or(in->workspace, ""),
        in->context_window > 0 ? in->context_window : INT64_C(200000),
        in->max_tool_iterations > 0 ? in->max_tool_iterations : INT64_C(30), (int)in->is_default, budget,
        text_or(in->other_config, "{}"), text_or(in->tools_config, "{}"), now);
    return rc == DB_OK && in->is_default ? agent_only_default(db, in->tenant_id, fresh) : rc;
}

enum db_rc agent_only_default(struct db *db, const char *tenant_id, const char *id)
{
    SQL(only_default, "UPDATE agents SET is_default = 0, updated_at = MAX(updated_at, ?3)"
                      " WHERE tenant_id = ?1 AND is_default = 1 AND id <> ?2");
    char now[TIME_TEXT_SIZE];
    time_format(clock_ms(), now);
    return db_exec(db, &only_default, "ttt", tenant_id, id, now);
}

enum db_rc agent_share_put(struct db *db, const struct agent_share *in)
{
    SQL(put, "INSERT INTO agent_shares (id, tenant_id, agent_id, user_id, role, granted_by, created_at, updated_at)"
             " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7) ON CONFLICT (agent_id, user_id) DO UPDATE"
             " SET role = excluded.role, granted_by = excluded.granted_by, updated_at = excluded.updated_at");
    char id[UUID_SIZE], now[TIME_TEXT_SIZE];
    uuid_new(id);
    time_format(clock_ms(), now);
    return db_exec(db, &put, "ttttttt", id, in->tenant_id, in->agent_id, in->user_id, in->role, in->granted_by, now);
}

enum db_rc agent_share_drop(struct db *db, const char *tenant_id, const char *agent_id, const char *user)
{
    SQL(drop, "DELETE FROM agent_shares WHERE tenant_id = ?1 AND agent_id = ?2 AND user_id = ?3");
    enum db_rc rc = db_exec(db, &drop, "ttt", tenant_id, agent_id, user);
    return rc == DB_OK && db_changes(db) > 0 ? DB_ROW : rc;
}

enum db_rc context_files_each(struct db *db, struct arena *a, const struct agent *agent, const char *user,
                              void (*each)(void *ctx, const char *name, const char *content), void *ctx)
{
    /* open: the user's files, or else the agent's. predefined: the agent's, with the user's USER.md and BOOTSTRAP.md. */
    SQL(files, "WITH mine AS (SELECT file_name, content FROM user_context_files"
               " WHERE agent_id = ?1 AND user_id = ?3 AND tenant_id = ?2 AND content <> ''"
               " AND (?4 = 'open' OR file_name IN ('USER.md', 'BOOTSTRAP.md'))),"
               " picked AS (SELECT file_name, content FROM mine UNION ALL"
               " SELECT file_name, content FROM agent_context_files"
               " WHERE agent_id = ?1 AND tenant_id = ?2 AND content <> ''"
               " AND CASE WHEN ?4 = 'open' THEN NOT EXISTS (SELECT 1 FROM mine)"
               " ELSE file_name NOT IN (SELECT file_name FROM mine) END)"
               " SELECT file_name, content FROM picked WHERE file_name <> 'HEARTBEAT.md'"
               " ORDER BY CASE file_name WHEN 'SOUL.md' THEN 1 WHEN 'IDENTITY.md' THEN 2 WHEN 'AGENTS.md' THEN 3"
               " WHEN 'TOOLS.md' THEN 4 WHEN 'CAPABILITIES.md' THEN 5 WHEN 'USER_PREDEFINED.md' THEN 6"
               " WHEN 'USER.md' THEN 7 WHEN 'BOOTSTRAP.md' THEN 8 ELSE 9 END, file_name");
    struct db_stmt *s = db_query(db, &files, "tttt", agent->id, agent->tenant_id, user, agent->agent_type);
    enum db_rc rc;
    while ((rc = db_next(s)) == DB_ROW) {
        const char *name = db_text(s, 0, a);
        each(ctx, name, db_text(s, 1, a));
    }
    return rc;
}

enum db_rc agent_spent_cents(struct db *db, const char *tenant_id, const char *agent_id, const char *month_start,
                             int64_t *cents)
{
    SQL(spent, "SELECT cost FROM agent_monthly_cost"
               " WHERE tenant_id = ?1 AND agent_id = ?2 AND month = substr(?3, 1, 7)");
    *cents = 0;
    struct db_stmt *s = db_query(db, &spent, "ttt", tenant_id, agent_id, month_start);
    enum db_rc rc = db_next(s);
    if (rc != DB_ROW)
        return rc;
    *cents = (int64_t)(db_num(s, 0) * 100.0 + 1e-6);
    db_reset(s);
    return DB_OK;
}

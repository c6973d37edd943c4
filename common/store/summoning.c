#include "store/summoning.h"

#include "base/clock.h"

enum db_rc summoning_enter(struct db *db, struct arena *a, const char *tenant_id, const char *agent_id,
                           const char **before)
{
    SQL(find, "SELECT status FROM agents WHERE tenant_id = ?1 AND id = ?2 AND status <> 'summoning'");
    SQL(enter, "UPDATE agents SET status = 'summoning', summon_error = NULL, updated_at = MAX(updated_at, ?3)"
               " WHERE tenant_id = ?1 AND id = ?2");
    char now[TIME_TEXT_SIZE];
    struct db_stmt *s = db_query(db, &find, "tt", tenant_id, agent_id);
    enum db_rc rc = db_next(s);
    if (rc != DB_ROW)
        return rc;
    *before = db_text(s, 0, a);
    db_reset(s);
    time_format(clock_ms(), now);
    rc = db_exec(db, &enter, "ttt", tenant_id, agent_id, now);
    return rc == DB_OK ? DB_ROW : rc;
}

enum db_rc summoning_leave(struct db *db, const char *tenant_id, const char *agent_id, const struct summoning_end *end)
{
    SQL(leave, "UPDATE agents SET status = CASE WHEN status = 'summoning' THEN ?3 ELSE status END, summon_error = ?4,"
               " frontmatter = CASE WHEN ?5 IS NOT NULL THEN ?5"
               " WHEN frontmatter = '' THEN COALESCE(?6, '') ELSE frontmatter END,"
               " display_name = CASE WHEN display_name = '' THEN COALESCE(?7, '') ELSE display_name END,"
               " updated_at = MAX(updated_at, ?8) WHERE tenant_id = ?1 AND id = ?2");
    char now[TIME_TEXT_SIZE];
    time_format(clock_ms(), now);
    return db_exec(db, &leave, "tttttttt", tenant_id, agent_id, end->status, end->error, end->frontmatter,
                   end->frontmatter_if_empty, end->display_name_if_empty, now);
}

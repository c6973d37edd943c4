#include "store/cancels.h"

#define MARK(from)                                        \
    "INSERT INTO run_cancels (worker, tenant_id, run_id)" \
    " SELECT worker, tenant_id, id FROM traces " from " ON CONFLICT DO NOTHING"

enum db_rc cancel_mark_run(struct db *db, const char *tenant_id, const char *run_id)
{
    SQL(mark, MARK("WHERE tenant_id = ?1 AND id = ?2 AND status = 'running'"));
    return db_exec(db, &mark, "tt", tenant_id, run_id);
}

enum db_rc cancel_mark_session(struct db *db, const char *tenant_id, const char *session_key)
{
    /* Those that are running are fewer than those of a session. */
    SQL(mark, MARK("INDEXED BY traces_unfinished WHERE status <> 'completed' AND status = 'running'"
                   " AND tenant_id = ?1 AND session_key = ?2"));
    return db_exec(db, &mark, "tt", tenant_id, session_key);
}

enum db_rc cancel_mark_orphan(struct db *db, const char *tenant_id, const char *run_id, const char *session_key,
                              const char *session_id)
{
    SQL(mark, MARK("WHERE tenant_id = ?1 AND id = ?2 AND status = 'running' AND NOT EXISTS"
                   " (SELECT 1 FROM sessions WHERE tenant_id = ?1 AND key = ?3 AND id = ?4)"));
    return db_exec(db, &mark, "tttt", tenant_id, run_id, session_key, session_id);
}

enum db_rc cancel_marks_each(struct db *db, int64_t worker,
                             void (*each)(void *ctx, const char *tenant_id, const char *run_id), void *ctx)
{
    SQL(marks, "SELECT tenant_id, run_id FROM run_cancels WHERE worker = ?1");
    struct db_stmt *s = db_query(db, &marks, "i", worker);
    enum db_rc rc;
    while ((rc = db_next(s)) == DB_ROW)
        each(ctx, db_peek(s, 0, NULL), db_peek(s, 1, NULL));
    return rc;
}

enum db_rc cancel_marks_prune(struct db *db, int64_t *count)
{
    SQL(prune, "DELETE FROM run_cancels WHERE NOT EXISTS (SELECT 1 FROM traces t WHERE t.tenant_id ="
               " run_cancels.tenant_id AND t.id = run_cancels.run_id AND t.status = 'running')");
    enum db_rc rc = db_exec(db, &prune, "");
    *count = rc == DB_OK ? db_changes(db) : 0;
    return rc;
}

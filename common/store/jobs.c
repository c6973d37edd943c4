#include "store/jobs.h"

#include "base/clock.h"

/* The claim of ?1, the ?2nd one. */
#define HELD " WHERE id = ?1 AND attempts = ?2 AND status = 'running'"

static const char *now_text(char out[TIME_TEXT_SIZE])
{
    time_format(clock_ms(), out);
    return out;
}

static enum db_rc changed(struct db *db, enum db_rc rc)
{
    return rc == DB_OK && db_changes(db) > 0 ? DB_ROW : rc;
}

enum db_rc jobs_forget(struct db *db, const char *tenant_id, const char *kind, const char *entity_id)
{
    SQL(forget, "DELETE FROM jobs WHERE tenant_id = ?1 AND kind = ?2 AND entity_id = ?3");
    return db_exec(db, &forget, "ttt", tenant_id, kind, entity_id);
}

enum db_rc job_add(struct db *db, const char *tenant_id, const char *kind, const char *entity_id, const char *payload)
{
    SQL(add, "INSERT INTO jobs (id, tenant_id, kind, entity_id, payload, run_at, created_at, updated_at)"
             " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?6)");
    char id[UUID_SIZE], now[TIME_TEXT_SIZE];
    uuid_new(id);
    enum db_rc rc = jobs_forget(db, tenant_id, kind, entity_id);
    return rc == DB_OK ? db_exec(db, &add, "tttttt", id, tenant_id, kind, entity_id, payload, now_text(now)) : rc;
}

enum db_rc job_want(struct db *db, const char *tenant_id, const char *kind, const char *entity_id,
                    const char *payload)
{
    SQL(want, "INSERT INTO jobs (id, tenant_id, kind, entity_id, payload, run_at, created_at, updated_at)"
              " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?6, ?6 WHERE NOT EXISTS (SELECT 1 FROM jobs"
              " WHERE tenant_id = ?2 AND kind = ?3 AND entity_id = ?4 AND status IN ('queued', 'running'))");
    char id[UUID_SIZE], now[TIME_TEXT_SIZE];
    uuid_new(id);
    return db_exec(db, &want, "tttttt", id, tenant_id, kind, entity_id, payload, now_text(now));
}

enum db_rc jobs_due(struct db *db, struct arena *a, const char *kind, const char *now, int64_t limit,
                    void (*each)(void *ctx, const struct job *j), void *ctx)
{
    SQL(due, "SELECT id, tenant_id, kind, entity_id, payload, attempts, status = 'running', leased_by, leased_until"
             " FROM jobs WHERE status IN ('queued', 'running') AND run_at <= ?2 AND kind = ?1 ORDER BY run_at LIMIT ?3");
    struct db_stmt *s = db_query(db, &due, "tti", kind, now, limit);
    enum db_rc rc;
    while ((rc = db_next(s)) == DB_ROW) {
        struct job j = {
            .id = db_text(s, 0, a),
            .tenant_id = db_text(s, 1, a),
            .kind = db_text(s, 2, a),
            .entity_id = db_text(s, 3, a),
            .payload = db_text(s, 4, a),
            .attempts = db_int(s, 5),
            .running = db_int(s, 6) != 0,
            .worker = db_int(s, 7),
            .leased_until = db_text(s, 8, a),
        };
        each(ctx, &j);
    }
    return rc;
}

enum db_rc job_claim(struct db *db, const struct job *j, int64_t worker, const char *leased_until)
{
    SQL(claim, "UPDATE jobs SET status = 'running', attempts = attempts + 1, leased_by = ?3, leased_until = ?4,"
               " updated_at = ?5 WHERE id = ?1 AND attempts = ?2 AND status IN ('queued', 'running')");
    char now[TIME_TEXT_SIZE], by[24];
    snprintf(by, sizeof by, "%lld", (long long)worker);
    return changed(db, db_exec(db, &claim, "tittt", j->id, j->attempts, by, leased_until, now_text(now)));
}

enum db_rc job_held(struct db *db, const struct job *j)
{
    SQL(held, "SELECT 1 FROM jobs" HELD);
    struct db_stmt *s = db_query(db, &held, "ti", j->id, j->attempts);
    enum db_rc rc = db_next(s);
    db_reset(s);
    return rc;
}

enum db_rc job_end(struct db *db, const struct job *j, const char *error)
{
    SQL(end, "UPDATE jobs SET status = CASE WHEN ?3 IS NULL THEN 'done' ELSE 'failed' END, last_error = ?3,"
             " leased_by = NULL, leased_until = NULL, updated_at = ?4" HELD);
    char now[TIME_TEXT_SIZE];
    return changed(db, db_exec(db, &end, "titt", j->id, j->attempts, error, now_text(now)));
}

enum db_rc job_drop(struct db *db, const struct job *j)
{
    SQL(drop, "DELETE FROM jobs" HELD);
    return changed(db, db_exec(db, &drop, "ti", j->id, j->attempts));
}

enum db_rc job_return(struct db *db, const struct job *j)
{
    SQL(put_back, "UPDATE jobs SET status = 'queued', attempts = attempts - 1, leased_by = NULL, leased_until = NULL,"
                  " updated_at = ?3" HELD);
    char now[TIME_TEXT_SIZE];
    return db_exec(db, &put_back, "tit", j->id, j->attempts, now_text(now));
}

#include "store/changes.h"

#include "base/clock.h"
#include "base/id.h"

enum db_rc activity_add(struct db *db, const struct activity *a)
{
    SQL(add, "INSERT INTO activity_logs (id, tenant_id, actor_type, actor_id, action, entity_type, entity_id, details,"
             " ip_address, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
    char id[UUID_SIZE], now[TIME_TEXT_SIZE];
    uuid_new(id);
    time_format(clock_ms(), now);
    return db_exec(db, &add, "tttttttttt", id, a->tenant_id, a->actor_type, a->actor_id, a->action, a->entity_type,
                   a->entity_id, a->details, a->ip_address, now);
}

enum db_rc generation_raise(struct db *db, const char *kind)
{
    SQL(raise_it, "INSERT INTO generations (kind, n) VALUES (?1, 1) ON CONFLICT (kind) DO UPDATE SET n = n + 1");
    return db_exec(db, &raise_it, "t", kind);
}

enum db_rc generation_read(struct db *db, const char *kind, int64_t *n)
{
    SQL(read_it, "SELECT n FROM generations WHERE kind = ?1");
    struct db_stmt *s = db_query(db, &read_it, "t", kind);
    enum db_rc rc = db_next(s);
    *n = rc == DB_ROW ? db_int(s, 0) : 0;
    db_reset(s);
    return rc == DB_ROW ? DB_OK : rc;
}

#include "store/activity.h"

/* Times are text that begins with a digit: '' is before and '~' after all of them. */
#define TOTALS(more)                                                                                                \
    "SELECT CASE ?1 WHEN 'action' THEN action WHEN 'actor_type' THEN actor_type"                                    \
    " WHEN 'entity_type' THEN COALESCE(entity_type, '') ELSE actor_id END AS bucket,"                               \
    " COUNT(*) AS n, SUM(COUNT(*)) OVER () FROM activity_logs"                                                      \
    " WHERE tenant_id = ?2 AND created_at >= COALESCE(?3, '') AND created_at < COALESCE(?4, '~')" more              \
    " GROUP BY bucket ORDER BY n DESC, bucket LIMIT ?5"

enum db_rc activity_total(struct db *db, const struct activity_totals *q,
                          void (*each)(void *ctx, const char *key, int64_t count), void *ctx, int64_t *total)
{
    SQL(everybody, TOTALS(""));
    SQL(actor, TOTALS(" AND actor_id = ?6"));
    struct db_stmt *s =
        q->actor_id == NULL
            ? db_query(db, &everybody, "tttti", q->group_by, q->tenant_id, q->from, q->to, q->limit)
            : db_query(db, &actor, "ttttit", q->group_by, q->tenant_id, q->from, q->to, q->limit, q->actor_id);
    enum db_rc rc;
    *total = 0;
    while ((rc = db_next(s)) == DB_ROW) {
        *total = db_int(s, 2);
        each(ctx, db_peek(s, 0, NULL), db_int(s, 1));
    }
    return rc;
}

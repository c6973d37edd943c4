#include "store/activity.h"

#include <string.h>

/* One statement for each member and each way to choose rows, so that an index leads to them: by time within the tenant
 * or the actor, and with everybody's of all time the index of the member itself, which holds all that is counted.
 * Times are text that begins with a digit: '' is before and '~' after all of them. */
#define COUNTED(member, chosen)                                                                         \
    "SELECT " member " AS bucket, COUNT(*) AS n, SUM(COUNT(*)) OVER () FROM activity_logs"              \
    " WHERE tenant_id = ?1" chosen " GROUP BY bucket ORDER BY n DESC, bucket LIMIT ?2"
#define IN_TIME " AND created_at >= COALESCE(?3, '') AND created_at < COALESCE(?4, '~')"
#define BY_ACTOR " AND actor_id = ?5"
#define MEMBER(name, member)                                                     \
    {                                                                            \
        name, {.text = COUNTED(member, "")}, {.text = COUNTED(member, IN_TIME)}, \
        {                                                                        \
            .text = COUNTED(member, IN_TIME BY_ACTOR)                            \
        }                                                                        \
    }

enum db_rc activity_total(struct db *db, const struct activity_totals *q,
                          void (*each)(void *ctx, const char *key, int64_t count), void *ctx, int64_t *total)
{
    static struct {
        const char *name;
        struct sql all, in_time, of_actor;
    } members[] = {
        MEMBER("action", "action"),
        MEMBER("actor_type", "actor_type"),
        MEMBER("entity_type", "COALESCE(entity_type, '')"),
        MEMBER("actor_id", "actor_id"),
    };
    *total = 0;
    size_t i = 0;
    while (strcmp(members[i].name, q->group_by) != 0)
        if (++i == sizeof members / sizeof *members)
            return DB_ERROR;
    struct db_stmt *s;
    if (q->actor_id)
        s = db_query(db, &members[i].of_actor, "tittt", q->tenant_id, q->limit, q->from, q->to, q->actor_id);
    else if (q->from || q->to)
        s = db_query(db, &members[i].in_time, "titt", q->tenant_id, q->limit, q->from, q->to);
    else
        s = db_query(db, &members[i].all, "ti", q->tenant_id, q->limit);
    enum db_rc rc;
    while ((rc = db_next(s)) == DB_ROW) {
        *total = db_int(s, 2);
        each(ctx, db_peek(s, 0, NULL), db_int(s, 1));
    }
    return rc;
}

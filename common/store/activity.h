/* Totals of the audit log (contract 01 §14). Rows are written by store/changes.h. */
#ifndef CLAWGATE_STORE_ACTIVITY_H
#define CLAWGATE_STORE_ACTIVITY_H

#include <stdint.h>

#include "store/db.h"

struct activity_totals {
    const char *tenant_id;
    const char *actor_id; /* NULL = everybody */
    const char *from, *to; /* from <= created_at < to; NULL = open */
    const char *group_by;  /* "action", "actor_type", "entity_type" or "actor_id" */
    int64_t limit;         /* buckets */
};
/* Calls each for every bucket, the largest first, ties by key; rows without the value have the key "". *total is the
 * number of rows in all buckets, those beyond the limit included. */
enum db_rc activity_total(struct db *db, const struct activity_totals *q,
                          void (*each)(void *ctx, const char *key, int64_t count), void *ctx, int64_t *total);

#endif

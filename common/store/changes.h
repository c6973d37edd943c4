/* What accompanies every change: the audit row and the generation counters. Both are called inside the transaction
 * of the change. */
#ifndef CLAWGATE_STORE_CHANGES_H
#define CLAWGATE_STORE_CHANGES_H

#include <stdint.h>

#include "store/db.h"

/* One row of activity_logs (contract 01 §8). NULL members are stored as NULL. */
struct activity {
    const char *tenant_id, *actor_type, *actor_id, *action, *entity_type, *entity_id;
    const char *details; /* JSON object text */
    const char *ip_address;
};
enum db_rc activity_add(struct db *db, const struct activity *a);

/* A counter a kind of cached data (contract 04 §0 "Reload"): whoever caches compares before use. */
enum db_rc generation_raise(struct db *db, const char *kind);
/* 0 when nothing of this kind was ever changed. */
enum db_rc generation_read(struct db *db, const char *kind, int64_t *n);

#endif

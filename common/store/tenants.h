/* Tenants as their administration needs them (contract 01 §13); authentication reads them through store/keys.h. */
#ifndef CLAWGATE_STORE_TENANTS_H
#define CLAWGATE_STORE_TENANTS_H

#include <stdbool.h>

#include "base/arena.h"
#include "store/db.h"

enum { TENANT_SLUG_SIZE = 101 };
/* Lower case, runs of other characters become one dash, ends trimmed, cut to 100. false: nothing is left. */
bool tenant_slug_from(const char *name, char out[TENANT_SLUG_SIZE]);
/* A name a path may use: slug syntax, and not the shape of an id, which would be looked for as one. */
bool tenant_slug_valid(const char *slug);

/* A row with the status active. DB_CONSTRAINT: the slug is taken. */
enum db_rc tenant_create(struct db *db, struct arena *a, const char *name, const char *slug, const char **id);
/* Calls each for every tenant, oldest first; text lives until it returns. */
enum db_rc tenant_each(struct db *db, void (*each)(void *ctx, const char *id, const char *slug, const char *status,
                                                   const char *name),
                       void *ctx);

/* Everything a tenant owns except its own row and what goes with that by foreign key; then every generation counter
 * is raised, because any cache may hold something of it. Inside a transaction. */
enum db_rc tenant_rows_delete(struct db *db, const char *tenant_id);

struct membership {
    const char *id, *created_at;
};
/* Takes a membership out. DB_ROW: it was there, as *out. */
enum db_rc tenant_member_take(struct db *db, struct arena *a, const char *tenant_id, const char *user_id,
                              struct membership *out);
enum db_rc tenant_member_since(struct db *db, const struct membership *m);

enum tenant_dir { TENANT_DIR_MADE, TENANT_DIR_USED, TENANT_DIR_FAILED };
/* Makes <workspace>/tenants/<slug>. USED: a tenant of this name left files there or below data_dir; they must not
 * become another one's. */
enum tenant_dir tenant_dir_make(struct arena *a, const char *workspace, const char *data_dir, const char *slug);

#endif

/* Connections lent to threads: a request holds one only while it talks to SQLite, never while it waits on a network. */
#ifndef CLAWGATE_STORE_POOL_H
#define CLAWGATE_STORE_POOL_H

#include <stddef.h>

struct db;
struct db_pool;

/* Opens the first connection at once (so that a bad database is noticed), the rest on demand. */
struct db_pool *db_pool_new(const char *path, size_t max, char *err, size_t errsize);
void db_pool_free(struct db_pool *p);
/* Waits while all are lent. Never NULL except when a connection cannot be opened. */
struct db *db_pool_take(struct db_pool *p);
void db_pool_give(struct db_pool *p, struct db *db);

#endif

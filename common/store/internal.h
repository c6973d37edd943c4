/* What the files of common/store share among themselves. Nobody else includes this (its tests do). */
#ifndef CLAWGATE_STORE_INTERNAL_H
#define CLAWGATE_STORE_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/db.h"

/* db.c ------------------------------------------------------------------- */
sqlite3 *db_handle(struct db *db);
/* Resets every statement somebody left half read: an open reader would hold up checkpoints. */
void db_reset_all(struct db *db);
enum db_rc db_code(int sqlite_rc);

/* connect.c -------------------------------------------------------------- */
/* An open connection with every guarantee of db.h, schema checked; NULL with a reason in err. */
sqlite3 *connect_open(const char *path, enum db_mode mode, char *err, size_t errsize);
/* A write lock came: whoever waits now may be patient again. */
void connect_lock_came(void);
/* Busy handler; patience points to an int, how many ms until it gives up. */
int connect_busy_wait(void *patience, int tries);
/* Waits for a lock a quarter of a second at most, until told otherwise. */
void connect_hurry(sqlite3 *h, bool hurry);

/* vfs.c ------------------------------------------------------------------ */
/* Once in a process, before the first connection. The name of the VFS; NULL: the default one. */
const char *vfs_register(void);

/* migrate.c -------------------------------------------------------------- */
struct schema {
    const char *create;        /* brings an empty database to the newest version */
    const char *const *steps;  /* steps[i] brings version i + 1 to i + 2 */
    size_t step_count;
};
/* The schema built into this program. */
const struct schema *schema_embedded(void);
int schema_version(const struct schema *s);
/* -1 when it cannot be read (not a database, locked). */
int schema_read_version(sqlite3 *h);
/* Creates or migrates, each step in a transaction of its own; false with a reason in err leaves the last
 * version that was reached whole. */
bool schema_bring_up(sqlite3 *h, const struct schema *s, char *err, size_t errsize);

/* checkpoint.c ----------------------------------------------------------- */
struct checkpointer;
struct checkpointer *checkpointer_start(const char *path, char *err, size_t errsize);
void checkpointer_stop(struct checkpointer *c);
/* Tells it how many pages the log has after a commit; never waits for a checkpoint. */
void checkpointer_note(struct checkpointer *c, int pages);
/* Between two groups: stands aside while the log is being made to start anew. */
void checkpointer_give_way(struct checkpointer *c);
/* Whether this process has one: then other connections leave checkpoints alone. */
bool checkpointer_running(void);

/* A thread that gets no signals: those are for the main thread. */
bool store_thread(pthread_t *t, void *(*fn)(void *), void *arg);

/* Collects rows: *rows is an array in the arena that grows by doubling. Returns the place for the next one, zeroed. */
void *rows_add(struct arena *a, void *rows_pointer, size_t *count, size_t row_size);

/* The count of a statement SELECT COUNT(*) FROM (… LIMIT 10001), closed here. */
enum db_rc total_read(struct db_stmt *s, int64_t *total, bool *capped);

#endif

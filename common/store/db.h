/* SQLite: connections, cached statements, transactions.
 *
 * Guarantees:
 *  1. Every connection: WAL, foreign_keys=ON, synchronous=FULL, own busy handler
 *     (sleeps 0.3 to 0.7 ms, gives up after db_patience), trusted_schema=OFF.
 *  2. SQL is constant text in a `struct sql`; values are bound, never printed in.
 *  3. A statement is prepared once a connection and found by its slot.
 *  4. Writes begin IMMEDIATE.
 * One connection is used by one thread at a time. Only common/store includes
 * sqlite3.h.
 */
#ifndef CLAWGATE_STORE_DB_H
#define CLAWGATE_STORE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;
struct arena;

enum db_rc {
    DB_OK,         /* done, no row (left) */
    DB_ROW,        /* a row is there to be read */
    DB_BUSY,       /* the lock did not come free in time */
    DB_CONSTRAINT, /* UNIQUE, CHECK, NOT NULL or FOREIGN KEY said no */
    DB_FULL,       /* disk full or read-only */
    DB_ERROR,      /* anything else; logged */
};

enum { TOTAL_CAP = 10000 }; /* the totals of lists are exact up to here */

struct sql {
    const char *text;
    int slot; /* 0 until first used, then 1.. process-wide; managed by db.c with atomics */
};
#define SQL(name, text_) static struct sql name = {.text = (text_)}

enum db_mode { DB_READWRITE, DB_CREATE, DB_WRITER };
/* DB_CREATE makes a missing database (0600) from schema.sql and migrates an older one; the others refuse both, and all
 * refuse a newer one. DB_WRITER is for a connection that makes many small commits (vfs.c); what a transaction of it
 * changes stays in memory until then. NULL with a reason in err. */
struct db *db_open(const char *path, enum db_mode mode, char *err, size_t errsize);
void db_close(struct db *db);

/* How long a writer of this process waits for somebody else's transaction; set before threads are there, 5 s without.
 * Once one has waited in vain, the others wait 250 ms, until as long a time has passed without such an end. Readers
 * never wait. */
void db_patience(int ms);
/* For what may as well not be written: waits 250 ms at most, until told otherwise. */
void db_hurry(struct db *db, bool hurry);

/* Starts a statement: resets it and binds. db may be NULL (no connection could be had). Never NULL: what goes wrong is the answer of db_next. Bound text is not
 * copied, it must live until the statement ended or was reset. types has one letter a parameter:
 * t text (const char *, NULL binds NULL), i int64_t, d double, b bool as int,
 * x blob (const void *, size_t), n an int64_t * that binds NULL when the pointer is NULL. */
struct db_stmt;
struct db_stmt *db_query(struct db *db, struct sql *sql, const char *types, ...);
/* The same with values whose number is only known at run time. More values than parameters are fine, fewer not. */
enum db_value_type { DB_NULL, DB_TEXT, DB_INT, DB_NUM };
struct db_value {
    enum db_value_type type;
    const char *text;
    int64_t n;
    double d;
};
struct db_stmt *db_query_values(struct db *db, struct sql *sql, const struct db_value *values, size_t count);
/* DB_ROW, DB_OK at the end, or an error. At the end or on error the statement is reset. */
enum db_rc db_next(struct db_stmt *s);
/* For a statement abandoned before its end. */
void db_reset(struct db_stmt *s);
/* One statement whose rows do not matter. */
enum db_rc db_exec(struct db *db, struct sql *sql, const char *types, ...);

/* Columns of the current row, from 0. Text is copied into the arena; SQL NULL gives NULL. */
const char *db_text(struct db_stmt *s, int col, struct arena *a);
/* Without the copy: valid until the next db_next/db_reset. */
const char *db_peek(struct db_stmt *s, int col, size_t *len);
int64_t db_int(struct db_stmt *s, int col);
double db_num(struct db_stmt *s, int col);
bool db_is_null(struct db_stmt *s, int col);

enum db_rc db_begin(struct db *db); /* BEGIN IMMEDIATE */
/* When it fails the transaction is rolled back. */
enum db_rc db_commit(struct db *db);
void db_rollback(struct db *db);
/* Work put off to the end of the open transaction: flush is called just before the commit, which fails with it; after
 * either end of the transaction forget is called. One at a time; state NULL: none. */
struct db_late {
    enum db_rc (*flush)(struct db *db, void *state);
    void (*forget)(void *state);
    void *state;
};
/* Where it is set; NULL outside a transaction. */
struct db_late *db_late(struct db *db);
int64_t db_changes(struct db *db);
/* SELECT 1, for health checks. */
bool db_ping(struct db *db);
/* true when a BEGIN IMMEDIATE succeeds within 250 ms (and is rolled back). */
bool db_writable(struct db *db);

/* Schema version this build knows. */
int db_schema_version(void);

#endif

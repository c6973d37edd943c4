/* A database of its own for each test, and plain SQL to look at it from outside. */
#ifndef CLAWGATE_TEST_STORE_FIXTURE_H
#define CLAWGATE_TEST_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/log.h"
#include "store/internal.h"

#define TENANT MASTER_TENANT_ID
#define TENANT2 "0193a5b0-7000-7000-8000-000000000002"
#define AGENT "0193a5b0-7000-7000-8000-00000000000a"
#define AGENT2 "0193a5b0-7000-7000-8000-00000000000b"

struct store {
    char home[64], path[80];
    struct db *db;
    struct arena *a;
};

static inline void store_sql(struct db *db, const char *sql)
{
    char *err = NULL;
    if (sqlite3_exec(db_handle(db), sql, NULL, NULL, &err) != SQLITE_OK)
        fail_msg("%s: %s", sql, err);
}

/* First column of the first row as a number; -1 for no row. */
static inline int64_t store_int(struct db *db, const char *sql)
{
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_prepare_v2(db_handle(db), sql, -1, &st, NULL), SQLITE_OK);
    int64_t n = sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : -1;
    sqlite3_finalize(st);
    return n;
}

static inline const char *store_text(struct store *s, const char *sql)
{
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_prepare_v2(db_handle(s->db), sql, -1, &st, NULL), SQLITE_OK);
    const char *t = sqlite3_step(st) == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
    t = arena_strdup(s->a, t);
    sqlite3_finalize(st);
    return t;
}

static inline struct db *store_open(struct store *s)
{
    char err[300] = "";
    struct db *db = db_open(s->path, DB_READWRITE, err, sizeof err);
    if (!db)
        fail_msg("%s", err);
    return db;
}

static inline struct store *store_new(void)
{
    log_init("test", LOG_ERROR + 1); /* failures are provoked here */
    struct store *s = calloc(1, sizeof *s);
    assert_non_null(s);
    snprintf(s->home, sizeof s->home, "/tmp/store-XXXXXX");
    assert_non_null(mkdtemp(s->home));
    snprintf(s->path, sizeof s->path, "%s/db", s->home);
    s->a = arena_new();
    char err[300] = "";
    s->db = db_open(s->path, DB_CREATE, err, sizeof err);
    if (!s->db)
        fail_msg("%s", err);
    return s;
}

/* A second tenant and one agent in each. */
static inline void store_people(struct store *s)
{
    store_sql(s->db, "INSERT INTO tenants (id, name, slug, created_at, updated_at)"
                     " VALUES ('" TENANT2 "', 'Other', 'other', 't', 't');"
                     "INSERT INTO agents (id, tenant_id, agent_key, display_name, owner_id, created_at, updated_at)"
                     " VALUES ('" AGENT "', '" TENANT "', 'default', 'Default', 'alice', 't', 't'),"
                     " ('" AGENT2 "', '" TENANT2 "', 'default', 'Foreign', 'zoe', 't', 't');");
}

static inline void store_free(struct store *s)
{
    db_close(s->db);
    arena_free(s->a);
    static const char *const ends[] = {"", "-wal", "-shm", "-fresh"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char path[100];
        snprintf(path, sizeof path, "%s%s", s->path, ends[i]);
        unlink(path);
    }
    rmdir(s->home);
    free(s);
}

static inline int store_set_up(void **state)
{
    struct store *s = store_new();
    store_people(s);
    *state = s;
    return 0;
}

static inline int store_tear_down(void **state)
{
    store_free(*state);
    return 0;
}

/* Every SELECT on `table` this connection has prepared must follow an index and need no sorting. */
static inline void store_plans_are_straight(struct db *db, const char *table)
{
    char from[60], text[4000];
    snprintf(from, sizeof from, "FROM %s ", table);
    int seen = 0;
    for (sqlite3_stmt *st = sqlite3_next_stmt(db_handle(db), NULL); st; st = sqlite3_next_stmt(db_handle(db), st)) {
        const char *sql = sqlite3_sql(st);
        if (strncmp(sql, "SELECT", 6) != 0 || !strstr(sql, from))
            continue;
        seen++;
        snprintf(text, sizeof text, "EXPLAIN QUERY PLAN %s", sql);
        sqlite3_stmt *plan;
        assert_int_equal(sqlite3_prepare_v2(db_handle(db), text, -1, &plan, NULL), SQLITE_OK);
        while (sqlite3_step(plan) == SQLITE_ROW) {
            const char *step = (const char *)sqlite3_column_text(plan, 3);
            if (strstr(step, "TEMP B-TREE") || (strncmp(step, "SCAN ", 5) == 0 && !strstr(step, "(subquery")))
                fail_msg("%s\nin the plan of %s", step, sql);
        }
        sqlite3_finalize(plan);
    }
    assert_true(seen > 0);
}

#endif

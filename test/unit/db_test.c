#include "store_fixture.h"

#include <errno.h>

#include "base/clock.h"
#include "store/pool.h"

static void test_a_connection_is_set_up(void **state)
{
    struct store *s = *state;
    assert_string_equal(store_text(s, "PRAGMA journal_mode"), "wal");
    assert_int_equal(store_int(s->db, "PRAGMA synchronous"), 2);
    assert_int_equal(store_int(s->db, "PRAGMA foreign_keys"), 1);
    assert_int_equal(store_int(s->db, "PRAGMA trusted_schema"), 0);
    assert_int_equal(store_int(s->db, "PRAGMA mmap_size"), 0);
    assert_int_equal(store_int(s->db, "PRAGMA user_version"), db_schema_version());
    assert_true(db_ping(s->db));
    assert_true(db_writable(s->db));
    struct stat st;
    assert_int_equal(stat(s->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void refused(const char *path, enum db_mode mode, const char *why)
{
    char err[300] = "";
    assert_null(db_open(path, mode, err, sizeof err));
    if (!strstr(err, why))
        fail_msg("'%s' does not say '%s'", err, why);
}

SQL(anything, "SELECT 1");

static void test_without_a_connection_every_statement_fails(void **state)
{
    (void)state;
    assert_int_equal(db_exec(NULL, &anything, ""), DB_ERROR);
    struct db_stmt *s = db_query(NULL, &anything, "");
    assert_int_equal(db_next(s), DB_ERROR);
    db_reset(s);
    assert_false(db_ping(NULL));
}

static void test_what_is_no_database_of_ours_is_refused(void **state)
{
    struct store *s = *state;
    char path[100];
    snprintf(path, sizeof path, "%s/none", s->home);
    refused(path, DB_READWRITE, "unable to open");
    assert_int_equal(access(path, F_OK), -1);

    FILE *f = fopen(path, "w");
    refused(path, DB_READWRITE, "version 0, this program needs");
    for (int i = 0; i < 1000; i++)
        fputs("this is a letter ", f);
    fclose(f);
    refused(path, DB_READWRITE, "not a database");
    refused(path, DB_CREATE, "not a database");
    unlink(path);
    snprintf(path, sizeof path, "%s/no/db", s->home);
    refused(path, DB_CREATE, "unable to open");
}

SQL(make, "CREATE TEMP TABLE v (t, i, d, b, n, x)");
SQL(put, "INSERT INTO v VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
SQL(get, "SELECT t, i, d, b, n, x FROM v ORDER BY rowid");

static void test_every_type_comes_back(void **state)
{
    struct store *s = *state;
    int64_t seven = 7;
    assert_int_equal(db_exec(s->db, &make, ""), DB_OK);
    assert_int_equal(db_exec(s->db, &put, "tidbnx", "h\xc3\xa9", INT64_MIN, 0.5, 5, &seven, "a\0b", (size_t)3), DB_OK);
    assert_int_equal(
        db_exec(s->db, &put, "tidbnx", NULL, INT64_MAX, -1.0, 0, (int64_t *)NULL, NULL, (size_t)0), DB_OK);
    assert_int_equal(db_changes(s->db), 1);

    struct db_stmt *q = db_query(s->db, &get, "");
    assert_int_equal(db_next(q), DB_ROW);
    assert_string_equal(db_text(q, 0, s->a), "h\xc3\xa9");
    assert_true(db_int(q, 1) == INT64_MIN);
    assert_true(db_num(q, 2) == 0.5);
    assert_int_equal(db_int(q, 3), 1);
    assert_int_equal(db_int(q, 4), 7);
    size_t n;
    assert_memory_equal(db_peek(q, 5, &n), "a\0b", 3);
    assert_int_equal(n, 3);

    assert_int_equal(db_next(q), DB_ROW);
    assert_null(db_text(q, 0, s->a));
    assert_true(db_is_null(q, 0));
    assert_true(db_int(q, 1) == INT64_MAX);
    assert_false(db_is_null(q, 1));
    assert_int_equal(db_int(q, 3), 0);
    assert_true(db_is_null(q, 4));
    assert_null(db_peek(q, 5, &n));
    assert_int_equal(n, 0);
    assert_int_equal(db_next(q), DB_OK);
}

static void test_a_wrong_number_of_values_runs_nothing(void **state)
{
    struct store *s = *state;
    SQL(two, "INSERT INTO generations (kind, n) VALUES (?1, ?2)");
    assert_int_equal(db_exec(s->db, &two, "ti", "a", (int64_t)1), DB_OK);
    assert_int_equal(db_exec(s->db, &two, "t", "b"), DB_ERROR);
    assert_int_equal(db_exec(s->db, &two, "tit", "b", (int64_t)1, "c"), DB_ERROR);
    assert_int_equal(db_exec(s->db, &two, "t?", "b", (int64_t)1), DB_ERROR);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM generations"), 1);
    assert_int_equal(db_exec(s->db, &two, "ti", "b", (int64_t)2), DB_OK);
}

static void test_bad_sql_is_an_error_and_never_null(void **state)
{
    struct store *s = *state;
    SQL(bad, "SELECT nothing FROM nowhere");
    SQL(quoted, "SELECT \"a string in the wrong quotes\"");
    struct db_stmt *q = db_query(s->db, &bad, "");
    assert_non_null(q);
    assert_int_equal(db_next(q), DB_ERROR);
    assert_int_equal(db_next(q), DB_ERROR);
    db_reset(q);
    assert_int_equal(db_exec(s->db, &quoted, ""), DB_ERROR);
    assert_true(db_ping(s->db));
}

static void test_constraints_have_a_code_of_their_own(void **state)
{
    struct store *s = *state;
    SQL(unique, "INSERT INTO tenants (id, name, slug, created_at, updated_at) VALUES ('x', 'x', 'master', 't', 't')");
    SQL(check, "INSERT INTO tenants (id, name, slug, status, created_at, updated_at) VALUES ('x', 'x', 'x', 'bad', 't', 't')");
    SQL(null, "INSERT INTO tenants (id, name, slug, created_at) VALUES ('x', 'x', 'x', 't')");
    SQL(foreign, "INSERT INTO tenant_users (id, tenant_id, user_id, created_at, updated_at) VALUES ('x', 'none', 'u', 't', 't')");
    SQL(strict, "INSERT INTO generations (kind, n) VALUES ('k', 'not a number')");
    struct sql *const all[] = {&unique, &check, &null, &foreign, &strict};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_int_equal(db_exec(s->db, all[i], ""), DB_CONSTRAINT);
}

static void test_a_statement_left_half_read_can_be_used_again(void **state)
{
    struct store *s = *state;
    SQL(three, "SELECT value FROM json_each('[1,2,3]') WHERE value > ?1");
    struct db_stmt *q = db_query(s->db, &three, "i", (int64_t)0);
    assert_int_equal(db_next(q), DB_ROW);
    struct db_stmt *again = db_query(s->db, &three, "i", (int64_t)2);
    assert_ptr_equal(q, again);
    assert_int_equal(db_next(again), DB_ROW);
    assert_int_equal(db_int(again, 0), 3);
    assert_int_equal(db_next(again), DB_OK);
    assert_int_equal(db_exec(s->db, &three, "i", (int64_t)0), DB_OK); /* rows do not matter */
}

SQL(bump, "INSERT INTO generations (kind, n) VALUES (?1, 1) ON CONFLICT DO UPDATE SET n = n + 1");

static void test_transactions(void **state)
{
    struct store *s = *state;
    assert_int_equal(db_begin(s->db), DB_OK);
    assert_int_equal(db_begin(s->db), DB_ERROR);
    assert_int_equal(db_exec(s->db, &bump, "t", "k"), DB_OK);
    db_rollback(s->db);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM generations"), 0);

    assert_int_equal(db_commit(s->db), DB_FULL); /* nothing is open */
    db_rollback(s->db);

    assert_int_equal(db_begin(s->db), DB_OK);
    assert_int_equal(db_exec(s->db, &bump, "t", "k"), DB_OK);
    assert_int_equal(db_commit(s->db), DB_OK);
    struct db *other = store_open(s);
    assert_int_equal(store_int(other, "SELECT n FROM generations"), 1);
    db_close(other);
}

static void test_a_full_disk_says_so_and_passes(void **state)
{
    struct store *s = *state;
    SQL(large, "INSERT INTO generations (kind, n) SELECT hex(randomblob(2000)), 1 FROM json_each('[1,2,3,4,5,6,7,8]')");
    store_sql(s->db, "PRAGMA max_page_count = 1");
    assert_int_equal(db_begin(s->db), DB_OK);
    assert_int_equal(db_exec(s->db, &large, ""), DB_FULL);
    db_rollback(s->db);
    store_sql(s->db, "PRAGMA max_page_count = 1000000");
    assert_int_equal(db_exec(s->db, &large, ""), DB_OK);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM generations"), 8);
}

static void *hold_lock(void *arg)
{
    struct db *db = arg;
    struct timespec nap = {.tv_nsec = 150000000};
    nanosleep(&nap, NULL);
    return db_commit(db) == DB_OK ? NULL : "not committed";
}

static void test_a_lock_is_waited_for(void **state)
{
    struct store *s = *state;
    struct db *holder = store_open(s);
    assert_int_equal(db_begin(holder), DB_OK);
    int64_t before = clock_mono_ms();
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, hold_lock, holder), 0);
    assert_int_equal(db_begin(s->db), DB_OK);
    int64_t waited = clock_mono_ms() - before;
    void *wrong;
    pthread_join(t, &wrong);
    assert_null(wrong);
    db_rollback(s->db);
    db_close(holder);
    assert_in_range(waited, 100, 5000);
}

enum { RACERS = 8, STATEMENTS = 40 };
static struct sql raced[STATEMENTS];

static void *race(void *arg)
{
    struct db *db = arg;
    for (size_t i = 0; i < STATEMENTS; i++) {
        struct db_stmt *q = db_query(db, &raced[i], "i", (int64_t)i);
        if (db_next(q) != DB_ROW || db_int(q, 0) != (int64_t)i)
            return "wrong answer";
        db_reset(q);
    }
    return NULL;
}

static void test_threads_may_meet_a_statement_first_at_once(void **state)
{
    struct store *s = *state;
    for (size_t i = 0; i < STATEMENTS; i++)
        raced[i].text = i % 2 ? "SELECT ?1" : "SELECT ?1 + 0";
    struct db *db[RACERS];
    pthread_t t[RACERS];
    for (int i = 0; i < RACERS; i++)
        db[i] = store_open(s);
    for (int i = 0; i < RACERS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, race, db[i]), 0);
    for (int i = 0; i < RACERS; i++) {
        void *wrong;
        pthread_join(t[i], &wrong);
        assert_null(wrong);
        db_close(db[i]);
    }
    for (size_t i = 0; i < STATEMENTS; i++)
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(raced[i].slot, raced[j].slot);
}

struct borrower {
    struct db_pool *pool;
    struct db *got;
};

static void *borrow(void *arg)
{
    struct borrower *b = arg;
    b->got = db_pool_take(b->pool);
    return NULL;
}

static void test_a_pool_lends_at_most_its_maximum(void **state)
{
    struct store *s = *state;
    char err[200];
    struct db_pool *p = db_pool_new(s->path, 2, err, sizeof err);
    assert_non_null(p);
    struct db *one = db_pool_take(p), *two = db_pool_take(p);
    assert_true(one && two && one != two);

    struct borrower b = {.pool = p};
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, borrow, &b), 0);
    struct timespec nap = {.tv_nsec = 50000000};
    nanosleep(&nap, NULL);
    db_pool_give(p, two);
    pthread_join(t, NULL);
    assert_ptr_equal(b.got, two);

    db_pool_give(p, one);
    assert_ptr_equal(db_pool_take(p), one); /* the warm one first */
    db_pool_give(p, one);
    db_pool_give(p, two);
    db_pool_give(p, NULL);
    db_pool_free(p);
}

static void test_a_connection_comes_back_clean(void **state)
{
    struct store *s = *state;
    char err[200];
    SQL(read, "SELECT value FROM json_each('[1,2,3]')");
    struct db_pool *p = db_pool_new(s->path, 1, err, sizeof err);
    struct db *db = db_pool_take(p);
    assert_int_equal(db_next(db_query(db, &read, "")), DB_ROW);
    assert_int_equal(db_begin(db), DB_OK);
    assert_int_equal(db_exec(db, &bump, "t", "left open"), DB_OK);
    db_pool_give(p, db);
    assert_true(db_writable(s->db)); /* its lock is gone */
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM generations"), 0);
    db_pool_free(p);
}

static void test_a_pool_notices_a_bad_database(void **state)
{
    (void)state;
    char err[200] = "";
    assert_null(db_pool_new("/nonexistent/db", 2, err, sizeof err));
    assert_non_null(strstr(err, "unable to open"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_connection_is_set_up, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_without_a_connection_every_statement_fails, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_database_of_ours_is_refused, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_every_type_comes_back, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_wrong_number_of_values_runs_nothing, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_bad_sql_is_an_error_and_never_null, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_constraints_have_a_code_of_their_own, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_statement_left_half_read_can_be_used_again, store_set_up,
                                        store_tear_down),
        cmocka_unit_test_setup_teardown(test_transactions, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_full_disk_says_so_and_passes, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_lock_is_waited_for, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_threads_may_meet_a_statement_first_at_once, store_set_up,
                                        store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_pool_lends_at_most_its_maximum, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_connection_comes_back_clean, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_pool_notices_a_bad_database, store_set_up, store_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

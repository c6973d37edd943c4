#include "store_fixture.h"

#include <signal.h>
#include <sys/wait.h>

static const char create_two[] = "CREATE TABLE a (x); CREATE TABLE b (x); PRAGMA user_version = 3;";
static const char step_good[] = "ALTER TABLE a ADD COLUMN y; PRAGMA user_version = 2;";
static const char step_next[] = "CREATE TABLE b (x); INSERT INTO b SELECT x FROM a; PRAGMA user_version = 3;";

static sqlite3 *version_one(struct store *s)
{
    sqlite3 *h = NULL;
    char path[100];
    snprintf(path, sizeof path, "%s/small", s->home);
    unlink(path);
    assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
    assert_int_equal(sqlite3_exec(h, "CREATE TABLE a (x); INSERT INTO a VALUES (7); PRAGMA user_version = 1", NULL,
                                  NULL, NULL),
                     SQLITE_OK);
    return h;
}

static void done(struct store *s, sqlite3 *h)
{
    sqlite3_close(h);
    char path[100];
    snprintf(path, sizeof path, "%s/small", s->home);
    unlink(path);
    snprintf(path, sizeof path, "%s/small-journal", s->home);
    unlink(path);
}

static bool has(sqlite3 *h, const char *select)
{
    return sqlite3_exec(h, select, NULL, NULL, NULL) == SQLITE_OK;
}

static void test_a_new_database_is_the_whole_schema(void **state)
{
    struct store *s = *state;
    assert_int_equal(store_int(s->db, "PRAGMA user_version"), db_schema_version());
    assert_string_equal(store_text(s, "SELECT slug || ' ' || status FROM tenants WHERE id = '" TENANT "'"),
                        "master active");
    assert_int_equal(strlen(store_text(s, "SELECT created_at FROM tenants WHERE slug = 'master'")), 24);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
                                      " AND sql NOT LIKE '%) STRICT%'"),
                     0);
    assert_string_equal(store_text(s, "PRAGMA integrity_check"), "ok");
}

static void test_opening_again_changes_nothing(void **state)
{
    struct store *s = *state;
    char err[200];
    struct db *again = db_open(s->path, DB_CREATE, err, sizeof err);
    assert_non_null(again);
    assert_int_equal(store_int(again, "SELECT COUNT(*) FROM tenants"), 2);
    db_close(again);
}

static void test_steps_are_taken_in_order(void **state)
{
    struct store *s = *state;
    sqlite3 *h = version_one(s);
    const char *const steps[] = {step_good, step_next};
    const struct schema schema = {create_two, steps, 2};
    char err[200] = "";
    assert_int_equal(schema_version(&schema), 3);
    assert_true(schema_bring_up(h, &schema, err, sizeof err));
    assert_int_equal(schema_read_version(h), 3);
    assert_true(has(h, "SELECT y FROM a JOIN b ON a.x = b.x"));
    assert_true(schema_bring_up(h, &schema, err, sizeof err));
    done(s, h);
}

static void test_an_empty_database_skips_the_steps(void **state)
{
    struct store *s = *state;
    sqlite3 *h;
    assert_int_equal(sqlite3_open(":memory:", &h), SQLITE_OK);
    const char *const steps[] = {"this is never run", "nor this"};
    const struct schema schema = {create_two, steps, 2};
    char err[200] = "";
    assert_true(schema_bring_up(h, &schema, err, sizeof err));
    assert_int_equal(schema_read_version(h), 3);
    sqlite3_close(h);
    (void)s;
}

static void test_a_failing_step_leaves_the_version_before_it(void **state)
{
    struct store *s = *state;
    static const char *const bad[] = {
        "CREATE TABLE b (x); CREATE TABLE b (x); PRAGMA user_version = 3;",
        "CREATE TABLE b (x); PRAGMA user_version = 4;",
        "CREATE TABLE b (x);",
        "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE b (x REFERENCES p); INSERT INTO b VALUES (1);"
        " PRAGMA user_version = 3;",
    };
    static const char *const why[] = {"already exists", "user_version", "user_version", "references"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sqlite3 *h = version_one(s);
        const char *const steps[] = {step_good, bad[i]};
        const struct schema schema = {create_two, steps, 2};
        char err[200] = "";
        assert_false(schema_bring_up(h, &schema, err, sizeof err));
        if (!strstr(err, why[i]))
            fail_msg("'%s' does not say '%s'", err, why[i]);
        assert_int_equal(schema_read_version(h), 2);
        assert_true(has(h, "SELECT y FROM a"));
        assert_false(has(h, "SELECT x FROM b"));
        assert_true(sqlite3_get_autocommit(h));
        const char *const mended[] = {step_good, step_next};
        const struct schema good = {create_two, mended, 2};
        assert_true(schema_bring_up(h, &good, err, sizeof err));
        done(s, h);
    }
}

static void test_a_killed_step_leaves_the_version_before_it(void **state)
{
    struct store *s = *state;
    sqlite3_close(version_one(s));
    char path[100];
    snprintf(path, sizeof path, "%s/small", s->home);
    pid_t child = fork();
    if (child == 0) {
        sqlite3 *h = NULL;
        const char *const steps[] = {"CREATE TABLE b (x); WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n)"
                                     " INSERT INTO b SELECT randomblob(500) FROM n; PRAGMA user_version = 2;"};
        const struct schema endless = {create_two, steps, 1};
        char err[200];
        sqlite3_open(path, &h);
        schema_bring_up(h, &endless, err, sizeof err);
        _exit(1);
    }
    struct stat st = {0};
    for (int i = 0; i < 500 && st.st_size < 200000; i++) { /* until pages of it are on disk */
        struct timespec nap = {.tv_nsec = 10000000};
        nanosleep(&nap, NULL);
        stat(path, &st);
    }
    assert_true(st.st_size >= 200000);
    kill(child, SIGKILL);
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how));

    sqlite3 *h = NULL;
    assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
    assert_int_equal(schema_read_version(h), 1);
    assert_true(has(h, "SELECT x FROM a"));
    assert_false(has(h, "SELECT x FROM b"));
    done(s, h);
}

static void test_a_table_others_refer_to_can_be_rebuilt(void **state)
{
    struct store *s = *state;
    sqlite3 *h = version_one(s);
    assert_true(has(h, "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (x REFERENCES p ON DELETE CASCADE);"
                       "INSERT INTO p VALUES (1); INSERT INTO c VALUES (1); PRAGMA foreign_keys = ON"));
    const char *const steps[] = {"CREATE TABLE q (id INTEGER PRIMARY KEY, y); INSERT INTO q (id) SELECT id FROM p;"
                                 " DROP TABLE p; ALTER TABLE q RENAME TO p; PRAGMA user_version = 2"};
    const struct schema schema = {create_two, steps, 1};
    char err[200] = "";
    assert_true(schema_bring_up(h, &schema, err, sizeof err));
    int rows = 0;
    sqlite3_stmt *st;
    sqlite3_prepare_v2(h, "SELECT COUNT(*) FROM c JOIN p ON p.id = c.x", -1, &st, NULL);
    if (sqlite3_step(st) == SQLITE_ROW)
        rows = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    assert_int_equal(rows, 1); /* nothing was cascaded away */
    assert_false(has(h, "INSERT INTO c VALUES (2)")); /* and references are watched again */
    done(s, h);
}

static void test_a_newer_database_is_refused(void **state)
{
    struct store *s = *state;
    char sql[60], err[300];
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d", db_schema_version() + 1);
    store_sql(s->db, sql);
    for (int mode = DB_READWRITE; mode <= DB_CREATE; mode++) {
        *err = 0;
        assert_null(db_open(s->path, (enum db_mode)mode, err, sizeof err));
        assert_non_null(strstr(err, "install the newer release"));
    }
    store_sql(s->db, "PRAGMA user_version = 1");
    struct db *db = store_open(s);
    db_close(db);
}

static void test_processes_may_create_it_at_once(void **state)
{
    struct store *s = *state;
    char path[100];
    snprintf(path, sizeof path, "%s/new", s->home);
    enum { N = 6 };
    pid_t child[N];
    for (int i = 0; i < N; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            char err[200];
            struct db *db = db_open(path, DB_CREATE, err, sizeof err);
            if (!db)
                fprintf(stderr, "%s\n", err);
            db_close(db);
            _exit(db ? 0 : 1);
        }
    }
    int bad = 0;
    for (int i = 0; i < N; i++) {
        int how;
        assert_int_equal(waitpid(child[i], &how, 0), child[i]);
        bad += how != 0;
    }
    assert_int_equal(bad, 0);
    char err[200];
    struct db *db = db_open(path, DB_READWRITE, err, sizeof err);
    assert_non_null(db);
    assert_int_equal(store_int(db, "SELECT COUNT(*) FROM tenants"), 1);
    db_close(db);
    unlink(path);
    snprintf(path, sizeof path, "%s/new-fresh", s->home);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_new_database_is_the_whole_schema, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_opening_again_changes_nothing, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_steps_are_taken_in_order, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_an_empty_database_skips_the_steps, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_failing_step_leaves_the_version_before_it, store_set_up,
                                        store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_killed_step_leaves_the_version_before_it, store_set_up,
                                        store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_table_others_refer_to_can_be_rebuilt, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_newer_database_is_refused, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_processes_may_create_it_at_once, store_set_up, store_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

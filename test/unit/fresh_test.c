/* Copies of configuration: valid until anybody changes it, in whatever process. */
#include "store_fixture.h"

#include <sys/wait.h>

#include "base/clock.h"
#include "store/fresh.h"

SQL(rename_tenant, "UPDATE tenants SET name = name || 'x'");
SQL(count_use, "UPDATE api_keys SET last_used_at = '2026-01-01T00:00:00.000Z'");
SQL(note, "INSERT INTO generations (kind, n) VALUES ('test', 1)");
SQL(look, "SELECT name FROM tenants");

static struct fresh *opened(struct store *s)
{
    struct fresh *f = fresh_open(s->path);
    assert_non_null(f);
    return f;
}

static void test_reading_and_what_runs_write_leave_copies_alone(void **state)
{
    struct store *s = *state;
    struct fresh *f = opened(s);
    struct fresh_stamp stamp = fresh_stamp(f);
    assert_int_equal(db_exec(s->db, &look, ""), DB_OK);
    assert_int_equal(db_exec(s->db, &note, ""), DB_OK);
    assert_int_equal(db_exec(s->db, &count_use, ""), DB_OK);
    assert_true(fresh_holds(f, &stamp));
    fresh_close(f);
}

static void test_a_change_ends_them_before_and_after_its_commit(void **state)
{
    struct store *s = *state;
    struct fresh *f = opened(s);
    struct fresh_stamp before = fresh_stamp(f);
    assert_int_equal(db_begin(s->db), DB_OK);
    assert_true(fresh_holds(f, &before));
    assert_int_equal(db_exec(s->db, &rename_tenant, ""), DB_OK);
    assert_false(fresh_holds(f, &before));
    /* Somebody reads the old rows now. */
    struct fresh_stamp during = fresh_stamp(f);
    assert_int_equal(db_commit(s->db), DB_OK);
    assert_false(fresh_holds(f, &during));
    fresh_close(f);
}

static void test_a_change_outside_a_transaction_and_one_taken_back_count_too(void **state)
{
    struct store *s = *state;
    struct fresh *f = opened(s);
    struct fresh_stamp stamp = fresh_stamp(f);
    assert_int_equal(db_exec(s->db, &rename_tenant, ""), DB_OK);
    assert_false(fresh_holds(f, &stamp));
    assert_int_equal(db_begin(s->db), DB_OK);
    assert_int_equal(db_exec(s->db, &rename_tenant, ""), DB_OK);
    stamp = fresh_stamp(f);
    db_rollback(s->db);
    assert_false(fresh_holds(f, &stamp));
    fresh_close(f);
}

static void test_another_process_changes(void **state)
{
    struct store *s = *state;
    struct fresh *f = opened(s);
    struct fresh_stamp stamp = fresh_stamp(f);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char err[300];
        struct db *db = db_open(s->path, DB_READWRITE, err, sizeof err);
        _exit(db && db_exec(db, &rename_tenant, "") == DB_OK ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_false(fresh_holds(f, &stamp));
    fresh_close(f);
}

static void test_a_copy_ages(void **state)
{
    struct store *s = *state;
    struct fresh *f = opened(s);
    struct fresh_stamp stamp = fresh_stamp(f);
    stamp.at -= FRESH_MAX_MS - 100;
    assert_true(fresh_holds(f, &stamp));
    stamp.at -= 100;
    assert_false(fresh_holds(f, &stamp));
    fresh_close(f);
}

static void test_without_a_file_nothing_is_fresh(void **state)
{
    struct store *s = *state;
    char path[200];
    snprintf(path, sizeof path, "%s/no/such.db", s->home);
    struct fresh *f = fresh_open(path);
    assert_null(f);
    struct fresh_stamp stamp = fresh_stamp(f);
    assert_false(fresh_holds(f, &stamp));
    f = opened(s);
    stamp = (struct fresh_stamp){0, 0};
    assert_false(fresh_holds(f, &stamp));
    fresh_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reading_and_what_runs_write_leave_copies_alone, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_change_ends_them_before_and_after_its_commit, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_change_outside_a_transaction_and_one_taken_back_count_too, store_set_up,
                                        store_tear_down),
        cmocka_unit_test_setup_teardown(test_another_process_changes, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_copy_ages, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_without_a_file_nothing_is_fresh, store_set_up, store_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

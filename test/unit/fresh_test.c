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

/* What is read back from a change outside a transaction comes before its commit. */
static void test_a_change_that_gives_rows_counts_when_it_ends(void **state)
{
    struct store *s = *state;
    SQL(renamed, "UPDATE tenants SET name = name || 'x' RETURNING id");
    struct fresh *f = opened(s);
    struct db_stmt *st = db_query(s->db, &renamed, "");
    assert_int_equal(db_next(st), DB_ROW);
    struct fresh_stamp during = fresh_stamp(f);
    db_reset(st);
    assert_false(fresh_holds(f, &during));
    during = fresh_stamp(f);
    db_reset(st);
    assert_true(fresh_holds(f, &during));
    fresh_close(f);
}

/* Every table of the schema: what copies are kept of counts, what runs and requests write does not. */
static void test_which_tables_are_configuration(void **state)
{
    static const char *const others =
        "sessions messages tool_call_index traces spans usage_hourly agent_monthly_cost kept_answers activity_logs"
        " generations jobs user_agent_profiles run_cancels";
    struct store *s = *state;
    struct fresh *f = opened(s);
    size_t seen = 0;
    char names[1000];
    snprintf(names, sizeof names, "%s", store_text(s, "SELECT group_concat(name, ' ') FROM sqlite_master"
                                                      " WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"));
    for (char *rest = names, *name; (name = strsep(&rest, " ")) != NULL; seen++) {
        char text[100], spaced[60], list[400];
        snprintf(text, sizeof text, "DELETE FROM %s WHERE 0", name);
        snprintf(spaced, sizeof spaced, " %s ", name);
        snprintf(list, sizeof list, " %s ", others);
        struct sql sql = {.text = arena_strdup(s->a, text)};
        struct fresh_stamp stamp = fresh_stamp(f);
        assert_int_equal(db_exec(s->db, &sql, ""), DB_OK);
        if (fresh_holds(f, &stamp) != (strstr(list, spaced) != NULL))
            fail_msg("%s", name);
    }
    assert_true(seen > 20);
    fresh_close(f);
}

/* Whoever may use the database may use the file: root may have been the first. */
static void test_the_file_belongs_to_whom_the_database_belongs(void **state)
{
    struct store *s = *state;
    char path[100];
    struct stat database, made;
    snprintf(path, sizeof path, "%s-fresh", s->path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(chmod(s->path, 0660), 0);
    if (geteuid() == 0)
        assert_int_equal(chown(s->path, 65534, 65534), 0);
    fresh_close(opened(s));
    assert_int_equal(stat(s->path, &database), 0);
    assert_int_equal(stat(path, &made), 0);
    assert_int_equal(made.st_mode & 07777, 0660);
    assert_int_equal(made.st_uid, database.st_uid);
    assert_int_equal(made.st_gid, database.st_gid);
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
        cmocka_unit_test_setup_teardown(test_a_change_that_gives_rows_counts_when_it_ends, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_which_tables_are_configuration, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_the_file_belongs_to_whom_the_database_belongs, store_set_up,
                                        store_tear_down),
        cmocka_unit_test_setup_teardown(test_another_process_changes, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_copy_ages, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_without_a_file_nothing_is_fresh, store_set_up, store_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

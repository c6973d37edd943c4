/* Totals of the audit log: what is counted, and that an index leads to it. */
#include "store_fixture.h"

#include "store/activity.h"

static char text[4000];

static void bucket(void *ctx, const char *key, int64_t count)
{
    (void)ctx;
    size_t n = strlen(text);
    snprintf(text + n, sizeof text - n, "%s=%d ", key, (int)count);
}

static const char *totals(struct store *s, struct activity_totals q, int64_t expected)
{
    int64_t total = -1;
    *text = '\0';
    q.tenant_id = q.tenant_id ? q.tenant_id : TENANT;
    q.limit = q.limit ? q.limit : 50;
    assert_int_equal(activity_total(s->db, &q, bucket, NULL, &total), DB_OK);
    assert_int_equal(total, expected);
    return text;
}

static void rows(struct store *s)
{
    store_sql(s->db, "INSERT INTO activity_logs (tenant_id, id, actor_type, actor_id, action, entity_type, created_at)"
                     " VALUES ('" TENANT "', '1', 'user', 'bob', 'a.made', 'a', '2026-01'),"
                     " ('" TENANT "', '2', 'user', 'bob', 'a.made', 'a', '2026-02'),"
                     " ('" TENANT "', '3', 'user', 'eve', 'b.made', NULL, '2026-02'),"
                     " ('" TENANT "', '4', 'api_key', 'k', 'a.gone', 'a', '2026-03'),"
                     " ('" TENANT2 "', '5', 'user', 'bob', 'a.made', 'a', '2026-02');");
}

static void test_totals(void **state)
{
    struct store *s = *state;
    rows(s);
    assert_string_equal(totals(s, (struct activity_totals){.group_by = "action"}, 4), "a.made=2 a.gone=1 b.made=1 ");
    assert_string_equal(totals(s, (struct activity_totals){.group_by = "action", .limit = 1}, 4), "a.made=2 ");
    assert_string_equal(totals(s, (struct activity_totals){.group_by = "actor_type"}, 4), "user=3 api_key=1 ");
    assert_string_equal(totals(s, (struct activity_totals){.group_by = "entity_type"}, 4), "a=3 =1 ");
    assert_string_equal(totals(s, (struct activity_totals){.group_by = "actor_id"}, 4), "bob=2 eve=1 k=1 ");
    assert_string_equal(totals(s, (struct activity_totals){.group_by = "action", .tenant_id = TENANT2}, 1),
                        "a.made=1 ");
}

static void test_ranges_and_actors(void **state)
{
    struct store *s = *state;
    rows(s);
    assert_string_equal(totals(s, (struct activity_totals){.group_by = "action", .from = "2026-02"}, 3),
                        "a.gone=1 a.made=1 b.made=1 ");
    assert_string_equal(totals(s, (struct activity_totals){.group_by = "action", .to = "2026-02"}, 1), "a.made=1 ");
    assert_string_equal(
        totals(s, (struct activity_totals){.group_by = "entity_type", .from = "2026-02", .to = "2026-03"}, 2),
        "=1 a=1 ");
    assert_string_equal(totals(s, (struct activity_totals){.group_by = "action", .actor_id = "bob"}, 2), "a.made=2 ");
    assert_string_equal(
        totals(s, (struct activity_totals){.group_by = "action", .actor_id = "bob", .from = "2026-02"}, 1),
        "a.made=1 ");
    assert_string_equal(totals(s, (struct activity_totals){.group_by = "action", .from = "2027"}, 0), "");
}

/* The rows are always found through the tenant; actions and actors are counted from their index alone. */
static void test_plans(void **state)
{
    struct store *s = *state;
    static const char *const groups[] = {"action", "actor_type", "entity_type", "actor_id"};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        totals(s, (struct activity_totals){.group_by = groups[i]}, 0);
        totals(s, (struct activity_totals){.group_by = groups[i], .from = "2026"}, 0);
        totals(s, (struct activity_totals){.group_by = groups[i], .actor_id = "bob"}, 0);
    }
    int seen = 0, covered = 0;
    for (sqlite3_stmt *st = sqlite3_next_stmt(db_handle(s->db), NULL); st;
         st = sqlite3_next_stmt(db_handle(s->db), st)) {
        if (!strstr(sqlite3_sql(st), "FROM activity_logs"))
            continue;
        seen++;
        sqlite3_stmt *plan;
        const char *sql = arena_printf(s->a, "EXPLAIN QUERY PLAN %s", sqlite3_sql(st));
        assert_int_equal(sqlite3_prepare_v2(db_handle(s->db), sql, -1, &plan, NULL), SQLITE_OK);
        while (sqlite3_step(plan) == SQLITE_ROW) {
            const char *step = (const char *)sqlite3_column_text(plan, 3);
            if (strncmp(step, "SCAN activity_logs", 18) == 0)
                fail_msg("%s\nin the plan of %s", step, sql);
            covered += strstr(step, "COVERING INDEX activity_logs_by_a") != NULL;
        }
        sqlite3_finalize(plan);
    }
    assert_int_equal(seen, 12);
    assert_true(covered >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_totals, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_ranges_and_actors, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_plans, store_set_up, store_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

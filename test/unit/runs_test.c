#include "store_fixture.h"

#include "store/cancels.h"
#include "store/runs.h"

static struct trace trace(const char *id, const char *time)
{
    return (struct trace){.id = id, .tenant_id = TENANT, .run_id = id, .session_key = "k", .user_id = "bob",
                          .channel = "http", .agent_id = AGENT, .agent_key = "default", .name = "chat default",
                          .input_preview = "in", .status = "running", .start_time = time, .worker = 7};
}

static struct trace finished(struct trace t, const char *status)
{
    t.status = status;
    t.end_time = "2026-11-22T10:00:01.500Z";
    t.duration_ms = 1500;
    t.span_count = 2;
    t.llm_call_count = 1;
    t.tool_call_count = 3;
    t.input_tokens = 10;
    t.output_tokens = 5;
    t.cost = 0.25;
    t.output_preview = "out";
    t.metadata = "{}";
    t.tags = "[\"a\"]";
    return t;
}

static void test_a_trace_begins_and_ends(void **state)
{
    struct store *s = *state;
    struct trace t = trace("1", "2026-11-22T10:00:00.000Z");
    assert_int_equal(trace_insert(s->db, &t), DB_OK);
    assert_int_equal(trace_insert(s->db, &t), DB_OK); /* a job may run twice */
    struct run_row r;
    assert_int_equal(run_find(s->db, s->a, TENANT, "1", &r), DB_ROW);
    assert_string_equal(r.status, "running");
    assert_null(r.ended_at);
    t = finished(t, "completed");
    assert_int_equal(trace_finish(s->db, &t), DB_OK);
    assert_int_equal(run_find(s->db, s->a, TENANT, "1", &r), DB_ROW);
    assert_string_equal(r.status, "completed");
    assert_string_equal(r.started_at, "2026-11-22T10:00:00.000Z");
    assert_string_equal(r.ended_at, "2026-11-22T10:00:01.500Z");
    assert_string_equal(r.agent_id, AGENT);
    assert_string_equal(r.agent_key, "default");
    assert_string_equal(r.session_key, "k");
    assert_string_equal(r.user_id, "bob");
    assert_string_equal(r.tenant_id, TENANT);
    assert_null(r.error);
    assert_string_equal(store_text(s, "SELECT concat FROM (SELECT duration_ms || ' ' || span_count || ' ' || llm_call_count"
                                      " || ' ' || tool_call_count || ' ' || total_input_tokens || ' ' ||"
                                      " total_output_tokens || ' ' || total_cost || ' ' || worker || ' ' || output_preview"
                                      " AS concat FROM traces)"),
                        "1500 2 1 3 10 5 0.25 7 out");
    assert_int_equal(run_find(s->db, s->a, TENANT2, "1", &r), DB_OK);

    /* The same without a row from the beginning. */
    t = finished(trace("2", "2026-11-22T10:00:00.000Z"), "error");
    t.error = "no luck";
    assert_int_equal(trace_finish(s->db, &t), DB_OK);
    assert_int_equal(run_find(s->db, s->a, TENANT, "2", &r), DB_ROW);
    assert_string_equal(r.error, "no luck");
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM traces"), 2);
}

static void test_a_span_without_a_price_has_none(void **state)
{
    struct store *s = *state;
    struct span x = {.id = "a", .trace_id = "1", .tenant_id = TENANT, .type = "llm_call", .status = "completed",
                     .start_time = "t", .input_tokens = 4, .output_tokens = 2, .duration_ms = 9, .cost = -1,
                     .metadata = "{}", .name = "offline/offline #1", .finish_reason = "stop"};
    assert_int_equal(span_insert(s->db, &x), DB_OK);
    x.id = "b";
    x.cost = 0;
    assert_int_equal(span_insert(s->db, &x), DB_OK);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM spans WHERE total_cost IS NULL AND id = 'a'"), 1);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM spans WHERE total_cost = 0 AND id = 'b'"), 1);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM spans WHERE level = 'DEFAULT' AND input_tokens = 4 AND"
                                      " duration_ms = 9 AND metadata = '{}' AND finish_reason = 'stop'"),
                     2);
}

static void test_usage_adds_up(void **state)
{
    struct store *s = *state;
    struct usage_delta u = {.tenant_id = TENANT, .bucket_hour = "2026-11-22T10:00:00.000Z", .agent_id = AGENT,
                            .user_id = "bob", .channel = "http", .provider = "p", .model = "m", .requests = 1,
                            .errors = 2, .llm_calls = 3, .tool_calls = 4, .input_tokens = 5, .output_tokens = 6,
                            .cache_read_tokens = 7, .cache_create_tokens = 8, .thinking_tokens = 9, .duration_ms = 10,
                            .cost = 0.5};
    assert_int_equal(usage_add(s->db, &u), DB_OK);
    assert_int_equal(usage_add(s->db, &u), DB_OK);
    assert_string_equal(store_text(s, "SELECT requests || ' ' || errors || ' ' || llm_calls || ' ' || tool_calls || ' ' ||"
                                      " input_tokens || ' ' || output_tokens || ' ' || cache_read_tokens || ' ' ||"
                                      " cache_create_tokens || ' ' || thinking_tokens || ' ' || duration_ms || ' ' || cost"
                                      " FROM usage_hourly"),
                        "2 4 6 8 10 12 14 16 18 20 1.0");
    u.user_id = NULL;
    u.provider = NULL;
    u.agent_id = NULL;
    assert_int_equal(usage_add(s->db, &u), DB_OK);
    assert_int_equal(usage_add(s->db, &u), DB_OK);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM usage_hourly"), 2);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM agent_monthly_cost"), 1);
}

static int64_t requests(struct store *s)
{
    return store_int(s->db, "SELECT COALESCE(SUM(requests), 0) FROM usage_hourly");
}

/* Inside a transaction usage is written with its commit, and forgotten with any other end. */
static void test_usage_of_a_transaction_ends_with_it(void **state)
{
    struct store *s = *state;
    struct usage_delta u = {.tenant_id = TENANT, .bucket_hour = "2026-11-22T10:00:00.000Z", .agent_id = AGENT,
                            .channel = "http", .provider = "p", .model = "m", .requests = 1};
    assert_int_equal(db_begin(s->db), DB_OK);
    for (int i = 0; i < 80; i++) { /* more keys than are put off */
        char user[8];
        snprintf(user, sizeof user, "u%d", i % 40);
        u.user_id = arena_strdup(s->a, user);
        assert_int_equal(usage_add(s->db, &u), DB_OK);
    }
    assert_true(requests(s) < 80);
    assert_int_equal(db_commit(s->db), DB_OK);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM usage_hourly WHERE requests = 2"), 40);

    char *gone = strdup("gone");
    u.user_id = gone;
    assert_int_equal(db_begin(s->db), DB_OK);
    assert_int_equal(usage_add(s->db, &u), DB_OK);
    db_rollback(s->db);
    assert_int_equal(db_begin(s->db), DB_OK);
    assert_int_equal(usage_add(s->db, &u), DB_OK);
    store_sql(s->db, "ROLLBACK"); /* as SQLite does itself when the disk is full */
    assert_int_equal(db_commit(s->db), DB_FULL);
    memset(gone, 'x', 4);
    free(gone);
    u.user_id = "u1";
    assert_int_equal(db_begin(s->db), DB_OK);
    assert_int_equal(usage_add(s->db, &u), DB_OK);
    assert_int_equal(db_commit(s->db), DB_OK);
    assert_int_equal(requests(s), 81);
    assert_int_equal(store_int(s->db, "SELECT requests FROM usage_hourly WHERE user_id = 'u1'"), 3);
}

static void test_runs_of_a_dead_worker_are_interrupted(void **state)
{
    struct store *s = *state;
    for (int i = 0; i < 3; i++) {
        struct trace t = trace(i == 0 ? "1" : i == 1 ? "2" : "3", "2026-11-22T10:00:00.000Z");
        t.worker = i == 1 ? 8 : 7;
        assert_int_equal(trace_insert(s->db, &t), DB_OK);
    }
    struct trace over = finished(trace("4", "t"), "completed");
    assert_int_equal(trace_finish(s->db, &over), DB_OK);

    int64_t workers[4], changed;
    size_t n;
    assert_int_equal(traces_running_workers(s->db, workers, 4, &n), DB_OK);
    assert_int_equal(n, 2);
    assert_int_equal(workers[0] + workers[1], 15);
    assert_int_equal(traces_running_workers(s->db, workers, 1, &n), DB_OK);
    assert_int_equal(n, 1);

    assert_int_equal(traces_interrupt(s->db, 7, "~", "2026-11-22T10:00:02.250Z", &changed), DB_OK);
    assert_int_equal(changed, 2);
    struct run_row r;
    assert_int_equal(run_find(s->db, s->a, TENANT, "1", &r), DB_ROW);
    assert_string_equal(r.status, "error");
    assert_string_equal(r.error, "interrupted");
    assert_string_equal(r.ended_at, "2026-11-22T10:00:02.250Z");
    assert_int_equal(store_int(s->db, "SELECT duration_ms FROM traces WHERE id = '1'"), 2250);
    assert_int_equal(run_find(s->db, s->a, TENANT, "2", &r), DB_ROW);
    assert_string_equal(r.status, "running");
    assert_int_equal(traces_interrupt(s->db, 7, "~", "2026-11-22T10:00:02.250Z", &changed), DB_OK);
    assert_int_equal(changed, 0);
}

static const char *listed(struct store *s, const char *user, const char *status, const char *before, int64_t limit,
                          int64_t offset, int64_t *total)
{
    struct run_row *rows;
    size_t n;
    bool capped;
    assert_int_equal(run_list(s->db, s->a, TENANT, user, status, before, limit, offset, &rows, &n, total, &capped),
                     DB_OK);
    assert_false(capped);
    char *all = arena_strdup(s->a, "");
    for (size_t i = 0; i < n; i++)
        all = arena_printf(s->a, "%s%s ", all, rows[i].id);
    return all;
}

/* Every statement that asks for runs which did not complete looks at those alone. */
static void unfinished_have_their_index(struct store *s)
{
    int seen = 0, used = 0;
    for (sqlite3_stmt *st = sqlite3_next_stmt(db_handle(s->db), NULL); st;
         st = sqlite3_next_stmt(db_handle(s->db), st)) {
        if (!strstr(sqlite3_sql(st), "status <> 'completed'"))
            continue;
        seen++;
        sqlite3_stmt *plan;
        const char *sql = arena_printf(s->a, "EXPLAIN QUERY PLAN %s", sqlite3_sql(st));
        assert_int_equal(sqlite3_prepare_v2(db_handle(s->db), sql, -1, &plan, NULL), SQLITE_OK);
        while (sqlite3_step(plan) == SQLITE_ROW)
            used += strstr((const char *)sqlite3_column_text(plan, 3), "INDEX traces_unfinished (status=?") != NULL;
        sqlite3_finalize(plan);
    }
    assert_int_equal(seen, 5); /* list and total, sweeping, marks of a session */
    assert_int_equal(used, 5);
}

static void test_lists(void **state)
{
    struct store *s = *state;
    static const struct {
        const char *id, *time, *user, *status;
    } runs[] = {
        {"3", "2026-11-22T10:00:00.000Z", "bob", "completed"}, {"4", "2026-11-22T10:00:00.000Z", "eve", "running"},
        {"2", "2026-11-22T09:00:00.000Z", "bob", "running"},   {"5", "2026-11-22T11:00:00.000Z", "bob", "error"},
        {"1", "2026-11-22T08:00:00.000Z", "eve", "cancelled"},
    };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        struct trace t = trace(runs[i].id, runs[i].time);
        t.user_id = runs[i].user;
        t.status = runs[i].status;
        assert_int_equal(trace_finish(s->db, &t), DB_OK);
    }
    struct trace foreign = trace("6", "2026-11-22T12:00:00.000Z");
    foreign.tenant_id = TENANT2;
    assert_int_equal(trace_insert(s->db, &foreign), DB_OK);

    int64_t total;
    assert_string_equal(listed(s, NULL, NULL, NULL, 10, 0, &total), "5 4 3 2 1 ");
    assert_int_equal(total, 5);
    assert_string_equal(listed(s, NULL, NULL, NULL, 2, 1, &total), "4 3 ");
    assert_int_equal(total, 5);
    assert_string_equal(listed(s, "bob", NULL, NULL, 10, 0, &total), "5 3 2 ");
    assert_int_equal(total, 3);
    assert_string_equal(listed(s, NULL, "running", NULL, 10, 0, &total), "4 2 ");
    assert_int_equal(total, 2);
    assert_string_equal(listed(s, "bob", "running", NULL, 10, 0, &total), "2 ");
    assert_int_equal(total, 1);
    assert_string_equal(listed(s, "bob", "error", NULL, 10, 0, &total), "5 ");
    assert_string_equal(listed(s, NULL, "no such", NULL, 10, 0, &total), "");
    assert_int_equal(total, 0);
    assert_string_equal(listed(s, NULL, NULL, "4", 10, 0, &total), "3 2 1 ");
    assert_int_equal(total, 5);
    assert_string_equal(listed(s, "bob", NULL, "5", 1, 0, &total), "3 ");
    assert_string_equal(listed(s, NULL, NULL, "6", 10, 0, &total), "");
    store_plans_are_straight(s->db, "traces");

    int64_t workers[4], changed;
    size_t n;
    assert_int_equal(traces_running_workers(s->db, workers, 4, &n), DB_OK);
    assert_int_equal(traces_interrupt(s->db, 9, "~", "2026-11-22T13:00:00.000Z", &changed), DB_OK);
    assert_int_equal(cancel_mark_session(s->db, TENANT, "k"), DB_OK);
    unfinished_have_their_index(s);
}

static struct kept_answer claim(const char *key)
{
    return (struct kept_answer){.scope = "t/u/path", .key = key, .body_hash = "h", .run_id = "r", .state = "running",
                                .created_at = "2026-11-22T10:00:00.000Z", .worker = 7};
}

static void test_an_answer_is_claimed_once_and_kept(void **state)
{
    struct store *s = *state;
    struct kept_answer k = claim("one"), got;
    assert_int_equal(answer_find(s->db, s->a, "t/u/path", "one", &got), DB_OK);
    assert_int_equal(answer_claim(s->db, &k), DB_OK);
    assert_int_equal(answer_claim(s->db, &k), DB_CONSTRAINT);
    assert_int_equal(answer_find(s->db, s->a, "t/u/path", "one", &got), DB_ROW);
    assert_string_equal(got.state, "running");
    assert_string_equal(got.body_hash, "h");
    assert_null(got.answer);
    assert_int_equal(got.worker, 7);
    k.state = "done";
    k.status = 200;
    k.answer = "{}";
    assert_int_equal(answer_finish(s->db, &k), DB_OK);
    assert_int_equal(answer_find(s->db, s->a, "t/u/path", "one", &got), DB_ROW);
    assert_string_equal(got.state, "done");
    assert_int_equal(got.status, 200);
    assert_string_equal(got.answer, "{}");
    assert_string_equal(got.run_id, "r");
    assert_int_equal(answer_find(s->db, s->a, "t/u/other", "one", &got), DB_OK);
    assert_int_equal(answer_drop(s->db, "t/u/path", "one", "another run"), DB_OK);
    assert_int_equal(answer_claim(s->db, &k), DB_CONSTRAINT);
    assert_int_equal(answer_drop(s->db, "t/u/path", "one", "r"), DB_OK);
    assert_int_equal(answer_claim(s->db, &k), DB_OK);
}

static void test_pruning_takes_the_oldest_and_stops(void **state)
{
    struct store *s = *state;
    static const char *const times[] = {"2026-01", "2026-02", "2026-03", "2026-04"};
    static const char *const ids[] = {"1", "2", "3", "4"};
    for (size_t i = 0; i < 4; i++) {
        struct trace t = trace(ids[i], times[i]);
        assert_int_equal(trace_insert(s->db, &t), DB_OK);
        struct span x = {.id = "s", .trace_id = ids[i], .tenant_id = TENANT, .type = "agent", .status = "completed",
                         .start_time = times[i], .cost = -1};
        assert_int_equal(span_insert(s->db, &x), DB_OK);
        struct kept_answer k = claim(ids[i]);
        k.created_at = times[i];
        assert_int_equal(answer_claim(s->db, &k), DB_OK);
    }
    int64_t n;
    assert_int_equal(traces_prune(s->db, "2026-01", 10, &n), DB_OK);
    assert_int_equal(n, 0);
    assert_int_equal(traces_prune(s->db, "2026-04", 2, &n), DB_OK);
    assert_int_equal(n, 2);
    assert_int_equal(traces_prune(s->db, "2026-04", 2, &n), DB_OK);
    assert_int_equal(n, 1);
    assert_string_equal(store_text(s, "SELECT group_concat(id) FROM traces"), "4");
    assert_string_equal(store_text(s, "SELECT group_concat(trace_id) FROM spans"), "4");

    assert_int_equal(answers_prune(s->db, "2026-04", 2, &n), DB_OK);
    assert_int_equal(n, 2);
    assert_int_equal(answers_prune(s->db, "2026-04", 2, &n), DB_OK);
    assert_int_equal(n, 1);
    assert_string_equal(store_text(s, "SELECT group_concat(key) FROM kept_answers"), "4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_trace_begins_and_ends, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_span_without_a_price_has_none, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_usage_adds_up, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_usage_of_a_transaction_ends_with_it, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_runs_of_a_dead_worker_are_interrupted, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_lists, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_an_answer_is_claimed_once_and_kept, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_pruning_takes_the_oldest_and_stops, store_set_up, store_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Background work: claims, their ends, and what a lost claim may not do. */
#include "store_fixture.h"

#include "store/jobs.h"

#define FUTURE "2999-01-01T00:00:00.000Z"
#define PAST "2000-01-01T00:00:00.000Z"

struct seen {
    struct job first;
    size_t n;
};

static void see(void *ctx, const struct job *j)
{
    struct seen *seen = ctx;
    if (seen->n++ == 0)
        seen->first = *j;
}

static struct seen due(struct store *s, const char *now)
{
    struct seen seen = {.n = 0};
    assert_int_equal(jobs_due(s->db, s->a, "k", now, 10, see, &seen), DB_OK);
    return seen;
}

static struct job claimed(struct store *s)
{
    assert_int_equal(job_add(s->db, TENANT, "k", "e", "{\"a\":1}"), DB_OK);
    struct job j = due(s, FUTURE).first;
    assert_int_equal(job_claim(s->db, &j, 7, PAST), DB_ROW);
    j.attempts++;
    return j;
}

static void test_added_is_due_once_its_time_has_come(void **state)
{
    struct store *s = *state;
    assert_int_equal(job_add(s->db, TENANT, "k", "e", "{\"a\":1}"), DB_OK);
    assert_int_equal(due(s, PAST).n, 0);
    struct seen seen = due(s, FUTURE);
    assert_int_equal(seen.n, 1);
    assert_string_equal(seen.first.entity_id, "e");
    assert_string_equal(seen.first.payload, "{\"a\":1}");
    assert_int_equal(seen.first.attempts, 0);
    assert_false(seen.first.running);
    assert_null(seen.first.leased_until);
}

static void test_wanted_is_added_once(void **state)
{
    struct store *s = *state;
    assert_int_equal(job_want(s->db, TENANT, "k", "e", "{\"a\":1}"), DB_OK);
    assert_int_equal(job_want(s->db, TENANT, "k", "e", "{\"a\":2}"), DB_OK);
    struct job j = due(s, FUTURE).first;
    assert_int_equal(due(s, FUTURE).n, 1);
    assert_string_equal(j.payload, "{\"a\":1}");
    assert_int_equal(job_claim(s->db, &j, 7, FUTURE), DB_ROW);
    j.attempts++;
    assert_int_equal(job_want(s->db, TENANT, "k", "e", "{}"), DB_OK); /* it is worked off */
    assert_int_equal(due(s, FUTURE).n, 1);
    assert_int_equal(job_want(s->db, TENANT2, "k", "e", "{}"), DB_OK);
    assert_int_equal(job_want(s->db, TENANT, "k", "f", "{}"), DB_OK);
    assert_int_equal(due(s, FUTURE).n, 3);
    assert_int_equal(job_end(s->db, &j, "why"), DB_ROW);
    assert_int_equal(job_want(s->db, TENANT, "k", "e", "{}"), DB_OK); /* what is over is no reason */
    assert_int_equal(due(s, FUTURE).n, 3);
}

static void test_dropped_is_gone(void **state)
{
    struct store *s = *state;
    struct job j = claimed(s), lost = j;
    lost.attempts--;
    assert_int_equal(job_drop(s->db, &lost), DB_OK); /* another claim's */
    assert_int_equal(job_drop(s->db, &j), DB_ROW);
    assert_int_equal(job_drop(s->db, &j), DB_OK);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM jobs"), 0);
}

static void test_a_new_job_takes_the_place_of_the_old_one(void **state)
{
    struct store *s = *state;
    struct job old = claimed(s);
    assert_int_equal(job_add(s->db, TENANT, "k", "e", "{\"a\":2}"), DB_OK);
    assert_int_equal(job_add(s->db, TENANT2, "k", "e", "{}"), DB_OK);
    assert_int_equal(job_add(s->db, TENANT, "k", "f", "{}"), DB_OK);
    assert_int_equal(due(s, FUTURE).n, 3);
    assert_int_equal(job_held(s->db, &old), DB_OK);
    assert_int_equal(job_end(s->db, &old, NULL), DB_OK);
    assert_int_equal(jobs_forget(s->db, TENANT, "k", "e"), DB_OK);
    assert_int_equal(due(s, FUTURE).n, 2);
}

static void test_one_claim_of_two_wins(void **state)
{
    struct store *s = *state;
    assert_int_equal(job_add(s->db, TENANT, "k", "e", "{}"), DB_OK);
    struct job j = due(s, FUTURE).first;
    assert_int_equal(job_claim(s->db, &j, 7, PAST), DB_ROW);
    assert_int_equal(job_claim(s->db, &j, 8, PAST), DB_OK);
    struct job again = due(s, FUTURE).first;
    assert_true(again.running);
    assert_int_equal(again.worker, 7);
    assert_int_equal(again.attempts, 1);
    assert_string_equal(again.leased_until, PAST);
}

static void test_an_end_is_for_the_holder_of_the_claim(void **state)
{
    struct store *s = *state;
    struct job first = claimed(s), second = first;
    assert_int_equal(job_claim(s->db, &second, 8, PAST), DB_ROW);
    second.attempts++;
    assert_int_equal(job_held(s->db, &first), DB_OK);
    assert_int_equal(job_end(s->db, &first, NULL), DB_OK);
    assert_int_equal(job_return(s->db, &first), DB_OK);
    assert_int_equal(job_held(s->db, &second), DB_ROW);
    assert_int_equal(job_end(s->db, &second, NULL), DB_ROW);
    assert_int_equal(job_end(s->db, &second, NULL), DB_OK);
    assert_int_equal(due(s, FUTURE).n, 0);
    assert_string_equal(store_text(s, "SELECT status FROM jobs"), "done");
}

static void test_failed_and_returned(void **state)
{
    struct store *s = *state;
    struct job j = claimed(s);
    assert_int_equal(job_return(s->db, &j), DB_OK);
    j = due(s, FUTURE).first;
    assert_false(j.running);
    assert_int_equal(j.attempts, 0);
    assert_int_equal(job_claim(s->db, &j, 7, PAST), DB_ROW);
    j.attempts++;
    assert_int_equal(job_end(s->db, &j, "why"), DB_ROW);
    assert_string_equal(store_text(s, "SELECT status || last_error FROM jobs"), "failedwhy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_added_is_due_once_its_time_has_come, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_wanted_is_added_once, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_dropped_is_gone, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_new_job_takes_the_place_of_the_old_one, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_one_claim_of_two_wins, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_an_end_is_for_the_holder_of_the_claim, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_failed_and_returned, store_set_up, store_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Somebody else holds the write lock: who waits how long. */
#include "store_fixture.h"

#include <time.h>

#include "base/clock.h"
#include "store/writer.h"

enum { PATIENCE = 800, HURRY = 250, SLACK = 400 };

static int64_t began;

static void lapsed(int64_t at_least)
{
    int64_t ms = clock_mono_ms() - began;
    if (ms < at_least || ms >= at_least + SLACK)
        fail_msg("%d ms instead of %d", (int)ms, (int)at_least);
    began = clock_mono_ms();
}

/* Each test begins as if nobody had waited in vain. */
static int set_up(void **state)
{
    nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    db_patience(PATIENCE);
    store_set_up(state);
    began = clock_mono_ms();
    return 0;
}

static enum db_rc count_job(struct db *db, void *arg)
{
    SQL(touch, "UPDATE agents SET updated_at = updated_at");
    (*(int *)arg)++;
    return db_exec(db, &touch, "");
}

static void test_a_writer_gives_up_and_the_next_ones_sooner(void **state)
{
    struct store *s = *state;
    struct db *other = store_open(s);
    SQL(read_it, "SELECT COUNT(*) FROM tenants");
    assert_int_equal(db_begin(other), DB_OK);
    began = clock_mono_ms();
    assert_int_equal(db_begin(s->db), DB_BUSY);
    lapsed(PATIENCE);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(db_begin(s->db), DB_BUSY);
        lapsed(HURRY);
    }
    struct db_stmt *st = db_query(s->db, &read_it, "");
    assert_int_equal(db_next(st), DB_ROW); /* readers never wait */
    db_reset(st);
    lapsed(0);
    db_rollback(other);
    assert_int_equal(db_begin(s->db), DB_OK);
    db_rollback(s->db);
    lapsed(0);

    /* Once that is long ago, patience is back. */
    nanosleep(&(struct timespec){.tv_nsec = (PATIENCE + 50) * 1000000L}, NULL);
    assert_int_equal(db_begin(other), DB_OK);
    began = clock_mono_ms();
    assert_int_equal(db_begin(s->db), DB_BUSY);
    lapsed(PATIENCE);
    db_close(other);
}

static void test_what_may_as_well_not_be_written_does_not_wait_long(void **state)
{
    struct store *s = *state;
    struct db *other = store_open(s);
    int ran = 0;
    assert_int_equal(db_begin(other), DB_OK);
    began = clock_mono_ms();
    assert_false(db_writable(s->db));
    lapsed(HURRY);
    writer_post(NULL, s->db, count_job, &ran, NULL);
    lapsed(HURRY);
    assert_int_equal(ran, 0);
    assert_int_equal(writer_run(NULL, s->db, count_job, &ran), DB_BUSY); /* afterwards as patient as before */
    lapsed(PATIENCE);
    db_rollback(other);
    assert_true(db_writable(s->db));
    writer_post(NULL, s->db, count_job, &ran, NULL);
    assert_int_equal(ran, 1);
    db_close(other);
}

/* Who hands a job in while the one before is waited for does not wait for two. */
struct waiter {
    pthread_t thread;
    struct writer *writer;
    int ran;
    int64_t ms;
    enum db_rc rc;
};

static void *wait_in_line(void *arg)
{
    struct waiter *w = arg;
    int64_t since = clock_mono_ms();
    w->rc = writer_run(w->writer, NULL, count_job, &w->ran);
    w->ms = clock_mono_ms() - since;
    return NULL;
}

static void test_a_line_of_writers_does_not_add_up(void **state)
{
    struct store *s = *state;
    char err[300];
    struct writer *writer = writer_start(s->path, err, sizeof err);
    assert_non_null(writer);
    struct waiter w[6] = {0};
    assert_int_equal(db_begin(s->db), DB_OK);
    for (size_t i = 0; i < 6; i++) {
        w[i].writer = writer;
        assert_int_equal(pthread_create(&w[i].thread, NULL, wait_in_line, &w[i]), 0);
        nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
    }
    for (size_t i = 0; i < 6; i++) {
        pthread_join(w[i].thread, NULL);
        assert_int_equal(w[i].rc, DB_BUSY);
        assert_true(w[i].ms < PATIENCE + HURRY + SLACK);
    }
    began = clock_mono_ms();
    writer_post(writer, NULL, count_job, &w[0].ran, NULL);
    lapsed(0);
    db_rollback(s->db);
    assert_int_equal(writer_run(writer, NULL, count_job, &w[1].ran), DB_OK);
    writer_stop(writer);
    assert_int_equal(w[1].ran, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_writer_gives_up_and_the_next_ones_sooner, set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_what_may_as_well_not_be_written_does_not_wait_long, set_up,
                                        store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_line_of_writers_does_not_add_up, set_up, store_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

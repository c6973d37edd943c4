#include "store_fixture.h"

#include <semaphore.h>

#include "base/clock.h"
#include "store/writer.h"

static struct writer *start(struct store *s)
{
    char err[300] = "";
    struct writer *w = writer_start(s->path, err, sizeof err);
    if (!w)
        fail_msg("%s", err);
    return w;
}

static void nap_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* A row a job: the table keeps the order in which they were written. */
static void make_log(struct store *s)
{
    store_sql(s->db, "CREATE TABLE log (n INTEGER PRIMARY KEY AUTOINCREMENT, who INTEGER, what INTEGER)");
}

struct entry {
    int64_t who, what;
};

static enum db_rc write_entry(struct db *db, void *arg)
{
    SQL(add, "INSERT INTO log (who, what) VALUES (?1, ?2)");
    const struct entry *e = arg;
    return db_exec(db, &add, "ii", e->who, e->what);
}

static enum db_rc write_then_fail(struct db *db, void *arg)
{
    SQL(bad, "INSERT INTO tenants (id, name, slug, created_at, updated_at) VALUES ('x', 'x', 'master', 't', 't')");
    enum db_rc rc = write_entry(db, arg);
    return rc == DB_OK ? db_exec(db, &bad, "") : rc;
}

/* Holds the writer up, so that what follows gathers behind it. */
static enum db_rc dawdle(struct db *db, void *arg)
{
    nap_ms(150);
    return write_entry(db, arg);
}

enum { THREADS = 16, JOBS = 200 };

struct caller {
    struct writer *w;
    int64_t who;
    write_fn *fn;
    enum db_rc rc; /* the first that was not DB_OK */
    int64_t jobs;
    bool posts; /* another one before each */
};

static struct entry *entry_new(int64_t who, int64_t what)
{
    struct entry *e = malloc(sizeof *e);
    if (e)
        *e = (struct entry){who, what};
    return e;
}

static void *call(void *arg)
{
    struct caller *c = arg;
    for (int64_t i = 0; i < c->jobs; i++) {
        if (c->posts)
            writer_post(c->w, NULL, c->fn, entry_new(c->who, i++), free);
        struct entry e = {c->who, i};
        enum db_rc rc = writer_run(c->w, NULL, c->fn, &e);
        if (c->rc == DB_OK)
            c->rc = rc;
    }
    return NULL;
}

static void test_many_threads_each_in_order(void **state)
{
    struct store *s = *state;
    make_log(s);
    struct writer *w = start(s);
    struct caller c[THREADS];
    pthread_t t[THREADS];
    for (int i = 0; i < THREADS; i++) {
        c[i] = (struct caller){.w = w, .who = i, .fn = write_entry, .jobs = JOBS, .posts = i % 2 == 0};
        assert_int_equal(pthread_create(&t[i], NULL, call, &c[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(c[i].rc, DB_OK);
    }
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM log"), THREADS * JOBS);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM (SELECT what, row_number() OVER (PARTITION BY who ORDER BY n)"
                                      " AS place FROM log) WHERE what <> place - 1"),
                     0);
    writer_stop(w);
}

static void test_what_is_acknowledged_is_committed(void **state)
{
    struct store *s = *state;
    make_log(s);
    struct writer *w = start(s);
    for (int64_t i = 1; i <= 5; i++) {
        struct entry e = {1, i};
        assert_int_equal(writer_run(w, NULL, write_entry, &e), DB_OK);
        assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM log"), i); /* seen by another connection at once */
    }
    writer_stop(w);
}

static void test_one_bad_job_harms_no_other(void **state)
{
    struct store *s = *state;
    make_log(s);
    struct writer *w = start(s);
    struct caller first = {.w = w, .who = 100, .fn = dawdle, .jobs = 1};
    struct caller c[6];
    pthread_t t0, t[6];
    assert_int_equal(pthread_create(&t0, NULL, call, &first), 0);
    nap_ms(40);
    for (int i = 0; i < 6; i++) {
        c[i] = (struct caller){.w = w, .who = i, .fn = i == 2 || i == 4 ? write_then_fail : write_entry, .jobs = 1};
        assert_int_equal(pthread_create(&t[i], NULL, call, &c[i]), 0);
    }
    pthread_join(t0, NULL);
    for (int i = 0; i < 6; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(c[i].rc, i == 2 || i == 4 ? DB_CONSTRAINT : DB_OK);
    }
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM log"), 5);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM log WHERE who IN (2, 4)"), 0);
    writer_stop(w);
}

/* Leads, and goes on only when it is told to: what is handed in meanwhile gathers. */
struct hold {
    struct writer *w;
    sem_t begun, go;
    pthread_t thread;
};

static enum db_rc hold_job(struct db *db, void *arg)
{
    struct hold *h = arg;
    struct entry e = {100, 0};
    sem_post(&h->begun);
    sem_wait(&h->go);
    return write_entry(db, &e);
}

static void *hold_main(void *arg)
{
    struct hold *h = arg;
    writer_run(h->w, NULL, hold_job, h);
    return NULL;
}

static void hold_begin(struct hold *h, struct writer *w)
{
    h->w = w;
    sem_init(&h->begun, 0, 0);
    sem_init(&h->go, 0, 0);
    assert_int_equal(pthread_create(&h->thread, NULL, hold_main, h), 0);
    sem_wait(&h->begun);
}

static void hold_end(struct hold *h)
{
    pthread_join(h->thread, NULL);
    sem_destroy(&h->begun);
    sem_destroy(&h->go);
}

/* Comes back when so many jobs are under way or queued. */
static void gather(struct writer *w, size_t jobs)
{
    while (writer_backlog(w) != jobs)
        nap_ms(1);
}

/* A job that notes where it ran, and its owner. */
struct place {
    struct writer *w;
    struct store *outside;
    pthread_t self, ran_on;
    int64_t seen; /* rows that were committed when it ran */
    enum db_rc rc;
};

static enum db_rc note_place(struct db *db, void *arg)
{
    struct place *p = arg;
    struct entry e = {2, 0};
    p->ran_on = pthread_self();
    p->seen = store_int(p->outside->db, "SELECT COUNT(*) FROM log");
    return write_entry(db, &e);
}

static void *run_place(void *arg)
{
    struct place *p = arg;
    p->self = pthread_self();
    p->rc = writer_run(p->w, NULL, note_place, p);
    return NULL;
}

static void test_who_comes_alone_does_the_work(void **state)
{
    struct store *s = *state;
    make_log(s);
    struct writer *w = start(s);
    struct place own = {.w = w, .outside = s};
    run_place(&own);
    assert_int_equal(own.rc, DB_OK);
    assert_true(pthread_equal(own.ran_on, own.self));
    writer_stop(w);
}

static void test_what_came_meanwhile_is_one_group(void **state)
{
    struct store *s = *state;
    make_log(s);
    struct writer *w = start(s);
    struct hold h;
    struct place p[4], posted = {.outside = s};
    pthread_t t[4];
    hold_begin(&h, w);
    writer_post(w, NULL, note_place, &posted, NULL);
    for (size_t i = 0; i < 4; i++) {
        p[i] = (struct place){.w = w, .outside = s};
        assert_int_equal(pthread_create(&t[i], NULL, run_place, &p[i]), 0);
        gather(w, i + 3);
    }
    sem_post(&h.go);
    hold_end(&h);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(p[i].rc, DB_OK);
        assert_true(pthread_equal(p[i].ran_on, posted.ran_on));
        assert_false(pthread_equal(p[i].ran_on, p[i].self)); /* none of them works for the others */
        assert_int_equal(p[i].seen, 1); /* one transaction: none of the group is seen from outside */
    }
    assert_false(pthread_equal(posted.ran_on, h.thread));
    gather(w, 0);
    struct place own = {.w = w, .outside = s};
    run_place(&own);
    assert_true(pthread_equal(own.ran_on, own.self)); /* the crowd is gone */
    writer_stop(w);
}

/* So many posted jobs, then one that somebody waits for: how much was committed when that one ran. */
static int64_t committed_before(struct store *s, int64_t posts)
{
    store_sql(s->db, "DELETE FROM log");
    struct writer *w = start(s);
    struct hold h;
    struct place last = {.w = w, .outside = s};
    pthread_t t;
    hold_begin(&h, w);
    for (int64_t i = 0; i < posts; i++)
        writer_post(w, NULL, write_entry, entry_new(1, i), free);
    assert_int_equal(pthread_create(&t, NULL, run_place, &last), 0);
    gather(w, (size_t)posts + 2);
    sem_post(&h.go);
    hold_end(&h);
    pthread_join(t, NULL);
    assert_int_equal(last.rc, DB_OK);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM log"), posts + 2);
    writer_stop(w);
    return last.seen;
}

static void test_a_group_is_bounded(void **state)
{
    struct store *s = *state;
    make_log(s);
    assert_int_equal(committed_before(s, 255), 1);
    assert_int_equal(committed_before(s, 256), 1 + 256);
    assert_int_equal(committed_before(s, 600), 1 + 512);
}

static void test_what_is_posted_meanwhile_is_not_forgotten(void **state)
{
    struct store *s = *state;
    make_log(s);
    struct writer *w = start(s);
    struct hold h;
    struct place posted = {.outside = s};
    hold_begin(&h, w);
    writer_post(w, NULL, note_place, &posted, NULL);
    nap_ms(60); /* the background thread looked, and found somebody leading */
    assert_int_equal(writer_backlog(w), 2);
    sem_post(&h.go);
    gather(w, 0);
    assert_false(pthread_equal(posted.ran_on, h.thread));
    assert_int_equal(posted.seen, 1);
    hold_end(&h);
    writer_stop(w);
}

static void test_stop_waits_for_who_leads(void **state)
{
    struct store *s = *state;
    make_log(s);
    struct writer *w = start(s);
    struct hold h;
    struct caller c = {.w = w, .who = 2, .fn = dawdle, .jobs = 1};
    pthread_t t;
    hold_begin(&h, w);
    assert_int_equal(pthread_create(&t, NULL, call, &c), 0);
    gather(w, 2);
    writer_post(w, NULL, write_entry, entry_new(3, 0), free);
    sem_post(&h.go);
    writer_stop(w);
    assert_int_equal(store_int(s->db, "SELECT group_concat(who, '') FROM (SELECT who FROM log ORDER BY n)"), 10023);
    hold_end(&h);
    pthread_join(t, NULL);
    assert_int_equal(c.rc, DB_OK);
}

static int freed;

static void count_free(void *arg)
{
    __atomic_add_fetch(&freed, 1, __ATOMIC_RELAXED);
    free(arg);
}

static void test_posted_jobs_keep_their_place(void **state)
{
    struct store *s = *state;
    make_log(s);
    struct writer *w = start(s);
    freed = 0;
    writer_post(w, NULL, write_entry, entry_new(1, 1), count_free);
    writer_post(w, NULL, write_entry, entry_new(1, 2), count_free);
    struct entry e = {2, 3};
    assert_int_equal(writer_run(w, NULL, write_entry, &e), DB_OK);
    assert_int_equal(store_int(s->db, "SELECT group_concat(what, '') FROM (SELECT what FROM log ORDER BY n)"), 123);
    assert_int_equal(freed, 2);
    writer_stop(w);
}

struct lone {
    int64_t ran_at;
    int alone; /* the other jobs of its transaction */
};

static enum db_rc note_company(struct db *db, void *arg)
{
    SQL(count, "SELECT COUNT(*) FROM log");
    struct lone *l = arg;
    struct db_stmt *q = db_query(db, &count, "");
    if (db_next(q) != DB_ROW)
        return DB_ERROR;
    l->alone = (int)db_int(q, 0);
    db_reset(q);
    l->ran_at = clock_mono_ms();
    return DB_OK;
}

static void test_posted_and_waited_for_share_a_commit(void **state)
{
    struct store *s = *state;
    make_log(s);
    struct writer *w = start(s);
    /* The waited-for job sees the posted row inside its own transaction, others do not see it before. */
    writer_post(w, NULL, write_entry, entry_new(1, 1), free);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM log"), 0);
    struct lone l = {0};
    assert_int_equal(writer_run(w, NULL, note_company, &l), DB_OK);
    assert_int_equal(l.alone, 1);
    writer_stop(w);
}

static void test_a_posted_job_alone_waits_at_most_20_ms(void **state)
{
    struct store *s = *state;
    make_log(s);
    struct writer *w = start(s);
    struct lone l = {0};
    int64_t before = clock_mono_ms();
    writer_post(w, NULL, note_company, &l, NULL);
    while (writer_backlog(w))
        nap_ms(1);
    assert_in_range(l.ran_at - before, 15, 500);
    writer_stop(w);
}

static void test_stop_commits_everything(void **state)
{
    struct store *s = *state;
    make_log(s);
    struct writer *w = start(s);
    freed = 0;
    enum { MANY = 1000 }; /* more than one group holds */
    for (int64_t i = 0; i < MANY; i++)
        writer_post(w, NULL, write_entry, entry_new(1, i), count_free);
    writer_stop(w);
    assert_int_equal(freed, MANY);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM log WHERE n = what + 1"), MANY);
}

static void test_a_posted_job_that_fails_is_freed(void **state)
{
    struct store *s = *state;
    make_log(s);
    struct writer *w = start(s);
    freed = 0;
    writer_post(w, NULL, write_entry, entry_new(1, 1), count_free);
    writer_post(w, NULL, write_then_fail, entry_new(1, 2), count_free);
    writer_post(w, NULL, write_entry, entry_new(1, 3), count_free);
    writer_stop(w);
    assert_int_equal(freed, 3);
    assert_int_equal(store_int(s->db, "SELECT group_concat(what, '') FROM log"), 13);
}

static enum db_rc set_page_limit(struct db *db, void *arg)
{
    SQL(tight, "PRAGMA max_page_count = 1");
    SQL(wide, "PRAGMA max_page_count = 1000000");
    return db_exec(db, arg ? &tight : &wide, "");
}

static enum db_rc write_large(struct db *db, void *arg)
{
    (void)arg;
    SQL(large, "INSERT INTO log (who, what) SELECT 1, value FROM (WITH RECURSIVE n (value) AS (VALUES (1) UNION ALL"
               " SELECT value + 1 FROM n WHERE value < 2000) SELECT value FROM n)");
    return db_exec(db, &large, "");
}

static void test_a_full_disk_is_told_and_survived(void **state)
{
    struct store *s = *state;
    make_log(s);
    struct writer *w = start(s);
    assert_int_equal(writer_run(w, NULL, set_page_limit, w), DB_OK);
    struct caller c[4];
    pthread_t t[4];
    for (int i = 0; i < 4; i++) {
        c[i] = (struct caller){.w = w, .fn = write_large, .jobs = 3};
        assert_int_equal(pthread_create(&t[i], NULL, call, &c[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(c[i].rc, DB_FULL);
    }
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM log"), 0);
    assert_int_equal(writer_run(w, NULL, set_page_limit, NULL), DB_OK);
    assert_int_equal(writer_run(w, NULL, write_large, NULL), DB_OK);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM log"), 2000);
    writer_stop(w);
}

static enum db_rc write_megabyte(struct db *db, void *arg)
{
    (void)arg;
    SQL(large, "INSERT INTO generations (kind) VALUES (hex(randomblob(524288)))");
    return db_exec(db, &large, "");
}

static void test_the_log_stays_bounded(void **state)
{
    struct store *s = *state;
    struct writer *w = start(s);
    char wal[100];
    snprintf(wal, sizeof wal, "%s-wal", s->path);
    off_t largest = 0;
    struct stat st;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(writer_run(w, NULL, write_megabyte, NULL), DB_OK);
        assert_int_equal(stat(wal, &st), 0);
        if (st.st_size > largest)
            largest = st.st_size;
    }
    writer_stop(w);
    assert_true(largest < 80 * 1024 * 1024); /* of more than 100 MB written */
    assert_int_equal(stat(s->path, &st), 0);
    assert_true(st.st_size > 60 * 1024 * 1024); /* and the rest went where it belongs */
}

static void test_without_a_writer_it_happens_at_once(void **state)
{
    struct store *s = *state;
    make_log(s);
    struct entry e = {1, 1};
    assert_int_equal(writer_run(NULL, s->db, write_entry, &e), DB_OK);
    assert_int_equal(writer_run(NULL, s->db, write_then_fail, &e), DB_CONSTRAINT);
    freed = 0;
    writer_post(NULL, s->db, write_entry, entry_new(1, 2), count_free);
    writer_post(NULL, s->db, write_then_fail, entry_new(1, 3), count_free);
    assert_int_equal(freed, 2);
    assert_int_equal(store_int(s->db, "SELECT group_concat(what, '') FROM log"), 12);
    assert_int_equal(writer_backlog(NULL), 0);
    writer_stop(NULL);
}

static void test_a_missing_database_is_no_writer(void **state)
{
    (void)state;
    char err[300] = "";
    assert_null(writer_start("/nonexistent/db", err, sizeof err));
    assert_non_null(strstr(err, "unable to open"));
    assert_false(checkpointer_running());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_many_threads_each_in_order, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_acknowledged_is_committed, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_one_bad_job_harms_no_other, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_who_comes_alone_does_the_work, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_what_came_meanwhile_is_one_group, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_group_is_bounded, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_posted_meanwhile_is_not_forgotten, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_stop_waits_for_who_leads, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_posted_jobs_keep_their_place, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_posted_and_waited_for_share_a_commit, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_posted_job_alone_waits_at_most_20_ms, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_stop_commits_everything, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_posted_job_that_fails_is_freed, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_full_disk_is_told_and_survived, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_the_log_stays_bounded, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_without_a_writer_it_happens_at_once, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_missing_database_is_no_writer, store_set_up, store_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The engine's list of runs, cancelling, draining, and what it does about the rows of dead processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/engine.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/cancels.h"
#include "store/runs.h"

static char dir[] = "/tmp/clawgate-engine-XXXXXX";
static char path[64], err[300];
static struct config config;
static struct arena *arena;
static struct db *db;
static struct engine *engine;

static int setup(void **state)
{
    (void)state;
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/test.db", dir);
    config = (struct config){.data_dir = dir, .max_concurrent_runs = 4, .retention_days = 30};
    arena = arena_new();
    db = db_open(path, DB_CREATE, err, sizeof err);
    engine = db ? engine_start(&config, db, NULL, NULL, NULL, err, sizeof err) : NULL;
    return engine ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    static const char *const names[] = {"test.db", "test.db-wal", "test.db-shm", "test.db-fresh", "run.lock"};
    char file[96];
    engine_stop(engine);
    db_close(db);
    arena_free(arena);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(file, sizeof file, "%s/%s", dir, names[i]);
        unlink(file);
    }
    return rmdir(dir);
}

struct test_run {
    struct live_run live;
    struct cancel cancel;
};

static void begin(struct test_run *r, const char *id)
{
    cancel_init(&r->cancel, 0);
    r->live = (struct live_run){.id = id, .tenant_id = "t", .session_key = "s", .phase = "queued", .cancel = &r->cancel};
}

static void test_start_fails(void **state)
{
    (void)state;
    struct config nowhere = config;
    nowhere.data_dir = "/nonexistent/clawgate";
    *err = '\0';
    assert_null(engine_start(&nowhere, db, NULL, NULL, NULL, err, sizeof err));
    assert_true(strlen(err) > 0);
    engine_stop(NULL);
}

static void test_list(void **state)
{
    (void)state;
    struct test_run r[3];
    static const char *const ids[] = {"r0", "r1", "r2"};
    char phase[16];
    for (int i = 0; i < 3; i++) {
        begin(&r[i], ids[i]);
        assert_true(engine_add(engine, &r[i].live));
    }
    assert_int_equal(engine->count, 3);
    engine_phase(engine, &r[1].live, "thinking");
    engine_phase_of(engine, "t", "r1", phase, sizeof phase);
    assert_string_equal(phase, "thinking");
    engine_phase_of(engine, "t", "r0", phase, sizeof phase);
    assert_string_equal(phase, "queued");
    engine_phase_of(engine, "u", "r0", phase, sizeof phase);
    assert_string_equal(phase, "");
    engine_phase_of(engine, "t", "r1", phase, 4);
    assert_string_equal(phase, "thi");
    static const int order[] = {1, 2, 0}; /* the middle, the head, the only one */
    for (int i = 0; i < 3; i++) {
        engine_remove(engine, &r[order[i]].live);
        engine_phase_of(engine, "t", ids[order[i]], phase, sizeof phase);
        assert_string_equal(phase, "");
        cancel_release(&r[order[i]].cancel);
    }
    assert_int_equal(engine->count, 0);
    assert_null(engine->runs);
}

static void test_has_body(void **state)
{
    (void)state;
    struct test_run kept, plain;
    begin(&kept, "r0");
    begin(&plain, "r1");
    kept.live.answer_scope = "scope";
    kept.live.body_hash = "hash";
    engine_add(engine, &plain.live);
    assert_false(engine_has_body(engine, "scope", "hash"));
    engine_add(engine, &kept.live);
    assert_true(engine_has_body(engine, "scope", "hash"));
    assert_false(engine_has_body(engine, "scope", "other"));
    assert_false(engine_has_body(engine, "other", "hash"));
    engine_remove(engine, &kept.live);
    assert_false(engine_has_body(engine, "scope", "hash"));
    engine_remove(engine, &plain.live);
    cancel_release(&kept.cancel);
    cancel_release(&plain.cancel);
}

static void test_cancel(void **state)
{
    (void)state;
    struct test_run r, other;
    begin(&r, "r0");
    begin(&other, "r1");
    engine_add(engine, &r.live);
    engine_add(engine, &other.live);
    assert_int_equal(engine_cancel(engine, "t", "nobody", 0), ENGINE_CANCEL_UNKNOWN);
    assert_int_equal(engine_cancel(engine, "u", "r0", 0), ENGINE_CANCEL_UNKNOWN);
    assert_int_equal(cancel_check(&r.cancel), CANCEL_NONE);
    int64_t start = clock_mono_ms();
    assert_int_equal(engine_cancel(engine, "t", "r0", 120), ENGINE_CANCEL_FIRED); /* it does not end in time */
    int64_t took = clock_mono_ms() - start;
    assert_true(took >= 119 && took < 1500);
    assert_int_equal(cancel_check(&r.cancel), CANCEL_BY_USER);
    assert_int_equal(cancel_check(&other.cancel), CANCEL_NONE);
    engine_remove(engine, &r.live);
    engine_remove(engine, &other.live);
    cancel_release(&r.cancel);
    cancel_release(&other.cancel);
}

static void *run_until_cancelled(void *arg)
{
    struct test_run *r = arg;
    if (engine_add(engine, &r->live)) {
        while (cancel_sleep(&r->cancel, 1000))
            engine_phase(engine, &r->live, "thinking");
        engine_phase(engine, &r->live, "saving");
        engine_remove(engine, &r->live);
    }
    return NULL;
}

static size_t count(void)
{
    pthread_mutex_lock(&engine->lock);
    size_t n = engine->count;
    pthread_mutex_unlock(&engine->lock);
    return n;
}

static void test_cancel_waits(void **state)
{
    (void)state;
    pthread_t thread;
    struct test_run r;
    begin(&r, "r0");
    pthread_create(&thread, NULL, run_until_cancelled, &r);
    while (count() == 0)
        usleep(1000);
    int64_t start = clock_mono_ms();
    assert_int_equal(engine_cancel(engine, "t", "r0", 5000), ENGINE_CANCEL_FIRED);
    assert_int_equal(count(), 0);
    assert_true(clock_mono_ms() - start < 2000);
    pthread_join(thread, NULL);
    cancel_release(&r.cancel);
}

static void test_drain(void **state)
{
    (void)state;
    struct test_run r, late;
    begin(&r, "r0");
    begin(&late, "r1");
    assert_true(engine_add(engine, &r.live));
    assert_false(engine_draining(engine));
    engine_drain(engine, false);
    assert_true(engine_draining(engine));
    assert_int_equal(cancel_check(&r.cancel), CANCEL_NONE);
    assert_false(engine_add(engine, &late.live));
    assert_int_equal(engine->count, 1);
    engine_drain(engine, true);
    assert_int_equal(cancel_check(&r.cancel), CANCEL_SHUTDOWN);
    assert_int_equal(cancel_check(&late.cancel), CANCEL_NONE);
    engine_remove(engine, &r.live);
    cancel_release(&r.cancel);
    cancel_release(&late.cancel);
}

enum { CROWD = 8, RUNS = 200 };

static void *come_and_go(void *arg)
{
    char id[16], phase[16];
    struct test_run r;
    for (int i = 0; i < RUNS; i++) {
        snprintf(id, sizeof id, "%d-%d", (int)(intptr_t)arg, i);
        begin(&r, id);
        r.live.answer_scope = r.live.body_hash = id;
        if (engine_add(engine, &r.live)) {
            engine_phase(engine, &r.live, "thinking");
            engine_phase_of(engine, "t", id, phase, sizeof phase);
            engine_has_body(engine, "x", "y");
            engine_remove(engine, &r.live);
        }
        cancel_release(&r.cancel);
    }
    return NULL;
}

static void test_crowd(void **state)
{
    (void)state;
    pthread_t threads[CROWD];
    char id[16];
    engine->pool = db_pool_new(path, 2, err, sizeof err); /* as where there are threads */
    assert_non_null(engine->pool);
    for (intptr_t i = 0; i < CROWD; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, (void *)i), 0);
    for (int i = 0; i < RUNS; i++) {
        snprintf(id, sizeof id, "%d-%d", i % CROWD, i);
        engine_cancel(engine, "t", id, 1);
    }
    engine_drain(engine, true);
    for (int i = 0; i < CROWD; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(engine->count, 0);
    assert_null(engine->runs);
    db_pool_free(engine->pool);
    engine->pool = NULL;
}

/* ---- rows of dead processes ---- */

/* A number whose process was killed. */
static int64_t dead_worker(void)
{
    int fds[2], status;
    int64_t worker = 0;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct locks *l = locks_open(dir, err, sizeof err);
        worker = l ? locks_worker(l) : -1;
        if (write(fds[1], &worker, sizeof worker) == sizeof worker)
            pause();
        _exit(1);
    }
    assert_int_equal(read(fds[0], &worker, sizeof worker), sizeof worker);
    assert_true(worker > 0);
    assert_true(locks_worker_alive(engine->locks, worker));
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    close(fds[0]);
    close(fds[1]);
    return worker;
}

static enum db_rc insert_job(struct db *d, void *arg)
{
    return trace_insert(d, arg);
}

static void insert_trace(const char *id, int64_t worker, const char *status, int64_t age_ms)
{
    char start[TIME_TEXT_SIZE];
    time_format(clock_ms() - age_ms, start);
    struct trace t = {.id = id, .tenant_id = MASTER_TENANT_ID, .run_id = id, .status = status, .start_time = start,
                      .worker = worker};
    assert_int_equal(writer_run(NULL, db, insert_job, &t), DB_OK);
}

static struct run_row row_of(const char *id)
{
    struct run_row row = {0};
    assert_int_equal(run_find(db, arena, MASTER_TENANT_ID, id, &row), DB_ROW);
    return row;
}

static void check_interrupted(const char *id)
{
    struct run_row row = row_of(id);
    assert_string_equal(row.status, "error");
    assert_string_equal(row.error, "interrupted");
    assert_non_null(row.ended_at);
}

static void test_sweep(void **state)
{
    (void)state;
    int64_t dead = dead_worker();
    struct locks *foreign = locks_open(dir, err, sizeof err);
    insert_trace("dead1", dead, "running", 10000);
    insert_trace("dead2", dead, "running", 0);
    insert_trace("done", dead, "completed", 0);
    insert_trace("mine", locks_worker(engine->locks), "running", 0);
    insert_trace("foreign", locks_worker(foreign), "running", 0);
    engine_sweep(engine);
    check_interrupted("dead1");
    check_interrupted("dead2");
    assert_string_equal(row_of("done").status, "completed");
    assert_string_equal(row_of("mine").status, "running");
    assert_string_equal(row_of("foreign").status, "running");
    locks_close(foreign);
    engine_sweep(engine);
    check_interrupted("foreign");
    assert_string_equal(row_of("mine").status, "running");
}

/* The end of a run of this process could not be stored: its row is marked once it is older than any run can be. */
static void test_sweep_of_unsaved(void **state)
{
    (void)state;
    const int64_t grace = 5 * 60 * 1000, limit = config.run_timeout_sec * 1000 + grace;
    insert_trace("stale", locks_worker(engine->locks), "running", limit + 10000);
    insert_trace("live", locks_worker(engine->locks), "running", limit - 10000);
    engine_sweep(engine);
    assert_string_equal(row_of("stale").status, "running");
    engine_note_unsaved(engine);
    engine_sweep(engine);
    check_interrupted("stale");
    assert_string_equal(row_of("live").status, "running");
}

static void test_start_sweeps(void **state)
{
    (void)state;
    insert_trace("old", dead_worker(), "running", 1000);
    insert_trace("mine", locks_worker(engine->locks), "running", 0);
    engine_stop(engine);
    engine = engine_start(&config, db, NULL, NULL, NULL, err, sizeof err);
    assert_non_null(engine);
    check_interrupted("old");
    check_interrupted("mine"); /* the engine before is gone, and its number with it */
}

static void test_sweep_threaded(void **state)
{
    (void)state;
    int64_t dead = dead_worker();
    struct db_pool *pool = db_pool_new(path, 2, err, sizeof err);
    struct writer *writer = writer_start(path, err, sizeof err);
    assert_non_null(pool);
    assert_non_null(writer);
    insert_trace("dead", dead, "running", 0);
    struct engine *second = engine_start(&config, NULL, pool, writer, NULL, err, sizeof err);
    assert_non_null(second);
    struct db *lent = engine_db(second);
    assert_non_null(lent);
    engine_db_done(second, lent);
    engine_stop(second); /* waits for what it handed to the writer */
    check_interrupted("dead");
    writer_stop(writer);
    db_pool_free(pool);
}

static enum db_rc claim_job(struct db *d, void *arg)
{
    return answer_claim(d, arg);
}

static void insert_answer(const char *key, int64_t age_ms)
{
    char at[TIME_TEXT_SIZE];
    time_format(clock_ms() - age_ms, at);
    struct kept_answer k = {.scope = "t|", .key = key, .body_hash = "h", .state = "done", .created_at = at};
    assert_int_equal(writer_run(NULL, db, claim_job, &k), DB_OK);
}

static bool answer_there(const char *key)
{
    struct kept_answer k;
    return answer_find(db, arena, "t|", key, &k) == DB_ROW;
}

static bool trace_there(const char *id)
{
    struct run_row row;
    return run_find(db, arena, MASTER_TENANT_ID, id, &row) == DB_ROW;
}

static void test_prune(void **state)
{
    (void)state;
    const int64_t day = 86400000, minute = 60000;
    insert_answer("old", day + minute);
    insert_answer("young", day - minute);
    insert_trace("old", 1, "completed", 30 * day + minute);
    insert_trace("young", 1, "completed", 30 * day - minute);
    config.retention_days = 0; /* for ever */
    engine_prune(engine);
    assert_true(trace_there("old"));
    assert_false(answer_there("old"));
    assert_true(answer_there("young"));
    config.retention_days = 30;
    engine_prune(engine);
    assert_false(trace_there("old"));
    assert_true(trace_there("young"));
}

/* Whoever writes faster than one batch a minute is told that there is more to delete. */
static void test_prune_says_when_there_is_more(void **state)
{
    (void)state;
    char id[16];
    for (int i = 0; i < 501; i++) {
        snprintf(id, sizeof id, "old%03d", i);
        insert_answer(id, 86400000 + 60000);
    }
    engine_prune(engine);
    assert_true(engine_prune_more(engine));
    assert_true(answer_there("old500"));
    engine_prune(engine);
    assert_false(engine_prune_more(engine));
    assert_false(answer_there("old500"));
}

/* Plain CGI: the first process after ten minutes prunes, and to the end. */
static void test_prune_due(void **state)
{
    (void)state;
    char id[16], lock[sizeof path + 16];
    for (int i = 0; i < 501; i++) {
        snprintf(id, sizeof id, "old%03d", i);
        insert_answer(id, 86400000 + 60000);
    }
    engine_prune_due(engine);
    assert_true(answer_there("old000"));
    snprintf(lock, sizeof lock, "%s/run.lock", dir);
    const int64_t due = clock_ms() / 1000 - 10 * 60;
    const struct timespec soon[2] = {{.tv_sec = due + 5}, {.tv_sec = due + 5}};
    const struct timespec now[2] = {{.tv_sec = due}, {.tv_sec = due}};
    assert_int_equal(utimensat(AT_FDCWD, lock, soon, 0), 0);
    engine_prune_due(engine);
    assert_true(answer_there("old000"));
    assert_int_equal(utimensat(AT_FDCWD, lock, now, 0), 0);
    engine_prune_due(engine);
    assert_false(answer_there("old000"));
    assert_false(answer_there("old500"));
    insert_answer("older", 86400000 + 60000);
    engine_prune_due(engine); /* not again */
    assert_true(answer_there("older"));
}

static enum db_rc mark_job(struct db *d, void *id)
{
    return cancel_mark_run(d, MASTER_TENANT_ID, id);
}

static void mark(const char *id)
{
    assert_int_equal(writer_run(NULL, db, mark_job, (void *)(uintptr_t)id), DB_OK);
}

/* A mark reaches the run of the worker its row names, no other, and is forgotten once the run is over. */
static void test_marks(void **state)
{
    (void)state;
    struct locks *foreign = locks_open(dir, err, sizeof err);
    struct cancel mine, other;
    cancel_init(&mine, 0);
    cancel_init(&other, 0);
    struct live_run a = {.id = "mine", .tenant_id = MASTER_TENANT_ID, .phase = "thinking", .cancel = &mine};
    struct live_run b = {.id = "other", .tenant_id = MASTER_TENANT_ID, .phase = "thinking", .cancel = &other};
    insert_trace("mine", locks_worker(engine->locks), "running", 0);
    insert_trace("other", locks_worker(foreign), "running", 0);
    insert_trace("over", locks_worker(engine->locks), "completed", 0);
    assert_true(engine_add(engine, &a));
    assert_true(engine_add(engine, &b));
    mark("over");
    mark("nobody");
    mark("other"); /* same id here, but its row names another process */
    engine_marks(engine);
    assert_int_equal(cancel_check(&mine), CANCEL_NONE);
    assert_int_equal(cancel_check(&other), CANCEL_NONE);
    mark("mine");
    mark("mine");
    engine_phase(engine, &a, "tool_exec"); /* plain CGI looks between its steps */
    assert_int_equal(cancel_check(&mine), CANCEL_BY_USER);
    assert_int_equal(cancel_check(&other), CANCEL_NONE);
    engine_remove(engine, &a);
    engine_remove(engine, &b);
    cancel_release(&mine);
    cancel_release(&other);

    int64_t left = 0;
    assert_int_equal(cancel_marks_prune(db, &left), DB_OK);
    assert_int_equal(left, 0);
    locks_close(foreign);
    engine_sweep(engine);
    assert_int_equal(cancel_marks_prune(db, &left), DB_OK);
    assert_int_equal(left, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_start_fails), TEST(test_list),         TEST(test_has_body),       TEST(test_cancel),
        TEST(test_cancel_waits), TEST(test_drain),       TEST(test_crowd),          TEST(test_sweep),
        TEST(test_start_sweeps), TEST(test_sweep_threaded), TEST(test_prune),
        TEST(test_prune_says_when_there_is_more), TEST(test_sweep_of_unsaved), TEST(test_prune_due), TEST(test_marks),
    };
    log_init("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

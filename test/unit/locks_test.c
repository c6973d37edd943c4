/* Locks that die with their process: worker numbers and session ranges, between descriptions and between processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/locks.h"

static char dir[] = "/tmp/clawgate-locks-XXXXXX";
static char err[300];

static int setup(void **state)
{
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    if (!mkdtemp(dir))
        return -1;
    *state = locks_open(dir, err, sizeof err);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    char path[64];
    locks_close(*state);
    snprintf(path, sizeof path, "%s/run.lock", dir);
    unlink(path);
    return rmdir(dir);
}

/* Another process that holds one session and says its worker number; it waits until it is killed. */
struct other {
    pid_t pid;
    int64_t worker;
    int orders; /* a byte: release the session */
    int answers;
};

static void other_main(int orders, int answers, const char *session)
{
    char byte;
    struct locks *l = locks_open(dir, err, sizeof err);
    int64_t worker = l && locks_session_try(l, "t", session) ? locks_worker(l) : -1;
    if (write(answers, &worker, sizeof worker) != sizeof worker)
        _exit(1);
    while (read(orders, &byte, 1) == 1) {
        locks_session_release(l, "t", session);
        if (write(answers, &worker, sizeof worker) != sizeof worker)
            _exit(1);
    }
    _exit(0);
}

static struct other other_start(const char *session)
{
    int orders[2], answers[2];
    struct other o = {0};
    assert_int_equal(pipe(orders), 0);
    assert_int_equal(pipe(answers), 0);
    o.pid = fork();
    if (o.pid == 0) {
        close(orders[1]);
        other_main(orders[0], answers[1], session);
    }
    close(orders[0]);
    close(answers[1]);
    o.orders = orders[1];
    o.answers = answers[0];
    assert_int_equal(read(o.answers, &o.worker, sizeof o.worker), sizeof o.worker);
    assert_true(o.worker > 0);
    return o;
}

static void other_kill(struct other *o)
{
    int status;
    kill(o->pid, SIGKILL);
    assert_int_equal(waitpid(o->pid, &status, 0), o->pid);
    assert_true(WIFSIGNALED(status));
    close(o->orders);
    close(o->answers);
}

static void test_file(void **state)
{
    (void)state;
    char path[64];
    struct stat st;
    snprintf(path, sizeof path, "%s/run.lock", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_open_fails(void **state)
{
    (void)state;
    char target[64], link_path[64], sub[64];
    assert_null(locks_open("/nonexistent/clawgate", err, sizeof err));
    assert_true(strlen(err) > 0);
    char *endless = malloc(6000);
    memset(endless, 'x', 5999);
    endless[0] = '/';
    endless[5999] = '\0';
    *err = '\0';
    assert_null(locks_open(endless, err, sizeof err));
    assert_true(strlen(err) > 0);
    free(endless);

    snprintf(sub, sizeof sub, "%s/sub", dir);
    snprintf(target, sizeof target, "%s/elsewhere", dir);
    snprintf(link_path, sizeof link_path, "%s/sub/run.lock", dir);
    assert_int_equal(mkdir(sub, 0700), 0);
    assert_int_equal(symlink(target, link_path), 0);
    assert_null(locks_open(sub, err, sizeof err));
    assert_int_equal(access(target, F_OK), -1);
    unlink(link_path);
    rmdir(sub);
    locks_close(NULL);
}

static void test_worker_numbers(void **state)
{
    struct locks *l = *state, *second = locks_open(dir, err, sizeof err);
    assert_non_null(second);
    assert_true(locks_worker(l) > 0);
    assert_true(locks_worker(l) < (int64_t)1 << 53);
    assert_int_not_equal(locks_worker(l), locks_worker(second));
    assert_true(locks_worker_alive(l, locks_worker(l)));
    assert_true(locks_worker_alive(l, locks_worker(second)));
    assert_true(locks_worker_alive(second, locks_worker(l)));
    int64_t gone = locks_worker(second);
    locks_close(second);
    assert_false(locks_worker_alive(l, gone));
    /* Neighbours of a number that lives are dead. */
    assert_false(locks_worker_alive(l, locks_worker(l) - 1));
    assert_false(locks_worker_alive(l, locks_worker(l) + 1));
}

static void test_sessions(void **state)
{
    struct locks *l = *state, *second = locks_open(dir, err, sizeof err);
    assert_true(locks_session_try(l, "t", "a"));
    assert_false(locks_session_try(second, "t", "a"));
    assert_true(locks_session_try(second, "t", "b"));
    assert_true(locks_session_try(second, "u", "a"));
    assert_false(locks_session_try(l, "u", "a"));
    locks_session_release(l, "t", "a");
    assert_true(locks_session_try(second, "t", "a"));
    assert_false(locks_session_try(l, "t", "a"));
    locks_close(second);
    assert_true(locks_session_try(l, "t", "a"));
    assert_true(locks_session_try(l, "u", "a"));
}

static void test_between_processes(void **state)
{
    struct locks *l = *state;
    struct other o = other_start("shared");
    assert_true(locks_worker_alive(l, o.worker));
    assert_false(locks_session_try(l, "t", "shared"));
    assert_true(locks_session_try(l, "t", "free"));

    int64_t said;
    assert_int_equal(write(o.orders, "r", 1), 1);
    assert_int_equal(read(o.answers, &said, sizeof said), sizeof said);
    assert_true(locks_session_try(l, "t", "shared"));
    other_kill(&o);
    assert_false(locks_worker_alive(l, o.worker));
}

static void test_kill_releases(void **state)
{
    struct locks *l = *state;
    for (int round = 0; round < 20; round++) {
        struct other o = other_start("shared");
        assert_false(locks_session_try(l, "t", "shared"));
        other_kill(&o);
        assert_false(locks_worker_alive(l, o.worker));
        assert_true(locks_session_try(l, "t", "shared"));
        locks_session_release(l, "t", "shared");
    }
}

/* A process that was forked and closes its copies takes nothing away from its parent. */
static void test_survives_a_fork(void **state)
{
    struct locks *l = *state;
    int status;
    assert_true(locks_session_try(l, "t", "mine"));
    pid_t pid = fork();
    if (pid == 0) {
        locks_close(l);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    struct locks *second = locks_open(dir, err, sizeof err);
    assert_true(locks_worker_alive(second, locks_worker(l)));
    assert_false(locks_session_try(second, "t", "mine"));
    locks_close(second);
}

enum { THREADS = 6, TIMES = 300 };

static void *each_its_own(void *arg)
{
    struct locks *l = ((void **)arg)[0];
    const char *session = ((void **)arg)[1];
    intptr_t failures = 0;
    for (int i = 0; i < TIMES; i++) {
        failures += !locks_session_try(l, "t", session);
        failures += !locks_worker_alive(l, locks_worker(l));
        locks_session_release(l, "t", session);
    }
    return (void *)failures;
}

static void test_threads(void **state)
{
    pthread_t threads[THREADS];
    char names[THREADS][16];
    void *args[THREADS][2];
    for (int i = 0; i < THREADS; i++) {
        snprintf(names[i], sizeof names[i], "s%d", i);
        args[i][0] = *state;
        args[i][1] = names[i];
        assert_int_equal(pthread_create(&threads[i], NULL, each_its_own, args[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failures;
        pthread_join(threads[i], &failures);
        assert_ptr_equal(failures, NULL);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_file),        TEST(test_open_fails),      TEST(test_worker_numbers),
        TEST(test_sessions),    TEST(test_between_processes), TEST(test_kill_releases),
        TEST(test_survives_a_fork), TEST(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

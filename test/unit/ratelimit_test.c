/* The guarantees of common/web/ratelimit.h. The source is included: a test must be able to die with a lock. */
#include "shared_home.h"

#include <signal.h>

#include "web/ratelimit.c"

enum { ASKERS = 50 };

static struct ratelimit *r;

static int setup(void **state)
{
    if (home_make(state) != 0)
        return -1;
    r = ratelimit_open(test_home, 60);
    return r ? 0 : -1;
}

static int teardown(void **state)
{
    ratelimit_free(r);
    return home_remove(state);
}

static int takes(const char *key, int64_t now, int most)
{
    int n = 0;
    while (n < most && ratelimit_take_at(r, key, now))
        n++;
    return n;
}

static void burst_and_refill(void **state)
{
    (void)state;
    int64_t now = 1000 * SECOND_NS;
    assert_int_equal(takes("a", now, 100), RATELIMIT_BURST);
    assert_int_equal(takes("b", now, 100), RATELIMIT_BURST); /* another bucket */
    /* one token a second: not a nanosecond early, and refused requests took none */
    assert_false(ratelimit_take_at(r, "a", now + SECOND_NS - 1));
    assert_int_equal(takes("a", now + SECOND_NS, 100), 1);
    assert_int_equal(takes("a", now + 4 * SECOND_NS - 1, 100), 2);
    assert_int_equal(takes("a", now + 4 * SECOND_NS, 100), 1);
    /* never more than the burst */
    assert_int_equal(takes("a", now + 9 * SECOND_NS - 1, 100), 4);
    assert_int_equal(takes("b", now + 1000000 * SECOND_NS, 100), RATELIMIT_BURST);
}

static void steady_use(void **state)
{
    (void)state;
    int64_t now = SECOND_NS;
    takes("a", now, 100);
    for (int i = 1; i <= 1000; i++)
        assert_int_equal(takes("a", now + i * SECOND_NS, 100), 1);
}

static void rates(void **state)
{
    static const int64_t rpm[] = {1, 7, 60, 1000, 1000000};
    (void)state;
    assert_null(ratelimit_open(test_home, 0));
    assert_null(ratelimit_open(test_home, -1));
    assert_true(ratelimit_take(NULL, "a"));
    ratelimit_free(NULL);
    for (size_t i = 0; i < sizeof rpm / sizeof *rpm; i++) {
        ratelimit_free(r);
        r = ratelimit_open(test_home, rpm[i]);
        char key[32];
        snprintf(key, sizeof key, "rate %zu", i);
        int64_t now = 5000 * SECOND_NS;
        assert_int_equal(takes(key, now, 100), 5);
        assert_false(ratelimit_take_at(r, key, now + 60 * SECOND_NS / rpm[i] - 1));
        assert_true(ratelimit_take_at(r, key, now + 60 * SECOND_NS / rpm[i]));
        /* after five minutes even the slowest bucket is full, and its entry free */
        assert_int_equal(takes(key, now + 6 * 60 * SECOND_NS, 100), 5);
    }
}

/* A clock that went back, or settings that had a lower rate: an empty bucket, never a blocked one. */
static void moments_far_ahead(void **state)
{
    (void)state;
    takes("a", 1000000 * SECOND_NS, 100);
    assert_int_equal(takes("a", 10 * SECOND_NS, 100), 0);
    assert_int_equal(takes("a", 11 * SECOND_NS, 100), 1);
    assert_int_equal(takes("a", 20 * SECOND_NS, 100), 5);
    struct ratelimit *slow = ratelimit_open(test_home, 1);
    for (int i = 0; i < 5; i++)
        assert_true(ratelimit_take_at(slow, "b", 20 * SECOND_NS)); /* full again in 300 s */
    ratelimit_free(slow);
    assert_int_equal(takes("b", 20 * SECOND_NS, 100), 0);
    assert_int_equal(takes("b", 25 * SECOND_NS, 100), 5);
}

/* More keys than entries: the table keeps the emptiest, so an empty bucket stays empty. */
static void full_table(void **state)
{
    (void)state;
    char key[32];
    int64_t now = 1000 * SECOND_NS;
    assert_int_equal(takes("victim", now, 100), 5);
    for (int i = 0; i < 300000; i++) {
        snprintf(key, sizeof key, "u:%d", i);
        assert_true(ratelimit_take_at(r, key, now));
    }
    assert_false(ratelimit_take_at(r, "victim", now));
    size_t used = 0;
    for (size_t i = 0; i < RATELIMIT_SETS; i++)
        for (size_t j = 0; j < RATELIMIT_WAYS; j++)
            used += r->table->sets[i].entries[j].full_ns > now;
    assert_int_equal(used, RATELIMIT_SETS * RATELIMIT_WAYS);
}

static struct set *set_of(const char *key)
{
    return &r->table->sets[hash_seeded(r->table->seed, key, strlen(key)) % RATELIMIT_SETS];
}

/* Room for each key in its set: nobody shares, nobody is forgotten. With 20,000 keys and a random seed about one table
 * in sixteen has a set that is asked to hold 17 of them; the keys of such a set are left out. */
static void half_full_table(void **state)
{
    static int keys[RATELIMIT_SETS];
    (void)state;
    char key[32];
    int forgotten = 0, left_out = 0;
    int64_t now = 1000 * SECOND_NS;
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "u:%d", i);
        keys[set_of(key) - r->table->sets]++;
    }
    for (int round = 0; round < 6; round++)
        for (int i = 0; i < 20000; i++) {
            snprintf(key, sizeof key, "u:%d", i);
            if (keys[set_of(key) - r->table->sets] <= RATELIMIT_WAYS)
                forgotten += ratelimit_take_at(r, key, now) != (round < 5);
            else
                left_out += round == 0;
        }
    assert_int_equal(forgotten, 0);
    assert_true(left_out <= 5 * (RATELIMIT_WAYS + 4)); /* the hash spreads them: never five crowded sets */
}

static void *take_one(void *arg)
{
    pthread_barrier_wait(arg);
    return ratelimit_take(r, "race") ? &r : NULL;
}

static int taken_by_threads(int n)
{
    pthread_t threads[ASKERS];
    pthread_barrier_t gate;
    pthread_barrier_init(&gate, NULL, (unsigned)n);
    int taken = 0;
    for (int i = 0; i < n; i++)
        if (pthread_create(&threads[i], NULL, take_one, &gate) != 0)
            abort();
    for (int i = 0; i < n; i++) {
        void *got;
        pthread_join(threads[i], &got);
        taken += got != NULL;
    }
    pthread_barrier_destroy(&gate);
    return taken;
}

static void slowly(void)
{
    ratelimit_free(r);
    r = ratelimit_open(test_home, 1);
}

static void race_of_threads(void **state)
{
    (void)state;
    slowly();
    assert_int_equal(taken_by_threads(ASKERS), RATELIMIT_BURST);
}

/* As programs do: each opens the table itself. */
static int open_and_take(void *ctx)
{
    (void)ctx;
    r = ratelimit_open(test_home, 1);
    return ratelimit_take(r, "race");
}

static void race_of_processes(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        unlink(home_path("ratelimit.shm"));
        assert_int_equal(children_sum(ASKERS, open_and_take, NULL), RATELIMIT_BURST);
    }
}

#ifndef __SANITIZE_THREAD__ /* it cannot follow threads of a forked process */
static int open_and_race(void *ctx)
{
    (void)ctx;
    r = ratelimit_open(test_home, 1);
    return taken_by_threads(10);
}

static void race_of_threads_in_processes(void **state)
{
    (void)state;
    unlink(home_path("ratelimit.shm"));
    assert_int_equal(children_sum(5, open_and_race, NULL), RATELIMIT_BURST);
}
#endif

static void killed_with_the_lock(void **state)
{
    (void)state;
    slowly();
    assert_true(ratelimit_take(r, "a"));
    for (int round = 0; round < 3; round++) {
        int ready[2];
        char c;
        assert_int_equal(pipe(ready), 0);
        pid_t pid = fork();
        if (pid == 0) {
            if (!set_lock(set_of("a")) || write(ready[1], "x", 1) != 1)
                _exit(1);
            for (;;)
                pause();
        }
        assert_int_equal(read(ready[0], &c, 1), 1);
        assert_int_equal(pthread_mutex_trylock(&set_of("a")->lock), EBUSY);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        alarm(20); /* a lock that is lost would block for ever */
        assert_true(ratelimit_take(r, "a"));
        alarm(0);
        close(ready[0]);
        close(ready[1]);
    }
    assert_int_equal(takes("a", 0, 0), 0);
    assert_true(ratelimit_take(r, "a"));
    assert_false(ratelimit_take(r, "a"));
}

/* Somebody waits for the lock at the moment its holder is killed. */
static int take_a(void *ctx)
{
    (void)ctx;
    alarm(20);
    return ratelimit_take(r, "a");
}

static void waiters_of_a_killed_holder(void **state)
{
    (void)state;
    slowly();
    int ready[2];
    char c;
    assert_int_equal(pipe(ready), 0);
    pid_t holder = fork();
    if (holder == 0) {
        if (!set_lock(set_of("a")) || write(ready[1], "x", 1) != 1)
            _exit(1);
        usleep(300000);
        raise(SIGKILL);
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    pid_t forker = fork();
    if (forker == 0)
        _exit(children_sum(ASKERS, take_a, NULL) == RATELIMIT_BURST ? 0 : 1);
    int status;
    waitpid(forker, &status, 0);
    assert_int_equal(status, 0);
    waitpid(holder, &status, 0);
    assert_true(WIFSIGNALED(status));
    close(ready[0]);
    close(ready[1]);
}

static void random_kills(void **state)
{
    (void)state;
    slowly();
    assert_int_equal(takes("a", SECOND_NS, 100), RATELIMIT_BURST); /* however early the first one is killed */
    for (int round = 0; round < 60; round++) {
        pid_t pid = fork();
        if (pid == 0)
            for (;;)
                ratelimit_take_at(r, "a", SECOND_NS);
        usleep(500 + (useconds_t)round * 50);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        alarm(20);
        assert_false(ratelimit_take_at(r, "a", SECOND_NS));
        alarm(0);
    }
}

/* Whatever stands in the file, an answer comes and the table works on. */
static void bytes_of_others(void **state)
{
    (void)state;
    struct set *s = set_of("a");
    for (size_t i = 0; i < RATELIMIT_WAYS; i++)
        s->entries[i] = (struct entry){.key = UINT64_MAX - i, .full_ns = INT64_MAX - 10};
    assert_int_equal(takes("a", 100 * SECOND_NS, 100), 5);
    for (size_t i = 0; i < RATELIMIT_WAYS; i++)
        s->entries[i] = (struct entry){.key = i, .full_ns = INT64_MIN};
    assert_int_equal(takes("a", 100 * SECOND_NS, 100), 5);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(burst_and_refill), T(steady_use), T(rates), T(moments_far_ahead), T(full_table), T(half_full_table),
        T(race_of_threads), T(race_of_processes),
#ifndef __SANITIZE_THREAD__
        T(race_of_threads_in_processes),
#endif
        T(killed_with_the_lock), T(waiters_of_a_killed_holder), T(random_kills), T(bytes_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* How long a run waits for one of the slots (common/agent/queue.h): on a clock that can be put forward. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "agent/queue.h"
#include "base/clock.h"

static char dir[] = "/tmp/clawgate-queue-XXXXXX";
static char err[300];
static struct locks *locks;
static struct queue *queue;
static atomic_int_least64_t skew_ms;
static atomic_int ticks, over;

/* In place of clock.c. */
int64_t clock_mono_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + atomic_load(&skew_ms);
}

#include "clock_rest.h"

static void on_tick(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&ticks, 1);
}

static void *wait_for_a_slot(void *ctx)
{
    struct cancel c;
    cancel_init(&c, 0);
    *(enum queue_rc *)ctx = queue_enter(queue, "t", NULL, &c, on_tick, NULL);
    cancel_release(&c);
    atomic_store(&over, 1);
    return NULL;
}

/* Puts the clock forward, by a second or more, and returns when the one who waits has seen it. */
static void pass(int64_t ms)
{
    int before = atomic_load(&ticks);
    atomic_fetch_add(&skew_ms, ms);
    while (atomic_load(&ticks) == before && !atomic_load(&over))
        usleep(1000);
}

static void who_waits_too_long_for_a_slot_is_refused(void **state)
{
    (void)state;
    enum queue_rc rc = QUEUE_ENTERED;
    struct cancel c;
    pthread_t thread;
    cancel_init(&c, 0);
    assert_int_equal(queue_enter(queue, "t", NULL, &c, NULL, NULL), QUEUE_ENTERED);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_a_slot, &rc), 0);
    usleep(20000); /* or it begins to wait later on that clock, and this takes a second longer */
    pass(QUEUE_SLOT_WAIT_MS - 4000);
    pass(1000);
    pass(1000); /* that it looks again says that it was not refused at the last look */
    assert_false(atomic_load(&over));
    pass(2000);
    pthread_join(thread, NULL);
    assert_int_equal(rc, QUEUE_NO_SLOT);
    queue_leave(queue, "t", NULL);
    cancel_release(&c);
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    locks = locks_open(dir, err, sizeof err);
    queue = locks ? queue_new(1, locks) : NULL;
    return queue ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char path[64];
    queue_free(queue);
    locks_close(locks);
    snprintf(path, sizeof path, "%s/run.lock", dir);
    unlink(path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_waits_too_long_for_a_slot_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

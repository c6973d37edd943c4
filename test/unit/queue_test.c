/* Who may run now: slots, one run of a session at a time in the order of arrival, a cap, and ways out of the line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "agent/queue.h"
#include "base/clock.h"
#include "base/config.h"

static char dir[] = "/tmp/clawgate-queue-XXXXXX";
static char err[300];
static struct locks *locks;
static struct queue *queue;
static atomic_int arrivals; /* numbers those who enter */

static int setup_slots(size_t slots)
{
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    if (!mkdtemp(dir))
        return -1;
    locks = locks_open(dir, err, sizeof err);
    queue = locks ? queue_new(slots, locks) : NULL;
    arrivals = 0;
    return queue ? 0 : -1;
}

static int setup(void **state)
{
    (void)state;
    return setup_slots(64);
}

static int setup_one_slot(void **state)
{
    (void)state;
    return setup_slots(1);
}

static int setup_two_slots(void **state)
{
    (void)state;
    return setup_slots(2);
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

/* One run in a thread of its own: enters, notes when it was let in, leaves. */
struct one {
    pthread_t thread;
    const char *session;
    struct cancel cancel;
    int64_t started_ms;
    atomic_int tid, ticks;
    enum queue_rc rc;
    enum cancel_reason reason;
    int arrival;
    int64_t waited_ms;
};

static void on_tick(void *ctx)
{
    atomic_fetch_add(&((struct one *)ctx)->ticks, 1);
}

static void *one_main(void *arg)
{
    struct one *o = arg;
    atomic_store(&o->tid, (int)syscall(SYS_gettid));
    o->rc = queue_enter(queue, "t", o->session, &o->cancel, on_tick, o);
    o->waited_ms = clock_mono_ms() - o->started_ms;
    o->reason = cancel_check(&o->cancel);
    if (o->rc == QUEUE_ENTERED) {
        o->arrival = atomic_fetch_add(&arrivals, 1);
        queue_leave(queue, "t", o->session);
    }
    return NULL;
}

static bool asleep(int tid)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    FILE *f = fopen(path, "r");
    if (!f)
        return true; /* it is over already */
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    const char *paren = strrchr(text, ')');
    return paren && paren[1] == ' ' && paren[2] == 'S';
}

/* Starts it and returns when it waits (or is over): looked at twice, since a mutex puts to sleep as well. */
static void one_start(struct one *o, const char *session, int64_t deadline_ms)
{
    o->session = session;
    o->started_ms = clock_mono_ms();
    cancel_init(&o->cancel, deadline_ms ? o->started_ms + deadline_ms : 0);
    assert_int_equal(pthread_create(&o->thread, NULL, one_main, o), 0);
    int tid, looks = 0;
    while ((tid = atomic_load(&o->tid)) == 0)
        usleep(500);
    while (looks < 3) {
        usleep(1000);
        looks = asleep(tid) ? looks + 1 : 0;
    }
}

static void one_end(struct one *o)
{
    pthread_join(o->thread, NULL);
    cancel_release(&o->cancel);
}

static void enter(const char *session)
{
    struct cancel c;
    cancel_init(&c, 0);
    assert_int_equal(queue_enter(queue, "t", session, &c, NULL, NULL), QUEUE_ENTERED);
    cancel_release(&c);
}

static void test_order(void **state)
{
    (void)state;
    struct one o[QUEUE_CAP] = {0};
    enter("s");
    for (int i = 0; i < QUEUE_CAP; i++)
        one_start(&o[i], "s", 0);
    queue_leave(queue, "t", "s");
    for (int i = 0; i < QUEUE_CAP; i++) {
        one_end(&o[i]);
        assert_int_equal(o[i].rc, QUEUE_ENTERED);
        assert_int_equal(o[i].arrival, i);
    }
}

static void test_cap(void **state)
{
    (void)state;
    struct one o[QUEUE_CAP] = {0}, more = {0}, other = {0};
    enter("s");
    for (int i = 0; i < QUEUE_CAP; i++)
        one_start(&o[i], "s", 0);
    one_start(&more, "s", 5000);
    one_end(&more);
    assert_int_equal(more.rc, QUEUE_FULL);
    assert_true(more.waited_ms < 1000);
    /* Other sessions do not notice. */
    one_start(&other, "other", 5000);
    one_end(&other);
    assert_int_equal(other.rc, QUEUE_ENTERED);
    /* One place is free again when one has left the line. */
    cancel_fire(&o[4].cancel, CANCEL_BY_USER);
    one_end(&o[4]);
    assert_int_equal(o[4].rc, QUEUE_CANCELLED);
    struct one late = {0};
    one_start(&late, "s", 0);
    queue_leave(queue, "t", "s");
    one_end(&late);
    assert_int_equal(late.rc, QUEUE_ENTERED);
    assert_int_equal(late.arrival, QUEUE_CAP); /* nine of the line and `other` came before */
    for (int i = 0; i < QUEUE_CAP; i++)
        if (i != 4)
            one_end(&o[i]);
}

static void test_cap_without_slots(void **state)
{
    (void)state;
    struct one o[QUEUE_CAP] = {0}, more = {0};
    enter("s");
    for (int i = 0; i < QUEUE_CAP; i++)
        one_start(&o[i], "s", 0);
    one_start(&more, "s", 1500);
    one_end(&more);
    queue_leave(queue, "t", "s");
    for (int i = 0; i < QUEUE_CAP; i++)
        one_end(&o[i]);
    assert_int_equal(more.rc, QUEUE_FULL);
    assert_true(more.waited_ms < 1000);
}

static void test_order_without_slots(void **state)
{
    (void)state;
    enum { N = 8, ROUNDS = 2 };
    for (int round = 0; round < ROUNDS; round++) {
        struct one o[N] = {0};
        arrivals = 0;
        enter(NULL);
        for (int i = 0; i < N; i++) {
            one_start(&o[i], "s", 0);
            usleep(10000); /* so that their looks at the cancel token come at different times */
        }
        usleep(250000); /* several looks: they must not cost a place */
        queue_leave(queue, "t", NULL);
        for (int i = 0; i < N; i++)
            one_end(&o[i]);
        for (int i = 0; i < N; i++) {
            assert_int_equal(o[i].rc, QUEUE_ENTERED);
            assert_int_equal(o[i].arrival, i);
        }
    }
}

static void test_slots(void **state)
{
    (void)state;
    struct one third = {0}, fourth = {0};
    enter("a");
    enter(NULL);
    one_start(&third, "c", 0);
    one_start(&fourth, NULL, 300);
    one_end(&fourth);
    assert_int_equal(fourth.rc, QUEUE_CANCELLED);
    assert_int_equal(fourth.reason, CANCEL_DEADLINE);
    assert_true(fourth.waited_ms >= 300 && fourth.waited_ms < 1500);
    assert_int_equal(atomic_load(&arrivals), 0);
    queue_leave(queue, "t", NULL);
    one_end(&third);
    assert_int_equal(third.rc, QUEUE_ENTERED);
    /* The slot came back: two are free after the last one left. */
    queue_leave(queue, "t", "a");
    enter("a");
    enter("b");
    queue_leave(queue, "t", "b");
    queue_leave(queue, "t", "a");
}

static void test_slot_returns_when_refused(void **state)
{
    (void)state;
    struct one waits = {0};
    enter("s");
    one_start(&waits, "s", 0); /* holds the second slot */
    cancel_fire(&waits.cancel, CANCEL_CLIENT_GONE);
    one_end(&waits);
    assert_int_equal(waits.rc, QUEUE_CANCELLED);
    assert_true(waits.waited_ms < 1500);
    enter("other");
    queue_leave(queue, "t", "other");
    queue_leave(queue, "t", "s");
}

static void test_cancel_in_line(void **state)
{
    (void)state;
    struct one o[4] = {0};
    enter("s");
    for (int i = 0; i < 4; i++)
        one_start(&o[i], "s", 0);
    /* The last, the first and one in between: the line holds together. */
    static const int leavers[] = {3, 0};
    for (int i = 0; i < 2; i++) {
        cancel_fire(&o[leavers[i]].cancel, CANCEL_BY_USER);
        one_end(&o[leavers[i]]);
        assert_int_equal(o[leavers[i]].rc, QUEUE_CANCELLED);
    }
    struct one last = {0};
    one_start(&last, "s", 0);
    cancel_fire(&o[2].cancel, CANCEL_BY_USER);
    one_end(&o[2]);
    queue_leave(queue, "t", "s");
    one_end(&o[1]);
    one_end(&last);
    assert_int_equal(o[1].rc, QUEUE_ENTERED);
    assert_int_equal(o[1].arrival, 0);
    assert_int_equal(last.arrival, 1);
}

static void test_deadline_in_line(void **state)
{
    (void)state;
    struct one o = {0};
    enter("s");
    one_start(&o, "s", 250);
    one_end(&o);
    assert_int_equal(o.rc, QUEUE_CANCELLED);
    assert_true(o.waited_ms >= 250 && o.waited_ms < 1500);
    queue_leave(queue, "t", "s");
    enter("s");
    queue_leave(queue, "t", "s");
}

static void test_cancelled_before(void **state)
{
    (void)state;
    struct cancel c;
    cancel_init(&c, 0);
    cancel_fire(&c, CANCEL_BY_USER);
    enter("s");
    assert_int_equal(queue_enter(queue, "t", "s", &c, NULL, NULL), QUEUE_CANCELLED);
    queue_leave(queue, "t", "s");
    cancel_release(&c);
}

static void test_tick(void **state)
{
    (void)state;
    struct one o = {0};
    enter("s");
    one_start(&o, "s", 0);
    usleep(2300000);
    queue_leave(queue, "t", "s");
    one_end(&o);
    assert_int_equal(o.ticks, 2);
}

/* Another process has the session: its turn here is not enough. */
static void test_foreign_lock(void **state)
{
    (void)state;
    struct locks *foreign = locks_open(dir, err, sizeof err);
    struct one late = {0}, o = {0}, behind = {0};
    assert_true(locks_session_try(foreign, "t", "s"));
    one_start(&late, "s", 300);
    one_end(&late);
    assert_int_equal(late.rc, QUEUE_CANCELLED);
    assert_true(late.waited_ms >= 300 && late.waited_ms < 1500);
    one_start(&o, "s", 0);
    one_start(&behind, "s", 0);
    assert_int_equal(atomic_load(&arrivals), 0);
    locks_session_release(foreign, "t", "s");
    one_end(&o);
    one_end(&behind);
    assert_int_equal(o.arrival, 0);
    assert_int_equal(behind.arrival, 1);
    /* Whoever left gave the range back. */
    assert_true(locks_session_try(foreign, "t", "s"));
    locks_close(foreign);
}

static void test_foreign_tick(void **state)
{
    (void)state;
    struct locks *foreign = locks_open(dir, err, sizeof err);
    struct one o = {0};
    assert_true(locks_session_try(foreign, "t", "s"));
    one_start(&o, "s", 1300);
    one_end(&o);
    locks_close(foreign);
    assert_int_equal(o.rc, QUEUE_CANCELLED);
    assert_int_equal(o.ticks, 1);
}

static void test_long_names(void **state)
{
    (void)state;
    struct cancel c;
    char fits[1022], too_long[1023]; /* with tenant, line feed and end: 1024 and 1025 bytes */
    memset(fits, 'k', sizeof fits - 1);
    memset(too_long, 'k', sizeof too_long - 1);
    fits[sizeof fits - 1] = too_long[sizeof too_long - 1] = '\0';
    cancel_init(&c, 0);
    assert_int_equal(queue_enter(queue, "t", fits, &c, NULL, NULL), QUEUE_ENTERED);
    queue_leave(queue, "t", fits);
    assert_int_equal(queue_enter(queue, "t", too_long, &c, NULL, NULL), QUEUE_FULL);
    cancel_release(&c);
}

/* Counters that only the session's turn protects: a thread sanitizer sees when it does not. */
enum { SESSIONS = 3, CROWD = 9, TIMES = 150 };

static struct {
    char name[24];
    int inside, count;
} rooms[SESSIONS];

static void *crowd_main(void *arg)
{
    size_t first = (size_t)(uintptr_t)arg;
    struct cancel c;
    cancel_init(&c, 0);
    uintptr_t wrong = 0;
    for (size_t i = 0; i < TIMES; i++) {
        size_t room = (first + i) % SESSIONS;
        if (queue_enter(queue, "t", rooms[room].name, &c, NULL, NULL) != QUEUE_ENTERED) {
            wrong++;
            continue;
        }
        wrong += ++rooms[room].inside != 1;
        rooms[room].count++;
        rooms[room].inside--;
        queue_leave(queue, "t", rooms[room].name);
    }
    cancel_release(&c);
    return (void *)wrong;
}

static void test_crowd(void **state)
{
    (void)state;
    pthread_t threads[CROWD];
    int sum = 0;
    for (int i = 0; i < SESSIONS; i++) {
        snprintf(rooms[i].name, sizeof rooms[i].name, "room%d", i);
        rooms[i].count = 0;
    }
    for (uintptr_t i = 0; i < CROWD; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_main, (void *)i), 0);
    for (int i = 0; i < CROWD; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_ptr_equal(wrong, NULL);
    }
    for (int i = 0; i < SESSIONS; i++)
        sum += rooms[i].count;
    assert_int_equal(sum, CROWD * TIMES);
}

/* Each waiting run holds a thread: one more than CONFIG_RUNS_WAITING_MAX is refused at once, whatever it waits for. */
static void test_waiting_is_bounded(void **state)
{
    (void)state;
    static struct one waiting[CONFIG_RUNS_WAITING_MAX];
    struct one late = {0}, in_line = {0};
    enter("busy");
    for (size_t i = 0; i < CONFIG_RUNS_WAITING_MAX; i++) {
        waiting[i] = (struct one){0};
        one_start(&waiting[i], i < 5 ? "busy" : NULL, 0);
    }
    one_start(&late, NULL, 0);
    one_end(&late);
    assert_int_equal(late.rc, QUEUE_NO_SLOT);
    assert_true(late.waited_ms < 1000);
    one_start(&in_line, "busy", 0);
    one_end(&in_line);
    assert_int_equal(in_line.rc, QUEUE_NO_SLOT);
    queue_leave(queue, "t", "busy");
    for (size_t i = 0; i < CONFIG_RUNS_WAITING_MAX; i++) {
        one_end(&waiting[i]);
        assert_int_equal(waiting[i].rc, QUEUE_ENTERED);
    }
}

static void test_claims(void **state)
{
    (void)state;
    struct one waiting = {0};
    enter("busy");
    assert_false(queue_claim(queue, "t", "busy"));
    assert_true(queue_claim(queue, "t", "free")); /* takes no slot: the only one is taken */
    assert_false(queue_claim(queue, "t", "free"));
    assert_true(queue_claim(queue, "u", "free"));
    one_start(&waiting, "free", 0);
    queue_leave(queue, "t", "busy");
    queue_unclaim(queue, "t", "free"); /* hands the turn on */
    one_end(&waiting);
    assert_int_equal(waiting.rc, QUEUE_ENTERED);
    assert_true(queue_claim(queue, "t", "free"));
    queue_unclaim(queue, "t", "free");
    queue_unclaim(queue, "u", "free");

    struct locks *other = locks_open(dir, err, sizeof err); /* another process' run */
    assert_true(locks_session_try(other, "t", "there"));
    assert_false(queue_claim(queue, "t", "there"));
    locks_session_release(other, "t", "there");
    assert_true(queue_claim(queue, "t", "there"));
    assert_false(locks_session_try(other, "t", "there"));
    queue_unclaim(queue, "t", "there");
    assert_true(locks_session_try(other, "t", "there"));
    locks_close(other);

    char name[2000];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_false(queue_claim(queue, "t", name));
}

#define TEST(f, s) cmocka_unit_test_setup_teardown(f, s, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_order, setup),
        TEST(test_cap, setup),
        TEST(test_cap_without_slots, setup_one_slot),
        TEST(test_order_without_slots, setup_one_slot),
        TEST(test_slots, setup_two_slots),
        TEST(test_waiting_is_bounded, setup_one_slot),
        TEST(test_slot_returns_when_refused, setup_two_slots),
        TEST(test_cancel_in_line, setup),
        TEST(test_deadline_in_line, setup),
        TEST(test_cancelled_before, setup),
        TEST(test_tick, setup),
        TEST(test_foreign_lock, setup),
        TEST(test_foreign_tick, setup),
        TEST(test_long_names, setup),
        TEST(test_claims, setup_one_slot),
        TEST(test_crowd, setup),
        TEST(test_crowd, setup_two_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

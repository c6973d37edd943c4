/* The watcher of clients that leave (common/web/gone.h). Clean under ThreadSanitizer. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/clock.h"
#include "web/gone.h"

enum { PATIENCE_MS = 5000, CHURN_THREADS = 4, CHURN_ROUNDS = 60 };
/* Longer than the watcher lets an entry wait before it gives it to the kernel. */
enum { QUIET_MS = 60 };

static struct gone_watcher *watcher;

static int setup(void **state)
{
    (void)state;
    char err[256];
    watcher = gone_start(err, sizeof err);
    return watcher ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    gone_stop(watcher);
    return 0;
}

static void pair(int fd[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
}

/* cancel_sleep ends early as soon as the token fires. */
static bool fired_soon(struct cancel *c)
{
    return !cancel_sleep(c, PATIENCE_MS) && cancel_check(c) == CANCEL_CLIENT_GONE;
}

static void closing_the_peer_fires(void **state)
{
    (void)state;
    int fd[2];
    struct cancel c;
    pair(fd);
    cancel_init(&c, 0);
    assert_true(gone_add(watcher, fd[0], &c));
    close(fd[1]);
    assert_true(fired_soon(&c));
    gone_remove(watcher, fd[0]);
    close(fd[0]);
    cancel_release(&c);
}

static void half_closing_the_peer_fires(void **state)
{
    (void)state;
    int fd[2];
    struct cancel c;
    pair(fd);
    cancel_init(&c, 0);
    assert_true(gone_add(watcher, fd[0], &c));
    shutdown(fd[1], SHUT_WR);
    assert_true(fired_soon(&c));
    gone_remove(watcher, fd[0]);
    close(fd[0]);
    close(fd[1]);
    cancel_release(&c);
}

static void a_peer_that_left_before_is_noticed(void **state)
{
    (void)state;
    int fd[2];
    struct cancel c;
    pair(fd);
    cancel_init(&c, 0);
    close(fd[1]);
    assert_true(gone_add(watcher, fd[0], &c));
    assert_true(fired_soon(&c));
    gone_remove(watcher, fd[0]);
    close(fd[0]);
    cancel_release(&c);
}

static void data_from_the_peer_is_no_hangup(void **state)
{
    (void)state;
    int fd[2];
    struct cancel c;
    pair(fd);
    cancel_init(&c, 0);
    assert_true(gone_add(watcher, fd[0], &c));
    assert_int_equal(write(fd[1], "x", 1), 1);
    assert_true(cancel_sleep(&c, QUIET_MS));
    assert_int_equal(cancel_check(&c), CANCEL_NONE);
    gone_remove(watcher, fd[0]);
    close(fd[0]);
    close(fd[1]);
    cancel_release(&c);
}

/* Removed before it is looked at, or (late) when it is watched already. */
static void removed(bool late)
{
    int fd[2];
    struct cancel c;
    pair(fd);
    cancel_init(&c, 0);
    assert_true(gone_add(watcher, fd[0], &c));
    if (late)
        assert_true(cancel_sleep(&c, QUIET_MS));
    gone_remove(watcher, fd[0]);
    close(fd[1]);
    assert_true(cancel_sleep(&c, QUIET_MS));
    assert_int_equal(cancel_check(&c), CANCEL_NONE);
    close(fd[0]);
    cancel_release(&c);
}

static void nothing_fires_after_removal(void **state)
{
    (void)state;
    removed(false);
}

static void nothing_fires_after_a_late_removal(void **state)
{
    (void)state;
    removed(true);
}

/* Removed young ones leave a line behind that still knows the others. */
static void entries_leave_the_line_anywhere(void **state)
{
    (void)state;
    enum { COUNT = 5 };
    for (int gone = 0; gone < COUNT; gone++) {
        int fd[COUNT][2];
        struct cancel c[COUNT];
        for (int i = 0; i < COUNT; i++) {
            pair(fd[i]);
            cancel_init(&c[i], 0);
            assert_true(gone_add(watcher, fd[i][0], &c[i]));
        }
        gone_remove(watcher, fd[gone][0]);
        for (int i = 0; i < COUNT; i++)
            close(fd[i][1]);
        for (int i = 0; i < COUNT; i++) {
            if (i != gone)
                assert_true(fired_soon(&c[i]));
            gone_remove(watcher, fd[i][0]);
        }
        assert_int_equal(cancel_check(&c[gone]), CANCEL_NONE);
        for (int i = 0; i < COUNT; i++) {
            close(fd[i][0]);
            cancel_release(&c[i]);
        }
    }
}

/* One that comes after a long silence wakes the thread. */
static void the_watcher_wakes_up_again(void **state)
{
    (void)state;
    struct cancel c;
    cancel_init(&c, 0);
    assert_true(cancel_sleep(&c, 300));
    cancel_release(&c);
    closing_the_peer_fires(state);
}

/* Every fifth entry is with the kernel already when it goes. */
static void a_reused_descriptor_is_another_entry(void **state)
{
    (void)state;
    for (int i = 0; i < 25; i++) {
        int fd[2];
        struct cancel first;
        struct cancel second;
        pair(fd);
        cancel_init(&first, 0);
        cancel_init(&second, 0);
        assert_true(gone_add(watcher, fd[0], &first));
        int number = fd[0];
        if (i % 5 == 0)
            assert_true(cancel_sleep(&first, QUIET_MS));
        close(fd[1]);
        gone_remove(watcher, fd[0]);
        close(fd[0]);
        pair(fd);
        assert_int_equal(dup2(fd[0], number), number);
        assert_true(gone_add(watcher, number, &second));
        assert_true(cancel_sleep(&second, i % 5 == 0 ? QUIET_MS : 1));
        gone_remove(watcher, number);
        if (fd[0] != number)
            close(number);
        close(fd[0]);
        close(fd[1]);
        cancel_release(&first);
        cancel_release(&second);
    }
}

static void a_descriptor_of_minus_one_is_ignored(void **state)
{
    (void)state;
    struct cancel c;
    cancel_init(&c, 0);
    assert_true(gone_add(watcher, -1, &c));
    gone_remove(watcher, -1);
    gone_remove(watcher, 100000);
    cancel_release(&c);
}

static void what_cannot_be_watched_does_no_harm(void **state)
{
    (void)state;
    struct cancel c;
    cancel_init(&c, 0);
    assert_true(gone_add(watcher, 1000, &c)); /* not open */
    assert_true(cancel_sleep(&c, QUIET_MS));
    gone_remove(watcher, 1000);
    cancel_release(&c);
}

static void *churn(void *arg)
{
    uint32_t *missed = arg;
    for (int i = 0; i < CHURN_ROUNDS; i++) {
        int fd[2];
        struct cancel c;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) != 0) {
            ++*missed;
            return NULL;
        }
        cancel_init(&c, 0);
        bool added = gone_add(watcher, fd[0], &c);
        close(fd[1]);
        /* Every third is removed while its event is under way. */
        if (!added || (i % 3 != 0 && !fired_soon(&c)))
            ++*missed;
        if (i % 3 == 0)
            cancel_sleep(&c, i % 40);
        gone_remove(watcher, fd[0]);
        close(fd[0]);
        cancel_release(&c);
    }
    return NULL;
}

static void many_threads_come_and_go(void **state)
{
    (void)state;
    pthread_t threads[CHURN_THREADS];
    uint32_t missed[CHURN_THREADS] = {0};
    for (int i = 0; i < CHURN_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, &missed[i]), 0);
    for (int i = 0; i < CHURN_THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(missed[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closing_the_peer_fires),
        cmocka_unit_test(half_closing_the_peer_fires),
        cmocka_unit_test(a_peer_that_left_before_is_noticed),
        cmocka_unit_test(data_from_the_peer_is_no_hangup),
        cmocka_unit_test(nothing_fires_after_removal),
        cmocka_unit_test(a_reused_descriptor_is_another_entry),
        cmocka_unit_test(a_descriptor_of_minus_one_is_ignored),
        cmocka_unit_test(what_cannot_be_watched_does_no_harm),
        cmocka_unit_test(nothing_fires_after_a_late_removal),
        cmocka_unit_test(entries_leave_the_line_anywhere),
        cmocka_unit_test(the_watcher_wakes_up_again),
        cmocka_unit_test(many_threads_come_and_go),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

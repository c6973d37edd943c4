/* One token, several threads: whoever waits wakes at once, and the first reason stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/cancel.h"
#include "base/clock.h"

/* Far above what waking up costs, far below the time that is slept. */
enum { SOON_MS = 5000, LONG_MS = 60000 };

struct shot {
    struct cancel *c;
    enum cancel_reason why;
    int64_t after_ms;
};

static void *fire_later(void *arg)
{
    const struct shot *shot = arg;
    struct timespec t = {.tv_sec = 0, .tv_nsec = (long)shot->after_ms * 1000000L};
    nanosleep(&t, NULL);
    cancel_fire(shot->c, shot->why);
    return NULL;
}

static void first_reason_stays(void **state)
{
    (void)state;
    struct cancel c;
    cancel_init(&c, 0);
    assert_int_equal(cancel_check(&c), CANCEL_NONE);
    cancel_fire(&c, CANCEL_NONE);
    assert_int_equal(cancel_check(&c), CANCEL_NONE);
    cancel_fire(&c, CANCEL_BY_USER);
    cancel_fire(&c, CANCEL_SHUTDOWN);
    assert_int_equal(cancel_check(&c), CANCEL_BY_USER);
    cancel_release(&c);
}

static void firing_wakes_a_blocked_read(void **state)
{
    (void)state;
    struct cancel c;
    int fds[2];
    char byte;
    pthread_t thread;
    cancel_init(&c, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct timeval give_up = {.tv_sec = SOON_MS / 1000};
    assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &give_up, sizeof give_up), 0);
    assert_true(cancel_watch_fd(&c, fds[0]));
    struct shot shot = {&c, CANCEL_CLIENT_GONE, 30};
    assert_int_equal(pthread_create(&thread, NULL, fire_later, &shot), 0);
    assert_int_equal(read(fds[0], &byte, 1), 0);
    assert_int_equal(cancel_check(&c), CANCEL_CLIENT_GONE);
    cancel_unwatch_fd(&c, fds[0]);
    pthread_join(thread, NULL);
    close(fds[0]);
    close(fds[1]);
    cancel_release(&c);
}

static void socket_no_longer_watched_stays_open(void **state)
{
    (void)state;
    struct cancel c;
    int fds[2];
    char byte = 'x';
    cancel_init(&c, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_true(cancel_watch_fd(&c, fds[0]));
    cancel_unwatch_fd(&c, fds[1]); /* another one: no effect */
    assert_int_equal(c.fd, fds[0]);
    cancel_unwatch_fd(&c, fds[0]);
    cancel_fire(&c, CANCEL_SHUTDOWN);
    assert_int_equal(write(fds[1], &byte, 1), 1);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    assert_false(cancel_watch_fd(&c, fds[0]));
    assert_int_equal(c.fd, -1);
    close(fds[0]);
    close(fds[1]);
    cancel_release(&c);
}

static void sleep_takes_its_time_or_ends_early(void **state)
{
    (void)state;
    struct cancel c;
    pthread_t thread;
    cancel_init(&c, 0);
    int64_t start = clock_mono_ms();
    assert_true(cancel_sleep(&c, 30));
    assert_true(clock_mono_ms() - start >= 30);
    assert_true(cancel_sleep(&c, 0));

    struct shot shot = {&c, CANCEL_BY_USER, 30};
    assert_int_equal(pthread_create(&thread, NULL, fire_later, &shot), 0);
    start = clock_mono_ms();
    assert_false(cancel_sleep(&c, INT64_MAX));
    assert_true(clock_mono_ms() - start < SOON_MS);
    assert_false(cancel_sleep(&c, 0));
    pthread_join(thread, NULL);
    cancel_release(&c);
}

static void deadline_ends_the_sleep(void **state)
{
    (void)state;
    struct cancel c;
    cancel_init(&c, clock_mono_ms() + 40);
    assert_int_equal(cancel_check(&c), CANCEL_NONE);
    assert_in_range(cancel_time_left(&c), 1, 40);
    int64_t start = clock_mono_ms();
    assert_false(cancel_sleep(&c, LONG_MS));
    assert_true(clock_mono_ms() - start < SOON_MS);
    assert_int_equal(cancel_time_left(&c), 0);
    assert_int_equal(cancel_check(&c), CANCEL_DEADLINE);
    cancel_fire(&c, CANCEL_BY_USER);
    assert_int_equal(cancel_check(&c), CANCEL_DEADLINE);
    cancel_release(&c);
}

static void passed_deadline_is_noticed_without_sleeping(void **state)
{
    (void)state;
    struct cancel c;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    cancel_init(&c, clock_mono_ms());
    assert_false(cancel_watch_fd(&c, fds[0]));
    assert_int_equal(cancel_check(&c), CANCEL_DEADLINE);
    cancel_release(&c);

    cancel_init(&c, 0);
    assert_true(cancel_time_left(&c) == INT64_MAX);
    cancel_release(&c);
    close(fds[0]);
    close(fds[1]);
}

/* A run that opens and closes sockets while four others fire: never a foreign descriptor, one reason. */
static void many_fire_while_one_works(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct cancel c;
        pthread_t threads[4];
        struct shot shots[4];
        cancel_init(&c, 0);
        for (int i = 0; i < 4; i++) {
            shots[i] = (struct shot){&c, (enum cancel_reason)(CANCEL_CLIENT_GONE + i), i};
            assert_int_equal(pthread_create(&threads[i], NULL, fire_later, &shots[i]), 0);
        }
        for (;;) {
            int fds[2];
            assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
            bool go_on = cancel_watch_fd(&c, fds[0]);
            if (go_on)
                go_on = cancel_sleep(&c, 1);
            cancel_unwatch_fd(&c, fds[0]);
            close(fds[0]);
            close(fds[1]);
            if (!go_on)
                break;
        }
        enum cancel_reason seen = cancel_check(&c);
        assert_int_not_equal(seen, CANCEL_NONE);
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(cancel_check(&c), seen);
        cancel_release(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_reason_stays),
        cmocka_unit_test(firing_wakes_a_blocked_read),
        cmocka_unit_test(socket_no_longer_watched_stays_open),
        cmocka_unit_test(sleep_takes_its_time_or_ends_early),
        cmocka_unit_test(deadline_ends_the_sleep),
        cmocka_unit_test(passed_deadline_is_noticed_without_sleeping),
        cmocka_unit_test(many_fire_while_one_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

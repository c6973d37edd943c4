/* Clients that read slowly or not at all (common/web/transport.h). */
#include "base/clock.h"
#include "transport_fixture.h"

enum { MUCH = 900000, MORE = 3000000, PATIENCE_MS = 30000 };

/* A clock that can be put forward, in place of clock.c. */
static int64_t skew_ms;

int64_t clock_mono_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + skew_ms;
}

#include "clock_rest.h"

/* A request on a connection that holds a few kB. */
static struct transport *open_narrow(struct sender *s)
{
    *s = (struct sender){.wire = BUF_INIT(WIRE_MAX)};
    fcgi_request(&s->wire, "GET", "/", "", 0, 1);
    struct transport *t = open_request(s);
    assert_non_null(t);
    int small = 4096;
    setsockopt(transport_fd(t), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    return t;
}

struct reader {
    struct sender *sender;
    const char *expected;
    pthread_t thread;
};

static void *read_slowly(void *arg)
{
    struct reader *r = arg;
    usleep(100000);
    expect_answer(r->sender, r->expected);
    return NULL;
}

static void a_push_does_not_wait(void **state)
{
    (void)state;
    struct sender s;
    struct transport *t = open_narrow(&s);
    char *text = text_of(MUCH);
    int64_t before = clock_mono_ms();
    for (size_t at = 0; at < MUCH; at += MUCH / 9) {
        assert_true(transport_write(t, text + at, MUCH / 9));
        assert_true(transport_push(t));
    }
    assert_true(clock_mono_ms() - before < 5000);
    struct reader r = {.sender = &s, .expected = text};
    pthread_create(&r.thread, NULL, read_slowly, &r);
    transport_end(t);
    transport_finish(t);
    pthread_join(r.thread, NULL);
    send_end(&s);
    free(text);
}

/* Above what is held for it the writer waits for the reader. */
static void a_large_answer_waits_for_its_reader(void **state)
{
    (void)state;
    struct sender s;
    struct transport *t = open_narrow(&s);
    char *text = text_of(MORE);
    struct reader r = {.sender = &s, .expected = text};
    pthread_create(&r.thread, NULL, read_slowly, &r);
    assert_true(transport_write(t, text, MORE));
    assert_true(transport_flush(t));
    transport_finish(t);
    pthread_join(r.thread, NULL);
    send_end(&s);
    free(text);
}

static void who_takes_nothing_is_gone_in_the_end(void **state)
{
    (void)state;
    struct sender s;
    struct transport *t = open_narrow(&s);
    char *text = text_of(MUCH);
    assert_true(transport_write(t, text, MUCH));
    assert_true(transport_push(t));
    skew_ms += PATIENCE_MS - 1000;
    assert_true(transport_push(t));
    /* A few bytes taken, and patience begins anew. */
    char taken[65536];
    assert_true(read(s.fd, taken, sizeof taken) > 0);
    assert_true(transport_push(t));
    skew_ms += PATIENCE_MS - 1000;
    assert_true(transport_push(t));
    skew_ms += 1001;
    assert_false(transport_push(t));
    assert_false(transport_write(t, "x", 1));
    int64_t before = clock_mono_ms();
    transport_finish(t);
    assert_true(clock_mono_ms() - before < 5000);
    send_end(&s);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_push_does_not_wait),
        cmocka_unit_test(a_large_answer_waits_for_its_reader),
        cmocka_unit_test(who_takes_nothing_is_gone_in_the_end),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

#include "llm_fixture.h"
#include "slower.h"

#include <dlfcn.h>
#include <netdb.h>

#include "llm/http.h"

static void reuse(void **state)
{
    (void)state;
    static const struct step steps[] = {{ANSWER, KEEP}, {STREAM TICK TICK DONE LAST, KEEP}, {ANSWER, KEEP}};
    struct fixture f;
    start(&f, steps, COUNT(steps), NULL);
    f.request.stream = false;
    assert_true(call(&f));
    assert_string_equal(f.answer.text, "Hello");
    assert_int_equal(f.seen.text.len, 0);
    f.request.stream = true;
    assert_true(call(&f));
    assert_string_equal(f.answer.text, "tick tick ");
    assert_string_equal(buf_str(&f.seen.text), "tick tick ");
    assert_true(f.seen.flushes >= 1 && f.seen.flushes <= 2);
    llm_housekeeping();
    /* A plain answer to a request for a stream. */
    assert_true(call(&f));
    assert_string_equal(buf_str(&f.seen.text), "tick tick Hello");
    assert_int_equal(f.server.requests, 3);
    assert_int_equal(f.server.connections, 1);
    assert_non_null(strstr(f.server.last_request, "POST /v1/chat/completions HTTP/1.1\r\n"));
    assert_non_null(strstr(f.server.last_request, "Authorization: Bearer s3cret-key\r\n"));
    assert_null(strcasestr(f.server.last_request, "Expect:"));
    stop(&f);
}

static void address_rule(void **state)
{
    (void)state;
    static const struct step steps[] = {{ANSWER, KEEP}};
    struct fixture f;
    start(&f, steps, COUNT(steps), NULL);
    assert_true(call(&f));
    f.provider.private_allowed = false;
    expect_fault(&f, FAULT_STATE, "private addresses are not allowed", 1);
    f.provider.base_url = "http://nowhere.example/v1";
    expect_fault(&f, FAULT_UNAVAILABLE, "resolve", 3);
    f.provider.private_allowed = true;
    f.provider.base_url = "http://169.254.169.254/v1";
    expect_fault(&f, FAULT_STATE, "reserved", 1);
    /* Ollama may use the loopback whatever the rule. */
    f.provider.private_allowed = false;
    snprintf(f.url, sizeof(f.url), "http://localhost:%d", f.server.port);
    f.provider.base_url = f.url;
    f.provider.type = "ollama";
    f.provider.api_key = "";
    assert_true(call(&f));
    assert_non_null(strstr(f.server.last_request, "POST /v1/chat/completions "));
    assert_non_null(strstr(f.server.last_request, "Bearer ollama\r\n"));
    f.provider.api_key = "two\r\nX-Lines: yes";
    expect_fault(&f, FAULT_STATE, "line break", 1);
    assert_int_equal(f.server.requests, 2);
    stop(&f);
}

static bool keep_body(struct http_call *h, const char *bytes, size_t n)
{
    (void)h, (void)bytes, (void)n;
    return true;
}

/* Stands in for the C library's own, also where libcurl calls it. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (name && strcmp(name, "nowhere.example") == 0)
        return EAI_NONAME;
    if (name && strcmp(name, "slow.example") == 0)
        usleep(2000000);
    return real(name && strstr(name, ".example") ? "127.0.0.1" : name, service, hints, list);
}

/* A harmless name that resolves to a private address: the name passes, the address does not. */
static void judged_when_connecting(void **state)
{
    (void)state;
    static const struct step steps[] = {{ANSWER, KEEP}};
    struct fixture f;
    start(&f, steps, COUNT(steps), NULL);
    snprintf(f.url, sizeof(f.url), "http://inside.example:%d/v1", f.server.port);
    f.provider.private_allowed = false;
    expect_fault(&f, FAULT_STATE, "not allowed for this provider", 1);
    assert_int_equal(f.server.connections, 0);
    f.provider.private_allowed = true;
    assert_true(call(&f));
    /* The open connection is not lent to a stricter caller. */
    f.provider.private_allowed = false;
    expect_fault(&f, FAULT_STATE, "not allowed for this provider", 1);
    f.provider.private_allowed = true;
    assert_true(call(&f));
    assert_int_equal(f.server.connections, 1);
    assert_int_equal(f.server.requests, 2);
    stop(&f);
}

static void cancel_fresh(void **state)
{
    (void)state;
    static const struct step steps[] = {{NULL, HANG}};
    struct fixture f;
    start(&f, steps, COUNT(steps), NULL);
    expect_cancelled(&f, &f.server.requests, 1);
    stop(&f);
}

static void cancel_reused(void **state)
{
    (void)state;
    static const struct step steps[] = {{ANSWER, KEEP}, {NULL, HANG}};
    struct fixture f;
    start(&f, steps, COUNT(steps), NULL);
    assert_true(call(&f));
    f.request.stream = false;
    expect_cancelled(&f, &f.server.requests, 2);
    assert_int_equal(f.server.connections, 1);
    assert_int_equal(f.server.requests, 2);
    stop(&f);
}

static void cancel_streaming(void **state)
{
    (void)state;
    static const struct step steps[] = {{STREAM TICK, HANG}};
    struct fixture f;
    start(&f, steps, COUNT(steps), NULL);
    expect_cancelled(&f, &f.seen.deltas, 1);
    assert_string_equal(f.answer.text, "tick ");
    /* A token that was fired before: nothing is sent. */
    assert_false(call(&f));
    assert_int_equal(f.fault.kind, FAULT_NONE);
    assert_int_equal(f.server.requests, 1);
    stop(&f);
}

/* While the name server is silent there is no socket to shut down: felt at the next look, once a second. */
static void cancel_resolving(void **state)
{
    (void)state;
    static const struct step steps[] = {{ANSWER, KEEP}};
    struct fixture f;
    start(&f, steps, COUNT(steps), NULL);
    f.provider.base_url = "http://slow.example/v1";
    struct firing firing = {.cancel = &f.cancel};
    pthread_t thread;
    pthread_create(&thread, NULL, fire_later, &firing);
    assert_false(call(&f));
    int64_t now = clock_mono_ms();
    pthread_join(thread, NULL);
    assert_true(now - firing.at <= 1200);
    assert_int_equal(f.fault.kind, FAULT_NONE);
    stop(&f);
    usleep(2000000); /* the resolver's thread ends by itself */
}

static void deadline(void **state)
{
    (void)state;
    static const struct step steps[] = {{NULL, HANG}};
    struct fixture f;
    start(&f, steps, COUNT(steps), NULL);
    int64_t began = clock_mono_ms();
    f.cancel.deadline = began + 200;
    assert_false(call(&f));
    assert_int_equal(f.fault.kind, FAULT_NONE);
    assert_int_equal(cancel_check(&f.cancel), CANCEL_DEADLINE);
    assert_in_range(clock_mono_ms() - began, 200, 5000);
    stop(&f);
}

#define BUSY HEAD("503 Busy") "Content-Length: ?\r\n\r\n{\"error\":{\"message\":\"s3cret-key up\"}}"

static void retry(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {BUSY, KEEP}, {HEAD("429 Slow") "Retry-After: 0\r\nContent-Length: ?\r\n\r\n{}", KEEP}, {ANSWER, KEEP}};
    struct fixture f;
    start(&f, steps, COUNT(steps), NULL);
    assert_true(call(&f));
    assert_int_equal(f.answer.attempts, 3);
    assert_int_equal(f.seen.retries, 2);
    assert_int_equal(f.server.connections, 1);
    stop(&f);
}

static void retry_in_vain(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {BUSY, KEEP}, {NULL, CLOSE}, {HEAD("429 Slow") "Retry-After: 7\r\nContent-Length: ?\r\n\r\n{}", KEEP}};
    struct fixture f;
    start(&f, steps, COUNT(steps), NULL);
    expect_fault(&f, FAULT_UNAVAILABLE, "HTTP 429", 3);
    assert_int_equal(f.fault.retry_after_ms, 7000);
    assert_int_equal(f.seen.retries, 2);
    /* No time for the pause that the upstream asks for: not even one more attempt. */
    f.cancel.deadline = clock_mono_ms() + 5000;
    f.seen.retries = 0;
    expect_fault(&f, FAULT_UNAVAILABLE, "HTTP 429", 1);
    stop(&f);
}

static void longest_retry_after(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {HEAD("429 Slow") "Retry-After: 59\r\nContent-Length: ?\r\n\r\n{}", KEEP},
        {HEAD("429 Slow") "Retry-After: 60\r\nContent-Length: ?\r\n\r\n{}", KEEP},
        {HEAD("429 Slow") "Retry-After: 61\r\nContent-Length: ?\r\n\r\n{}", KEEP},
    };
    static const int waits_ms[] = {59000, 60000, 60000};
    struct fixture f;
    start(&f, steps, COUNT(steps), NULL);
    f.cancel.deadline = clock_mono_ms() + 5000; /* no time for another attempt */
    for (int i = 0; i < COUNT(waits_ms); i++) {
        expect_fault(&f, FAULT_UNAVAILABLE, "HTTP 429", 1);
        assert_int_equal(f.fault.retry_after_ms, waits_ms[i]);
    }
    stop(&f);
}

static void no_retry(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {HEAD("401 No") "Content-Length: ?\r\n\r\n{\"error\":{\"message\":\"key s3cret-key\"}}", KEEP},
        {HEAD("418 No") "Content-Length: ?\r\n\r\n{}", KEEP},
        {HEAD("302 Found") "Location: http://169.254.169.254/\r\nContent-Length: ?\r\n\r\n", KEEP},
        {HEAD("400 No") "Content-Length: ?\r\n\r\n{\"error\":{\"message\":\"x\",\"code\":\"context_length_exceeded\"}}", CLOSE},
        {"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: ?\r\n\r\n<html>", KEEP},
        {HEAD("200 OK") "Content-Encoding: gzip\r\nContent-Length: ?\r\n\r\n{}", KEEP},
    };
    struct fixture f;
    start(&f, steps, COUNT(steps), NULL);
    expect_fault(&f, FAULT_STATE, "HTTP 401: key ***", 1);
    assert_int_equal(f.fault.message, MSG_provider_refused);
    assert_null(strstr(f.upstream_error, "s3cret"));
    assert_non_null(strstr(f.upstream_error, "{\"error\":"));
    expect_fault(&f, FAULT_STATE, "HTTP 418", 1);
    expect_fault(&f, FAULT_STATE, "redirects are not followed", 1);
    assert_false(f.answer.context_overflow);
    expect_fault(&f, FAULT_INVALID, "HTTP 400", 1);
    assert_true(f.answer.context_overflow);
    expect_fault(&f, FAULT_STATE, "text/html", 1);
    expect_fault(&f, FAULT_UNAVAILABLE, "compressed", 1);
    assert_int_equal(f.seen.retries, 0);
    stop(&f);
}

static void lower_max_tokens(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {HEAD("400 No") "Content-Length: ?\r\n\r\n{\"error\":{\"message\":\"max_tokens is too large. Use at most 5 now\"}}", CLOSE},
        {ANSWER, KEEP},
    };
    struct fixture f;
    start(&f, steps, COUNT(steps), NULL);
    f.request.params.max_tokens = 100;
    assert_true(call(&f));
    assert_int_equal(f.answer.attempts, 2);
    assert_int_equal(f.seen.retries, 0);
    assert_non_null(strstr(f.server.last_request, "\"max_tokens\":5}"));
    stop(&f);
}

static void truncation(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {STREAM LAST, KEEP},
        {STREAM "a\r\ndata: {\"ch", CLOSE},
        {STREAM TICK LAST, KEEP},
        {STREAM TICK, CLOSE},
        {STREAM TICK DONE, HANG},
    };
    struct fixture f;
    start(&f, steps, COUNT(steps), NULL);
    expect_fault(&f, FAULT_UNAVAILABLE, "stream truncated", 3);
    assert_string_equal(f.answer.text, "tick ");
    assert_int_equal(f.seen.retries, 2);
    f.seen.retries = 0;
    expect_fault(&f, FAULT_UNAVAILABLE, "stream truncated", 1);
    /* All is said, only the end of the body is missing. */
    int64_t began = clock_mono_ms();
    assert_true(call(&f));
    assert_true(clock_mono_ms() - began < slower(2000));
    stop(&f);
}

static void clocks(void **state)
{
    (void)state;
    static const struct step steps[] = {{STREAM TICK, COMMENTS}, {STREAM, EVENTS}, {STREAM, COMMENTS}};
    struct fixture f;
    start(&f, steps, COUNT(steps), NULL);
    /* Comments do not feed the stall clock (300 ms), events do. */
    int64_t began = clock_mono_ms();
    expect_fault(&f, FAULT_UNAVAILABLE, "the stream stalled", 1);
    assert_in_range(clock_mono_ms() - began, 300, slower(1000));
    f.cancel.deadline = clock_mono_ms() + 1500;
    assert_false(call(&f));
    assert_int_equal(f.fault.kind, FAULT_NONE);
    assert_true(strlen(f.answer.text) > 5 * 15);
    f.cancel.deadline = 0;
    f.cancel.reason = CANCEL_NONE;
    /* Only comments: the first-byte clock (700 ms), three times. */
    began = clock_mono_ms();
    expect_fault(&f, FAULT_UNAVAILABLE, "no answer came in time", 3);
    assert_in_range(clock_mono_ms() - began, 2100, slower(3500));
    for (int i = 0; i < 100 && f.server.gone < 5; i++)
        usleep(10000);
    assert_int_equal(f.server.gone, 5);
    stop(&f);
}

static void silent_clocks(void **state)
{
    (void)state;
    static const struct step steps[] = {{NULL, HANG}, {NULL, HANG}, {NULL, HANG}, {STREAM TICK, HANG}};
    struct fixture f;
    start(&f, steps, COUNT(steps), NULL);
    f.request.stream = false;
    int64_t began = clock_mono_ms();
    expect_fault(&f, FAULT_UNAVAILABLE, "the answer took too long", 3);
    assert_in_range(clock_mono_ms() - began, 2100, slower(3500));
    /* Nothing arrives at all: looked at once a second. */
    f.request.stream = true;
    began = clock_mono_ms();
    expect_fault(&f, FAULT_UNAVAILABLE, "the stream stalled", 1);
    assert_in_range(clock_mono_ms() - began, 300, slower(1600));
    assert_true(f.seen.ticks >= 4);
    assert_true(f.seen.longest_silence <= slower(1200));
    stop(&f);
}

static void floods(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"HTTP/1.1 400 No\r\nConnection: close\r\n\r\n", FLOOD},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ndata: ", FLOOD},
        {"HTTP/1.1 200 OK\r\nX-Long: ", FLOOD},
    };
    struct fixture f;
    start(&f, steps, COUNT(steps), NULL);
    expect_fault(&f, FAULT_STATE, "HTTP 400: xxx", 1);
    assert_int_equal(strlen(f.fault.args[1]), 500);
    assert_int_equal(strlen(f.upstream_error), 2000);
    expect_fault(&f, FAULT_UNAVAILABLE, "larger than 4 MiB", 1);
    assert_false(call(&f));
    assert_int_equal(f.fault.kind, FAULT_UNAVAILABLE);
    stop(&f);
}

/* Status line, header lines and the empty line together, as curl counts them. */
static void largest_head(void **state)
{
    (void)state;
    enum { LARGEST = 64 << 10 };
    static const char begin[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n", line[] = "X-Long: ";
    for (size_t size = LARGEST; size <= LARGEST + 1; size++) {
        struct buf head = BUF_INIT(2 * LARGEST);
        buf_adds(&head, begin);
        while (head.len < size - 2) {
            size_t left = size - 2 - head.len, whole = left < 2000 ? left : 1000;
            buf_adds(&head, line);
            for (size_t i = sizeof line + 1; i < whole; i++)
                buf_addc(&head, 'x');
            buf_adds(&head, "\r\n");
        }
        buf_adds(&head, "\r\n");
        assert_int_equal(head.len, size);
        struct step step = {buf_str(&head), CLOSE};
        struct fixture f;
        start(&f, &step, 1, NULL);
        struct http_call h = {.url = f.url, .cancel = &f.cancel, .on_body = keep_body, .private_allowed = true};
        http_perform(&h);
        assert_int_equal(h.end, size == LARGEST ? HTTP_DONE : HTTP_NETWORK);
        stop(&f);
        buf_release(&head);
    }
}

static void refused_connection(void **state)
{
    (void)state;
    static const struct step steps[] = {{ANSWER, KEEP}};
    struct fixture f;
    start(&f, steps, COUNT(steps), NULL);
    f.provider.base_url = "http://127.0.0.1:1/v1";
    expect_fault(&f, FAULT_UNAVAILABLE, "connect", 3);
    stop(&f);
}

static void retry_after_date(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {HEAD("429 x") "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\nContent-Length: ?\r\n\r\n", KEEP},
        {HEAD("429 x") "retry-after:  Thu, 31 Dec 2099 23:59:59 GMT \r\nContent-Length: ?\r\n\r\n", KEEP},
        {HEAD("429 x") "Retry-After: soon\r\nContent-Length: ?\r\n\r\n", KEEP},
        {HEAD("429 x") "Retry-After: 99999999999999999999\r\nContent-Length: ?\r\n\r\n", KEEP},
    };
    struct fixture f;
    start(&f, steps, COUNT(steps), NULL);
    struct http_call h = {.url = f.url, .cancel = &f.cancel, .on_body = keep_body, .private_allowed = true};
    http_perform(&h);
    assert_int_equal(h.end, HTTP_DONE);
    assert_int_equal(h.retry_after_ms, 0);
    http_perform(&h);
    assert_true(h.retry_after_ms > 86400000);
    http_perform(&h);
    assert_int_equal(h.retry_after_ms, -1);
    http_perform(&h);
    assert_int_equal(h.retry_after_ms, 86400000);
    assert_non_null(strstr(f.server.last_request, "GET /v1 HTTP/1.1"));
    stop(&f);
}

int main(void)
{
    fixture_clocks();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reuse),
        cmocka_unit_test(address_rule),
        cmocka_unit_test(judged_when_connecting),
        cmocka_unit_test(cancel_fresh),
        cmocka_unit_test(cancel_reused),
        cmocka_unit_test(cancel_streaming),
        cmocka_unit_test(cancel_resolving),
        cmocka_unit_test(deadline),
        cmocka_unit_test(retry),
        cmocka_unit_test(retry_in_vain),
        cmocka_unit_test(longest_retry_after),
        cmocka_unit_test(no_retry),
        cmocka_unit_test(lower_max_tokens),
        cmocka_unit_test(truncation),
        cmocka_unit_test(clocks),
        cmocka_unit_test(silent_clocks),
        cmocka_unit_test(floods),
        cmocka_unit_test(largest_head),
        cmocka_unit_test(refused_connection),
        cmocka_unit_test(retry_after_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

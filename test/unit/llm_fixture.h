/* One call of the llm room against the tiny upstream: provider, request, sink, and what came of it. */
#ifndef CLAWGATE_TEST_LLM_FIXTURE_H
#define CLAWGATE_TEST_LLM_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "llm/llm.h"

#include "llm_server.h"

#define HEAD(status) "HTTP/1.1 " status "\r\nContent-Type: application/json\r\n"
#define ANSWER                                                                                                         \
    HEAD("200 OK")                                                                                                     \
    "Content-Length: ?\r\n\r\n{\"choices\":[{\"message\":{\"content\":\"Hello\"},\"finish_reason\":\"stop\"}]}"
#define STREAM "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
#define TICK "33\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"tick \"}}]}\n\n\r\n"
#define DONE "e\r\ndata: [DONE]\n\n\r\n"
#define LAST "0\r\n\r\n"
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

struct seen {
    struct buf text;
    atomic_int deltas;
    int flushes, ticks, retries;
    int64_t longest_silence, last_tick;
};

struct fixture {
    struct server server;
    struct arena *arena;
    struct cancel cancel;
    struct seen seen;
    struct llm_sink sink;
    char url[64];
    struct llm_provider provider;
    struct llm_message message;
    struct llm_request request;
    struct llm_answer answer;
    struct fault fault;
    const char *upstream_error;
};

static inline void on_text(void *ctx, const char *s, size_t n)
{
    struct seen *seen = ctx;
    buf_add(&seen->text, s, n);
    atomic_fetch_add(&seen->deltas, 1);
}

static inline void on_flush(void *ctx)
{
    ((struct seen *)ctx)->flushes++;
}

static inline void on_tick(void *ctx)
{
    struct seen *seen = ctx;
    int64_t now = clock_mono_ms();
    if (seen->last_tick && now - seen->last_tick > seen->longest_silence)
        seen->longest_silence = now - seen->last_tick;
    seen->last_tick = now;
    seen->ticks++;
}

static inline void on_retrying(void *ctx, int attempt, int max_attempts, const char *why)
{
    struct seen *seen = ctx;
    assert_int_equal(attempt, ++seen->retries);
    assert_int_equal(max_attempts, 3);
    assert_true(strlen(why) > 0);
}

static inline void start(struct fixture *f, const struct step *steps, int count, SSL_CTX *tls)
{
    memset(f, 0, sizeof(*f));
    server_start(&f->server, steps, count, tls);
    llm_start();
    f->arena = arena_new();
    buf_init(&f->seen.text, 1 << 20);
    cancel_init(&f->cancel, 0);
    f->sink = (struct llm_sink){on_text, NULL, on_flush, on_tick, on_retrying, &f->seen};
    snprintf(f->url, sizeof(f->url), "%s:%d/v1", tls ? "https://localhost" : "http://127.0.0.1", f->server.port);
    f->provider = (struct llm_provider){
        .name = "up", .type = "openai_compat", .base_url = f->url, .api_key = "s3cret-key", .private_allowed = true};
    f->message = (struct llm_message){.role = LLM_USER, .text = "hi"};
    f->request = (struct llm_request){
        .model = "m", .messages = &f->message, .message_count = 1, .params = LLM_PARAMS_NONE, .stream = true};
}

static inline void stop(struct fixture *f)
{
    llm_stop();
    server_stop(&f->server);
    cancel_release(&f->cancel);
    buf_release(&f->seen.text);
    arena_free(f->arena);
}

static inline bool call(struct fixture *f)
{
    return llm_call(f->arena, &f->provider, &f->request, &f->sink, &f->cancel, &f->answer, &f->fault,
                    &f->upstream_error);
}

static inline void expect_fault(struct fixture *f, enum fault_kind kind, const char *part, int attempts)
{
    assert_false(call(f));
    assert_int_equal(f->fault.kind, kind);
    if (!strstr(f->fault.args[1], part))
        fail_msg("%s", f->fault.args[1]);
    assert_string_equal(f->fault.args[0], "up");
    assert_int_equal(f->answer.attempts, attempts);
}

struct firing {
    struct cancel *cancel;
    atomic_int *count; /* wait until it has reached `least`; NULL: do not */
    int least;
    int64_t at;
};

static inline void *fire_later(void *ctx)
{
    struct firing *firing = ctx;
    while (firing->count && atomic_load(firing->count) < firing->least)
        usleep(1000);
    usleep(50000);
    firing->at = clock_mono_ms();
    cancel_fire(firing->cancel, CANCEL_BY_USER);
    return NULL;
}

/* Cancels while the call is blocked. Without the socket's shutdown it would end almost a second later; the rest is
 * room for a busy machine. */
static inline void expect_cancelled(struct fixture *f, atomic_int *count, int least)
{
    struct firing firing = {.cancel = &f->cancel, .count = count, .least = least};
    pthread_t thread;
    pthread_create(&thread, NULL, fire_later, &firing);
    assert_false(call(f));
    int64_t now = clock_mono_ms();
    pthread_join(thread, NULL);
    assert_true(now - firing.at <= 400);
    assert_int_equal(f->fault.kind, FAULT_NONE);
    assert_int_equal(cancel_check(&f->cancel), CANCEL_BY_USER);
    assert_int_equal(f->cancel.fd, -1);
}

/* Short clocks, read by llm_start. */
static inline void fixture_clocks(void)
{
    signal(SIGPIPE, SIG_IGN);
    setenv("CLAWGATE_UPSTREAM_CONNECT_MS", "2000", 1);
    setenv("CLAWGATE_UPSTREAM_FIRST_BYTE_MS", "700", 1);
    setenv("CLAWGATE_UPSTREAM_STALL_MS", "300", 1);
    setenv("CLAWGATE_UPSTREAM_TOTAL_MS", "700", 1);
    setenv("CLAWGATE_UPSTREAM_RETRY_MS", "10", 1);
}

#endif

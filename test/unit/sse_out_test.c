/* The event stream (common/web/sse_out.h; contract 03 §1.9). */
#include <stdarg.h>

#include "web_fixture.h"

#include "base/clock.h"
#include "web/sse_out.h"

enum { GATHER_MAX = 1 << 20, WALL_MS = 1000 };

/* A clock of our own, in place of clock.c: keepalives are due when the test says so. */
static int64_t now_ms;

int64_t clock_ms(void)
{
    return WALL_MS;
}

int64_t clock_mono_ms(void)
{
    return now_ms;
}

void time_format(int64_t ms, char out[TIME_TEXT_SIZE])
{
    snprintf(out, TIME_TEXT_SIZE, "%lld", (long long)ms);
}

bool time_parse(const char *s, int64_t *ms)
{
    (void)s;
    *ms = WALL_MS;
    return true;
}

static struct exchange x;
static handler_fn *step;

static reply run_step(struct request *req)
{
    return step(req);
}

static const struct route routes[] = {
    {ROW(GET, "/stream", PUBLIC, UNUSED, run_step)},
};
static const struct program program = {.name = "test", .routes = routes, .route_count = 1};
static const struct gateway gw = {.config = &config, .program = &program};

/* Runs a handler and compares what follows the head. */
static void stream(handler_fn *handler, const char *expected)
{
    step = handler;
    exchange_start(&x, "GET", "/stream");
    exchange_run(&x, &gw);
    assert_int_equal(x.status, 200);
    assert_string_equal(x.body, expected);
}

static reply headers_step(struct request *req)
{
    reply_header(req, "X-GoClaw-Run-Id", "run");
    sse_begin(req);
    assert_true(req->streaming);
    assert_int_equal(req_client_fd(req), -1);
    return sse_end(req);
}

static void the_head(void **state)
{
    (void)state;
    stream(headers_step, "");
    assert_string_equal(exchange_header(&x, "Content-Type"), "text/event-stream");
    assert_string_equal(exchange_header(&x, "Cache-Control"), "no-cache");
    assert_string_equal(exchange_header(&x, "Connection"), "keep-alive");
    assert_string_equal(exchange_header(&x, "X-Accel-Buffering"), "no");
    assert_string_equal(exchange_header(&x, "X-GoClaw-Run-Id"), "run");
    assert_null(exchange_header(&x, "Content-Length"));
    exchange_end(&x);
}

static reply gather_step(struct request *req)
{
    sse_begin(req);
    size_t before = x.t.out.len;
    sse_frame(req, NULL, "{}", 2);
    sse_frame(req, "message", "12", 2);
    assert_int_equal(x.t.out.len, before);
    assert_true(sse_flush(req));
    assert_true(x.t.out.len > before);
    before = x.t.out.len;
    assert_true(sse_flush(req)); /* nothing new */
    assert_int_equal(x.t.out.len, before);
    sse_frame(req, NULL, "[DONE]", 6);
    return sse_end(req);
}

static void frames_leave_in_one_flush(void **state)
{
    (void)state;
    stream(gather_step, "data: {}\n\nevent: message\ndata: 12\n\ndata: [DONE]\n\n");
    exchange_end(&x);
}

static reply overflow_step(struct request *req)
{
    enum { HALF = GATHER_MAX / 2, FRAMING = 8 };
    char *data = arena_alloc(req->arena, HALF);
    memset(data, 'x', HALF);
    sse_begin(req);
    size_t before = x.t.out.len;
    sse_frame(req, NULL, data, HALF - FRAMING);
    sse_frame(req, NULL, data, HALF - FRAMING); /* up to the limit they wait */
    assert_int_equal(x.t.out.len, before);
    sse_frame(req, NULL, data, 1);
    assert_int_equal(x.t.out.len, before + GATHER_MAX);
    return sse_end(req);
}

static void much_that_was_gathered_leaves_by_itself(void **state)
{
    (void)state;
    step = overflow_step;
    exchange_start(&x, "GET", "/stream");
    exchange_run(&x, &gw);
    exchange_end(&x);
}

static reply keepalive_step(struct request *req)
{
    now_ms = 50000;
    sse_begin(req);
    now_ms += SSE_KEEPALIVE_MS - 1;
    assert_true(sse_keepalive(req)); /* not yet */
    size_t before = x.t.out.len;
    now_ms++;
    assert_true(sse_keepalive(req));
    assert_true(x.t.out.len > before);
    assert_true(sse_keepalive(req)); /* the clock starts anew */
    now_ms += SSE_KEEPALIVE_MS - 1;
    sse_frame(req, NULL, "1", 1);
    sse_flush(req);
    now_ms++;
    assert_true(sse_keepalive(req)); /* a frame was sent meanwhile */
    return sse_end(req);
}

static void a_silent_stream_is_kept_alive(void **state)
{
    (void)state;
    stream(keepalive_step, ": keepalive\n\ndata: 1\n\n");
    exchange_end(&x);
}

static reply gone_step(struct request *req)
{
    assert_false(sse_client_gone(req)); /* before there is a stream */
    sse_begin(req);
    assert_false(sse_client_gone(req));
    x.t.out.max = x.t.out.len + 10; /* the next write fails */
    sse_frame(req, NULL, "a frame that is too long", 24);
    assert_false(sse_flush(req));
    assert_true(sse_client_gone(req));
    x.t.out.max = (size_t)1 << 20;
    x.t.out.failed = false;
    size_t before = x.t.out.len;
    sse_frame(req, NULL, "1", 1);
    assert_false(sse_flush(req));
    now_ms += SSE_KEEPALIVE_MS;
    assert_false(sse_keepalive(req));
    assert_int_equal(x.t.out.len, before);
    return sse_end(req);
}

static void nothing_follows_after_the_client_left(void **state)
{
    (void)state;
    stream(gone_step, "");
    exchange_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_head),
        cmocka_unit_test(frames_leave_in_one_flush),
        cmocka_unit_test(much_that_was_gathered_leaves_by_itself),
        cmocka_unit_test(a_silent_stream_is_kept_alive),
        cmocka_unit_test(nothing_follows_after_the_client_left),
    };
    return cmocka_run_group_tests(tests, config_setup, NULL);
}

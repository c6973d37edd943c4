#include "llm_fixture.h"
#include "slower.h"

#define MESSAGE                                                                                                        \
    HEAD("200 OK") "Content-Length: ?\r\n\r\n{\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"Hello\"}]," \
                   "\"stop_reason\":\"end_turn\"}"

static void start_anthropic(struct fixture *f, const struct step *steps, int count)
{
    start(f, steps, count, NULL);
    f->provider.type = "anthropic_native";
    f->request.stream = false;
}

static bool sent(const struct fixture *f, const char *line)
{
    return strstr(f->server.last_request, line) != NULL;
}

static void headers(void **state)
{
    (void)state;
    static const struct step steps[] = {{MESSAGE, KEEP}};
    struct fixture f;
    start_anthropic(&f, steps, COUNT(steps));
    assert_true(call(&f));
    assert_string_equal(f.answer.text, "Hello");
    assert_true(sent(&f, "POST /v1/messages HTTP/1.1\r\n") && sent(&f, "\r\nx-api-key: s3cret-key\r\n"));
    assert_true(sent(&f, "\r\nanthropic-version: 2023-06-01\r\n") && sent(&f, "\r\nAccept: application/json\r\n"));
    assert_true(!sent(&f, "anthropic-beta") && !sent(&f, "Authorization"));
    snprintf(f.url, sizeof(f.url), "http://127.0.0.1:%d/?a=b", f.server.port);
    f.request.params.reasoning_effort = "low";
    assert_true(call(&f));
    assert_true(sent(&f, "POST /v1/messages?a=b HTTP/1.1\r\n"));
    assert_true(sent(&f, "\r\nanthropic-beta: interleaved-thinking-2025-05-14\r\n"));
    f.provider.api_key = "sk-ant-oat01-token";
    assert_true(call(&f));
    assert_true(sent(&f, "\r\nAuthorization: Bearer sk-ant-oat01-token\r\n") && !sent(&f, "x-api-key"));
    assert_true(sent(&f, "\r\nanthropic-beta: oauth-2025-04-20,interleaved-thinking-2025-05-14\r\n"));
    f.request.params.reasoning_effort = NULL;
    f.provider.type = "anthropic_oauth";
    f.provider.api_key = "other";
    assert_true(call(&f));
    assert_true(sent(&f, "\r\nAuthorization: Bearer other\r\n") && sent(&f, "\r\nanthropic-beta: oauth-2025-04-20\r\n"));
    stop(&f);
}

static void too_many_tokens(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {HEAD("400 No") "Content-Length: ?\r\n\r\n{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\","
                        "\"message\":\"max_tokens: 40192 > 32000, which is the maximum allowed number of output tokens for m\"}}",
         CLOSE},
        {MESSAGE, KEEP},
    };
    struct fixture f;
    start_anthropic(&f, steps, COUNT(steps));
    f.request.params.reasoning_effort = "high";
    assert_true(call(&f));
    assert_int_equal(f.answer.attempts, 2);
    assert_true(sent(&f, "\"max_tokens\":32000,") && sent(&f, "\"budget_tokens\":27904}"));
    stop(&f);
}

#define TEXT_CHUNK "56\r\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"text\":\"a text of a length\"}}\n\n\r\n"
#define STOP_CHUNK "1f\r\ndata: {\"type\":\"message_stop\"}\n\n\r\n"

static void streams(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {HEAD("529 Overloaded") "Content-Length: ?\r\n\r\n{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
                                "\"message\":\"Overloaded\"}}", KEEP},
        {STREAM LAST, KEEP},
        {STREAM TEXT_CHUNK STOP_CHUNK LAST, KEEP},
        {STREAM TEXT_CHUNK LAST, KEEP},
        {STREAM TEXT_CHUNK STOP_CHUNK, HANG},
    };
    struct fixture f;
    start_anthropic(&f, steps, COUNT(steps));
    f.request.stream = true;
    assert_true(call(&f));
    assert_true(sent(&f, "\r\nAccept: text/event-stream\r\n"));
    assert_int_equal(f.answer.attempts, 3);
    assert_int_equal(f.seen.retries, 2);
    assert_string_equal(buf_str(&f.seen.text), "a text of a length");
    /* Once text was passed on there is no other attempt. */
    expect_fault(&f, FAULT_UNAVAILABLE, "stream truncated", 1);
    /* All is said, only the end of the body is missing. */
    int64_t began = clock_mono_ms();
    assert_true(call(&f));
    assert_true(clock_mono_ms() - began < slower(2000));
    stop(&f);
}

#define THOUGHT_CHUNK "56\r\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"thinking\":\"a thought lost\"}}\n\n\r\n"
#define ERROR_CHUNK "4d\r\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Busy\"}}\n\n\r\n"

static void on_thinking(void *ctx, const char *s, size_t n)
{
    (void)ctx, (void)s, (void)n;
}

/* Thoughts that nobody was told do not forbid another attempt. */
static void thoughts_and_retries(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {STREAM THOUGHT_CHUNK ERROR_CHUNK LAST, CLOSE}, {STREAM TEXT_CHUNK STOP_CHUNK LAST, KEEP},
        {STREAM THOUGHT_CHUNK ERROR_CHUNK LAST, CLOSE},
    };
    struct fixture f;
    start_anthropic(&f, steps, COUNT(steps));
    f.request.stream = true;
    assert_true(call(&f));
    assert_int_equal(f.answer.attempts, 2);
    assert_string_equal(f.answer.thinking, "");
    f.sink.thinking = on_thinking;
    expect_fault(&f, FAULT_UNAVAILABLE, "Busy", 1);
    stop(&f);
}

static void overflow(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {HEAD("400 No") "Content-Length: ?\r\n\r\n{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\","
                        "\"message\":\"prompt is too long: 205000 tokens > 200000 maximum\"}}", CLOSE},
    };
    struct fixture f;
    start_anthropic(&f, steps, COUNT(steps));
    expect_fault(&f, FAULT_INVALID, "prompt is too long", 1);
    assert_true(f.answer.context_overflow);
    stop(&f);
}

/* Pings feed neither the first-byte clock (700 ms) nor the stall clock (300 ms). */
static void pings(void **state)
{
    (void)state;
    static const struct step steps[] = {{STREAM TEXT_CHUNK, PINGS}, {STREAM, PINGS}};
    struct fixture f;
    start_anthropic(&f, steps, COUNT(steps));
    f.request.stream = true;
    int64_t began = clock_mono_ms();
    expect_fault(&f, FAULT_UNAVAILABLE, "the stream stalled", 1);
    assert_in_range(clock_mono_ms() - began, 300, slower(1000));
    began = clock_mono_ms();
    expect_fault(&f, FAULT_UNAVAILABLE, "no answer came in time", 3);
    assert_in_range(clock_mono_ms() - began, 2100, slower(3500));
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers),  cmocka_unit_test(too_many_tokens), cmocka_unit_test(streams),
        cmocka_unit_test(overflow), cmocka_unit_test(pings),           cmocka_unit_test(thoughts_and_retries),
    };
    fixture_clocks();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "reader_fixture.h"

#include "llm/openai.h"
#include "llm/redact.h"

static void expect(int status, const char *body, const char *wanted)
{
    expect_body(&openai_dialect, status, "application/json", body, wanted);
}

#define DELTA(json) "data: {\"choices\":[{\"index\":0,\"delta\":" json "}]}\n\n"
#define FINISH(why) "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" why "\"}]}\n\n"
#define DONE "data: [DONE]\n\n"

static void plain(void **state)
{
    (void)state;
    expect(200,
           "{\"choices\":[{\"message\":{\"content\":\"Hi \xF0\x9F\x98\x80\",\"reasoning_content\":\"hm\"},"
           "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15,"
           "\"prompt_tokens_details\":{\"cached_tokens\":4},\"completion_tokens_details\":{\"reasoning_tokens\":2}}}",
           "Hi \xF0\x9F\x98\x80 [hm] stop 10+5=15 c4 w0 r2");
    expect(200, "\xEF\xBB\xBF \n{\"choices\":[{\"message\":{\"content\":\"x\",\"reasoning\":\"y\"},\"finish_reason\":\"length\"}]}\n",
           "x [y] length");
    expect(200, "{\"choices\":[{\"message\":{\"content\":null,\"refusal\":\"no\"},\"finish_reason\":\"content_filter\"}]}",
           "no [] content_filter");
    expect(200, "{\"choices\":[{\"message\":{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"text\":\"t\"}]},"
                "{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"},7]},\"finish_reason\":\"stop\"}]}",
           "ab [t] stop");
    expect(200, "{\"choices\":[{\"message\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":-1}}",
           "a [] stop 3+0=3 c0 w0 r0");
}

static void plain_tool_calls(void **state)
{
    (void)state;
    expect(200, "{\"choices\":[{\"message\":{\"content\":\"\",\"tool_calls\":["
                "{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}},"
                "{\"id\":\"c2\",\"function\":{\"name\":\"g\",\"arguments\":{\"b\":[2]}}},"
                "{\"id\":\"c3\",\"function\":{\"name\":\"h\",\"arguments\":\"\"}},"
                "{\"id\":\"c4\",\"function\":{\"name\":\"i\",\"arguments\":\"{\\\"a\\\":\"}},{},3]},"
                "\"finish_reason\":\"stop\"}]}",
           " [] tool_calls c1:f({\"a\":1}) c2:g({\"b\":[2]}) c3:h({}) c4:i({\"a\":)!");
    expect(200, "{\"choices\":[{\"message\":{\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"null\"}},"
                "{\"id\":\"d\",\"function\":{\"name\":\"f\",\"arguments\":\" \\n\"}},{\"id\":\"e\",\"function\":{\"name\":\"f\","
                "\"arguments\":null}}]}}]}",
           " [] tool_calls c:f({}) d:f({}) e:f({})");
    expect(200, "{\"choices\":[{\"message\":{\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"[]\"}}]},"
                "\"finish_reason\":\"length\"}]}",
           " [] length c:f([])!");
    expect(200, "{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"tool_calls\"}]}", "x [] stop");
}

static void plain_errors(void **state)
{
    (void)state;
    expect(200, "{\"error\":{\"message\":\"slow down\",\"type\":\"rate_limit_error\"}}", "429 slow down (transient)");
    expect(200, "{\"error\":{\"message\":\"broken\",\"code\":503}}", "503 broken (transient)");
    expect(200, "{\"error\":{\"message\":\"bad\",\"code\":\"invalid_request_error\"}}", "400 bad");
    expect(200, "{\"error\":\"odd\",\"choices\":[{\"message\":{\"content\":\"x\"}}]}", "502 odd (transient)");
    expect(200, "{\"error\":null,\"choices\":[{\"message\":{\"content\":\"x\"}}]}", "x [] stop");
    expect(200, "{\"choices\":[]}", "502 the answer holds no choices");
    expect(200, "{\"base_resp\":{\"status_code\":1004,\"status_msg\":\"login fail\"}}", "401 login fail");
    expect(200, "{\"choices\":null,\"base_resp\":{\"status_code\":1002,\"status_msg\":\"rate limit\"}}", "429 rate limit (transient)");
    expect(200, "{\"choices\":[],\"base_resp\":{\"status_code\":2013,\"status_msg\":\"bad params\"}}", "400 bad params");
    expect(200, "{\"base_resp\":{\"status_code\":7,\"status_msg\":\"odd\"}}", "502 odd (transient)");
    expect(200, "{\"choices\":[{\"message\":{\"content\":\"x\"}}],\"base_resp\":{\"status_code\":0,\"status_msg\":\"success\"}}",
           "x [] stop");
    expect(200, "{\"choices\":[{\"message\":{\"content\":\"cut", "502 the answer is not valid JSON (transient)");
    expect(200, "{} trailing", "502 the answer is not valid JSON (transient)");
    expect(200, "", "0 the answer is empty (transient)");
    expect(200, " \n", "0 the answer is empty (transient)");
    expect_body(&openai_dialect, 200, "text/html", "<html>hello</html>",
                "200 the answer is text/html instead of JSON; is the base URL right? (blocked)");
}

static void http_errors(void **state)
{
    (void)state;
    expect(429, "{\"error\":{\"message\":\"slow down\"}}", "429 HTTP 429: slow down (transient)");
    expect(401, "{\"message\":\"bad key\",\"code\":\"x\"}", "401 HTTP 401: bad key");
    expect(400, "{\"detail\":[{\"msg\":\"field required\"}]}", "400 HTTP 400: field required");
    expect(400, "[{\"error\":{\"message\":\"in an array\"}}]", "400 HTTP 400: in an array");
    expect(500, "event: error\ndata: {\"error\":\"framed\"}\n\n", "500 HTTP 500: framed (transient)");
    expect(502, "<html>Bad {Gateway}</html>", "502 HTTP 502 (transient)");
    expect(503, "no healthy upstream", "503 HTTP 503: no healthy upstream (transient)");
    expect(404, "", "404 HTTP 404");
    expect(302, "", "302 HTTP 302: redirects are not followed");
    expect(529, "{}", "529 HTTP 529 (transient)");
    expect(418, "{\"error\":{}}", "418 HTTP 418");
}

static void stream(void **state)
{
    (void)state;
    expect(200, DELTA("{\"role\":\"assistant\",\"content\":\"\"}") DELTA("{\"content\":\"Hi \"}") ": ping\n\n"
           DELTA("{\"content\":\"\xF0\x9F\x98\x80\"}") FINISH("stop")
           "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n"
           "data: {\"choices\":[],\"usage\":{}}\n\n" DONE,
           "Hi \xF0\x9F\x98\x80 [] stop 7+2=9 c0 w0 r0");
    expect(200, "data:{\"choices\":[{\"delta\":{\"reasoning\":\"a\"}}]}\r\n\r\n"
                "data:{\"choices\":[{\"delta\":{\"reasoning_content\":\"b\",\"content\":\"c\"},\"finish_reason\":\"length\"}]}\r\n\r\n",
           "c [ab] length");
    expect(200, DELTA("{\"content\":\"x\"}") "data: not json\n\n" DELTA("{\"content\":\"y\"}") DONE, "xy [] stop");
    expect(200, DELTA("{\"content\":\"x\"}") DONE DELTA("{\"content\":\"late\"}"), "x [] stop");
    expect(200, DELTA("{\"content\":\"x\"}") "data: [DONE]", "x [] stop");
    expect(200, "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"other\"}},{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n"
           DONE, "x [] stop");
    expect(200, DELTA("{\"content\":\"x\"}") "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\",\"usage\":"
                "{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}}]}\n\n" DONE,
           "x [] stop 1+1=2 c0 w0 r0");
    expect(200, DELTA("{\"content\":\"x\"}") "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"x_groq\":{\"usage\":"
           "{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}}}\n\n" DONE,
           "x [] stop 1+1=2 c0 w0 r0");
}

/* Some providers end a stream with the whole message once more; some send nothing else. */
static void stream_with_a_whole_message(void **state)
{
    (void)state;
#define WHOLE "data: {\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"message\":{\"content\":\"Hi you\"," \
              "\"reasoning_content\":\"hm\"}}],\"usage\":{\"total_tokens\":3,\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n"
    expect(200, DELTA("{\"reasoning_content\":\"hm\"}") DELTA("{\"content\":\"Hi \"}") DELTA("{\"content\":\"you\"}") WHOLE,
           "Hi you [hm] stop 1+2=3 c0 w0 r0");
    expect(200, WHOLE DONE, "Hi you [hm] stop 1+2=3 c0 w0 r0");
    expect(200, DELTA("{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}")
           "data: {\"choices\":[{\"finish_reason\":\"tool_calls\",\"message\":{\"content\":\"\",\"tool_calls\":[{\"id\":\"a\","
           "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n\n" DONE,
           " [] tool_calls a:f({})");
#undef WHOLE
}

static void stream_tool_calls(void **state)
{
    (void)state;
    expect(200, DELTA("{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}")
           DELTA("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"x\\\"\"}}]}")
           DELTA("{\"tool_calls\":[{\"index\":3,\"id\":\"b\",\"function\":{\"arguments\":\"{}\"}}]}")
           DELTA("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\":1}\"}},{\"index\":3,\"function\":{\"name\":\"g\"}}]}")
           FINISH("tool_calls") DONE,
           " [] tool_calls a:f({\"x\":1}) b:g({})");
    /* All with index 0, and none with an index. */
    expect(200, DELTA("{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}")
           DELTA("{\"tool_calls\":[{\"index\":0,\"id\":\"b\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}") FINISH("stop"),
           " [] tool_calls a:f({}) b:f({})");
    expect(200, DELTA("{\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]}")
           DELTA("{\"tool_calls\":[{\"function\":{\"arguments\":\"}\"}}]}")
           DELTA("{\"tool_calls\":[{\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]}") FINISH("stop"),
           " [] tool_calls a:f({}) b:g({})");
    /* All with index 0 and without ids; a name may be repeated. */
    expect(200, DELTA("{\"tool_calls\":[{\"index\":0,\"id\":\"\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}}]}")
           DELTA("{\"tool_calls\":[{\"index\":0,\"id\":\"\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":2}\"}}]}")
           DELTA("{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"g\",\"arguments\":\"{\"}}]}")
           DELTA("{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"g\",\"arguments\":\"}\"}}]}")
           DELTA("{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]}") FINISH("stop"),
           " [] tool_calls :f({\"a\":1}) :f({\"a\":2}) :g({})");
    /* Id and name repeated in every fragment; a name in two pieces. */
    expect(200, DELTA("{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"get_\",\"arguments\":\"\"}}]}")
           DELTA("{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"it\",\"arguments\":\"\"}}]}")
           DELTA("{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"get_it\",\"arguments\":\"{}\"}}]}") FINISH("stop"),
           " [] tool_calls a:get_it({})");
}

static void stream_errors(void **state)
{
    (void)state;
    expect(200, DELTA("{\"content\":\"x\"}"), "x / 0 stream truncated (transient)");
    expect(200, DELTA("{\"content\":\"x\"}") "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"overloaded_error\"}}\n\n" DONE,
           "x / 529 overloaded (transient)");
    expect(200, DELTA("{\"content\":\"x\"}") "data: {\"choices\":[],\"base_resp\":{\"status_code\":1008,\"status_msg\":\"no balance\"}}\n\n",
           "x / 402 no balance");
    expect(200, DELTA("{\"content\":\"x\"}") "error: {\"code\":400,\"message\":\"exceeds the available context size\"}\n\n" DONE,
           "x / 400 exceeds the available context size");
    expect(200, "event: error\ndata: {\"message\":\"named\"}\n\n", "502 named (transient)");
    expect(200, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"error\",\"error\":{\"code\":400,\"message\":\"inner\"}}]}\n\n",
           "400 inner");
    expect(200, DELTA("{\"content\":\"x\"}") FINISH("error") DONE,
           "x / 502 the model stopped with the reason \"error\" (transient)");
    expect(200, DELTA("{\"content\":\"x\"}") FINISH("insufficient_system_resource") DONE,
           "x / 502 the model stopped with the reason \"insufficient_system_resource\" (transient)");
    expect(200, "{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"error\"}]}",
           "x / 502 the model stopped with the reason \"error\" (transient)");
    expect(200, ": only\n\n: comments\n\n", "0 stream truncated (transient)");
    struct arena *a = arena_new();
    const char *cut = DELTA("{\"content\":\"x\"}");
    assert_string_equal(outcome(&openai_dialect, a, 200, "", cut, strlen(cut), 0, "reset"), "x / 0 stream truncated: reset (transient)");
    const char *whole = FINISH("stop");
    assert_string_equal(outcome(&openai_dialect, a, 200, "", whole, strlen(whole), 0, "reset"), " [] stop");
    assert_string_equal(outcome(&openai_dialect, a, 0, "", "", 0, 0, "no route"), "0 no route (transient)");
    assert_string_equal(outcome(&openai_dialect, a, 200, "", "{\"choices\":", 11, 0, "reset"), "0 reset (transient)");
    assert_string_equal(outcome(&openai_dialect, a, 503, "", "{}", 2, 0, "reset"), "503 HTTP 503 (transient)");
    arena_free(a);
}

static void broken_text(void **state)
{
    (void)state;
    /* An emoji cut by the sender between two deltas, by bytes. */
    expect(200, DELTA("{\"content\":\"a\xF0\"}") DELTA("{\"content\":\"\x9F\x98\"}") DELTA("{\"content\":\"\x80" "b\"}") DONE,
           "a\xF0\x9F\x98\x80" "b [] stop");
    expect(200, DELTA("{\"content\":\"a\xE4\xBD\"}") DELTA("{\"content\":\"z\"}") DONE, "a\xEF\xBF\xBD\xEF\xBF\xBDz [] stop");
    expect(200, DELTA("{\"content\":\"a\xE4\"}") DELTA("{\"content\":\"\xE4\xBD\xA0\"}") DONE,
           "a\xEF\xBF\xBD\xE4\xBD\xA0 [] stop");
    expect(200, DELTA("{\"content\":\"a\xE4\"}") DONE, "a\xEF\xBF\xBD [] stop");
    expect(200, DELTA("{\"content\":\"a\xFF" "b\"}") DONE, "a\xEF\xBF\xBD" "b [] stop");
    expect(200, DELTA("{\"content\":\"a\\ud83d\"}") DELTA("{\"content\":\"\\ude00 \\u0000 \\ud83d\\ude00 \\\\u0000\"}") DONE,
           "a\xEF\xBF\xBD\xEF\xBF\xBD \xEF\xBF\xBD \xF0\x9F\x98\x80 \\u0000 [] stop");
    expect(200, DELTA("{\"content\":\"a\tb\"}") DONE, "a\tb [] stop");
    /* A number beyond 64 bits, such as an unsigned seed. */
    expect(200, "{\"choices\":[{\"seed\":15637236474690110000,\"message\":{\"content\":\"a 15637236474690110000\"}}],\"x\":["
                "-15637236474690110000,0.15637236474690110000,1563723647469011000000e-2,15637236474690110000]}",
           "a 15637236474690110000 [] stop");
    expect(200, DELTA("{\"tool_calls\":[{\"index\":0,\"id\":\"i\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":\\\"\xF0\x9F\"}}]}")
           DELTA("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\x98\x80\\\"}\"}}]}") DONE,
           " [] tool_calls i:f({\"x\":\"\xF0\x9F\x98\x80\"})");
}

static void feed_many(struct reader *rd, const char *chunk, size_t times, bool *alive)
{
    for (size_t i = 0; i < times && *alive; i++)
        *alive = reader_feed(rd, chunk, strlen(chunk));
}

static void limits(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct reply reply;
    struct reader rd;
    struct wire_result res;
    struct buf event = BUF_INIT(2 << 20);
    /* 8 MiB of text in events of 1 MiB, then one more byte. */
    buf_adds(&event, "data: {\"choices\":[{\"delta\":{\"content\":\"");
    for (int i = 0; i < 1 << 20; i++)
        buf_addc(&event, 'x');
    buf_adds(&event, "\"}}]}\n\n");
    bool alive = true;
    reply_init(&reply, NULL);
    reader_init(&rd, &openai_dialect, a, &reply, &res, 200, "");
    feed_many(&rd, buf_str(&event), 8, &alive);
    assert_true(alive);
    feed_many(&rd, DELTA("{\"content\":\"x\"}"), 1, &alive);
    assert_false(alive);
    reader_finish(&rd, NULL);
    assert_false(res.ok || res.transient);
    assert_int_equal(reply.text.all.len, 8 << 20);
    reader_release(&rd);
    reply_release(&reply);
    /* One event without end. */
    reply_init(&reply, NULL);
    reader_init(&rd, &openai_dialect, a, &reply, &res, 200, "");
    alive = true;
    feed_many(&rd, "data: ", 1, &alive);
    char fill[1025];
    memset(fill, 'x', sizeof(fill) - 1);
    fill[1024] = 0;
    feed_many(&rd, fill, 4096, &alive);
    assert_true(alive);
    feed_many(&rd, "x", 1, &alive);
    assert_false(alive);
    reader_release(&rd);
    /* A plain body of 16 MiB and one byte more. */
    reader_init(&rd, &openai_dialect, a, &reply, &res, 200, "");
    alive = true;
    feed_many(&rd, "{", 1, &alive);
    feed_many(&rd, fill, 16383, &alive);
    fill[1023] = 0;
    feed_many(&rd, fill, 1, &alive);
    assert_true(alive);
    feed_many(&rd, "x", 1, &alive);
    assert_false(alive);
    reader_release(&rd);
    reply_release(&reply);
    buf_release(&event);
    arena_free(a);
}

static void too_many_calls(void **state)
{
    (void)state;
    struct reply reply;
    reply_init(&reply, NULL);
    for (int i = 0; i < REPLY_CALLS_MAX; i++)
        assert_true(reply_tool_call(&reply, i, "id", "f", "{}", 2));
    assert_false(reply_tool_call(&reply, REPLY_CALLS_MAX, "id", "f", "{}", 2));
    assert_true(reply.too_large);
    reply_release(&reply);
}

/* One call that came in two pieces: may its id, its name and its arguments have these lengths? */
static bool call_fits(const char *text, size_t id, size_t name, size_t arguments)
{
    struct reply reply;
    reply_init(&reply, NULL);
    char *id_text = strndup(text, id), *name_text = strndup(text, name);
    bool ok = reply_tool_call(&reply, 0, id_text, name_text, text, arguments - 1) &&
              reply_tool_call(&reply, 0, NULL, NULL, text, 1);
    assert_int_equal(reply.too_large, !ok);
    reply_release(&reply);
    free(id_text);
    free(name_text);
    return ok;
}

static void long_calls(void **state)
{
    (void)state;
    enum { NAME = 4096, ARGUMENTS = 8 << 20 };
    char *text = malloc(ARGUMENTS + 1);
    memset(text, 'x', ARGUMENTS);
    text[ARGUMENTS] = 0;
    assert_true(call_fits(text, NAME, NAME, ARGUMENTS));
    assert_false(call_fits(text, NAME + 1, NAME, ARGUMENTS));
    assert_false(call_fits(text, NAME, NAME + 1, ARGUMENTS));
    assert_false(call_fits(text, NAME, NAME, ARGUMENTS + 1));
    free(text);
}

/* --- texts of errors --- */

static void hints(void **state)
{
    (void)state;
    assert_int_equal(wire_max_tokens_hint("max_tokens is too large: 9. This model supports at most 4096 completion"), 4096);
    assert_int_equal(wire_max_tokens_hint("'max_completion_tokens' is too large, at most 16384"), 16384);
    assert_int_equal(wire_max_tokens_hint("Invalid max_tokens value, the valid range of max_tokens is [1, 4096]"), 4096);
    assert_int_equal(wire_max_tokens_hint("`max_tokens` must be less than or equal to `4096`, the maximum value"), 4096);
    assert_int_equal(wire_max_tokens_hint("max_tokens should be in [1, many]"), 0);
    assert_int_equal(wire_max_tokens_hint("top_k should be in [1, 100]"), 0);
    assert_int_equal(wire_max_tokens_hint("at most 4096 tokens"), 0);
    assert_int_equal(wire_max_tokens_hint("max_tokens at most many"), 0);
    assert_int_equal(wire_max_tokens_hint("max_tokens at most 99999999999999999999"), 0);
    /* What the prompt leaves of the context; where that is little, the prompt is what is too long. */
    assert_int_equal(wire_max_tokens_hint("This model's maximum context length is 8192 tokens. However, you requested 9000 "
                                          "tokens (808 in the messages, 8192 in the completion)."), 7384);
    assert_int_equal(wire_max_tokens_hint("'max_tokens' or 'max_completion_tokens' is too large: 8192. This model's maximum "
                                          "context length is 4096 tokens and your request has 1000 input tokens "
                                          "(8192 > 4096 - 1000)."), 3096);
    assert_int_equal(wire_max_tokens_hint("maximum context length is 8192 tokens. However, you requested 15692 tokens (7500 in "
                                          "the messages, 8192 in the completion)."), 0);
    assert_int_equal(wire_max_tokens_hint("maximum context length is 8192 tokens. However, you requested 29000 tokens (20808 "
                                          "in the messages, 8192 in the completion)."), 0);
    assert_int_equal(wire_max_tokens_hint("maximum context length is 8192 tokens, some in the messages"), 0);
    assert_int_equal(wire_max_tokens_hint(" in the messages"), 0);
    assert_int_equal(wire_max_tokens_hint("maximum context length is many tokens, your request has 5"), 0);
    static const char *const overflows[] = {
        "This model's maximum context length is 8192 tokens",
        "code: context_length_exceeded",
        "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).",
        "request (25837 tokens) exceeds the available context size (25088 tokens), try increasing it",
        "This model's maximum prompt length is 131072 but the request contains 136973 tokens.",
        "Invalid request: Your request exceeded model token limit: 262144",
    };
    for (size_t i = 0; i < sizeof(overflows) / sizeof(overflows[0]); i++)
        assert_true(wire_is_overflow(overflows[i]));
    assert_false(wire_is_overflow("max_tokens is too large"));
    static const int yes[] = {408, 429, 500, 502, 503, 504, 529}, no[] = {200, 400, 401, 404, 409, 501, 505, 0};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        assert_true(wire_status_transient(yes[i]));
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        assert_false(wire_status_transient(no[i]));
}

static void secrets(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    static const char *const rows[][2] = {
        {"the key s3cret-key is bad", "the key *** is bad"},
        {"Authorization: Bearer abcdefgh.ij-kl==, sorry", "Authorization: Bearer ***, sorry"},
        {"bearer short", "bearer short"},
        {"Incorrect API key: sk-proj-abc***xyz.", "Incorrect API key: sk-***"},
        {"desk-abcdefghijk", "desk-abcdefghijk"},
        {"?key=AIzaSyA1234567890 x", "?key=AIza*** x"},
        {"line\none\ttwo\x01", "line one two"},
        {"bad \xFF byte", "bad ? byte"},
        {"s3cret-keys3cret-key", "******"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(redact(a, rows[i][0], "s3cret-key", 1000, 500), rows[i][1]);
    assert_string_equal(redact(a, "abc", "abc", 1000, 500), "abc");
    /* As servers write it into JSON. */
    static const char *const escaped[] = {
        "a/b\"c\\d=é", "a\\/b\\\"c\\\\d=é", "a/b\\u0022c\\u005Cd\\u003d\\u00e9", "a\\/b\\u0022c\\\\d=é"};
    for (size_t i = 0; i < sizeof(escaped) / sizeof(escaped[0]); i++) {
        const char *text_in = arena_printf(a, "{\"key\": \"%s\"}", escaped[i]);
        assert_string_equal(redact(a, text_in, escaped[0], 1000, 500), "{\"key\": \"***\"}");
    }
    static const char *const others[] = {"a/b\\u00", "a/b\\", "a\\/b\\u0022c\\\\d=\\ud800", "a/b\"c\\d="};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_string_equal(redact(a, others[i], escaped[0], 1000, 500), others[i]);
    char text[3000];
    memset(text, 'x', sizeof(text));
    text[2999] = 0;
    assert_int_equal(strlen(redact(a, text, "", 4000, 500)), 500);
    assert_int_equal(strlen(redact(a, text, "", 2000, 4000)), 2000);
    /* Characters, not bytes; and never half of one. */
    for (size_t i = 0; i + 3 < sizeof(text); i += 3)
        memcpy(text + i, "\xE4\xBD\xA0", 4);
    assert_int_equal(strlen(redact(a, text, "", 4000, 500)), 1500);
    assert_int_equal(strlen(redact(a, text, "", 2000, 4000)), 1998);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),         cmocka_unit_test(plain_tool_calls), cmocka_unit_test(plain_errors),
        cmocka_unit_test(http_errors),   cmocka_unit_test(stream),           cmocka_unit_test(stream_tool_calls),
        cmocka_unit_test(stream_errors), cmocka_unit_test(broken_text),      cmocka_unit_test(stream_with_a_whole_message),
        cmocka_unit_test(limits),        cmocka_unit_test(too_many_calls),   cmocka_unit_test(hints),
        cmocka_unit_test(secrets),       cmocka_unit_test(long_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

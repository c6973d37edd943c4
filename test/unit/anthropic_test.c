#include "reader_fixture.h"

#include "llm/anthropic.h"

static void expect(int status, const char *body, const char *wanted)
{
    expect_body(&anthropic_dialect, status, "application/json", body, wanted);
}

#define EVENT(name, rest) "event: " name "\ndata: {\"type\":\"" name "\"" rest "}\n\n"
#define BEGIN(usage)                                                                                                   \
    EVENT("message_start", ",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[]," \
                           "\"stop_reason\":null,\"usage\":{" usage "}}")
#define OPEN(index, block) EVENT("content_block_start", ",\"index\":" index ",\"content_block\":{" block "}")
#define DELTA(index, delta) EVENT("content_block_delta", ",\"index\":" index ",\"delta\":{" delta "}")
#define CLOSE_BLOCK(index) EVENT("content_block_stop", ",\"index\":" index)
#define FINISH(why, usage)                                                                                             \
    EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"" why "\",\"stop_sequence\":null},\"usage\":{" usage "}")
#define END EVENT("message_stop", "")
#define PING EVENT("ping", "")
#define OPEN_TEXT(index) OPEN(index, "\"type\":\"text\",\"text\":\"\"")
#define TEXT(index, text) DELTA(index, "\"type\":\"text_delta\",\"text\":\"" text "\"")

static void plain(void **state)
{
    (void)state;
    expect(200,
           "{\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"Hi \"},{\"type\":\"text\",\"text\":"
           "\"\xF0\x9F\x98\x80\"}],\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":10,\"output_tokens\":5,"
           "\"cache_creation_input_tokens\":3,\"cache_read_input_tokens\":40}}",
           "Hi \xF0\x9F\x98\x80 [] stop 53+5=58 c40 w3 r0");
    expect(200, "{\"content\":[{\"type\":\"thinking\",\"thinking\":\"twelve chars\",\"signature\":\"s\"},"
                "{\"type\":\"text\",\"text\":\"a\"}],\"stop_reason\":\"max_tokens\",\"usage\":{\"input_tokens\":1,"
                "\"output_tokens\":9}}",
           "a [twelve chars] length 1+9=10 c0 w0 r3");
    expect(200, "{\"content\":[],\"stop_reason\":\"refusal\",\"usage\":null}", " [] stop");
    expect(200, "{\"content\":[{\"type\":\"text\",\"text\":\"a\"}],\"stop_reason\":\"model_context_window_exceeded\"}", "a [] length");
    expect(200, "{\"content\":[{\"type\":\"text\",\"text\":\"x\"},{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"n\","
                "\"input\":{\"a\":1}},7,{\"type\":\"text\"},null],\"stop_reason\":null}",
           "x [] stop");
}

static void plain_tool_calls(void **state)
{
    (void)state;
    expect(200, "{\"content\":[{\"type\":\"text\",\"text\":\"look\"},{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\","
                "\"input\":{\"a\": [1]}},{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"g\",\"input\":{}}],"
                "\"stop_reason\":\"tool_use\"}",
           "look [] tool_calls t1:f({\"a\": [1]}) t2:g({})");
    expect(200, "{\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"c2ln\"},"
                "{\"type\":\"redacted_thinking\",\"data\":\"ZGF0YQ\"},{\"type\":\"text\",\"text\":\"look\"},"
                "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}],\"stop_reason\":\"tool_use\"}",
           "look [hm] tool_calls t:f({}) {thought hm c2ln} {hidden  ZGF0YQ} {text look } {call  }");
    expect(200, "{\"content\":[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":[1]}],"
                "\"stop_reason\":\"max_tokens\"}",
           " [] length t:f({})");
}

static void plain_errors(void **state)
{
    (void)state;
    expect(200, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}",
           "529 busy (transient)");
    expect(200, "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"oops\"}}", "502 oops (transient)");
    expect(200, "{\"type\":\"message\"}", "502 the answer holds no content");
    expect(200, "{\"message\":\"not here\"}", "502 not here");
    expect(200, "{\"content\":[{\"type\":\"te", "502 the answer is not valid JSON (transient)");
    expect(200, "", "0 the answer is empty (transient)");
    expect(200, "<html>", "200 the answer is application/json instead of JSON; is the base URL right? (blocked)");
    static const struct {
        int status;
        const char *type, *wanted;
    } rows[] = {
        {400, "invalid_request_error", "400 HTTP 400: m"},     {401, "authentication_error", "401 HTTP 401: m"},
        {403, "permission_error", "403 HTTP 403: m"},          {404, "not_found_error", "404 HTTP 404: m"},
        {413, "request_too_large", "413 HTTP 413: m"},         {429, "rate_limit_error", "429 HTTP 429: m (transient)"},
        {500, "api_error", "500 HTTP 500: m (transient)"},     {529, "overloaded_error", "529 HTTP 529: m (transient)"},
    };
    struct arena *a = arena_new();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect(rows[i].status, arena_printf(a, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"m\"}}",
                                            rows[i].type), rows[i].wanted);
    arena_free(a);
}

static void stream(void **state)
{
    (void)state;
    expect(200,
           BEGIN("\"input_tokens\":7,\"cache_creation_input_tokens\":2,\"cache_read_input_tokens\":30,\"output_tokens\":1")
           OPEN_TEXT("0") PING TEXT("0", "Hi ") ": comment\n\n" TEXT("0", "\xF0\x9F\x98\x80 \\ud83d\\ude00")
           CLOSE_BLOCK("0") FINISH("end_turn", "\"output_tokens\":12") END,
           "Hi \xF0\x9F\x98\x80 \xF0\x9F\x98\x80 [] stop 39+12=51 c30 w2 r0");
    /* Counts of the end replace those of the start. */
    expect(200,
           BEGIN("\"input_tokens\":0,\"output_tokens\":0") OPEN_TEXT("0") TEXT("0", "x")
           FINISH("max_tokens", "\"input_tokens\":9,\"cache_read_input_tokens\":4,\"output_tokens\":2") END,
           "x [] length 13+2=15 c4 w0 r0");
    /* No names, no blocks opened, an event of the future, a text that is no JSON, something behind the end. */
    expect(200, "data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a\"}}\n\ndata: {\"type\":\"new\"}\n\n"
                "data: not json\n\nevent: message_stop\r\ndata: {}\r\n\r\n" TEXT("0", "late"),
           "a [] stop");
    expect(200, BEGIN("") OPEN("0", "\"type\":\"text\",\"text\":\"early \"") TEXT("0", "late") END, "early late [] stop");
    expect(200, END, " [] stop");
    /* All but the end is there. */
    expect(200, OPEN_TEXT("0") TEXT("0", "x") FINISH("end_turn", ""), "x [] stop");
}

static void stream_tool_calls(void **state)
{
    (void)state;
    expect(200,
           BEGIN("") OPEN_TEXT("0") TEXT("0", "Look.") CLOSE_BLOCK("0")
           OPEN("1", "\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{}")
           DELTA("1", "\"type\":\"input_json_delta\",\"partial_json\":\"\"")
           DELTA("1", "\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"x\\\": \\\"\\ud83d\\ude00\"")
           DELTA("1", "\"type\":\"input_json_delta\",\"partial_json\":\"\\\"}\"") CLOSE_BLOCK("1")
           OPEN("2", "\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"g\",\"input\":{}") CLOSE_BLOCK("2")
           FINISH("tool_use", "") END,
           "Look. [] tool_calls t1:f({\"x\": \"\xF0\x9F\x98\x80\"}) t2:g({})");
    /* The whole input at once; a call cut by the limit; the input of a tool that is not ours. */
    expect(200, OPEN("0", "\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":1}") FINISH("tool_use", "") END,
           " [] tool_calls t:f({\"a\":1})");
    expect(200, OPEN("0", "\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}")
           DELTA("0", "\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":\"") FINISH("max_tokens", "") END,
           " [] length t:f({\"a\":)!");
    expect(200, OPEN("0", "\"type\":\"server_tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}")
           DELTA("0", "\"type\":\"input_json_delta\",\"partial_json\":\"{}\"") OPEN_TEXT("1") TEXT("1", "x") END, "x [] stop");
}

static void stream_thinking(void **state)
{
    (void)state;
    expect(200,
           BEGIN("\"input_tokens\":1") OPEN("0", "\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"")
           DELTA("0", "\"type\":\"thinking_delta\",\"thinking\":\"first \xE4\xBD\xA0\"")
           DELTA("0", "\"type\":\"thinking_delta\",\"thinking\":\" more\"")
           DELTA("0", "\"type\":\"signature_delta\",\"signature\":\"c2ln\"")
           DELTA("0", "\"type\":\"signature_delta\",\"signature\":\"bmF0\"") CLOSE_BLOCK("0")
           OPEN("1", "\"type\":\"redacted_thinking\",\"data\":\"ZGF0YQ\"") CLOSE_BLOCK("1")
           OPEN("2", "\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"")
           DELTA("2", "\"type\":\"thinking_delta\",\"thinking\":\"last\"")
           DELTA("2", "\"type\":\"signature_delta\",\"signature\":\"eg\"") CLOSE_BLOCK("2")
           OPEN_TEXT("3") TEXT("3", "Look.") CLOSE_BLOCK("3")
           OPEN("4", "\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{}") CLOSE_BLOCK("4")
           OPEN_TEXT("5") TEXT("5", " And.") CLOSE_BLOCK("5")
           OPEN("6", "\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"f\",\"input\":{}") CLOSE_BLOCK("6")
           FINISH("tool_use", "\"output_tokens\":40") END,
           "Look. And. [first \xE4\xBD\xA0 morelast] tool_calls t1:f({}) t2:f({}) 1+40=41 c0 w0 r4"
           " {thought first \xE4\xBD\xA0 more c2lnbmF0} {hidden  ZGF0YQ} {thought last eg} {text Look. } {call  }"
           " {text  And. } {call  }");
    /* An answer without calls needs no pieces, nor does one whose call has no name. */
    expect(200, OPEN("0", "\"type\":\"thinking\",\"thinking\":\"hm\"") OPEN_TEXT("1") TEXT("1", "x") END, "x [hm] stop");
    expect(200, OPEN("0", "\"type\":\"thinking\",\"thinking\":\"hm\"") OPEN("1", "\"type\":\"tool_use\"") END, " [hm] stop");
}

static void stream_errors(void **state)
{
    (void)state;
    expect(200, BEGIN("") OPEN_TEXT("0") TEXT("0", "x"), "x / 0 stream truncated (transient)");
    expect(200, BEGIN("") OPEN_TEXT("0") TEXT("0", "x") EVENT("error", ",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}"),
           "x / 529 busy (transient)");
    expect(200, EVENT("error", ",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"bad\"}"), "400 bad");
    expect(200, EVENT("error", ",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"slow\"}"), "429 slow (transient)");
    expect(200, EVENT("error", ",\"error\":{\"type\":\"timeout_error\",\"message\":\"late\"}"), "504 late (transient)");
    expect(200, EVENT("error", ",\"error\":{\"type\":\"request_too_large\",\"message\":\"big\"}"), "413 big");
    expect(200, "event: error\ndata: {\"message\":\"named\"}\n\n", "502 named (transient)");
    expect(200, PING PING, "0 stream truncated (transient)");
    struct arena *a = arena_new();
    const char *cut = OPEN_TEXT("0") TEXT("0", "x"), *whole = FINISH("end_turn", "");
    assert_string_equal(outcome(&anthropic_dialect, a, 200, "", cut, strlen(cut), 0, "reset"),
                        "x / 0 stream truncated: reset (transient)");
    assert_string_equal(outcome(&anthropic_dialect, a, 200, "", whole, strlen(whole), 0, "reset"), " [] stop");
    arena_free(a);
}

static void broken_text(void **state)
{
    (void)state;
    expect(200, TEXT("0", "a\xF0") TEXT("0", "\x9F\x98") TEXT("0", "\x80" "b") END, "a\xF0\x9F\x98\x80" "b [] stop");
    expect(200, TEXT("0", "a\xE4") TEXT("0", "z\\ud83d") END, "a\xEF\xBF\xBDz\xEF\xBF\xBD [] stop");
    expect(200, TEXT("0", "a\xE4") END, "a\xEF\xBF\xBD [] stop");
    expect(200, OPEN("0", "\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}")
           DELTA("0", "\"partial_json\":\"{\\\"x\\\":\\\"\xF0\x9F\"") DELTA("0", "\"partial_json\":\"\x98\x80\\\"}\"") END,
           " [] tool_calls t:f({\"x\":\"\xF0\x9F\x98\x80\"})");
}

static bool feed(struct reader *rd, const char *text)
{
    return reader_feed(rd, text, strlen(text));
}

static void limits(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct reply reply;
    struct reader rd;
    struct wire_result res;
    reply_init(&reply, NULL);
    reader_init(&rd, &anthropic_dialect, a, &reply, &res, 200, "");
    for (int i = 0; i < REPLY_BLOCKS_MAX; i++)
        assert_true(feed(&rd, OPEN_TEXT("0")));
    assert_false(feed(&rd, OPEN_TEXT("0")));
    reader_finish(&rd, NULL);
    assert_false(res.ok || res.transient);
    reader_release(&rd);
    reply_release(&reply);
    /* What only keeps the line alive does not count. */
    reply_init(&reply, NULL);
    reader_init(&rd, &anthropic_dialect, a, &reply, &res, 200, "");
    assert_true(feed(&rd, BEGIN("")) && rd.events == 1);
    assert_true(feed(&rd, PING ": comment\n\n" PING) && rd.events == 1);
    assert_true(feed(&rd, OPEN_TEXT("0")) && rd.events == 2);
    assert_true(feed(&rd, END) && rd.done);
    reader_release(&rd);
    reply_release(&reply);
    arena_free(a);
}

static void error_texts(void **state)
{
    (void)state;
    assert_int_equal(wire_max_tokens_hint("max_tokens: 40192 > 32000, which is the maximum allowed number of output tokens"), 32000);
    assert_int_equal(wire_max_tokens_hint("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"), 0);
    assert_int_equal(wire_max_tokens_hint("max_tokens must be > 0"), 0);
    assert_true(wire_is_overflow("prompt is too long: 205000 tokens > 200000 maximum"));
    assert_true(wire_is_overflow("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),         cmocka_unit_test(plain_tool_calls),  cmocka_unit_test(plain_errors),
        cmocka_unit_test(stream),        cmocka_unit_test(stream_tool_calls), cmocka_unit_test(stream_thinking),
        cmocka_unit_test(stream_errors), cmocka_unit_test(broken_text),       cmocka_unit_test(limits),
        cmocka_unit_test(error_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

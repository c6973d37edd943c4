#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "llm/llm.h"
#include "slower.h"

struct seen {
    struct buf text, thinking;
    int deltas, flushes, ticks;
    struct cancel *fire_at_delta;
};

static void on_text(void *ctx, const char *s, size_t n)
{
    struct seen *seen = ctx;
    assert_true(utf8_valid(s, n));
    buf_add(&seen->text, s, n);
    if (++seen->deltas == 3 && seen->fire_at_delta)
        cancel_fire(seen->fire_at_delta, CANCEL_BY_USER);
}

static void on_thinking(void *ctx, const char *s, size_t n)
{
    buf_add(&((struct seen *)ctx)->thinking, s, n);
}

static void on_flush(void *ctx)
{
    ((struct seen *)ctx)->flushes++;
}

static void on_tick(void *ctx)
{
    ((struct seen *)ctx)->ticks++;
}

struct fixture {
    struct arena *arena;
    struct cancel cancel;
    struct seen seen;
    struct llm_sink sink;
    struct llm_message messages[8];
    struct llm_request request;
    struct llm_answer answer;
    struct fault fault;
    const char *upstream_error;
};

static const struct llm_provider offline = {.name = "offline", .type = "offline", .base_url = "", .api_key = ""};
static const struct llm_tool tools[] = {{.name = "clock", .description = "tells the time", .parameters = "{}"},
                                         {.name = "files", .description = "", .parameters = "{}"}};

static void start(struct fixture *f, const char *said)
{
    memset(f, 0, sizeof(*f));
    f->arena = arena_new();
    cancel_init(&f->cancel, 0);
    buf_init(&f->seen.text, 4 << 20);
    buf_init(&f->seen.thinking, 1 << 20);
    f->sink = (struct llm_sink){on_text, on_thinking, on_flush, on_tick, NULL, &f->seen};
    f->messages[0] = (struct llm_message){.role = LLM_SYSTEM, .text = "You are kind.\nSecond line."};
    f->messages[1] = (struct llm_message){.role = LLM_USER, .text = said};
    f->request = (struct llm_request){.model = "offline", .messages = f->messages, .message_count = 2, .tools = tools,
                                      .tool_count = 2, .params = LLM_PARAMS_NONE, .stream = true};
}

static void stop(struct fixture *f)
{
    buf_release(&f->seen.text);
    buf_release(&f->seen.thinking);
    cancel_release(&f->cancel);
    arena_free(f->arena);
}

static bool call(struct fixture *f)
{
    return llm_call(f->arena, &offline, &f->request, &f->sink, &f->cancel, &f->answer, &f->fault, &f->upstream_error);
}

static void expect(const char *said, const char *text)
{
    struct fixture f;
    start(&f, said);
    assert_true(call(&f));
    assert_string_equal(f.answer.text, text);
    assert_string_equal(buf_str(&f.seen.text), text);
    stop(&f);
}

static void contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in: %s", part, text);
}

static void first_contact(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "Good morning, world");
    assert_true(call(&f));
    contains(f.answer.text, "built-in offline model");
    contains(f.answer.text, "You wrote: \"Good morning, world\" (words: 3, characters: 19).");
    contains(f.answer.text, "POST /v1/providers");
    assert_int_equal(f.answer.finish, LLM_STOP);
    assert_int_equal(f.answer.attempts, 1);
    assert_true(f.seen.deltas > 20 && f.seen.flushes >= f.seen.deltas / 8);
    /* (26 + 3) / 4 + (19 + 3) / 4 */
    assert_int_equal(f.answer.usage.prompt_tokens, 7 + 5);
    assert_int_equal(f.answer.usage.completion_tokens, (strlen(f.answer.text) + 3) / 4);
    assert_int_equal(f.answer.usage.total_tokens, f.answer.usage.prompt_tokens + f.answer.usage.completion_tokens);
    /* The same again, word for word. */
    const char *before = f.answer.text;
    assert_true(call(&f));
    assert_string_equal(before, f.answer.text);
    /* Not streamed: the same text, and nothing for the sink. */
    int deltas = f.seen.deltas;
    f.request.stream = false;
    assert_true(call(&f));
    assert_string_equal(before, f.answer.text);
    assert_int_equal(deltas, f.seen.deltas);
    stop(&f);
}

static void later(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "one");
    f.messages[2] = (struct llm_message){.role = LLM_ASSISTANT, .text = "I see"};
    f.messages[3] = (struct llm_message){.role = LLM_USER, .text = "hai \xF0\x9F\x98\x80"};
    f.request.message_count = 4;
    assert_true(call(&f));
    assert_string_equal(f.answer.text, "You wrote: \"hai \xF0\x9F\x98\x80\" (words: 2, characters: 5). "
                                       "This is your message number 2 that I can see.");
    f.messages[3].text = " \n";
    assert_true(call(&f));
    assert_string_equal(f.answer.text, "Your message is empty. This is your message number 2 that I can see.");
    stop(&f);
}

static void simple_commands(void **state)
{
    (void)state;
    expect("/echo one two ", "one two");
    expect("Please:\n/echo a\n/echo b\r\n", "a\nb");
    expect("/repeat 3 ab c", "ab c ab c ab c");
    expect("/repeat 0 x", "");
    expect("/repeat many x", "/repeat needs a number and a text.");
    expect("/system", "The system prompt has 26 characters. Its first line: You are kind.");
    expect("/slow fast", "/slow needs a number of milliseconds.");
    expect("/fail 200", "/fail needs an HTTP status from 400 to 599.");
    expect("/call", "/call needs the name of a tool.");
    expect("/call nothing {}", "I cannot call nothing: no tool of that name was offered to me.");
    expect("/history", "I see 2 messages: 1 system, 1 user, 0 assistant, 0 tool.\nUser message 1: /history");
    struct fixture f;
    start(&f, "/help");
    assert_true(call(&f));
    contains(f.answer.text, "/call <tool> <json>");
    f.messages[1].text = "/dance now";
    assert_true(call(&f));
    contains(f.answer.text, "I do not know the command /dance.\nCommands");
    f.messages[1].text = "/etc/passwd is a path";
    assert_true(call(&f));
    contains(f.answer.text, "You wrote: \"/etc/passwd");
    f.request.message_count = 0;
    assert_true(call(&f));
    contains(f.answer.text, "Your message is empty.");
    stop(&f);
}

static void thinking(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "/think deep thoughts\n/echo done");
    assert_true(call(&f));
    assert_string_equal(f.answer.thinking, "deep thoughts");
    assert_string_equal(buf_str(&f.seen.thinking), "deep thoughts");
    assert_string_equal(f.answer.text, "done");
    assert_int_equal(f.answer.usage.reasoning_tokens, 4);
    assert_int_equal(f.answer.usage.completion_tokens, 5);
    stop(&f);
}

static void tool_calls(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "/call clock {\"zone\":\"utc\"}\n/call files\n/call clock {oops");
    assert_true(call(&f));
    assert_int_equal(f.answer.finish, LLM_TOOL_CALLS);
    assert_int_equal(f.answer.tool_call_count, 3);
    assert_string_equal(f.answer.tool_calls[0].name, "clock");
    assert_string_equal(f.answer.tool_calls[0].arguments, "{\"zone\":\"utc\"}");
    assert_false(f.answer.tool_calls[0].malformed);
    assert_string_equal(f.answer.tool_calls[1].name, "files");
    assert_string_equal(f.answer.tool_calls[1].arguments, "{}");
    assert_true(f.answer.tool_calls[2].malformed);
    assert_string_equal(f.answer.tool_calls[2].arguments, "{oops");
    assert_string_not_equal(f.answer.tool_calls[0].id, f.answer.tool_calls[2].id);
    assert_string_equal(f.answer.text, "");
    /* The results have come: no further call. */
    f.messages[2] = (struct llm_message){
        .role = LLM_ASSISTANT, .text = "", .tool_calls = f.answer.tool_calls, .tool_call_count = 2};
    f.messages[3] = (struct llm_message){.role = LLM_TOOL, .text = "12:00", .tool_call_id = "a", .tool_name = "clock"};
    f.messages[4] = (struct llm_message){
        .role = LLM_TOOL, .text = "no such file", .tool_call_id = "b", .tool_name = "files", .is_error = true};
    f.request.message_count = 5;
    assert_true(call(&f));
    assert_int_equal(f.answer.tool_call_count, 0);
    assert_int_equal(f.answer.finish, LLM_STOP);
    assert_string_equal(f.answer.text, "The tool clock answered: 12:00\nThe tool files failed: no such file");
    /* A new message of the user starts afresh. */
    f.messages[5] = (struct llm_message){.role = LLM_USER, .text = "/call files {}"};
    f.request.message_count = 6;
    assert_true(call(&f));
    assert_int_equal(f.answer.tool_call_count, 1);
    f.request.tool_count = 0;
    assert_true(call(&f));
    assert_int_equal(f.answer.tool_call_count, 0);
    contains(f.answer.text, "I cannot call files");
    stop(&f);
}

static void lengths(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "/length\n/echo abc");
    assert_true(call(&f));
    assert_int_equal(f.answer.finish, LLM_LENGTH);
    assert_string_equal(f.answer.text, "abc");
    f.messages[1].text = "/echo 12345678";
    f.request.params.max_tokens = 2;
    assert_true(call(&f));
    assert_int_equal(f.answer.finish, LLM_STOP);
    f.messages[1].text = "/echo 1234567\xF0\x9F\x98\x80" "9";
    assert_true(call(&f));
    assert_int_equal(f.answer.finish, LLM_LENGTH);
    assert_string_equal(f.answer.text, "1234567\xF0\x9F\x98\x80");
    f.messages[1].text = "/repeat 100000 0123456789 0123456789";
    f.request.params.max_tokens = 0;
    assert_true(call(&f));
    assert_in_range(strlen(f.answer.text), (1 << 20) - 100, 1 << 20);
    assert_int_equal(f.answer.finish, LLM_STOP);
    stop(&f);
}

static void failures(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "/fail 401");
    assert_false(call(&f));
    assert_int_equal(f.fault.kind, FAULT_STATE);
    assert_string_equal(f.fault.args[0], "offline");
    contains(f.fault.args[1], "HTTP 401");
    assert_int_equal(f.answer.attempts, 1);
    f.messages[1].text = "/fail 503 out of steam";
    assert_false(call(&f));
    assert_int_equal(f.fault.kind, FAULT_UNAVAILABLE);
    assert_string_equal(f.fault.args[1], "HTTP 503: out of steam");
    assert_int_equal(f.answer.attempts, 3);
    f.messages[1].text = "/fail 400 maximum context length";
    assert_false(call(&f));
    assert_int_equal(f.fault.kind, FAULT_INVALID);
    assert_true(f.answer.context_overflow);
    stop(&f);
}

static void slow_and_cancelled(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "/slow 100\n/echo a b c");
    int64_t began = clock_mono_ms();
    assert_true(call(&f));
    assert_in_range(clock_mono_ms() - began, 300, slower(1000));
    assert_string_equal(f.answer.text, "a b c");
    assert_int_equal(f.seen.flushes, 3);
    assert_int_equal(f.seen.ticks, 3);
    f.messages[1].text = "/slow 60000\n/echo a b c";
    f.cancel.deadline = clock_mono_ms() + 1100;
    began = clock_mono_ms();
    f.seen.ticks = 0;
    assert_false(call(&f));
    assert_in_range(clock_mono_ms() - began, 1000, slower(1600));
    assert_int_equal(f.fault.kind, FAULT_NONE);
    assert_string_equal(f.answer.text, "a ");
    assert_int_equal(f.seen.ticks, 2);
    stop(&f);
    start(&f, "/repeat 1000 word");
    f.seen.fire_at_delta = &f.cancel;
    assert_false(call(&f));
    assert_int_equal(f.fault.kind, FAULT_NONE);
    assert_string_equal(f.answer.text, "word word word ");
    stop(&f);
}

static void other_types(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "hi");
    struct llm_provider p = {.name = "p", .type = "suno", .base_url = "", .api_key = "k"};
    assert_false(llm_call(f.arena, &p, &f.request, NULL, &f.cancel, &f.answer, &f.fault, NULL));
    assert_int_equal(f.fault.kind, FAULT_STATE);
    p.type = "no such type";
    assert_false(llm_call(f.arena, &p, &f.request, NULL, &f.cancel, &f.answer, &f.fault, NULL));
    assert_int_equal(f.fault.kind, FAULT_STATE);
    p.type = "yescale";
    f.request.model = "";
    assert_false(llm_call(f.arena, &p, &f.request, NULL, &f.cancel, &f.answer, &f.fault, NULL));
    assert_int_equal(f.fault.message, MSG_no_provider);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_contact), cmocka_unit_test(later),    cmocka_unit_test(simple_commands),
        cmocka_unit_test(thinking),      cmocka_unit_test(tool_calls), cmocka_unit_test(lengths),
        cmocka_unit_test(failures),      cmocka_unit_test(slow_and_cancelled), cmocka_unit_test(other_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

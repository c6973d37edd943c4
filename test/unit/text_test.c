/* The final text: every step of sanitising, silence, previews. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/text.h"

static int setup(void **state)
{
    *state = arena_new();
    return 0;
}

static int teardown(void **state)
{
    arena_free(*state);
    return 0;
}

static const struct {
    const char *in, *out;
} samples[] = {
    {"", ""},
    {"Hello", "Hello"},
    {"NO_REPLY", "NO_REPLY"},
    /* 1 */
    {"<function_calls><invoke name=\"x\"><parameter name=\"p\">v</parameter></invoke></function_calls>", ""},
    {"Hi <tool_call>there</tool_call>", "Hi there"},
    /* 2 */
    {"[Tool Call: read (ID: 1)]\nArguments: {\"a\": \"}\\\"\"}\n\nDone", "Done"},
    {"Sure. [Tool Call: read]\n{\"a\":[1,{}]}\n\n\nDone", "Sure. Done"},
    {"[Tool Result for ID 1]\n\nDone", "Done"},
    {"[Tool Result x]\n[Tool Call: y]\n[1, 2]\nDone", "Done"},
    {"[Historical context: tool \"x\" [old]. Do not repeat.]\nDone", "Done"},
    {"[Tool Call: cut off\n{\"a\n\nDone", "Done"},
    {"[Tool Call: x]{\"cut", ""},
    {"a [link](x) [1]", "a [link](x) [1]"},
    /* 3, 4 */
    {"<think>x</think>\n\nHi", "Hi"},
    {"<final>Hi</final>", "Hi"},
    /* 5 */
    {"[System Message] do\nthis\n\nHi", "Hi"},
    {"Hi\n[System Message] x\n \nthere", "Hi\nthere"},
    {"[System Message] only", ""},
    /* 6 */
    {"One.\n\nOne.\n\nTwo.", "One.\n\nTwo."},
    {"One.\n\nTwo.\n\nOne.", "One.\n\nTwo.\n\nOne."},
    {"A\nB\n\n\n  A\nB\n\nC", "A\nB\n\n\nC"},
    /* 7 */
    {"Here:\nMEDIA:/a/b.png\nok", "Here:\nok"},
    {"Here: MEDIA:out.png\nok", "ok"},
    {"Social MEDIA: is loud", "Social MEDIA: is loud"},
    {"MULTIMEDIA:x", "MULTIMEDIA:x"},
    {"[[audio_as_voice]] x\nHi", "Hi"},
    {"[[reply_to:123]] Hi", "Hi"},
    {"a\n[[tts:on]]\nb", "a\nb"},
    {"a\n [[x:1]] [[y:2]]\nb", "a\nb"},
    {"see [[tts:on]] here", "see here"},
    {"m[[i:j]] and `[[a:b]]`", "m[[i:j]] and `[[a:b]]`"},
    {"[[ -f x ]] [[:alpha:]] [[a:b\n]]", "[[ -f x ]] [[:alpha:]] [[a:b\n]]"},
    /* 8 */
    {"\n\n  Hi  \n\n", "Hi"},
    {"a < b, <div>x</div>", "a < b, <div>x</div>"},
};

static void test_sanitize(void **state)
{
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        assert_string_equal(text_sanitize(*state, samples[i].in), samples[i].out);
    assert_string_equal(text_sanitize(*state, NULL), "");
}

static void test_sanitize_is_stable(void **state)
{
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        assert_string_equal(text_sanitize(*state, samples[i].out), samples[i].out);
}

static void test_silent(void **state)
{
    (void)state;
    static const char *const yes[] = {"NO_REPLY",  "no_reply", " NO_REPLY\n",    "\"NO_REPLY\"",          "**NO_REPLY**",
                                      "_NO_REPLY_", "`NO_REPLY`.", "NO_REPLY - ok", "Nothing new. NO_REPLY", "ok\nNO_REPLY."};
    static const char *const no[] = {"",       "NO_REPL",          "NO_REPLYX",        "NO_REPLY1", "XNO_REPLY",
                                     "1NO_REPLY", "NO_REPLY_MODE is", "a NO_REPLY b", "\xc3\xa9NO_REPLY", "MY_NO_REPLY"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(text_is_silent(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(text_is_silent(no[i]));
    assert_false(text_is_silent(NULL));
}

static void test_preview(void **state)
{
    assert_string_equal(text_preview(*state, "hello", 5), "hello");
    assert_string_equal(text_preview(*state, "hello!", 5), "he...");
    assert_string_equal(text_preview(*state, "h\xc3\xa9llo!", 5), "h...");
    assert_string_equal(text_preview(*state, "h\xc3\xa9llo!", 6), "h\xc3\xa9...");
    assert_string_equal(text_preview(*state, "a\xff" "b\xf0\x9f", 9), "ab");
    assert_string_equal(text_preview(*state, "hello", 2), "he");
    assert_string_equal(text_preview(*state, "hello", 0), "");
    assert_string_equal(text_preview(*state, NULL, 9), "");
}

static void test_tool_result(void **state)
{
    char *text = arena_alloc(*state, 100002);
    memset(text, 'x', 100001);
    text[100000] = 0;
    assert_ptr_equal(text_tool_result(*state, text), text);
    text[100000] = 'x';
    text[100001] = 0;
    memcpy(text + 69999, "\xc3\xa9", 2); /* across both borders */
    memcpy(text + 80000, "\xc3\xa9", 2);
    const char *cut = text_tool_result(*state, text);
    assert_memory_equal(cut, text, 69999);
    assert_string_equal(cut + 69999, arena_printf(*state, "\n[… 10003 of 100001 bytes left out …]\n%s", text + 80002));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sanitize, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sanitize_is_stable, setup, teardown),
        cmocka_unit_test(test_silent),
        cmocka_unit_test_setup_teardown(test_preview, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tool_result, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

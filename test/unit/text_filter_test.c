/* The stream filter: every split of every text gives the same visible bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/text.h"
#include "base/utf8.h"

struct sample {
    const char *in, *out;
};

static const struct sample samples[] = {
    /* plain text comes through */
    {"", ""},
    {"hello", "hello"},
    {"a < b and c > d", "a < b and c > d"},
    {"<div class=\"x\">hi</div>", "<div class=\"x\">hi</div>"},
    {"if (a<b) return x<<2;", "if (a<b) return x<<2;"},
    {"vector<int> v; a<", "vector<int> v; a<"},
    {"for (i = 0; i <final && j; i++)", "for (i = 0; i <final && j; i++)"},
    {"x <final answer is > 3", "x <final answer is > 3"},
    {"<thinker>a</thinker>", "<thinker>a</thinker>"},
    {"<<think>a</think>b", "<b"},
    {"<ns:div>x</ns:div>", "<ns:div>x</ns:div>"},
    {"tail <thin", "tail <thin"},
    {"tail </", "tail </"},
    {"x <aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa> y",
     "x <aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa> y"},
    /* leading blanks are dropped, inner ones stay */
    {" \n\t hello\n\n there \n", "hello\n\n there \n"},
    /* whole characters */
    {"caf\xc3\xa9 \xf0\x9f\x98\x80 \xe4\xbd\xa0", "caf\xc3\xa9 \xf0\x9f\x98\x80 \xe4\xbd\xa0"},
    {"half \xf0\x9f\x98", "half "},
    {"bad \xff\xfe\xc3 x\x80y", "bad  xy"},
    {"over \xc0\xaf\xed\xa0\x80.", "over ."},
    /* think spans */
    {"<think>secret</think>\n\nHi", "Hi"},
    {"a<THINKING>x</Thinking>b", "ab"},
    {"a<thought>x</thought >b", "ab"},
    {"a<antThinking>x</antthinking>b", "ab"},
    {"a<redacted_thinking data=\"AbC>d\">x</redacted_thinking>b", "ab"},
    {"a<think mode='deep' n=1>x</think>b", "ab"},
    {"a<think>x < y <b> </thinking> <think </think>b", "ab"},
    {"a<think/>b", "ab"},
    {"a</think>b", "ab"},
    {"a<think>never closed", "a"},
    {"a<think>x</thin", "a"},
    {"\xf0\x9f\x98\x80<think>\xf0\x9f\x98\x80</think>\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80\xf0\x9f\x98\x80"},
    {"a<think long=\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\">x</think>b",
     "ab"},
    /* tool markup */
    {"<function_calls>\n<invoke name=\"x\">\n<parameter name=\"p\">v</parameter>\n</invoke>\n</function_calls>", ""},
    {"<tool_call>{\"name\":\"a\"}</tool_call>Done.", "Done."},
    {"<tool_call>{\"name\":\"a\"", ""},
    {"<v:function_calls><v:invoke name=\"x\"></v:function_calls>Done.", "Done."},
    {"Hello <tool_call> world", "Hello  world"},
    {"<tool_use> is a tag.", "is a tag."},
    {"x<final>answer</final>", "xanswer"},
    {"<final>answer</final>", "answer"},
    /* silence */
    {"NO_REPLY", ""},
    {"  no_reply \n", ""},
    {"**NO_REPLY**", ""},
    {"_NO_REPLY_", ""},
    {"\xe2\x80\x9cNO_REPLY\xe2\x80\x9d", ""},
    {"NO_REPLY, because nothing is due", ""},
    {"<think>hm</think>NO_REPLY", ""},
    {"NO_REPLYING is a word", "NO_REPLYING is a word"},
    {"NO_REPLY_TIMEOUT is a name", "NO_REPLY_TIMEOUT is a name"},
    {"NO_REPLY\xc3\xa9", "NO_REPLY\xc3\xa9"},
    {"NO_REPL", "NO_REPL"},
    {"No, thanks", "No, thanks"},
    {"- one\n- two", "- one\n- two"},
    {"**", "**"},
    {"-------------------------------- NO_REPLY", "-------------------------------- NO_REPLY"},
};

/* Runs the text cut at two places. */
static void run(const char *s, size_t n, size_t first, size_t second, struct buf *out)
{
    struct text_filter f;
    text_filter_init(&f);
    buf_clear(out);
    text_filter_feed(&f, s, first, out);
    text_filter_feed(&f, s + first, second - first, out);
    text_filter_feed(&f, s + second, n - second, out);
    text_filter_finish(&f, out);
    text_filter_release(&f);
}

static void test_every_split(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(1 << 16);
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        size_t n = strlen(samples[i].in);
        for (size_t first = 0; first <= n; first++) {
            for (size_t second = first; second <= n; second++) {
                run(samples[i].in, n, first, second, &out);
                assert_string_equal(buf_str(&out), samples[i].out);
            }
        }
    }
    buf_release(&out);
}

static void test_byte_by_byte_is_valid_at_any_time(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(1 << 16);
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct text_filter f;
        text_filter_init(&f);
        buf_clear(&out);
        for (const char *s = samples[i].in; *s != '\0'; s++) {
            text_filter_feed(&f, s, 1, &out);
            assert_true(utf8_valid(buf_str(&out), out.len));
        }
        text_filter_finish(&f, &out);
        assert_string_equal(buf_str(&out), samples[i].out);
        text_filter_release(&f);
    }
    buf_release(&out);
}

static size_t shown_after(const char *s)
{
    struct buf out = BUF_INIT(1 << 16);
    struct text_filter f;
    text_filter_init(&f);
    text_filter_feed(&f, s, strlen(s), &out);
    size_t n = out.len;
    text_filter_release(&f);
    buf_release(&out);
    return n;
}

static void test_nothing_is_held_without_need(void **state)
{
    (void)state;
    assert_int_equal(shown_after("Hello"), 5);
    assert_int_equal(shown_after("NO_REPL"), 0);
    assert_int_equal(shown_after("NO_REPX"), 7);
    assert_int_equal(shown_after("a < b"), 5);
    assert_int_equal(shown_after("a <thi"), 2);
    assert_int_equal(shown_after("a <div>"), 7);
    assert_int_equal(shown_after("a \xf0\x9f\x98"), 2);
    /* a name too long for any tag is given out at once */
    assert_int_equal(shown_after("a<bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"), 57);
}

static void test_hold_limit(void **state)
{
    (void)state;
    char text[128] = "a<invoke name=\"";
    size_t n = strlen(text);
    /* 64 bytes held: given back when it turns out not to be a tag; 65: taken for one. */
    memset(text + n, 'x', 1 + TEXT_HOLD_MAX - n);
    text[1 + TEXT_HOLD_MAX] = '\0';
    struct buf out = BUF_INIT(1024);
    run(text, strlen(text), 0, 0, &out);
    assert_string_equal(buf_str(&out), text);
    text[1 + TEXT_HOLD_MAX] = 'x';
    run(text, strlen(text), 0, 0, &out);
    assert_string_equal(buf_str(&out), "a");
    buf_release(&out);
}

static void test_unclosed_quote_ends(void **state)
{
    (void)state;
    char text[2048];
    memset(text, 'x', sizeof text);
    memcpy(text, "a<invoke name=\"", 15);
    struct buf out = BUF_INIT(4096);
    run(text, sizeof text, 0, 0, &out);
    assert_true(out.len > 1000 && out.len < 1100);
    buf_release(&out);
}

static void test_reset_judges_silence_again(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(1024);
    struct text_filter f;
    text_filter_init(&f);
    text_filter_feed(&f, "NO_REPLY", 8, &out);
    text_filter_finish(&f, &out);
    assert_true(f.silent);
    text_filter_reset(&f);
    assert_false(f.silent);
    text_filter_feed(&f, "hi", 2, &out);
    text_filter_finish(&f, &out);
    assert_string_equal(buf_str(&out), "hi");
    text_filter_release(&f);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_byte_by_byte_is_valid_at_any_time),
        cmocka_unit_test(test_nothing_is_held_without_need),
        cmocka_unit_test(test_hold_limit),
        cmocka_unit_test(test_unclosed_quote_ends),
        cmocka_unit_test(test_reset_judges_silence_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

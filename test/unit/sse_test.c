#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "llm/sse.h"

/* Events written down as "name|data;" */
static bool note(void *ctx, const struct sse_event *e)
{
    struct buf *out = ctx;
    assert_int_equal(e->len, strlen(e->data));
    return buf_addf(out, "%s|%s;", e->name, e->data);
}

static void parse(const char *const *parts, const size_t *lengths, size_t count, struct buf *out)
{
    struct sse_parser p;
    sse_init(&p, 1000);
    buf_clear(out);
    for (size_t i = 0; i < count; i++) {
        /* A copy of exactly this size, so that a byte read too far is noticed. */
        char *exact = malloc(lengths[i] ? lengths[i] : 1);
        memcpy(exact, parts[i], lengths[i]);
        assert_true(sse_feed(&p, exact, lengths[i], note, out));
        free(exact);
    }
    assert_true(sse_finish(&p, note, out));
    sse_release(&p);
}

static void expect(const char *text, const char *events)
{
    struct buf out = BUF_INIT(10000);
    size_t n = strlen(text);
    for (size_t at = 0; at <= n; at++) {
        parse((const char *[]){text, text + at}, (size_t[]){at, n - at}, 2, &out);
        assert_string_equal(buf_str(&out), events);
    }
    /* One byte at a time. */
    const char *parts[512];
    size_t ones[512];
    assert_true(n <= 512);
    for (size_t i = 0; i < n; i++) {
        parts[i] = text + i;
        ones[i] = 1;
    }
    parse(parts, ones, n, &out);
    assert_string_equal(buf_str(&out), events);
    buf_release(&out);
}

static void line_ends(void **state)
{
    (void)state;
    expect("data: a\n\ndata: b\n\n", "|a;|b;");
    expect("data: a\r\n\r\ndata: b\r\n\r\n", "|a;|b;");
    expect("data: a\r\rdata: b\r\r", "|a;|b;");
    expect("data: a\n\r\ndata: b\r\n\n", "|a;|b;");
}

static void fields(void **state)
{
    (void)state;
    expect("data:a\n\n", "|a;");
    expect("data:  a\n\n", "| a;");
    expect("data\n\n", "|;");
    expect("data: a\ndata: b\ndata:\ndata: c\n\n", "|a\nb\n\nc;");
    expect(": comment\n\ndata: a\n:x\ndata: b\n\n", "|a\nb;");
    expect("event: tick\ndata: a\n\ndata: b\n\n", "tick|a;|b;");
    expect("event: tick\n\ndata: b\n\n", "|b;");
    expect("id: 7\nretry: 10\ndatax: no\n data: no\ndata: yes\n\n", "|yes;");
    expect("data: a: b\n\n", "|a: b;");
}

static void edges(void **state)
{
    (void)state;
    expect("", "");
    expect("\n\n\n", "");
    expect("\xEF\xBB\xBF" "data: a\n\n", "|a;");
    expect("data: \xEF\xBB\xBF" "a\n\n", "|\xEF\xBB\xBF" "a;");
    expect("data: no blank line", "|no blank line;");
    expect("data: a\n\ndata: b\n", "|a;|b;");
    expect("data: smile \xF0\x9F\x98\x80!\n\nevent: \xF0\x9F\x98\x80\ndata: \xE4\xBD\xA0\xE5\xA5\xBD\r\n\r\n",
           "|smile \xF0\x9F\x98\x80!;\xF0\x9F\x98\x80|\xE4\xBD\xA0\xE5\xA5\xBD;");
}

static void long_name_is_cut(void **state)
{
    (void)state;
    char text[200], events[200];
    memset(text, 'n', sizeof(text));
    memcpy(text, "event: ", 7);
    snprintf(text + 107, 20, "\ndata: a\n\n");
    memset(events, 'n', sizeof(events));
    snprintf(events + 63, 10, "|a;");
    expect(text, events);
}

static bool count_bytes(void *ctx, const struct sse_event *e)
{
    *(size_t *)ctx += e->len;
    return true;
}

/* Feeds "data: " and n bytes in pieces; says whether the event arrived whole. */
static bool fits(size_t max, size_t n, size_t piece, bool in_two_lines)
{
    struct buf text = BUF_INIT(10000);
    struct sse_parser p;
    size_t got = 0;
    buf_adds(&text, "data: ");
    for (size_t i = 0; i < n; i++)
        buf_adds(&text, in_two_lines && i == n / 2 ? "\ndata: " : "x");
    buf_adds(&text, "\n\n");
    sse_init(&p, max);
    bool ok = true;
    for (size_t at = 0; at < text.len && ok; at += piece)
        ok = sse_feed(&p, text.data + at, text.len - at < piece ? text.len - at : piece, count_bytes, &got);
    assert_true(ok || p.line.failed || p.data.failed);
    if (ok)
        assert_int_equal(got, n);
    sse_release(&p);
    buf_release(&text);
    return ok;
}

static void limit(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 300; piece += 7) {
        assert_true(fits(100, 100, piece, false));
        assert_false(fits(100, 101, piece, false));
        assert_true(fits(100, 100, piece, true));
        assert_false(fits(100, 101, piece, true));
    }
}

static void long_comments_are_free(void **state)
{
    (void)state;
    struct sse_parser p;
    struct buf out = BUF_INIT(100);
    char fill[64];
    memset(fill, 'c', sizeof(fill));
    sse_init(&p, 10);
    assert_true(sse_feed(&p, ":", 1, note, &out));
    for (int i = 0; i < 1000; i++)
        assert_true(sse_feed(&p, fill, sizeof(fill), note, &out));
    assert_true(p.line.cap < 4096);
    assert_true(sse_feed(&p, "\ndata: a\n\n", 10, note, &out));
    assert_string_equal(buf_str(&out), "|a;");
    sse_release(&p);
    buf_release(&out);
}

static bool stop(void *ctx, const struct sse_event *e)
{
    (void)e;
    ++*(int *)ctx;
    return false;
}

static void stopping(void **state)
{
    (void)state;
    struct sse_parser p;
    int calls = 0;
    sse_init(&p, 100);
    assert_false(sse_feed(&p, "data: a\n\ndata: b\n\n", 18, stop, &calls));
    assert_int_equal(calls, 1);
    sse_release(&p);
    sse_init(&p, 100);
    assert_true(sse_feed(&p, "data: a\n", 8, stop, &calls));
    assert_false(sse_finish(&p, stop, &calls));
    assert_int_equal(calls, 2);
    sse_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_ends), cmocka_unit_test(fields),
        cmocka_unit_test(edges),     cmocka_unit_test(long_name_is_cut),
        cmocka_unit_test(limit),     cmocka_unit_test(long_comments_are_free),
        cmocka_unit_test(stopping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

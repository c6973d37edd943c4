#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"
#include "test/json_reference.h"

/* What the gate says of a text; NULL when it is accepted. The text is copied to memory of just its size, so that
 * reading past the end shows under ASan. */
static const char *gate(const char *text, size_t len, size_t values_max)
{
    char *copy = malloc(len ? len : 1);
    memcpy(copy, text, len);
    struct json_fault fault;
    bool ok = json_gate(copy, len, values_max, &fault);
    free(copy);
    if (ok)
        return NULL;
    assert_non_null(fault.reason);
    assert_true(fault.offset <= len);
    return fault.reason;
}

/* Also what json-c's tokener has to accept. */
static const char *const accepted[] = {
    "{}", "[]", "0", "-0", "1", "12", "-12", "true", "false", "\"\"", "\"a\"", " \t\r\n{ } \n", "[1,2]", "[[],[]]",
    "[ 1 , 2 ]", "{\"a\":1}", "{\"a\":1,\"b\":[{}]}", "{ \"a\" : { \"a\" : 1 } , \"b\" : { \"a\" : 2 } }",
    "[{\"a\":1},{\"a\":1}]", "{\"\":1}", "{\"a\":null}", "[null]",
    /* numbers */
    "0.5", "-0.0", "1.0", "1e5", "1E+5", "1e-5", "0e0", "0E400", "0.000e999999999999999999", "1e308",
    "1.7976931348623157e308", "-1.7976931348623157e308", "0.17976931348623157e309", "17976931348623157e292", "1e-400",
    "1e-99999999999999999999", "9223372036854775807", "-9223372036854775808", "9007199254740993",
    "123456789012345678901.0",
    /* strings */
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u0041\\u00e9\\uABCD\\uffff\"", "\"\\u0001\"", "\"\\uD83D\\ude00\"",
    "\"\\\\u0000\"", "\"\x7F\"", "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"", "\"\xEF\xBB\xBF\"",
    "\"// no comment /* \"",
    "\"'\"", "\"\\ud7ff\\ue000\"",
    /* keys that only look alike */
    "{\"a\":1,\"A\":2}", "{\"a\":1,\"a \":2}", "{\"a\":1,\"\\u0061b\":2}", "{\"a\":1,\"aa\":2,\"\":3}",
    "{\"\\\\u0061\":1,\"a\":2}", "{\"\\ud83d\\ude00\":1,\"\\ud83d\\ude01\":2}",
};

#define L(text) text, sizeof text - 1

static const struct {
    const char *text;
    size_t len;
    const char *reason;
} refused[] = {
    /* what json-c takes even when strict */
    {L("{'a':1}"), "object key must be a string in double quotes"},
    {L("['a']"), "unexpected character where a value should be"},
    {L("NaN"), "unexpected character where a value should be"},
    {L("[nan]"), "unexpected character where a value should be"},
    {L("Infinity"), "unexpected character where a value should be"},
    {L("-Infinity"), "malformed number"},
    {L("\"a\nb\""), "control character in a string"},
    {L("\"a\tb\""), "control character in a string"},
    {L("\"\x1F\""), "control character in a string"},
    {L("\"\x01\""), "control character in a string"},
    {L("\"\xC0\xAF\""), "invalid UTF-8"},
    {L("18446744073709551616"), "integer out of range"},
    {L("9223372036854775808"), "integer out of range"},
    {L("-9223372036854775809"), "integer out of range"},
    {L("99999999999999999999999999"), "integer out of range"},
    {L("1e400"), "number out of range"},
    {L("-1e400"), "number out of range"},
    {L("[1e309]"), "number out of range"},
    {L("1.7976931348623158e308"), "number out of range"},
    {L("0.00017976931348623158e312"), "number out of range"},
    {L("179769313486231580000e288"), "number out of range"},
    {L("1e99999999999999999999999"), "number out of range"},
    {L("1e18446744073709551617"), "number out of range"},
    {L("\"\\ud83d\""), "surrogate without its other half in a string"},
    {L("\"\\ud83dx\""), "surrogate without its other half in a string"},
    {L("\"\\ud83d\\n0000\""), "surrogate without its other half in a string"},
    {L("\"\\ud83d\\u0041\""), "surrogate without its other half in a string"},
    {L("\"\\ud83d\\ud83d\""), "surrogate without its other half in a string"},
    {L("\"\\ude00\""), "surrogate without its other half in a string"},
    {L("\"\\ude00\\ud83d\""), "surrogate without its other half in a string"},
    {L("{\"a\":1,\"a\":1}"), "key occurs twice in an object"},
    {L("{\"a\":1,\"b\":{\"a\":2},\"a\":1}"), "key occurs twice in an object"},
    {L("{\"a\":1,\"\\u0061\":1}"), "key occurs twice in an object"},
    {L("{\"\":1,\"\":1}"), "key occurs twice in an object"},
    {L("{\"\\u00e9\":1,\"\xC3\xA9\":1}"), "key occurs twice in an object"},
    {L("{\"\\ud83d\\ude00\":1,\"\xF0\x9F\x98\x80\":1}"), "key occurs twice in an object"},
    {L("{\"\\/\\n\\\"\\\\\":1,\"/\\u000a\\u0022\\u005c\":1}"), "key occurs twice in an object"},
    {L("\"\\u0000\""), "NUL character in a string"},
    {L("{\"\\u0000\":1}"), "NUL character in a string"},
    {L("\"a\0b\""), "NUL character in a string"},
    {L("\"\\u0000"), "NUL character in a string"},
    /* what json-c takes unless strict */
    {L("{}//x"), "text after the value"},
    {L("/*x*/{}"), "unexpected character where a value should be"},
    {L("[1,]"), "unexpected character where a value should be"},
    {L("{\"a\":1,}"), "object key must be a string in double quotes"},
    {L("01"), "malformed number"},
    {L("-01"), "malformed number"},
    {L("00"), "malformed number"},
    {L("{}x"), "text after the value"},
    {L("{} {}"), "text after the value"},
    {L("1 2"), "text after the value"},
    {L("{}\0"), "text after the value"},
    {L("\0"), "unexpected character where a value should be"},
    {L("True"), "unexpected character where a value should be"},
    {L("NULL"), "unexpected character where a value should be"},
    /* grammar */
    {L(""), "empty text"},
    {L(" \n"), "empty text"},
    {L("\xEF\xBB\xBF{}"), "unexpected character where a value should be"},
    {L("\xC2\xA0{}"), "unexpected character where a value should be"},
    {L("\f{}"), "unexpected character where a value should be"},
    {L("["), "text ends too early"},
    {L("[1"), "text ends too early"},
    {L("[1,"), "text ends too early"},
    {L("{"), "text ends too early"},
    {L("{\"a\":"), "text ends too early"},
    {L("{\"a\":1,"), "text ends too early"},
    {L("{\"a\""), "colon expected after an object key"},
    {L("{\"a\" 1}"), "colon expected after an object key"},
    {L("{\"a\",1}"), "colon expected after an object key"},
    {L("{1:1}"), "object key must be a string in double quotes"},
    {L("{a:1}"), "object key must be a string in double quotes"},
    {L("{,}"), "object key must be a string in double quotes"},
    {L("{\"a\":}"), "unexpected character where a value should be"},
    {L("{\"a\":1 \"b\":2}"), "comma or } expected"},
    {L("[1 2]"), "comma or ] expected"},
    {L("[,]"), "unexpected character where a value should be"},
    {L("[1,,2]"), "unexpected character where a value should be"},
    {L("]"), "unexpected character where a value should be"},
    {L("[}"), "unexpected character where a value should be"},
    {L("[1}"), "comma or ] expected"},
    {L("{\"a\":1]"), "comma or } expected"},
    {L("[]]"), "text after the value"},
    {L("{]"), "object key must be a string in double quotes"},
    {L("tru"), "unexpected character where a value should be"},
    {L("truex"), "text after the value"},
    {L("nul"), "unexpected character where a value should be"},
    {L("fals"), "unexpected character where a value should be"},
    /* numbers */
    {L("-"), "malformed number"},
    {L("--1"), "malformed number"},
    {L("+1"), "unexpected character where a value should be"},
    {L(".5"), "unexpected character where a value should be"},
    {L("1."), "malformed number"},
    {L("1.e5"), "malformed number"},
    {L("1e"), "malformed number"},
    {L("1e+"), "malformed number"},
    {L("1e5.5"), "text after the value"},
    {L("0x10"), "text after the value"},
    {L("1_000"), "text after the value"},
    {L("-a"), "malformed number"},
    /* strings */
    {L("\""), "string without end"},
    {L("\"a"), "string without end"},
    {L("\"\\"), "string without end"},
    {L("\"\\\""), "string without end"},
    {L("\"\xC3\xA9"), "string without end"},
    {L("\"\\a\""), "unknown escape in a string"},
    {L("\"\\x41\""), "unknown escape in a string"},
    {L("\"\\'\""), "unknown escape in a string"},
    {L("\"\\\0\""), "unknown escape in a string"},
    {L("\"\\u\""), "malformed \\u escape in a string"},
    {L("\"\\u004\""), "malformed \\u escape in a string"},
    {L("\"\\u004g\""), "malformed \\u escape in a string"},
    {L("\"\\u00"), "malformed \\u escape in a string"},
    {L("\"\\ud83d\\u"), "surrogate without its other half in a string"},
    {L("\"\x80\""), "invalid UTF-8"},
    {L("\"\xC3\""), "invalid UTF-8"},
    {L("\"\xE2\x82"), "invalid UTF-8"},
    {L("\"\xED\xA0\x80\""), "invalid UTF-8"},
    {L("\"\xF4\x90\x80\x80\""), "invalid UTF-8"},
    {L("\"\xFF\""), "invalid UTF-8"},
    {L("{\"\xC0\xAF\":1}"), "invalid UTF-8"},
};

static void test_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        const char *text = accepted[i];
        const char *reason = gate(text, strlen(text), 0);
        struct json_fault fault = {0};
        json_object *o = json_parse_owned(text, strlen(text), 0, &fault);
        if (reason || !o)
            fail_msg("%s: %s / %s", text, reason, fault.reason);
        json_object_put(o);
    }
}

static void same_as_json_c(const char *text, size_t len)
{
    char *copy = malloc(len);
    memcpy(copy, text, len);
    json_object *ours = json_parse_owned(copy, len, 0, NULL), *reference;
    free(copy);
    if (!reference_parse(text, len, &reference) || !reference_equal(ours, reference))
        fail_msg("%.*s: %s", (int)len, text, ours ? json_object_to_json_string(ours) : "null");
    json_object_put(ours);
    json_object_put(reference);
}

static void test_trees_are_those_of_json_c(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++)
        same_as_json_c(accepted[i], strlen(accepted[i]));
    static const char *const more[] = {
        "[null,true,false,null]", "{\"a\":null,\"b\":true,\"c\":false}", "[[],{},[[]],[{}],{\"a\":[]}]",
        "[1,2,3,4]", "[1,2,3,4,5]", "[1,2,3,4,5,6,7,8,9]", "{\"b\":1,\"a\":{\"d\":2,\"c\":3},\"e\":4}",
        "[-0,-0.0,0.0,1.50,1e5,1E+5,-1.5e-3,9223372036854775807,-9223372036854775808,-1]",
        "{\"a\\n\":\"\\t\",\"\\ud83d\\ude00\":\"\\ud83d\\ude00x\\u00e9\"}", "[\"\\\"\",\"\\\\\",\"\\\\\\\"\"]",
        "{\"\":\"\",\"a\":\"b\"}", "{ \"a\" :\t[ 1 ,\n{ \"b\" : \"c\" } ] , \"d\" : 2 }\r\n", "\"{\\\"a\\\":[1,2]}\"",
    };
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        same_as_json_c(more[i], strlen(more[i]));
}

/* Strings, keys and numbers around the sizes where the builder changes its way, with an escape at every place. */
static void test_lengths_are_those_of_json_c(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(10000);
    for (int len = 0; len <= 600; len += len < 40 || (len >= 250 && len < 260) ? 1 : 17) {
        for (int escape = -1; escape < len && escape < 40; escape++) {
            buf_clear(&b);
            buf_adds(&b, "{\"");
            for (int i = 0; i < len; i++)
                buf_adds(&b, i == escape ? "\\\"" : i % 7 == 6 ? "\xC3\xA9" : "k");
            buf_adds(&b, "\":[\"");
            for (int i = 0; i < len; i++)
                buf_adds(&b, i == escape ? "\\u20ac" : "v");
            buf_adds(&b, "\",1.");
            for (int i = 0; i < len; i++)
                buf_addc(&b, (char)('0' + i % 10));
            buf_adds(&b, "5]}");
            same_as_json_c(b.data, b.len);
        }
    }
    buf_release(&b);
}

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const char *reason = gate(refused[i].text, refused[i].len, 0);
        if (!reason || strcmp(reason, refused[i].reason) != 0)
            fail_msg("%s: %s", refused[i].text, reason ? reason : "accepted");
        assert_null(json_parse_owned(refused[i].text, refused[i].len, 0, NULL));
    }
}

/* What a byte of a string leads to does not depend on where it stands and on how the string goes on. */
static void test_string_bytes_at_every_place(void **state)
{
    (void)state;
    char text[40];
    for (int c = 0; c < 256; c++) {
        const char *wanted = c == 0 ? "NUL character in a string"
                             : c < 0x20 ? "control character in a string"
                             : c == '"' ? "text after the value"
                             : c == '\\' ? "unknown escape in a string"
                             : c >= 0x80 ? "invalid UTF-8"
                             : NULL;
        for (size_t n = 1; n <= 19; n++)
            for (size_t at = 1; at <= n; at++) {
                memset(text, 'x', sizeof text);
                text[0] = text[n + 2] = '"';
                text[at] = (char)c;
                const char *reason = gate(text, n + 3, 0);
                if (wanted ? !reason || strcmp(reason, wanted) != 0 : reason != NULL)
                    fail_msg("%02x at %zu of %zu: %s", c, at, n, reason ? reason : "accepted");
            }
    }
}

/* Every true beginning of a text is refused. */
static void test_cut_texts(void **state)
{
    (void)state;
    const char *text = "{\"a\\n\\u00e9\xC3\xA9\":[1.5e3,true,null,{\"b\":\"\\ud83d\\ude00\"},[]]}";
    size_t len = strlen(text);
    assert_null(gate(text, len, 0));
    for (size_t n = 0; n < len; n++)
        assert_non_null(gate(text, n, 0));
}

static void test_fault_offset(void **state)
{
    (void)state;
    struct json_fault fault;
    assert_false(json_gate("{\"a\": x}", 8, 0, &fault));
    assert_int_equal(fault.offset, 6);
    assert_false(json_gate("[1,\"a\\q\"]", 9, 0, &fault));
    assert_int_equal(fault.offset, 5);
    assert_false(json_gate("x", 1, 0, NULL));
}

static char *nested(const char *open, const char *middle, const char *close, int levels)
{
    struct buf b = BUF_INIT(100000);
    for (int i = 0; i < levels; i++)
        buf_adds(&b, open);
    buf_adds(&b, middle);
    for (int i = 0; i < levels; i++)
        buf_adds(&b, close);
    return b.data;
}

static void test_depth_limit(void **state)
{
    (void)state;
    static const struct {
        const char *open, *middle, *close;
        int levels;
        bool ok;
    } rows[] = {
        {"[", "", "]", 64, true},
        {"[", "1", "]", 64, true},
        {"[", "", "]", 65, false},
        {"{\"a\":", "1", "}", 64, true},
        {"{\"a\":", "1", "}", 65, false},
        {"{\"a\":[", "\"x\"", "]}", 32, true},
        {"{\"a\":[", "{}", "]}", 32, false},
        {"[", "", "]", 10000, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *text = nested(rows[i].open, rows[i].middle, rows[i].close, rows[i].levels);
        const char *reason = gate(text, strlen(text), 0);
        json_object *o = json_parse_owned(text, strlen(text), 0, NULL);
        if ((reason == NULL) != rows[i].ok || (o != NULL) != rows[i].ok)
            fail_msg("row %zu: %s", i, reason);
        if (reason)
            assert_string_equal(reason, "nested too deeply");
        json_object_put(o);
        free(text);
    }
}

/* [item,item,...]: n items are n + 1 values. */
static struct buf list_of(const char *item, size_t n)
{
    struct buf b = BUF_INIT(32 << 20);
    buf_addc(&b, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_addc(&b, ',');
        buf_adds(&b, item);
    }
    buf_addc(&b, ']');
    return b;
}

static void test_value_limit(void **state)
{
    (void)state;
    assert_null(gate("[1,{\"a\":null}]", 14, 4));
    assert_string_equal(gate("[1,{\"a\":null}]", 14, 3), "too many values");
    assert_null(gate("1", 1, 1));
    struct buf b = list_of("0", JSON_VALUES_MAX - 1);
    assert_null(gate(b.data, b.len, 0));
    assert_null(gate(b.data, b.len, JSON_VALUES_MAX));
    assert_string_equal(gate(b.data, b.len, JSON_VALUES_MAX - 1), "too many values");
    buf_release(&b);
    b = list_of("0", JSON_VALUES_MAX);
    assert_string_equal(gate(b.data, b.len, 0), "too many values");
    assert_null(gate(b.data, b.len, JSON_VALUES_MAX + 1));
    buf_release(&b);
}

static void test_ten_megabytes_of_objects_are_refused_quickly(void **state)
{
    (void)state;
    struct buf b = list_of("{}", 3500000);
    struct json_fault fault;
    int64_t start = clock_mono_ms();
    assert_true(b.len > 10000000);
    assert_null(json_parse_owned(b.data, b.len, 0, &fault));
    assert_true(clock_mono_ms() - start < 500);
    assert_string_equal(fault.reason, "too many values");
    assert_int_equal(fault.offset, 1 + 3 * (JSON_VALUES_MAX - 1));
    buf_release(&b);
}

static void add_members(struct buf *b, int n)
{
    for (int i = 0; i < n; i++)
        buf_addf(b, "%s\"key%d\":0", i ? "," : "", i);
}

static void test_many_keys(void **state)
{
    (void)state;
    static const int counts[] = {31, 32, 33, 127, 128, 129, 99999};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        struct buf b = BUF_INIT(4 << 20);
        buf_addc(&b, '{');
        add_members(&b, counts[c]);
        buf_addc(&b, '}');
        int64_t start = clock_mono_ms();
        assert_null(gate(b.data, b.len, 0));
        assert_true(clock_mono_ms() - start < 1000);
        /* the first, a middle and the last key once more */
        int again[] = {0, counts[c] / 2, counts[c] - 1};
        for (size_t i = 0; i < 3; i++) {
            b.len--;
            size_t len = b.len;
            buf_addf(&b, ",\"key%d\":1}", again[i]);
            assert_string_equal(gate(b.data, b.len, JSON_VALUES_MAX + 1), "key occurs twice in an object");
            b.len = len;
            buf_addc(&b, '}');
        }
        buf_release(&b);
    }
}

/* A key hashes the same with and without escapes, whatever its length. */
static void test_escaped_key_is_found_again(void **state)
{
    (void)state;
    for (int len = 1; len <= 26; len++)
        for (int at = 0; at < len; at++) {
            struct buf b = BUF_INIT(1000);
            buf_addf(&b, "{\"%.*s\":1,\"%.*s\\u%04x\":2}", len, "abcdefghijklmnopqrstuvwxyz", at,
                     "abcdefghijklmnopqrstuvwxyz", 'a' + at);
            bool whole = at == len - 1;
            const char *reason = gate(b.data, b.len, 0);
            if (whole ? !reason || strcmp(reason, "key occurs twice in an object") != 0 : reason != NULL)
                fail_msg("%s: %s", b.data, reason ? reason : "accepted");
            buf_release(&b);
        }
}

static void test_same_keys_in_many_objects(void **state)
{
    (void)state;
    struct buf item = BUF_INIT(1000);
    buf_adds(&item, "{");
    add_members(&item, 20);
    buf_adds(&item, "}");
    struct buf b = list_of(item.data, 2000);
    assert_null(gate(b.data, b.len, 0));
    buf_release(&b);
    buf_release(&item);
}

static void test_parse_keeps_what_was_written(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    const char *text = "{\"d\":1.0,\"i\":-0,\"big\":9223372036854775807,\"least\":-9223372036854775808,"
                       "\"s\":\"\\ud83d\\ude00\\/\\u00e9\"}";
    struct json_fault fault;
    json_object *o = json_parse(a, text, strlen(text), 0, &fault);
    assert_non_null(o);
    assert_null(fault.reason);
    assert_true(json_object_is_type(json_get(o, "d"), json_type_double));
    assert_true(json_object_is_type(json_get(o, "i"), json_type_int));
    assert_true(json_int(o, "i", 5) == 0);
    assert_true(json_int(o, "big", 0) == INT64_MAX);
    assert_true(json_int(o, "least", 0) == INT64_MIN);
    assert_string_equal(json_str(o, "s"), "\xF0\x9F\x98\x80/\xC3\xA9");
    assert_null(json_parse(a, "{", 1, 0, &fault));
    assert_string_equal(fault.reason, "text ends too early");
    arena_free(a);
}

/* json-c's tokener loses those whose low 16 bits look like a surrogate. */
static void test_every_escaped_pair(void **state)
{
    (void)state;
    struct buf text = BUF_INIT(16 << 20), wanted = BUF_INIT(8 << 20);
    buf_adds(&text, "{\"s\":\"\\\\ud83d\\n");
    buf_adds(&wanted, "\\ud83d\n");
    for (uint32_t cp = 0x10000; cp <= 0x10FFFF; cp++) {
        char bytes[4];
        buf_add(&wanted, bytes, utf8_encode(cp, bytes));
        buf_addf(&text, "\\u%04x\\u%04X", 0xD800 + ((cp - 0x10000) >> 10), 0xDC00 + (cp & 0x3FF));
    }
    buf_adds(&text, "\\u00e9\"}");
    buf_adds(&wanted, "\xC3\xA9");
    json_object *o = json_parse_owned(text.data, text.len, 0, NULL);
    assert_non_null(o);
    assert_true(strcmp(json_str(o, "s"), wanted.data) == 0);
    json_object_put(o);
    o = json_parse_owned("{\"\\ud876\\udc00\":1}", 18, 0, NULL);
    assert_true(json_int(o, "\xF0\xAD\xA0\x80", 0) == 1);
    json_object_put(o);
    buf_release(&text);
    buf_release(&wanted);
}

static void test_parse_null(void **state)
{
    (void)state;
    struct json_fault fault = {0};
    assert_null(json_parse_owned("null", 4, 0, &fault));
    assert_string_equal(fault.reason, "the text is null");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_trees_are_those_of_json_c),
        cmocka_unit_test(test_lengths_are_those_of_json_c),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_string_bytes_at_every_place),
        cmocka_unit_test(test_cut_texts),
        cmocka_unit_test(test_fault_offset),
        cmocka_unit_test(test_depth_limit),
        cmocka_unit_test(test_value_limit),
        cmocka_unit_test(test_ten_megabytes_of_objects_are_refused_quickly),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_escaped_key_is_found_again),
        cmocka_unit_test(test_same_keys_in_many_objects),
        cmocka_unit_test(test_parse_keeps_what_was_written),
        cmocka_unit_test(test_every_escaped_pair),
        cmocka_unit_test(test_parse_null),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}

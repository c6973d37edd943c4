#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "test/unit/rule.h"

static const struct {
    const char *text;
    bool valid;
} sequences[] = {
    {"", true},
    {"plain ascii, longer than a word", true},
    {"\x7F", true},
    {"\xC2\x80", true},          /* U+0080 */
    {"\xDF\xBF", true},          /* U+07FF */
    {"\xE0\xA0\x80", true},      /* U+0800 */
    {"\xED\x9F\xBF", true},      /* U+D7FF */
    {"\xEE\x80\x80", true},      /* U+E000 */
    {"\xEF\xBF\xBF", true},      /* U+FFFF */
    {"\xF0\x90\x80\x80", true},  /* U+10000 */
    {"\xF4\x8F\xBF\xBF", true},  /* U+10FFFF */
    {"eight by\xC3\xA9", true},
    {"seven b\xC3\xA9yte", true},
    {"\x80", false},             /* continuation alone */
    {"\xBF", false},
    {"\xC0\xAF", false},         /* overlong slash */
    {"\xC1\xBF", false},
    {"\xE0\x9F\xBF", false},     /* overlong */
    {"\xF0\x8F\xBF\xBF", false}, /* overlong */
    {"\xED\xA0\x80", false},     /* U+D800 */
    {"\xED\xBF\xBF", false},     /* U+DFFF */
    {"\xF4\x90\x80\x80", false}, /* U+110000 */
    {"\xF5\x80\x80\x80", false},
    {"\xFE", false},
    {"\xFF", false},
    {"\xC3", false},             /* cut */
    {"\xE2\x82", false},
    {"\xF0\x9F\x92", false},
    {"\xC3(", false},            /* no continuation */
    {"\xE2\x82(", false},
    {"\xF0\x9F(\x92", false},
    {"12345678\x80", false},
    {"1234567\x80", false},
};

static void test_valid(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++)
        if (utf8_valid(sequences[i].text, strlen(sequences[i].text)) != sequences[i].valid)
            fail_msg("row %zu", i);
    assert_true(utf8_valid("a\0b", 3));
}

/* Every scalar value comes back; everything else is no character. */
static void test_decode_every_code_point(void **state)
{
    (void)state;
    static const uint32_t first_of_length[] = {0, 0x80, 0x800, 0x10000};
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
        if (cp >= 0xD800 && cp <= 0xDFFF)
            continue;
        char bytes[4];
        uint32_t back = UINT32_MAX;
        size_t n = utf8_encode(cp, bytes);
        if (cp < first_of_length[n - 1] || utf8_decode(bytes, n, &back) != n || back != cp ||
            (n > 1 && utf8_decode(bytes, n - 1, &back) != 0))
            fail_msg("U+%04X", cp);
    }
}

static void test_decode_nothing(void **state)
{
    (void)state;
    uint32_t cp;
    assert_int_equal(utf8_decode("", 0, &cp), 0);
    assert_int_equal(utf8_decode("\xFF", 1, &cp), 0);
    assert_int_equal(utf8_decode("a\xFF", 2, &cp), 1);
}

static void test_tail(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t tail;
    } rows[] = {
        {"", 0},           {"a", 0},         {"\xC3\xA9", 0},         {"a\xC3", 1},        {"\xE2", 1},
        {"a\xE2\x82", 2},  {"\xE2\x82\xAC", 0}, {"\xF0", 1},          {"\xF0\x9F", 2},     {"\xF0\x9F\x92", 3},
        {"\xF0\x9F\x92\xA9", 0}, {"\x80", 0},  {"\x80\x80\x80\x80", 0}, {"\xC0", 0},       {"\xFF", 0},
        {"\xE0\x80", 0},   {"\xED\xA0", 0},  {"\xF4\x90", 0},         {"\xC3\xA9\xC3", 1}, {"\xF0\x9F(", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (utf8_tail(rows[i].text, strlen(rows[i].text)) != rows[i].tail)
            fail_msg("row %zu", i);
}

static void test_cut(void **state)
{
    (void)state;
    const char *text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x92\xA9z"; /* 1+2+3+4+1 bytes */
    static const size_t kept[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    for (size_t max = 0; max < sizeof kept / sizeof *kept; max++)
        assert_int_equal(utf8_cut(text, strlen(text), max), kept[max]);
    assert_int_equal(utf8_cut("\x80\x80\x80\x80\x80", 5, 4), 4);
}

static void test_count_and_offset(void **state)
{
    (void)state;
    const char *text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x92\xA9z";
    static const size_t offsets[] = {0, 1, 3, 6, 10, 11, 11};
    assert_int_equal(utf8_count(text, strlen(text)), 5);
    assert_int_equal(utf8_count("", 0), 0);
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++)
        assert_int_equal(utf8_offset(text, strlen(text), i), offsets[i]);
    assert_int_equal(utf8_offset("", 0, 3), 0);
}

static void test_user_id(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        bool valid;
    } rows[] = {
        {"u", true},
        {"group:telegram:-100123", true},
        {"a b/c%", true},
        {"Nguy\xE1\xBB\x85n", true},
        {"\xF0\x9F\x98\x80", true},
        {"\xC2\xA0", true},          /* the first character behind the C1 controls */
        {"", false},
        {"a\x1F", false},
        {"\t", false},
        {"a\nb", false},
        {"a\x7F", false},
        {"\xC2\x80", false},         /* C1 control */
        {"\xC2\x9F", false},
        {"a\xC2\xAD", false},        /* soft hyphen */
        {"a\xE2\x80\x8B", false},    /* zero width space */
        {"a\xE2\x80\x8F", false},    /* right-to-left mark */
        {"a\xE2\x80\x90", true},     /* hyphen: one past */
        {"\xE2\x80\xAE" "a", false}, /* right-to-left override */
        {"\xE2\x81\xA6" "a", false}, /* isolate */
        {"\xEF\xBB\xBF" "a", false}, /* BOM */
        {"a\xF3\xA0\x81\x81", false}, /* tag letter */
        {"a\xC0\xAF", false},
        {"a\xFF", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (utf8_user_id_valid(rows[i].id, strlen(rows[i].id)) != rows[i].valid)
            fail_msg("row %zu", i);
    assert_false(utf8_user_id_valid("a\0b", 3));
}

static void test_user_id_length(void **state)
{
    (void)state;
    char id[256];
    memset(id, 'x', sizeof id);
    assert_true(utf8_user_id_valid(id, 255));
    assert_false(utf8_user_id_valid(id, 256));
    memcpy(id + 253, "\xC3\xA9", 2);
    assert_true(utf8_user_id_valid(id, 255));
    assert_false(utf8_user_id_valid(id, 254));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),           cmocka_unit_test(test_decode_every_code_point),
        cmocka_unit_test(test_decode_nothing),  cmocka_unit_test(test_tail),
        cmocka_unit_test(test_cut),             cmocka_unit_test(test_count_and_offset),
        RULE_TEST("2.3", test_user_id),         cmocka_unit_test(test_user_id_length),
    };
    return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}

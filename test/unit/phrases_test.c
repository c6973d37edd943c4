/* Phrases are complete, keep their gaps, and answers in another language hold no English ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "test/unit/rule.h"
#include "web/phrases.h"

static const char *const table[][LOCALES] = {
#define PHRASE(en, vi, zh) {en, vi, zh},
#include "web/phrases.def"
#undef PHRASE
};
enum { PHRASES = sizeof table / sizeof *table };

static int gaps(const char *s)
{
    int n = 0;
    for (; *s; s++)
        n += *s == '#';
    return n;
}

static void said(const char *english, enum locale l, const char *expected)
{
    struct buf out = BUF_INIT(1024);
    assert_int_equal(phrase_add(&out, english, l), expected != NULL);
    assert_string_equal(buf_str(&out), expected ? expected : "");
    buf_release(&out);
}

static void every_text_is_there(void **state)
{
    (void)state;
    for (int i = 0; i < PHRASES; i++)
        for (enum locale l = 0; l < LOCALES; l++) {
            assert_true(utf8_valid(table[i][l], strlen(table[i][l])));
            assert_true(table[i][l][0] != '\0');
            assert_int_equal(gaps(table[i][l]), gaps(table[i][LOCALE_EN]));
            assert_in_range(gaps(table[i][l]), 0, 2);
            for (int j = 0; l == LOCALE_EN && j < i; j++)
                assert_string_not_equal(table[i][l], table[j][l]);
        }
}

/* No phrase hides behind one that stands before it. */
static void each_is_found(void **state)
{
    (void)state;
    for (int i = 0; i < PHRASES; i++)
        for (enum locale l = 0; l < LOCALES; l++)
            said(table[i][LOCALE_EN], l, table[i][l]);
}

static void gaps_are_filled(void **state)
{
    (void)state;
    said("at most 200 bytes", LOCALE_EN, "at most 200 bytes");
    said("at most 200 bytes", LOCALE_ZH, "不超过 200 字节的值");
    said("a number from -2 to 2", LOCALE_VI, "số từ -2 đến 2");
    said("made of the characters a-z0-9_", LOCALE_ZH, "仅由字符 a-z0-9_ 组成的值");
    said("65536 bytes", LOCALE_VI, "65536 byte");
}

static void other_texts_are_none(void **state)
{
    (void)state;
    said("", LOCALE_VI, NULL);
    said("bytes", LOCALE_VI, NULL);
    said(" bytes", LOCALE_VI, NULL);
    said("at most  bytes", LOCALE_VI, NULL);
    said("at most 200 bytes or so", LOCALE_VI, NULL);
    said("a number from 1 to ", LOCALE_VI, NULL);
    said("an integer ", LOCALE_VI, NULL);
    said("an intege", LOCALE_VI, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TEST("3.5", every_text_is_there),
        RULE_TEST("3.5", each_is_found),
        RULE_TEST("3.5", gaps_are_filled),
        RULE_TEST("3.5", other_texts_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

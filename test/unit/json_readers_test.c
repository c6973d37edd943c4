/* The typed readers over json-c, and comments in settings files (base/json.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/json.h"

static void test_readers(void **state)
{
    (void)state;
    const char *text = "{\"s\":\"x\",\"e\":\"\","
                       "\"i\":7,\"d\":0.5,\"t\":true,\"f\":false,\"n\":null,\"a\":[1],\"o\":{}}";
    json_object *o = json_parse_owned(text, strlen(text), 0, NULL);
    assert_non_null(o);
    assert_string_equal(json_str(o, "s"), "x");
    assert_string_equal(json_str(o, "e"), "");
    assert_true(json_int(o, "i", 1) == 7);
    assert_true(json_num(o, "d", 1) == 0.5);
    assert_true(json_num(o, "i", 1) == 7.0);
    assert_true(json_bool(o, "t", false));
    assert_false(json_bool(o, "f", true));
    assert_true(json_has(o, "n"));
    assert_null(json_get(o, "n"));
    assert_false(json_has(o, "absent"));
    assert_null(json_get(o, "absent"));
    static const char *const not_strings[] = {"i", "d", "t", "n", "a", "o", "absent"};
    for (size_t i = 0; i < sizeof not_strings / sizeof *not_strings; i++)
        assert_null(json_str(o, not_strings[i]));
    static const char *const not_integers[] = {"s", "d", "t", "n", "a", "o", "absent"};
    for (size_t i = 0; i < sizeof not_integers / sizeof *not_integers; i++)
        assert_true(json_int(o, not_integers[i], -3) == -3);
    static const char *const not_numbers[] = {"s", "t", "n", "a", "o", "absent"};
    for (size_t i = 0; i < sizeof not_numbers / sizeof *not_numbers; i++)
        assert_true(json_num(o, not_numbers[i], -3) == -3);
    static const char *const not_booleans[] = {"s", "i", "d", "n", "a", "o", "absent"};
    for (size_t i = 0; i < sizeof not_booleans / sizeof *not_booleans; i++)
        assert_true(json_bool(o, not_booleans[i], true) && !json_bool(o, not_booleans[i], false));
    json_object_put(o);
}

static void test_readers_of_no_object(void **state)
{
    (void)state;
    json_object *list = json_parse_owned("[1]", 3, 0, NULL);
    json_object *none[] = {NULL, list};
    for (size_t i = 0; i < 2; i++) {
        assert_null(json_get(none[i], "a"));
        assert_false(json_has(none[i], "a"));
        assert_null(json_str(none[i], "a"));
        assert_true(json_int(none[i], "a", 4) == 4);
        assert_true(json_num(none[i], "a", 4) == 4);
        assert_true(json_bool(none[i], "a", true));
    }
    json_object_put(list);
}

static void test_strip_comments(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", ""},
        {"{}", "{}"},
        {"{} // x", "{}     "},
        {"{} // x\n", "{}     \n"},
        {"// a\n{}", "    \n{}"},
        {"/* a */{}", "       {}"},
        {"/*a\nb*/{}", "   \n   {}"},
        {"/**/{}", "    {}"},
        {"/***/{}", "     {}"},
        {"[1,]", "[1 ]"},
        {"[1 , ]", "[1   ]"},
        {"{\"a\":1,\n}", "{\"a\":1 \n}"},
        {"[1, // x\n]", "[1      \n]"},
        {"[1, /* , */ ]", "[1          ]"},
        {"[\"a\",]", "[\"a\" ]"},
        {"[[1,],]", "[[1 ] ]"},
        {"[1,2]", "[1,2]"},
        {"\"// a /* b */ ,]\"", "\"// a /* b */ ,]\""},
        {"\"\\\"// a\"", "\"\\\"// a\""},
        {"\"\\\\\"// a", "\"\\\\\"    "},
        {"[\"a,\"]", "[\"a,\"]"},
        /* left for the gate to refuse */
        {"[,]", "[,]"},
        {"[1,,]", "[1,,]"},
        {"{,}", "{,}"},
        {"{\"a\":,}", "{\"a\":,}"},
        {"{} /* a", "{} /* a"},
        {"{} /*/", "{} /*/"},
        {"/", "/"},
        {"{} / x", "{} / x"},
        {"\"a", "\"a"},
        {"\"a\\", "\"a\\"},
        {"[1,", "[1,"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t len = strlen(rows[i][0]);
        char *text = malloc(len + 1);
        memcpy(text, rows[i][0], len);
        json_strip_comments(text, len);
        text[len] = 0;
        assert_string_equal(text, rows[i][1]);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readers),
        cmocka_unit_test(test_readers_of_no_object),
        cmocka_unit_test(test_strip_comments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

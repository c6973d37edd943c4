/* If-Match: which values let a change through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "web/etag.h"

static void test_values(void **state)
{
    static const struct {
        const char *if_match;
        bool allows;
    } rows[] = {
        {NULL, true},          {"*", true},
        {"\"abc\"", true},     {" \"abc\" ", true},
        {"\"x\", \"abc\"", true}, {"\"x\",\"abc\",\"y\"", true},
        {"\"x\", *", true},    {"", false},
        {"   ", false},        {",", false},
        {"\"ab\"", false},     {"\"abcd\"", false},
        {"abc", false},        {"W/\"abc\"", false},
        {"\"x\" \"y\"", false}, {"**", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (etag_allows(rows[i].if_match, "\"abc\"") != rows[i].allows)
            fail_msg("%s", rows[i].if_match ? rows[i].if_match : "(none)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

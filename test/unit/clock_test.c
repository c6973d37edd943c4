#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "test/unit/rule.h"

static const struct {
    const char *text;
    int64_t ms;
} formatted[] = {
    {"1970-01-01T00:00:00.000Z", 0},
    {"1970-01-01T00:00:00.001Z", 1},
    {"1969-12-31T23:59:59.999Z", -1},
    {"2000-02-29T12:34:56.789Z", INT64_C(951827696789)},
    {"2000-03-01T00:00:00.000Z", INT64_C(951868800000)},
    {"2024-12-31T23:59:59.999Z", INT64_C(1735689599999)},
    {"2026-11-22T20:01:02.003Z", INT64_C(1795377662003)},
    {"1900-03-01T00:00:00.000Z", INT64_C(-2203891200000)},
    {"2100-02-28T23:59:59.999Z", INT64_C(4107542399999)},
    {"2100-03-01T00:00:00.000Z", INT64_C(4107542400000)},
    {"0000-01-01T00:00:00.000Z", INT64_C(-62167219200000)},
    {"9999-12-31T23:59:59.999Z", INT64_C(253402300799999)},
};

static void test_format_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof formatted / sizeof *formatted; i++) {
        char text[TIME_TEXT_SIZE];
        int64_t ms = 0;
        time_format(formatted[i].ms, text);
        assert_string_equal(text, formatted[i].text);
        assert_true(time_parse(formatted[i].text, &ms));
        assert_true(ms == formatted[i].ms);
    }
}

static void test_format_clamps(void **state)
{
    (void)state;
    char text[TIME_TEXT_SIZE];
    time_format(INT64_C(253402300800000), text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    time_format(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    time_format(INT64_C(-62167219200001), text);
    assert_string_equal(text, "0000-01-01T00:00:00.000Z");
    time_format(INT64_MIN, text);
    assert_string_equal(text, "0000-01-01T00:00:00.000Z");
}

/* Every day of our years agrees with the C library. */
static void test_every_day(void **state)
{
    (void)state;
    for (int64_t day = -719528; day <= 2932896; day++) {
        char text[TIME_TEXT_SIZE], wanted[64];
        int64_t ms = 0;
        time_t seconds = day * 86400 + 86399;
        struct tm tm;
        if (day % 7 && (day < -800 || day > 47500))
            continue;
        gmtime_r(&seconds, &tm);
        snprintf(wanted, sizeof wanted, "%04d-%02d-%02dT23:59:59.000Z", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
        time_format(seconds * 1000, text);
        if (strcmp(text, wanted) != 0 || !time_parse(text, &ms) || ms != seconds * 1000)
            fail_msg("%s, not %s", text, wanted);
    }
}

static const struct {
    const char *text;
    int64_t ms;
} accepted[] = {
    {"1970-01-02", 86400000},
    {"1970-01-01T00:00:00Z", 0},
    {"1970-01-01t00:00:00z", 0},
    {"1970-01-01T00:00:00.5Z", 500},
    {"1970-01-01T00:00:00.123456789Z", 123},
    {"1970-01-01T00:00:00.9999Z", 999},
    {"1970-01-01T07:00:00+07:00", 0},
    {"1969-12-31T18:30:00-05:30", 0},
    {"1970-01-01T00:00:00-00:00", 0},
    {"1970-01-01T23:59:00+23:59", 0},
    {"1972-06-30T23:59:60Z", INT64_C(78796800000)},
    {"2024-02-29", INT64_C(1709164800000)},
};

static const char *const refused[] = {
    "", "x", "1970", "1970-01", "1970-1-01", "1970-00-01", "1970-13-01", "1970-01-00", "1970-01-32", "1970-04-31",
    "2023-02-29", "1900-02-29", "+970-01-01", "19700101", "1970-01-01 ", " 1970-01-01", "1970-01-01T",
    "1970-01-01T00:00Z", "1970-01-01T00:00:00", "1970-01-01T24:00:00Z", "1970-01-01T00:60:00Z",
    "1970-01-01T00:00:61Z", "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00,5Z", "1970-01-01T00:00:00+0700",
    "1970-01-01T00:00:00+7:00", "1970-01-01T00:00:00+24:00", "1970-01-01T00:00:00+00:60", "1970-01-01T00:00:00Zx",
    "1970-01-01T00:00:00+07:00Z", "1970-01-01T-1:00:00Z", "99999-01-01",
};

static void test_parse(void **state)
{
    (void)state;
    int64_t ms = 42;
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++)
        if (!time_parse(accepted[i].text, &ms) || ms != accepted[i].ms)
            fail_msg("%s", accepted[i].text);
    ms = 42;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (time_parse(refused[i], &ms))
            fail_msg("%s", refused[i]);
    assert_false(time_parse(NULL, &ms));
    assert_true(ms == 42);
}

static void test_clocks(void **state)
{
    (void)state;
    int64_t before = (int64_t)time(NULL) * 1000;
    int64_t now = clock_ms();
    assert_true(now >= before - 1000 && now < before + 60000);
    int64_t start = clock_mono_ms();
    struct timespec pause = {.tv_nsec = 20000000};
    nanosleep(&pause, NULL);
    int64_t spent = clock_mono_ms() - start;
    assert_true(spent >= 19 && spent < 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TEST("12.3", test_format_and_back), cmocka_unit_test(test_format_clamps),
        cmocka_unit_test(test_every_day),       RULE_TEST("12.3", test_parse),
        cmocka_unit_test(test_clocks),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}

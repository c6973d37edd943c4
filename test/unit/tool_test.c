/* The registry, datetime, and time zones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tool/tool.h"
#include "tool/zone.h"

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

static void test_table(void **state)
{
    size_t n;
    const struct tool *table = tool_table(&n);
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++) {
        struct json_fault fault;
        json_object *schema = json_parse(*state, table[i].parameters, strlen(table[i].parameters), 0, &fault);
        assert_string_equal(json_str(schema, "type"), "object");
        assert_ptr_equal(tool_find(table[i].name), &table[i]);
        assert_true(i == 0 || strcmp(table[i - 1].name, table[i].name) < 0);
    }
    assert_null(tool_find("nothing"));
    assert_null(tool_find(NULL));
}

static struct tool_result call(struct arena *a, const char *args)
{
    struct tool_env env = {.arena = a};
    struct json_fault fault;
    return tool_find("datetime")->run(&env, args == NULL ? NULL : json_parse(a, args, strlen(args), 0, &fault));
}

static json_object *answer(struct arena *a, const char *args)
{
    struct tool_result r = call(a, args);
    struct json_fault fault;
    assert_false(r.is_error);
    return json_parse(a, r.text, strlen(r.text), 0, &fault);
}

static void test_datetime_utc(void **state)
{
    static const char *const plain[] = {NULL, "{}", "{\"timezone\":null}", "{\"timezone\":\"\"}"};
    for (size_t i = 0; i < 4; i++) {
        int64_t before = clock_ms(), told, now;
        json_object *o = answer(*state, plain[i]);
        now = json_int(o, "unix_ms", 0);
        assert_true(now >= before && now <= clock_ms());
        assert_true(time_parse(json_str(o, "utc"), &told) && told == now);
        assert_false(json_has(o, "local") || json_has(o, "timezone"));
    }
}

static void test_datetime_local(void **state)
{
    static const char *const zones[] = {"UTC", "Asia/Kolkata", "America/St_Johns", "Europe/Berlin"};
    for (size_t i = 0; i < 4; i++) {
        json_object *o = answer(*state, arena_printf(*state, "{\"timezone\":\"%s\"}", zones[i]));
        int64_t told;
        assert_string_equal(json_str(o, "timezone"), zones[i]);
        assert_true(time_parse(json_str(o, "local"), &told));
        assert_int_equal(told, json_int(o, "unix_ms", 0) / 1000 * 1000);
    }
    const char *india = json_str(answer(*state, "{\"timezone\":\"Asia/Kolkata\"}"), "local");
    assert_string_equal(india + 19, "+05:30");
}

static void test_datetime_refuses(void **state)
{
    static const char *const bad[] = {"{\"timezone\":\"Mars/Base\"}", "{\"timezone\":7}",
                                      "{\"timezone\":\"../../etc/passwd\"}", "{\"timezone\":\"Europe\"}"};
    for (size_t i = 0; i < 4; i++)
        assert_true(call(*state, bad[i]).is_error);
}

static void test_zone_names(void **state)
{
    static const char *const bad[] = {"", "/etc/passwd", "../zoneinfo/UTC", "Europe/../UTC", "Europe//Berlin", "Europe/",
                                      "zone.tab", "Europe/Ber lin"};
    char name[ZONE_NAME_MAX + 2];
    int32_t offset;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(zone_offset(bad[i], 0, &offset));
    memset(name, 'A', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_false(zone_offset(name, 0, &offset));
}

static void test_zone_offsets(void **state)
{
    static const struct {
        const char *zone;
        int64_t at;
        int32_t offset;
    } known[] = {
        {"UTC", 0, 0},
        {"Europe/Berlin", 1743296399, 3600}, /* 2025-03-30 00:59:59Z and one second later */
        {"Europe/Berlin", 1743296400, 7200},
        {"Europe/Berlin", 1761440399, 7200},
        {"Europe/Berlin", 1761440400, 3600},
        {"Europe/Berlin", 4102444800, 3600}, /* 2100-01-01: the footer's rule */
        {"Europe/Berlin", 4118083200, 7200}, /* 2100-07-01 */
        {"Europe/Berlin", 0, 3600},
        {"America/New_York", 1762063199, -14400},
        {"America/New_York", 1762063200, -18000},
        {"Australia/Sydney", 4102444800, 39600},
        {"Australia/Sydney", 4118083200, 36000},
        {"Asia/Ho_Chi_Minh", 1767225600, 25200},
        {"Asia/Kathmandu", 1767225600, 20700},
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        int32_t offset = -1;
        assert_true(zone_offset(known[i].zone, known[i].at, &offset));
        assert_int_equal(offset, known[i].offset);
    }
}

static void test_rules(void **state)
{
    static const struct {
        const char *rule;
        int64_t at;
        int32_t offset;
    } known[] = {
        {"UTC0", 0, 0},
        {"<+0330>-3:30", 5, 12600},
        {"EST5EDT,M3.2.0,M11.1.0", 1762063199, -14400},
        {"EST5EDT,M3.2.0,M11.1.0", 1762063200, -18000},
        {"AEST-10AEDT,M10.1.0,M4.1.0/3", 1767225600, 39600},
        {"IST-1GMT0,M10.5.0,M3.5.0/1", 1767225600, 0}, /* winter is the exception */
        {"AAA0BBB,J60/0,J61/0", 951868800, 3600},      /* 2000-03-01: J60 counts no leap day */
        {"AAA0BBB,J60/0,J61/0", 951868799, 0},
        {"AAA0BBB,60/0,61/0", 951868800, 3600}, /* 60 does */
        {"AAA0BBB,60/0,61/0", 951955200, 0},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 1743296400, -3600},
    };
    static const char *const bad[] = {"", "UTC", "EST5EDT", "EST5EDT,", "EST5EDT,M3.2.0", "EST5EDT,M13.1.0,M1.1.0",
                                      "EST5EDT,M3.6.0,M1.1.0", "EST5EDT,M3.2.0,M11.1.0x", "<EST5", "EST168",
                                      "EST5EDT,J0,J9", "EST5EDT,366,9", "EST5:60"};
    int32_t offset;
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        assert_true(zone_offset_by_rule(known[i].rule, known[i].at, &offset));
        assert_int_equal(offset, known[i].offset);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(zone_offset_by_rule(bad[i], 1767225600, &offset));
}

/* Every shortened or damaged file is refused or answered, never read past its end. */
static void test_damaged_files(void **state)
{
    unsigned char file[4096];
    FILE *f = fopen("/usr/share/zoneinfo/Europe/Berlin", "rb");
    assert_non_null(f);
    size_t n = fread(file, 1, sizeof file, f);
    fclose(f);
    int32_t offset;
    assert_true(zone_offset_in(file, n, 0, &offset));
    for (size_t cut = 0; cut < n; cut++) {
        unsigned char *copy = arena_memdup(*state, file, cut);
        bool ok = zone_offset_in(copy, cut, 0, &offset);
        assert_true(!ok || offset == 3600);
    }
    for (size_t i = 0; i < 44; i++) {
        unsigned char *copy = malloc(n);
        memcpy(copy, file, n);
        copy[i] = 0xff;
        zone_offset_in(copy, n, 1767225600, &offset);
        free(copy);
    }
    file[0] = 'X';
    assert_false(zone_offset_in(file, n, 0, &offset));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_table),        TEST(test_datetime_utc), TEST(test_datetime_local), TEST(test_datetime_refuses),
        TEST(test_zone_names),   TEST(test_zone_offsets), TEST(test_rules),          TEST(test_damaged_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The route table: matching, Allow, start-up check. */
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "web/route.h"
#include "test/unit/rule.h"

static reply nothing(struct request *req)
{
    (void)req;
    return 200;
}

#define ROW(method_, pattern_) \
    {.method = METHOD_##method_, .pattern = pattern_, .role = ROLE_VIEWER, .user = USER_UNUSED, .handler = nothing, \
     .tag = "Test", .summary = "test"}

static const struct route table[] = {
    ROW(GET, "/"),
    ROW(GET, "/v1/skills"),
    ROW(GET, "/v1/skills/{id}"),
    ROW(PUT, "/v1/skills/{id}"),
    ROW(POST, "/v1/skills/upload"),
    ROW(GET, "/v1/skills/{id}/files/{path...}"),
    ROW(GET, "/v1/skills/{id}/files/readme"),
    ROW(DELETE, "/v1/skills/{id}/grants/{agentID}"),
    ROW(GET, "/v1/{family}/top"),
};
enum { TABLE_ROWS = sizeof table / sizeof *table };

struct found {
    const struct route *route;
    const char *params[PATH_SEGMENTS_MAX];
    const char *allow;
};

static struct found find(struct arena *a, enum method m, const char *target)
{
    struct path p;
    struct found f = {.route = NULL};
    assert_int_equal(path_parse(a, target, &p), PATH_OK);
    f.route = route_find(table, TABLE_ROWS, &p, m, f.params, &f.allow, a);
    return f;
}

static int with_arena(void **state)
{
    *state = arena_new();
    return 0;
}

static int without_arena(void **state)
{
    arena_free(*state);
    return 0;
}

static void literals_beat_parameters(void **state)
{
    struct found f = find(*state, METHOD_POST, "/v1/skills/upload");
    assert_ptr_equal(f.route, &table[4]);
    /* For its own method alone: a skill called "upload" can still be read. */
    f = find(*state, METHOD_GET, "/v1/skills/upload");
    assert_ptr_equal(f.route, &table[2]);
    assert_string_equal(f.params[0], "upload");
    /* The first difference decides: "skills" beats {family}. */
    f = find(*state, METHOD_GET, "/v1/skills/top");
    assert_ptr_equal(f.route, &table[2]);
    f = find(*state, METHOD_GET, "/v1/other/top");
    assert_ptr_equal(f.route, &table[8]);
    assert_string_equal(f.params[0], "other");
    f = find(*state, METHOD_GET, "/");
    assert_ptr_equal(f.route, &table[0]);
}

static void rest_is_joined(void **state)
{
    struct found f = find(*state, METHOD_GET, "/v1/skills/s1/files/a/b%2Fc/d");
    assert_ptr_equal(f.route, &table[5]);
    assert_string_equal(f.params[0], "s1");
    assert_string_equal(f.params[1], "a/b/c/d");
    assert_null(f.params[2]);
    f = find(*state, METHOD_GET, "/v1/skills/s1/files/readme");
    assert_ptr_equal(f.route, &table[6]);
    f = find(*state, METHOD_GET, "/v1/skills/s1/files/readme/x");
    assert_ptr_equal(f.route, &table[5]);
    /* A tail has at least one segment. */
    f = find(*state, METHOD_GET, "/v1/skills/s1/files");
    assert_null(f.route);
    assert_null(f.allow);
}

static void unknown_and_wrong_method(void **state)
{
    struct found f = find(*state, METHOD_GET, "/v1/skillz");
    assert_null(f.route);
    assert_null(f.allow);
    f = find(*state, METHOD_GET, "/V1/skills");
    assert_null(f.route);
    assert_null(f.allow);
    f = find(*state, METHOD_DELETE, "/v1/skills/x");
    assert_null(f.route);
    assert_string_equal(f.allow, "GET, HEAD, PUT, OPTIONS");
    f = find(*state, METHOD_GET, "/v1/skills/x/grants/y");
    assert_string_equal(f.allow, "DELETE, OPTIONS");
    f = find(*state, METHOD_OPTIONS, "/v1/skills/upload");
    assert_null(f.route);
    assert_string_equal(f.allow, "GET, HEAD, POST, PUT, OPTIONS");
    f = find(*state, METHOD_OTHER, "/");
    assert_string_equal(f.allow, "GET, HEAD, OPTIONS");
}

static void methods_by_name(void **state)
{
    (void)state;
    assert_int_equal(method_parse("GET"), METHOD_GET);
    assert_int_equal(method_parse("PATCH"), METHOD_PATCH);
    assert_int_equal(method_parse("HEAD"), METHOD_HEAD);
    assert_int_equal(method_parse("get"), METHOD_OTHER);
    assert_int_equal(method_parse("BREW"), METHOD_OTHER);
    assert_int_equal(method_parse(""), METHOD_OTHER);
    for (int m = METHOD_GET; m <= METHOD_HEAD; m++)
        assert_int_equal(method_parse(method_name((enum method)m)), m);
}

static void body_limits(void **state)
{
    (void)state;
    struct route r = ROW(POST, "/x");
    assert_int_equal(route_body_max(&r, 77), 1048576);
    r.body_max = BODY_CHAT;
    assert_int_equal(route_body_max(&r, 77), 77);
    r.body_max = 65536;
    assert_int_equal(route_body_max(&r, 77), 65536);
}

static void sound_table_passes(void **state)
{
    (void)state;
    char err[200] = "";
    assert_true(routes_check(table, TABLE_ROWS, err, sizeof err));
    assert_string_equal(err, "");
}

static void mistakes_are_found(void **state)
{
    (void)state;
    static const struct route good = ROW(GET, "/v1/x/{id}");
    static const char *const patterns[] = {
        NULL,   "",        "v1",       "/v1/",       "/v1//x",           "/v1/{}",  "/v1/{id",
        "/{1}", "/{a...}/b", "/{...}", "/pre{id}", "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q",
    };
    char err[200];
    struct route r = good;
    assert_true(routes_check(&r, 1, err, sizeof err));
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        r.pattern = patterns[i];
        if (routes_check(&r, 1, err, sizeof err))
            fail_msg("accepted: %s", patterns[i]);
    }
    r = good;
    r.pattern = "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p";
    assert_true(routes_check(&r, 1, err, sizeof err));

    struct route broken[] = {good, good, good, good, good, good, good, good, good};
    broken[0].role = ROLE_UNSET;
    broken[1].user = USER_UNSET;
    broken[2].handler = NULL;
    broken[3].tag = NULL;
    broken[4].summary = NULL;
    broken[5].method = METHOD_HEAD;
    broken[6].method = METHOD_OPTIONS;
    broken[7].flags = ROUTE_NO_BODY | ROUTE_RAW_BODY;
    broken[8].role = ROLE_PUBLIC;
    broken[8].user = USER_REQUIRED;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        if (routes_check(&broken[i], 1, err, sizeof err))
            fail_msg("accepted row %zu", i);
}

static void twins_are_found(void **state)
{
    (void)state;
    char err[200];
    const struct route twins[] = {ROW(GET, "/v1/{a}/x"), ROW(GET, "/v1/{b}/x")};
    assert_false(routes_check(twins, 2, err, sizeof err));
    assert_non_null(strstr(err, "/v1/{b}/x"));
    const struct route cousins[] = {ROW(GET, "/v1/{a}/x"), ROW(PUT, "/v1/{a}/x"), ROW(GET, "/v1/{a}/y"),
                                    ROW(GET, "/v1/a/x"), ROW(GET, "/v1/{a}")};
    assert_true(routes_check(cousins, 5, err, sizeof err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(literals_beat_parameters, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(rest_is_joined, with_arena, without_arena),
        RULE_TEST_AROUND("0.1", unknown_and_wrong_method, with_arena, without_arena),
        cmocka_unit_test(methods_by_name),
        cmocka_unit_test(body_limits),
        cmocka_unit_test(sound_table_passes),
        cmocka_unit_test(mistakes_are_found),
        cmocka_unit_test(twins_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Parameters by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "web/params.h"

enum { MANY = 500 };

static int set_up(void **state)
{
    *state = arena_new();
    return 0;
}

static int tear_down(void **state)
{
    arena_free(*state);
    return 0;
}

static void found_by_the_whole_name(void **state)
{
    char *env[] = {"A=1", "HTTP_X=", "HTTP_XY=x=y", "HTTP_ACCEPT_LANGUAGE=de", "HTTP_ACCEPT_ENCODING_LANGUAGE=no",
                   "CONTENT_LENGTH=7", "BARE", NULL};
    struct params p;
    params_index(&p, *state, env);
    assert_null(p.doubled);
    assert_string_equal(params_get(&p, "A"), "1");
    assert_string_equal(params_get(&p, "HTTP_X"), "");
    assert_string_equal(params_get(&p, "HTTP_XY"), "x=y");
    assert_string_equal(params_get(&p, "HTTP_ACCEPT_LANGUAGE"), "de");
    assert_string_equal(params_get(&p, "CONTENT_LENGTH"), "7");
    static const char *const absent[] = {"", "B", "HTTP_", "HTTP_XYZ", "HTTP_ACCEPT_LANGUAG", "ACCEPT_LANGUAGE", "BARE",
                                         "a"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        assert_null(params_get(&p, absent[i]));
}

static void any_number(void **state)
{
    char *env[MANY + 1];
    struct params p;
    env[0] = NULL;
    params_index(&p, *state, env);
    assert_null(params_get(&p, "A"));
    for (int i = 0; i < MANY; i++)
        env[i] = arena_printf(*state, "HTTP_X_%d_SAME_ENDING=%d", i, i);
    env[MANY] = NULL;
    params_index(&p, *state, env);
    assert_null(p.doubled);
    for (int i = 0; i < MANY; i++)
        assert_string_equal(params_get(&p, arena_printf(*state, "HTTP_X_%d_SAME_ENDING", i)),
                            arena_printf(*state, "%d", i));
}

static void doubles_are_told_by_their_http_name(void **state)
{
    static const struct {
        const char *param, *http;
    } rows[] = {{"HTTP_X_GOCLAW_USER_ID", "X-GoClaw-User-Id"}, {"HTTP_AUTHORIZATION", "Authorization"},
                {"CONTENT_TYPE", "Content-Type"}, {"REMOTE_ADDR", "REMOTE_ADDR"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct params p;
        char *env[] = {arena_printf(*state, "%s=a", rows[i].param), "OTHER=b",
                       arena_printf(*state, "%s=c", rows[i].param), NULL};
        params_index(&p, *state, env);
        assert_string_equal(p.doubled, rows[i].http);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {T(found_by_the_whole_name), T(any_number),
                                       T(doubles_are_told_by_their_http_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

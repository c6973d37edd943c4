/* When a run turns in circles (contract 03 §3.8): at each limit, and one before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/loop_guard.h"

static const struct tool reader = {.name = "look", .read_only = true}, writer = {.name = "write", .changes = true},
                         neutral = {.name = "run"};

struct fixture {
    struct arena *a;
    struct loop_guard guard;
    const char *note;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->a = arena_new();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_free(f->a);
    free(f);
    return 0;
}

static enum loop_verdict add(struct fixture *f, const struct tool *t, const char *arguments, const char *result)
{
    f->note = NULL;
    enum loop_verdict v = loop_guard_add(&f->guard, f->a, t ? t->name : "unknown", t, arguments, result, &f->note);
    assert_true((v == LOOP_WARN) == (f->note != NULL) || v == LOOP_STOP);
    return v;
}

static const char *number(struct fixture *f, const char *format_end, int n)
{
    return arena_printf(f->a, "{\"n\":%d%s", n, format_end);
}

static void test_the_same_call_with_the_same_result(void **state)
{
    static const struct tool *const tools[] = {&reader, &writer, &neutral, NULL};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++) {
        f->guard = (struct loop_guard){0};
        assert_int_equal(add(f, tools[i], "{}", "r"), LOOP_FINE);
        assert_int_equal(add(f, tools[i], "{}", "r"), LOOP_FINE);
        assert_int_equal(add(f, tools[i], "{}", "r"), LOOP_WARN);
        assert_non_null(strstr(f->note, "3 times"));
        assert_non_null(strstr(f->note, tools[i] ? tools[i]->name : "unknown"));
        assert_int_equal(add(f, tools[i], "{}", "r"), LOOP_FINE);
        assert_int_equal(add(f, tools[i], "{}", "r"), LOOP_STOP);
    }
}

static void test_a_call_is_its_arguments_whatever_their_order(void **state)
{
    struct fixture *f = *state;
    add(f, &neutral, "{\"a\":1,\"b\":{\"x\":[1,{\"p\":1,\"q\":2}],\"y\":\"\\u0041\"}}", "r");
    add(f, &neutral, "{ \"b\": {\"y\":\"A\",\"x\":[1,{\"q\":2,\"p\":1}]}, \"a\": 1 }", "r");
    assert_int_equal(add(f, &neutral, "{\"b\":{\"x\":[1,{\"p\":1,\"q\":2}],\"y\":\"A\"},\"a\":1}", "r"), LOOP_WARN);
    f->guard = (struct loop_guard){0};
    add(f, &neutral, "{\"a\":[1,2]}", "r");
    add(f, &neutral, "{\"a\":[2,1]}", "r");
    assert_int_equal(add(f, &neutral, "{\"a\":\"[1,2]\"}", "r"), LOOP_FINE);
    f->guard = (struct loop_guard){0};
    add(f, &neutral, "{broken", "r"); /* stands for itself */
    add(f, &neutral, "{broken", "r");
    assert_int_equal(add(f, &neutral, "{broken", "r"), LOOP_WARN);
}

static void test_another_result_is_progress(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 40; i++)
        assert_int_equal(add(f, &neutral, "{}", number(f, "", i)), LOOP_FINE);
}

static void test_one_result_for_different_calls(void **state)
{
    struct fixture *f = *state;
    for (int i = 1; i <= 6; i++)
        assert_int_equal(add(f, &neutral, number(f, "}", i), "r"), i == 6 ? LOOP_STOP : i == 4 ? LOOP_WARN : LOOP_FINE);
    /* Who changes something gets on, whatever he is told. */
    f->guard = (struct loop_guard){0};
    for (int i = 0; i < 40; i++)
        assert_int_equal(add(f, &writer, number(f, "}", i), "written"), LOOP_FINE);
}

static void test_repetitions_are_forgotten_after_thirty_calls(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 6; round++) {
        assert_int_equal(add(f, &neutral, "{}", "r"), LOOP_FINE);
        for (int i = 0; i < 14; i++) /* two of fifteen are never more than two of thirty */
            assert_int_equal(add(f, &writer, number(f, "}", 100 * round + i), number(f, "", i)), LOOP_FINE);
    }
}

static void test_a_repetition_counts_in_the_thirtieth_call_and_not_later(void **state)
{
    struct fixture *f = *state;
    for (int between = 27; between <= 28; between++) {
        f->guard = (struct loop_guard){0};
        add(f, &neutral, "{}", "r");
        add(f, &neutral, "{}", "r");
        for (int i = 0; i < between; i++)
            assert_int_equal(add(f, &writer, number(f, "}", i), number(f, "", i)), LOOP_FINE);
        assert_int_equal(add(f, &neutral, "{}", "r"), between == 27 ? LOOP_WARN : LOOP_FINE);
    }
}

static void test_reading_the_same_few_things(void **state)
{
    struct fixture *f = *state;
    for (int i = 1; i <= 12; i++) /* four different calls; results differ */
        assert_int_equal(add(f, &reader, number(f, "}", i % 4), number(f, "", i)),
                         i == 12 ? LOOP_STOP : i == 8 ? LOOP_WARN : LOOP_FINE);
}

static void test_the_share_decides_which_limit_holds(void **state)
{
    struct fixture *f = *state;
    for (int i = 1; i <= 10; i++) /* all different */
        assert_int_equal(add(f, &reader, number(f, "}", i), number(f, "", i)), LOOP_FINE);
    for (int i = 11; i <= 16; i++) /* 10 of 16 are more than 0.6 */
        assert_int_equal(add(f, &reader, "{\"n\":1}", number(f, "", i)), LOOP_FINE);
    assert_int_equal(add(f, &reader, "{\"n\":1}", "x"), LOOP_STOP); /* 10 of 17 are less */
    f->guard = (struct loop_guard){0};
    for (int i = 1; i <= 14; i++) /* 9 of 14 are more, 9 of 15 are just 0.6 */
        assert_int_equal(add(f, &reader, number(f, "}", i < 9 ? i : 9), number(f, "", i)), LOOP_FINE);
    assert_int_equal(add(f, &reader, number(f, "}", 9), "x"), LOOP_STOP);
}

static void test_reading_many_things(void **state)
{
    struct fixture *f = *state;
    for (int i = 1; i <= 36; i++)
        assert_int_equal(add(f, &reader, number(f, "}", i), number(f, "", i)),
                         i == 36 ? LOOP_STOP : i == 24 ? LOOP_WARN : LOOP_FINE);
}

static void test_a_change_ends_the_streak_and_neutral_calls_do_not(void **state)
{
    struct fixture *f = *state;
    for (int i = 1; i <= 7; i++)
        add(f, &reader, "{}", number(f, "", i));
    assert_int_equal(add(f, &neutral, "{}", "n"), LOOP_FINE);
    assert_int_equal(add(f, &reader, "{}", "8"), LOOP_WARN);
    assert_int_equal(add(f, NULL, "{}", "no such tool"), LOOP_FINE);
    for (int i = 9; i <= 11; i++)
        assert_int_equal(add(f, &reader, "{}", number(f, "", i)), LOOP_FINE);
    assert_int_equal(add(f, &writer, "{}", "w"), LOOP_FINE);
    for (int i = 1; i <= 12; i++)
        assert_int_equal(add(f, &reader, "{}", number(f, "again", i)),
                         i == 12 ? LOOP_STOP : i == 8 ? LOOP_WARN : LOOP_FINE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_same_call_with_the_same_result, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_call_is_its_arguments_whatever_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_result_is_progress, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_result_for_different_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_repetitions_are_forgotten_after_thirty_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_repetition_counts_in_the_thirtieth_call_and_not_later, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reading_the_same_few_things, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_share_decides_which_limit_holds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reading_many_things, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_change_ends_the_streak_and_neutral_calls_do_not, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

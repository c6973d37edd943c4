/* Memory running out at every single step of building a tree: an error, and nothing stays behind (the build with
 * LeakSanitizer sees to that). The functions of json-c below stand before the library's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>

#include "base/json.h"

static int steps_left = -1; /* until one fails; negative: none does */

static bool fails(void)
{
    return steps_left >= 0 && steps_left-- == 0;
}

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

json_object *json_object_new_object(void)
{
    return fails() ? NULL : REAL(json_object_new_object)();
}

json_object *json_object_new_array_ext(int size)
{
    return fails() ? NULL : REAL(json_object_new_array_ext)(size);
}

json_object *json_object_new_string_len(const char *s, int len)
{
    return fails() ? NULL : REAL(json_object_new_string_len)(s, len);
}

json_object *json_object_new_int64(int64_t v)
{
    return fails() ? NULL : REAL(json_object_new_int64)(v);
}

json_object *json_object_new_double_s(double v, const char *text)
{
    return fails() ? NULL : REAL(json_object_new_double_s)(v, text);
}

json_object *json_object_new_boolean(json_bool v)
{
    return fails() ? NULL : REAL(json_object_new_boolean)(v);
}

int json_object_array_add(json_object *array, json_object *value)
{
    return fails() ? -1 : REAL(json_object_array_add)(array, value);
}

int json_object_object_add_ex(json_object *o, const char *key, json_object *value, unsigned options)
{
    return fails() ? -1 : REAL(json_object_object_add_ex)(o, key, value, options);
}

/* Counts how often a step was asked for while all succeed. */
static int steps_of(const char *text)
{
    steps_left = INT32_MAX;
    json_object *o = json_parse_owned(text, strlen(text), 0, NULL);
    int steps = INT32_MAX - steps_left;
    steps_left = -1;
    assert_non_null(o);
    json_object_put(o);
    return steps;
}

static void fails_at_every_step(const char *text)
{
    int steps = steps_of(text);
    assert_true(steps > 0);
    for (int step = 0; step < steps; step++) {
        struct json_fault fault = {0};
        steps_left = step;
        json_object *o = json_parse_owned(text, strlen(text), 0, &fault);
        assert_true(steps_left < 0);
        assert_null(o);
        assert_string_equal(fault.reason, "not enough memory");
    }
}

static void test_no_memory_at_any_step(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}", "[]", "1", "1.5", "true", "\"a\"", "\"a\\n\"",
        "[null]",
        "{\"a\":null}",
        "[1,[2,[3,{\"a\":[4.5,\"b\"]}]],false]",
        "{\"a\":{\"b\":{\"c\":[{},{\"d\":null},\"\\u00e9\"]}},\"e\\t\":1e5,\"f\":-7}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        fails_at_every_step(texts[i]);
}

/* A value takes a step to make, unless it is null, and one to join its parent, unless it is the root. */
static void test_steps_are_seen(void **state)
{
    (void)state;
    assert_int_equal(steps_of("1"), 1);
    assert_int_equal(steps_of("[1]"), 3);
    assert_int_equal(steps_of("{\"a\":[true,\"b\",2.5,null]}"), 1 + 2 + 2 + 2 + 2 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_are_seen),
        cmocka_unit_test(test_no_memory_at_any_step),
    };
    return cmocka_run_group_tests_name("json_build", tests, NULL, NULL);
}

/* From stored rows to what a provider accepts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/history.h"

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

static char *repeat(struct arena *a, const char *what, size_t times)
{
    size_t n = strlen(what);
    char *s = arena_alloc(a, n * times + 1);
    for (size_t i = 0; i < times; i++)
        memcpy(s + i * n, what, n);
    return s;
}

static struct llm_message say(enum llm_role role, const char *text)
{
    return (struct llm_message){.role = role, .text = text};
}

static struct llm_message result_of(const char *id, const char *text)
{
    return (struct llm_message){.role = LLM_TOOL, .text = text, .tool_call_id = id};
}

static void test_rows(void **state)
{
    const struct message rows[] = {
        {.role = "user", .content = "hi"},
        {.role = "assistant",
         .content = "",
         .tool_calls = "[{\"id\":\"c1\",\"name\":\"f\",\"arguments\":{\"p\":\"a/b\"}},{\"id\":\"c2\",\"name\":\"g\"},"
                       "{\"id\":\"c3\",\"name\":\"h\",\"arguments\":\"{cut\"},{\"id\":\"c4\"},7,"
                       "{\"name\":\"i\",\"arguments\":\"{\\\"a\\\":1}\"}]"},
        {.role = "tool", .content = "r", .tool_call_id = "c1", .is_error = true},
        {.role = "unknown", .content = "x"},
        {.role = "assistant", .content = "done", .tool_calls = "[{broken"},
    };
    size_t n;
    struct llm_message *m = history_from_rows(*state, rows, 5, &n);
    assert_int_equal(n, 4);
    assert_int_equal(m[0].role, LLM_USER);
    assert_int_equal(m[1].tool_call_count, 4);
    assert_string_equal(m[1].tool_calls[0].id, "c1");
    assert_string_equal(m[1].tool_calls[0].arguments, "{\"p\":\"a/b\"}");
    assert_string_equal(m[1].tool_calls[1].arguments, "{}");
    assert_true(m[1].tool_calls[2].malformed);
    assert_string_equal(m[1].tool_calls[2].arguments, "{cut");
    assert_string_equal(m[1].tool_calls[3].id, "");
    assert_false(m[1].tool_calls[3].malformed);
    assert_string_equal(m[2].tool_call_id, "c1");
    assert_true(m[2].is_error);
    assert_string_equal(m[3].text, "done");
    assert_int_equal(m[3].tool_call_count, 0);
}

/* user, tool, assistant, tool, 3 assistants: the second tool message alone may be pruned. */
enum { LONG_AT = 2, PROTECTED_AT = 4, PRUNE_COUNT = 7 };

static void conversation(struct llm_message m[PRUNE_COUNT], const char *text)
{
    m[0] = result_of("c", text);
    m[1] = say(LLM_USER, "go");
    m[LONG_AT] = result_of("c", text);
    m[3] = say(LLM_ASSISTANT, "1");
    m[PROTECTED_AT] = result_of("c", text);
    m[5] = say(LLM_ASSISTANT, "2");
    m[6] = say(LLM_ASSISTANT, "3");
}

static void test_soft_trim_limits(void **state)
{
    struct llm_message m[PRUNE_COUNT];
    char *at = repeat(*state, "\xc3\xa9", 4000), *past = repeat(*state, "\xc3\xa9", 4001);
    conversation(m, at);
    history_prune(*state, m, PRUNE_COUNT, 100);
    assert_string_equal(m[LONG_AT].text, at);
    conversation(m, past);
    history_prune(*state, m, PRUNE_COUNT, 100);
    assert_string_equal(m[0].text, past);
    assert_string_equal(m[PROTECTED_AT].text, past);
    assert_int_equal(strncmp(m[LONG_AT].text, past, 3000), 0);
    assert_non_null(strstr(m[LONG_AT].text, "1500 of 4001"));
    assert_true(strlen(m[LONG_AT].text) > 6000 && strlen(m[LONG_AT].text) < 6150);
}

static void test_soft_trim_starts_at_the_ratio(void **state)
{
    struct llm_message m[PRUNE_COUNT];
    char *past = repeat(*state, "x", 4001);
    int64_t total = 3 * 4001 + 2 + 3;
    conversation(m, past);
    history_prune(*state, m, PRUNE_COUNT, total * 10 / 12 + 2); /* just under 0.3 */
    assert_ptr_equal(m[LONG_AT].text, past);
    history_prune(*state, m, PRUNE_COUNT, 0);
    assert_ptr_equal(m[LONG_AT].text, past);
    history_prune(*state, m, PRUNE_COUNT, total * 10 / 12 - 1);
    assert_ptr_not_equal(m[LONG_AT].text, past);
}

static void test_few_assistants_protect_all(void **state)
{
    struct llm_message m[PRUNE_COUNT];
    char *past = repeat(*state, "x", 9000);
    conversation(m, past);
    m[6].role = LLM_USER;
    history_prune(*state, m, PRUNE_COUNT, 10);
    assert_ptr_equal(m[LONG_AT].text, past);
}

/* 20 results of 2500 characters make exactly 50000. */
static size_t many_results(struct arena *a, struct llm_message *m, size_t last_size)
{
    size_t n = 0;
    m[n++] = say(LLM_USER, "go");
    for (int i = 0; i < 20; i++)
        m[n++] = result_of("c", repeat(a, "x", i == 19 ? last_size : 2500));
    for (int i = 0; i < 3; i++)
        m[n++] = say(LLM_ASSISTANT, "a");
    return n;
}

static void test_hard_clear(void **state)
{
    struct llm_message m[32];
    size_t n = many_results(*state, m, 2499);
    history_prune(*state, m, n, 20000);
    assert_int_equal(strlen(m[1].text), 2500); /* one below the least sum */

    n = many_results(*state, m, 2500);
    history_prune(*state, m, n, 20000); /* 50005 of 80000 characters: oldest first until below 40000 */
    size_t cleared = 0;
    for (size_t i = 1; i <= 20; i++)
        cleared += strlen(m[i].text) < 100;
    assert_int_equal(cleared, 5);
    assert_true(strlen(m[5].text) < 100 && strlen(m[6].text) == 2500);

    n = many_results(*state, m, 2500);
    history_prune(*state, m, n, 30000); /* over 0.3, under 0.5 */
    assert_int_equal(strlen(m[1].text), 2500);
}

static void test_repair_drops_orphans(void **state)
{
    const struct llm_message m[] = {result_of("x", "leading"), say(LLM_USER, "a"), result_of("y", "orphan"),
                                    say(LLM_ASSISTANT, "b"), result_of("z", "orphan")};
    size_t n;
    struct llm_message *out = history_repair(*state, m, 5, &n);
    assert_int_equal(n, 2);
    assert_string_equal(out[0].text, "a");
    assert_string_equal(out[1].text, "b");
}

static void test_repair_pairs(void **state)
{
    const struct llm_tool_call calls[] = {{.id = "1", .name = "f", .arguments = "{}"},
                                          {.id = "2", .name = "g", .arguments = "{}"}};
    const struct llm_message m[] = {
        say(LLM_USER, "a"),
        {.role = LLM_ASSISTANT, .text = "", .tool_calls = calls, .tool_call_count = 2},
        result_of("2", "two"),
        result_of("3", "stranger"),
        result_of("2", "again"),
    };
    size_t n;
    struct llm_message *out = history_repair(*state, m, 5, &n);
    assert_int_equal(n, 4);
    assert_string_equal(out[2].tool_call_id, "1");
    assert_true(out[2].is_error);
    assert_string_equal(out[2].tool_name, "f");
    assert_string_equal(out[3].tool_call_id, "2");
    assert_string_equal(out[3].text, "two");
    assert_string_equal(out[3].tool_name, "g");
}

static void test_repair_makes_ids_unique(void **state)
{
    const struct llm_tool_call twice[] = {{.id = "1", .name = "f", .arguments = "{}"},
                                          {.id = "1", .name = "g", .arguments = "{}"}};
    const struct llm_tool_call none[] = {{.id = "", .name = "h", .arguments = "{}"}};
    const struct llm_message m[] = {
        {.role = LLM_ASSISTANT, .text = "", .tool_calls = twice, .tool_call_count = 2},
        result_of("1", "first"),
        result_of("1", "second"),
        {.role = LLM_ASSISTANT, .text = "", .tool_calls = twice, .tool_call_count = 1},
        result_of("1", "third"),
        {.role = LLM_ASSISTANT, .text = "", .tool_calls = none, .tool_call_count = 1},
        result_of("", "fourth"),
    };
    size_t n;
    struct llm_message *out = history_repair(*state, m, 7, &n);
    assert_int_equal(n, 7);
    const char *ids[4], *texts[4];
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        if (out[i].role == LLM_TOOL) {
            ids[found] = out[i].tool_call_id;
            texts[found++] = out[i].text;
        }
    }
    assert_int_equal(found, 4);
    assert_string_equal(ids[0], "1");
    assert_string_equal(texts[0], "first");
    assert_string_equal(texts[1], "second");
    assert_string_equal(texts[3], "fourth");
    for (size_t i = 0; i < 4; i++)
        for (size_t k = i + 1; k < 4; k++)
            assert_string_not_equal(ids[i], ids[k]);
    assert_string_equal(out[0].tool_calls[1].id, ids[1]);
}

static void test_repair_shortens_ids(void **state)
{
    const char *ids[] = {repeat(*state, "x", 40), repeat(*state, "x", 41)};
    for (size_t i = 0; i < 2; i++) {
        const struct llm_tool_call call = {.id = ids[i], .name = "f", .arguments = "{}"};
        const struct llm_message m[] = {
            {.role = LLM_ASSISTANT, .text = "", .tool_calls = &call, .tool_call_count = 1}, result_of(ids[i], "r")};
        size_t n;
        struct llm_message *out = history_repair(*state, m, 2, &n);
        assert_string_equal(out[1].text, "r");
        assert_true(strlen(out[1].tool_call_id) <= 40);
        assert_int_equal(strcmp(out[1].tool_call_id, ids[i]) == 0, i == 0);
    }
}

static void test_repair_merges(void **state)
{
    const struct llm_tool_call call = {.id = "1", .name = "f", .arguments = "{}"};
    const struct llm_message m[] = {
        say(LLM_SYSTEM, "s"),    say(LLM_SYSTEM, "t"),    say(LLM_USER, "a"), say(LLM_USER, ""), say(LLM_USER, "b"),
        say(LLM_ASSISTANT, "c"), {.role = LLM_ASSISTANT, .text = "d", .tool_calls = &call, .tool_call_count = 1},
        result_of("1", "r"),     say(LLM_ASSISTANT, "e"), say(LLM_ASSISTANT, "f"),
    };
    size_t n;
    struct llm_message *out = history_repair(*state, m, 10, &n);
    assert_int_equal(n, 6);
    assert_string_equal(out[1].text, "t");
    assert_string_equal(out[2].text, "a\n\nb");
    assert_string_equal(out[3].text, "c\n\nd");
    assert_int_equal(out[3].tool_call_count, 1);
    assert_string_equal(out[4].text, "r");
    assert_string_equal(out[5].text, "e\n\nf");
    out = history_repair(*state, m, 0, &n);
    assert_int_equal(n, 0);
    assert_non_null(out);
}

static void test_repair_changes_nothing_twice(void **state)
{
    const struct llm_tool_call calls[] = {{.id = "1", .name = "f", .arguments = "{}"},
                                          {.id = "1", .name = "g", .arguments = "{}"}};
    const struct llm_message m[] = {say(LLM_USER, "a"), say(LLM_USER, "b"),
                                    {.role = LLM_ASSISTANT, .text = "x", .tool_calls = calls, .tool_call_count = 2},
                                    result_of("1", "r"), say(LLM_USER, "c")};
    size_t n, again;
    struct llm_message *out = history_repair(*state, m, 5, &n);
    struct llm_message *second = history_repair(*state, out, n, &again);
    assert_int_equal(n, again);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(out[i].text, second[i].text);
        if (out[i].role == LLM_TOOL)
            assert_string_equal(out[i].tool_call_id, second[i].tool_call_id);
    }
}

static void test_estimate(void **state)
{
    (void)state;
    const struct llm_tool_call call = {.id = "1", .name = "f", .arguments = "{}"};
    const struct llm_message m[] = {
        say(LLM_USER, "\xc3\xa9\xc3\xa9\xc3\xa9"), say(LLM_USER, "ab"),
        {.role = LLM_ASSISTANT, .text = "abc", .tool_calls = &call, .tool_call_count = 1}};
    assert_int_equal(history_estimate_tokens(m, 1), 1);
    assert_int_equal(history_estimate_tokens(m, 2), 1);
    assert_int_equal(history_estimate_tokens(m, 3), 3);
    assert_int_equal(history_estimate_tokens(NULL, 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rows),
        TEST(test_soft_trim_limits),
        TEST(test_soft_trim_starts_at_the_ratio),
        TEST(test_few_assistants_protect_all),
        TEST(test_hard_clear),
        TEST(test_repair_drops_orphans),
        TEST(test_repair_pairs),
        TEST(test_repair_makes_ids_unique),
        TEST(test_repair_shortens_ids),
        TEST(test_repair_merges),
        TEST(test_repair_changes_nothing_twice),
        TEST(test_estimate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* When a conversation is summed up, what of it, and what is asked (contract 03 §3.11). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/compact.h"
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

static const struct config config = {
    .compaction_share = 0.75, .compaction_min_messages = 200, .compaction_keep_last = 4};

static char *repeat(struct arena *a, const char *what, size_t times)
{
    size_t n = strlen(what);
    char *s = arena_alloc(a, n * times + 1);
    for (size_t i = 0; i < times; i++)
        memcpy(s + i * n, what, n);
    s[n * times] = '\0';
    return s;
}

static void test_the_agents_rules_go_before_the_settings(void **state)
{
    static const struct {
        const char *own;
        double share;
        int64_t min_messages, keep_last;
    } cases[] = {
        {NULL, 0.75, 200, 4},
        {"{}", 0.75, 200, 4},
        {"broken", 0.75, 200, 4},
        {"{\"maxHistoryShare\":0.5,\"minMessages\":1,\"keepLastMessages\":1}", 0.5, 1, 1},
        {"{\"maxHistoryShare\":1}", 1, 200, 4},
        {"{\"maxHistoryShare\":0}", 0, 200, 4},
        {"{\"maxHistoryShare\":1.01,\"minMessages\":0,\"keepLastMessages\":-1}", 0.75, 200, 4},
        {"{\"maxHistoryShare\":-0.1,\"minMessages\":\"5\",\"keepLastMessages\":null}", 0.75, 200, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct compact_rules r = compact_rules_of(*state, &config, cases[i].own);
        assert_true(r.share >= cases[i].share && r.share <= cases[i].share);
        assert_int_equal(r.min_messages, cases[i].min_messages);
        assert_int_equal(r.keep_last, cases[i].keep_last);
    }
}

static void test_full_is_the_share_of_the_window(void **state)
{
    (void)state;
    struct compact_rules r = {.share = 0.75};
    assert_false(compact_is_full(&r, 1000, 749));
    assert_true(compact_is_full(&r, 1000, 750));
    assert_false(compact_is_full(&r, 0, 1000000));
    r.share = 0;
    assert_false(compact_is_full(&r, 1000, 1000000));
}

static void test_a_call_stays_with_its_results(void **state)
{
    (void)state;
    /* 0: user, 1: call, 2 and 3: its results, 4: call, 5: its result, 6: user */
    static const enum llm_role roles[] = {LLM_USER,      LLM_ASSISTANT, LLM_TOOL, LLM_TOOL,
                                          LLM_ASSISTANT, LLM_TOOL,      LLM_USER};
    struct llm_message m[7];
    for (size_t i = 0; i < 7; i++)
        m[i] = (struct llm_message){.role = roles[i], .text = ""};
    static const size_t heads[] = {[1] = 6, [2] = 4, [3] = 4, [4] = 1, [5] = 1, [6] = 1, [7] = 0, [8] = 0};
    for (size_t keep = 1; keep <= 8; keep++)
        assert_int_equal(compact_split(m, 7, keep), heads[keep]);
    assert_int_equal(compact_split(m, 6, 1), 4);
    assert_int_equal(compact_split(m, 5, 1), 0); /* fewer than six are left alone */
    assert_int_equal(compact_split(m, 0, 1), 0);
    assert_int_equal(compact_split(m + 2, 5, 4), 0);
    for (size_t i = 0; i < 7; i++)
        m[i].role = LLM_TOOL;
    assert_int_equal(compact_split(m, 7, 4), 0);
}

static void test_the_model_is_shown_the_conversation(void **state)
{
    struct llm_tool_call call = {.id = "c", .name = "look", .arguments = "{\"at\":1}"};
    const struct llm_message m[] = {
        {.role = LLM_USER, .text = "what is it?"},
        {.role = LLM_ASSISTANT, .text = "", .tool_calls = &call, .tool_call_count = 1},
        {.role = LLM_TOOL, .text = "a cat", .tool_name = "look", .tool_call_id = "c"},
        {.role = LLM_ASSISTANT, .text = NULL},
    };
    struct compact_job job = {"", m, 4, 10000};
    const char *text = compact_prompt(*state, &job);
    assert_non_null(strstr(text, "<conversation>\nuser: what is it?\nassistant: \nassistant calls look: {\"at\":1}\n"
                                 "tool look: a cat\nassistant: \n</conversation>"));
    assert_null(strstr(text, "<summary>"));
    job.prior = "They met.";
    assert_non_null(strstr(compact_prompt(*state, &job), "<summary>\nThey met.\n</summary>"));
}

static void test_what_is_long_loses_its_middle(void **state)
{
    struct llm_message m = {.role = LLM_TOOL, .text = repeat(*state, "\xc3\xa9", 4001)};
    struct compact_job job = {"", &m, 1, 100000};
    assert_non_null(strstr(compact_prompt(*state, &job), "first 1500 and last 1500 of 4001"));

    struct llm_message many[20];
    for (size_t i = 0; i < 20; i++)
        many[i] = (struct llm_message){.role = LLM_USER, .text = repeat(*state, "\xc3\xa9", 92)}; /* 99 with its name */
    job = (struct compact_job){"", many, 20, 20 * 99};
    assert_null(strstr(compact_prompt(*state, &job), "left out"));
    job.max_chars = 1000;
    const char *text = compact_prompt(*state, &job);
    assert_non_null(strstr(text, "[… 980 characters left out …]"));
    assert_true(strlen(text) < 3000);
}

static void test_without_a_model_the_users_words_are_listed(void **state)
{
    struct llm_message m[50];
    for (size_t i = 0; i < 50; i++)
        m[i] = (struct llm_message){.role = i % 2 ? LLM_ASSISTANT : LLM_USER,
                                    .text = arena_printf(*state, "text %zu.", i)};
    struct compact_job job = {"before", m, 50, 1000};
    const char *text = compact_without_model(*state, &job);
    assert_int_equal(strncmp(text, "before\n\n50 messages", 19), 0);
    assert_null(strstr(text, "text 8."));
    assert_non_null(strstr(text, "- text 10."));
    assert_non_null(strstr(text, "- text 48."));
    assert_null(strstr(text, "text 11."));
}

static void test_results_are_shortened_for_a_second_try(void **state)
{
    char *at = repeat(*state, "x", 4000), *past = repeat(*state, "x", 4001);
    struct llm_message m[] = {{.role = LLM_USER, .text = past}, {.role = LLM_TOOL, .text = at}, {.role = LLM_TOOL}};
    assert_false(history_shorten_results(*state, m, 3));
    m[2].text = past;
    assert_true(history_shorten_results(*state, m, 3));
    assert_ptr_equal(m[0].text, past);
    assert_ptr_equal(m[1].text, at);
    assert_true(strlen(m[2].text) < 3200);
    assert_false(history_shorten_results(*state, m, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_agents_rules_go_before_the_settings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_is_the_share_of_the_window, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_call_stays_with_its_results, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_model_is_shown_the_conversation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_long_loses_its_middle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_a_model_the_users_words_are_listed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_results_are_shortened_for_a_second_try, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

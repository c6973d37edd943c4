#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "llm/llm.h"
#include "llm/ssrf.h"

static void table(void **state)
{
    (void)state;
    size_t count;
    const struct llm_type *types = llm_types(&count);
    assert_int_equal(count, 29);
    for (size_t i = 0; i < count; i++) {
        const struct llm_type *t = &types[i];
        assert_ptr_equal(llm_type_find(t->name), t);
        assert_true(strlen(t->name) <= 30);
        if (t->base_url) {
            const char *why;
            assert_true(outbound_url_check(t->base_url, outbound_url_is_loopback(t->base_url), &why));
            assert_true(t->base_url[strlen(t->base_url) - 1] != '/');
        }
        if (t->wire == LLM_WIRE_OPENAI || t->wire == LLM_WIRE_ANTHROPIC)
            assert_non_null(t->base_url);
    }
}

static void rows(void **state)
{
    (void)state;
    assert_string_equal(llm_type_find("openai_compat")->default_model, "gpt-4o");
    assert_true(llm_type_find("openai_compat")->needs_key);
    assert_int_equal(llm_type_find("anthropic_oauth")->wire, LLM_WIRE_ANTHROPIC);
    assert_false(llm_type_find("ollama")->needs_key);
    assert_true(llm_type_find("ollama_cloud")->needs_key);
    assert_int_equal(llm_type_find("offline")->wire, LLM_WIRE_OFFLINE);
    assert_false(llm_type_find("offline")->needs_key);
    assert_null(llm_type_find("offline")->base_url);
    assert_int_equal(llm_type_find("claude_cli")->wire, LLM_WIRE_STORED_ONLY);
    assert_ptr_equal(llm_type_find("vertex"), llm_type_find("vertex_ai"));
    assert_null(llm_type_find("yescale")->default_model);
    assert_null(llm_type_find("openai"));
    assert_null(llm_type_find(""));
    assert_null(llm_type_find(NULL));
}

static void finish_names(void **state)
{
    (void)state;
    assert_string_equal(llm_finish_name(LLM_STOP), "stop");
    assert_string_equal(llm_finish_name(LLM_LENGTH), "length");
    assert_string_equal(llm_finish_name(LLM_TOOL_CALLS), "tool_calls");
    assert_string_equal(llm_finish_name(LLM_CONTENT_FILTER), "content_filter");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(rows),
        cmocka_unit_test(finish_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Requests of chat completions, and what single providers want to be different in them. */
#include <math.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "llm/openai.h"

static const struct llm_tool_call one_call = {.id = "call_1", .name = "f", .arguments = "{\"a\":1}"};

static const struct llm_message messages[] = {
    {.role = LLM_SYSTEM, .text = "Be kind."},
    {.role = LLM_USER, .text = "Say \"hi\""},
    {.role = LLM_ASSISTANT, .text = "", .tool_calls = &one_call, .tool_call_count = 1},
    {.role = LLM_TOOL, .text = "done", .tool_call_id = "call_1", .tool_name = "f"},
    {.role = LLM_ASSISTANT, .text = "trailing"},
};

static const struct llm_tool tool = {.name = "f", .description = "does f", .parameters = "{\"properties\":{\"a\":{}}}"};

static char *request(struct arena *a, const struct llm_provider *p, const char *model, struct llm_request r, char **url)
{
    struct upstream_base base;
    struct openai_target t;
    struct buf *out = buf_new(a, 100000);
    assert_true(upstream_base(a, p, &base));
    openai_target(a, p, &base, &r, &t);
    struct wire_call call = {.arena = a, .provider = p, .request = &r, .model = model, .max_tokens = r.params.max_tokens};
    assert_true(openai_request(out, &t, &call));
    assert_true(json_gate(out->data, out->len, 0, NULL));
    if (url)
        *url = arena_strdup(a, t.url);
    return out->data;
}

#define MESSAGES(system_role, id, name)                                                                                \
    "\"messages\":[{\"role\":\"" system_role "\",\"content\":\"Be kind.\"},{\"role\":\"user\",\"content\":\"Say \\\"hi\\\"\"}," \
    "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"f\","       \
    "\"arguments\":\"{\\\"a\\\":1}\"}}]},{\"role\":\"tool\",\"content\":\"done\",\"tool_call_id\":\"" id "\"" name "}]"
#define TOOLS                                                                                                          \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"does f\",\"parameters\":"            \
    "{\"properties\":{\"a\":{}},\"type\":\"object\"}}}],\"tool_choice\":\"auto\""

static void requests(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    char *url;
    struct llm_provider p = {.name = "p", .type = "openai_compat", .base_url = "http://x.example/v1", .api_key = "k"};
    struct llm_request r = {.messages = messages, .message_count = 5, .params = LLM_PARAMS_NONE, .stream = true};
    assert_string_equal(request(a, &p, "m", r, &url),
                        "{\"model\":\"m\"," MESSAGES("system", "call_1", "")
                        ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    assert_string_equal(url, "http://x.example/v1/chat/completions");

    r.stream = false;
    r.tools = &tool;
    r.tool_count = 1;
    r.params.max_tokens = 100;
    r.params.temperature = 0.5;
    r.params.top_p = 0.25;
    r.params.parallel_tool_calls = 0;
    r.params.has_seed = true;
    r.params.seed = -3;
    r.params.reasoning_effort = "medium";
    p.base_url = "";
    assert_string_equal(request(a, &p, "gpt-4o", r, &url),
                        "{\"model\":\"gpt-4o\"," MESSAGES("developer", "call_1", "") ",\"stream\":false," TOOLS
                        ",\"parallel_tool_calls\":false,\"max_tokens\":100,\"temperature\":0.5,\"top_p\":0.25,\"seed\":-3}");
    assert_string_equal(url, "https://api.openai.com/v1/chat/completions");
    r.params.parallel_tool_calls = -1;
    assert_string_equal(request(a, &p, "openai/o3-mini", r, NULL),
                        "{\"model\":\"openai/o3-mini\"," MESSAGES("developer", "call_1", "") ",\"stream\":false," TOOLS
                        ",\"max_completion_tokens\":100,\"seed\":-3,\"reasoning_effort\":\"medium\"}");
    assert_non_null(strstr(request(a, &p, "gpt-5-chat-latest", r, NULL), "\"max_completion_tokens\":100,\"temperature\":0.5"));
    assert_null(strstr(request(a, &p, "gpt-5-mini", r, NULL), "temperature"));
    arena_free(a);
}

static void dialects(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    char *url;
    struct llm_provider p = {.name = "p", .base_url = "", .api_key = ""};
    struct llm_request r = {.messages = messages, .message_count = 5, .params = LLM_PARAMS_NONE, .stream = true};
    static const char *const urls[][3] = {
        {"ollama", "", "http://localhost:11434/v1/chat/completions"},
        {"ollama", "http://localhost:11434", "http://localhost:11434/v1/chat/completions"},
        {"minimax_native", "", "https://api.minimax.io/v1/text/chatcompletion_v2"},
        {"openai_compat", "https://a.azure.com/openai/deployments/d?api-version=1",
         "https://a.azure.com/openai/deployments/d/chat/completions?api-version=1"},
        {"openai_compat", "http://h/v1///", "http://h/v1/chat/completions"},
    };
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        p.type = urls[i][0];
        p.base_url = urls[i][1];
        request(a, &p, "m", r, &url);
        assert_string_equal(url, urls[i][2]);
    }
    p.base_url = "";
    p.type = "gemini_native";
    r.params.reasoning_effort = "none";
    char *text = request(a, &p, "m", r, NULL);
    assert_non_null(strstr(text, MESSAGES("system", "call_1", ",\"name\":\"f\"")));
    assert_non_null(strstr(text, "\"reasoning_effort\":\"low\""));
    p.type = "mistral";
    text = request(a, &p, "m", r, NULL);
    assert_null(strstr(text, "call_1"));
    json_object *o = json_tokener_parse(text);
    json_object *sent = json_object_array_get_idx(json_get(o, "messages"), 2);
    const char *id = json_str(json_object_array_get_idx(json_get(sent, "tool_calls"), 0), "id");
    assert_int_equal(strlen(id), 9);
    assert_string_equal(id, json_str(json_object_array_get_idx(json_get(o, "messages"), 3), "tool_call_id"));
    json_object_put(o);
    p.type = "dashscope";
    r.tools = &tool;
    r.tool_count = 1;
    assert_non_null(strstr(request(a, &p, "m", r, NULL), "\"stream\":false"));
    r.tool_count = 0;
    assert_non_null(strstr(request(a, &p, "m", r, NULL), "\"stream\":true"));
    struct upstream_base base;
    p.base_url = "http://user@host/";
    assert_false(upstream_base(a, &p, &base));
    arena_free(a);
}

/* The third generation of Gemini refuses calls that it did not sign; others get no signatures at all. */
static void signatures(void **state)
{
    (void)state;
    static const struct llm_tool_call calls[] = {
        {.id = "c1", .name = "f", .arguments = "{}", .signature = "sig"}, {.id = "c2", .name = "g", .arguments = "{}"}};
    static const struct llm_message signed_turn[] = {
        {.role = LLM_ASSISTANT, .text = "", .tool_calls = calls, .tool_call_count = 2},
        {.role = LLM_TOOL, .text = "one", .tool_call_id = "c1", .tool_name = "f"},
        {.role = LLM_ASSISTANT, .text = "", .tool_calls = calls + 1, .tool_call_count = 1},
        {.role = LLM_TOOL, .text = "two", .tool_call_id = "c2"},
        {.role = LLM_USER, .text = "and?"},
    };
#define CALL(id, name, more) "{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"" name "\",\"arguments\":\"{}\"}" more "}"
#define SIGNED ",\"extra_content\":{\"google\":{\"thought_signature\":\"sig\"}}"
#define TURN(sign, name, second, result)                                                                               \
    "\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[" CALL("c1", "f", sign) "," CALL("c2", "g", "") "]},"            \
    "{\"role\":\"tool\",\"content\":\"one\",\"tool_call_id\":\"c1\"" name "},{\"role\":\"assistant\"," second "},{"           \
    result "},{\"role\":\"user\",\"content\":\"and?\"}]"
#define SHOWN "\"tool_calls\":[" CALL("c2", "g", "") "]", "\"role\":\"tool\",\"content\":\"two\",\"tool_call_id\":\"c2\""
#define TOLD "\"content\":\"[Tool Call: g]\\n{}\"", "\"role\":\"user\",\"content\":\"[Tool Result: ]\\ntwo\""
#define SIGNED_TURN(sign, name, turns) TURN_OF(sign, name, turns)
#define TURN_OF(sign, name, ...) TURN(sign, name, __VA_ARGS__)
    static const struct {
        const char *type, *model, *wanted;
    } cases[] = {
        {"gemini_native", "gemini-3-pro", SIGNED_TURN(SIGNED, ",\"name\":\"f\"", TOLD)},
        {"gemini_native", "models/gemini-flash-latest", SIGNED_TURN(SIGNED, ",\"name\":\"f\"", TOLD)},
        {"gemini_native", "gemini-2.5-flash", SIGNED_TURN(SIGNED, ",\"name\":\"f\"", SHOWN)},
        {"gemini_native", "gemma-3", SIGNED_TURN(SIGNED, ",\"name\":\"f\"", SHOWN)},
        {"openai_compat", "gemini-3-pro", SIGNED_TURN("", "", SHOWN)},
    };
    struct llm_provider p = {.name = "p", .base_url = "", .api_key = ""};
    struct llm_request r = {.messages = signed_turn, .message_count = 5, .params = LLM_PARAMS_NONE};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena *a = arena_new();
        p.type = cases[i].type;
        const char *text = request(a, &p, cases[i].model, r, NULL);
        if (!strstr(text, cases[i].wanted))
            fail_msg("%s: %s instead of %s", cases[i].model, text, cases[i].wanted);
        arena_free(a);
    }
}

/* Which models take a temperature; its default is always there. */
static void sampling(void **state)
{
    (void)state;
    static const struct {
        const char *model, *effort;
        bool sent;
    } cases[] = {
        {"gpt-4o", NULL, true},       {"gpt-5", NULL, false},         {"openai/gpt-5", NULL, false},
        {"gpt-5-mini", NULL, false},  {"gpt-5-nano", NULL, false},    {"gpt-5-2025-08-07", NULL, false},
        {"gpt-5-pro", NULL, false},   {"gpt-5-chat-latest", NULL, true}, {"gpt-5.1", NULL, true},
        {"gpt-5.1", "none", true},    {"gpt-5.1", "low", false},      {"openai/gpt-5.2", "high", false},
        {"o3", NULL, false},          {"o4-mini", NULL, false},       {"gpt-5.2-2025-12-11", NULL, true},
        {"gpt-5.5", NULL, false},     {"gpt-5.1-chat-latest", NULL, false}, {"gpt-5.2-pro", "none", false},
        {"llama", "high", true},
    };
    struct llm_provider p = {.name = "p", .type = "openai_compat", .base_url = "", .api_key = ""};
    struct llm_request r = {.messages = messages, .message_count = 5, .params = LLM_PARAMS_NONE};
    r.params.temperature = 0.5;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena *a = arena_new();
        r.params.reasoning_effort = cases[i].effort;
        if (!!strstr(request(a, &p, cases[i].model, r, NULL), "\"temperature\"") != cases[i].sent)
            fail_msg("%s", cases[i].model);
        arena_free(a);
    }
}

/* Mistral refuses a user who speaks right behind a tool. */
static void user_behind_tool(void **state)
{
    (void)state;
    static const struct llm_message turn[] = {
        {.role = LLM_TOOL, .text = "one", .tool_call_id = "c"},
        {.role = LLM_TOOL, .text = "two", .tool_call_id = "c"},
        {.role = LLM_USER, .text = "note"},
        {.role = LLM_USER, .text = "note"},
    };
    struct arena *a = arena_new();
    struct llm_provider p = {.name = "p", .type = "mistral", .base_url = "", .api_key = ""};
    struct llm_request r = {.messages = turn, .message_count = 4, .params = LLM_PARAMS_NONE};
#define NOTE "{\"role\":\"user\",\"content\":\"note\"}"
    assert_non_null(strstr(request(a, &p, "m", r, NULL), "},{\"role\":\"assistant\",\"content\":\"OK.\"}," NOTE "," NOTE "]"));
    p.type = "groq";
    assert_null(strstr(request(a, &p, "m", r, NULL), "assistant"));
    arena_free(a);
}

/* Arguments that were no object are not repeated: Gemini and Ollama refuse the conversation that holds them. */
static void malformed_call(void **state)
{
    (void)state;
    static const struct llm_tool_call call = {.id = "c", .name = "f", .arguments = "{\"a\":", .malformed = true};
    static const struct llm_message turn[] = {
        {.role = LLM_ASSISTANT, .text = "", .tool_calls = &call, .tool_call_count = 1},
        {.role = LLM_TOOL, .text = "not an object", .tool_call_id = "c"},
    };
    struct arena *a = arena_new();
    struct llm_provider p = {.name = "p", .type = "ollama", .base_url = "", .api_key = ""};
    struct llm_request r = {.messages = turn, .message_count = 2, .params = LLM_PARAMS_NONE};
    assert_non_null(strstr(request(a, &p, "m", r, NULL), "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}"));
    arena_free(a);
}

/* What these two refuse as unknown. */
static void foreign_params(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct llm_provider p = {.name = "p", .type = "mistral", .base_url = "", .api_key = ""};
    struct llm_request r = {.messages = messages + 1, .message_count = 1, .params = LLM_PARAMS_NONE, .stream = true};
    r.params.temperature = 0.5;
    r.params.presence_penalty = r.params.frequency_penalty = 0.25;
    r.params.has_seed = true;
    r.params.seed = 7;
    assert_string_equal(request(a, &p, "m", r, NULL),
                        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Say \\\"hi\\\"\"}],\"stream\":true,"
                        "\"temperature\":0.5,\"presence_penalty\":0.25,\"frequency_penalty\":0.25,\"random_seed\":7}");
    p.type = "gemini_native";
    assert_string_equal(request(a, &p, "m", r, NULL),
                        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Say \\\"hi\\\"\"}],\"stream\":true,"
                        "\"stream_options\":{\"include_usage\":true},\"temperature\":0.5}");
    arena_free(a);
}

static void json_params(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct llm_provider p = {.name = "p", .type = "openai_compat", .base_url = "http://h/v1", .api_key = ""};
    struct llm_request r = {.messages = messages + 1, .message_count = 1, .params = LLM_PARAMS_NONE};
    r.params.stop = json_tokener_parse("[\"a\",\"b\"]");
    r.params.response_format = json_tokener_parse("{\"type\":\"json_object\"}");
    r.params.tool_choice = json_tokener_parse("\"none\"");
    r.tools = &(struct llm_tool){.name = "g", .description = "", .parameters = "[]"};
    r.tool_count = 1;
    assert_string_equal(request(a, &p, "m", r, NULL),
                        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Say \\\"hi\\\"\"}],\"stream\":false,"
                        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"g\",\"parameters\":{\"type\":\"object\","
                        "\"properties\":{}}}}],\"tool_choice\":\"none\",\"stop\":[\"a\",\"b\"],"
                        "\"response_format\":{\"type\":\"json_object\"}}");
    json_object_put(r.params.stop);
    json_object_put(r.params.response_format);
    json_object_put(r.params.tool_choice);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests), cmocka_unit_test(dialects),       cmocka_unit_test(signatures),
        cmocka_unit_test(sampling), cmocka_unit_test(foreign_params), cmocka_unit_test(json_params),
        cmocka_unit_test(user_behind_tool), cmocka_unit_test(malformed_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

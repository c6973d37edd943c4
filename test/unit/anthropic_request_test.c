#include <math.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "llm/anthropic.h"

/* The body, written and judged by the gate; *plan (may be NULL) says what was decided. */
static const char *request(struct arena *a, const char *model, const struct llm_request *r, int64_t limit,
                           struct anthropic_plan *plan)
{
    struct anthropic_plan own;
    struct wire_call call = {.arena = a,
                             .request = r,
                             .model = model,
                             .max_tokens = r->params.max_tokens,
                             .max_tokens_limit = limit};
    struct buf *out = buf_new(a, 100000);
    plan = plan ? plan : &own;
    anthropic_plan(&call, plan);
    assert_true(anthropic_request(out, plan, &call));
    assert_true(json_gate(out->data, out->len, 0, NULL));
    return out->data;
}

static struct llm_request ask(const struct llm_message *messages, size_t count)
{
    return (struct llm_request){.messages = messages, .message_count = count, .params = LLM_PARAMS_NONE};
}

static const struct llm_message hi[] = {{.role = LLM_USER, .text = "hi"}};

#define HEAD(model, max) "{\"model\":\"" model "\",\"max_tokens\":" max ","
#define TEXT_BLOCK(text) "{\"type\":\"text\",\"text\":\"" text "\"}"
#define SAYS(role, blocks) "{\"role\":\"" role "\",\"content\":[" blocks "]}"
#define CACHED "\"cache_control\":{\"type\":\"ephemeral\"}"
#define ANY_INPUT "{\"type\":\"object\",\"properties\":{}}"

static void expect_messages(const struct llm_message *m, size_t n, const char *wanted)
{
    struct arena *a = arena_new();
    struct llm_request r = ask(m, n);
    const char *body = request(a, "m", &r, 0, NULL), *from = strstr(body, "\"messages\":[") + strlen("\"messages\":");
    const char *to = strstr(from, ",\"stream\":");
    assert_string_equal(arena_strndup(a, from, (size_t)(to - from)), wanted);
    arena_free(a);
}

#define EXPECT_MESSAGES(wanted, ...)                                                                                   \
    do {                                                                                                               \
        const struct llm_message m_[] = {__VA_ARGS__};                                                                 \
        expect_messages(m_, sizeof(m_) / sizeof(m_[0]), wanted);                                                       \
    } while (0)

static void expect_part(const char *body, const char *part, bool there)
{
    if ((strstr(body, part) != NULL) != there)
        fail_msg("%s %s in %s", there ? "no" : "unwanted", part, body);
}

static void smallest(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct llm_request r = ask(hi, 1);
    assert_string_equal(request(a, "claude-x", &r, 0, NULL),
                        HEAD("claude-x", "8192") "\"messages\":[" SAYS("user", TEXT_BLOCK("hi")) "],\"stream\":false}");
    r.stream = true;
    r.params.max_tokens = 50;
    static const char *const aliases[][2] = {{"opus", "claude-opus-4-6"},
                                             {"sonnet", "claude-sonnet-4-6"},
                                             {"haiku", "claude-haiku-4-5-20251001"},
                                             {"opus-mine", "opus-mine"}};
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
        assert_string_equal(request(a, aliases[i][0], &r, 0, NULL),
                            arena_printf(a, HEAD("%s", "50") "\"messages\":[" SAYS("user", TEXT_BLOCK("hi"))
                                            "],\"stream\":true}", aliases[i][1]));
    /* The upstream's limit holds also when nothing is asked for. */
    expect_part(request(a, "m", &r, 40, NULL), "\"max_tokens\":40,", true);
    r.params.max_tokens = 0;
    expect_part(request(a, "m", &r, 4000, NULL), "\"max_tokens\":4000,", true);
    expect_part(request(a, "m", &r, 9000, NULL), "\"max_tokens\":8192,", true);
    arena_free(a);
}

static void system_texts(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    static const struct llm_message m[] = {{.role = LLM_SYSTEM, .text = "one"}, {.role = LLM_SYSTEM, .text = "two"},
                                           {.role = LLM_SYSTEM, .text = " \n"}, {.role = LLM_USER, .text = "hi"},
                                           {.role = LLM_SYSTEM, .text = "late"}};
    struct llm_request r = ask(m, 5);
    assert_string_equal(request(a, "m", &r, 0, NULL),
                        HEAD("m", "8192") "\"system\":[" TEXT_BLOCK("one") ",{\"type\":\"text\",\"text\":\"two\"," CACHED
                        "}," TEXT_BLOCK("late") "],\"messages\":[" SAYS("user", TEXT_BLOCK("hi")) "],\"stream\":false}");
    r = ask(m + 2, 2);
    expect_part(request(a, "m", &r, 0, NULL), "\"system\"", false);
    r = ask(m + 3, 2);
    expect_part(request(a, "m", &r, 0, NULL), CACHED, false);
    arena_free(a);
}

static void conversation(void **state)
{
    (void)state;
    static const struct llm_tool_call calls[] = {
        {.id = "c1", .name = "f", .arguments = "{\"a\":1}"}, {.id = "c2", .name = "g", .arguments = ""},
        {.id = "fc.3/\xC3\xA9", .name = "h", .arguments = "{\"a\":", .malformed = true}};
    EXPECT_MESSAGES("[" SAYS("user", TEXT_BLOCK("a") "," TEXT_BLOCK("b")) ","
                    SAYS("assistant", TEXT_BLOCK("look")
                         ",{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"f\",\"input\":{\"a\":1}}"
                         ",{\"type\":\"tool_use\",\"id\":\"c2\",\"name\":\"g\",\"input\":{}}"
                         ",{\"type\":\"tool_use\",\"id\":\"fc_3___\",\"name\":\"h\",\"input\":{}}") ","
                    SAYS("user", "{\"type\":\"tool_result\",\"tool_use_id\":\"c1\",\"content\":\"done\"}"
                         ",{\"type\":\"tool_result\",\"tool_use_id\":\"c2\",\"content\":\"bad\",\"is_error\":true}"
                         ",{\"type\":\"tool_result\",\"tool_use_id\":\"fc_3___\"}," TEXT_BLOCK("go on")) "]",
                    {.role = LLM_USER, .text = "a"}, {.role = LLM_USER, .text = "b"},
                    {.role = LLM_ASSISTANT, .text = "look", .tool_calls = calls, .tool_call_count = 3},
                    {.role = LLM_TOOL, .text = "done", .tool_call_id = "c1"},
                    {.role = LLM_TOOL, .text = "bad", .tool_call_id = "c2", .is_error = true},
                    {.role = LLM_TOOL, .text = " ", .tool_call_id = "fc.3/\xC3\xA9"},
                    {.role = LLM_USER, .text = "go on"});
    /* The user begins and ends; nothing is empty. */
    EXPECT_MESSAGES("[" SAYS("user", TEXT_BLOCK("(no text)")) "," SAYS("assistant", TEXT_BLOCK("x") "," TEXT_BLOCK("y")) ","
                    SAYS("user", TEXT_BLOCK("(no text)")) "]",
                    {.role = LLM_ASSISTANT, .text = "x"}, {.role = LLM_ASSISTANT, .text = "y"},
                    {.role = LLM_USER, .text = "\t\n "}, {.role = LLM_ASSISTANT, .text = "trailing"},
                    {.role = LLM_SYSTEM, .text = "s"}, {.role = LLM_ASSISTANT, .text = "more"});
    EXPECT_MESSAGES("[" SAYS("user", TEXT_BLOCK("q")) "," SAYS("assistant", TEXT_BLOCK("(no text)")) ","
                    SAYS("user", TEXT_BLOCK("r")) "]",
                    {.role = LLM_USER, .text = "q"}, {.role = LLM_ASSISTANT, .text = ""}, {.role = LLM_USER, .text = "r"});
    EXPECT_MESSAGES("[" SAYS("user", TEXT_BLOCK("(no text)")) "]", {.role = LLM_ASSISTANT, .text = "x"});
}

static const struct llm_tool_call two_calls[] = {{.id = "t1", .name = "f", .arguments = "{\"a\": [1]}"},
                                                 {.id = "t2", .name = "f", .arguments = "{}"}};
static const struct llm_block pieces[] = {
    {LLM_BLOCK_THINKING, "hm \xE4\xBD\xA0", "c2ln"}, {LLM_BLOCK_REDACTED, "", "ZGF0YQ"}, {LLM_BLOCK_TEXT, "look", ""},
    {LLM_BLOCK_CALL, "", ""}, {LLM_BLOCK_TEXT, "\n", ""}, {LLM_BLOCK_CALL, "", ""}};
#define THOUGHT_TURN                                                                                                   \
    {.role = LLM_ASSISTANT, .text = "look\n", .tool_calls = two_calls, .tool_call_count = 2, .blocks = pieces,          \
     .block_count = 6}
#define BARE_TURN {.role = LLM_ASSISTANT, .text = "look\n", .tool_calls = two_calls, .tool_call_count = 2}
#define RESULTS {.role = LLM_TOOL, .text = "1", .tool_call_id = "t1"}, {.role = LLM_TOOL, .text = "2", .tool_call_id = "t2"}

static void thoughts_go_back(void **state)
{
    (void)state;
    EXPECT_MESSAGES("[" SAYS("user", TEXT_BLOCK("q")) ","
                    SAYS("assistant", "{\"type\":\"thinking\",\"thinking\":\"hm \xE4\xBD\xA0\",\"signature\":\"c2ln\"}"
                         ",{\"type\":\"redacted_thinking\",\"data\":\"ZGF0YQ\"}," TEXT_BLOCK("look")
                         ",{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{\"a\": [1]}}"
                         ",{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"f\",\"input\":{}}") ","
                    SAYS("user", "{\"type\":\"tool_result\",\"tool_use_id\":\"t1\",\"content\":\"1\"}"
                         ",{\"type\":\"tool_result\",\"tool_use_id\":\"t2\",\"content\":\"2\"}") "]",
                    {.role = LLM_USER, .text = "q"}, THOUGHT_TURN, RESULTS);
}

static int64_t budget_of(const struct llm_request *r, const char *model, int64_t limit)
{
    struct arena *a = arena_new();
    struct anthropic_plan plan;
    const char *body = request(a, model, r, limit, &plan);
    expect_part(body, arena_printf(a, "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":%d}", (int)plan.budget),
                plan.budget > 0);
    expect_part(body, "\"thinking\":{", plan.budget > 0);
    expect_part(body, arena_printf(a, "\"max_tokens\":%d,", (int)plan.max_tokens), true);
    assert_true(plan.budget < plan.max_tokens);
    arena_free(a);
    return plan.budget;
}

static void thinking(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct llm_request r = ask(hi, 1);
    static const struct {
        const char *effort;
        int64_t asked, limit, budget, max_tokens;
    } rows[] = {
        {"none", 100, 0, 0, 100},         {"minimal", 0, 0, 0, 8192},       {"", 0, 0, 0, 8192},
        {"odd", 0, 0, 0, 8192},           {"low", 8191, 0, 4096, 12288},    {"low", 8192, 0, 4096, 8192},
        {"medium", 8192, 0, 10000, 18192}, {"medium", 14095, 0, 10000, 18192}, {"medium", 14096, 0, 10000, 14096},
        {"high", 0, 0, 32000, 40192},     {"xhigh", 64000, 0, 32000, 64000}, {"high", 0, 32000, 27904, 32000},
        {"high", 0, 5120, 1024, 5120},    {"high", 0, 5119, 0, 5119},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct anthropic_plan plan;
        r.params.reasoning_effort = rows[i].effort;
        r.params.max_tokens = rows[i].asked;
        request(a, "m", &r, rows[i].limit, &plan);
        assert_int_equal(plan.budget, rows[i].budget);
        assert_int_equal(plan.max_tokens, rows[i].max_tokens);
        assert_int_equal(budget_of(&r, "m", rows[i].limit), rows[i].budget);
    }
    r.params = LLM_PARAMS_NONE;
    r.params.reasoning_effort = "low";
    assert_int_equal(budget_of(&r, "claude-3-5-sonnet-20241022", 0), 0);
    assert_int_equal(budget_of(&r, "claude-3-7-sonnet-20250219", 0), 4096);
    arena_free(a);
}

/* From 4.7 on models refuse a budget and decide for themselves how much to think; and they refuse a top_p. */
static void adaptive_thinking(void **state)
{
    (void)state;
    static const struct {
        const char *model, *effort, *wanted;
        bool top_p;
    } rows[] = {
        {"claude-opus-4-7", "low", "\"output_config\":{\"effort\":\"low\"}", false},
        {"claude-opus-4-8-20260601", "xhigh", "\"output_config\":{\"effort\":\"high\"}", false},
        {"claude-sonnet-5", "medium", "\"output_config\":{\"effort\":\"medium\"}", false},
        {"claude-opus-4-7", "none", NULL, false},
        {"claude-opus-4-6", "low", NULL, true},
        {"claude-sonnet-4-5-20250929", "none", NULL, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct arena *a = arena_new();
        struct llm_request r = ask(hi, 1);
        r.params.reasoning_effort = rows[i].effort;
        r.params.top_p = 0.95;
        const char *body = request(a, rows[i].model, &r, 0, NULL);
        expect_part(body, "\"thinking\":{\"type\":\"adaptive\",\"display\":\"summarized\"}", rows[i].wanted != NULL);
        expect_part(body, rows[i].wanted ? rows[i].wanted : "output_config", rows[i].wanted != NULL);
        expect_part(body, "\"budget_tokens\"", strcmp(rows[i].model, "claude-opus-4-6") == 0);
        expect_part(body, "\"top_p\"", rows[i].top_p);
        arena_free(a);
    }
}

/* A turn whose first call came without thinking ends without; the next one may think again. */
static void thinking_in_turns(void **state)
{
    (void)state;
    static const struct {
        struct llm_message m[7];
        size_t n;
        bool thinks;
    } rows[] = {
        {{{.role = LLM_USER, .text = "q"}, THOUGHT_TURN, RESULTS}, 4, true},
        {{{.role = LLM_USER, .text = "q"}, BARE_TURN, RESULTS}, 4, false},
        {{{.role = LLM_USER, .text = "q"}, THOUGHT_TURN, RESULTS, BARE_TURN, RESULTS}, 7, true},
        {{{.role = LLM_USER, .text = "q"}, BARE_TURN, RESULTS, {.role = LLM_USER, .text = "note"}}, 5, false},
        {{{.role = LLM_USER, .text = "q"}, BARE_TURN, RESULTS, {.role = LLM_ASSISTANT, .text = "a"},
          {.role = LLM_USER, .text = "next"}}, 6, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct llm_request r = ask(rows[i].m, rows[i].n);
        r.params.reasoning_effort = "low";
        assert_int_equal(budget_of(&r, "m", 0), rows[i].thinks ? 4096 : 0);
    }
}

static void sampling(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct llm_request r = ask(hi, 1);
    r.params.temperature = 0.5;
    expect_part(request(a, "m", &r, 0, NULL), "\"temperature\":0.5}", true);
    r.params.temperature = 2;
    expect_part(request(a, "m", &r, 0, NULL), "\"temperature\":1}", true);
    static const struct {
        const char *model;
        bool takes;
    } models[] = {
        {"claude-opus-4-20250514", true},   {"claude-opus-4-1-20250805", true}, {"claude-sonnet-4-5-20250929", true},
        {"claude-3-5-sonnet-20241022", true}, {"claude-3-opus-20240229", true}, {"claude-haiku-4-6", true},
        {"claude-opus-4-6", false},         {"sonnet", false},                  {"claude-opus-4-6-20260205", false},
        {"claude-sonnet-4.6", false},       {"claude-opus-4-10", false},        {"vendor/claude-sonnet-5", false},
        {"claude-opus-5-20270101", false},  {"haiku", true},                    {"claude-opus-x", true},
    };
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
        expect_part(request(a, models[i].model, &r, 0, NULL), "\"temperature\"", models[i].takes);
    r.params.top_p = 0.25;
    expect_part(request(a, "m", &r, 0, NULL), "\"stream\":false,\"top_p\":0.25}", true);
    r.params.reasoning_effort = "low";
    expect_part(request(a, "m", &r, 0, NULL), "_p\"", false);
    expect_part(request(a, "m", &r, 0, NULL), "\"temperature\"", false);
    r.params.top_p = 0.95;
    expect_part(request(a, "m", &r, 0, NULL), "\"top_p\":0.95}", true);
    /* What has no counterpart is left out. */
    r = ask(hi, 1);
    r.params.has_seed = true;
    r.params.presence_penalty = r.params.frequency_penalty = 1;
    r.params.response_format = json_tokener_parse("{\"type\":\"json_object\"}");
    assert_string_equal(request(a, "m", &r, 0, NULL),
                        HEAD("m", "8192") "\"messages\":[" SAYS("user", TEXT_BLOCK("hi")) "],\"stream\":false}");
    json_object_put(r.params.response_format);
    arena_free(a);
}

static void stops(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"\"END\"", ",\"stop_sequences\":[\"END\"]}"},
        {"[\"a\",\"\\n\",\"b\"]", ",\"stop_sequences\":[\"a\",\"b\"]}"},
        {"[]", "\"stream\":false}"},
        {"[\" \"]", "\"stream\":false}"},
        {"\"\\n\"", "\"stream\":false}"},
    };
    struct arena *a = arena_new();
    struct llm_request r = ask(hi, 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        r.params.stop = json_tokener_parse(rows[i][0]);
        expect_part(request(a, "m", &r, 0, NULL), rows[i][1], true);
        json_object_put(r.params.stop);
    }
    arena_free(a);
}

static const struct llm_tool tools[] = {
    {"f", "does f", "{\"type\":\"object\",\"properties\":{\"a\":{}}}", true},
    {"g", "", "[]", false},
};

static void tool_lists(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct llm_request r = ask(hi, 1);
    r.tools = tools;
    r.tool_count = 2;
    expect_part(request(a, "m", &r, 0, NULL),
                "\"stream\":false,\"tools\":[{\"name\":\"f\",\"description\":\"does f\",\"input_schema\":"
                "{\"type\":\"object\",\"properties\":{\"a\":{}}}},{\"name\":\"g\",\"input_schema\":" ANY_INPUT "," CACHED
                "}]}", true);
    /* Keywords go, a property may bear their names. */
    struct llm_tool t = {"h", "",
                         "{\"$defs\":{\"x\":{}},\"definitions\":{},\"properties\":{\"definitions\":{\"$ref\":\"#/$defs/x\","
                         "\"description\":\"d\"},\"list\":{\"items\":{\"$ref\":\"y\"},\"default\":{\"$ref\":1}}},"
                         "\"anyOf\":[{\"$ref\":\"z\"},{\"enum\":[{\"$defs\":2}]}]}",
                         false};
    r.tools = &t;
    r.tool_count = 1;
    expect_part(request(a, "m", &r, 0, NULL),
                "\"input_schema\":{\"properties\":{\"definitions\":{\"description\":\"d\"},\"list\":{\"items\":{},"
                "\"default\":{\"$ref\":1}}},\"anyOf\":[{},{\"enum\":[{\"$defs\":2}]}],\"type\":\"object\"}", true);
    arena_free(a);
}

/* A transcript with calls needs a tool also when none may be called. */
static void withheld_tools(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    static const struct llm_message m[] = {{.role = LLM_USER, .text = "q"}, BARE_TURN, RESULTS};
    struct llm_request r = ask(m, 4);
    expect_part(request(a, "m", &r, 0, NULL),
                "\"tools\":[{\"name\":\"no_tool\",\"description\":\"Not available.\",\"input_schema\":" ANY_INPUT
                "}],\"tool_choice\":{\"type\":\"none\"}}", true);
    arena_free(a);
}

static void choices(void **state)
{
    (void)state;
    static const struct {
        const char *choice;
        int parallel;
        const char *wanted; /* NULL: no member */
        bool thinks;
    } rows[] = {
        {NULL, -1, NULL, true},
        {NULL, 1, NULL, true},
        {NULL, 0, "{\"type\":\"auto\",\"disable_parallel_tool_use\":true}", true},
        {"\"auto\"", -1, "{\"type\":\"auto\"}", true},
        {"\"none\"", 0, "{\"type\":\"none\"}", true},
        {"\"required\"", -1, "{\"type\":\"any\"}", false},
        {"\"required\"", 0, "{\"type\":\"any\",\"disable_parallel_tool_use\":true}", false},
        {"{\"type\":\"function\",\"function\":{\"name\":\"f\"}}", -1, "{\"type\":\"tool\",\"name\":\"f\"}", false},
        {"{\"type\":\"function\",\"name\":\"f\"}", 0,
         "{\"type\":\"tool\",\"name\":\"f\",\"disable_parallel_tool_use\":true}", false},
        {"{\"type\":\"allowed_tools\"}", -1, "{\"type\":\"auto\"}", true},
    };
    struct arena *a = arena_new();
    struct llm_request r = ask(hi, 1);
    r.tools = tools;
    r.tool_count = 1;
    r.params.reasoning_effort = "low";
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        r.params.tool_choice = rows[i].choice ? json_tokener_parse(rows[i].choice) : NULL;
        r.params.parallel_tool_calls = rows[i].parallel;
        const char *body = request(a, "m", &r, 0, NULL);
        if (rows[i].wanted)
            expect_part(body, arena_printf(a, "\"tool_choice\":%s", rows[i].wanted), true);
        else
            expect_part(body, "tool_choice", false);
        /* Thinking and a forced tool exclude each other. */
        assert_int_equal(budget_of(&r, "m", 0), rows[i].thinks ? 4096 : 0);
        json_object_put(r.params.tool_choice);
    }
    arena_free(a);
}

static void too_large(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct llm_request r = ask(hi, 1);
    struct wire_call call = {.arena = a, .request = &r, .model = "m"};
    struct anthropic_plan plan;
    struct buf *out = buf_new(a, 20);
    anthropic_plan(&call, &plan);
    assert_false(anthropic_request(out, &plan, &call));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smallest),   cmocka_unit_test(system_texts),     cmocka_unit_test(conversation),
        cmocka_unit_test(adaptive_thinking),
        cmocka_unit_test(thoughts_go_back), cmocka_unit_test(thinking),   cmocka_unit_test(thinking_in_turns),
        cmocka_unit_test(sampling),   cmocka_unit_test(stops),            cmocka_unit_test(tool_lists),
        cmocka_unit_test(withheld_tools), cmocka_unit_test(choices),      cmocka_unit_test(too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The system prompt: what is in it, when, and in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/prompt.h"
#include "base/utf8.h"

static const char *const owners[] = {"ann", "bob", NULL};

struct fixture {
    struct arena *arena;
    struct config config;
    struct agent agent;
    struct prompt_input in;
};

static int setup(void **state)
{
    struct arena *a = arena_new();
    struct fixture *f = ARENA_NEW(a, struct fixture);
    f->arena = a;
    f->config.bootstrap_max_chars = 20000;
    f->config.bootstrap_total_max_chars = 24000;
    f->agent = (struct agent){.agent_key = "helper", .agent_type = "open", .other_config = "{}"};
    f->in = (struct prompt_input){.config = &f->config,
                                  .agent = &f->agent,
                                  .channel = "http",
                                  .session_key = "agent:helper:http-ann-12345678",
                                  .workspace = "/srv/ws",
                                  .now_ms = 1767225599999}; /* 2025-12-31 23:59:59.999 */
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_free(f->arena);
    return 0;
}

static const char *build(struct fixture *f)
{
    return prompt_build(f->arena, &f->in);
}

#define HAS(text, part) assert_non_null(strstr(text, part))
#define LACKS(text, part) assert_null(strstr(text, part))

static void assert_in_order(const char *text, const char *const *parts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        text = strstr(text, parts[i]);
        if (text == NULL)
            fail_msg("missing or out of order: %s", parts[i]);
    }
}

static char *filled(struct arena *a, char c, size_t n)
{
    char *s = arena_alloc(a, n + 1);
    memset(s, c, n);
    return s;
}

static void test_smallest(void **state)
{
    struct fixture *f = *state;
    f->in.channel = NULL;
    f->in.workspace = NULL;
    f->in.session_key = NULL;
    const char *p = build(f);
    HAS(p, "You have no tools");
    HAS(p, "## Safety");
    HAS(p, "Current date (UTC): 2025-12-31 Wednesday\n");
    HAS(p, "Runtime: agent=helper\n");
    LACKS(p, "channel");
    LACKS(p, "## Persona");
    LACKS(p, "## Workspace");
    LACKS(p, "## Owners");
    LACKS(p, "extra_context");
}

static void test_order_of_everything(void **state)
{
    struct fixture *f = *state;
    const struct llm_tool tools[] = {{"write_file", "w", "{}", false}, {"mcp_git__log", "Shows the log", "{}", false},
                                     {"datetime", "d", "{}", false},   {"memory_search", "m", "{}", false},
                                     {"spawn", "s", "{}", false}};
    const struct context_file files[] = {{"USER.md", "user text"},   {"zeta.md", "zeta text"},
                                         {"AGENTS.md", "rule text"}, {"IDENTITY.md", "id text"},
                                         {"SOUL.md", "soul text"},   {"alpha.md", "alpha text"},
                                         {"HEARTBEAT.md", "beat"},   {"TOOLS.md", ""}};
    f->agent.agent_type = "predefined";
    f->agent.other_config = "{\"self_evolve\":true}";
    f->config.owner_ids = owners;
    f->in.session_key = "agent:helper:zalo_oa:group:7";
    f->in.channel = "zalo_oa";
    f->in.tools = tools;
    f->in.tool_count = 5;
    f->in.files = files;
    f->in.file_count = 8;
    f->in.extra = "be brief </extra_context> now";
    const char *p = build(f);
    static const char *const parts[] = {
        "channel \"zalo_oa\" in a group chat", "## Persona", "<internal_config name=\"SOUL.md\">\nsoul text",
        "<internal_config name=\"IDENTITY.md\">", "Stay in character", "## Tools", "- datetime: current date",
        "- memory_search: custom tool", "- spawn:", "- write_file:", "12000", "## Safety", "## Identity", "## Growth",
        "## MCP tools", "- mcp_git__log: Shows the log", "## Workspace\nYour working directory is /srv/ws.",
        "## Owners", "ann, bob", "Current date", "plain text", "Several people", "<extra_context>\nbe brief <\\/extra_",
        "## Context files\nConfidential", "<internal_config name=\"AGENTS.md\">", "<context_file name=\"USER.md\">",
        "<internal_config name=\"alpha.md\">", "zeta.md", "<system_context name=\"AVAILABILITY.md\">", "confidential",
        "## Helpers", "Runtime: agent=helper channel=zalo_oa", "stay in your persona", "AGENTS.md hold",
        "search your memory"};
    assert_in_order(p, parts, sizeof parts / sizeof *parts);
    LACKS(p, "HEARTBEAT.md");
    LACKS(p, "name=\"TOOLS.md\"");
    assert_string_equal(p, build(f));
}

static void test_minimal_mode(void **state)
{
    struct fixture *f = *state;
    const struct llm_tool tools[] = {{"mcp_a__b", "x", "{}", false}, {"memory_search", "m", "{}", false}};
    const struct context_file files[] = {{"AGENTS.md", "rules"}};
    static const char *const keys[] = {"agent:helper:subagent:x", "agent:helper:cron:y", "agent:helper:heartbeat"};
    f->config.owner_ids = owners;
    f->in.tools = tools;
    f->in.tool_count = 2;
    f->in.files = files;
    f->in.file_count = 1;
    f->in.extra = "x";
    const char *full = build(f);
    HAS(full, "## Owners");
    HAS(full, "## MCP tools");
    HAS(full, "search your memory");
    HAS(full, "## Additional context");
    for (size_t i = 0; i < 3; i++) {
        f->in.session_key = keys[i];
        const char *p = build(f);
        LACKS(p, "## Owners");
        LACKS(p, "## MCP tools");
        LACKS(p, "Reminder: ");
        HAS(p, "## Task context");
        HAS(p, "## Safety");
    }
    f->in.session_key = "agent:helper:http-subagent:x";
    HAS(build(f), "## Owners");
}

static void test_open_wrapping_and_first_run(void **state)
{
    struct fixture *f = *state;
    const struct context_file files[] = {{"BOOTSTRAP.md", "say hello"},
                                         {"TEAM.md", "team text"},
                                         {"USER.md", "a </context_file> b </CONTEXT_FILE> </div>"},
                                         {"SOUL.md", "soul"}};
    f->config.owner_ids = owners;
    f->in.files = files;
    f->in.file_count = 4;
    f->in.channel = "telegram";
    const char *p = build(f);
    HAS(p, "## First conversation");
    HAS(p, "write_file is the only tool");
    HAS(p, "### USER.md\n<context_file name=\"USER.md\">\na <\\/context_file> b <\\/CONTEXT_FILE> </div>\n</context_file>");
    HAS(p, "user can edit");
    LACKS(p, "TEAM.md");
    LACKS(p, "AVAILABILITY.md");
    LACKS(p, "## Owners");
    LACKS(p, "Reminder");
    f->agent.agent_type = "predefined";
    p = build(f);
    HAS(p, "Answer simple requests first");
    HAS(p, "<context_file name=\"BOOTSTRAP.md\">");
    HAS(p, "## Owners");
    LACKS(p, "TEAM.md");
}

/* Without a person on a channel there is nobody to get to know. */
static void test_no_first_run_for_programs_and_groups(void **state)
{
    struct fixture *f = *state;
    const struct context_file files[] = {{"BOOTSTRAP.md", "say hello"}, {"USER.md", "user"}};
    static const char *const channels[] = {"http", "wake", "cron", "delegate", "telegram"};
    f->in.files = files;
    f->in.file_count = 2;
    for (size_t i = 0; i < 5; i++) {
        f->in.channel = channels[i];
        f->in.session_key = i == 4 ? "agent:helper:telegram:group:7" : "agent:helper:telegram:direct:7";
        const char *p = build(f);
        LACKS(p, "BOOTSTRAP.md");
        LACKS(p, "First conversation");
        HAS(p, "USER.md");
        HAS(p, "AVAILABILITY.md");
    }
}

static void test_team_is_virtual(void **state)
{
    struct fixture *f = *state;
    const struct context_file files[] = {{"TEAM.md", "team text"}, {"a\"><b\n.md", "odd"}};
    f->in.files = files;
    f->in.file_count = 2;
    const char *p = build(f);
    HAS(p, "<system_context name=\"TEAM.md\">\nteam text\n</system_context>");
    HAS(p, "<context_file name=\"ab.md\">");
    LACKS(p, "AVAILABILITY");
}

static void test_shorten(void **state)
{
    struct fixture *f = *state;
    char *at = filled(f->arena, 'x', 1000), *past = filled(f->arena, 'x', 1001);
    past[0] = 'A';
    past[1000] = 'Z';
    assert_string_equal(prompt_shorten(f->arena, "A.md", at, 1000), at);
    const char *s = prompt_shorten(f->arena, "A.md", past, 1000);
    assert_true(strlen(s) <= 1000);
    assert_int_equal(*s, 'A');
    assert_int_equal(s[strlen(s) - 1], 'Z');
    assert_int_equal(strncmp(s + 700, "\n[A.md was shortened: 900 of 1001 characters kept]\n", 50), 0);
}

static void test_shorten_never_cuts_a_character(void **state)
{
    struct fixture *f = *state;
    char text[1201] = "";
    for (int i = 0; i < 300; i++)
        memcpy(text + 4 * i, "\xf0\x9f\x98\x80", 4);
    for (size_t max = 0; max <= 1200; max++) {
        const char *s = prompt_shorten(f->arena, "A.md", text, max);
        assert_true(strlen(s) <= max);
        assert_true(utf8_valid(s, strlen(s)));
    }
}

static size_t count_of(const char *text, char c)
{
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += *text == c;
    return n;
}

static void test_budgets(void **state)
{
    struct fixture *f = *state;
    struct context_file files[] = {{"AGENTS.md", filled(f->arena, '\x01', 20001)},
                                   {"USER.md", filled(f->arena, '\x02', 20000)},
                                   {"zeta.md", "zeta"}};
    f->in.files = files;
    f->in.file_count = 3;
    const char *p = build(f);
    HAS(p, "[AGENTS.md was shortened: 18000 of 20001 characters kept]");
    assert_int_equal(count_of(p, '\x01'), 18000);
    size_t second = count_of(p, '\x02');
    assert_true(second > 5900 && second < 6000);
    HAS(p, "\x02\xe2\x80\xa6\n</context_file>");
    LACKS(p, "zeta");

    /* 64 bytes are left: enough for one more; 63 are not. */
    f->config.bootstrap_total_max_chars = 20064;
    files[0].content = filled(f->arena, '\x01', 20000);
    assert_int_equal(count_of(build(f), '\x02'), 61);
    f->config.bootstrap_total_max_chars = 20063;
    assert_int_equal(count_of(build(f), '\x02'), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_smallest),
        TEST(test_order_of_everything),
        TEST(test_minimal_mode),
        TEST(test_open_wrapping_and_first_run),
        TEST(test_no_first_run_for_programs_and_groups),
        TEST(test_team_is_virtual),
        TEST(test_shorten),
        TEST(test_shorten_never_cuts_a_character),
        TEST(test_budgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

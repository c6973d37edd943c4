/* 02 §8.2, §9.2 to §9.4: templates, names, what a model wrote, what it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "agent/persona.h"
#include "agent/summon_prompt.h"
#include "agent/templates.h"

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

static void assert_holds(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in: %s", part, text);
}

static void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part) != NULL)
        fail_msg("\"%s\" is in: %s", part, text);
}

static void test_templates(void **state)
{
    static const char *const headings[] = {"## Core Truths", "## Boundaries", "## Vibe",
                                           "## Style", "## Expertise", "## Continuity"};
    static const char *const labels[] = {"Name", "Creature", "Purpose", "Vibe", "Emoji", "Avatar"};
    struct arena *a = *state;
    size_t n = 0;
    const struct template *list = templates(&n);
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(template_text(list[i].name), list[i].text);
        assert_int_equal(list[i].text[strlen(list[i].text) - 1], '\n');
        assert_false(persona_is_written(list[i].name, list[i].text));
    }
    for (size_t i = 0; i < 6; i++) {
        assert_holds(template_text("SOUL.md"), headings[i]);
        assert_holds(template_text("IDENTITY.md"), arena_printf(a, "\n- **%s:**\n", labels[i]));
    }
    assert_holds(template_text("AGENTS.md"), "exactly `NO_REPLY`");
    assert_null(template_text("USER.md"));
    assert_null(persona_name(a, template_text("IDENTITY.md")));
}

static void test_written_is_neither_empty_nor_the_template(void **state)
{
    (void)state;
    assert_false(persona_is_written("SOUL.md", NULL));
    assert_false(persona_is_written("SOUL.md", ""));
    assert_true(persona_is_written("SOUL.md", "x"));
    assert_true(persona_is_written("OTHER.md", "x"));
}

static void test_name(void **state)
{
    static const struct {
        const char *text, *name;
    } cases[] = {
        {"# I\n- **Name:** Ada\n- **Vibe:** x", "Ada"},
        {"Name: Ada Lovelace  \r\n", "Ada Lovelace"},
        {"  - **Name:**  **Ada**", "Ada"},
        {"Name: `**_Ada_**`", "Ada"},
        {"Name: __Ada__", "Ada"},
        {"Name: *Ada", "*Ada"},
        {"Name: **", "**"},
        {"- **Name:**\n- **Creature:** x", NULL},
        {"Name:   \nName: later", NULL},
        {"Name: - **Creature:** x", NULL},
        {"Name: Vibe: x", NULL},
        {"- Name: x", NULL},
        {"Nickname: x", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *name = persona_name(*state, cases[i].text);
        if (cases[i].name == NULL)
            assert_null(name);
        else
            assert_string_equal(name, cases[i].name);
    }
}

static void test_rename(void **state)
{
    static const struct {
        const char *before, *after;
    } cases[] = {
        {"# I\n- **Name:** Ada\n- **Vibe:** x\n", "# I\n- **Name:** Bob\n- **Vibe:** x\n"},
        {"Name: Ada", "Name: Bob"},
        {"# Name: Ada\nName: Eve", "# Name: Bob\nName: Eve"},
        {"**Name:**", "**Name:** Bob"},
        {"# I\nrest", "# I\nName: Bob\nrest"},
        {"text\n# I", "text\n# I\nName: Bob\n"},
        {"rest", "Name: Bob\nrest"},
        {"", "Name: Bob\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(persona_rename(*state, cases[i].before, "Bob"), cases[i].after);
    /* A name of several lines is one line: the rest would be text of the file, which no later name takes back. */
    assert_string_equal(persona_rename(*state, "Name: Ada\nx", "A\n# B\r\tC"), "Name: A # B  C\nx");
}

static void test_parse(void **state)
{
    struct persona p = {{"old soul", "old identity", NULL}, "old"};
    assert_true(persona_parse(*state,
                              "Sure!\n<frontmatter>\n good at\nthings \n</frontmatter>\n<file name=\"IDENTITY.md\">\n"
                              "\n# I\n- <b>x</b>\n\n</file><file name=\"SOUL.md\">  </file>\n"
                              "<file name=\"AGENTS.md\">no</file><file name=\"USER_PREDEFINED.md\">one</file>"
                              "<file name=\"USER_PREDEFINED.md\">two</file><frontmatter>x</frontmatter>",
                              &p));
    assert_string_equal(p.text[0], "old soul");
    assert_string_equal(p.text[1], "# I\n- <b>x</b>\n");
    assert_string_equal(p.text[2], "two\n");
    assert_string_equal(p.summary, "good at\nthings");
}

static void test_parse_nothing(void **state)
{
    static const char *const answers[] = {
        "",
        "just talk",
        "<frontmatter>only this</frontmatter>",
        "<file name=\"SOUL.md\">never closed",
        "<file name=\"SOUL.md>x</file>",
        "<file name='SOUL.md'>x</file>",
        "<file name=\"soul.md\">x</file>",
        "<file name=\"\">x</file>",
        "<file name=\"SOUL.md\"></file>",
        "<file name=\"",
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct persona p = {{NULL}, NULL};
        assert_false(persona_parse(*state, answers[i], &p));
        assert_null(p.text[0]);
    }
}

static void test_prompts_ask_for_their_part(void **state)
{
    const char *all = summon_prompt(*state, SUMMON_ALL, "a <b>", NULL);
    assert_holds(all, "<description>\na <b>\n</description>");
    assert_holds(all, template_text("SOUL.md"));
    assert_holds(all, "<frontmatter>\n");
    assert_lacks(all, "<soul>");
    const char *soul = summon_prompt(*state, SUMMON_SOUL, "d", NULL);
    assert_lacks(soul, "<file name=\"IDENTITY.md\">");
    assert_holds(soul, "<frontmatter>\n");
    const char *identity = summon_prompt(*state, SUMMON_IDENTITY, "d", "the soul");
    assert_holds(identity, "<soul>\nthe soul\n</soul>");
    assert_holds(identity, "<file name=\"USER_PREDEFINED.md\">");
    assert_lacks(identity, "<file name=\"SOUL.md\">");
    assert_lacks(identity, "<frontmatter>");

    const struct persona current = {{"# S", NULL, "# U\n"}, NULL};
    const char *edit = summon_edit_prompt(*state, &current, "do it", "d");
    assert_holds(edit, "<current_files>\n<file name=\"SOUL.md\">\n# S\n</file>\n<file name=\"USER_PREDEFINED.md\">\n# U\n"
                       "</file>\n</current_files>");
    assert_holds(edit, "<edit_instructions>\ndo it\n</edit_instructions>");
    assert_lacks(edit, "<description>");
    assert_holds(summon_edit_prompt(*state, &current, NULL, "d"), "<description>\nd\n</description>");
    assert_holds(summon_edit_prompt(*state, &current, NULL, ""), "Revise");
}

static void test_without_a_model(void **state)
{
    struct persona p = {{NULL}, NULL};
    summon_without_model(*state, "one\ntwo", "Ada", &p);
    assert_string_equal(p.text[0], template_text("SOUL.md"));
    assert_string_equal(persona_name(*state, p.text[1]), "Ada");
    assert_holds(p.text[1], "- **Purpose:** one two\n- **Vibe:**\n  _(");
    summon_without_model(*state, "one", "", &p);
    assert_holds(p.text[1], "- **Name:**\n  _(");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_templates),
        TEST(test_written_is_neither_empty_nor_the_template),
        TEST(test_name),
        TEST(test_rename),
        TEST(test_parse),
        TEST(test_parse_nothing),
        TEST(test_prompts_ask_for_their_part),
        TEST(test_without_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "agent/persona.h"

#include <string.h>
#include <strings.h>

#include "agent/templates.h"
#include "store/context_files.h"

const char *const persona_files[PERSONA_FILES] = {"SOUL.md", "IDENTITY.md", "USER_PREDEFINED.md"};

enum db_rc persona_seed(struct db *db, const char *tenant_id, const char *agent_id)
{
    size_t n = 0;
    const struct template *list = templates(&n);
    enum db_rc rc = DB_OK;
    for (size_t i = 0; rc == DB_OK && i < n; i++)
        rc = context_file_seed(db, tenant_id, agent_id, list[i].name, list[i].text);
    return rc;
}

bool persona_is_written(const char *name, const char *content)
{
    const char *text = template_text(name);
    return content != NULL && *content != '\0' && (text == NULL || strcmp(text, content) != 0);
}

/* ---- the name ---- */

static const char *line_end(const char *line)
{
    return line + strcspn(line, "\n");
}

static const char *line_next(const char *line)
{
    const char *end = line_end(line);
    return *end != '\0' ? end + 1 : end;
}

/* Where the value of a Name line begins, NULL when it is another line: "- **Name:** Ada", "# Name: Ada". */
static const char *name_value(const char *line)
{
    line += strspn(line, " \t-*#");
    if (strncmp(line, "Name:", 5) != 0)
        return NULL;
    return line + 5 + strspn(line + 5, "*");
}

static const char *one_line(struct arena *a, const char *name)
{
    char *line = arena_strdup(a, name);
    for (char *c = line; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20)
            *c = ' ';
    return line;
}

const char *persona_rename(struct arena *a, const char *identity, const char *given)
{
    const char *name = one_line(a, given), *heading = NULL;
    for (const char *line = identity; *line != '\0'; line = line_next(line)) {
        const char *value = name_value(line);
        if (value != NULL)
            return arena_printf(a, "%.*s %s%s", (int)(value - identity), identity, name, line_end(line));
        if (heading == NULL && *line == '#')
            heading = line;
    }
    size_t at = heading != NULL ? (size_t)(line_next(heading) - identity) : 0;
    const char *gap = at > 0 && identity[at - 1] != '\n' ? "\n" : "";
    return arena_printf(a, "%.*s%sName: %s\n%s", (int)at, identity, gap, name, identity + at);
}

/* Does the text begin like a line of another field: "Creature:", "- **Vibe:**"? */
static bool is_label(const char *text)
{
    static const char *const labels[] = {"Name:", "Creature:", "Purpose:", "Vibe:", "Emoji:", "Avatar:"};
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        size_t n = strlen(labels[i]);
        if (strncmp(text, labels[i], n) == 0 ||
            (strncmp(text, "- **", 4) == 0 && strncmp(text + 4, labels[i], n) == 0))
            return true;
    }
    return false;
}

/* Takes off blanks and one pair of wrappers; false when there was none. */
static bool unwrap(const char **s, size_t *n)
{
    static const char *const marks[] = {"**", "__", "`", "*", "_"};
    for (; *n > 0 && strchr(" \t\r", **s) != NULL; (*n)--)
        (*s)++;
    while (*n > 0 && strchr(" \t\r", (*s)[*n - 1]) != NULL)
        (*n)--;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        size_t m = strlen(marks[i]);
        if (*n > 2 * m && strncmp(*s, marks[i], m) == 0 && strncmp(*s + *n - m, marks[i], m) == 0) {
            *s += m;
            *n -= 2 * m;
            return true;
        }
    }
    return false;
}

const char *persona_name(struct arena *a, const char *identity)
{
    for (const char *line = identity; *line != '\0'; line = line_next(line)) {
        const char *s = line + strspn(line, " \t");
        size_t label = strncmp(s, "- **Name:**", 11) == 0 ? 11 : strncmp(s, "Name:", 5) == 0 ? 5 : 0;
        if (label == 0)
            continue;
        s += label;
        size_t n = (size_t)(line_end(s) - s);
        while (unwrap(&s, &n))
            ;
        const char *name = arena_strndup(a, s, n);
        return n > 0 && !is_label(name) ? name : NULL;
    }
    return NULL;
}

struct renaming {
    struct arena *arena;
    const char *name;
};

static const char *rename_one(void *ctx, const char *content)
{
    const struct renaming *r = ctx;
    const char *text = persona_rename(r->arena, content, r->name);
    return strcmp(text, content) != 0 ? text : NULL;
}

enum db_rc persona_follow_name(struct db *db, struct arena *a, const char *tenant_id, const char *agent_id, bool open,
                               const char *name)
{
    struct renaming r = {a, name};
    const char *content = NULL;
    enum db_rc rc = context_file_read(db, a, tenant_id, agent_id, "IDENTITY.md", &content);
    if (rc != DB_ROW && rc != DB_OK)
        return rc;
    bool there = rc == DB_ROW && *content != '\0';
    const char *text = rename_one(&r, there ? content : "# IDENTITY.md - What you are\n\n- **Name:**\n");
    rc = text != NULL ? context_file_put(db, tenant_id, agent_id, "IDENTITY.md", text) : DB_OK;
    return rc == DB_OK && open ? context_files_edit(db, a, tenant_id, agent_id, "IDENTITY.md", rename_one, &r) : rc;
}

/* ---- what a model wrote ---- */

static const char *trimmed(struct arena *a, const char *s, size_t n)
{
    for (; n > 0 && strchr(" \t\r\n", *s) != NULL; n--)
        s++;
    while (n > 0 && strchr(" \t\r\n", s[n - 1]) != NULL)
        n--;
    return arena_strndup(a, s, n);
}

static void file_take(struct arena *a, const char *name, size_t name_len, const char *text, size_t n,
                      struct persona *out)
{
    for (size_t i = 0; i < PERSONA_FILES; i++) {
        if (strlen(persona_files[i]) != name_len || strncmp(persona_files[i], name, name_len) != 0)
            continue;
        const char *content = trimmed(a, text, n);
        if (*content != '\0')
            out->text[i] = arena_printf(a, "%s\n", content);
    }
}

bool persona_parse(struct arena *a, const char *answer, struct persona *out)
{
    static const char open[] = "<file name=\"", close[] = "</file>", summary[] = "<frontmatter>";
    struct persona found = {{NULL}, NULL};
    for (const char *p = answer; (p = strstr(p, open)) != NULL;) {
        const char *name = p + sizeof open - 1;
        size_t name_len = strcspn(name, "\"\n");
        const char *text = name + name_len;
        p = name;
        if (strncmp(text, "\">", 2) != 0)
            continue;
        const char *end = strstr(text, close);
        if (end == NULL)
            break;
        file_take(a, name, name_len, text + 2, (size_t)(end - text - 2), &found);
        p = end;
    }
    const char *from = strstr(answer, summary), *to = from != NULL ? strstr(from, "</frontmatter>") : NULL;
    if (to != NULL)
        found.summary = trimmed(a, from + sizeof summary - 1, (size_t)(to - from) - (sizeof summary - 1));
    bool any = false;
    for (size_t i = 0; i < PERSONA_FILES; i++) {
        any = any || found.text[i] != NULL;
        out->text[i] = found.text[i] != NULL ? found.text[i] : out->text[i];
    }
    if (found.summary != NULL && *found.summary != '\0')
        out->summary = found.summary;
    return any;
}

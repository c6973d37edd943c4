#include "tools/clawgate-admin/options.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/complain.h"
#include "base/utf8.h"

static const struct option {
    const char *name;
    size_t offset;
} option_table[] = {
    {"--home", offsetof(struct options, home)},
    {"--port", offsetof(struct options, port)},
    {"--token", offsetof(struct options, token)},
    {"--name", offsetof(struct options, name)},
    {"--scopes", offsetof(struct options, scopes)},
    {"--tenant", offsetof(struct options, tenant)},
    {"--owner", offsetof(struct options, owner)},
    {"--expires-in", offsetof(struct options, expires_in)},
    {"--type", offsetof(struct options, type)},
    {"--base-url", offsetof(struct options, base_url)},
    {"--api-key", offsetof(struct options, api_key)},
    {"--model", offsetof(struct options, model)},
    {"--provider", offsetof(struct options, provider)},
    {"--user", offsetof(struct options, user)},
    {"--display-name", offsetof(struct options, display_name)},
    {"--default", offsetof(struct options, is_default)},
};

static bool is_taken(const char *takes, const char *name)
{
    size_t len = strlen(name);
    for (const char *p = takes; *p != '\0'; p += *p == ' ') {
        size_t n = strcspn(p, " ");
        if (n == len && memcmp(p, name, n) == 0)
            return true;
        p += n;
    }
    return false;
}

static const struct option *option_find(const char *takes, const char *name)
{
    for (size_t i = 0; i < sizeof option_table / sizeof *option_table; i++)
        if (strcmp(name, option_table[i].name) == 0)
            return i == 0 || is_taken(takes, name) ? &option_table[i] : NULL;
    return NULL;
}

static bool word_take(struct options *o, const char *takes, const char *word)
{
    bool fits = is_taken(takes, "WORD") && o->word == NULL;
    if (!fits)
        complain("one argument too many: %s; see clawgate help", word);
    o->word = word;
    return fits;
}

bool options_parse(struct options *o, const char *takes, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        const struct option *found = option_find(takes, argv[i]);
        if (found == NULL && argv[i][0] == '-') {
            complain("this command has no option %s; see clawgate help", argv[i]);
            return false;
        }
        if (found == NULL && !word_take(o, takes, argv[i]))
            return false;
        if (found == NULL)
            continue;
        if (i + 1 >= argc) {
            complain("%s needs a value", argv[i]);
            return false;
        }
        const char *value = argv[++i];
        if (found != option_table && !utf8_valid(value, strlen(value))) { /* a home's name is the file system's */
            complain("%s must be UTF-8", found->name);
            return false;
        }
        *(const char **)(void *)((char *)o + found->offset) = value;
    }
    return true;
}

bool option_fits(const char *name, const char *value, size_t most, enum option_rule rule)
{
    size_t n = value == NULL ? 0 : rule == OPTION_BYTES ? strlen(value) : utf8_count(value, strlen(value));
    bool blank = rule == OPTION_FILLED && value != NULL && value[strspn(value, " \t\r\n")] == '\0';
    if (n <= most && !blank)
        return true;
    complain("%s must have %s %zu %s", name, rule == OPTION_FILLED ? "1 to" : "at most", most,
             rule == OPTION_BYTES ? "bytes" : "characters");
    return false;
}

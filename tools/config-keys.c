/* config-keys: the table of settings as rows of markdown, without their meaning, for tools/docs. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/config_keys.h"

static void print_name(const char *name)
{
    if (name)
        printf("| `%s` ", name);
    else
        printf("| – ");
}

static void print_default(const struct config_key *k)
{
    const char *empty = k->kind == KIND_LIST || k->kind == KIND_NETS ? "empty list" : "empty";
    if (k->preset && *k->preset)
        printf("| `%s` ", k->preset);
    else
        printf("| %s ", k->preset ? empty : "–");
}

static void print_words(const char *words)
{
    for (const char *separator = ""; *words; separator = ", ") {
        size_t n = strcspn(words, "|");
        printf("%s`%.*s`", separator, (int)n, words);
        words += n + (words[n] == '|');
    }
}

static void print_range(const struct config_key *k)
{
    switch (k->kind) {
    case KIND_TEXT:
        printf("%" PRId64 " to %" PRId64 " bytes", k->min, k->max);
        break;
    case KIND_PATH:
        printf("path");
        break;
    case KIND_INT:
    case KIND_NUMBER:
        printf("%" PRId64 " to %" PRId64, k->min, k->max);
        break;
    case KIND_INT_OFF:
        printf("up to %" PRId64 "; 0 or less = default", k->max);
        break;
    case KIND_BOOL:
    case KIND_TRISTATE:
        printf("`true`, `false`");
        break;
    case KIND_CHOICE:
    case KIND_ENUM:
        print_words(k->words);
        break;
    case KIND_LIST:
        printf("texts");
        break;
    case KIND_NETS:
        printf("addresses, networks");
        break;
    case KIND_PRICES:
        printf("object");
        break;
    }
}

int main(void)
{
    size_t count;
    const struct config_key *keys = config_key_table(&count);
    for (size_t i = 0; i < count; i++) {
        print_name(keys[i].path);
        print_name(keys[i].env);
        print_default(&keys[i]);
        printf("| ");
        print_range(&keys[i]);
        printf(" |\n");
    }
    return 0;
}

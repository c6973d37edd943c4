#include "test/upstream/parts/script.h"

#include <errno.h>

enum option_kind { OPTION_NUMBER, OPTION_FLAG, OPTION_TEXT, OPTION_WORD, OPTION_USAGE };

struct option_def {
    const char *name;
    enum option_kind kind;
    size_t offset;
    const char *const *words; /* OPTION_WORD: values 1, 2, … of the enum */
};

static const char *const stall_words[] = {"headers", "mid", "comments", NULL};
static const char *const cut_words[] = {"headers", "mid", "reset", "soft", NULL};

#define NUMBER(field) {#field, OPTION_NUMBER, offsetof(struct script, field), NULL}
#define FLAG(field) {#field, OPTION_FLAG, offsetof(struct script, field), NULL}
#define TEXT(field) {#field, OPTION_TEXT, offsetof(struct script, field), NULL}
#define WORD(field) {#field, OPTION_WORD, offsetof(struct script, field), field##_words}

static const struct option_def options_known[] = {
    TEXT(text), TEXT(tool), TEXT(args), TEXT(reasoning), TEXT(inband), TEXT(finish), TEXT(location), TEXT(type),
    TEXT(models), TEXT(signature), NUMBER(tokens), NUMBER(pace), NUMBER(delay), NUMBER(first), NUMBER(status),
    NUMBER(retry_after), NUMBER(times), NUMBER(split), NUMBER(drip), NUMBER(big), NUMBER(tools), NUMBER(at),
    NUMBER(dims), WORD(stall), WORD(cut), FLAG(emoji), FLAG(crlf), FLAG(cr), FLAG(nospace), FLAG(noevent_end),
    FLAG(nofinish), FLAG(html), FLAG(garbage), FLAG(endless), FLAG(fragment), FLAG(nousage), FLAG(echo),
    FLAG(empty), FLAG(sse), FLAG(loop), {"usage", OPTION_USAGE, 0, NULL},
};

#define OPTION_COUNT (sizeof options_known / sizeof options_known[0])

void script_init(struct script *s)
{
    *s = (struct script){.status = 200, .tools = 1, .dims = 64};
    s->tokens = s->at = s->retry_after = s->usage_in = -1; /* not given */
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char *percent_decode(const char *p, size_t n)
{
    char *out = malloc(n + 1);
    if (!out) {
        abort();
    }
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '%' && i + 2 < n && hex_value(p[i + 1]) >= 0 && hex_value(p[i + 2]) >= 0) {
            out[len++] = (char)(hex_value(p[i + 1]) * 16 + hex_value(p[i + 2]));
            i += 2;
        } else {
            out[len++] = p[i];
        }
    }
    out[len] = '\0';
    return out;
}

static bool read_number(const char *value, long *out)
{
    char *end;
    errno = 0;
    long n = strtol(value, &end, 10);
    if (errno || end == value || *end || n < 0) {
        return false;
    }
    *out = n;
    return true;
}

static bool read_word(const char *value, const char *const *words, long *out)
{
    for (long i = 0; words[i]; i++) {
        if (strcmp(value, words[i]) == 0) {
            *out = i + 1;
            return true;
        }
    }
    return false;
}

static bool read_usage(const char *value, struct script *s)
{
    char rest;
    int n = sscanf(value, "%ld:%ld:%ld%c", &s->usage_in, &s->usage_out, &s->usage_cached, &rest);
    return n == 2 || n == 3;
}

/* Takes over `value` when it is kept. */
static bool option_store(struct script *s, const struct option_def *def, char *value)
{
    void *field = (char *)s + def->offset;
    bool ok = true;
    switch (def->kind) {
    case OPTION_TEXT:
        free(*(char **)field);
        *(char **)field = value;
        return true;
    case OPTION_NUMBER:
        ok = read_number(value, field);
        break;
    case OPTION_FLAG:
        *(bool *)field = strcmp(value, "0") != 0;
        break;
    case OPTION_WORD:
        ok = read_word(value, def->words, field);
        break;
    case OPTION_USAGE:
        ok = read_usage(value, s);
        break;
    }
    free(value);
    return ok;
}

static const struct option_def *option_find(const char *name, size_t n)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (strlen(options_known[i].name) == n && memcmp(options_known[i].name, name, n) == 0) {
            return &options_known[i];
        }
    }
    return NULL;
}

bool script_apply(struct script *s, const char *options, size_t n, char *error, size_t error_size)
{
    const char *end = options + n;
    while (options < end) {
        const char *stop = memchr(options, ',', (size_t)(end - options));
        stop = stop ? stop : end;
        const char *equals = memchr(options, '=', (size_t)(stop - options));
        const char *name_end = equals ? equals : stop;
        const char *value = equals ? equals + 1 : stop;
        const struct option_def *def = option_find(options, (size_t)(name_end - options));
        if (stop > options && (!def || !option_store(s, def, percent_decode(value, (size_t)(stop - value))))) {
            snprintf(error, error_size, "upstream: bad option \"%.*s\"", (int)(stop - options), options);
            return false;
        }
        options = stop + 1;
    }
    return true;
}

void script_forgive(struct script *s)
{
    s->status = 200;
    s->retry_after = -1;
    s->stall = STALL_NONE;
    s->cut = CUT_NONE;
    s->html = s->garbage = s->empty = s->nofinish = s->noevent_end = s->endless = false;
    s->big = 0;
    free(s->inband);
    s->inband = NULL;
}

void script_free(struct script *s)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (options_known[i].kind == OPTION_TEXT) {
            free(*(char **)((char *)s + options_known[i].offset));
        }
    }
}

#include "base/json.h"

#include "base/arena.h"
#include "base/json_inner.h"

json_object *json_parse_owned(const char *text, size_t len, size_t values_max, struct json_fault *fault)
{
    if (!json_gate(text, len, values_max, fault))
        return NULL;
    json_object *root;
    bool built = json_build(text, len, &root);
    if (!root && fault)
        fault->reason = built ? "the text is null" : "not enough memory";
    return root;
}

static void put_deferred(void *p)
{
    json_object_put(p);
}

json_object *json_parse(struct arena *a, const char *text, size_t len, size_t values_max, struct json_fault *fault)
{
    json_object *o = json_parse_owned(text, len, values_max, fault);
    if (o)
        arena_defer(a, put_deferred, o);
    return o;
}

/* --- comments --- */

static size_t string_end(const char *text, size_t i, size_t len)
{
    for (i++; i < len && text[i] != '"'; i++)
        if (text[i] == '\\')
            i++;
    return i < len ? i + 1 : len;
}

/* Where the comment beginning at i ends; i when there is none or it has no end. */
static size_t comment_end(const char *text, size_t i, size_t len)
{
    if (i + 1 >= len || text[i] != '/')
        return i;
    if (text[i + 1] == '/') {
        const char *newline = memchr(text + i, '\n', len - i);
        return newline ? (size_t)(newline - text) : len;
    }
    if (text[i + 1] == '*') {
        const char *end = memmem(text + i + 2, len - i - 2, "*/", 2);
        return end ? (size_t)(end - text) + 2 : i;
    }
    return i;
}

static void blank(char *text, size_t from, size_t to)
{
    for (; from < to; from++)
        if (text[from] != '\n')
            text[from] = ' ';
}

void json_strip_comments(char *text, size_t len)
{
    const size_t none = SIZE_MAX;
    size_t comma = none; /* the last comma, while nothing but blanks and comments followed it */
    char before = '[';   /* the last byte that means something */
    for (size_t i = 0; i < len;) {
        char c = text[i];
        size_t end = comment_end(text, i, len);
        if (end > i) {
            blank(text, i, end);
            i = end;
            continue;
        }
        i = c == '"' ? string_end(text, i, len) : i + 1;
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
            continue;
        if ((c == '}' || c == ']') && comma != none)
            text[comma] = ' ';
        comma = c == ',' && !strchr("[{,:", before) ? i - 1 : none;
        before = c;
    }
}

/* --- readers --- */

json_object *json_get(json_object *o, const char *key)
{
    json_object *value;
    return json_object_object_get_ex(o, key, &value) ? value : NULL;
}

bool json_has(json_object *o, const char *key)
{
    return json_object_object_get_ex(o, key, NULL);
}

/* The member when it has the type, else NULL. */
static json_object *typed(json_object *o, const char *key, enum json_type type)
{
    json_object *value = json_get(o, key);
    return json_object_is_type(value, type) ? value : NULL;
}

const char *json_str(json_object *o, const char *key)
{
    json_object *value = typed(o, key, json_type_string);
    return value ? json_object_get_string(value) : NULL;
}

int64_t json_int(json_object *o, const char *key, int64_t fallback)
{
    json_object *value = typed(o, key, json_type_int);
    return value ? json_object_get_int64(value) : fallback;
}

double json_num(json_object *o, const char *key, double fallback)
{
    json_object *value = json_get(o, key);
    bool number = json_object_is_type(value, json_type_int) || json_object_is_type(value, json_type_double);
    return number ? json_object_get_double(value) : fallback;
}

bool json_flag(json_object *o, const char *key, bool fallback)
{
    json_object *value = typed(o, key, json_type_boolean);
    return value ? json_object_get_boolean(value) : fallback;
}

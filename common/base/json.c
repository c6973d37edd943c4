#include "base/json.h"

#include "base/arena.h"
#include "base/json_inner.h"
#include "base/utf8.h"

/* A number at the end of the text could go on, says json-c, until it sees a NUL. */
static json_object *run_tokener(json_tokener *tok, const char *text, size_t len)
{
    json_object *o = json_tokener_parse_ex(tok, text, (int)len);
    if (!o && json_tokener_get_error(tok) == json_tokener_continue)
        o = json_tokener_parse_ex(tok, "", 1);
    return o;
}

static json_object *refused(struct json_fault *fault, const char *reason, size_t offset)
{
    if (fault)
        *fault = (struct json_fault){.reason = reason, .offset = offset};
    return NULL;
}

/* json-c takes a code point like U+2D800 for a lone surrogate, because it looks at the low 16 bits only, and puts
 * U+FFFD in its place. So escaped pairs become plain UTF-8 before it sees them. The caller frees the copy. */
static char *unescape_pairs(const char *text, size_t len, size_t *copy_len)
{
    char *copy = malloc(len);
    size_t n = 0;
    for (size_t i = 0; copy && i < len;) {
        if (text[i] != '\\') {
            copy[n++] = text[i++];
            continue;
        }
        int unit = text[i + 1] == 'u' ? json_hex4(text + i + 2) : 0;
        if (unit >= 0xD800 && unit <= 0xDBFF) {
            n += utf8_encode(json_pair(text + i + 2), copy + n);
            i += 12;
        } else {
            copy[n++] = text[i++];
            copy[n++] = text[i++];
        }
    }
    *copy_len = n;
    return copy;
}

static json_object *parse_gated(const char *text, size_t len, struct json_fault *fault)
{
    json_tokener *tok = json_tokener_new_ex(JSON_DEPTH_MAX + 1);
    if (!tok)
        return refused(fault, "not enough memory", 0);
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
    json_object *o = run_tokener(tok, text, len);
    enum json_tokener_error error = json_tokener_get_error(tok);
    size_t offset = json_tokener_get_parse_end(tok);
    json_tokener_free(tok);
    if (o)
        return o;
    if (error == json_tokener_success)
        return refused(fault, "the text is null", 0);
    return refused(fault, "malformed text", offset);
}

json_object *json_parse_owned(const char *text, size_t len, size_t values_max, struct json_fault *fault)
{
    bool pairs;
    if (!json_gate_scan(text, len, values_max, fault, &pairs))
        return NULL;
    if (!pairs)
        return parse_gated(text, len, fault);
    size_t copy_len;
    char *copy = unescape_pairs(text, len, &copy_len);
    json_object *o = copy ? parse_gated(copy, copy_len, fault) : refused(fault, "not enough memory", 0);
    free(copy);
    return o;
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

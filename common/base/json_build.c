/* From a text the gate has passed straight to json-c's objects.
 *
 * The grammar is known to be right, so commas and colons say nothing new and
 * are skipped like blanks; a string directly inside an object, while no key
 * waits for its value, is a key. A value joins its parent as soon as it is
 * made: whatever exists hangs on the root.
 */
#include <locale.h>

#include "base/json_inner.h"
#include "base/json_scan.h"

enum { ROOM_INLINE = 256, ARRAY_FIRST = 4 };

/* The inside of a string in the text. */
struct raw {
    const char *start;
    size_t len;
    bool escapes;
};

struct builder {
    const char *at;
    const char *end;
    json_object *root;
    struct raw key; /* start is NULL while none waits for its value */
    int depth;
    uint64_t objects; /* bit per open level: it is an object */
    json_object *levels[JSON_DEPTH_MAX];
    char *room; /* for copies with a NUL behind them */
    size_t room_size;
    char inlined[ROOM_INLINE];
};

_Static_assert(JSON_DEPTH_MAX <= 64, "one bit a level");

static bool reserve_room(struct builder *b, size_t n)
{
    if (n <= b->room_size)
        return true;
    char *larger = malloc(n);
    if (!larger)
        return false;
    if (b->room != b->inlined)
        free(b->room);
    b->room = larger;
    b->room_size = n;
    return true;
}

/* at stands on the opening quote, afterwards behind the closing one. */
static struct raw take_raw(struct builder *b)
{
    const char *start = b->at + 1;
    const char *stop = json_string_break(start, b->end);
    bool escapes = *stop == '\\';
    while (*stop == '\\')
        stop = json_string_break(stop + 2, b->end);
    b->at = stop + 1;
    return (struct raw){.start = start, .len = (size_t)(stop - start), .escapes = escapes};
}

/* The string itself in the room, with a NUL behind it; false when there is no memory for it. */
static bool copy_string(struct builder *b, struct raw s, size_t *len)
{
    if (!reserve_room(b, s.len + 1)) /* an escape is never shorter than what it stands for */
        return false;
    const char *p = s.start, *end = s.start + s.len;
    char *out = b->room;
    while (s.escapes) {
        const char *stop = json_string_break(p, b->end);
        out = mempcpy(out, p, (size_t)(stop - p));
        p = stop;
        if (stop == end)
            break;
        char bytes[4];
        size_t n;
        p = json_unescape(stop + 1, bytes, &n);
        out = mempcpy(out, bytes, n);
    }
    out = mempcpy(out, p, (size_t)(end - p));
    *out = 0;
    *len = (size_t)(out - b->room);
    return true;
}

/* Makers: NULL when out of memory. */

static json_object *make_string(struct builder *b)
{
    struct raw s = take_raw(b);
    if (!s.escapes)
        return json_object_new_string_len(s.start, (int)s.len);
    size_t len;
    return copy_string(b, s, &len) ? json_object_new_string_len(b->room, (int)len) : NULL;
}

static json_object *make_integer(const char *p, const char *end)
{
    bool negative = *p == '-';
    uint64_t value = 0;
    for (p += negative; p < end; p++)
        value = value * 10 + (uint64_t)(*p - '0');
    return json_object_new_int64((int64_t)(negative ? -value : value));
}

/* Written again it looks as it did: json-c keeps the text beside the value. */
static json_object *make_double(struct builder *b, struct raw number)
{
    size_t len;
    if (!copy_string(b, number, &len))
        return NULL;
    locale_t c = newlocale(LC_ALL_MASK, "C", NULL); /* the C library's own object: no memory, no lock */
    return c ? json_object_new_double_s(strtod_l(b->room, NULL, c), b->room) : NULL;
}

static json_object *make_number(struct builder *b)
{
    const char *start = b->at;
    bool integer = true;
    for (; b->at < b->end; b->at++) {
        char c = *b->at;
        if (c == '.' || c == 'e' || c == 'E')
            integer = false;
        else if ((c < '0' || c > '9') && c != '-' && c != '+')
            break;
    }
    if (integer)
        return make_integer(start, b->at);
    return make_double(b, (struct raw){.start = start, .len = (size_t)(b->at - start)});
}

static json_object *make_boolean(struct builder *b, bool value)
{
    b->at += value ? 4 : 5;
    return json_object_new_boolean(value);
}

static bool in_object(const struct builder *b)
{
    return b->depth > 0 && (b->objects >> (b->depth - 1) & 1);
}

/* Takes the value over, also when it fails. */
static bool join(struct builder *b, json_object *value)
{
    int failed = 0;
    size_t len;
    if (b->depth == 0)
        b->root = value;
    else if (!in_object(b))
        failed = json_object_array_add(b->levels[b->depth - 1], value);
    else if (!copy_string(b, b->key, &len))
        failed = -1;
    else
        failed = json_object_object_add_ex(b->levels[b->depth - 1], b->room, value, JSON_C_OBJECT_ADD_KEY_IS_NEW);
    b->key.start = NULL;
    if (failed)
        json_object_put(value);
    return !failed;
}

static bool open_level(struct builder *b, bool object)
{
    json_object *value = object ? json_object_new_object() : json_object_new_array_ext(ARRAY_FIRST);
    if (!value || !join(b, value))
        return false;
    uint64_t bit = UINT64_C(1) << b->depth;
    b->objects = object ? b->objects | bit : b->objects & ~bit;
    b->levels[b->depth++] = value;
    b->at++;
    return true;
}

static bool add(struct builder *b, json_object *value)
{
    return value && join(b, value);
}

static bool add_string(struct builder *b)
{
    if (!in_object(b) || b->key.start)
        return add(b, make_string(b));
    b->key = take_raw(b);
    return true;
}

static bool add_null(struct builder *b)
{
    b->at += 4;
    return join(b, NULL);
}

/* Whatever begins at at. */
static bool step(struct builder *b)
{
    switch (*b->at) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
    case ',':
    case ':':
        b->at++;
        return true;
    case '{':
    case '[':
        return open_level(b, *b->at == '{');
    case '}':
    case ']':
        b->depth--;
        b->at++;
        return true;
    case '"':
        return add_string(b);
    case 't':
    case 'f':
        return add(b, make_boolean(b, *b->at == 't'));
    case 'n':
        return add_null(b);
    default:
        return add(b, make_number(b));
    }
}

bool json_build(const char *text, size_t len, json_object **root)
{
    struct builder b;
    b.at = text;
    b.end = text + len;
    b.root = NULL;
    b.key.start = NULL;
    b.depth = 0;
    b.objects = 0;
    b.room = b.inlined;
    b.room_size = sizeof b.inlined;
    bool ok = true;
    while (ok && b.at < b.end)
        ok = step(&b);
    if (b.room != b.inlined)
        free(b.room);
    if (!ok) {
        json_object_put(b.root);
        b.root = NULL;
    }
    *root = b.root;
    return ok;
}

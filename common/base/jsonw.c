#include "base/jsonw.h"

#include <assert.h>
#include <math.h>

#include "base/json_scan.h"
#include "base/utf8.h"

/* \u00XX, or the letter behind the backslash. */
static bool escape_ascii(struct buf *out, unsigned char c)
{
    static const char letters[] = "\b\f\n\r\t\"\\", names[] = "bfnrt\"\\", digits[] = "0123456789abcdef";
    const char *letter = memchr(letters, c, sizeof letters - 1);
    if (letter) {
        char text[2] = {'\\', names[letter - letters]};
        return buf_add(out, text, sizeof text);
    }
    char text[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
    return buf_add(out, text, sizeof text);
}

/* How many bytes at s can be copied as they are: ASCII that needs no escape, and valid sequences. */
static size_t copied_run(const char *s, size_t n)
{
    size_t i = 0;
    for (;;) {
        i += json_plain_run(s + i, n - i);
        uint32_t cp;
        size_t length = i < n && s[i] & 0x80 ? utf8_decode(s + i, n - i, &cp) : 0;
        if (length == 0)
            return i;
        i += length;
    }
}

bool json_escape(struct buf *out, const char *s, size_t n)
{
    for (;;) {
        size_t run = copied_run(s, n);
        bool ok = buf_add(out, s, run);
        if (run == n)
            return ok;
        unsigned char c = (unsigned char)s[run];
        if (!(c & 0x80 ? buf_add(out, "\xEF\xBF\xBD", 3) : escape_ascii(out, c)))
            return false;
        s += run + 1;
        n -= run + 1;
    }
}

void jw_init(struct jsonw *w, struct buf *out)
{
    *w = (struct jsonw){.out = out};
}

static uint64_t level_bit(const struct jsonw *w)
{
    return UINT64_C(1) << w->depth;
}

static void comma(struct jsonw *w)
{
    if (w->filled & level_bit(w))
        buf_addc(w->out, ',');
    w->filled |= level_bit(w);
}

/* Before every value: in an object it must follow a key, and the text has one root. */
static void before_value(struct jsonw *w)
{
    assert(w->after_key == ((w->objects & level_bit(w)) != 0));
    assert(w->depth > 0 || !w->filled);
    if (!w->after_key)
        comma(w);
    w->after_key = false;
}

static void enter(struct jsonw *w, bool object)
{
    before_value(w);
    assert(w->depth < JSONW_DEPTH_MAX);
    w->depth++;
    w->filled &= ~level_bit(w);
    w->objects = object ? w->objects | level_bit(w) : w->objects & ~level_bit(w);
    buf_addc(w->out, object ? '{' : '[');
}

static void leave(struct jsonw *w, bool object)
{
    assert(w->depth > 0 && !w->after_key);
    assert(object == ((w->objects & level_bit(w)) != 0));
    w->depth--;
    buf_addc(w->out, object ? '}' : ']');
}

void jw_obj(struct jsonw *w)
{
    enter(w, true);
}

void jw_obj_end(struct jsonw *w)
{
    leave(w, true);
}

void jw_arr(struct jsonw *w)
{
    enter(w, false);
}

void jw_arr_end(struct jsonw *w)
{
    leave(w, false);
}

/* Most strings need no escape: one look, one piece of memory, one copy. */
static void put_string(struct buf *out, const char *s, size_t n)
{
    if (!buf_reserve(out, n + 2))
        return;
    size_t run = copied_run(s, n);
    char *end = out->data + out->len;
    *end++ = '"';
    end = run > 0 ? mempcpy(end, s, run) : end;
    *end = 0;
    out->len = (size_t)(end - out->data);
    if (run < n)
        json_escape(out, s + run, n - run);
    buf_addc(out, '"');
}

void jw_label(struct jsonw *w, const char *label, size_t n)
{
    assert((w->objects & level_bit(w)) && !w->after_key && n > 1);
    size_t begun = (w->filled & level_bit(w)) == 0; /* then the comma is left out */
    w->filled |= level_bit(w);
    buf_add(w->out, label + begun, n - begun);
    w->after_key = true;
}

void jw_key(struct jsonw *w, const char *key)
{
    assert((w->objects & level_bit(w)) && !w->after_key);
    size_t n = strlen(key);
    bool further = (w->filled & level_bit(w)) != 0;
    w->filled |= level_bit(w);
    w->after_key = true;
    if (json_plain_run(key, n) < n) {
        if (further)
            buf_addc(w->out, ',');
        put_string(w->out, key, n);
        buf_addc(w->out, ':');
        return;
    }
    if (!buf_reserve(w->out, n + 4))
        return;
    char *at = w->out->data + w->out->len;
    *at = ',';
    at += further;
    *at++ = '"';
    at = mempcpy(at, key, n);
    *at++ = '"';
    *at++ = ':';
    *at = '\0';
    w->out->len = (size_t)(at - w->out->data);
}

/* Below 10^15 every integer has a double of its own and fifteen digits suffice. -0 is no integer here. */
static bool is_small_integer(double v)
{
    return fabs(v) < 1e15 && v == (double)(int64_t)v && !(v == 0 && signbit(v));
}

/* A temperature or a price: four decimals say it all, when they read back equal. */
static bool put_short_decimal(struct buf *out, double v)
{
    enum { UNIT = 10000 };
    double scaled = fabs(v) * UNIT;
    uint64_t n = scaled < 1e11 ? (uint64_t)(scaled + 0.5) : 0;
    if (n == 0 || (double)n / UNIT != fabs(v)) /* correctly rounded, as reading it back is */
        return false;
    uint64_t rest = n % UNIT;
    char digits[] = {'.', (char)('0' + rest / 1000), (char)('0' + rest / 100 % 10), (char)('0' + rest / 10 % 10),
                     (char)('0' + rest % 10)};
    size_t len = sizeof digits;
    while (digits[len - 1] == '0')
        len--;
    if (v < 0)
        buf_addc(out, '-');
    buf_addi(out, (int64_t)(n / UNIT));
    buf_add(out, digits, len);
    return true;
}

/* The shortest of three precisions that reads back equal. printf and strtod
 * share the locale, so its decimal sign is replaced last. */
static void put_number(struct buf *out, double v)
{
    if (!isfinite(v)) {
        buf_adds(out, "null");
        return;
    }
    if (is_small_integer(v)) {
        buf_addi(out, (int64_t)v);
        return;
    }
    char text[48];
    if (put_short_decimal(out, v))
        return;
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, v);
        double back = strtod(text, NULL);
        if (memcmp(&back, &v, sizeof v) == 0)
            break;
    }
    const char *rest = text + strspn(text, "-0123456789");
    buf_add(out, text, (size_t)(rest - text));
    size_t sign = strcspn(rest, "e0123456789");
    if (sign > 0)
        buf_addc(out, '.');
    buf_adds(out, rest + sign);
}

static void put_tree(struct buf *out, json_object *o);

static void put_members(struct buf *out, json_object *o)
{
    const char *before = "{";
    json_object_object_foreach(o, key, value) {
        buf_adds(out, before);
        put_string(out, key, strlen(key));
        buf_addc(out, ':');
        put_tree(out, value);
        before = ",";
    }
    buf_adds(out, *before == '{' ? "{}" : "}");
}

static void put_elements(struct buf *out, json_object *o)
{
    size_t n = json_object_array_length(o);
    buf_addc(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_addc(out, ',');
        put_tree(out, json_object_array_get_idx(o, i));
    }
    buf_addc(out, ']');
}

/* As deep as the tree, which the gate limits; it writes its own commas because
 * tree and surroundings together may be deeper than the writer's bits. */
static void put_tree(struct buf *out, json_object *o)
{
    switch (json_object_get_type(o)) {
    case json_type_null:
        buf_adds(out, "null");
        break;
    case json_type_boolean:
        buf_adds(out, json_object_get_boolean(o) ? "true" : "false");
        break;
    case json_type_double: {
        const char *text = json_object_get_userdata(o); /* json-c keeps there what it parsed */
        if (text)
            buf_adds(out, text);
        else
            put_number(out, json_object_get_double(o));
        break;
    }
    case json_type_int:
        buf_addi(out, json_object_get_int64(o));
        break;
    case json_type_string:
        put_string(out, json_object_get_string(o), (size_t)json_object_get_string_len(o));
        break;
    case json_type_object:
        put_members(out, o);
        break;
    case json_type_array:
        put_elements(out, o);
        break;
    }
}

void jw_json(struct jsonw *w, json_object *o)
{
    before_value(w);
    put_tree(w->out, o);
}

void jw_strn(struct jsonw *w, const char *s, size_t n)
{
    before_value(w);
    put_string(w->out, s, n);
}

void jw_str(struct jsonw *w, const char *s)
{
    if (s)
        jw_strn(w, s, strlen(s));
    else
        jw_null(w);
}

void jw_int(struct jsonw *w, int64_t v)
{
    before_value(w);
    buf_addi(w->out, v);
}

void jw_num(struct jsonw *w, double v)
{
    before_value(w);
    put_number(w->out, v);
}

void jw_raw(struct jsonw *w, const char *json, size_t n)
{
    assert(n > 0);
    before_value(w);
    buf_add(w->out, json, n);
}

void jw_bool(struct jsonw *w, bool v)
{
    jw_raw(w, v ? "true" : "false", v ? 4 : 5);
}

void jw_null(struct jsonw *w)
{
    jw_raw(w, "null", 4);
}

void jw_kobj(struct jsonw *w, const char *key)
{
    jw_key(w, key);
    jw_obj(w);
}

void jw_karr(struct jsonw *w, const char *key)
{
    jw_key(w, key);
    jw_arr(w);
}

void jw_kstr(struct jsonw *w, const char *key, const char *s)
{
    jw_key(w, key);
    jw_str(w, s);
}

void jw_kint(struct jsonw *w, const char *key, int64_t v)
{
    jw_key(w, key);
    jw_int(w, v);
}

void jw_knum(struct jsonw *w, const char *key, double v)
{
    jw_key(w, key);
    jw_num(w, v);
}

void jw_kbool(struct jsonw *w, const char *key, bool v)
{
    jw_key(w, key);
    jw_bool(w, v);
}

void jw_knull(struct jsonw *w, const char *key)
{
    jw_key(w, key);
    jw_null(w);
}

void jw_kraw(struct jsonw *w, const char *key, const char *json)
{
    jw_key(w, key);
    jw_raw(w, json ? json : "null", json ? strlen(json) : 4);
}

void jw_kopt(struct jsonw *w, const char *key, const char *s)
{
    if (s && *s)
        jw_kstr(w, key, s);
}

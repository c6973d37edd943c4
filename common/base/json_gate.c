/* One pass over the text with a bit per open level instead of recursion; see json.h for what is guaranteed. */
#include <limits.h>

#include "base/json_inner.h"
#include "base/json_keys.h"
#include "base/json_scan.h"
#include "base/utf8.h"

struct gate {
    const char *text;
    const char *at;
    const char *end;
    size_t values;
    size_t values_max;
    int depth;
    uint64_t objects;                 /* bit per open level: it is an object */
    uint32_t serial[JSON_DEPTH_MAX];  /* of the object open at that level */
    uint32_t serials;
    struct json_keys keys;
    struct json_fault fault;
};

_Static_assert(JSON_DEPTH_MAX <= 64, "one bit a level");

static bool refuse_at(struct gate *g, const char *at, const char *reason)
{
    g->fault = (struct json_fault){.reason = reason, .offset = (size_t)(at - g->text)};
    return false;
}

static bool refuse(struct gate *g, const char *reason)
{
    return refuse_at(g, g->at, reason);
}

static bool at_end(const struct gate *g)
{
    return g->at == g->end;
}

static size_t left(const struct gate *g)
{
    return (size_t)(g->end - g->at);
}

static void skip_blanks(struct gate *g)
{
    while (!at_end(g) && (*g->at == ' ' || *g->at == '\n' || *g->at == '\r' || *g->at == '\t'))
        g->at++;
}

/* --- strings --- */

/* One \uXXXX or a pair of surrogates; at stands behind the u. */
static bool take_unicode_escape(struct gate *g)
{
    const char *start = g->at - 2;
    int unit = left(g) >= 4 ? json_hex4(g->at) : -1;
    if (unit < 0)
        return refuse_at(g, start, "malformed \\u escape in a string");
    if (unit == 0)
        return refuse_at(g, start, "NUL character in a string");
    g->at += 4;
    if (unit < 0xD800 || unit > 0xDFFF)
        return true;
    int low = left(g) >= 6 && g->at[0] == '\\' && g->at[1] == 'u' ? json_hex4(g->at + 2) : -1;
    if (unit > 0xDBFF || low < 0xDC00 || low > 0xDFFF)
        return refuse_at(g, start, "surrogate without its other half in a string");
    g->at += 6;
    return true;
}

static bool take_escape(struct gate *g)
{
    g->at++;
    if (at_end(g))
        return refuse(g, "string without end");
    switch (*g->at++) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return true;
    case 'u':
        return take_unicode_escape(g);
    default:
        return refuse_at(g, g->at - 2, "unknown escape in a string");
    }
}

static bool take_high_bytes(struct gate *g)
{
    while (!at_end(g) && (unsigned char)*g->at >= 0x80) {
        uint32_t cp;
        size_t length = utf8_decode(g->at, left(g), &cp);
        if (length == 0)
            return refuse(g, "invalid UTF-8");
        g->at += length;
    }
    return true;
}

/* at stands on the opening quote, afterwards behind the closing one. */
static bool take_string(struct gate *g)
{
    g->at++;
    for (;;) {
        g->at += json_plain_run(g->at, left(g));
        if (at_end(g))
            return refuse(g, "string without end");
        unsigned char c = (unsigned char)*g->at;
        if (c == '"') {
            g->at++;
            return true;
        }
        if (c < 0x20)
            return refuse(g, c ? "control character in a string" : "NUL character in a string");
        if (!(c == '\\' ? take_escape(g) : take_high_bytes(g)))
            return false;
    }
}

/* --- numbers --- */

enum { DOUBLE_DIGITS = 17, DOUBLE_EXPONENT_MAX = 308 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t skip_digits(struct gate *g)
{
    const char *start = g->at;
    while (!at_end(g) && is_digit(*g->at))
        g->at++;
    return (size_t)(g->at - start);
}

static bool fits_int64(const char *digits, size_t n, bool negative)
{
    const char *limit = negative ? "9223372036854775808" : "9223372036854775807";
    return n < 19 || (n == 19 && memcmp(digits, limit, 19) <= 0);
}

/* The exponent's value, cut off far beyond anything a text can make up for with digits. */
static int64_t exponent_value(const char *p, const char *end)
{
    bool negative = *p == '-';
    int64_t value = 0;
    for (p += !is_digit(*p); p < end && value < INT64_C(100000000000); p++)
        value = value * 10 + (*p - '0');
    return negative ? -value : value;
}

/* Whether 0.ddd or ddd.ddd times ten to the exponent stays a finite double. Decided on the digits: strtod
 * would need a closed copy and the C locale. */
static bool is_finite(const char *mantissa, const char *end, int64_t exponent)
{
    const char *point = memchr(mantissa, '.', (size_t)(end - mantissa));
    const char *first = mantissa;
    while (first < end && (*first == '0' || *first == '.'))
        first++;
    if (first == end)
        return true;
    if (!point)
        point = end;
    exponent += first < point ? point - first - 1 : point - first;
    if (exponent != DOUBLE_EXPONENT_MAX)
        return exponent < DOUBLE_EXPONENT_MAX;
    char digits[DOUBLE_DIGITS];
    memset(digits, '0', sizeof digits);
    for (size_t n = 0; n < sizeof digits && first < end; first++)
        if (*first != '.')
            digits[n++] = *first;
    return memcmp(digits, "17976931348623157", sizeof digits) <= 0;
}

static bool take_number(struct gate *g)
{
    const char *start = g->at;
    bool negative = *g->at == '-';
    g->at += negative;
    const char *mantissa = g->at;
    size_t whole = skip_digits(g);
    if (whole == 0 || (whole > 1 && *mantissa == '0'))
        return refuse_at(g, start, "malformed number");
    const char *mantissa_end = g->at;
    const char *exponent = NULL;
    if (!at_end(g) && *g->at == '.') {
        g->at++;
        if (skip_digits(g) == 0)
            return refuse_at(g, start, "malformed number");
        mantissa_end = g->at;
    }
    if (!at_end(g) && (*g->at == 'e' || *g->at == 'E')) {
        exponent = ++g->at;
        if (!at_end(g) && (*g->at == '+' || *g->at == '-'))
            g->at++;
        if (skip_digits(g) == 0)
            return refuse_at(g, start, "malformed number");
    }
    if (!exponent && mantissa_end == mantissa + whole)
        return fits_int64(mantissa, whole, negative) || refuse_at(g, start, "integer out of range");
    return is_finite(mantissa, mantissa_end, exponent ? exponent_value(exponent, g->at) : 0) ||
           refuse_at(g, start, "number out of range");
}

/* --- the grammar, one state a call --- */

enum state { VALUE, VALUE_OR_END, KEY, KEY_OR_END, AFTER };

static bool in_object(const struct gate *g)
{
    return g->objects >> (g->depth - 1) & 1;
}

static bool open_level(struct gate *g, bool object, enum state *next)
{
    if (g->depth == JSON_DEPTH_MAX)
        return refuse(g, "nested too deeply");
    uint64_t bit = UINT64_C(1) << g->depth;
    g->objects = object ? g->objects | bit : g->objects & ~bit;
    if (object)
        g->serial[g->depth] = ++g->serials;
    g->depth++;
    g->at++;
    *next = object ? KEY_OR_END : VALUE_OR_END;
    return true;
}

static bool close_level(struct gate *g, enum state *next)
{
    g->depth--;
    g->at++;
    *next = AFTER;
    return true;
}

static bool take_word(struct gate *g, const char *word, size_t n)
{
    if (left(g) < n || memcmp(g->at, word, n) != 0)
        return refuse(g, "unexpected character where a value should be");
    g->at += n;
    return true;
}

static bool take_value(struct gate *g, enum state *next)
{
    if (++g->values > g->values_max)
        return refuse(g, "too many values");
    *next = AFTER;
    switch (*g->at) {
    case '{':
        return open_level(g, true, next);
    case '[':
        return open_level(g, false, next);
    case '"':
        return take_string(g);
    case 't':
        return take_word(g, "true", 4);
    case 'f':
        return take_word(g, "false", 5);
    case 'n':
        return take_word(g, "null", 4);
    default:
        if (*g->at == '-' || is_digit(*g->at))
            return take_number(g);
        return refuse(g, "unexpected character where a value should be");
    }
}

static bool take_key(struct gate *g, enum state *next)
{
    const char *key = g->at + 1;
    if (*g->at != '"')
        return refuse(g, "object key must be a string in double quotes");
    if (!take_string(g))
        return false;
    switch (json_keys_add(&g->keys, g->serial[g->depth - 1], (size_t)(key - g->text), (size_t)(g->at - 1 - key))) {
    case JSON_KEYS_ADDED:
        break;
    case JSON_KEYS_TWICE:
        return refuse_at(g, key, "key occurs twice in an object");
    case JSON_KEYS_NO_MEMORY:
        return refuse(g, "not enough memory");
    }
    skip_blanks(g);
    if (at_end(g) || *g->at != ':')
        return refuse(g, "colon expected after an object key");
    g->at++;
    *next = VALUE;
    return true;
}

static bool take_after(struct gate *g, enum state *next)
{
    if (g->depth == 0)
        return refuse(g, "text after the value");
    bool object = in_object(g);
    if (*g->at == ',') {
        g->at++;
        *next = object ? KEY : VALUE;
        return true;
    }
    if (*g->at == (object ? '}' : ']'))
        return close_level(g, next);
    return refuse(g, object ? "comma or } expected" : "comma or ] expected");
}

static bool step(struct gate *g, enum state *state)
{
    switch (*state) {
    case VALUE_OR_END:
        if (*g->at == ']')
            return close_level(g, state);
        return take_value(g, state);
    case VALUE:
        return take_value(g, state);
    case KEY_OR_END:
        if (*g->at == '}')
            return close_level(g, state);
        return take_key(g, state);
    case KEY:
        return take_key(g, state);
    case AFTER:
        break;
    }
    return take_after(g, state);
}

static bool pass(struct gate *g)
{
    enum state state = VALUE;
    for (;;) {
        skip_blanks(g);
        if (at_end(g))
            break;
        if (!step(g, &state))
            return false;
    }
    if (state == AFTER && g->depth == 0)
        return true;
    return refuse(g, g->values == 0 ? "empty text" : "text ends too early");
}

bool json_gate_count(const char *text, size_t len, size_t values_max, struct json_fault *fault, size_t *values)
{
    struct gate g;
    g.text = g.at = text;
    g.end = text + len;
    g.values = 0;
    g.values_max = values_max ? values_max : JSON_VALUES_MAX;
    g.depth = 0;
    g.objects = 0;
    g.serials = 0;
    g.fault = (struct json_fault){0};
    json_keys_init(&g.keys, text);
    bool ok = len <= INT_MAX ? pass(&g) : refuse(&g, "text too long"); /* json-c counts in int */
    json_keys_release(&g.keys);
    if (fault)
        *fault = g.fault;
    *values = g.values;
    return ok;
}

bool json_gate(const char *text, size_t len, size_t values_max, struct json_fault *fault)
{
    size_t values;
    return json_gate_count(text, len, values_max, fault, &values);
}

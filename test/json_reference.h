/* What json-c's own tokener makes of a text the gate has passed; the judge of the builder. */
#ifndef CLAWGATE_TEST_JSON_REFERENCE_H
#define CLAWGATE_TEST_JSON_REFERENCE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/utf8.h"

/* The value of the four hex digits at p. */
static inline uint32_t reference_unit(const char *p)
{
    char digits[5] = {p[0], p[1], p[2], p[3], 0};
    return (uint32_t)strtoul(digits, NULL, 16);
}

/* json-c takes a code point like U+2D800 for a lone surrogate, because it looks at the low 16 bits only, and puts
 * U+FFFD in its place. So escaped pairs become plain UTF-8 before it sees them. */
static inline size_t reference_text(const char *text, size_t len, char *copy)
{
    size_t n = 0;
    for (size_t i = 0; i < len;) {
        if (text[i] != '\\') {
            copy[n++] = text[i++];
            continue;
        }
        uint32_t high = text[i + 1] == 'u' ? reference_unit(text + i + 2) : 0;
        if (high >= 0xD800 && high <= 0xDBFF) {
            uint32_t low = reference_unit(text + i + 8);
            n += utf8_encode(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00), copy + n);
            i += 12;
        } else {
            copy[n++] = text[i++];
            copy[n++] = text[i++];
        }
    }
    return n;
}

/* false when json-c refuses the text. *root is NULL when the text is null, else the caller's. */
static inline bool reference_parse(const char *text, size_t len, json_object **root)
{
    char *copy = malloc(len + 1);
    json_tokener *tokener = json_tokener_new_ex(65);
    if (!copy || !tokener)
        abort();
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    /* The closing NUL belongs to the text: a number could go on, says json-c, until it sees one. */
    size_t n = reference_text(text, len, copy);
    copy[n] = 0;
    *root = json_tokener_parse_ex(tokener, copy, (int)n + 1);
    bool ok = json_tokener_get_error(tokener) == json_tokener_success;
    json_tokener_free(tokener);
    free(copy);
    return ok;
}

/* Equal in every value, in the order of members and in how numbers are written. */
static inline bool reference_equal(json_object *a, json_object *b)
{
    if (!json_object_equal(a, b))
        return false;
    size_t a_len = 0, b_len = 0;
    const char *a_text = json_object_to_json_string_length(a, JSON_C_TO_STRING_PLAIN, &a_len);
    const char *b_text = json_object_to_json_string_length(b, JSON_C_TO_STRING_PLAIN, &b_len);
    return a_len == b_len && memcmp(a_text, b_text, a_len) == 0;
}

#endif

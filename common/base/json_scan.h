/* Finding what needs attention in a JSON string, eight bytes at a step; shared by gate, builder and writer. */
#ifndef CLAWGATE_BASE_JSON_SCAN_H
#define CLAWGATE_BASE_JSON_SCAN_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define JSON_EVERY_BYTE UINT64_C(0x0101010101010101)

static inline bool json_is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Each sets the high bit of the bytes looked for. Borrows may set bits above the lowest one, never below it. */

static inline uint64_t json_bytes_equal(uint64_t word, unsigned char c)
{
    uint64_t x = word ^ JSON_EVERY_BYTE * c;
    return (x - JSON_EVERY_BYTE) & ~x & JSON_EVERY_BYTE * 0x80;
}

static inline uint64_t json_breaks(uint64_t word)
{
    return json_bytes_equal(word, '"') | json_bytes_equal(word, '\\');
}

static inline uint64_t json_not_plain(uint64_t word)
{
    return json_breaks(word) | (((word - JSON_EVERY_BYTE * 0x20) | word) & JSON_EVERY_BYTE * 0x80);
}

static inline uint64_t json_word(const char *s)
{
    uint64_t word;
    memcpy(&word, s, sizeof word);
    return le64toh(word);
}

/* How many bytes at s are ASCII other than control characters, double quote and backslash. */
static inline size_t json_plain_run(const char *s, size_t n)
{
    size_t i = 0;
    for (; n - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
        uint64_t found = json_not_plain(json_word(s + i));
        if (found)
            return i + (size_t)__builtin_ctzll(found) / 8;
    }
    if (i < n && n >= sizeof(uint64_t)) { /* the last word again with what is left: what comes before it is plain */
        uint64_t found = json_not_plain(json_word(s + n - sizeof(uint64_t)));
        return found ? n - sizeof(uint64_t) + (size_t)__builtin_ctzll(found) / 8 : n;
    }
    while (i < n && json_is_plain((unsigned char)s[i]))
        i++;
    return i;
}

/* The first double quote or backslash at or behind s; the caller knows that there is one before end. */
static inline const char *json_string_break(const char *s, const char *end)
{
    for (; (size_t)(end - s) >= sizeof(uint64_t); s += sizeof(uint64_t)) {
        uint64_t found = json_breaks(json_word(s));
        if (found)
            return s + (size_t)__builtin_ctzll(found) / 8;
    }
    while (*s != '"' && *s != '\\')
        s++;
    return s;
}

#endif

/* Finding what needs attention in a JSON string, eight bytes at a step, sixteen where the processor is known to have
 * SSE2; shared by gate, builders and writers. */
#ifndef CLAWGATE_BASE_JSON_SCAN_H
#define CLAWGATE_BASE_JSON_SCAN_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

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

#ifdef __SSE2__
/* One bit a byte, the lowest for the first: it is a double quote or a backslash. */
static inline unsigned json_breaks16(__m128i bytes)
{
    __m128i found = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
    return (unsigned)_mm_movemask_epi8(found);
}

/* The same for all that is not plain: as signed bytes, those above ASCII are negative. */
static inline unsigned json_not_plain16(__m128i bytes)
{
    return json_breaks16(bytes) | (unsigned)_mm_movemask_epi8(_mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20)));
}

static inline __m128i json_sixteen(const char *s)
{
    return _mm_loadu_si128((const __m128i *)(const void *)s);
}
#endif

/* How many bytes at s are ASCII other than control characters, double quote and backslash. */
static inline size_t json_plain_run(const char *s, size_t n)
{
    size_t i = 0;
#ifdef __SSE2__
    for (; n - i >= sizeof(__m128i); i += sizeof(__m128i)) {
        unsigned found = json_not_plain16(json_sixteen(s + i));
        if (found)
            return i + (size_t)__builtin_ctz(found);
    }
#endif
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
#ifdef __SSE2__
    for (; (size_t)(end - s) >= sizeof(__m128i); s += sizeof(__m128i)) {
        unsigned found = json_breaks16(json_sixteen(s));
        if (found)
            return s + __builtin_ctz(found);
    }
#endif
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

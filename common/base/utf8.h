/* UTF-8: validation and cutting. Pure functions over bytes. */
#ifndef CLAWGATE_BASE_UTF8_H
#define CLAWGATE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No overlong forms, no surrogates, nothing above U+10FFFF. */
bool utf8_valid(const char *s, size_t n);
/* Decodes one sequence; returns its length, 0 when s is not valid there. */
size_t utf8_decode(const char *s, size_t n, uint32_t *cp);
/* Writes one code point (a scalar value); returns 1..4. */
size_t utf8_encode(uint32_t cp, char out[4]);
/* The largest length <= max that does not end inside a sequence. */
size_t utf8_cut(const char *s, size_t n, size_t max);
/* Number of code points of valid text. */
size_t utf8_count(const char *s, size_t n);
/* Byte offset of code point number `count` (n when there are fewer). */
size_t utf8_offset(const char *s, size_t n, size_t count);
/* How many bytes at the end of s belong to a sequence that is not complete yet (0..3). */
size_t utf8_tail(const char *s, size_t n);
/* Contract 01 §2.3: 1..255 bytes, valid, no control characters, no format characters (Cf), no BOM. */
bool utf8_user_id_valid(const char *s, size_t n);

#endif

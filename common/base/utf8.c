#include "base/utf8.h"

#include <string.h>

enum { USER_ID_MAX = 255 };

/* What the first byte says: length, and the range of the second byte, which
 * alone excludes overlong forms, surrogates and what lies above U+10FFFF. */
struct lead {
    unsigned char length, low, high;
};

static inline struct lead lead_of(unsigned char c)
{
    if (c < 0x80)
        return (struct lead){1, 0, 0};
    if (c < 0xC2 || c > 0xF4)
        return (struct lead){0, 0, 0};
    if (c < 0xE0)
        return (struct lead){2, 0x80, 0xBF};
    if (c < 0xF0)
        return (struct lead){3, c == 0xE0 ? 0xA0 : 0x80, c == 0xED ? 0x9F : 0xBF};
    return (struct lead){4, c == 0xF0 ? 0x90 : 0x80, c == 0xF4 ? 0x8F : 0xBF};
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* Whether the n bytes at s (fewer than the lead asks for, or just as many) fit the lead. */
static bool fits(const char *s, size_t n, struct lead lead)
{
    if (n > 1 && ((unsigned char)s[1] < lead.low || (unsigned char)s[1] > lead.high))
        return false;
    for (size_t i = 2; i < n; i++)
        if (!is_continuation(s[i]))
            return false;
    return true;
}

size_t utf8_decode(const char *s, size_t n, uint32_t *cp)
{
    if (n == 0)
        return 0;
    unsigned char c = (unsigned char)s[0];
    struct lead lead = lead_of(c);
    if (lead.length == 0 || lead.length > n || !fits(s, lead.length, lead))
        return 0;
    uint32_t v = lead.length == 1 ? c : c & (0x7Fu >> lead.length);
    for (size_t i = 1; i < lead.length; i++)
        v = v << 6 | ((unsigned char)s[i] & 0x3F);
    *cp = v;
    return lead.length;
}

size_t utf8_encode(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    size_t length = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--, cp >>= 6)
        out[i] = (char)(0x80 | (cp & 0x3F));
    out[0] = (char)((0xF00u >> length & 0xFF) | cp);
    return length;
}

bool utf8_valid(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n) {
        uint64_t word;
        if (n - i >= sizeof word) {
            memcpy(&word, s + i, sizeof word);
            if (!(word & 0x8080808080808080u)) {
                i += sizeof word;
                continue;
            }
        }
        uint32_t cp;
        size_t length = utf8_decode(s + i, n - i, &cp);
        if (length == 0)
            return false;
        i += length;
    }
    return true;
}

size_t utf8_tail(const char *s, size_t n)
{
    for (size_t k = 1; k <= 3 && k <= n; k++) {
        const char *p = s + n - k;
        if (is_continuation(*p))
            continue;
        struct lead lead = lead_of((unsigned char)*p);
        return lead.length > k && fits(p, k, lead) ? k : 0;
    }
    return 0;
}

size_t utf8_cut(const char *s, size_t n, size_t max)
{
    size_t length = n < max ? n : max;
    return length - utf8_tail(s, length);
}

size_t utf8_count(const char *s, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += !is_continuation(s[i]);
    return count;
}

size_t utf8_offset(const char *s, size_t n, size_t count)
{
    for (size_t i = 0; i < n; i++)
        if (!is_continuation(s[i]) && count-- == 0)
            return i;
    return n;
}

/* Category Cf of Unicode 15; invisible, so two ids could look alike. U+FEFF is the BOM. */
static const struct {
    uint32_t from, to;
} format_characters[] = {
    {0x00AD, 0x00AD},   {0x0600, 0x0605},   {0x061C, 0x061C},   {0x06DD, 0x06DD},   {0x070F, 0x070F},
    {0x0890, 0x0891},   {0x08E2, 0x08E2},   {0x180E, 0x180E},   {0x200B, 0x200F},   {0x202A, 0x202E},
    {0x2060, 0x2064},   {0x2066, 0x206F},   {0xFEFF, 0xFEFF},   {0xFFF9, 0xFFFB},   {0x110BD, 0x110BD},
    {0x110CD, 0x110CD}, {0x13430, 0x1343F}, {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0001, 0xE0001},
    {0xE0020, 0xE007F},
};

static bool is_control_or_format(uint32_t cp)
{
    if (cp < 0x20 || (cp >= 0x7F && cp < 0xA0))
        return true;
    for (size_t i = 0; i < sizeof format_characters / sizeof *format_characters; i++)
        if (cp >= format_characters[i].from && cp <= format_characters[i].to)
            return true;
    return false;
}

bool utf8_user_id_valid(const char *s, size_t n)
{
    if (n < 1 || n > USER_ID_MAX)
        return false;
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t length = utf8_decode(s + i, n - i, &cp);
        if (length == 0 || is_control_or_format(cp))
            return false;
        i += length;
    }
    return true;
}

#include "base/json_inner.h"
#include "base/utf8.h"

int json_hex4(const char *p)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i], lower = (char)(c | 0x20);
        if (c >= '0' && c <= '9')
            value = value * 16 + (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value * 16 + (lower - 'a' + 10);
        else
            return -1;
    }
    return value;
}

/* The code point of a valid pair; high points at XXXX of \uXXXX\uXXXX. */
static uint32_t pair(const char *high)
{
    return 0x10000 + (((uint32_t)json_hex4(high) - 0xD800) << 10) + ((uint32_t)json_hex4(high + 6) - 0xDC00);
}

static char letter(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c; /* a quote, a slash and a backslash stand for themselves */
    }
}

const char *json_unescape(const char *p, char out[4], size_t *len)
{
    if (*p != 'u') {
        out[0] = letter(*p);
        *len = 1;
        return p + 1;
    }
    uint32_t cp = (uint32_t)json_hex4(p + 1);
    bool high = cp >= 0xD800 && cp < 0xDC00;
    *len = utf8_encode(high ? pair(p + 1) : cp, out);
    return p + (high ? 11 : 5);
}

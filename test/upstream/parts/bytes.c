#include "test/upstream/parts/bytes.h"

char *bytes_reserve(struct bytes *b, size_t n)
{
    if (b->cap - b->len < n) {
        size_t cap = b->cap ? b->cap : 256;
        while (cap - b->len < n) {
            cap *= 2;
        }
        char *p = realloc(b->p, cap);
        if (!p) {
            abort();
        }
        b->p = p;
        b->cap = cap;
    }
    return b->p + b->len;
}

void bytes_add(struct bytes *b, const void *p, size_t n)
{
    if (n) {
        memcpy(bytes_reserve(b, n), p, n);
        b->len += n;
    }
}

void bytes_text(struct bytes *b, const char *s)
{
    bytes_add(b, s, strlen(s));
}

void bytes_format(struct bytes *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    size_t room = 128;
    int n = vsnprintf(bytes_reserve(b, room), room, format, args);
    if (n >= 0 && (size_t)n >= room) {
        room = (size_t)n + 1;
        n = vsnprintf(bytes_reserve(b, room), room, format, again);
    }
    va_end(again);
    va_end(args);
    b->len += n > 0 ? (size_t)n : 0;
}

void bytes_fill(struct bytes *b, char c, size_t n)
{
    memset(bytes_reserve(b, n), c, n);
    b->len += n;
}

void bytes_escape(struct bytes *b, const char *p, size_t n)
{
    size_t plain = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c >= 0x20 && c != '"' && c != '\\') {
            continue;
        }
        bytes_add(b, p + plain, i - plain);
        plain = i + 1;
        if (c == '"' || c == '\\') {
            char pair[2] = {'\\', (char)c};
            bytes_add(b, pair, sizeof pair);
        } else if (c == '\n') {
            bytes_text(b, "\\n");
        } else {
            bytes_format(b, "\\u%04x", c);
        }
    }
    bytes_add(b, p + plain, n - plain);
}

void bytes_json(struct bytes *b, const char *s)
{
    if (!s) {
        bytes_text(b, "null");
        return;
    }
    bytes_text(b, "\"");
    bytes_escape(b, s, strlen(s));
    bytes_text(b, "\"");
}

void bytes_drop(struct bytes *b, size_t n)
{
    b->len -= n;
    memmove(b->p, b->p + n, b->len);
}

void bytes_free(struct bytes *b)
{
    free(b->p);
    *b = (struct bytes){0};
}

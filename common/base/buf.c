#include "base/buf.h"

#include "base/arena.h"
#include "base/decimal.h"
#include "base/plain_format.h"

enum { FIRST_CAP = 256 };

void buf_init(struct buf *b, size_t max)
{
    *b = BUF_INIT(max);
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = 0;
}

void buf_release(struct buf *b)
{
    free(b->data);
    *b = BUF_INIT(b->max);
}

static void release_deferred(void *p)
{
    buf_release(p);
}

struct buf *buf_new(struct arena *a, size_t max)
{
    struct buf *b = ARENA_NEW(a, struct buf);
    buf_init(b, max);
    arena_defer(a, release_deferred, b);
    return b;
}

static bool fail(struct buf *b)
{
    b->failed = true;
    return false;
}

bool buf_reserve(struct buf *b, size_t n)
{
    if (b->failed)
        return false;
    /* The NUL takes one byte beyond max, so PTRDIFF_MAX also keeps the sums below from wrapping. */
    if (n > b->max - b->len || n >= PTRDIFF_MAX - b->len)
        return fail(b);
    size_t need = b->len + n + 1;
    if (need <= b->cap)
        return true;
    size_t cap = b->cap ? b->cap * 2 : FIRST_CAP;
    if (cap < need)
        cap = need;
    if (cap - 1 > b->max)
        cap = b->max + 1;
    char *data = realloc(b->data, cap);
    if (!data)
        return fail(b);
    data[b->len] = 0;
    b->data = data;
    b->cap = cap;
    return true;
}

/* The usual case: there is memory, and n bytes and the NUL fit. */
static bool fits(const struct buf *b, size_t n)
{
    return n < b->cap - b->len && !b->failed;
}

bool buf_add(struct buf *b, const void *p, size_t n)
{
    if (n == 0)
        return !b->failed;
    if (!fits(b, n) && !buf_reserve(b, n))
        return false;
    memcpy(b->data + b->len, p, n);
    b->len += n;
    b->data[b->len] = 0;
    return true;
}

bool buf_adds(struct buf *b, const char *s)
{
    return buf_add(b, s, strlen(s));
}

bool buf_addc(struct buf *b, char c)
{
    if (!fits(b, 1) && !buf_reserve(b, 1))
        return false;
    b->data[b->len++] = c;
    b->data[b->len] = 0;
    return true;
}

bool buf_addi(struct buf *b, int64_t v)
{
    char text[DECIMAL_SIZE];
    return buf_add(b, text, decimal_format(v, text));
}

bool buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
    if (b->failed)
        return false;
    va_list strings;
    va_copy(strings, ap);
    ssize_t length = plain_format_length(fmt, strings);
    va_end(strings);
    if (length >= 0) {
        if (!buf_reserve(b, (size_t)length))
            return false;
        plain_format_write(b->data + b->len, fmt, ap);
        b->len += (size_t)length;
        return true;
    }
    va_list again;
    va_copy(again, ap);
    size_t room = b->data ? b->cap - b->len : 0;
    int n = vsnprintf(room ? b->data + b->len : NULL, room, fmt, ap);
    bool ok = n >= 0;
    if (ok && (size_t)n >= room) {
        ok = buf_reserve(b, (size_t)n);
        if (ok)
            vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    if (ok)
        b->len += (size_t)n;
    else if (b->data)
        b->data[b->len] = 0;
    return ok || fail(b);
}

bool buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    bool ok = buf_vaddf(b, fmt, ap);
    va_end(ap);
    return ok;
}

void buf_consume(struct buf *b, size_t n)
{
    if (!b->data)
        return;
    if (n > b->len)
        n = b->len;
    b->len -= n;
    memmove(b->data, b->data + n, b->len + 1);
}

const char *buf_str(const struct buf *b)
{
    return b->data ? b->data : "";
}

/* The one growing byte buffer; its maximum is fixed at birth.
 *
 * Invariants: data[len] == 0 whenever data != NULL; len <= max; once an
 * addition would pass max (or memory is out) `failed` is set, nothing more is
 * added, and every later call returns false. So a writer may add without
 * looking and check `failed` once at the end.
 */
#ifndef CLAWGATE_BASE_BUF_H
#define CLAWGATE_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

struct buf {
    char *data;  /* NULL until the first byte */
    size_t len;  /* without the closing NUL */
    size_t cap;
    size_t max;
    bool failed;
};

#define BUF_INIT(max_) ((struct buf){.max = (max_)})

void buf_init(struct buf *b, size_t max);
void buf_clear(struct buf *b);   /* empty, memory kept, failed reset */
void buf_release(struct buf *b); /* memory given back; usable again as empty */
/* A new empty buffer that is released with the arena. */
struct buf *buf_new(struct arena *a, size_t max);

bool buf_add(struct buf *b, const void *p, size_t n);
bool buf_adds(struct buf *b, const char *s);
bool buf_addc(struct buf *b, char c);
bool buf_addi(struct buf *b, int64_t v); /* in decimal */
bool buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool buf_vaddf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* Room for n more bytes at data + len; the caller then adds to len. */
bool buf_reserve(struct buf *b, size_t n);
/* Removes the first n bytes. */
void buf_consume(struct buf *b, size_t n);
/* The text as a C string; "" when empty. Valid until the next change. */
const char *buf_str(const struct buf *b);

#endif

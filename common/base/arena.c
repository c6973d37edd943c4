#include "base/arena.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/plain_format.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISONS 1
#endif
#endif

/* Under ASan whatever was not handed out is poisoned and a gap follows each
 * allocation, so that mistakes inside a chunk show as well. */
#ifdef ARENA_POISONS
#include <sanitizer/asan_interface.h>
enum { GAP = 16 };
/* A function of its own: the compiler takes the const pointer below for a look at memory nobody has filled. */
static __attribute__((noinline)) void poison(void *p, size_t n)
{
    __asan_poison_memory_region(p, n);
}

static void unpoison(void *p, size_t n)
{
    __asan_unpoison_memory_region(p, n);
}
#else
enum { GAP = 0 };
#define poison(p, n) ((void)(p), (void)(n))
#define unpoison(p, n) ((void)(p), (void)(n))
#endif

enum {
    ALIGN = alignof(max_align_t),
    FIRST_CHUNK = 8 * 1024,
    LATER_CHUNK = 16 * 1024,
    LARGE = 4 * 1024, /* from here on an allocation has a chunk of its own */
    SPARES_MAX = 3,   /* kept when the arena is cleared, 56 kB with the first one */
    PRINTED_INLINE = 256
};

_Static_assert(FIRST_CHUNK + SPARES_MAX * LATER_CHUNK <= 64 * 1024, "what an idle arena may hold");

struct chunk {
    struct chunk *next;
    size_t size; /* of data */
    size_t used;
    alignas(max_align_t) char data[];
};

struct deferred {
    struct deferred *next;
    void (*fn)(void *p);
    void *p;
};

struct arena {
    struct chunk *current; /* small allocations come from here */
    struct chunk *later;   /* everything else in use but the first chunk, newest first */
    struct chunk *spares;  /* of LATER_CHUNK, last used first */
    int spare_count;
    struct deferred *deferred;
    struct chunk *first;
};

static _Noreturn void out_of_memory(void)
{
    log_event(LOG_ERROR, 1001, "memory.out", LOG_END);
    abort();
}

static struct chunk *chunk_init(struct chunk *c, size_t size)
{
    if (!c)
        out_of_memory();
    c->next = NULL;
    c->size = size;
    c->used = 0;
    poison(c->data, size);
    return c;
}

/* Not zeroed, and LATER_CHUNK includes the header: malloc deals in round sizes. */
static struct chunk *chunk_new(size_t whole)
{
    return chunk_init(malloc(whole), whole - sizeof(struct chunk));
}

static void chunk_free(struct chunk *c)
{
    unpoison(c->data, c->size);
    free(c);
}

static void chunks_free(struct chunk *c)
{
    while (c) {
        struct chunk *next = c->next;
        chunk_free(c);
        c = next;
    }
}

struct arena *arena_new(void)
{
    struct arena *a = calloc(1, sizeof *a);
    if (!a)
        out_of_memory();
    a->first = chunk_new(FIRST_CHUNK);
    a->current = a->first;
    return a;
}

/* Keeps the chunk for later when it has the common size and there is room for one more. */
static void chunk_retire(struct arena *a, struct chunk *c)
{
    if (c->size != LATER_CHUNK - sizeof *c || a->spare_count == SPARES_MAX) {
        chunk_free(c);
        return;
    }
    poison(c->data, c->size);
    c->used = 0;
    c->next = a->spares;
    a->spares = c;
    a->spare_count++;
}

void arena_clear(struct arena *a)
{
    /* A deferred call may defer another: take them one at a time. */
    while (a->deferred) {
        struct deferred *d = a->deferred;
        a->deferred = d->next;
        d->fn(d->p);
    }
    while (a->later) {
        struct chunk *next = a->later->next;
        chunk_retire(a, a->later);
        a->later = next;
    }
    a->first->used = 0;
    poison(a->first->data, a->first->size);
    a->current = a->first;
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    arena_clear(a);
    chunks_free(a->spares);
    chunk_free(a->first);
    free(a);
}

static struct chunk *chunk_add(struct arena *a, struct chunk *c)
{
    c->next = a->later;
    a->later = c;
    return c;
}

static struct chunk *chunk_spare(struct arena *a)
{
    struct chunk *c = a->spares;
    if (!c)
        return chunk_new(LATER_CHUNK);
    a->spares = c->next;
    a->spare_count--;
    return c;
}

static void *chunk_take(struct chunk *c, size_t size, size_t room)
{
    void *p = c->data + c->used;
    c->used += room;
    unpoison(p, size);
    return p;
}

/* Room for size bytes; *dirty: they are not zero. What has a chunk of its own comes zeroed, often for nothing. */
static void *take(struct arena *a, size_t size, bool *dirty)
{
    if (size > PTRDIFF_MAX / 2)
        out_of_memory();
    size_t wanted = size ? size : 1;
    size_t room = (wanted + GAP + ALIGN - 1) / ALIGN * ALIGN;
    *dirty = room < LARGE;
    if (room >= LARGE)
        return chunk_take(chunk_add(a, chunk_init(calloc(1, sizeof(struct chunk) + room), room)), wanted, room);
    if (a->current->size - a->current->used < room)
        a->current = chunk_add(a, chunk_spare(a));
    return chunk_take(a->current, wanted, room);
}

void *arena_alloc(struct arena *a, size_t size)
{
    bool dirty;
    void *p = take(a, size, &dirty);
    return dirty ? memset(p, 0, size) : p;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(n, size, &total))
        out_of_memory();
    return arena_alloc(a, total);
}

void *arena_memdup(struct arena *a, const void *p, size_t n)
{
    bool dirty;
    void *copy = take(a, n, &dirty);
    return n ? memcpy(copy, p, n) : copy;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    bool dirty;
    size_t len = strnlen(s, n);
    char *copy = take(a, len + 1, &dirty);
    memcpy(copy, s, len);
    copy[len] = 0;
    return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return s ? arena_memdup(a, s, strlen(s) + 1) : NULL;
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    va_list strings;
    va_copy(strings, ap);
    ssize_t length = plain_format_length(fmt, strings);
    va_end(strings);
    if (length >= 0) {
        bool dirty;
        char *joined = take(a, (size_t)length + 1, &dirty);
        plain_format_write(joined, fmt, ap);
        return joined;
    }
    char printed[PRINTED_INLINE];
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(printed, sizeof printed, fmt, ap);
    char *s;
    if (n >= 0 && (size_t)n < sizeof printed) {
        s = arena_memdup(a, printed, (size_t)n + 1);
    } else {
        s = arena_alloc(a, n < 0 ? 1 : (size_t)n + 1);
        if (n > 0)
            vsnprintf(s, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    return s;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}

void arena_defer(struct arena *a, void (*fn)(void *p), void *p)
{
    struct deferred *d = ARENA_NEW(a, struct deferred);
    *d = (struct deferred){.next = a->deferred, .fn = fn, .p = p};
    a->deferred = d;
}

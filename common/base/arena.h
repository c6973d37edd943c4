/* Memory that lives exactly as long as one request or one run.
 *
 * Whoever serves a request owns one arena; everything that belongs to the
 * request is taken from it and nothing is freed one by one. One arena is used
 * by one thread at a time.
 *
 * arena_alloc never returns NULL: when the machine has no memory left for a
 * few hundred bytes the process ends with a log line (event 1001) and its
 * supervisor replaces it. What can be large (bodies, answers, upstream text)
 * lives in a struct buf, whose failure is an ordinary error.
 */
#ifndef CLAWGATE_BASE_ARENA_H
#define CLAWGATE_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena;

struct arena *arena_new(void);
/* Runs the deferred calls in reverse order, then gives all memory back. NULL is fine. */
void arena_free(struct arena *a);
/* As arena_free, but keeps up to 64 kB of chunks, so that the next request costs no malloc. */
void arena_clear(struct arena *a);

/* Zeroed, aligned for any type. size 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t size);
/* n zeroed elements; a product that does not fit counts as out of memory. */
void *arena_array(struct arena *a, size_t n, size_t size);
void *arena_memdup(struct arena *a, const void *p, size_t n);
/* NUL-terminated copies. arena_strdup(NULL) is NULL. */
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/* fn(p) will be called once, when the arena is cleared or freed. */
void arena_defer(struct arena *a, void (*fn)(void *p), void *p);

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_array((a), (size_t)(n), sizeof(type)))

#endif

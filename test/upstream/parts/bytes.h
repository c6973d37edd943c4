/* A growable run of bytes for the test programs, with JSON escaping.
 *
 * Deliberately not common/base: the scripted server must not share a bug with
 * the code it tests. Running out of memory ends the program.
 */
#ifndef UPSTREAM_BYTES_H
#define UPSTREAM_BYTES_H

#include <stddef.h>

struct bytes {
    char *p;
    size_t len, cap;
};

/* Makes room for n more bytes and returns where they go. */
char *bytes_reserve(struct bytes *b, size_t n);
void bytes_add(struct bytes *b, const void *p, size_t n);
void bytes_text(struct bytes *b, const char *s);
void bytes_format(struct bytes *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void bytes_fill(struct bytes *b, char c, size_t n);
/* The inside of a JSON string: escaped, without the quotes. */
void bytes_escape(struct bytes *b, const char *p, size_t n);
/* A whole JSON string; NULL gives null. */
void bytes_json(struct bytes *b, const char *s);
/* Removes the first n bytes. */
void bytes_drop(struct bytes *b, size_t n);
void bytes_free(struct bytes *b);

#endif

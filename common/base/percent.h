/* Percent-encoding of paths, queries and header values; pure functions. */
#ifndef CLAWGATE_BASE_PERCENT_H
#define CLAWGATE_BASE_PERCENT_H

#include <stdbool.h>
#include <stddef.h>

struct buf;

/* Decodes n bytes of s in place and closes them with a NUL; *len is the new length. With `plus`, '+' is a blank.
 * s has room for n + 1 bytes. false at a malformed escape (s is then half decoded). */
bool percent_decode(char *s, size_t n, bool plus, size_t *len);
/* Adds s with everything escaped that cannot stand in a path; slashes stay. */
void percent_encode_path(struct buf *out, const char *s);

#endif

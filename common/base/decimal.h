/* Integers as decimal text, without the cost of printf. */
#ifndef CLAWGATE_BASE_DECIMAL_H
#define CLAWGATE_BASE_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

enum { DECIMAL_SIZE = 21 }; /* "-9223372036854775808" and NUL */

/* Writes v and a closing NUL; returns the length without it. */
size_t decimal_format(int64_t v, char out[DECIMAL_SIZE]);

#endif

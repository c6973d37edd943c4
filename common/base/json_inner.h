/* What the parts of the JSON reader share: gate, keys and parser. */
#ifndef CLAWGATE_BASE_JSON_INNER_H
#define CLAWGATE_BASE_JSON_INNER_H

#include "base/json.h"

/* As json_gate. *pairs: the text has escaped surrogate pairs, which json-c must not see (json.c says why). */
bool json_gate_scan(const char *text, size_t len, size_t values_max, struct json_fault *fault, bool *pairs);

/* The value of four hex digits, -1 when they are none. */
int json_hex4(const char *p);
/* The code point of a valid pair; high points at its first hex digit, so at XXXX of \uXXXX\uXXXX. */
uint32_t json_pair(const char *high);

#endif

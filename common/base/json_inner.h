/* What the parts of the JSON reader share: gate, keys and builder. */
#ifndef CLAWGATE_BASE_JSON_INNER_H
#define CLAWGATE_BASE_JSON_INNER_H

#include "base/json.h"

/* The value of four hex digits, -1 when they are none. */
int json_hex4(const char *p);
/* One escape of a string the gate has checked; p stands behind the backslash. Writes *len bytes to out and returns
 * what follows the escape; two surrogates are one escape. */
const char *json_unescape(const char *p, char out[4], size_t *len);

/* The gate; *values is how many there are in a text that passes. */
bool json_gate_count(const char *text, size_t len, size_t values_max, struct json_fault *fault, size_t *values);

/* The objects of a text that has passed the gate; *root is NULL when the text is null, else the caller's.
 * false: out of memory, and nothing is left behind. */
bool json_build(const char *text, size_t len, json_object **root);

#endif

/* JSON in: a strict gate, json-c's objects behind it, and typed readers.
 *
 * Guarantees of json_parse (contract 01 §2.5):
 *  1. The text is valid UTF-8, without NUL, neither raw nor as an escape.
 *  2. No raw control characters inside strings; only double quotes quote;
 *     no comments, trailing commas, NaN, Infinity or leading zeros.
 *  3. No key occurs twice in one object (compared after unescaping).
 *  4. At most JSON_DEPTH_MAX levels and `values_max` values, so that memory
 *     stays in proportion to the text (10 MB of `[{},{},…]` is refused).
 *  5. Integers fit int64, other numbers are finite doubles (the last half step above the largest
 *     double counts as infinite); lone surrogates are refused.
 *  6. Nothing but blanks follows the value.
 */
#ifndef CLAWGATE_BASE_JSON_H
#define CLAWGATE_BASE_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

enum { JSON_DEPTH_MAX = 64, JSON_VALUES_MAX = 100000 };

struct json_fault {
    const char *reason; /* static English text, fit for an error message */
    size_t offset;      /* byte where it was noticed */
};

/* The gate alone: true when the text is what is guaranteed above. Pure; fuzzed. values_max 0 = JSON_VALUES_MAX. */
bool json_gate(const char *text, size_t len, size_t values_max, struct json_fault *fault);
/* Gate, then json-c's objects built from the text. The result lives as long as the arena. NULL with *fault filled on
 * refusal; a text that is only `null` counts as refused, because json-c has no object for it. fault may be NULL here
 * and in the gate. */
json_object *json_parse(struct arena *a, const char *text, size_t len, size_t values_max, struct json_fault *fault);
/* As json_parse, without an arena: the caller owns the result (json_object_put). */
json_object *json_parse_owned(const char *text, size_t len, size_t values_max, struct json_fault *fault);

/* Overwrites // and block comments and trailing commas with blanks, for config files. Offsets and line numbers
 * stay. What is malformed (a comment without end, a comma after nothing) stays too, for the gate to refuse. */
void json_strip_comments(char *text, size_t len);

/* Readers: absent or of another type gives the fallback. json_int takes integers only, json_num any number.
 * o may be NULL or no object at all. */
json_object *json_get(json_object *o, const char *key); /* NULL when absent or null */
bool json_has(json_object *o, const char *key);         /* present, null included */
const char *json_str(json_object *o, const char *key);  /* NULL when absent or not a string */
int64_t json_int(json_object *o, const char *key, int64_t fallback);
double json_num(json_object *o, const char *key, double fallback);
bool json_flag(json_object *o, const char *key, bool fallback);
/* json-c has a type called json_bool; as a macro with arguments the name serves both. */
#define json_bool(o, key, fallback) json_flag((o), (key), (fallback))

#endif

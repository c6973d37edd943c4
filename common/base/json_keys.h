/* The keys seen so far in every object of one JSON text; inner part of the gate.
 *
 * One hash table serves all objects of the text: an entry carries the serial
 * number of its object, so leaving an object costs nothing. The hash is keyed
 * per process, so that nobody can send keys which collide. Memory is at most
 * 64 bytes a key beyond the first 32, which need none.
 *
 * Keys are given as the byte after their opening quote; the gate has checked
 * the string up to its closing quote.
 */
#ifndef CLAWGATE_BASE_JSON_KEYS_H
#define CLAWGATE_BASE_JSON_KEYS_H

#include <stddef.h>
#include <stdint.h>

enum { JSON_KEYS_INLINE = 64 };

struct json_key {
    uint64_t hash;
    uint32_t object; /* serial number of the object, from 1; 0 = free slot */
    uint32_t offset; /* of the key in the text */
};

struct json_keys {
    const char *text;
    struct json_key *slots;
    size_t size; /* a power of two */
    size_t count;
    struct json_key first[JSON_KEYS_INLINE];
};

enum json_keys_result { JSON_KEYS_ADDED, JSON_KEYS_TWICE, JSON_KEYS_NO_MEMORY };

void json_keys_init(struct json_keys *k, const char *text);
void json_keys_release(struct json_keys *k);
/* Compares after unescaping. offset as in struct json_key; len: up to the closing quote, escapes as they stand. */
enum json_keys_result json_keys_add(struct json_keys *k, uint32_t object, size_t offset, size_t len);

#endif

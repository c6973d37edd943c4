/* Hashing of short keys that others choose: without the seed nobody can aim at a place of a table. */
#ifndef CLAWGATE_BASE_HASH_H
#define CLAWGATE_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

enum { HASH_SEED_SIZE = 16 };

/* SipHash-2-4. */
uint64_t hash_seeded(const unsigned char seed[HASH_SEED_SIZE], const void *p, size_t n);

#endif

/* Hashing of short keys that others choose: without the seed nobody can aim at a place of a table. */
#ifndef CLAWGATE_BASE_HASH_H
#define CLAWGATE_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

enum { HASH_SEED_SIZE = 16 };

/* SipHash-2-4. */
uint64_t hash_seeded(const unsigned char seed[HASH_SEED_SIZE], const void *p, size_t n);

/* Many values in one: SipHash-2-4 with 128 bits over eight-byte words. Long enough that two rows of values never meet
 * by chance; which kind of value follows which must be the caller's business. */
struct hash {
    uint64_t v[4];
};
void hash_start(struct hash *h, const unsigned char seed[HASH_SEED_SIZE]);
void hash_number(struct hash *h, uint64_t n);
void hash_text(struct hash *h, const char *text); /* its length, then its bytes, zeros up to a whole word */
void hash_end(struct hash *h, uint64_t out[2]);

#endif

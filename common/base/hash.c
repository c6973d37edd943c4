#include "base/hash.h"

#include <endian.h>

#include "base/sip.h"

static uint64_t word_at(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

static void rounds(uint64_t v[4], int n)
{
    while (n-- > 0)
        sip_round(v);
}

static void absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    rounds(v, 2);
    v[0] ^= word;
}

uint64_t hash_seeded(const unsigned char seed[HASH_SEED_SIZE], const void *p, size_t n)
{
    const unsigned char *at = p;
    uint64_t k0 = word_at(seed), k1 = word_at(seed + 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                     k1 ^ 0x7465646279746573};
    unsigned char last[8] = {0};
    size_t whole = n - n % 8;
    for (size_t i = 0; i < whole; i += 8)
        absorb(v, word_at(at + i));
    if (n > whole)
        memcpy(last, at + whole, n - whole);
    last[7] = (unsigned char)n;
    absorb(v, word_at(last));
    v[2] ^= 0xff;
    rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

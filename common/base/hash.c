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

static void start(uint64_t v[4], const unsigned char seed[HASH_SEED_SIZE])
{
    uint64_t k0 = word_at(seed), k1 = word_at(seed + 8);
    v[0] = k0 ^ 0x736f6d6570736575;
    v[1] = k1 ^ 0x646f72616e646f6d;
    v[2] = k0 ^ 0x6c7967656e657261;
    v[3] = k1 ^ 0x7465646279746573;
}

static void absorb_all(uint64_t v[4], const void *p, size_t n)
{
    const unsigned char *at = p;
    unsigned char last[8] = {0};
    size_t whole = n - n % 8;
    for (size_t i = 0; i < whole; i += 8)
        absorb(v, word_at(at + i));
    if (n > whole)
        memcpy(last, at + whole, n - whole);
    last[7] = (unsigned char)n;
    absorb(v, word_at(last));
}

static uint64_t finish(uint64_t v[4])
{
    rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash_seeded(const unsigned char seed[HASH_SEED_SIZE], const void *p, size_t n)
{
    uint64_t v[4];
    start(v, seed);
    absorb_all(v, p, n);
    v[2] ^= 0xff;
    return finish(v);
}

void hash_start(struct hash *h, const unsigned char seed[HASH_SEED_SIZE])
{
    start(h->v, seed);
    h->v[1] ^= 0xee;
}

void hash_number(struct hash *h, uint64_t n)
{
    absorb(h->v, n);
}

void hash_text(struct hash *h, const char *text)
{
    size_t n = strlen(text);
    absorb(h->v, n);
    for (; n >= 8; n -= 8, text += 8)
        absorb(h->v, word_at((const unsigned char *)text));
    if (n > 0) {
        unsigned char last[8] = {0};
        memcpy(last, text, n);
        absorb(h->v, word_at(last));
    }
}

void hash_end(struct hash *h, uint64_t out[2])
{
    h->v[2] ^= 0xee;
    out[0] = finish(h->v);
    h->v[1] ^= 0xdd;
    out[1] = finish(h->v);
}

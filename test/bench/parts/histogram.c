#include "test/bench/parts/histogram.h"

static unsigned bucket_of(uint64_t v)
{
    if (v < 128) {
        return (unsigned)v;
    }
    unsigned shift = 63U - (unsigned)__builtin_clzll(v) - 6U;
    unsigned bucket = 128 + (shift - 1) * 64 + (unsigned)((v >> shift) - 64);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The middle of a bucket. */
static int64_t bucket_value(unsigned bucket)
{
    if (bucket < 128) {
        return bucket;
    }
    unsigned shift = (bucket - 128) / 64 + 1;
    int64_t base = 64 + (bucket - 128) % 64;
    return (base << shift) + ((int64_t)1 << (shift - 1));
}

void histogram_add(struct histogram *h, int64_t us)
{
    us = us > 0 ? us : 0;
    h->count[bucket_of((uint64_t)us)]++;
    h->total++;
    h->max = us > h->max ? us : h->max;
}

int64_t histogram_at(const struct histogram *h, unsigned per_mille)
{
    uint64_t rank = (h->total * per_mille + 999) / 1000;
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && h->total; i++) {
        seen += h->count[i];
        if (seen >= rank && seen) {
            int64_t value = bucket_value(i);
            return value < h->max ? value : h->max;
        }
    }
    return 0;
}

/* Latencies in microseconds, kept with 1.6 % precision. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS (128 + 64 * 40)

struct histogram {
    uint64_t count[HISTOGRAM_BUCKETS];
    uint64_t total;
    int64_t max;
};

void histogram_add(struct histogram *h, int64_t us);
/* The value below which `per_mille` thousandths of the samples lie; 0 without samples. */
int64_t histogram_at(const struct histogram *h, unsigned per_mille);

#endif

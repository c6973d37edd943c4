/* What the server received, and counters. */
#ifndef UPSTREAM_RECORD_H
#define UPSTREAM_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include "test/upstream/parts/bytes.h"
#include "test/upstream/parts/http.h"

#define RECORDS_MAX 1000

struct record {
    unsigned long n;
    char *method, *path, *options;
    struct bytes headers; /* a JSON object */
    struct bytes body;    /* at most 1 MiB of it */
    size_t body_bytes;
    size_t bytes_sent;
    long status;
    bool closed_early, done;
};

struct times_entry;

struct records {
    bool quiet;
    unsigned long next;
    size_t stored; /* bytes of bodies kept */
    struct record *ring[RECORDS_MAX];
    struct times_entry *times;
    unsigned long requests, open, peak_open, completed, aborted, cut, connections;
};

/* Counts a request and, unless quiet, keeps it. Returns its number. */
unsigned long record_add(struct records *r, const struct http *h, const struct bytes *in, struct http_span path,
                         struct http_span options);
enum record_end { RECORD_DONE, RECORD_CUT, RECORD_ABORTED };
void record_close(struct records *r, unsigned long n, enum record_end end, size_t bytes_sent);
void record_status(struct records *r, unsigned long n, long status);
/* How often this option string was seen before; counts it. */
long record_times(struct records *r, const char *options, size_t n);
void records_list(const struct records *r, struct bytes *out);
void records_stats(const struct records *r, struct bytes *out);
void records_reset(struct records *r);

#endif

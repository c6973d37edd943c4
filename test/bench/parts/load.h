/* What the two modes of the load generator share. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "test/upstream/parts/bytes.h"

#define LOAD_HEADERS_MAX 16

struct load {
    const char *url, *method, *token;
    char *body;
    const char *headers[LOAD_HEADERS_MAX];
    size_t header_count;
    long users;        /* {n} runs from 1 to users, then again; 0 = it never repeats */
    long concurrency;  /* rr */
    double seconds;    /* rr */
    double warmup;     /* rr */
    int expect;        /* rr: status that counts as success */
    long streams;
    long ramp_ms;
    double timeout;    /* streams: seconds for everything */
    const char *terminal;
    long expect_frames; /* streams: -1 = any number */

    struct sockaddr_storage address;
    socklen_t address_len;
    int epoll;
    unsigned long sent; /* requests built so far */
    bool varies;        /* the request holds {n} */
    struct bytes fixed; /* the request when it does not vary */
};

/* Resolves the URL and prepares the request. false: *why says what is wrong. */
bool load_prepare(struct load *l, const char **why);
/* The bytes of the next request, appended to `out`. */
void load_request(struct load *l, struct bytes *out);
/* A connecting, non-blocking socket, registered edge-triggered with `ptr`; -1 on failure. */
int load_connect(const struct load *l, void *ptr);
/* Waits for events at most until `until` (microseconds, timers_now). */
int load_wait(const struct load *l, struct epoll_event *events, int max, int64_t until);
void load_free(struct load *l);

/* The modes. They print one JSON object and return the exit status. */
int load_run_rr(struct load *l);
int load_run_streams(struct load *l);

#endif

/* One blocking HTTP/1.1 exchange over a pooled connection (private to this room).
 *
 * Guarantees:
 *  1. Every address is judged before a connection to it is opened, and it is the address that gets connected;
 *     connections opened under the looser rule are never lent to a caller under the stricter one.
 *  2. Firing the call's cancel token ends the exchange at once, also on a reused connection.
 *  3. on_tick is called at least about once a second.
 *  4. No redirects, no proxies, no decompression; TLS certificates and host names are verified.
 *
 * The clocks come from the environment, read by http_start: CLAWGATE_UPSTREAM_CONNECT_MS (10000),
 * _FIRST_BYTE_MS (300000, streams: until the first complete event), _STALL_MS (120000, streams: between two complete
 * events), _TOTAL_MS (300000, plain answers) and _RETRY_MS (300, the first pause between two attempts).
 */
#ifndef CLAWGATE_LLM_HTTP_H
#define CLAWGATE_LLM_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"

enum http_end {
    HTTP_DONE,
    HTTP_STOPPED,   /* on_body returned false */
    HTTP_CANCELLED, /* the token was fired or its deadline passed */
    HTTP_BLOCKED,   /* refused by our own rules, see error */
    HTTP_TIMEOUT,   /* one of the clocks, see error */
    HTTP_NETWORK,   /* DNS, connect, TLS, connection lost, malformed HTTP */
};

struct http_call {
    /* In. Header lines are "Name: value"; body NULL makes a GET. */
    const char *url;
    const char *const *headers; /* NULL-terminated */
    const char *body;
    size_t body_len;
    bool private_allowed;
    bool stream; /* first-byte and stall clocks instead of the total one */
    struct cancel *cancel;
    /* Bytes of the body, status and content_type already known. */
    bool (*on_body)(struct http_call *h, const char *bytes, size_t n);
    /* All on_body calls of one read from the socket are over; may be NULL. */
    void (*on_read_end)(struct http_call *h);
    void (*on_tick)(struct http_call *h);
    void *ctx;
    /* Set by on_body. */
    bool progressed;  /* a complete event came: the stall clock starts again */
    int64_t grace_ms; /* > 0: everything needed is here; the rest may take so long, then the call ends as HTTP_DONE */
    /* Out. */
    enum http_end end;
    int status; /* 0 when no answer came */
    char content_type[128];
    bool encoded;           /* Content-Encoding other than identity */
    int64_t retry_after_ms; /* -1 when absent */
    char error[320];        /* one English line unless HTTP_DONE or HTTP_STOPPED */
};

/* Reads the clocks; libcurl itself wakes with the first http_perform. */
void http_start(void);
void http_stop(void);
void http_perform(struct http_call *h);
/* Closes idle connections older than 60 s. */
void http_housekeeping(void);
int64_t http_retry_base_ms(void);

#endif

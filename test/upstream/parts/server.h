/* State of the running server, shared by its connections. */
#ifndef UPSTREAM_SERVER_H
#define UPSTREAM_SERVER_H

#include <openssl/ssl.h>

#include "test/upstream/parts/answer.h"
#include "test/upstream/parts/http.h"
#include "test/upstream/parts/record.h"
#include "test/upstream/parts/timers.h"

struct conn;

struct server {
    int epoll;
    SSL_CTX *tls; /* NULL = no TLS port */
    struct timers timers;
    struct records records;
    struct conn *conns;
};

/* Turns a complete request into an answer. *record_n = 0 for the server's own pages. */
struct answer *route_request(struct server *s, const struct http *h, const struct bytes *in, unsigned long *record_n);

/* Takes an accepted, non-blocking socket. */
void conn_open(struct server *s, int fd, bool tls);
/* The socket is readable or writable, or (closing) the client shut it down. */
void conn_event(struct conn *c, bool closing);
/* A pause is over. */
void conn_timer(struct timer *timer);
void conn_close_all(struct server *s);

#endif

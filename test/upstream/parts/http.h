/* HTTP/1.1 request parsing in place, inside the connection's input buffer. */
#ifndef UPSTREAM_HTTP_H
#define UPSTREAM_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "test/upstream/parts/bytes.h"

/* Zero-initialise before each request. The body is body_len bytes after head_len. */
struct http {
    size_t head_len;
    size_t body_len;
    size_t length; /* Content-Length */
    size_t scan;   /* end of what was consumed of the input, the body as it came included */
    bool chunked;
    bool close;    /* the client wants no further request on this connection */
    bool expects;  /* Expect: 100-continue, not answered yet */
};

enum http_state { HTTP_MORE, HTTP_READY, HTTP_BAD };

/* Call after every read, and again until it says READY; scan is then where the next request begins. */
enum http_state http_parse(struct http *h, struct bytes *in);

struct http_span {
    const char *p;
    size_t n;
};

struct http_span http_method(const struct bytes *in);
struct http_span http_target(const struct bytes *in);
/* The lines after the request line, without the empty one. */
struct http_span http_headers(const struct http *h, const struct bytes *in);
/* Takes the first header line off `headers`; false at the end. */
bool http_header_next(struct http_span *headers, struct http_span *name, struct http_span *value);
/* A header's value by lower-case name, or {NULL, 0}. */
struct http_span http_header(const struct http *h, const struct bytes *in, const char *name);

#endif

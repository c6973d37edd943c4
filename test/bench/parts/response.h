/* An HTTP/1.1 response, parsed as it comes without keeping it. */
#ifndef BENCH_RESPONSE_H
#define BENCH_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>

enum response_state { RESPONSE_STATUS, RESPONSE_HEADERS, RESPONSE_LENGTH, RESPONSE_CLOSE, RESPONSE_CHUNK_SIZE,
                      RESPONSE_CHUNK, RESPONSE_CHUNK_END, RESPONSE_TRAILER, RESPONSE_DONE, RESPONSE_BAD };

/* Zero-initialise before each response. */
struct response {
    enum response_state state;
    int status;
    bool chunked, has_length, close;
    size_t left;     /* of the body or of the chunk */
    char line[96];   /* beginning of the current line */
    size_t line_len; /* whole length, also of what was not kept */
};

/* Called with pieces of the body. */
typedef void response_sink(void *ctx, const char *p, size_t n);

/* Feeds n bytes; state tells whether it is done or broken. Bytes after the end are ignored. */
void response_feed(struct response *r, const char *p, size_t n, response_sink *sink, void *ctx);
/* The connection was closed. true: that ends the response properly. */
bool response_closed(struct response *r);

#endif

/* The SSE writer: headers, frames, keepalives, and the end of the stream.
 *
 * Frames are gathered and leave in one flush, so that all deltas of one
 * upstream read cost one FastCGI record. A flush does not wait for a client that
 * reads slowly, so the run goes on at its own pace; it waits when 1 MiB has gathered.
 * A failed flush means that the client is gone; later calls do nothing.
 */
#ifndef CLAWGATE_WEB_SSE_OUT_H
#define CLAWGATE_WEB_SSE_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "web/request.h"

enum { SSE_KEEPALIVE_MS = 15000 };

/* 200 with the headers of contract 03 §1.9 and everything set by reply_header. It leaves with the first flush. */
void sse_begin(struct request *req);
/* "data: " + bytes + blank line. The bytes hold no line feed. event NULL = no event line. */
void sse_frame(struct request *req, const char *event, const char *data, size_t n);
/* false once the client is gone. */
bool sse_flush(struct request *req);
/* A comment line, when nothing was sent for SSE_KEEPALIVE_MS. */
bool sse_keepalive(struct request *req);
/* Nothing follows: the last frames leave with the end of the answer. The handler then returns its result. */
reply sse_end(struct request *req);
bool sse_client_gone(const struct request *req);

/* The descriptor whose hang-up means that the client left, -1 when the transport has none. */
int req_client_fd(const struct request *req);

#endif

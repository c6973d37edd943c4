/* Parser of server-sent events: bytes in, events out, no I/O.
 *
 * Accepts LF, CRLF and CR line ends, `data:` with and without a blank, several
 * data lines, comments, event names, a BOM, and a last event without a blank
 * line. llama.cpp's line `error: …` is an event of that name. Bytes may be split
 * anywhere; nothing is decoded before an event is complete. One event may hold
 * at most the size given at birth.
 */
#ifndef CLAWGATE_LLM_SSE_H
#define CLAWGATE_LLM_SSE_H

#include "base/buf.h"

struct sse_event {
    const char *name; /* "" when the event had none */
    const char *data; /* lines joined by LF; NUL-terminated */
    size_t len;
};

struct sse_parser {
    struct buf line;
    struct buf data;
    char name[64];
    bool has_data, last_was_cr, started;
};

void sse_init(struct sse_parser *p, size_t event_max);
void sse_release(struct sse_parser *p);
/* Calls fn for each event completed by these bytes. fn returning false stops at once and makes sse_feed
 * return false; so does an event above the limit (p->line.failed or p->data.failed). */
bool sse_feed(struct sse_parser *p, const char *bytes, size_t n, bool (*fn)(void *ctx, const struct sse_event *e),
              void *ctx);
/* End of input: delivers an event that lacked its blank line. */
bool sse_finish(struct sse_parser *p, bool (*fn)(void *ctx, const struct sse_event *e), void *ctx);

#endif

/* What a model said, made fit for people (contract 03 §3.9, §3.10, §1.9). Pure functions. */
#ifndef CLAWGATE_AGENT_TEXT_H
#define CLAWGATE_AGENT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"

/* The final text: steps 1 to 8 of §3.9. */
char *text_sanitize(struct arena *a, const char *text);
/* §3.10: the reply that means silence. */
bool text_is_silent(const char *text);
/* At most max bytes, cut on a character's border with "..." appended when cut. Invalid UTF-8 is removed. */
char *text_preview(struct arena *a, const char *text, size_t max);

/* The same as a filter for a stream: bytes in, visible bytes out, whatever the split. Holds text back while
 * it could still become a NO_REPLY, a think tag or tool markup (at most 64 bytes from a '<'); drops think
 * spans; never gives half a character. */
struct text_filter {
    struct buf held;     /* not decided yet */
    bool started;        /* something visible was given out */
    bool silent;         /* the text so far is exactly the silent token */
    int in_span;         /* inside a dropped span: 1 + index of its tag */
    bool at_line_start;
};
void text_filter_init(struct text_filter *f);
void text_filter_release(struct text_filter *f);
/* Appends what may be shown to out. */
void text_filter_feed(struct text_filter *f, const char *s, size_t n, struct buf *out);
/* End of the model's text: gives out what was held and turned out to be plain. */
void text_filter_finish(struct text_filter *f, struct buf *out);
/* Ready for the next iteration's text. */
void text_filter_reset(struct text_filter *f);

#endif

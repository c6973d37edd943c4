/* What a model said, made fit for people (contract 03 §3.9, §3.10, §1.9). Pure functions, linear time. */
#ifndef CLAWGATE_AGENT_TEXT_H
#define CLAWGATE_AGENT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"

/* The final text: steps 1 to 8 of §3.9. NULL gives "". Silence (§3.10) is not judged here. */
char *text_sanitize(struct arena *a, const char *text);
/* §3.10: the reply that means silence. */
bool text_is_silent(const char *text);
/* At most max bytes, cut on a character's border with "..." appended when cut. Invalid UTF-8 is removed. */
char *text_preview(struct arena *a, const char *text, size_t max);
/* A tool's result as the model gets it: of more than 100,000 bytes the middle is left out, on characters' borders, and
 * a note says so. */
const char *text_tool_result(struct arena *a, const char *text);

/* Whether text that begins with these bytes opens with the silent token. Leading characters that are neither
 * letters nor digits do not count, at most `skip_max` bytes of them. MAYBE: more bytes decide. */
enum text_silence { TEXT_NOT_SILENT, TEXT_MAYBE_SILENT, TEXT_SILENT };
enum text_silence text_silence(const char *s, size_t n, size_t skip_max);

enum { TEXT_HOLD_MAX = 64 };

/* The same as a filter for a stream: bytes in, visible bytes out, whatever the split. Holds text back while
 * it could still become a NO_REPLY, a think tag or tool markup (at most 64 bytes from a '<'); drops think
 * spans, the tags of tool markup and <final>, leading blanks, and a tool call that opens the text; never
 * gives half a character (bytes that are not UTF-8 are dropped). Owns no memory. */
struct text_filter {
    bool started;        /* something visible was given out */
    bool silent;         /* the text opened with the silent token: nothing of it is shown */
    bool show_silent;    /* set after init: NO_REPLY is ordinary text */
    int in_span;         /* inside a dropped span: 1 + index of its tag */
    int in_call;         /* inside a tool call that opens the text: 1 + index of its tag */
    size_t call_depth;   /* elements of that name open */
    bool call_certain;   /* its content looks like a call */
    int tag_state;       /* where in a tag the next byte is */
    int tag_index;       /* which tag, once its name is complete */
    bool tag_closing;
    char tag_quote;      /* quote that ends the attribute's value, 0 without quotes */
    size_t tag_len;      /* bytes since '<', held or not */
    char held[TEXT_HOLD_MAX];    /* the first of them */
    char character[4];           /* UTF-8 sequence under way */
    size_t character_len;
    char opening[TEXT_HOLD_MAX]; /* the text so far, not judged for silence yet */
    size_t opening_len;
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

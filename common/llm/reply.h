/* One model's answer while it grows (private to this room): text, thinking, tool calls, usage.
 *
 * Text handed in may be cut anywhere, also inside a character; what is kept and
 * what reaches the sink is always whole, valid UTF-8.
 */
#ifndef CLAWGATE_LLM_REPLY_H
#define CLAWGATE_LLM_REPLY_H

#include "llm/llm.h"

enum { REPLY_TEXT_MAX = 8 << 20, REPLY_CALLS_MAX = 128, REPLY_BLOCKS_MAX = 512 };

struct reply_part {
    struct buf all;
    char held[4]; /* the start of a character whose end has not come */
    size_t held_len;
};

struct reply_call {
    int64_t index;
    struct buf id, name, arguments, signature;
};

/* One piece of an answer in an API that numbers them. Its share of each buffer ends where the next block's begins. */
struct reply_block {
    int64_t index;
    enum llm_block_kind kind;
    size_t text, thinking, signature; /* where its share begins */
};

struct reply {
    const struct llm_sink *sink; /* NULL unless the caller streams */
    struct reply_part text, thinking;
    struct reply_call *calls;
    size_t call_count, call_cap;
    struct reply_block *blocks;
    size_t block_count, block_cap;
    struct buf signatures;
    enum llm_finish finish;
    bool finished;  /* the model said why it stopped */
    bool forwarded; /* a delta reached the sink: too late to try again */
    bool unflushed;
    bool too_large;
    struct llm_usage usage;
};

void reply_init(struct reply *r, const struct llm_sink *sink);
void reply_release(struct reply *r);
/* Adders return false when a limit is passed (too_large). */
bool reply_text(struct reply *r, const char *s, size_t n);
bool reply_thinking(struct reply *r, const char *s, size_t n);
/* A fragment of a tool call; index < 0: the call that id opens, else the last one. NULL parts are absent. */
bool reply_tool_call(struct reply *r, int64_t index, const char *id, const char *name, const char *arguments, size_t n);
/* The signature of the call that has this index, or of the last one. */
bool reply_call_signature(struct reply *r, int64_t index, const char *s, size_t n);
/* Opens a block; what is added next belongs to it. */
bool reply_block_open(struct reply *r, int64_t index, enum llm_block_kind kind);
/* Is there a block of this index and kind? */
bool reply_block_is(const struct reply *r, int64_t index, enum llm_block_kind kind);
/* More of the last block's signature, or of its redacted data. */
bool reply_signature(struct reply *r, const char *s, size_t n);
/* The answer's blocks, when it calls tools and holds thinking. */
void reply_blocks_close(const struct reply *r, struct arena *a, struct llm_answer *answer);
/* The sink's moment to flush, when something was forwarded since the last one. */
void reply_flush(struct reply *r);
/* Gives out what is held back as U+FFFD, and copies everything into the answer. */
void reply_close(struct reply *r, struct arena *a, struct llm_answer *answer);

#endif

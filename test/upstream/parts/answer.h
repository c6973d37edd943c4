/* One scripted answer, produced piece by piece so that a waiting stream costs almost no memory. */
#ifndef UPSTREAM_ANSWER_H
#define UPSTREAM_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "test/upstream/parts/bytes.h"
#include "test/upstream/parts/chat.h"
#include "test/upstream/parts/script.h"

enum answer_api { API_OPENAI, API_ANTHROPIC, API_MODELS, API_OTHER };

enum answer_block { BLOCK_REASONING, BLOCK_TEXT, BLOCK_TOOL, BLOCK_NONE };

struct dialect;

struct answer {
    struct script script;
    const struct dialect *dialect;
    enum answer_api api;
    bool stream;        /* server-sent events */
    bool chunked;       /* body length not known in advance */
    bool include_usage;
    bool close;         /* say Connection: close */
    unsigned long id;
    int turns;
    long calls;         /* tool calls to make */
    char *model;
    char *text;         /* visible text; NULL = "tok1 tok2 …" */
    long tokens;        /* how many of those */
    long usage_in, usage_out, usage_cached;

    int stage;
    size_t block;       /* index of the current block */
    bool block_open;
    size_t pos;         /* bytes of the block's text already sent */
    long count;         /* pieces of the block already sent */
    long deltas;        /* pieces of all blocks already sent */
    long pieces;        /* how many there are */
    long mid;           /* stop or fail after so many pieces */
    long big_left;
    bool big_open;
    struct bytes whole; /* body of an answer that is not a stream */
    size_t whole_sent;
};

enum answer_step {
    ANSWER_MORE,  /* call again when this is written */
    ANSWER_WAIT,  /* call again after *wait_ms */
    ANSWER_STALL, /* never answer further */
    ANSWER_CLOSE, /* close the connection, after what is there is written */
    ANSWER_RESET, /* the same with a TCP reset */
    ANSWER_END    /* complete */
};

/* A script that was parsed becomes an answer; takes over *script. chat may be NULL (models, other paths). */
struct answer *answer_new(struct script *script, enum answer_api api, const struct chat *chat, size_t request_len,
                          unsigned long id);
/* Appends to head (ready for the wire) and body (not yet framed). */
enum answer_step answer_pull(struct answer *a, struct bytes *head, struct bytes *body, long *wait_ms);
void answer_free(struct answer *a);

/* What the answer says (answer_text.c): model, text, tool calls. */
void answer_choose_text(struct answer *a, const struct chat *chat);
/* How many pieces all blocks have together. */
long answer_count(struct answer *a);
/* The next piece of the current block, NULL at its end; `scratch` may hold it. */
const char *answer_piece(struct answer *a, char *scratch, size_t size, size_t *n);
/* Goes to the next block; false when there is none. */
bool answer_block_next(struct answer *a);

/* For the dialects. */
enum answer_block answer_block_at(const struct answer *a, size_t block);
/* The number of a tool block among the calls, from 0. */
long answer_call_index(const struct answer *a, size_t block);
/* All visible text, appended as the inside of a JSON string. */
void answer_text_json(const struct answer *a, struct bytes *out);
const char *answer_args(const struct answer *a);
void answer_event_begin(const struct answer *a, struct bytes *out, const char *name);
void answer_event_end(const struct answer *a, struct bytes *out);

#endif

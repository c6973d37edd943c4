/* What the server wants to know of a chat request body, OpenAI or Anthropic shaped. */
#ifndef UPSTREAM_CHAT_H
#define UPSTREAM_CHAT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#include "test/upstream/parts/bytes.h"

struct chat {
    json_object *root;
    const char *model;      /* inside root */
    bool stream;
    bool include_usage;
    bool tool_results;      /* the transcript ends with tool results */
    int turns;              /* assistant messages so far; makes tool call ids unique */
    const char *directives; /* after "@upstream " in the last user message, inside root; NULL = none */
    size_t directives_len;
};

/* false: the body is not a JSON object with a messages array. */
bool chat_read(struct chat *c, const char *body, size_t n);
/* For a body that asks for nothing but a plain answer, as benchmarks send it thousands of times a second: told by what
 * does not stand in it, so it is not parsed. false: it must be read. */
bool chat_skim(struct chat *c, const char *body, size_t n);
/* The texts of the tool results at the end of the transcript. */
void chat_results(const struct chat *c, struct bytes *out);
/* echo=1: a JSON description of what was received. */
void chat_describe(const struct chat *c, struct bytes *out);
void chat_free(struct chat *c);

#endif

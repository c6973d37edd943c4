/* JSON as upstreams really send it (private to this room).
 *
 * The strict gate of base/json is kept. A text it refuses gets one repair: a
 * character cut in half by the sender stays in halves (a later delta may bring
 * the rest), NUL and lone surrogates become U+FFFD, raw control characters in
 * strings are escaped, whole numbers beyond 64 bits become floating ones.
 */
#ifndef CLAWGATE_LLM_UPSTREAM_JSON_H
#define CLAWGATE_LLM_UPSTREAM_JSON_H

#include "base/buf.h"
#include "base/json_tree.h"

/* Reads one text after the other into the same memory. All zero at the start. */
struct upstream_json {
    struct json_tree tree;
    const struct json_node *root; /* of the last text; NULL when even the repair did not help */
    bool repaired;                /* strings must be read by upstream_json_text */
    struct buf text;              /* the last text that was repaired */
    struct buf scratch;
};

void upstream_json_release(struct upstream_json *j);
/* Sets root and repaired. The text must live as long as the root is used. */
void upstream_json_read(struct upstream_json *j, const char *text, size_t len);
/* The bytes of a string, halves of characters as they were sent. They live until the next call. */
const char *upstream_json_text(struct upstream_json *j, const struct json_node *string, size_t *n);
/* Shared vocabulary of error bodies: the message of {"error":{"message"}}, {"error":"…"}, {"message"}, {"detail"} and
 * their kin, also inside an array. NULL when there is none. */
const char *upstream_error_text(const struct json_node *root);
/* The same from a text, in the arena. */
const char *upstream_error_said(struct arena *a, const char *text, size_t len);
/* Does it hold MiniMax's kind of error? */
bool upstream_is_base_error(const struct json_node *root);
/* The HTTP status that an error object inside a 200 stands for. */
int upstream_error_status(const struct json_node *root);

#endif

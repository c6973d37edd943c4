/* JSON as upstreams really send it (private to this room).
 *
 * The strict gate of base/json is kept. A text it refuses gets one repair: a
 * character cut in half by the sender stays in halves (a later delta may bring
 * the rest), NUL and lone surrogates become U+FFFD, raw control characters in
 * strings are escaped.
 */
#ifndef CLAWGATE_LLM_UPSTREAM_JSON_H
#define CLAWGATE_LLM_UPSTREAM_JSON_H

#include "base/buf.h"
#include "base/json.h"

struct upstream_json {
    json_object *root; /* NULL when even the repair did not help; json_object_put it */
    bool repaired;     /* strings must be read by upstream_json_text */
};

struct upstream_json upstream_json_parse(const char *text, size_t len);
/* The bytes of a string value, halves of characters as they were sent; scratch holds them when they were repaired. */
const char *upstream_json_text(json_object *string, bool repaired, struct buf *scratch, size_t *n);
/* Shared vocabulary of error bodies: the message of {"error":{"message"}}, {"error":"…"}, {"message"}, {"detail"} and
 * their kin, also inside an array. NULL when there is none. */
const char *upstream_error_text(json_object *root);
/* The HTTP status that an error object inside a 200 stands for. */
int upstream_error_status(json_object *root);

#endif

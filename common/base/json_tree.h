/* JSON as plain structs, for texts that are read once and thrown away: the answers of model APIs, one for each token.
 *
 * The text passes the gate of base/json.h, with all that it guarantees. The tree owns two pieces of memory, the nodes
 * and the characters, and uses them again for the next text: reading a stream allocates nothing after its largest
 * event. They take at most 64 bytes a value and one for each byte of the text.
 */
#ifndef CLAWGATE_BASE_JSON_TREE_H
#define CLAWGATE_BASE_JSON_TREE_H

#include "base/json.h"

enum json_kind { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_INTEGER, JSON_DOUBLE, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_node {
    enum json_kind kind;
    /* A string: its characters. Anything else: as it stands in the text. Strings and numbers have a NUL behind them;
     * arrays and objects lie in the caller's text. */
    const char *text;
    size_t len;
    const char *key;                /* of a member, with a NUL behind it; NULL elsewhere */
    struct json_node *first, *next; /* elements or members, in their order */
};

struct json_tree {
    struct json_node *nodes;
    char *chars;
    size_t node_cap, char_cap;
};

/* All zero is an empty tree, too. */
void json_tree_init(struct json_tree *t);
void json_tree_release(struct json_tree *t);
/* The root; NULL with *fault filled (fault may be NULL) when the gate refuses the text or memory is out. Nodes live
 * until the tree reads again or is released; `text` must live as long where arrays or objects are used as text.
 * values_max 0 = JSON_VALUES_MAX. */
const struct json_node *json_tree_read(struct json_tree *t, const char *text, size_t len, size_t values_max,
                                       struct json_fault *fault);

/* Readers, as those of base/json.h: n may be NULL or of another kind. */
const struct json_node *json_node_get(const struct json_node *n, const char *key); /* NULL when absent or null */
const char *json_node_str(const struct json_node *n, const char *key);             /* NULL when no string */
int64_t json_node_int(const struct json_node *n, const char *key, int64_t fallback);
bool json_node_is(const struct json_node *n, enum json_kind kind);                  /* false for NULL */

#endif

/* How one vendor's API writes the parts of an answer. Every function appends to `out`. */
#ifndef UPSTREAM_DIALECT_H
#define UPSTREAM_DIALECT_H

#include "test/upstream/parts/answer.h"

struct dialect {
    void (*open)(const struct answer *a, struct bytes *out);
    void (*block_start)(const struct answer *a, struct bytes *out);
    void (*delta)(const struct answer *a, struct bytes *out, const char *p, size_t n);
    void (*block_stop)(const struct answer *a, struct bytes *out);
    void (*finish)(const struct answer *a, struct bytes *out);
    void (*usage)(const struct answer *a, struct bytes *out);
    void (*done)(const struct answer *a, struct bytes *out);
    /* Before and after one huge text, in a stream and in a plain body. */
    void (*big_begin)(const struct answer *a, struct bytes *out);
    void (*big_end)(const struct answer *a, struct bytes *out);
    /* The JSON of an error, and of a whole answer. */
    void (*error)(const struct answer *a, struct bytes *out, long status, const char *message);
    void (*whole)(const struct answer *a, struct bytes *out);
    const char *error_event; /* name of the event that carries an error, or NULL */
};

extern const struct dialect dialect_openai;
extern const struct dialect dialect_anthropic;

#endif

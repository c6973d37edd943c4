/* Deterministic embeddings: texts that share words get vectors that point the same way. */
#ifndef UPSTREAM_EMBEDDINGS_H
#define UPSTREAM_EMBEDDINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "test/upstream/parts/bytes.h"

/* Answers an OpenAI embeddings request; dims is used when the body has no dimensions. false: bad body. */
bool embeddings_write(const char *body, size_t n, long dims, struct bytes *out);

#endif

/* Takes credentials out of what an upstream said, before anybody sees it (private to this room). Pure. */
#ifndef CLAWGATE_LLM_REDACT_H
#define CLAWGATE_LLM_REDACT_H

#include <stddef.h>

#include "base/arena.h"

/* A copy on one line, valid UTF-8, at most max_bytes and max_chars: this api_key (also as JSON writes it), Bearer
 * tokens, sk-… and AIza… keys become ***; control characters become blanks. */
const char *redact(struct arena *a, const char *text, const char *api_key, size_t max_bytes, size_t max_chars);

#endif

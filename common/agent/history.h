/* From stored messages to what the model may see (contract 03 §3.5): prune old tool results, repair pairs. Pure. */
#ifndef CLAWGATE_AGENT_HISTORY_H
#define CLAWGATE_AGENT_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "llm/llm.h"
#include "store/sessions.h"

/* Stored rows to messages. Malformed tool_calls JSON is treated as none. */
struct llm_message *history_from_rows(struct arena *a, const struct message *rows, size_t n, size_t *count);
/* §3.5 step 2, in place on the array: window in tokens. */
void history_prune(struct arena *a, struct llm_message *m, size_t n, int64_t window);
/* A long text without its middle, a short one as it is. */
const char *history_shorten(struct arena *a, const char *text);
/* The same for every tool result, the latest too; false when none was long. */
bool history_shorten_results(struct arena *a, struct llm_message *m, size_t n);
/* §3.5 step 3: returns a new array. Leading and orphaned tool messages dropped, missing results filled with a
 * placeholder, repeated tool-call ids made unique, same-role neighbours merged. */
struct llm_message *history_repair(struct arena *a, const struct llm_message *m, size_t n, size_t *count);
/* Code points / 3, §3.5. */
int64_t history_estimate_tokens(const struct llm_message *m, size_t n);

#endif

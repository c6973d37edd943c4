/* A tool's JSON Schema as an API wants it (private to this room): contract 03 §5.6. */
#ifndef CLAWGATE_LLM_SCHEMA_H
#define CLAWGATE_LLM_SCHEMA_H

#include "base/jsonw.h"
#include "llm/llm.h"

/* Always an object with type and properties. unwanted: keywords to leave out at every depth, NULL-terminated; NULL for
 * none. A sound schema is written as it is. */
void schema_write(struct jsonw *w, const struct llm_tool *tool, const char *const *unwanted);

#endif

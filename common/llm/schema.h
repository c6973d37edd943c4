/* A tool's JSON Schema as an API wants it (private to this room): contract 03 §5.6. */
#ifndef CLAWGATE_LLM_SCHEMA_H
#define CLAWGATE_LLM_SCHEMA_H

#include "base/jsonw.h"
#include "llm/llm.h"

/* Always an object with type and properties. References to other places of the same schema are replaced by what stands
 * there: many providers know none. A circle ends in a plain object, so does what would be deeper than 64 levels or
 * grow by more than a megabyte; a reference to anywhere else says nothing. A sound schema is written as it is. */
void schema_write(struct jsonw *w, const struct llm_tool *tool);

#endif

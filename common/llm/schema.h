/* A tool's JSON Schema as an API wants it (private to this room): contract 03 §5.6. */
#ifndef CLAWGATE_LLM_SCHEMA_H
#define CLAWGATE_LLM_SCHEMA_H

#include "base/jsonw.h"
#include "llm/llm.h"

/* Providers that refuse more than all the others do. */
enum schema_taste { SCHEMA_ANY = 0, SCHEMA_GEMINI = 1, SCHEMA_XAI = 2 };

/* Always an object with type and properties. References to other places of the same schema are replaced by what stands
 * there: many providers know none. A circle ends in a plain object, so does what would be deeper than 64 levels or
 * grow by more than a megabyte; a reference to anywhere else says nothing. Keywords the provider refuses are left out,
 * or said in its words. A sound schema is written as it is where nothing is refused. */
void schema_write(struct jsonw *w, const struct llm_tool *tool, enum schema_taste taste);

#endif

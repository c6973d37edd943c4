/* What the model is told when it writes a persona (contract 02 §9.2, §9.3). Pure; used by summon.c alone. */
#ifndef CLAWGATE_AGENT_SUMMON_PROMPT_H
#define CLAWGATE_AGENT_SUMMON_PROMPT_H

#include "agent/persona.h"

enum summon_part {
    SUMMON_ALL,      /* summary, SOUL.md, IDENTITY.md, USER_PREDEFINED.md */
    SUMMON_SOUL,     /* the first of two calls: summary and SOUL.md */
    SUMMON_IDENTITY, /* the second: the rest; soul is what the first one wrote */
};

extern const char summon_system[]; /* the system message */

const char *summon_prompt(struct arena *a, enum summon_part part, const char *description, const char *soul);
/* current: the files as they are. text: what the caller wants changed, NULL = write them afresh from the description;
 * without that either they are tidied. */
const char *summon_edit_prompt(struct arena *a, const struct persona *current, const char *text,
                               const char *description);
/* What stands in for a model where none can write: the templates, with the description as the purpose. */
void summon_without_model(struct arena *a, const char *description, const char *name, struct persona *out);

#endif

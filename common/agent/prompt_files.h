/* Context files on their way into the system prompt (contract 02 §8.6, §8.7, §10.2). Used by prompt.c alone. */
#ifndef CLAWGATE_AGENT_PROMPT_FILES_H
#define CLAWGATE_AGENT_PROMPT_FILES_H

#include "agent/prompt.h"
#include "base/buf.h"

struct prompt_file {
    const char *name, *content;
    int rank; /* place in the fixed order */
};

/* What of the input's files is shown: in order, within the budgets, AVAILABILITY.md added when there is no team. */
struct prompt_file *prompt_files_pick(struct arena *a, const struct prompt_input *in, size_t *count);
/* SOUL.md and IDENTITY.md, which open the prompt. */
bool prompt_file_is_persona(const struct prompt_file *f);
/* The file in its wrapper. */
void prompt_file_write(struct buf *out, const struct prompt_file *f, bool predefined);
/* Text that cannot close the wrapper around it. */
void prompt_quote(struct buf *out, const char *text);
/* Is this a first conversation (contract 02 §8.4)? There is a BOOTSTRAP.md, and a person on a channel to talk to. */
bool prompt_onboards(const struct prompt_input *in);
bool prompt_has_file(const struct prompt_input *in, const char *name);

#endif

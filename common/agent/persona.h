/* An agent's persona: the files that make it, its name in IDENTITY.md, and reading what a model wrote of it
 * (contract 02 §4.4, §8.3, §9.2, §9.4). */
#ifndef CLAWGATE_AGENT_PERSONA_H
#define CLAWGATE_AGENT_PERSONA_H

#include <stdbool.h>

#include "base/arena.h"
#include "store/db.h"

/* The templates of a predefined agent, where it has no text of its own; inside a transaction. */
enum db_rc persona_seed(struct db *db, const char *tenant_id, const char *agent_id);
/* Is it more than the template? content may be NULL. */
bool persona_is_written(const char *name, const char *content);

/* The text with its Name set, or one inserted after the first heading; a name of several lines becomes one. */
const char *persona_rename(struct arena *a, const char *identity, const char *given);
/* The name an IDENTITY.md says; NULL when it says none. */
const char *persona_name(struct arena *a, const char *identity);
/* The agent got another display name: its IDENTITY.md says it (a small one is made when there is none), and for an
 * open agent that of every user; inside a transaction. */
enum db_rc persona_follow_name(struct db *db, struct arena *a, const char *tenant_id, const char *agent_id, bool open,
                               const char *name);

enum { PERSONA_FILES = 3 };
extern const char *const persona_files[PERSONA_FILES]; /* SOUL.md, IDENTITY.md, USER_PREDEFINED.md */

struct persona {
    const char *text[PERSONA_FILES]; /* in the order of persona_files; NULL = not there */
    const char *summary;             /* NULL = none */
};
/* Takes the tagged files and the summary out of an answer; what is absent stays as it is in *out. false when it holds
 * no file. */
bool persona_parse(struct arena *a, const char *answer, struct persona *out);

#endif

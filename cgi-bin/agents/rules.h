/* What an agent's record may say beside the limits of its fields (contract 02 §3, §4.2, §4.4). */
#ifndef CLAWGATE_CGI_AGENTS_RULES_H
#define CLAWGATE_CGI_AGENTS_RULES_H

#include "web/resource.h"

enum { AGENT_OBJECT_MAX = 65536 };

/* Keys that could be taken for an id or for a path of another resource are refused. */
bool agent_key_check(struct edit *e, const struct field *f, struct db_value *v, json_object *in);

/* The body: a key made from the name, and the configured defaults. */
bool agent_input(struct edit *e);
/* The merged record: its description, status and workspace. */
bool agent_check(struct edit *e);
/* A new default agent takes the flag from the one before; the persona follows its agent. */
bool agent_follow(struct edit *e);

#endif

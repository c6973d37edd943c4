/* Who else may use an agent (contract 02 §7). All of it is for the agent's owner. */
#ifndef CLAWGATE_CGI_AGENTS_SHARING_H
#define CLAWGATE_CGI_AGENTS_SHARING_H

#include "web/resource.h"

extern const struct resource agents, shares;

/* The agent of the path, when the caller owns it; NULL with a fault. */
const char *agent_owned(struct request *req, struct db *db, struct fault *f);
/* The `open` of what belongs to an agent. */
bool agent_open(struct edit *e);
reply share_grant(struct request *req);  /* adds, or changes the role */
reply share_revoke(struct request *req); /* fine when there was nothing */

#endif

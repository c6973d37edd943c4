/* Who else may use an agent (contract 02 §7). All of it is for the agent's owner. */
#ifndef CLAWGATE_CGI_AGENTS_SHARING_H
#define CLAWGATE_CGI_AGENTS_SHARING_H

#include "web/resource.h"

extern const struct resource agents, shares;

bool share_open(struct edit *e);
reply share_grant(struct request *req);  /* adds, or changes the role */
reply share_revoke(struct request *req); /* fine when there was nothing */

#endif

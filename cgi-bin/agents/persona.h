/* The persona of an agent: what a change of the agent means for its files, and the two actions that have a model
 * write them (contract 02 §3.5, §4.2, §4.4, §5.2, §5.3). Nothing here waits for a model: chat works the jobs off. */
#ifndef CLAWGATE_CGI_AGENTS_PERSONA_H
#define CLAWGATE_CGI_AGENTS_PERSONA_H

#include "web/resource.h"

/* Before an agent is written: a new predefined one with a description begins as summoning. */
bool persona_begin(struct edit *e);
/* After it: templates, the job, the name in the files. */
bool persona_follow(struct edit *e);

reply persona_regenerate(struct request *req);
reply persona_resummon(struct request *req);

#endif

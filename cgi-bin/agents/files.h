/* The context files all users of an agent share, over HTTP (contract 02 §6.6). They are the agent's confidential
 * persona: all of it is for the agent's owner. */
#ifndef CLAWGATE_CGI_AGENTS_FILES_H
#define CLAWGATE_CGI_AGENTS_FILES_H

#include "web/resource.h"

extern const struct resource context_files; /* in lists, without the text */
extern const struct resource context_file;  /* one, with it */

reply context_file_write(struct request *req); /* makes or replaces it */

#endif

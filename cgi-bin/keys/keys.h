/* The two resources of the program and the handler that stands beside them. */
#ifndef CLAWGATE_CGI_KEYS_H
#define CLAWGATE_CGI_KEYS_H

#include "web/resource.h"

extern const struct resource api_keys;     /* contract 01 §7 */
extern const struct resource tenants;      /* contract 01 §13 */
extern const struct resource tenant_users; /* who may enter a tenant by header */

reply key_revoke_handler(struct request *req);

#endif

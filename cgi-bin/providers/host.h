/* Providers of the config file beside the stored ones (contract 04 §1.3): read, never changed, and out of the way as
 * soon as the tenant has one of the same name. */
#ifndef CLAWGATE_CGI_PROVIDERS_HOST_H
#define CLAWGATE_CGI_PROVIDERS_HOST_H

#include "web/resource.h"

extern const struct resource providers;

reply providers_list(struct request *req);
reply provider_get(struct request *req);
/* The `open` of the resource: those of the config file are not changed here. */
bool provider_open(struct edit *e);

#endif

/* What no table can say about a provider (contract 04 §0.1, §1.2, §1.3). */
#ifndef CLAWGATE_PROVIDERS_RULES_H
#define CLAWGATE_PROVIDERS_RULES_H

#include "web/resource.h"

enum { PROVIDER_SETTINGS_MAX = 65536 };

/* before_write: the address fits the type, settings are sound, default_model goes into them. */
bool provider_check(struct edit *e);

#endif

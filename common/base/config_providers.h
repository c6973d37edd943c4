/* Providers that the machine's owner sets in the config file or in the environment (contract 01 §10, 04 §1.3): every
 * tenant has them, nobody changes them over the API, a stored provider of the same name takes their place. */
#ifndef CLAWGATE_BASE_CONFIG_PROVIDERS_H
#define CLAWGATE_BASE_CONFIG_PROVIDERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/config.h"
#include "base/id.h"

struct config_provider {
    const char *name, *type;
    const char *api_base; /* "" = the type's own address */
    const char *api_key;  /* in clear; "" = none */
    bool usable;          /* it has a key, or needs none; otherwise it only lends its address */
    char id[UUID_SIZE];   /* version 5, of the name */
};

/* Fills c->providers from `providers` in the file (NULL = absent) and from the environment, every known name that has
 * a key or an address. What is unknown is warned about. false with the reason in why. */
bool config_providers_load(struct config *c, struct arena *a, json_object *file, char *why, size_t size);

/* Usable ones; NULL when there is none. */
const struct config_provider *config_provider_find(const struct config *c, const char *name);
const struct config_provider *config_provider_by_id(const struct config *c, const char *id);
/* The address the owner set for providers of a type that name none; NULL = none. */
const char *config_provider_base(const struct config *c, const char *type);

#endif

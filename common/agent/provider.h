/* From a stored provider to one that can be called (contract 04 §1.2, §1.4). */
#ifndef CLAWGATE_AGENT_PROVIDER_H
#define CLAWGATE_AGENT_PROVIDER_H

#include "base/config_providers.h"
#include "llm/llm.h"
#include "store/agents.h"

enum provider_state {
    PROVIDER_USABLE,
    PROVIDER_DISABLED,
    PROVIDER_STORED_ONLY, /* no version of ours calls its type */
    PROVIDER_NO_KEY,      /* its type needs one */
    PROVIDER_KEY_LOST,    /* the stored key cannot be decrypted */
    PROVIDER_STATES
};

/* The name of an agent's provider, and its model with that provider: the agent's own, else the provider's, else that of
 * the settings (contract 03 §5.1). The model may be "". */
const char *provider_name_of(const struct config *config, const struct agent *agent);
const char *provider_model_of(const struct config *config, const struct agent *agent, const struct llm_provider *p);

/* By name or by id: the tenant's stored one, else the one of the config file. DB_ROW found, DB_OK not. */
enum db_rc provider_lookup(struct db *db, struct arena *a, const struct config *config, const char *tenant_id,
                           const char *name, struct provider *out);
enum db_rc provider_lookup_id(struct db *db, struct arena *a, const struct config *config, const char *tenant_id,
                              const char *id, struct provider *out);
/* A provider of the config file as if it were stored. */
struct provider provider_of_config(const struct config_provider *p);

/* Fills *out in every state, as far as it is known (api_key "" unless there is one in clear); strings live in the
 * arena or with the row. */
enum provider_state provider_resolve(struct arena *a, const struct config *config, const char *tenant_id,
                                     const struct provider *row, struct llm_provider *out);

#endif

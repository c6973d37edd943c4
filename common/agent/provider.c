#include "agent/provider.h"

#include "base/id.h"
#include "base/json.h"

static bool private_allowed(const struct config *config, const char *tenant_id)
{
    if (config->allow_private_provider_urls != TRI_UNSET)
        return config->allow_private_provider_urls == TRI_YES;
    return strcmp(tenant_id, MASTER_TENANT_ID) == 0;
}

static const char *default_model(struct arena *a, const struct provider *row, const struct llm_type *type)
{
    const char *model = json_str(json_parse(a, row->settings, strlen(row->settings), 0, NULL), "default_model");
    if (model && *model)
        return model;
    return type && type->default_model ? type->default_model : "";
}

enum provider_state provider_resolve(struct arena *a, const struct config *config, const char *tenant_id,
                                     const struct provider *row, struct llm_provider *out)
{
    const struct llm_type *type = llm_type_find(row->provider_type);
    const char *key = crypto_decrypt(a, &config->keys, row->api_key);
    *out = (struct llm_provider){
        .name = row->name,
        .type = row->provider_type,
        .base_url = *row->api_base ? row->api_base : type && type->base_url ? type->base_url : "",
        .api_key = key ? key : "",
        .default_model = default_model(a, row, type),
        .private_allowed = private_allowed(config, tenant_id),
    };
    if (!type || type->wire == LLM_WIRE_STORED_ONLY)
        return PROVIDER_STORED_ONLY;
    if (!row->enabled)
        return PROVIDER_DISABLED;
    if (type->needs_key && !*row->api_key)
        return PROVIDER_NO_KEY;
    return key ? PROVIDER_USABLE : PROVIDER_KEY_LOST;
}

#include "agent/provider.h"

#include "base/id.h"
#include "base/json.h"

static bool says(const char *text)
{
    return text && *text;
}

const char *provider_name_of(const struct config *config, const struct agent *agent)
{
    return says(agent->provider) ? agent->provider : config->default_provider;
}

const char *provider_model_of(const struct config *config, const struct agent *agent, const struct llm_provider *p)
{
    return says(agent->model) ? agent->model : says(p->default_model) ? p->default_model : config->default_model;
}

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

struct provider provider_of_config(const struct config_provider *p)
{
    return (struct provider){
        .id = p->id,
        .name = p->name,
        .provider_type = p->type,
        .api_base = p->api_base,
        .api_key = p->api_key,
        .settings = "{}",
        .enabled = true,
        .host_managed = true,
    };
}

enum db_rc provider_lookup(struct db *db, struct arena *a, const struct config *config, const char *tenant_id,
                           const char *name, struct provider *out)
{
    enum db_rc rc = provider_find(db, a, tenant_id, name, out);
    const struct config_provider *p = rc == DB_OK ? config_provider_find(config, name) : NULL;
    if (!p)
        return rc;
    *out = provider_of_config(p);
    return DB_ROW;
}

enum db_rc provider_lookup_id(struct db *db, struct arena *a, const struct config *config, const char *tenant_id,
                              const char *id, struct provider *out)
{
    const struct config_provider *p = config_provider_by_id(config, id);
    if (!p)
        return provider_by_id(db, a, tenant_id, id, out);
    enum db_rc rc = provider_lookup(db, a, config, tenant_id, p->name, out);
    return rc == DB_ROW && !out->host_managed ? DB_OK : rc;
}

static const char *base_url(const struct config *config, const struct provider *row, const struct llm_type *type)
{
    const char *base = *row->api_base ? row->api_base : config_provider_base(config, row->provider_type);
    return base ? base : type && type->base_url ? type->base_url : "";
}

enum provider_state provider_resolve(struct arena *a, const struct config *config, const char *tenant_id,
                                     const struct provider *row, struct llm_provider *out)
{
    const struct llm_type *type = llm_type_find(row->provider_type);
    const char *key = row->host_managed ? row->api_key : crypto_decrypt(a, &config->keys, row->api_key);
    *out = (struct llm_provider){
        .name = row->name,
        .type = row->provider_type,
        .base_url = base_url(config, row, type),
        .api_key = key ? key : "",
        .default_model = default_model(a, row, type),
        .private_allowed = row->host_managed || private_allowed(config, tenant_id),
    };
    if (!type || type->wire == LLM_WIRE_STORED_ONLY)
        return PROVIDER_STORED_ONLY;
    if (!row->enabled)
        return PROVIDER_DISABLED;
    if (type->needs_key && !*row->api_key)
        return PROVIDER_NO_KEY;
    return key ? PROVIDER_USABLE : PROVIDER_KEY_LOST;
}

#include "agent/cost.h"

/* Price per million tokens of one kind; 0 when the table does not name it. */
static double part(json_object *price, const char *key, int64_t tokens)
{
    return json_num(price, key, 0) * (double)tokens / 1e6;
}

double cost_of(struct arena *a, const struct config *config, const char *provider, const char *model,
               const struct llm_usage *u)
{
    json_object *table = config->model_pricing;
    if (!table)
        return -1;
    json_object *price = json_get(table, arena_printf(a, "%s/%s", provider, model));
    if (!price)
        price = json_get(table, model);
    if (!price)
        return -1;
    return part(price, "input_per_million", u->prompt_tokens) +
           part(price, "output_per_million", u->completion_tokens) +
           part(price, "cache_read_per_million", u->cached_tokens) +
           part(price, "cache_create_per_million", u->cache_creation_tokens);
}

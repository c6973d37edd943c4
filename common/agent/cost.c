#include "agent/cost.h"

/* What tokens of one kind cost at a price per million, when the table does not name it at that of `otherwise`. */
static double part(json_object *price, const char *key, const char *otherwise, int64_t tokens)
{
    return json_num(price, key, json_num(price, otherwise, 0)) * (double)tokens / 1e6;
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
    /* prompt_tokens holds the other two kinds; nothing is paid for twice. */
    static const char input[] = "input_per_million", output[] = "output_per_million";
    int64_t fresh = u->prompt_tokens - u->cached_tokens - u->cache_creation_tokens;
    return part(price, input, input, fresh > 0 ? fresh : 0) + part(price, output, output, u->completion_tokens) +
           part(price, "cache_read_per_million", input, u->cached_tokens) +
           part(price, "cache_create_per_million", input, u->cache_creation_tokens);
}

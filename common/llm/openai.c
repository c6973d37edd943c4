#include "llm/openai.h"

const char *openai_key_header(struct arena *a, const struct llm_provider *p, const char *host)
{
    const char *key = p->api_key ? p->api_key : "";
    if (!*key && strcmp(p->type, "ollama") == 0)
        key = "ollama";
    if (!*key)
        return NULL;
    return arena_printf(a, strstr(host, "azure.com") ? "api-key: %s" : "Authorization: Bearer %s", key);
}

void openai_try(const struct wire_call *call, struct wire_result *result)
{
    struct upstream_base base;
    struct openai_target target;
    if (!upstream_base(call->arena, call->provider, &base)) {
        exchange_refuse(result, "the base URL is not usable");
        return;
    }
    openai_target(call->arena, call->provider, &base, call->request, &target);
    struct buf body = BUF_INIT(EXCHANGE_REQUEST_MAX);
    openai_request(&body, &target, call);
    const char *headers[] = {openai_key_header(call->arena, call->provider, base.host), NULL};
    exchange_run(call,
                 &(struct exchange){.url = target.url,
                                    .headers = headers,
                                    .body = &body,
                                    .streams = target.streams,
                                    .dialect = &openai_dialect},
                 result);
    buf_release(&body);
}

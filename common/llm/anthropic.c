#include "llm/anthropic.h"

/* Such a key is a bearer token; the API takes it together with this beta. */
static const char setup_token[] = "sk-ant-oat01-";
static const char setup_beta[] = "oauth-2025-04-20";
static const char thinking_beta[] = "interleaved-thinking-2025-05-14";

void anthropic_headers(struct arena *a, const struct llm_provider *p, bool thinks,
                       const char *headers[ANTHROPIC_HEADERS + 1])
{
    const char *key = p->api_key ? p->api_key : "";
    bool bearer = strcmp(p->type, "anthropic_oauth") == 0 || strncmp(key, setup_token, strlen(setup_token)) == 0;
    size_t n = 0;
    headers[n++] = "anthropic-version: 2023-06-01";
    if (*key)
        headers[n++] = arena_printf(a, bearer ? "Authorization: Bearer %s" : "x-api-key: %s", key);
    if (bearer || thinks)
        headers[n++] = arena_printf(a, "anthropic-beta: %s%s%s", bearer ? setup_beta : "", bearer && thinks ? "," : "",
                                    thinks ? thinking_beta : "");
    headers[n] = NULL;
}

void anthropic_try(const struct wire_call *call, struct wire_result *result)
{
    struct upstream_base base;
    struct anthropic_plan plan;
    const char *headers[ANTHROPIC_HEADERS + 1];
    if (!upstream_base(call->arena, call->provider, &base)) {
        exchange_refuse(result, "the base URL is not usable");
        return;
    }
    anthropic_plan(call, &plan);
    anthropic_headers(call->arena, call->provider, plan.budget > 0, headers);
    struct buf body = BUF_INIT(EXCHANGE_REQUEST_MAX);
    anthropic_request(&body, &plan, call);
    exchange_run(call,
                 &(struct exchange){.url = arena_printf(call->arena, "%s/messages%s", base.root, base.query),
                                    .headers = headers,
                                    .body = &body,
                                    .streams = call->request->stream,
                                    .dialect = &anthropic_dialect},
                 result);
    buf_release(&body);
}

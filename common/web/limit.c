#include "web/limit.h"

#include "base/log.h"
#include "base/metrics.h"
#include "base/utf8.h"
#include "web/ratelimit.h"

static bool refuse(struct request *req, const char *counted, struct fault *f)
{
    metrics_add(METRIC_RATE_LIMITED, 1);
    log_event(LOG_WARN, 3603, "security.rate_limited", LOG_S, "request_id", req->id, LOG_S, "counted", counted, LOG_S,
              "tenant", req->who.tenant_id, LOG_S, "user", req->who.user, LOG_S, "ip", req->client_ip, LOG_S, "path",
              req->path_text, LOG_END);
    return fault_set(f, FAULT_RATE, MSG_rate_limit, NULL, NULL, NULL);
}

static bool take_address(struct request *req)
{
    return ratelimit_take(req->gw->limiter, arena_printf(req->arena, "ip:%s", req->client_ip));
}

/* What the scope counts (contract 01 §4.2). Calling a tool costs as much as a run. */
static bool is_counted(const struct request *req)
{
    const char *pattern = req->route->pattern;
    if (strcmp(req->gw->config->rate_limit_scope, "runs") == 0)
        return (req->route->flags & ROUTE_RUN) != 0 || strcmp(pattern, "/v1/tools/invoke") == 0;
    return strncmp(pattern, "/v1/", 4) == 0;
}

bool limit_request(struct request *req, struct fault *f)
{
    if (!req->gw->limiter || !is_counted(req))
        return true;
    const struct principal *who = &req->who;
    /* A header that is refused two steps later names nobody. */
    bool known = who->user && utf8_user_id_valid(who->user, strlen(who->user));
    bool taken = known ? ratelimit_take(req->gw->limiter,
                                        arena_printf(req->arena, "u:%s:%s", who->tenant_id, who->user))
                       : take_address(req);
    return taken || refuse(req, known ? "user" : "ip", f);
}

void limit_failed_auth(struct request *req, struct fault *f)
{
    if (f->kind != FAULT_UNAUTHENTICATED)
        return;
    metrics_add(METRIC_AUTH_FAILED, 1);
    if (!take_address(req))
        refuse(req, "ip", f);
}

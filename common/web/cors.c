/* Cross-origin requests (contract 01 §2.8). */
#include "base/log.h"
#include "web/reply.h"

static bool origin_allowed(const struct config *c, const char *origin)
{
    for (const char *const *o = c->allowed_origins; o != NULL && *o != NULL; o++)
        if (strcmp(*o, "*") == 0 || strcmp(*o, origin) == 0)
            return true;
    return false;
}

bool cors_foreign(const struct request *req)
{
    const char *origin = req_header(req, "Origin"), *host = req_header(req, "Host");
    if (origin == NULL)
        return false;
    const char *scheme_end = strstr(origin, "://");
    bool own = host != NULL && scheme_end != NULL && strcasecmp(scheme_end + 3, host) == 0;
    return !own && !origin_allowed(req->gw->config, origin);
}

static bool is_token(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        bool fits = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
        if (!fits)
            return false;
    }
    return n > 0;
}

/* The OpenAI SDKs send X-Stainless-… headers of changing names: each that is asked for is allowed. */
static void stainless_headers(struct request *req, struct buf *head)
{
    static const char prefix[] = "x-stainless-";
    const char *p = req_header(req, "Access-Control-Request-Headers");
    while (p != NULL && *p != '\0') {
        p += strspn(p, " \t,");
        size_t n = strcspn(p, " \t,");
        if (n >= sizeof prefix && strncasecmp(p, prefix, sizeof prefix - 1) == 0 && is_token(p, n)) {
            buf_adds(head, ", ");
            buf_add(head, p, n);
        }
        p += n;
    }
}

static bool is_clean(const char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f)
            return false;
    return true;
}

void cors_headers(struct request *req, struct buf *head, bool preflight)
{
    const struct config *c = req->gw->config;
    const char *origin = req_header(req, "Origin");
    if (origin == NULL || c->allowed_origins == NULL || c->allowed_origins[0] == NULL)
        return;
    if (!is_clean(origin) || !origin_allowed(c, origin)) {
        if (preflight)
            log_event(LOG_WARN, 3031, "security.cors_rejected", LOG_S, "request_id", req->id, LOG_S, "origin", origin,
                      LOG_END);
        return;
    }
    buf_addf(head, "Access-Control-Allow-Origin: %s\r\nVary: Origin\r\n", origin);
    if (!preflight) {
        buf_adds(head, "Access-Control-Expose-Headers: Retry-After, X-Request-Id, ETag, Location, X-GoClaw-Run-Id, "
                       "X-GoClaw-Session-Key, X-GoClaw-Agent-Id\r\n");
        return;
    }
    buf_adds(head, "Access-Control-Allow-Methods: GET, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
                   "Access-Control-Allow-Headers: Authorization, Content-Type, Accept-Language, X-GoClaw-User-Id, "
                   "X-GoClaw-Agent-Id, X-GoClaw-Tenant-Id, X-GoClaw-Session-Key, X-GoClaw-Keep-Running, "
                   "X-GoClaw-Responses-Format, Idempotency-Key, If-Match, X-Request-Id");
    stainless_headers(req, head);
    buf_adds(head, "\r\nAccess-Control-Max-Age: 600\r\n");
}

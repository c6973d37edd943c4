/* Parameters to request. */
#include "web/intake.h"

#include "base/clock.h"
#include "web/client_ip.h"
#include "base/percent.h"
#include "web/transport.h"

enum { OUT_MAX = 64 << 20, HEADERS_MAX = 32 * 1024, TARGET_MAX = 1 << 20 };

static const char *param_or(const struct request *req, const char *name, const char *fallback)
{
    const char *value = params_get(&req->env, name);
    return value != NULL ? value : fallback;
}

/* REQUEST_URI as the client sent it. Servers without it have decoded the path already: it is encoded again. */
static const char *raw_target(const struct request *req)
{
    const char *uri = params_get(&req->env, "REQUEST_URI");
    if (uri != NULL && uri[0] != '\0')
        return target_path(uri);
    struct buf *b = buf_new(req->arena, TARGET_MAX);
    percent_encode_path(b, param_or(req, "SCRIPT_NAME", ""));
    percent_encode_path(b, param_or(req, "PATH_INFO", ""));
    const char *query = param_or(req, "QUERY_STRING", "");
    if (query[0] != '\0')
        buf_addf(b, "?%s", query);
    return b->failed ? "" : buf_str(b);
}

static void request_id_take(struct request *req)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-";
    const char *sent = req_header(req, "X-Request-Id");
    size_t n = sent != NULL ? strlen(sent) : 0;
    if (n > 0 && n < sizeof req->id && strspn(sent, allowed) == n)
        memcpy(req->id, sent, n + 1);
    else
        uuid_new(req->id);
}

struct request *request_new(const struct gateway *gw, struct transport *t, struct arena *arena)
{
    struct request *req = ARENA_NEW(arena, struct request);
    req->arena = arena;
    req->gw = gw;
    req->io = t;
    params_index(&req->env, arena, transport_env(t));
    req->started_ms = clock_mono_ms();
    req->out = buf_new(arena, OUT_MAX);
    req->headers = buf_new(arena, HEADERS_MAX);
    jw_init(&req->w, req->out);
    req->raw_body = "";
    req->method = method_parse(param_or(req, "REQUEST_METHOD", ""));
    if (req->method == METHOD_HEAD) {
        req->method = METHOD_GET;
        req->head_only = true;
    }
    req->target = raw_target(req);
    req->path_text = arena_strndup(arena, req->target, strcspn(req->target, "?"));
    request_id_take(req);
    req->locale = locale_from_header(req_header(req, "Accept-Language"));
    req->client_ip = client_ip_find(arena, params_get(&req->env, "REMOTE_ADDR"), req_header(req, "X-Forwarded-For"),
                                    gw->config->trusted_proxies);
    return req;
}

/* Parameters to request. */
#include "web/intake.h"

#include <ctype.h>

#include "base/clock.h"
#include "web/client_ip.h"
#include "web/percent.h"
#include "web/transport.h"

enum { OUT_MAX = 64 << 20, HEADERS_MAX = 32 * 1024, TARGET_MAX = 1 << 20 };

static const char *param_or(const struct transport *t, const char *name, const char *fallback)
{
    const char *value = transport_param(t, name);
    return value != NULL ? value : fallback;
}

/* REQUEST_URI as the client sent it. Servers without it have decoded the path already: it is encoded again. */
static const char *raw_target(const struct transport *t, struct arena *a)
{
    const char *uri = transport_param(t, "REQUEST_URI");
    if (uri != NULL && uri[0] != '\0')
        return target_path(uri);
    struct buf *b = buf_new(a, TARGET_MAX);
    percent_encode_path(b, param_or(t, "SCRIPT_NAME", ""));
    percent_encode_path(b, param_or(t, "PATH_INFO", ""));
    const char *query = param_or(t, "QUERY_STRING", "");
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
    req->started_ms = clock_mono_ms();
    req->out = buf_new(arena, OUT_MAX);
    req->headers = buf_new(arena, HEADERS_MAX);
    jw_init(&req->w, req->out);
    req->raw_body = "";
    req->method = method_parse(param_or(t, "REQUEST_METHOD", ""));
    if (req->method == METHOD_HEAD) {
        req->method = METHOD_GET;
        req->head_only = true;
    }
    req->target = raw_target(t, arena);
    req->path_text = arena_strndup(arena, req->target, strcspn(req->target, "?"));
    request_id_take(req);
    req->locale = locale_from_header(req_header(req, "Accept-Language"));
    req->client_ip = client_ip_find(arena, transport_param(t, "REMOTE_ADDR"), req_header(req, "X-Forwarded-For"),
                                    gw->config->trusted_proxies);
    return req;
}

/* ---- collisions ---- */

static int name_compare(const void *pa, const void *pb)
{
    const char *a = *(const char *const *)pa;
    const char *b = *(const char *const *)pb;
    while (*a == *b && *a != '=' && *a != '\0') {
        a++;
        b++;
    }
    int x = *a == '=' ? 0 : (unsigned char)*a;
    int y = *b == '=' ? 0 : (unsigned char)*b;
    return x - y;
}

/* HTTP_X_GOCLAW_USER_ID -> X-GoClaw-User-Id. */
static const char *http_name(struct arena *a, const char *param)
{
    bool header = strncmp(param, "HTTP_", 5) == 0;
    if (!header && strncmp(param, "CONTENT_", 8) != 0)
        return arena_strndup(a, param, strcspn(param, "="));
    const char *from = header ? param + 5 : param;
    char *name = arena_strndup(a, from, strcspn(from, "="));
    bool start = true;
    for (char *c = name; *c != '\0'; c++) {
        *c = *c == '_' ? '-' : (char)(start ? toupper((unsigned char)*c) : tolower((unsigned char)*c));
        start = *c == '-';
    }
    if (strncmp(name, "X-Goclaw-", 9) == 0)
        name[4] = 'C';
    return name;
}

const char *env_collision(struct arena *a, char *const *env)
{
    size_t n = 0;
    while (env[n] != NULL)
        n++;
    const char **names = arena_memdup(a, env, n * sizeof *names);
    qsort(names, n, sizeof *names, name_compare);
    for (size_t i = 1; i < n; i++)
        if (name_compare(&names[i - 1], &names[i]) == 0)
            return http_name(a, names[i]);
    return NULL;
}

#include "llm/exchange.h"

#include "llm/http.h"
#include "llm/ssrf.h"

enum {
    HEADERS_MAX = 8,
    DONE_GRACE_MS = 500,     /* behind the last event only the end of the body is missing */
    FINISH_GRACE_MS = 10000, /* after a finish reason: usage and the last event */
};

bool upstream_base(struct arena *a, const struct llm_provider *p, struct upstream_base *b)
{
    const struct llm_type *type = llm_type_find(p->type);
    const char *url = p->base_url && *p->base_url ? p->base_url : type ? type->base_url : NULL;
    if (!url || !outbound_url_host(url, b->host, sizeof(b->host)))
        return false;
    size_t len = strcspn(url, "?");
    b->query = url + len;
    while (len > 0 && url[len - 1] == '/')
        len--;
    b->root = arena_strndup(a, url, len);
    /* Anthropic's host alone is how its address is often written down. */
    if (type && type->wire == LLM_WIRE_ANTHROPIC && !strchr(strstr(b->root, "://") + 3, '/'))
        b->root = arena_printf(a, "%s/v1", b->root);
    return true;
}

bool upstream_private_allowed(const struct llm_provider *p, const char *url)
{
    return p->private_allowed || (strcmp(p->type, "ollama") == 0 && outbound_url_is_loopback(url));
}

struct attempt {
    const struct wire_call *call;
    struct wire_result *result;
    const struct dialect *dialect;
    struct reader reader;
    bool reading;
};

static void reading_start(struct attempt *at, const struct http_call *h)
{
    if (at->reading)
        return;
    at->reading = true;
    reader_init(&at->reader, at->dialect, at->call->arena, at->call->reply, at->result, h->status, h->content_type);
}

static bool on_body(struct http_call *h, const char *bytes, size_t n)
{
    struct attempt *at = h->ctx;
    reading_start(at, h);
    if (h->encoded)
        return false;
    unsigned before = at->reader.events;
    bool go_on = reader_feed(&at->reader, bytes, n);
    h->progressed = at->reader.events > before;
    if (at->reader.done)
        h->grace_ms = DONE_GRACE_MS;
    else if (at->reader.form == READER_EVENTS && at->call->reply->finished)
        h->grace_ms = FINISH_GRACE_MS;
    return go_on;
}

static void on_read_end(struct http_call *h)
{
    struct attempt *at = h->ctx;
    reader_flush(&at->reader);
}

static void on_tick(struct http_call *h)
{
    struct attempt *at = h->ctx;
    const struct llm_sink *sink = at->call->sink;
    if (sink && sink->tick)
        sink->tick(sink->ctx);
}

static void judge(struct attempt *at, const struct http_call *h)
{
    struct wire_result *result = at->result;
    reading_start(at, h);
    switch (h->end) {
    case HTTP_CANCELLED:
        result->cancelled = true;
        break;
    case HTTP_BLOCKED:
        result->blocked = true;
        result->reason = arena_strdup(at->call->arena, h->error);
        break;
    case HTTP_DONE:
    case HTTP_STOPPED:
        if (h->encoded) {
            result->status = 502;
            result->reason = "the answer is compressed although that was not asked for";
            break;
        }
        reader_finish(&at->reader, NULL);
        break;
    case HTTP_TIMEOUT:
    case HTTP_NETWORK:
        reader_finish(&at->reader, h->error);
        break;
    }
    result->retry_after_ms = h->retry_after_ms;
    reader_release(&at->reader);
}

void exchange_refuse(struct wire_result *result, const char *why)
{
    *result = (struct wire_result){.retry_after_ms = -1, .blocked = true, .reason = why, .raw = ""};
}

void exchange_run(const struct wire_call *call, const struct exchange *x, struct wire_result *result)
{
    const char *headers[HEADERS_MAX + 1] = {
        "Content-Type: application/json", x->streams ? "Accept: text/event-stream" : "Accept: application/json"};
    if (x->body->failed) {
        exchange_refuse(result, "the request is larger than 64 MiB");
        return;
    }
    for (size_t i = 0; x->headers[i] && i + 2 < HEADERS_MAX; i++)
        headers[i + 2] = x->headers[i];
    struct attempt at = {.call = call, .result = result, .dialect = x->dialect};
    struct http_call h = {
        .url = x->url,
        .headers = headers,
        .body = buf_str(x->body),
        .body_len = x->body->len,
        .private_allowed = upstream_private_allowed(call->provider, x->url),
        .stream = x->streams,
        .cancel = call->cancel,
        .on_body = on_body,
        .on_read_end = on_read_end,
        .on_tick = on_tick,
        .ctx = &at,
    };
    http_perform(&h);
    judge(&at, &h);
}

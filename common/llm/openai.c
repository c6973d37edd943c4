#include "llm/openai.h"

#include "llm/http.h"
#include "llm/ssrf.h"

enum {
    REQUEST_MAX = 64 << 20,
    DONE_GRACE_MS = 500,     /* after [DONE] only the end of the body is missing */
    FINISH_GRACE_MS = 10000, /* after a finish reason: usage and [DONE] */
};

struct attempt {
    const struct wire_call *call;
    struct wire_result *result;
    struct openai_reader reader;
    bool reading;
};

static void reading_start(struct attempt *at, const struct http_call *h)
{
    if (at->reading)
        return;
    at->reading = true;
    openai_reader_init(&at->reader, at->call->arena, at->call->reply, at->result, h->status, h->content_type);
}

static bool on_body(struct http_call *h, const char *bytes, size_t n)
{
    struct attempt *at = h->ctx;
    reading_start(at, h);
    if (h->encoded)
        return false;
    unsigned before = at->reader.events;
    bool go_on = openai_reader_feed(&at->reader, bytes, n);
    h->progressed = at->reader.events > before;
    if (at->reader.done)
        h->grace_ms = DONE_GRACE_MS;
    else if (at->reader.form == OPENAI_EVENTS && at->call->reply->finished)
        h->grace_ms = FINISH_GRACE_MS;
    return go_on;
}

static void on_read_end(struct http_call *h)
{
    struct attempt *at = h->ctx;
    openai_reader_flush(&at->reader);
}

static void on_tick(struct http_call *h)
{
    struct attempt *at = h->ctx;
    const struct llm_sink *sink = at->call->sink;
    if (sink && sink->tick)
        sink->tick(sink->ctx);
}

const char *openai_key_header(struct arena *a, const struct llm_provider *p, bool azure)
{
    const char *key = p->api_key ? p->api_key : "";
    if (!*key && strcmp(p->type, "ollama") == 0)
        key = "ollama";
    if (!*key)
        return NULL;
    return arena_printf(a, azure ? "api-key: %s" : "Authorization: Bearer %s", key);
}

bool openai_private_allowed(const struct llm_provider *p, const char *url)
{
    return p->private_allowed || (strcmp(p->type, "ollama") == 0 && outbound_url_is_loopback(url));
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
        openai_reader_finish(&at->reader, NULL);
        break;
    case HTTP_TIMEOUT:
    case HTTP_NETWORK:
        openai_reader_finish(&at->reader, h->error);
        break;
    }
    result->retry_after_ms = h->retry_after_ms;
    openai_reader_release(&at->reader);
}

static void refuse(struct wire_result *result, const char *why)
{
    result->blocked = true;
    result->reason = why;
}

void openai_try(const struct wire_call *call, struct wire_result *result)
{
    struct openai_target target;
    *result = (struct wire_result){.retry_after_ms = -1, .reason = "", .raw = ""};
    if (!openai_target(call->arena, call->provider, call->request, &target)) {
        refuse(result, "the base URL is not usable");
        return;
    }
    struct buf body = BUF_INIT(REQUEST_MAX);
    if (!openai_request(&body, &target, call)) {
        refuse(result, "the request is larger than 64 MiB");
        buf_release(&body);
        return;
    }
    const char *headers[] = {"Content-Type: application/json",
                             target.streams ? "Accept: text/event-stream" : "Accept: application/json",
                             openai_key_header(call->arena, call->provider, target.azure), NULL};
    struct attempt at = {.call = call, .result = result};
    struct http_call h = {
        .url = target.url,
        .headers = headers,
        .body = buf_str(&body),
        .body_len = body.len,
        .private_allowed = openai_private_allowed(call->provider, target.url),
        .stream = target.streams,
        .cancel = call->cancel,
        .on_body = on_body,
        .on_read_end = on_read_end,
        .on_tick = on_tick,
        .ctx = &at,
    };
    http_perform(&h);
    buf_release(&body);
    judge(&at, &h);
}

#include "llm/reader.h"

enum {
    BODY_MAX = 16 << 20,
    EVENT_MAX = 4 << 20,
    ERROR_BODY_MAX = 64 << 10,
    RAW_MAX = 4096,
};

void reader_init(struct reader *rd, const struct dialect *dialect, struct arena *a, struct reply *reply,
                 struct wire_result *result, int status, const char *content_type)
{
    *rd = (struct reader){.dialect = dialect, .arena = a, .reply = reply, .result = result, .status = status};
    rd->content_type = content_type;
    rd->accepted = status >= 200 && status < 300;
    buf_init(&rd->body, rd->accepted ? BODY_MAX : ERROR_BODY_MAX);
    sse_init(&rd->sse, EVENT_MAX);
    *result = (struct wire_result){.status = status, .retry_after_ms = -1, .reason = "", .raw = ""};
}

void reader_release(struct reader *rd)
{
    upstream_json_release(&rd->json);
    buf_release(&rd->body);
    sse_release(&rd->sse);
}

bool reader_fail(struct reader *rd, int status, bool transient, const char *reason)
{
    rd->failed = true;
    rd->result->status = status;
    rd->result->transient = transient;
    rd->result->reason = arena_strdup(rd->arena, reason);
    return false;
}

bool reader_fail_in_band(struct reader *rd, const struct json_node *o)
{
    const char *text = upstream_error_text(o);
    int status = upstream_error_status(o);
    if (status == 400)
        rd->result->max_tokens = wire_max_tokens_hint(text ? text : "");
    return reader_fail(rd, status, wire_status_transient(status), text ? text : "the upstream reported an error");
}

bool reader_fail_size(struct reader *rd)
{
    return reader_fail(rd, 502, false, "the answer is larger than 8 MiB or in too many pieces");
}

bool reader_text(struct reader *rd, const struct json_node *string, reply_fn *to)
{
    if (!json_node_is(string, JSON_STRING))
        return true;
    size_t n;
    const char *s = upstream_json_text(&rd->json, string, &n);
    return n == 0 || to(rd->reply, s, n);
}

int64_t reader_count(const struct json_node *o, const char *key)
{
    int64_t v = json_node_int(o, key, 0);
    return v > 0 && v <= INT32_MAX ? v : 0;
}

static void keep_raw(struct reader *rd, const char *text, size_t n)
{
    rd->result->raw = arena_strndup(rd->arena, text, n < RAW_MAX ? n : RAW_MAX);
}

/* event: as in struct dialect. */
static bool take_text(struct reader *rd, const char *text, size_t len, const char *event)
{
    upstream_json_read(&rd->json, text, len);
    const struct json_node *root = rd->json.root;
    if (!json_node_is(root, JSON_OBJECT))
        return event || reader_fail(rd, 502, true, "the answer is not valid JSON");
    bool ok = rd->dialect->take(rd, root, event);
    if (!ok)
        keep_raw(rd, text, len);
    return ok;
}

static bool on_event(void *ctx, const struct sse_event *e)
{
    struct reader *rd = ctx;
    rd->events++;
    if (rd->done || e->len == 0)
        return true;
    if (rd->dialect->end && strcmp(e->data, rd->dialect->end) == 0) {
        rd->done = true;
        return true;
    }
    return take_text(rd, e->data, e->len, e->name);
}

/* The first byte that is neither blank nor part of a BOM tells the forms apart, whatever the headers claim. */
static enum reader_form form_of(const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strchr(" \t\r\n\xEF\xBB\xBF", bytes[i]) && bytes[i])
            continue;
        if (bytes[i] == '{')
            return READER_JSON;
        return bytes[i] && strchr("deir:", bytes[i]) ? READER_EVENTS : READER_ALIEN;
    }
    return READER_UNDECIDED;
}

static bool feed_events(struct reader *rd, const char *bytes, size_t n)
{
    if (sse_feed(&rd->sse, bytes, n, on_event, rd))
        return true;
    return rd->failed ? false : reader_fail(rd, 502, false, "one event of the stream is larger than 4 MiB");
}

bool reader_feed(struct reader *rd, const char *bytes, size_t n)
{
    if (rd->failed)
        return false;
    if (rd->form == READER_UNDECIDED && rd->accepted)
        rd->form = form_of(bytes, n);
    bool ok = true;
    if (rd->form == READER_EVENTS) {
        ok = feed_events(rd, bytes, n);
    } else if (!rd->accepted || rd->form == READER_ALIEN) {
        size_t room = ERROR_BODY_MAX - rd->body.len;
        buf_add(&rd->body, bytes, n < room ? n : room);
        ok = n < room;
    } else if (rd->form == READER_JSON) {
        ok = buf_add(&rd->body, bytes, n) || reader_fail(rd, 502, false, "the answer is larger than 16 MiB");
    }
    return ok;
}

void reader_flush(struct reader *rd)
{
    reply_flush(rd->reply);
}

/* The body of an answer that is not 2xx. Some send it framed as an event, some as an array, some as a page. */
static void finish_error(struct reader *rd)
{
    const char *text = buf_str(&rd->body), *brace = strpbrk(text, "{[");
    struct upstream_json *j = &rd->json;
    keep_raw(rd, text, rd->body.len);
    j->root = NULL;
    if (brace && text[strspn(text, " \t\r\n")] != '<') {
        upstream_json_read(j, brace, rd->body.len - (size_t)(brace - text));
        if (!j->root)
            upstream_json_read(j, brace, strcspn(brace, "\r\n"));
    }
    const char *message = upstream_error_text(j->root);
    const char *said = message ? message : brace || strchr(text, '<') ? "" : text;
    bool redirect = rd->status >= 300 && rd->status < 400;
    reader_fail(rd, rd->status, wire_status_transient(rd->status),
                arena_printf(rd->arena, "HTTP %d%s%s", rd->status,
                             *said ? ": " : redirect ? ": redirects are not followed" : "", said));
    rd->result->max_tokens = rd->status == 400 || rd->status == 422 ? wire_max_tokens_hint(text) : 0;
}

static void finish_alien(struct reader *rd)
{
    keep_raw(rd, buf_str(&rd->body), rd->body.len);
    reader_fail(rd, rd->status, false,
                arena_printf(rd->arena, "the answer is %s instead of JSON; is the base URL right?",
                             rd->content_type && *rd->content_type ? rd->content_type : "something else"));
    rd->result->blocked = true;
}

static void finish_events(struct reader *rd, const char *network_error)
{
    if (!sse_finish(&rd->sse, on_event, rd)) {
        if (!rd->failed)
            reader_fail(rd, 502, false, "one event of the stream is larger than 4 MiB");
        return;
    }
    rd->result->ok = rd->done || rd->reply->finished;
    if (rd->result->ok)
        return;
    const char *why = !network_error    ? "stream truncated"
                      : rd->events == 0 ? network_error
                                        : arena_printf(rd->arena, "stream truncated: %s", network_error);
    reader_fail(rd, 0, true, why);
}

/* Blanks and a BOM may stand before the object. */
static void finish_json(struct reader *rd)
{
    size_t skip = strcspn(buf_str(&rd->body), "{");
    rd->result->ok = take_text(rd, rd->body.data + skip, rd->body.len - skip, NULL);
}

void reader_finish(struct reader *rd, const char *network_error)
{
    if (rd->failed)
        return;
    if (rd->form == READER_EVENTS)
        finish_events(rd, network_error);
    else if (!rd->accepted && rd->status > 0)
        finish_error(rd);
    else if (network_error)
        reader_fail(rd, 0, true, network_error);
    else if (rd->form == READER_ALIEN)
        finish_alien(rd);
    else if (rd->body.len == 0)
        reader_fail(rd, 0, true, "the answer is empty");
    else
        finish_json(rd);
    reply_flush(rd->reply);
}

#include "llm/sse.h"

/* "data: " before the longest value. */
enum { FIELD_ROOM = 6 };

typedef bool sse_fn(void *ctx, const struct sse_event *e);

void sse_init(struct sse_parser *p, size_t event_max)
{
    memset(p, 0, sizeof(*p));
    buf_init(&p->line, event_max + FIELD_ROOM);
    buf_init(&p->data, event_max);
}

void sse_release(struct sse_parser *p)
{
    buf_release(&p->line);
    buf_release(&p->data);
}

static void event_reset(struct sse_parser *p)
{
    buf_clear(&p->data);
    p->name[0] = 0;
    p->has_data = false;
}

static bool event_deliver(struct sse_parser *p, sse_fn *fn, void *ctx)
{
    bool go_on = true;
    if (p->has_data) {
        struct sse_event e = {.name = p->name, .data = buf_str(&p->data), .len = p->data.len};
        go_on = fn(ctx, &e);
    }
    event_reset(p);
    return go_on;
}

static bool field_is(const char *line, size_t name_len, const char *field)
{
    return name_len == strlen(field) && memcmp(line, field, name_len) == 0;
}

static void name_set(struct sse_parser *p, const char *name, size_t len)
{
    size_t cut = len < sizeof(p->name) ? len : sizeof(p->name) - 1;
    memcpy(p->name, name, cut);
    p->name[cut] = 0;
}

static bool line_take(struct sse_parser *p, const char *line, size_t n, sse_fn *fn, void *ctx)
{
    if (!p->started) {
        p->started = true;
        if (n >= 3 && memcmp(line, "\xEF\xBB\xBF", 3) == 0) {
            line += 3;
            n -= 3;
        }
    }
    if (n == 0)
        return event_deliver(p, fn, ctx);

    const char *colon = memchr(line, ':', n);
    size_t name_len = colon ? (size_t)(colon - line) : n;
    const char *value = colon ? colon + 1 : line + n;
    size_t len = (size_t)(line + n - value);
    if (len > 0 && value[0] == ' ') {
        value++;
        len--;
    }
    bool error = field_is(line, name_len, "error");
    if (error)
        name_set(p, "error", strlen("error"));
    if (error || field_is(line, name_len, "data")) {
        if (p->has_data)
            buf_addc(&p->data, '\n');
        p->has_data = true;
        buf_add(&p->data, value, len);
        return !p->data.failed;
    }
    if (field_is(line, name_len, "event"))
        name_set(p, value, len);
    return true;
}

/* A comment is dropped as it comes, so that its length does not count. */
static bool in_comment(const struct sse_parser *p)
{
    return p->line.len > 0 && p->line.data[0] == ':';
}

static bool line_end(struct sse_parser *p, const char *rest, size_t n, sse_fn *fn, void *ctx)
{
    if (p->line.len == 0) {
        if (n > p->line.max && rest[0] != ':')
            p->line.failed = true;
        return !p->line.failed && line_take(p, rest, n, fn, ctx);
    }
    if (!in_comment(p) && !buf_add(&p->line, rest, n))
        return false;
    bool go_on = line_take(p, p->line.data, p->line.len, fn, ctx);
    buf_clear(&p->line);
    return go_on;
}

bool sse_feed(struct sse_parser *p, const char *bytes, size_t n, sse_fn *fn, void *ctx)
{
    const char *at = bytes, *end = bytes + n;
    while (at < end) {
        if (p->last_was_cr) {
            p->last_was_cr = false;
            if (*at == '\n') {
                at++;
                continue;
            }
        }
        const char *stop = at;
        while (stop < end && *stop != '\n' && *stop != '\r')
            stop++;
        size_t len = (size_t)(stop - at);
        if (stop == end) {
            if (in_comment(p))
                return true;
            return buf_add(&p->line, at, *at == ':' && p->line.len == 0 ? 1 : len);
        }
        p->last_was_cr = *stop == '\r';
        if (!line_end(p, at, len, fn, ctx))
            return false;
        at = stop + 1;
    }
    return true;
}

bool sse_finish(struct sse_parser *p, sse_fn *fn, void *ctx)
{
    if (p->line.len > 0 && !line_end(p, "", 0, fn, ctx))
        return false;
    return event_deliver(p, fn, ctx);
}

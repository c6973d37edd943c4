#include "test/bench/parts/response.h"

#include <strings.h>

static void line_char(struct response *r, char c)
{
    if (r->line_len < sizeof r->line - 1) {
        r->line[r->line_len] = c;
    }
    r->line_len++;
}

/* Ends the line; the text kept is in r->line. */
static void line_close(struct response *r)
{
    size_t kept = r->line_len < sizeof r->line - 1 ? r->line_len : sizeof r->line - 1;
    if (kept && r->line_len == kept && r->line[kept - 1] == '\r') {
        kept--;
        r->line_len--;
    }
    r->line[kept] = '\0';
}

static bool header_is(const char *line, const char *name, const char **value)
{
    size_t n = strlen(name);
    if (strncasecmp(line, name, n) != 0 || line[n] != ':') {
        return false;
    }
    *value = line + n + 1 + strspn(line + n + 1, " \t");
    return true;
}

static void read_header(struct response *r)
{
    const char *value;
    if (header_is(r->line, "content-length", &value)) {
        r->left = strtoul(value, NULL, 10);
        r->has_length = true;
    } else if (header_is(r->line, "transfer-encoding", &value)) {
        r->chunked = strcasecmp(value, "chunked") == 0;
    } else if (header_is(r->line, "connection", &value)) {
        r->close = strcasecmp(value, "close") == 0;
    }
}

static enum response_state after_headers(struct response *r)
{
    if (r->status >= 100 && r->status < 200) {
        return RESPONSE_STATUS;
    }
    if (r->chunked) {
        return RESPONSE_CHUNK_SIZE;
    }
    if (r->has_length || r->status == 204 || r->status == 304) {
        return r->left ? RESPONSE_LENGTH : RESPONSE_DONE;
    }
    r->close = true;
    return RESPONSE_CLOSE;
}

static enum response_state read_line(struct response *r)
{
    char *end;
    switch (r->state) {
    case RESPONSE_STATUS:
        if (strncmp(r->line, "HTTP/1.", 7) != 0 || r->line_len < 12) {
            return RESPONSE_BAD;
        }
        r->status = (int)strtol(r->line + 9, NULL, 10);
        return RESPONSE_HEADERS;
    case RESPONSE_HEADERS:
        if (r->line_len == 0) {
            return after_headers(r);
        }
        read_header(r);
        return RESPONSE_HEADERS;
    case RESPONSE_CHUNK_SIZE:
        r->left = strtoul(r->line, &end, 16);
        if (end == r->line) {
            return RESPONSE_BAD;
        }
        return r->left ? RESPONSE_CHUNK : RESPONSE_TRAILER;
    case RESPONSE_CHUNK_END:
        return r->line_len == 0 ? RESPONSE_CHUNK_SIZE : RESPONSE_BAD;
    case RESPONSE_TRAILER:
        return r->line_len == 0 ? RESPONSE_DONE : RESPONSE_TRAILER;
    default:
        return RESPONSE_BAD;
    }
}

static size_t feed_body(struct response *r, const char *p, size_t n, response_sink *sink, void *ctx)
{
    if (r->state == RESPONSE_CLOSE) {
        sink(ctx, p, n);
        return n;
    }
    size_t take = n < r->left ? n : r->left;
    sink(ctx, p, take);
    r->left -= take;
    if (!r->left) {
        r->state = r->state == RESPONSE_CHUNK ? RESPONSE_CHUNK_END : RESPONSE_DONE;
    }
    return take;
}

void response_feed(struct response *r, const char *p, size_t n, response_sink *sink, void *ctx)
{
    const char *end = p + n;
    while (p < end && r->state != RESPONSE_DONE && r->state != RESPONSE_BAD) {
        if (r->state == RESPONSE_LENGTH || r->state == RESPONSE_CHUNK || r->state == RESPONSE_CLOSE) {
            p += feed_body(r, p, (size_t)(end - p), sink, ctx);
        } else if (*p == '\n') {
            p++;
            line_close(r);
            r->state = read_line(r);
            r->line_len = 0;
        } else {
            line_char(r, *p++);
        }
    }
}

bool response_closed(struct response *r)
{
    if (r->state == RESPONSE_CLOSE) {
        r->state = RESPONSE_DONE;
    }
    return r->state == RESPONSE_DONE;
}

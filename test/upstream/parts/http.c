#include "test/upstream/parts/http.h"

#include <strings.h>

#define HEAD_MAX ((size_t)64 * 1024)
#define BODY_MAX ((size_t)256 * 1024 * 1024)

static struct http_span word_at(const struct bytes *in, size_t skip)
{
    const char *p = in->p;
    const char *end = in->p + in->len;
    for (size_t i = 0; i < skip; i++) {
        const char *space = memchr(p, ' ', (size_t)(end - p));
        p = space ? space + 1 : end;
    }
    const char *stop = p;
    while (stop < end && *stop != ' ' && *stop != '\r' && *stop != '\n') {
        stop++;
    }
    return (struct http_span){p, (size_t)(stop - p)};
}

struct http_span http_method(const struct bytes *in)
{
    return word_at(in, 0);
}

struct http_span http_target(const struct bytes *in)
{
    return word_at(in, 1);
}

struct http_span http_headers(const struct http *h, const struct bytes *in)
{
    const char *line_end = memchr(in->p, '\n', h->head_len);
    const char *start = line_end ? line_end + 1 : in->p + h->head_len;
    return (struct http_span){start, h->head_len - 2 - (size_t)(start - in->p)};
}

bool http_header_next(struct http_span *headers, struct http_span *name, struct http_span *value)
{
    const char *line_end = headers->n ? memchr(headers->p, '\n', headers->n) : NULL;
    if (!line_end) {
        return false;
    }
    const char *p = headers->p;
    const char *stop = line_end;
    headers->n -= (size_t)(line_end + 1 - p);
    headers->p = line_end + 1;
    const char *colon = memchr(p, ':', (size_t)(stop - p));
    colon = colon ? colon : stop;
    *name = (struct http_span){p, (size_t)(colon - p)};
    const char *v = colon < stop ? colon + 1 : stop;
    while (v < stop && (*v == ' ' || *v == '\t')) {
        v++;
    }
    while (stop > v && (stop[-1] == '\r' || stop[-1] == ' ' || stop[-1] == '\t')) {
        stop--;
    }
    *value = (struct http_span){v, (size_t)(stop - v)};
    return true;
}

static bool span_is(struct http_span s, const char *text)
{
    return strlen(text) == s.n && strncasecmp(s.p, text, s.n) == 0;
}

struct http_span http_header(const struct http *h, const struct bytes *in, const char *name)
{
    struct http_span headers = http_headers(h, in);
    struct http_span key, value;
    while (http_header_next(&headers, &key, &value)) {
        if (span_is(key, name)) {
            return value;
        }
    }
    return (struct http_span){NULL, 0};
}

static bool read_length(struct http_span value, size_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9' || n > BODY_MAX) {
            return false;
        }
        n = n * 10 + (size_t)(value.p[i] - '0');
    }
    *out = n;
    return value.n > 0 && n <= BODY_MAX;
}

static bool read_head(struct http *h, const struct bytes *in)
{
    struct http_span headers = http_headers(h, in);
    struct http_span name, value;
    struct http_span target = http_target(in);
    const char *line_end = target.p + target.n;
    h->close = line_end + 9 <= in->p + h->head_len && memcmp(line_end, " HTTP/1.0", 9) == 0;
    while (http_header_next(&headers, &name, &value)) {
        if (span_is(name, "content-length") && !read_length(value, &h->length)) {
            return false;
        }
        if (span_is(name, "transfer-encoding")) {
            h->chunked = true;
            if (!span_is(value, "chunked")) {
                return false;
            }
        }
        if (span_is(name, "connection")) {
            h->close = span_is(value, "close") || (h->close && !span_is(value, "keep-alive"));
        }
        h->expects = h->expects || (span_is(name, "expect") && span_is(value, "100-continue"));
    }
    return target.n > 0;
}

/* Moves one whole chunk down to the end of the decoded body. */
static enum http_state take_chunk(struct http *h, struct bytes *in, bool *last)
{
    char *line = in->p + h->scan;
    size_t left = in->len - h->scan;
    char *line_end = memchr(line, '\n', left);
    if (!line_end) {
        return left > 1024 ? HTTP_BAD : HTTP_MORE;
    }
    char *stop;
    unsigned long size = strtoul(line, &stop, 16);
    if (stop == line || size > BODY_MAX || h->body_len + size > BODY_MAX) {
        return HTTP_BAD;
    }
    size_t data = (size_t)(line_end + 1 - in->p);
    if (size == 0) {
        *last = true;
        h->scan = data;
        return HTTP_READY;
    }
    if (in->len - data < size + 2) {
        return HTTP_MORE;
    }
    memmove(in->p + h->head_len + h->body_len, in->p + data, size);
    h->body_len += size;
    h->scan = data + size + 2;
    return HTTP_READY;
}

/* The trailer after the last chunk, up to its empty line. */
static enum http_state take_trailer(struct http *h, const struct bytes *in)
{
    size_t at = h->scan;
    while (at < in->len) {
        const char *line_end = memchr(in->p + at, '\n', in->len - at);
        if (!line_end) {
            return HTTP_MORE;
        }
        size_t n = (size_t)(line_end - (in->p + at));
        at += n + 1;
        if (n == 0 || (n == 1 && line_end[-1] == '\r')) {
            h->scan = at;
            return HTTP_READY;
        }
    }
    return HTTP_MORE;
}

static enum http_state take_chunks(struct http *h, struct bytes *in)
{
    for (;;) {
        bool last = false;
        size_t before = h->scan;
        enum http_state state = take_chunk(h, in, &last);
        if (state != HTTP_READY) {
            return state;
        }
        if (last) {
            state = take_trailer(h, in);
            h->scan = state == HTTP_READY ? h->scan : before;
            return state;
        }
    }
}

enum http_state http_parse(struct http *h, struct bytes *in)
{
    if (!h->head_len) {
        const char *end = in->len ? memmem(in->p, in->len, "\r\n\r\n", 4) : NULL;
        if (!end) {
            return in->len > HEAD_MAX ? HTTP_BAD : HTTP_MORE;
        }
        h->head_len = (size_t)(end - in->p) + 4;
        h->scan = h->head_len;
        if (!read_head(h, in)) {
            return HTTP_BAD;
        }
    }
    if (h->chunked) {
        return take_chunks(h, in);
    }
    if (in->len - h->head_len < h->length) {
        return HTTP_MORE;
    }
    h->body_len = h->length;
    h->scan = h->head_len + h->length;
    return HTTP_READY;
}

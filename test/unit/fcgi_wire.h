/* FastCGI records by hand, for tests: the front server's half of the protocol. */
#ifndef CLAWGATE_TEST_FCGI_WIRE_H
#define CLAWGATE_TEST_FCGI_WIRE_H

#include "base/buf.h"

enum { FCGI_BEGIN = 1, FCGI_ABORT = 2, FCGI_END = 3, FCGI_PARAMS = 4, FCGI_STDIN = 5, FCGI_STDOUT = 6 };
enum { FCGI_HEADER = 8, FCGI_RECORD_MAX = 65535 };

static inline void fcgi_record(struct buf *b, unsigned char type, const void *p, size_t n)
{
    const unsigned char head[FCGI_HEADER] = {1, type, 0, 1, (unsigned char)(n >> 8), (unsigned char)n, 0, 0};
    buf_add(b, head, sizeof head);
    buf_add(b, p, n);
}

static inline void fcgi_begin(struct buf *b)
{
    const unsigned char responder[8] = {0, 1};
    fcgi_record(b, FCGI_BEGIN, responder, sizeof responder);
}

/* Values up to 127 bytes take one length byte, longer ones four. */
static inline void fcgi_pair(struct buf *b, const char *name, const char *value)
{
    size_t n = strlen(name);
    size_t v = strlen(value);
    buf_addc(b, (char)n);
    if (v < 128) {
        buf_addc(b, (char)v);
    } else {
        const unsigned char wide[4] = {(unsigned char)(0x80 | v >> 24), (unsigned char)(v >> 16),
                                       (unsigned char)(v >> 8), (unsigned char)v};
        buf_add(b, wide, sizeof wide);
    }
    buf_add(b, name, n);
    buf_add(b, value, v);
}

/* A whole request: BEGIN, PARAMS, and the body in pieces of `piece` bytes. */
static inline void fcgi_request(struct buf *b, const char *method, const char *target, const char *body, size_t n,
                                size_t piece)
{
    struct buf params = BUF_INIT(FCGI_RECORD_MAX);
    char length[32];
    snprintf(length, sizeof length, "%zu", n);
    fcgi_pair(&params, "REQUEST_METHOD", method);
    fcgi_pair(&params, "REQUEST_URI", target);
    fcgi_pair(&params, "CONTENT_LENGTH", length);
    fcgi_begin(b);
    fcgi_record(b, FCGI_PARAMS, params.data, params.len);
    fcgi_record(b, FCGI_PARAMS, "", 0);
    buf_release(&params);
    for (size_t at = 0; at < n; at += piece)
        fcgi_record(b, FCGI_STDIN, body + at, n - at < piece ? n - at : piece);
    fcgi_record(b, FCGI_STDIN, "", 0);
}

/* Takes the STDOUT text out of an answer's records; true when it closes with END_REQUEST and nothing follows. */
static inline bool fcgi_answer(const struct buf *wire, struct buf *text)
{
    size_t at = 0;
    while (at + FCGI_HEADER <= wire->len) {
        const unsigned char *head = (const unsigned char *)wire->data + at;
        size_t n = (size_t)head[4] << 8 | head[5];
        size_t next = at + FCGI_HEADER + n + head[6];
        if (next > wire->len)
            return false;
        if (head[1] == FCGI_STDOUT)
            buf_add(text, wire->data + at + FCGI_HEADER, n);
        if (head[1] == FCGI_END)
            return next == wire->len;
        at = next;
    }
    return false;
}

#endif

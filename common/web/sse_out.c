#include "web/sse_out.h"

#include "base/clock.h"
#include "base/metrics.h"
#include "web/reply.h"
#include "web/transport.h"

enum { GATHER_MAX = 1 << 20, FRAME_MAX = 64 << 20, FRAMING = sizeof "data: \n\n" - 1 };

struct sse_out {
    struct buf frames;   /* gathered since the last flush */
    int64_t sent_ms;     /* clock_mono_ms of the last flush */
    bool gone;
};

static void sse_release(void *p)
{
    struct sse_out *s = p;
    buf_release(&s->frames);
}

void sse_begin(struct request *req)
{
    struct sse_out *s = ARENA_NEW(req->arena, struct sse_out);
    buf_init(&s->frames, FRAME_MAX);
    arena_defer(req->arena, sse_release, s);
    req->sse = s;
    reply_header(req, "Cache-Control", "no-cache");
    reply_header(req, "Connection", "keep-alive");
    reply_header(req, "X-Accel-Buffering", "no");
    req->streaming = true;
    metrics_add(METRIC_STREAMS, 1);
    metrics_gauge(GAUGE_STREAMS, 1);
    s->gone = !reply_head(req, 200, "text/event-stream", -1);
    s->sent_ms = clock_mono_ms();
}

void sse_frame(struct request *req, const char *event, const char *data, size_t n)
{
    struct sse_out *s = req->sse;
    if (s->gone)
        return;
    if (s->frames.len > 0 && s->frames.len + n + FRAMING > GATHER_MAX)
        sse_flush(req);
    if (event)
        buf_addf(&s->frames, "event: %s\n", event);
    buf_adds(&s->frames, "data: ");
    buf_add(&s->frames, data, n);
    buf_adds(&s->frames, "\n\n");
}

/* A frame that found no memory leaves a torn stream; ending it is the only honest answer. */
static bool frames_hand_over(struct request *req)
{
    struct sse_out *s = req->sse;
    bool done = !s->frames.failed && transport_write(req->io, s->frames.data, s->frames.len);
    buf_clear(&s->frames);
    return done;
}

bool sse_flush(struct request *req)
{
    struct sse_out *s = req->sse;
    if (s->gone)
        return false;
    bool more = s->frames.len > 0 || s->frames.failed;
    if (more)
        s->sent_ms = clock_mono_ms();
    s->gone = (more && !frames_hand_over(req)) || !transport_push(req->io);
    return !s->gone;
}

bool sse_keepalive(struct request *req)
{
    struct sse_out *s = req->sse;
    if (!s->gone && clock_mono_ms() - s->sent_ms >= SSE_KEEPALIVE_MS)
        buf_adds(&s->frames, ": keepalive\n\n");
    return sse_flush(req);
}

reply sse_end(struct request *req)
{
    struct sse_out *s = req->sse;
    if (!s->gone)
        s->gone = !frames_hand_over(req);
    return req->status;
}

bool sse_client_gone(const struct request *req)
{
    return req->sse && req->sse->gone;
}

int req_client_fd(const struct request *req)
{
    return transport_fd(req->io);
}

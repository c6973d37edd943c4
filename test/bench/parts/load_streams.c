/* Many server-sent event streams at once, each checked for completeness. */
#include <errno.h>
#include <sys/socket.h>

#include "test/bench/parts/histogram.h"
#include "test/bench/parts/load.h"
#include "test/bench/parts/response.h"
#include "test/upstream/parts/timers.h"

#define EVENTS 256

enum failure { FAILURE_NONE, FAILURE_CONNECT, FAILURE_STATUS, FAILURE_ERROR_FRAME, FAILURE_TRUNCATED,
               FAILURE_TERMINALS, FAILURE_FRAMES, FAILURE_TIMEOUT, FAILURE_COUNT };

static const char *const failure_names[FAILURE_COUNT] = {
    [FAILURE_NONE] = "none",           [FAILURE_CONNECT] = "connect",     [FAILURE_STATUS] = "status",
    [FAILURE_ERROR_FRAME] = "error_frame", [FAILURE_TRUNCATED] = "truncated", [FAILURE_TERMINALS] = "terminal_events",
    [FAILURE_FRAMES] = "frame_count",  [FAILURE_TIMEOUT] = "timeout",
};

struct streams;

struct stream {
    struct streams *all;
    int fd;
    bool over;
    struct bytes out;
    size_t out_sent;
    int64_t began, last_frame;
    struct response response;
    long frames;        /* data events, the terminal one not counted */
    long terminals;
    bool error_frame;
    bool has_data;      /* of the event being read */
    bool is_terminal, is_error, is_opening;
    char line[512];     /* beginning of the current line */
    size_t line_len;
};

struct streams {
    struct load *load;
    struct histogram ttft, gap;
    uint64_t frames, complete;
    uint64_t failures[FAILURE_COUNT];
    long running;
    int64_t read_at;    /* when the bytes being parsed came */
    int64_t first_frame, last_frame;
};

/* The value of an SSE field when the line has that name. */
static const char *field_value(const char *line, const char *name)
{
    size_t n = strlen(name);
    if (strncmp(line, name, n) != 0 || line[n] != ':') {
        return NULL;
    }
    return line + n + 1 + (line[n + 1] == ' ');
}

/* A chunk that only says who speaks may come before there is a token: it counts, but no time is taken at it. */
static void frame_count(struct stream *s)
{
    struct streams *all = s->all;
    s->frames++;
    all->frames++;
    all->first_frame = all->first_frame ? all->first_frame : all->read_at;
    all->last_frame = all->read_at;
    if (s->is_opening) {
        return;
    }
    if (s->last_frame) {
        histogram_add(&all->gap, all->read_at - s->last_frame);
    } else {
        histogram_add(&all->ttft, all->read_at - s->began);
    }
    s->last_frame = all->read_at;
}

static void event_end(struct stream *s)
{
    if (s->has_data) {
        s->error_frame = s->error_frame || s->is_error;
        if (s->is_terminal) {
            s->terminals++;
        } else {
            frame_count(s);
        }
    }
    s->has_data = s->is_terminal = s->is_error = s->is_opening = false;
}

static void line_end(struct stream *s)
{
    size_t kept = s->line_len < sizeof s->line - 1 ? s->line_len : sizeof s->line - 1;
    if (kept && s->line[kept - 1] == '\r') {
        kept--;
    }
    s->line[kept] = '\0';
    s->line_len = 0;
    if (kept == 0) {
        event_end(s);
        return;
    }
    const char *data = field_value(s->line, "data");
    const char *event = field_value(s->line, "event");
    if (data) {
        s->has_data = true;
        s->is_terminal = s->is_terminal || strcmp(data, s->all->load->terminal) == 0;
        s->is_error = s->is_error || strncmp(data, "{\"error\"", 8) == 0;
        s->is_opening = strstr(data, "\"role\":\"assistant\"") && strstr(data, "\"content\":\"\"");
    } else if (event) {
        s->is_terminal = s->is_terminal || strcmp(event, s->all->load->terminal) == 0;
        s->is_error = s->is_error || strcmp(event, "error") == 0;
    }
}

static void stream_body(void *ctx, const char *p, size_t n)
{
    struct stream *s = ctx;
    while (n) {
        const char *newline = memchr(p, '\n', n);
        size_t take = newline ? (size_t)(newline - p) : n;
        if (s->line_len < sizeof s->line) {
            size_t room = sizeof s->line - s->line_len;
            memcpy(s->line + s->line_len, p, take < room ? take : room);
        }
        s->line_len += take;
        if (newline) {
            line_end(s);
            take++;
        }
        p += take;
        n -= take;
    }
}

static void stream_over(struct stream *s, enum failure failure)
{
    s->over = true;
    s->all->running--;
    s->all->failures[failure]++;
    s->all->complete += failure == FAILURE_NONE;
    if (s->fd >= 0) {
        close(s->fd);
    }
    bytes_free(&s->out);
}

static enum failure stream_verdict(const struct stream *s)
{
    long expected = s->all->load->expect_frames;
    if (s->response.state != RESPONSE_DONE) {
        return s->response.state == RESPONSE_STATUS ? FAILURE_CONNECT : FAILURE_TRUNCATED;
    }
    if (s->response.status != 200) {
        return FAILURE_STATUS;
    }
    if (s->error_frame) {
        return FAILURE_ERROR_FRAME;
    }
    if (s->terminals != 1) {
        return FAILURE_TERMINALS;
    }
    return expected >= 0 && s->frames != expected ? FAILURE_FRAMES : FAILURE_NONE;
}

static bool stream_send(struct stream *s)
{
    while (s->out_sent < s->out.len) {
        ssize_t n = send(s->fd, s->out.p + s->out_sent, s->out.len - s->out_sent, MSG_NOSIGNAL);
        if (n < 0) {
            return errno == EAGAIN || errno == ENOTCONN;
        }
        s->out_sent += (size_t)n;
    }
    return true;
}

/* true: the answer or the connection is at its end. A short read leaves nothing behind, unless the peer's end of
 * the connection (`closing`) is still to be read. */
static bool stream_read(struct stream *s, bool closing)
{
    char chunk[16384];
    for (;;) {
        ssize_t n = recv(s->fd, chunk, sizeof chunk, 0);
        if (n < 0) {
            return errno != EAGAIN;
        }
        s->all->read_at = timers_now();
        if (n == 0) {
            response_closed(&s->response);
            return true;
        }
        response_feed(&s->response, chunk, (size_t)n, stream_body, s);
        if (s->response.state == RESPONSE_DONE || s->response.state == RESPONSE_BAD) {
            return true;
        }
        if (n < (ssize_t)sizeof chunk && !closing) {
            return false;
        }
    }
}

static void stream_event(struct stream *s, uint32_t events)
{
    if (s->over) {
        return;
    }
    bool closing = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if ((events & EPOLLERR) && s->response.state == RESPONSE_STATUS) {
        stream_over(s, FAILURE_CONNECT);
    } else if (!stream_send(s) || ((closing || (events & EPOLLIN)) && stream_read(s, closing))) {
        stream_over(s, stream_verdict(s));
    }
}

static void stream_start(struct streams *all, struct stream *s)
{
    s->all = all;
    s->began = timers_now();
    load_request(all->load, &s->out);
    s->fd = load_connect(all->load, s);
    all->running++;
    if (s->fd < 0) {
        stream_over(s, FAILURE_CONNECT);
    }
}

static void streams_print(const struct streams *all)
{
    const struct load *l = all->load;
    double span = (double)(all->last_frame - all->first_frame) / 1e6;
    printf("{\"mode\":\"streams\",\"streams\":%ld,\"complete\":%lu,\"frames\":%lu,\"frames_per_s\":%.1f,"
           "\"ttft_p50_us\":%ld,\"ttft_p99_us\":%ld,\"ttft_max_us\":%ld,\"gap_p50_us\":%ld,\"gap_p99_us\":%ld,"
           "\"gap_max_us\":%ld,\"errors\":%lu,\"failures\":{",
           l->streams, all->complete, all->frames, span > 0 ? (double)all->frames / span : 0.0,
           histogram_at(&all->ttft, 500), histogram_at(&all->ttft, 990), all->ttft.max, histogram_at(&all->gap, 500),
           histogram_at(&all->gap, 990), all->gap.max, (uint64_t)l->streams - all->complete);
    const char *comma = "";
    for (int i = FAILURE_CONNECT; i < FAILURE_COUNT; i++) {
        if (all->failures[i]) {
            printf("%s\"%s\":%lu", comma, failure_names[i], all->failures[i]);
            comma = ",";
        }
    }
    printf("}}\n");
}

static void streams_loop(struct streams *all, struct stream *list)
{
    struct load *l = all->load;
    int64_t begin = timers_now();
    int64_t deadline = begin + (int64_t)(l->timeout * 1e6);
    long started = 0;
    struct epoll_event events[EVENTS];
    while ((started < l->streams || all->running > 0) && timers_now() < deadline) {
        int64_t next = deadline;
        while (started < l->streams) {
            next = begin + (int64_t)l->ramp_ms * 1000 * started / l->streams;
            if (next > timers_now()) {
                break;
            }
            stream_start(all, &list[started++]);
            next = deadline;
        }
        int n = load_wait(l, events, EVENTS, next);
        for (int i = 0; i < n; i++) {
            stream_event(events[i].data.ptr, events[i].events);
        }
    }
    for (long i = 0; i < started; i++) {
        if (!list[i].over) {
            stream_over(&list[i], FAILURE_TIMEOUT);
        }
    }
    all->failures[FAILURE_TIMEOUT] += (uint64_t)(l->streams - started);
}

int load_run_streams(struct load *l)
{
    struct streams *all = calloc(1, sizeof *all);
    struct stream *list = calloc((size_t)l->streams, sizeof *list);
    if (!all || !list) {
        abort();
    }
    all->load = l;
    streams_loop(all, list);
    streams_print(all);
    int status = all->complete == (uint64_t)l->streams ? 0 : 1;
    free(list);
    free(all);
    return status;
}

/* Request/response: `concurrency` keep-alive connections, each asking again as soon as it was answered. */
#include <errno.h>
#include <sys/socket.h>

#include "test/bench/parts/histogram.h"
#include "test/bench/parts/load.h"
#include "test/bench/parts/response.h"
#include "test/upstream/parts/timers.h"

#define EVENTS 256

struct client {
    int fd;
    bool busy;       /* an answer is awaited */
    struct bytes out;
    size_t out_sent;
    int64_t began;
    struct response response;
};

struct rr {
    struct load *load;
    struct histogram latency;
    uint64_t answers, errors;
    int64_t measure_from;
};

static void ignore_body(void *ctx, const char *p, size_t n)
{
    (void)ctx;
    (void)p;
    (void)n;
}

static void client_error(struct rr *r)
{
    r->errors += timers_now() >= r->measure_from;
}

static void client_connect(struct rr *r, struct client *c)
{
    c->busy = false;
    c->out.len = c->out_sent = 0;
    c->fd = load_connect(r->load, c);
    if (c->fd < 0) {
        client_error(r);
    }
}

static void client_reconnect(struct rr *r, struct client *c)
{
    close(c->fd);
    client_connect(r, c);
}

static bool client_send(struct client *c)
{
    while (c->out_sent < c->out.len) {
        ssize_t n = send(c->fd, c->out.p + c->out_sent, c->out.len - c->out_sent, MSG_NOSIGNAL);
        if (n < 0) {
            return errno == EAGAIN;
        }
        c->out_sent += (size_t)n;
    }
    return true;
}

static bool client_ask(struct rr *r, struct client *c)
{
    c->out.len = c->out_sent = 0;
    load_request(r->load, &c->out);
    c->response = (struct response){0};
    c->busy = true;
    c->began = timers_now();
    return client_send(c);
}

static void client_answered(struct rr *r, struct client *c)
{
    int64_t now = timers_now();
    c->busy = false;
    if (now < r->measure_from) {
        return;
    }
    if (c->response.status == r->load->expect) {
        r->answers++;
        histogram_add(&r->latency, now - c->began);
    } else {
        r->errors++;
    }
}

/* Reads what is there. false: the connection is over. */
static bool client_read(struct rr *r, struct client *c)
{
    char chunk[16384];
    for (;;) {
        ssize_t n = recv(c->fd, chunk, sizeof chunk, 0);
        if (n < 0) {
            return errno == EAGAIN;
        }
        if (n > 0 && c->busy) {
            response_feed(&c->response, chunk, (size_t)n, ignore_body, NULL);
        }
        bool done = c->busy && (c->response.state == RESPONSE_DONE || (n == 0 && response_closed(&c->response)));
        if (done) {
            client_answered(r, c);
            if (n == 0 || c->response.close || !client_ask(r, c)) {
                return false;
            }
        } else if (n == 0 || c->response.state == RESPONSE_BAD) {
            return false;
        }
        if (n < (ssize_t)sizeof chunk) {
            return true;
        }
    }
}

static void client_event(struct rr *r, struct client *c, uint32_t events)
{
    bool ok = !(events & EPOLLERR);
    if (ok && !c->busy && (events & EPOLLOUT)) {
        ok = client_ask(r, c);
    } else if (ok && c->busy) {
        ok = client_send(c);
    }
    if (ok && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))) {
        ok = client_read(r, c) && !(events & (EPOLLRDHUP | EPOLLHUP));
    }
    if (!ok) {
        if (c->busy || (events & EPOLLERR)) {
            client_error(r);
        }
        client_reconnect(r, c);
    }
}

static void rr_print(const struct rr *r, double seconds)
{
    printf("{\"mode\":\"rr\",\"concurrency\":%ld,\"seconds\":%.2f,\"requests\":%lu,\"rps\":%.1f,\"p50_us\":%ld,"
           "\"p90_us\":%ld,\"p99_us\":%ld,\"p999_us\":%ld,\"max_us\":%ld,\"errors\":%lu}\n",
           r->load->concurrency, seconds, r->answers, (double)r->answers / seconds, histogram_at(&r->latency, 500),
           histogram_at(&r->latency, 900), histogram_at(&r->latency, 990), histogram_at(&r->latency, 999),
           r->latency.max, r->errors);
}

int load_run_rr(struct load *l)
{
    struct rr *r = calloc(1, sizeof *r);
    struct client *clients = calloc((size_t)l->concurrency, sizeof *clients);
    if (!r || !clients) {
        abort();
    }
    r->load = l;
    r->measure_from = timers_now() + (int64_t)(l->warmup * 1e6);
    int64_t end = r->measure_from + (int64_t)(l->seconds * 1e6);
    for (long i = 0; i < l->concurrency; i++) {
        client_connect(r, &clients[i]);
    }
    struct epoll_event events[EVENTS];
    while (timers_now() < end) {
        int n = load_wait(l, events, EVENTS, end);
        for (int i = 0; i < n; i++) {
            client_event(r, events[i].data.ptr, events[i].events);
        }
    }
    rr_print(r, (double)(timers_now() - r->measure_from) / 1e6);
    for (long i = 0; i < l->concurrency; i++) {
        if (clients[i].fd >= 0) {
            close(clients[i].fd);
        }
        bytes_free(&clients[i].out);
    }
    int status = r->answers > 0 && r->errors == 0 ? 0 : 1;
    free(clients);
    free(r);
    return status;
}

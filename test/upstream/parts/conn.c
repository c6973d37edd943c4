/* One client connection: reading requests, framing and pacing answers. */
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "test/upstream/parts/server.h"

#define READ_SIZE ((size_t)16 * 1024)
#define PIPELINE_MAX ((size_t)1024 * 1024)
#define KEEP_CAPACITY 4096
#define ROUNDS_MAX 64

struct conn {
    struct timer timer; /* first: a timer is its connection */
    struct server *server;
    struct conn *prev, *next;
    SSL *ssl;
    int fd;
    bool gone;     /* the client closed its side */
    bool broken;   /* nothing more can be written */
    bool ended;    /* the answer's last byte is in `wire` */
    enum answer_step step;
    struct bytes in, body, wire;
    size_t wire_sent;
    struct http http;
    struct answer *answer;
    unsigned long record_n;
    size_t bytes_sent;
    long wait_ms;  /* the pause the last pull asked for */
    int64_t clock; /* when the current pause began, so that pauses do not drift */
};

enum io { IO_OK, IO_BLOCKED, IO_CLOSED };

void conn_open(struct server *s, int fd, bool tls)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c) {
        abort();
    }
    c->server = s;
    c->fd = fd;
    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &(int){1}, sizeof(int));
    if (tls) {
        c->ssl = SSL_new(s->tls);
        SSL_set_fd(c->ssl, fd);
        SSL_set_accept_state(c->ssl);
    }
    c->next = s->conns;
    if (s->conns) {
        s->conns->prev = c;
    }
    s->conns = c;
    s->records.connections++;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | (uint32_t)EPOLLET, .data.ptr = c};
    epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void answer_end(struct conn *c, enum record_end end)
{
    if (c->answer && c->record_n) {
        record_close(&c->server->records, c->record_n, end, c->bytes_sent);
    }
    answer_free(c->answer);
    c->answer = NULL;
}

static void conn_free(struct conn *c, enum record_end end)
{
    answer_end(c, end);
    timers_clear(&c->server->timers, &c->timer);
    SSL_free(c->ssl);
    close(c->fd);
    bytes_free(&c->in);
    bytes_free(&c->body);
    bytes_free(&c->wire);
    *(c->prev ? &c->prev->next : &c->server->conns) = c->next;
    if (c->next) {
        c->next->prev = c->prev;
    }
    free(c);
}

void conn_close_all(struct server *s)
{
    while (s->conns) {
        conn_free(s->conns, RECORD_CUT);
    }
}

static enum io tls_result(struct conn *c, int n)
{
    int error = SSL_get_error(c->ssl, n);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? IO_BLOCKED : IO_CLOSED;
}

static enum io read_some(struct conn *c, char *p, size_t size, size_t *got)
{
    if (c->ssl) {
        ERR_clear_error();
        int n = SSL_read_ex(c->ssl, p, size, got);
        return n > 0 ? IO_OK : tls_result(c, n);
    }
    ssize_t n = recv(c->fd, p, size, 0);
    *got = n > 0 ? (size_t)n : 0;
    return n > 0 ? IO_OK : n < 0 && errno == EAGAIN ? IO_BLOCKED : IO_CLOSED;
}

static enum io write_some(struct conn *c, const char *p, size_t size, size_t *put)
{
    if (c->ssl) {
        ERR_clear_error();
        int n = SSL_write_ex(c->ssl, p, size, put);
        return n > 0 ? IO_OK : tls_result(c, n);
    }
    ssize_t n = send(c->fd, p, size, MSG_NOSIGNAL);
    *put = n > 0 ? (size_t)n : 0;
    return n >= 0 ? IO_OK : errno == EAGAIN ? IO_BLOCKED : IO_CLOSED;
}

/* Edge-triggered: reads until nothing is left, or the client sent far ahead of its answers. A short read means
 * that nothing is left, unless the end of the connection (`closing`) is still to be read. */
static void read_all(struct conn *c, bool closing)
{
    while (!c->gone && (!c->answer || c->in.len < PIPELINE_MAX)) {
        size_t got = 0;
        enum io io = read_some(c, bytes_reserve(&c->in, READ_SIZE), READ_SIZE, &got);
        c->in.len += got;
        c->gone = io == IO_CLOSED;
        if (io != IO_OK || (got < READ_SIZE && !c->ssl && !closing)) {
            return;
        }
    }
}

/* Moves the next piece of the body, framed, to the wire. */
static void frame_piece(struct conn *c)
{
    size_t n = c->body.len;
    size_t split = (size_t)c->answer->script.split;
    n = split && split < n ? split : n;
    if (c->answer->chunked) {
        bytes_format(&c->wire, "%zx\r\n", n);
    }
    bytes_add(&c->wire, c->body.p, n);
    if (c->answer->chunked) {
        bytes_text(&c->wire, "\r\n");
    }
    bytes_drop(&c->body, n);
}

static enum io flush(struct conn *c)
{
    while (c->wire_sent < c->wire.len) {
        size_t put = 0;
        enum io io = write_some(c, c->wire.p + c->wire_sent, c->wire.len - c->wire_sent, &put);
        c->bytes_sent += put;
        c->wire_sent += put;
        if (io != IO_OK) {
            return io;
        }
    }
    c->wire.len = c->wire_sent = 0;
    return IO_OK;
}

static void pause_until(struct conn *c, int64_t due)
{
    c->clock = due;
    timers_set(&c->server->timers, &c->timer, due);
}

static void buffer_release(struct bytes *b)
{
    if (!b->len && b->cap > KEEP_CAPACITY) {
        bytes_free(b);
    }
}

/* A waiting stream keeps no large buffers. */
static void buffers_release(struct conn *c)
{
    buffer_release(&c->in);
    buffer_release(&c->body);
    buffer_release(&c->wire);
}

/* A pause as the script wants it, measured from the end of the one before. A late wake-up is not made up for by
 * a burst of more than one piece: the clock never lags more than the pause itself. */
static void pause_for(struct conn *c, long ms)
{
    int64_t now = timers_now();
    int64_t pause = (int64_t)ms * 1000;
    int64_t base = c->clock && now - c->clock < pause ? c->clock : now;
    pause_until(c, base + pause);
    buffers_release(c);
}

static void append_last_chunk(struct conn *c)
{
    if (c->answer->chunked) {
        bytes_text(&c->wire, "0\r\n\r\n");
    }
    c->ended = true;
}

/* Everything pulled so far is written; does what the last pull said. true: go on at once. */
static bool obey_step(struct conn *c)
{
    switch (c->step) {
    case ANSWER_MORE:
        c->step = answer_pull(c->answer, &c->wire, &c->body, &c->wait_ms);
        return true;
    case ANSWER_WAIT:
        c->step = ANSWER_MORE;
        pause_for(c, c->wait_ms);
        return false;
    case ANSWER_END:
        return true;
    case ANSWER_RESET:
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
        c->broken = true;
        return false;
    case ANSWER_CLOSE:
        c->broken = true;
        return false;
    case ANSWER_STALL:
        buffers_release(c);
        break;
    }
    return false;
}

/* Writes as much of the answer as is due. true: it is complete. */
static bool drive(struct conn *c)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        if (c->body.len && !c->ended && !(c->wire.len && c->answer->script.split)) {
            frame_piece(c);
        }
        if (c->step == ANSWER_END && !c->body.len && !c->ended) {
            append_last_chunk(c);
        }
        enum io io = flush(c);
        if (io != IO_OK) {
            c->gone = c->gone || io == IO_CLOSED;
            return false;
        }
        if (c->ended) {
            return true;
        }
        if (c->body.len && c->answer->script.drip) {
            pause_for(c, c->answer->script.drip);
            return false;
        }
        if (!c->body.len && !obey_step(c)) {
            return false;
        }
    }
    pause_until(c, timers_now());
    return false;
}

static void send_continue(struct conn *c)
{
    if (c->http.expects) {
        c->http.expects = false;
        bytes_text(&c->wire, "HTTP/1.1 100 Continue\r\n\r\n");
        flush(c);
    }
}

/* Begins the answer to the next complete request. false: there is none. */
static bool start_next(struct conn *c)
{
    enum http_state state = http_parse(&c->http, &c->in);
    if (state == HTTP_BAD) {
        c->broken = true;
        return false;
    }
    if (state == HTTP_MORE) {
        if (c->http.head_len) {
            send_continue(c);
        }
        return false;
    }
    c->answer = route_request(c->server, &c->http, &c->in, &c->record_n);
    c->step = ANSWER_MORE;
    c->ended = false;
    c->bytes_sent = 0;
    c->clock = 0;
    bytes_drop(&c->in, c->http.scan);
    c->http = (struct http){0};
    return true;
}

static void conn_advance(struct conn *c)
{
    while (c->answer || start_next(c)) {
        if (!drive(c)) {
            break;
        }
        c->broken = c->answer->close;
        answer_end(c, RECORD_DONE);
        if (c->broken) {
            break;
        }
        if (c->in.len >= PIPELINE_MAX) {
            read_all(c, false);
        }
    }
    if (c->gone || c->broken) {
        conn_free(c, c->broken ? RECORD_CUT : RECORD_ABORTED);
    }
}

void conn_event(struct conn *c, bool closing)
{
    read_all(c, closing);
    if (c->answer && !c->gone && c->timer.slot) {
        return;
    }
    conn_advance(c);
}

void conn_timer(struct timer *timer)
{
    conn_advance((struct conn *)(void *)timer);
}

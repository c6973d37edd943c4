/* A tiny upstream inside the test: answers request number n with step n, over plain sockets or TLS. */
#ifndef CLAWGATE_TEST_LLM_SERVER_H
#define CLAWGATE_TEST_LLM_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>

enum step_end {
    KEEP,     /* read the next request of this connection */
    CLOSE,    /* close it */
    HANG,     /* say nothing more until the client goes */
    COMMENTS, /* a chunk with an SSE comment every 50 ms until the client goes */
    EVENTS,   /* a chunk with a delta every 50 ms until the client goes */
    PINGS,    /* a chunk with Anthropic's ping every 50 ms until the client goes */
    FLOOD,    /* bytes without end until the client goes */
};

struct step {
    const char *send; /* NULL: nothing. "Content-Length: ?" is filled in */
    enum step_end end;
};

enum { SERVER_THREADS = 64 };

struct server {
    int listener, port;
    SSL_CTX *tls; /* NULL: plain */
    pthread_t acceptor, threads[SERVER_THREADS];
    int thread_count;
    const struct step *steps;
    int step_count; /* the last step is repeated */
    atomic_int requests, connections, gone;
    pthread_mutex_t lock;
    char last_request[8192];
};

struct server_peer {
    struct server *server;
    int fd;
    SSL *ssl;
};

static inline long peer_read(struct server_peer *p, char *to, size_t n)
{
    return p->ssl ? SSL_read(p->ssl, to, (int)n) : recv(p->fd, to, n, 0);
}

static inline bool peer_write(struct server_peer *p, const char *s, size_t n)
{
    while (n > 0) {
        long put = p->ssl ? SSL_write(p->ssl, s, (int)n) : send(p->fd, s, n, MSG_NOSIGNAL);
        if (put <= 0)
            return false;
        s += put;
        n -= (size_t)put;
    }
    return true;
}

/* Header and body of one request; false when the client is gone. */
static inline bool server_request(struct server_peer *p)
{
    char text[sizeof(p->server->last_request)];
    size_t have = 0, want = sizeof(text) - 1;
    while (have < want) {
        long got = peer_read(p, text + have, want - have);
        if (got <= 0)
            return false;
        have += (size_t)got;
        text[have] = 0;
        const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "content-length: ");
        if (end)
            want = (size_t)(end + 4 - text) + (length ? (size_t)strtol(length + 16, NULL, 10) : 0);
    }
    pthread_mutex_lock(&p->server->lock);
    memcpy(p->server->last_request, text, have + 1);
    pthread_mutex_unlock(&p->server->lock);
    return true;
}

static inline bool server_answer(struct server_peer *p, const char *text)
{
    char length[32];
    const char *mark = strstr(text, "Length: ?"), *body = mark ? strstr(mark, "\r\n\r\n") : NULL;
    if (!body)
        return peer_write(p, text, strlen(text));
    snprintf(length, sizeof(length), "Length: %zu", strlen(body + 4));
    return peer_write(p, text, (size_t)(mark - text)) && peer_write(p, length, strlen(length)) &&
           peer_write(p, mark + strlen("Length: ?"), strlen(mark + strlen("Length: ?")));
}

static inline void server_until_gone(struct server_peer *p, enum step_end how)
{
    char byte, flood[4096];
    const char *chunk = how == COMMENTS ? "5\r\n: c\n\n\r\n"
                        : how == PINGS  ? "24\r\nevent: ping\ndata: {\"type\": \"ping\"}\n\n\r\n"
                                        : "33\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"tick \"}}]}\n\n\r\n";
    memset(flood, 'x', sizeof(flood));
    bool alive = true;
    while (alive) {
        if (how == HANG)
            alive = peer_read(p, &byte, 1) > 0;
        else if (how == FLOOD)
            alive = peer_write(p, flood, sizeof(flood));
        else
            alive = usleep(50000) == 0 && peer_write(p, chunk, strlen(chunk));
    }
    atomic_fetch_add(&p->server->gone, 1);
}

static inline void *server_connection(void *ctx)
{
    struct server_peer *p = ctx;
    struct server *s = p->server;
    bool alive = true;
    if (s->tls) {
        p->ssl = SSL_new(s->tls);
        SSL_set_fd(p->ssl, p->fd);
        alive = SSL_accept(p->ssl) == 1;
    }
    while (alive && server_request(p)) {
        int n = atomic_fetch_add(&s->requests, 1);
        const struct step *step = &s->steps[n < s->step_count ? n : s->step_count - 1];
        if (step->send)
            alive = server_answer(p, step->send);
        if (step->end == CLOSE)
            break;
        if (step->end != KEEP) {
            server_until_gone(p, step->end);
            break;
        }
    }
    SSL_free(p->ssl);
    close(p->fd);
    free(p);
    return NULL;
}

static inline void *server_accept(void *ctx)
{
    struct server *s = ctx;
    for (;;) {
        int fd = accept(s->listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        if (s->thread_count == SERVER_THREADS) {
            close(fd);
            continue;
        }
        atomic_fetch_add(&s->connections, 1);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        struct server_peer *p = calloc(1, sizeof(*p));
        *p = (struct server_peer){.server = s, .fd = fd};
        pthread_create(&s->threads[s->thread_count++], NULL, server_connection, p);
    }
}

static inline void server_start(struct server *s, const struct step *steps, int count, SSL_CTX *tls)
{
    memset(s, 0, sizeof(*s));
    pthread_mutex_init(&s->lock, NULL);
    s->steps = steps;
    s->step_count = count;
    s->tls = tls;
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    if (bind(s->listener, (struct sockaddr *)&at, size) || listen(s->listener, 64) ||
        getsockname(s->listener, (struct sockaddr *)&at, &size))
        abort();
    s->port = ntohs(at.sin_port);
    pthread_create(&s->acceptor, NULL, server_accept, s);
}

/* The client must have closed its connections (llm_stop) before. */
static inline void server_stop(struct server *s)
{
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->acceptor, NULL);
    for (int i = 0; i < s->thread_count; i++)
        pthread_join(s->threads[i], NULL);
    close(s->listener);
    pthread_mutex_destroy(&s->lock);
}

#endif

/* FastCGI and plain CGI. libfcgi reads the request; the answer's records are made here, so that it leaves in one
 * write with its end, and that a client which reads slowly can be waited for or not, as the caller likes.
 *
 * What keeps libfcgi 2.4.2 harmless here:
 *  1. The connection is accepted by us; listen_sock is -1, so that FCGX_Accept_r
 *     returns an error after a bad peer instead of waiting for the next one.
 *  2. `detached` is set, so that its own close never takes the select() path
 *     (which aborts the process for descriptors above 1023).
 *  3. A socket timeout bounds every read it makes; it writes nothing.
 *  4. A connection carries one request: we always close, whatever the peer's
 *     keep-connection flag says, so no thread waits on an idle connection.
 */
#include "web/transport.h"

#include <errno.h>
#include <fcgiapp.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/buf.h"
#include "base/clock.h"

enum { LINGER_MS = 2000, LINGER_TOTAL_MS = 10000, CHUNK = 65536, TRASH_SIZE = 16384, TRASH_TRIES = 64 };
enum {
    READ_TIMEOUT_S = 30,
    STUCK_MS = 30000,        /* a client that takes nothing for so long is gone */
    WAIT_TOTAL_MS = 300000,  /* the most a single flush waits */
    HELD_MAX = 1 << 20,      /* what may wait for a slow client before the writer waits for it */
    KEPT_MAX = 16384,        /* of the buffer, between two requests */
};
/* The protocol, as far as it is written here. */
enum { RECORD_HEADER = 8, RECORD_MAX = 65535, FCGI_END_TYPE = 3, FCGI_STDOUT_TYPE = 6, END_BODY = 8 };

enum transport_kind { TRANSPORT_FASTCGI, TRANSPORT_CGI };

struct transport {
    enum transport_kind kind;
    bool open;
    bool gone;       /* a write failed, or the client took nothing for too long */
    bool ended;      /* FastCGI: the end of the request is written */
    bool body_done;  /* the body's end was seen */
    int fd;          /* FastCGI: the connection */
    bool endless;    /* CGI: a chunked body, whose length nobody told, goes to the end of stdin */
    int64_t body;    /* bytes announced by CONTENT_LENGTH */
    int64_t taken;   /* bytes of it handed to the reader */
    FCGX_Request fcgi;
    struct buf out;  /* what waits for fd 1 or, as records, for the connection */
    size_t sent;     /* FastCGI: bytes of `out` that left already */
    size_t record;   /* FastCGI: where the record begins that may still grow; NO_RECORD when none may */
    int64_t stuck_since; /* clock_mono_ms; 0: what was written last has left, or some of it */
};

#define NO_RECORD SIZE_MAX

static void library_init(void)
{
    FCGX_Init();
}

static int64_t content_length(const struct transport *t)
{
    const char *text = transport_param(t, "CONTENT_LENGTH");
    if (!text || *text < '0' || *text > '9')
        return 0;
    errno = 0;
    char *end = NULL;
    long long n = strtoll(text, &end, 10);
    return errno || *end ? 0 : n;
}

static void timeout_set(int fd)
{
    struct timeval tv = {.tv_sec = READ_TIMEOUT_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
}

static void out_reset(struct transport *t)
{
    if (t->out.cap > KEPT_MAX)
        buf_release(&t->out);
    buf_clear(&t->out);
    t->sent = 0;
    t->record = NO_RECORD;
    t->stuck_since = 0;
}

struct transport *transport_fastcgi(struct transport *reuse, int fd)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, library_init);

    struct transport *t = reuse ? reuse : calloc(1, sizeof *t);
    if (!t) {
        close(fd);
        return NULL;
    }
    if (!reuse)
        buf_init(&t->out, 2 * HELD_MAX);
    timeout_set(fd);
    FCGX_InitRequest(&t->fcgi, -1, 0);
    t->fcgi.ipcFd = fd;
    t->fcgi.keepConnection = 1; /* FCGX_Accept_r first finishes the request before: it must not close ours */
    t->fcgi.detached = 1;
    bool accepted = FCGX_Accept_r(&t->fcgi) == 0; /* on failure the library has closed fd */
    /* Parameters that break off between two pairs count as complete there: a header would be missing. */
    bool broken = accepted && FCGX_GetError(t->fcgi.in) != 0;
    if (broken) {
        FCGX_Free(&t->fcgi, 0);
        close(fd);
    }
    if (!accepted || broken) {
        if (!reuse)
            free(t);
        return NULL;
    }
    /* The library's buffers are of no use when nothing is written through it. */
    FCGX_FreeStream(&t->fcgi.out);
    FCGX_FreeStream(&t->fcgi.err);
    t->kind = TRANSPORT_FASTCGI;
    t->fd = fd;
    t->open = true;
    t->gone = t->body_done = t->ended = false;
    t->taken = 0;
    t->body = content_length(t);
    out_reset(t);
    return t;
}

struct transport *transport_cgi(void)
{
    struct transport *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->kind = TRANSPORT_CGI;
    t->fd = -1;
    t->open = true;
    buf_init(&t->out, 2 * CHUNK);
    t->body = content_length(t);
    t->endless = t->body == 0 && transport_param(t, "HTTP_TRANSFER_ENCODING") != NULL;
    return t;
}

char *const *transport_env(const struct transport *t)
{
    return t->kind == TRANSPORT_FASTCGI ? t->fcgi.envp : environ;
}

const char *transport_param(const struct transport *t, const char *name)
{
    return t->kind == TRANSPORT_FASTCGI ? FCGX_GetParam(name, t->fcgi.envp) : getenv(name);
}

static long fastcgi_read(struct transport *t, void *p, size_t n)
{
    if (t->body_done)
        return 0;
    int got = FCGX_GetStr(p, n > INT_MAX ? INT_MAX : (int)n, t->fcgi.in);
    if (got <= 0 && FCGX_GetError(t->fcgi.in) != 0)
        return -1;
    if (got <= 0) {
        t->body_done = true;
        FCGX_FreeStream(&t->fcgi.in);
        return 0;
    }
    t->taken += got;
    return got;
}

static long cgi_read(struct transport *t, void *p, size_t n)
{
    int64_t left = t->endless ? INT64_MAX : t->body - t->taken;
    if (left <= 0)
        return 0;
    if (n > (uint64_t)left)
        n = (size_t)left;
    ssize_t got;
    do
        got = read(STDIN_FILENO, p, n);
    while (got < 0 && errno == EINTR);
    if (got == 0 && t->endless)
        return 0;
    if (got <= 0)
        return -1; /* less than was announced */
    t->taken += got;
    return got;
}

long transport_read(struct transport *t, void *p, size_t n)
{
    if (!t->open || n == 0)
        return 0;
    return t->kind == TRANSPORT_FASTCGI ? fastcgi_read(t, p, n) : cgi_read(t, p, n);
}

/* ---- records ---- */

static bool record_begin(struct transport *t, unsigned char type)
{
    const unsigned id = (unsigned)t->fcgi.requestId;
    const unsigned char head[RECORD_HEADER] = {1, type, (unsigned char)(id >> 8), (unsigned char)id};
    if (t->sent > CHUNK) {
        buf_consume(&t->out, t->sent);
        t->sent = 0;
    }
    t->record = t->out.len;
    return buf_add(&t->out, head, sizeof head);
}

/* The record that may still grow takes n bytes more. */
static bool record_add(struct transport *t, const void *p, size_t n)
{
    if (!buf_add(&t->out, p, n))
        return false;
    size_t length = t->out.len - t->record - RECORD_HEADER;
    t->out.data[t->record + 4] = (char)(length >> 8);
    t->out.data[t->record + 5] = (char)length;
    return true;
}

/* What is there leaves as far as that goes without waiting. false: the peer left. */
static bool send_some(struct transport *t)
{
    t->record = NO_RECORD;
    while (t->sent < t->out.len) {
        ssize_t n = send(t->fd, t->out.data + t->sent, t->out.len - t->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            t->sent += (size_t)n;
            t->stuck_since = 0;
        } else if (n < 0 && errno == EAGAIN) {
            if (t->stuck_since == 0)
                t->stuck_since = clock_mono_ms();
            return true;
        } else if (n == 0 || errno != EINTR) {
            return false;
        }
    }
    buf_clear(&t->out);
    t->sent = 0;
    return true;
}

/* How long the client may still take nothing; 0: it is gone. */
static int64_t patience(const struct transport *t)
{
    int64_t left = t->stuck_since > 0 ? t->stuck_since + STUCK_MS - clock_mono_ms() : STUCK_MS;
    return left > 0 ? left : 0;
}

static bool send_all(struct transport *t)
{
    int64_t until = 0;
    while (send_some(t)) {
        if (t->out.len == 0)
            return true;
        int64_t now = clock_mono_ms();
        if (until == 0)
            until = now + WAIT_TOTAL_MS;
        int64_t left = patience(t);
        if (left == 0 || now >= until)
            return false;
        struct pollfd p = {.fd = t->fd, .events = POLLOUT};
        poll(&p, 1, (int)(left < until - now ? left : until - now));
    }
    return false;
}

static bool fastcgi_write(struct transport *t, const char *p, size_t n)
{
    while (n > 0) {
        if (t->out.len - t->sent >= HELD_MAX && !send_all(t))
            return false;
        if (t->record == NO_RECORD && !record_begin(t, FCGI_STDOUT_TYPE))
            return false;
        size_t room = RECORD_MAX - (t->out.len - t->record - RECORD_HEADER);
        size_t part = n < room ? n : room;
        if (!record_add(t, p, part))
            return false;
        if (part == room)
            t->record = NO_RECORD;
        p += part;
        n -= part;
        if (t->out.len - t->sent >= CHUNK && !send_some(t))
            return false;
    }
    return true;
}

static bool fastcgi_end(struct transport *t)
{
    static const char done[END_BODY];
    return record_begin(t, FCGI_STDOUT_TYPE) && record_begin(t, FCGI_END_TYPE) && record_add(t, done, sizeof done) &&
           send_all(t);
}

/* ---- plain CGI ---- */

/* A server that has the whole answer ends a CGI program with SIGTERM, while the program still has to note
 * what it did. From the first byte on, a peer that left is noticed by the failing write instead. */
static void term_ignore(void)
{
    signal(SIGTERM, SIG_IGN);
}

static bool stdout_write(const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(STDOUT_FILENO, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

static bool cgi_write(struct transport *t, const char *p, size_t n)
{
    if (t->out.len + n <= CHUNK)
        return buf_add(&t->out, p, n);
    return transport_flush(t) && stdout_write(p, n); /* the flush has made SIGTERM harmless */
}

bool transport_write(struct transport *t, const void *p, size_t n)
{
    if (!t->open || t->gone || t->ended)
        return false;
    bool done = t->kind == TRANSPORT_FASTCGI ? fastcgi_write(t, p, n) : cgi_write(t, p, n);
    t->gone = !done;
    return done;
}

bool transport_flush(struct transport *t)
{
    if (!t->open || t->gone)
        return false;
    if (t->kind == TRANSPORT_FASTCGI) {
        t->gone = !send_all(t);
    } else {
        term_ignore();
        t->gone = !stdout_write(buf_str(&t->out), t->out.len);
        buf_clear(&t->out);
    }
    return !t->gone;
}

bool transport_push(struct transport *t)
{
    if (t->kind == TRANSPORT_CGI)
        return transport_flush(t);
    if (!t->open || t->gone)
        return false;
    if (t->out.len > 0)
        t->gone = !send_some(t) || patience(t) == 0;
    return !t->gone;
}

void transport_end(struct transport *t)
{
    if (t->kind == TRANSPORT_CGI) {
        transport_flush(t);
        return;
    }
    if (!t->open || t->gone || t->ended)
        return;
    t->ended = true;
    t->gone = !fastcgi_end(t);
}

/* An answer that came before the whole body was read must reach a peer that still sends: what it
 * sends is thrown away until it closes. Otherwise only what already lies in the socket is taken, because
 * closing a socket with unread bytes resets the peer. */
static void linger(struct transport *t)
{
    if (t->body_done)
        return;
    bool wait = t->taken < t->body;
    int64_t until = clock_mono_ms() + LINGER_TOTAL_MS;
    char trash[TRASH_SIZE];
    if (wait)
        shutdown(t->fd, SHUT_WR);
    for (;;) {
        ssize_t n = recv(t->fd, trash, sizeof trash, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return;
        if (n > 0 && clock_mono_ms() < until)
            continue;
        struct pollfd p = {.fd = t->fd, .events = POLLIN};
        if (!wait || clock_mono_ms() >= until || poll(&p, 1, LINGER_MS) == 0)
            return;
    }
}

/* A request without a body has an end, too, and a front server may send it by itself (Apache does): it must not find
 * the socket closed. Mostly it is here already. */
static void stdin_end(struct transport *t)
{
    char trash[256];
    for (int tries = 0; tries < TRASH_TRIES && t->taken >= t->body && fastcgi_read(t, trash, sizeof trash) > 0; tries++)
        continue;
}

static void fastcgi_finish(struct transport *t)
{
    transport_end(t);
    if (!t->gone)
        stdin_end(t);
    FCGX_Free(&t->fcgi, 0);
    if (!t->gone)
        linger(t);
    close(t->fd);
    t->fd = -1;
    out_reset(t);
}

void transport_finish(struct transport *t)
{
    if (!t->open)
        return;
    if (t->kind == TRANSPORT_FASTCGI)
        fastcgi_finish(t);
    else
        transport_flush(t);
    t->open = false;
}

void transport_free(struct transport *t)
{
    if (!t)
        return;
    transport_finish(t);
    buf_release(&t->out);
    free(t);
}

int transport_fd(const struct transport *t)
{
    return t->fd;
}

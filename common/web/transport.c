/* FastCGI through libfcgi, and plain CGI.
 *
 * What keeps libfcgi 2.4.2 harmless here:
 *  1. The connection is accepted by us; listen_sock is -1, so that FCGX_Accept_r
 *     returns an error after a bad peer instead of waiting for the next one.
 *  2. `detached` is set, so that its own close never takes the select() path
 *     (which aborts the process for descriptors above 1023).
 *  3. Socket timeouts bound every read and write it makes.
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

enum { IO_TIMEOUT_S = 30, LINGER_MS = 2000, LINGER_TOTAL_MS = 10000, CGI_CHUNK = 65536, TRASH_SIZE = 16384 };

enum transport_kind { TRANSPORT_FASTCGI, TRANSPORT_CGI };

struct transport {
    enum transport_kind kind;
    bool open;
    bool gone;       /* a write failed, or the peer broke off */
    bool body_done;  /* the body's end was seen */
    int fd;          /* FastCGI: the connection */
    int64_t body;    /* bytes announced by CONTENT_LENGTH */
    int64_t taken;   /* bytes of it handed to the reader */
    FCGX_Request fcgi;
    struct buf out;  /* CGI: what waits for fd 1 */
};

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

static void timeouts_set(int fd)
{
    struct timeval tv = {.tv_sec = IO_TIMEOUT_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
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
    timeouts_set(fd);
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
    t->kind = TRANSPORT_FASTCGI;
    t->fd = fd;
    t->open = true;
    t->gone = t->body_done = false;
    t->taken = 0;
    t->body = content_length(t);
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
    buf_init(&t->out, 2 * CGI_CHUNK);
    t->body = content_length(t);
    return t;
}

/* An answer that came before the whole body was read must reach a peer that still sends: what it
 * sends is thrown away until it closes. Otherwise only what already lies in the socket is taken, because
 * closing a socket with unread bytes resets the peer. */
static void linger(struct transport *t)
{
    bool wait = !t->body_done && t->taken < t->body;
    int64_t until = clock_mono_ms() + LINGER_TOTAL_MS;
    char trash[TRASH_SIZE];
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

static void fastcgi_finish(struct transport *t)
{
    if (!t->gone) {
        FCGX_FClose(t->fcgi.err);
        if (FCGX_FClose(t->fcgi.out) != 0)
            t->gone = true;
    }
    FCGX_Free(&t->fcgi, 0);
    if (!t->gone)
        linger(t);
    close(t->fd);
    t->fd = -1;
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
        return 0;
    }
    t->taken += got;
    return got;
}

static long cgi_read(struct transport *t, void *p, size_t n)
{
    int64_t left = t->body - t->taken;
    if (left <= 0)
        return 0;
    if (n > (uint64_t)left)
        n = (size_t)left;
    ssize_t got;
    do
        got = read(STDIN_FILENO, p, n);
    while (got < 0 && errno == EINTR);
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

static bool fastcgi_write(struct transport *t, const char *p, size_t n)
{
    while (n > 0) {
        int part = n > INT_MAX ? INT_MAX : (int)n;
        if (FCGX_PutStr(p, part, t->fcgi.out) != part)
            return false;
        p += part;
        n -= (size_t)part;
    }
    return true;
}

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
    if (t->out.len + n <= CGI_CHUNK)
        return buf_add(&t->out, p, n);
    return transport_flush(t) && stdout_write(p, n); /* the flush has made SIGTERM harmless */
}

bool transport_write(struct transport *t, const void *p, size_t n)
{
    if (!t->open || t->gone)
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
        t->gone = FCGX_FFlush(t->fcgi.out) != 0;
    } else {
        term_ignore();
        t->gone = !stdout_write(buf_str(&t->out), t->out.len);
        buf_clear(&t->out);
    }
    return !t->gone;
}

int transport_fd(const struct transport *t)
{
    return t->fd;
}

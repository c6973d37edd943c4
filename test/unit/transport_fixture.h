/* A front server of strings and threads for tests of common/web/transport.h: include once in a test program. */
#ifndef CLAWGATE_TEST_TRANSPORT_FIXTURE_H
#define CLAWGATE_TEST_TRANSPORT_FIXTURE_H

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "fcgi_wire.h"
#include "web/transport.h"

enum { WIRE_MAX = 64 << 20 };

static struct transport *reused;

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    transport_free(reused);
    return 0;
}

/* A writer that may block does so in a thread: the other side reads at its own pace. */
struct sender {
    pthread_t thread;
    int fd;
    struct buf wire;
    bool half_close;
};

static void *send_all(void *arg)
{
    struct sender *s = arg;
    for (size_t at = 0; at < s->wire.len;) {
        ssize_t n = send(s->fd, s->wire.data + at, s->wire.len - at, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    if (s->half_close)
        shutdown(s->fd, SHUT_WR);
    return NULL;
}

static void send_begin(struct sender *s, int *server)
{
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    s->fd = fd[0];
    *server = fd[1];
    assert_int_equal(pthread_create(&s->thread, NULL, send_all, s), 0);
}

static void send_end(struct sender *s)
{
    pthread_join(s->thread, NULL);
    close(s->fd);
    buf_release(&s->wire);
}

/* Opens a transport on what the sender sends; reuses one transport over all tests. */
static struct transport *open_request(struct sender *s)
{
    int server;
    send_begin(s, &server);
    struct transport *t = transport_fastcgi(reused, server);
    if (t)
        reused = t;
    return t;
}

static void read_answer(int fd, struct buf *text, bool *complete)
{
    struct buf wire = BUF_INIT(WIRE_MAX);
    char chunk[4096];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof chunk)) > 0)
        buf_add(&wire, chunk, (size_t)n);
    assert_int_equal(n, 0); /* an orderly end, no reset */
    *complete = fcgi_answer(&wire, text);
    buf_release(&wire);
}

static void expect_answer(struct sender *s, const char *expected)
{
    struct buf text = BUF_INIT(WIRE_MAX);
    bool complete = false;
    read_answer(s->fd, &text, &complete);
    assert_true(complete);
    assert_string_equal(buf_str(&text), expected);
    buf_release(&text);
}

static char *text_of(size_t n)
{
    char *text = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        text[i] = (char)('a' + i % 26);
    text[n] = '\0';
    return text;
}

#endif

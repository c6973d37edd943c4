/* upstream: a scripted model server for tests and benchmarks. See README.md. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "test/upstream/parts/cert.h"
#include "test/upstream/parts/server.h"

#define EVENTS 256
#define BACKLOG 4096

struct settings {
    const char *bind, *cert, *key, *port_file, *make_cert;
    long port, tls_port; /* -1 = none */
    bool quiet;
};

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    (void)number;
    stopping = 1;
}

static const char usage_text[] =
    "usage: upstream [options]\n"
    "  --port P        plain HTTP port, 0 = any free one (default 0)\n"
    "  --tls-port P    HTTPS port, 0 = any free one (default: none); needs --cert and --key\n"
    "  --cert F        PEM certificate\n"
    "  --key F         PEM key\n"
    "  --bind A        IPv4 address to listen on (default 127.0.0.1)\n"
    "  --port-file F   also write the line {\"port\":N,\"tls_port\":M} to F\n"
    "  --quiet         keep no requests, answer plain ones unread (for benchmarks; --fixed is the same)\n"
    "  --make-cert D   write ca.pem, cert.pem, key.pem for localhost into D and leave\n"
    "What a request makes it do is described in test/upstream/README.md.\n";

static bool read_port(const char *text, long *out)
{
    char *end;
    *out = strtol(text, &end, 10);
    return end != text && !*end && *out >= 0 && *out <= 65535;
}

/* 0 = go on, else leave with that status minus one. */
static int read_settings(int argc, char **argv, struct settings *s)
{
    static const struct option long_options[] = {
        {"port", required_argument, NULL, 'p'},      {"tls-port", required_argument, NULL, 't'},
        {"cert", required_argument, NULL, 'c'},      {"key", required_argument, NULL, 'k'},
        {"bind", required_argument, NULL, 'b'},      {"port-file", required_argument, NULL, 'f'},
        {"make-cert", required_argument, NULL, 'm'}, {"quiet", no_argument, NULL, 'q'},
        {"fixed", no_argument, NULL, 'q'},           {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    bool ok = true;
    for (int c; (c = getopt_long(argc, argv, "h", long_options, NULL)) != -1;) {
        switch (c) {
        case 'p': ok = ok && read_port(optarg, &s->port); break;
        case 't': ok = ok && read_port(optarg, &s->tls_port); break;
        case 'c': s->cert = optarg; break;
        case 'k': s->key = optarg; break;
        case 'b': s->bind = optarg; break;
        case 'f': s->port_file = optarg; break;
        case 'm': s->make_cert = optarg; break;
        case 'q': s->quiet = true; break;
        case 'h': fputs(usage_text, stdout); return 1;
        default: ok = false;
        }
    }
    if (!ok || optind < argc || (s->tls_port >= 0 && (!s->cert || !s->key))) {
        fputs(usage_text, stderr);
        return 3;
    }
    return 0;
}

/* Returns the socket and the port it got, or -1. */
static int listen_on(const char *address, long *port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || inet_pton(AF_INET, address, &sa.sin_addr) != 1 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) != 0 ||
        bind(fd, (struct sockaddr *)&sa, sizeof sa) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &len) != 0) {
        perror("upstream: listen");
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    *port = ntohs(sa.sin_port);
    return fd;
}

static SSL_CTX *tls_context(const struct settings *s)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    if (!tls || SSL_CTX_use_certificate_chain_file(tls, s->cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, s->key, SSL_FILETYPE_PEM) != 1) {
        fputs("upstream: cannot use the certificate or key\n", stderr);
        SSL_CTX_free(tls);
        return NULL;
    }
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return tls;
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static bool announce(const struct settings *s)
{
    char tls[24] = "null";
    if (s->tls_port >= 0) {
        snprintf(tls, sizeof tls, "%ld", s->tls_port);
    }
    printf("{\"port\":%ld,\"tls_port\":%s}\n", s->port, tls);
    fflush(stdout);
    if (!s->port_file) {
        return true;
    }
    char part[4096];
    snprintf(part, sizeof part, "%s.part", s->port_file);
    FILE *f = fopen(part, "w");
    bool ok = f && fprintf(f, "{\"port\":%ld,\"tls_port\":%s}\n", s->port, tls) > 0;
    ok = f && fclose(f) == 0 && ok;
    return ok && rename(part, s->port_file) == 0;
}

static void accept_all(struct server *s, int listener, bool tls)
{
    for (int i = 0; i < EVENTS; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        conn_open(s, fd, tls);
    }
}

static int wait_events(struct server *s, struct epoll_event *events, const sigset_t *mask)
{
    int64_t wait = timers_wait(&s->timers, timers_now());
    struct timespec ts = {.tv_sec = wait / 1000000, .tv_nsec = wait % 1000000 * 1000};
    int n = epoll_pwait2(s->epoll, events, EVENTS, wait < 0 ? NULL : &ts, mask);
    if (n < 0 && errno == ENOSYS) {
        n = epoll_pwait(s->epoll, events, EVENTS, wait < 0 ? -1 : (int)((wait + 999) / 1000), mask);
    }
    return n;
}

/* Listeners are told from connections by the address of their descriptor. */
static void serve(struct server *s, const int listeners[2], const sigset_t *mask)
{
    struct epoll_event events[EVENTS];
    while (!stopping) {
        int n = wait_events(s, events, mask);
        for (int i = 0; i < n; i++) {
            const void *what = events[i].data.ptr;
            if (what == &listeners[0] || what == &listeners[1]) {
                accept_all(s, *(const int *)what, what == &listeners[1]);
            } else {
                conn_event(events[i].data.ptr, (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
            }
        }
        int64_t now = timers_now();
        for (struct timer *timer; (timer = timers_pop(&s->timers, now)) != NULL;) {
            conn_timer(timer);
        }
    }
}

static void catch_signals(sigset_t *outside)
{
    sigset_t block;
    sigemptyset(&block);
    sigaddset(&block, SIGTERM);
    sigaddset(&block, SIGINT);
    sigprocmask(SIG_BLOCK, &block, outside);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static bool open_listeners(struct server *s, struct settings *settings, int listeners[2])
{
    long *ports[2] = {&settings->port, &settings->tls_port};
    for (int i = 0; i < 2; i++) {
        if (*ports[i] < 0) {
            continue;
        }
        listeners[i] = listen_on(settings->bind, ports[i]);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listeners[i]};
        if (listeners[i] < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, listeners[i], &event) != 0) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    struct settings settings = {.bind = "127.0.0.1", .port = 0, .tls_port = -1};
    int leave = read_settings(argc, argv, &settings);
    if (leave) {
        return leave - 1;
    }
    if (settings.make_cert) {
        return cert_make(settings.make_cert) ? 0 : 1;
    }
    raise_file_limit();
    sigset_t mask;
    catch_signals(&mask);
    struct server server = {.epoll = epoll_create1(EPOLL_CLOEXEC), .records.quiet = settings.quiet};
    int listeners[2] = {-1, -1};
    bool ok = settings.tls_port < 0 || (server.tls = tls_context(&settings)) != NULL;
    ok = ok && open_listeners(&server, &settings, listeners) && announce(&settings);
    if (ok) {
        serve(&server, listeners, &mask);
    }
    conn_close_all(&server);
    records_reset(&server.records);
    timers_free(&server.timers);
    SSL_CTX_free(server.tls);
    return ok ? 0 : 1;
}

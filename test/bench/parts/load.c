#include "test/bench/parts/load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "test/upstream/parts/timers.h"

struct url {
    char host[256], port[8];
    const char *path;
};

static bool url_split(const char *text, struct url *u)
{
    static const char scheme[] = "http://";
    if (strncmp(text, scheme, sizeof scheme - 1) != 0) {
        return false;
    }
    const char *host = text + sizeof scheme - 1;
    size_t authority = strcspn(host, "/");
    u->path = host[authority] ? host + authority : "/";
    size_t host_len = strcspn(host, ":/");
    if (host_len == 0 || host_len >= sizeof u->host) {
        return false;
    }
    memcpy(u->host, host, host_len);
    u->host[host_len] = '\0';
    size_t port_len = host_len < authority ? authority - host_len - 1 : 0;
    if (port_len >= sizeof u->port) {
        return false;
    }
    snprintf(u->port, sizeof u->port, "%.*s", (int)port_len, host + host_len + 1);
    if (!port_len) {
        snprintf(u->port, sizeof u->port, "80");
    }
    return true;
}

/* Copies text with every {n} replaced. */
static void add_numbered(struct bytes *out, const char *text, unsigned long n)
{
    for (const char *mark; (mark = strstr(text, "{n}")) != NULL; text = mark + 3) {
        bytes_add(out, text, (size_t)(mark - text));
        bytes_format(out, "%lu", n);
    }
    bytes_text(out, text);
}

static void request_build(const struct load *l, struct bytes *out, unsigned long n)
{
    struct url u;
    if (!url_split(l->url, &u)) {
        return;
    }
    struct bytes body = {0};
    add_numbered(&body, l->body, n);
    bytes_format(out, "%s ", l->method);
    add_numbered(out, u.path, n);
    bytes_format(out, " HTTP/1.1\r\nHost: %s:%s\r\n", u.host, u.port);
    if (l->token) {
        bytes_text(out, "Authorization: Bearer ");
        add_numbered(out, l->token, n);
        bytes_text(out, "\r\n");
    }
    for (size_t i = 0; i < l->header_count; i++) {
        add_numbered(out, l->headers[i], n);
        bytes_text(out, "\r\n");
    }
    if (body.len) {
        bytes_format(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body.len);
    }
    bytes_text(out, "\r\n");
    bytes_add(out, body.p, body.len);
    bytes_free(&body);
}

static bool request_varies(const struct load *l)
{
    bool varies = strstr(l->url, "{n}") || strstr(l->body, "{n}") || (l->token && strstr(l->token, "{n}"));
    for (size_t i = 0; i < l->header_count; i++) {
        varies = varies || strstr(l->headers[i], "{n}");
    }
    return varies;
}

bool load_prepare(struct load *l, const char **why)
{
    struct url u;
    if (!url_split(l->url, &u)) {
        *why = "the URL must be http://host[:port][/path]";
        return false;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(u.host, u.port, &hints, &found) != 0) {
        *why = "the host of the URL cannot be resolved";
        return false;
    }
    memcpy(&l->address, found->ai_addr, found->ai_addrlen);
    l->address_len = found->ai_addrlen;
    freeaddrinfo(found);
    l->varies = request_varies(l);
    if (!l->varies) {
        request_build(l, &l->fixed, 0);
    }
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    *why = "epoll";
    return l->epoll >= 0;
}

void load_request(struct load *l, struct bytes *out)
{
    unsigned long n = l->sent++;
    if (l->varies) {
        request_build(l, out, (l->users > 0 ? n % (unsigned long)l->users : n) + 1);
    } else {
        bytes_add(out, l->fixed.p, l->fixed.len);
    }
}

int load_connect(const struct load *l, void *ptr)
{
    int fd = socket(l->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | (uint32_t)EPOLLET, .data.ptr = ptr};
    bool ok = connect(fd, (const struct sockaddr *)&l->address, l->address_len) == 0 || errno == EINPROGRESS;
    if (!ok || epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int load_wait(const struct load *l, struct epoll_event *events, int max, int64_t until)
{
    int64_t wait = until - timers_now();
    wait = wait > 0 ? wait : 0;
    struct timespec ts = {.tv_sec = wait / 1000000, .tv_nsec = wait % 1000000 * 1000};
    int n = epoll_pwait2(l->epoll, events, max, &ts, NULL);
    return n < 0 && errno == ENOSYS ? epoll_wait(l->epoll, events, max, (int)((wait + 999) / 1000)) : n;
}

void load_free(struct load *l)
{
    bytes_free(&l->fixed);
    free(l->body);
    if (l->epoll >= 0) {
        close(l->epoll);
    }
}

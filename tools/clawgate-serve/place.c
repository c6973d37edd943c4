#include "tools/clawgate-serve/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/complain.h"

enum { ENDED_BY_LOCK = 3, PATIENCE_MS = 2000, POLL_MS = 20 };

bool path_join(char *out, size_t size, const char *a, const char *b)
{
    int n = snprintf(out, size, "%s/%s", a, b);
    return n >= 0 && (size_t)n < size;
}

/* Whoever looks whether somebody serves holds it for a moment, too. */
static bool lock_take(int fd)
{
    int64_t until = clock_mono_ms() + PATIENCE_MS;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK || clock_mono_ms() >= until)
            return false;
        poll(NULL, 0, POLL_MS);
    }
    return true;
}

int home_lock(const char *home)
{
    char path[PATH_MAX], who[32] = "";
    if (!path_join(path, sizeof path, home, "serve.lock"))
        return -1;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    if (!lock_take(fd)) {
        ssize_t n = read(fd, who, sizeof who - 1);
        who[n > 0 ? n : 0] = '\0';
        who[strcspn(who, "\n")] = '\0';
        complain("%s is already being served by process %s", home, *who ? who : "(unknown)");
        exit(ENDED_BY_LOCK);
    }
    int n = snprintf(who, sizeof who, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || write(fd, who, (size_t)n) != n)
        return -1;
    return fd;
}

/* A socket of ours in run/; a stale one of a killed serve is replaced (the lock is ours). */
int socket_listen(const char *run_dir, const char *name)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int n = snprintf(addr.sun_path, sizeof addr.sun_path, "%s/%s.sock", run_dir, name);
    if (n < 0 || (size_t)n >= sizeof addr.sun_path) {
        complain("%s: the path of a socket may have at most %zu bytes; choose a shorter home", run_dir,
                 sizeof addr.sun_path - 1);
        return -1;
    }
    unlink(addr.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    mode_t old = umask(0177);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0 && listen(fd, FRONT_BACKLOG) == 0;
    umask(old);
    if (!ok) {
        complain("%s: %s", addr.sun_path, strerror(errno));
        return -1;
    }
    return fd;
}

/* ---- the address ---- */

static bool bind_try(const struct addrinfo *at)
{
    int on = 1, fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (at->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    bool bound = bind(fd, at->ai_addr, at->ai_addrlen) == 0;
    int why = errno;
    close(fd);
    errno = why;
    return bound;
}

/* The front server of a serve that was killed may need a moment to go. */
static bool bind_can(const struct addrinfo *at)
{
    int64_t until = clock_mono_ms() + PATIENCE_MS;
    bool bound;
    while (!(bound = bind_try(at)) && errno == EADDRINUSE && clock_mono_ms() < until)
        poll(NULL, 0, POLL_MS);
    return bound;
}

bool address_check(const char *host, int64_t port)
{
    char name[FRONT_HOST_SIZE], service[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *at = NULL;
    size_t brackets = host[0] == '[';
    snprintf(name, sizeof name, "%s", host + brackets);
    name[strcspn(name, "]")] = '\0';
    snprintf(service, sizeof service, "%lld", (long long)port);
    hints.ai_family = strchr(name, ':') ? AF_INET6 : AF_INET;
    int rc = getaddrinfo(*name ? name : NULL, service, &hints, &at);
    if (rc != 0)
        return complain("gateway.host %s: %s", host, gai_strerror(rc)), false;
    bool can = bind_can(at);
    if (!can)
        complain("cannot listen on gateway.host %s, gateway.port %s: %s", host, service, strerror(errno));
    freeaddrinfo(at);
    return can;
}

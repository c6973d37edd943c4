#include "agent/locks.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/id.h"

/* Offsets below SESSION_BASE are worker numbers, the rest session hashes. */
#define WORKER_BITS 53
#define SESSION_BASE ((int64_t)1 << 54)
#define SESSION_BITS 61

struct locks {
    int fd;       /* owns every range this process holds */
    int probe_fd; /* a second description: its GETLK sees our own locks too */
    int64_t worker;
};

static bool range_lock(int fd, int64_t offset, short type)
{
    struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = offset, .l_len = 1};
    int rc;
    do
        rc = fcntl(fd, F_OFD_SETLK, &fl);
    while (rc < 0 && errno == EINTR);
    return rc == 0;
}

static int64_t random_bits(int bits)
{
    uint64_t v;
    random_bytes(&v, sizeof v);
    return (int64_t)(v >> (64 - bits));
}

static bool worker_claim(struct locks *l)
{
    for (int tries = 0; tries < 16; tries++) {
        int64_t n = random_bits(WORKER_BITS);
        if (n > 0 && range_lock(l->fd, n, F_WRLCK)) {
            l->worker = n;
            return true;
        }
    }
    return false;
}

struct locks *locks_open(const char *data_dir, char *err, size_t errsize)
{
    char path[4200];
    if (snprintf(path, sizeof path, "%s/run.lock", data_dir) >= (int)sizeof path) {
        snprintf(err, errsize, "data_dir is too long");
        return NULL;
    }
    struct locks *l = calloc(1, sizeof *l);
    if (!l) {
        snprintf(err, errsize, "out of memory");
        return NULL;
    }
    l->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    l->probe_fd = l->fd < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (l->fd < 0 || l->probe_fd < 0 || !worker_claim(l)) {
        snprintf(err, errsize, "cannot use %s: %s", path, strerror(errno));
        locks_close(l);
        return NULL;
    }
    return l;
}

void locks_close(struct locks *l)
{
    if (!l)
        return;
    if (l->fd >= 0)
        close(l->fd);
    if (l->probe_fd >= 0)
        close(l->probe_fd);
    free(l);
}

int64_t locks_worker(const struct locks *l)
{
    return l->worker;
}

bool locks_worker_alive(struct locks *l, int64_t worker)
{
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = worker, .l_len = 1};
    if (fcntl(l->probe_fd, F_OFD_GETLK, &fl) != 0)
        return true; /* unknown: never call a live run dead */
    return fl.l_type != F_UNLCK;
}

static int64_t session_offset(const char *tenant_id, const char *session_key)
{
    char text[1024];
    unsigned char digest[SHA256_SIZE];
    int n = snprintf(text, sizeof text, "%s\n%s", tenant_id, session_key);
    sha256(text, n < (int)sizeof text ? (size_t)n : sizeof text - 1, digest);
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | digest[i];
    return SESSION_BASE + (int64_t)(v >> (64 - SESSION_BITS));
}

bool locks_session_try(struct locks *l, const char *tenant_id, const char *session_key)
{
    return range_lock(l->fd, session_offset(tenant_id, session_key), F_WRLCK);
}

void locks_session_release(struct locks *l, const char *tenant_id, const char *session_key)
{
    range_lock(l->fd, session_offset(tenant_id, session_key), F_UNLCK);
}

bool locks_due(struct locks *l, int64_t every_ms)
{
    struct stat st;
    if (fstat(l->fd, &st) != 0)
        return false;
    int64_t then = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000, now = clock_ms();
    return (now - then >= every_ms || then > now) && futimens(l->fd, NULL) == 0;
}

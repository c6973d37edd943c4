#include "base/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/log.h"

enum { LAYOUT_SIZE = 64, BOOT_SIZE = 40, PATH_SIZE = 4096 };

struct header {
    char layout[LAYOUT_SIZE];
    char boot[BOOT_SIZE];
    uint64_t size;
    unsigned char unused[16]; /* what follows is aligned to 64 */
};
_Static_assert(sizeof(struct header) == 128, "the memory behind it must be aligned");

/* Clocks and locks kept in the file mean nothing after the machine was started again. */
static void boot_id(char out[BOOT_SIZE])
{
    memset(out, 0, BOOT_SIZE);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (read(fd, out, BOOT_SIZE - 1) < 0)
        out[0] = '\0';
    close(fd);
}

static void header_fill(struct header *h, const char *layout, size_t size)
{
    *h = (struct header){.size = size};
    snprintf(h->layout, sizeof h->layout, "%s", layout);
    boot_id(h->boot);
}

/* The directory, locked. */
static int directory_open(const char *home)
{
    char path[PATH_SIZE];
    if (!home || snprintf(path, sizeof path, "%s/run", home) >= (int)sizeof path) {
        errno = ENOENT;
        return -1;
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return -1;
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -1;
    while (flock(dir, LOCK_EX) != 0) {
        if (errno == EINTR)
            continue;
        close(dir);
        return -1;
    }
    return dir;
}

/* The file that is there, when it is ours to use; else -1. */
static int file_open(int dir, const char *name, const struct header *wanted)
{
    int fd = openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -1;
    struct stat st;
    struct header found;
    bool ours = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
                (uint64_t)st.st_size == sizeof found + wanted->size &&
                pread(fd, &found, sizeof found, 0) == (ssize_t)sizeof found &&
                memcmp(&found, wanted, sizeof found) == 0;
    if (ours)
        return fd;
    close(fd);
    return -1;
}

/* A new file under another name; it gets its own when it is complete. */
static int file_make(int dir, const char *temporary, const struct header *h)
{
    unlinkat(dir, temporary, 0);
    int fd = openat(dir, temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -1;
    int err = posix_fallocate(fd, 0, (off_t)(sizeof *h + h->size));
    if (err == 0 && pwrite(fd, h, sizeof *h, 0) == (ssize_t)sizeof *h)
        return fd;
    close(fd);
    unlinkat(dir, temporary, 0);
    errno = err ? err : EIO;
    return -1;
}

static void *map(int fd, size_t size)
{
    int flags = fd >= 0 ? MAP_SHARED : MAP_SHARED | MAP_ANONYMOUS;
    char *p = mmap(NULL, sizeof(struct header) + size, PROT_READ | PROT_WRITE, flags, fd, 0);
    return p == MAP_FAILED ? NULL : p + sizeof(struct header);
}

static void *map_file(int dir, const char *name, const struct header *h, shared_attach *attach, void *ctx)
{
    char temporary[NAME_MAX + 1];
    if (snprintf(temporary, sizeof temporary, "%s.new", name) >= (int)sizeof temporary) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    int fd = file_open(dir, name, h);
    bool fresh = fd < 0;
    if (fresh)
        fd = file_make(dir, temporary, h);
    if (fd < 0)
        return NULL;
    void *memory = map(fd, h->size);
    if (memory)
        attach(memory, fresh, fd, ctx);
    /* Others may use it from here on. */
    if (fresh && (!memory || renameat(dir, temporary, dir, name) != 0)) {
        int why = errno;
        if (memory)
            munmap((char *)memory - sizeof *h, sizeof *h + h->size);
        unlinkat(dir, temporary, 0);
        close(fd);
        errno = why;
        return NULL;
    }
    close(fd);
    return memory;
}

void *shared_map(const char *home, const char *name, const char *layout, size_t size, shared_attach *attach, void *ctx)
{
    struct header h;
    header_fill(&h, layout, size);
    int dir = directory_open(home);
    void *memory = dir >= 0 ? map_file(dir, name, &h, attach, ctx) : NULL;
    int why = errno;
    if (dir >= 0)
        close(dir);
    if (memory)
        return memory;
    log_event(LOG_WARN, 3601, "shared.not_shared", LOG_S, "name", name, LOG_S, "reason", strerror(why), LOG_END);
    memory = map(-1, size);
    if (memory)
        attach(memory, true, -1, ctx);
    return memory;
}

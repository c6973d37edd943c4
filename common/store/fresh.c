#include "store/fresh.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

enum { SIZE = 4096 };

/* As it lies in the file. */
struct fresh {
    _Atomic uint64_t count;
};

/* Whoever may open the database may open this too, though root was the first. */
static void own_as(int fd, const char *database)
{
    struct stat st;
    if (stat(database, &st) != 0)
        return;
    if (geteuid() == 0 && fchown(fd, st.st_uid, st.st_gid) != 0)
        return;
    fchmod(fd, st.st_mode & 0666);
}

/* Made under another name: nobody maps a file that is too short, and whoever loses the race uses the winner's. */
static int file_make(const char *path, const char *database)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary)
        return -1;
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return -1;
    own_as(fd, database);
    if (posix_fallocate(fd, 0, SIZE) == 0 && (link(temporary, path) == 0 || errno == EEXIST)) {
        close(fd);
        fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    } else {
        close(fd);
        fd = -1;
    }
    unlink(temporary);
    return fd;
}

struct fresh *fresh_open(const char *database)
{
    char path[PATH_MAX];
    struct stat st;
    if (snprintf(path, sizeof path, "%s-fresh", database) >= (int)sizeof path)
        return NULL;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        fd = file_make(path, database);
    if (fd < 0)
        return NULL;
    void *memory = MAP_FAILED;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= SIZE)
        memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return memory == MAP_FAILED ? NULL : memory;
}

void fresh_close(struct fresh *f)
{
    if (f)
        munmap(f, SIZE);
}

struct fresh_stamp fresh_stamp(const struct fresh *f)
{
    if (!f)
        return (struct fresh_stamp){0, 0};
    return (struct fresh_stamp){atomic_load(&f->count) + 1, clock_mono_ms()};
}

bool fresh_holds(const struct fresh *f, const struct fresh_stamp *s)
{
    return f && atomic_load(&f->count) + 1 == s->count && clock_mono_ms() - s->at < FRESH_MAX_MS;
}

void fresh_raise(struct fresh *f)
{
    if (f)
        atomic_fetch_add(&f->count, 1);
}

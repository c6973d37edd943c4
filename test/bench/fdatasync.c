/* fdatasync: what one durable commit costs on this disk, the unit our gateway's added latency is counted in.
 *
 * A file of a WAL's size is written once; then 16 kB (four pages with their data in place) and one fdatasync,
 * over and over, as a commit into a WAL that was checkpointed before does it.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { COMMIT_BYTES = 16 * 1024, FILE_BYTES = 4 * 1024 * 1024, COMMITS_MAX = 100000 };

static const char usage_text[] = "usage: fdatasync FILE SECONDS   (FILE is made and removed; prints one JSON object)\n";

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int file_make(const char *path, const char *block)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (off_t at = 0; fd >= 0 && at < FILE_BYTES; at += COMMIT_BYTES) {
        if (pwrite(fd, block, COMMIT_BYTES, at) != COMMIT_BYTES) {
            close(fd);
            return -1;
        }
    }
    return fd >= 0 && fsync(fd) == 0 ? fd : -1;
}

static size_t commits_time(int fd, const char *block, double seconds, int64_t *took)
{
    int64_t end = now_us() + (int64_t)(seconds * 1e6);
    size_t n = 0;
    while (n < COMMITS_MAX && (n == 0 || now_us() < end)) {
        off_t at = (off_t)(n * COMMIT_BYTES % FILE_BYTES);
        int64_t began = now_us();
        if (pwrite(fd, block, COMMIT_BYTES, at) != COMMIT_BYTES || fdatasync(fd) != 0) {
            return 0;
        }
        took[n++] = now_us() - began;
    }
    return n;
}

int main(int argc, char **argv)
{
    static char block[COMMIT_BYTES];
    char *end = NULL;
    double seconds = argc == 3 ? strtod(argv[2], &end) : 0;
    if (argc != 3 || *end || seconds <= 0) {
        fputs(usage_text, stderr);
        return 2;
    }
    memset(block, 'x', sizeof block);
    int64_t *took = calloc(COMMITS_MAX, sizeof *took);
    int fd = took ? file_make(argv[1], block) : -1;
    size_t n = fd >= 0 ? commits_time(fd, block, seconds, took) : 0;
    unlink(argv[1]);
    if (n == 0) {
        perror("fdatasync");
        free(took);
        return 1;
    }
    qsort(took, n, sizeof *took, by_value);
    printf("{\"commits\":%zu,\"p50_us\":%ld,\"p99_us\":%ld,\"max_us\":%ld}\n", n, took[n / 2], took[n * 99 / 100],
           took[n - 1]);
    free(took);
    close(fd);
    return 0;
}

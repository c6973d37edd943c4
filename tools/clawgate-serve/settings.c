#include "tools/clawgate-serve/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/clawgate-serve/place.h"

static char source[PATH_MAX], copy[PATH_MAX], fresh[PATH_MAX];
static bool had_file; /* at the start */

static bool bytes_copy(int in, int out)
{
    char part[65536];
    ssize_t n;
    while ((n = read(in, part, sizeof part)) > 0)
        if (write(out, part, (size_t)n) != n)
            return false;
    return n == 0;
}

/* The time of the last change goes with it: it is told of what stands in the file. */
static bool file_copy(int in, int out)
{
    static const char none[] = "{}\n";
    struct stat st;
    if (in < 0)
        return write(out, none, sizeof none - 1) == (ssize_t)(sizeof none - 1);
    return fstat(in, &st) == 0 && bytes_copy(in, out) &&
           futimens(out, (struct timespec[]){st.st_atim, st.st_mtim}) == 0;
}

static bool fresh_make(void)
{
    int in = open(source, O_RDONLY | O_CLOEXEC);
    if (in < 0 && (errno != ENOENT || had_file))
        return false;
    unlink(fresh);
    int out = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = out >= 0 && file_copy(in, out);
    int why = errno;
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    errno = why;
    return ok;
}

bool settings_begin(const char *file, const char *run_dir)
{
    int n = snprintf(source, sizeof source, "%s", file);
    had_file = access(file, F_OK) == 0;
    errno = ENAMETOOLONG;
    return n >= 0 && (size_t)n < sizeof source && path_join(copy, sizeof copy, run_dir, "config.json") &&
           path_join(fresh, sizeof fresh, run_dir, "config.json.new") && fresh_make() && rename(fresh, copy) == 0 &&
           setenv("GOCLAW_CONFIG", copy, 1) == 0;
}

static bool fresh_check(const char *program)
{
    pid_t pid = fork();
    if (pid == 0) {
        setenv("GOCLAW_CONFIG", fresh, 1);
        execl(program, program, "--check", (char *)NULL);
        _exit(127);
    }
    int status = 1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool settings_renew(const char *program)
{
    return fresh_make() && fresh_check(program) && rename(fresh, copy) == 0;
}

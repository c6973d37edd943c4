/* A home of its own for tests of what processes share; include once in a test program. */
#ifndef CLAWGATE_TEST_SHARED_HOME_H
#define CLAWGATE_TEST_SHARED_HOME_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <sys/wait.h>

static char test_home[64];

static inline int home_make(void **state)
{
    (void)state;
    snprintf(test_home, sizeof test_home, "/tmp/clawgate_shared.XXXXXX");
    return mkdtemp(test_home) ? 0 : -1;
}

static inline int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static inline int home_remove(void **state)
{
    (void)state;
    return nftw(test_home, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline const char *home_path(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/run/%s", test_home, name);
    return path;
}

/* Forks n children that begin together; the sum of what they return (0 to 100 each). */
static inline int children_sum(int n, int (*child)(void *ctx), void *ctx)
{
    int gate[2], sum = 0;
    assert_int_equal(pipe(gate), 0);
    for (int i = 0; i < n; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            char c;
            close(gate[1]);
            if (read(gate[0], &c, 1) != 0)
                _exit(101);
            _exit(child(ctx));
        }
    }
    close(gate[0]);
    close(gate[1]); /* now */
    for (int i = 0; i < n; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 100);
        sum += WEXITSTATUS(status);
    }
    return sum;
}

#endif

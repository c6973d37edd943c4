/* The guarantees of common/base/shared.h. */
#include "shared_home.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/shared.h"

enum { SIZE = 10000 };

static bool was_fresh;
static int last_fd;

static void attach(void *memory, bool fresh, int fd, void *ctx)
{
    (void)ctx;
    was_fresh = fresh;
    last_fd = fd;
    if (fresh) {
        for (size_t i = 0; i < SIZE; i++)
            assert_int_equal(((char *)memory)[i], 0);
        *(int *)memory = 1;
    }
}

static int *map_it(const char *layout)
{
    return shared_map(test_home, "it", layout, SIZE, attach, NULL);
}

static void first_makes_next_finds(void **state)
{
    (void)state;
    int *a = map_it("one");
    assert_true(was_fresh && last_fd >= 0);
    assert_int_equal((uintptr_t)a % 64, 0);
    *a = 42;
    int *b = map_it("one");
    assert_false(was_fresh);
    assert_ptr_not_equal(a, b);
    assert_int_equal(*b, 42);
    *b = 43;
    assert_int_equal(*a, 43);
    struct stat st;
    assert_int_equal(stat(home_path("it"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(access(home_path("it.new"), F_OK), -1);
}

static void other_layout_is_another_file(void **state)
{
    (void)state;
    int *a = map_it("one");
    *a = 42;
    int *b = map_it("two");
    assert_true(was_fresh);
    assert_int_equal(*b, 1);
    assert_int_equal(*a, 42); /* who has the old one goes on with it */
    ((char *)a)[SIZE - 1] = 7;
}

static void write_file(const char *name, const char *text, size_t n)
{
    int fd = open(home_path(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), (ssize_t)n);
    close(fd);
}

static void damaged_files_are_replaced(void **state)
{
    (void)state;
    struct stat st;
    map_it("one");
    assert_int_equal(truncate(home_path("it"), 10), 0);
    assert_int_equal(*map_it("one"), 1);
    assert_true(was_fresh);
    assert_int_equal(truncate(home_path("it"), 1 << 20), 0);
    map_it("one");
    assert_true(was_fresh);
    write_file("it", "", 0);
    map_it("one");
    assert_true(was_fresh);
    /* a link is not followed, its target not touched */
    write_file("target", "mine", 4);
    unlink(home_path("it"));
    assert_int_equal(symlink("target", home_path("it")), 0);
    map_it("one");
    assert_true(was_fresh);
    assert_int_equal(stat(home_path("target"), &st), 0);
    assert_int_equal(st.st_size, 4);
    /* neither does a pipe block, nor what a killed maker left */
    unlink(home_path("it"));
    assert_int_equal(mkfifo(home_path("it"), 0600), 0);
    write_file("it.new", "half", 4);
    map_it("one");
    assert_true(was_fresh && last_fd >= 0);
    map_it("one");
    assert_false(was_fresh);
}

static void boot_matters(void **state)
{
    (void)state;
    map_it("one");
    int fd = open(home_path("it"), O_RDWR);
    assert_int_equal(pwrite(fd, "x", 1, 64), 1);
    close(fd);
    map_it("one");
    assert_true(was_fresh);
}

static void own_memory_without_a_file(void **state)
{
    (void)state;
    int *a = shared_map("/nonexistent/home", "it", "one", SIZE, attach, NULL);
    assert_true(a && was_fresh && last_fd == -1);
    assert_int_equal(*a, 1);
    a = shared_map(NULL, "it", "one", SIZE, attach, NULL);
    assert_true(a && last_fd == -1);
    /* the name is taken by a directory */
    map_it("one");
    unlink(home_path("it"));
    assert_int_equal(mkdir(home_path("it"), 0700), 0);
    assert_non_null(map_it("one"));
    assert_int_equal(access(home_path("it.new"), F_OK), -1);
    assert_int_equal(rmdir(home_path("it")), 0);
    /* no room */
    struct rlimit was, small = {SIZE, RLIM_INFINITY};
    getrlimit(RLIMIT_FSIZE, &was);
    small.rlim_max = was.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_non_null(map_it("one"));
    assert_int_equal(last_fd, -1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(access(home_path("it.new"), F_OK), -1);
    map_it("one");
    assert_true(was_fresh && last_fd >= 0);
}

static void long_names(void **state)
{
    char name[300];
    (void)state;
    memset(name, 'n', sizeof name);
    name[252] = '\0'; /* no room for ".new" */
    assert_non_null(shared_map(test_home, name, "one", SIZE, attach, NULL));
    assert_int_equal(last_fd, -1);
    name[251] = '\0';
    assert_non_null(shared_map(test_home, name, "one", SIZE, attach, NULL));
    assert_true(last_fd >= 0);
}

static int map_and_count(void *ctx)
{
    _Atomic int *p = ctx ? ctx : (void *)map_it("one");
    (*p)++;
    return was_fresh;
}

static void exactly_one_is_the_first(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        unlink(home_path("it"));
        assert_int_equal(children_sum(16, map_and_count, NULL), 1);
        assert_int_equal(*map_it("one"), 1 + 16);
    }
}

/* A maker that is killed leaves the lock and at worst a file under the other name. */
static void killed_makers(void **state)
{
    (void)state;
    for (int round = 0; round < 40; round++) {
        pid_t pid = fork();
        if (pid == 0)
            for (;;) {
                unlink(home_path("it"));
                map_it("one");
            }
        usleep(1000 + (useconds_t)round * 100);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        alarm(20);
        int *p = map_it("one");
        assert_true(p && *p == 1 && last_fd >= 0);
        alarm(0);
        munmap((char *)p - 128, SIZE + 128);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, home_make, home_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(first_makes_next_finds), T(other_layout_is_another_file), T(damaged_files_are_replaced), T(boot_matters),
        T(own_memory_without_a_file), T(long_names), T(exactly_one_is_the_first), T(killed_makers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>

#include "base/arena.h"

static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static void is_zeroed(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(p[i], 0);
}

/* Sizes around what decides where an allocation goes. */
static const size_t sizes[] = {0, 1, 15, 16, 17, 255, 4079, 4080, 4095, 4096, 4097, 8191, 8192, 32768, 1000000};

enum { SIZES = sizeof sizes / sizeof *sizes };

static void test_alloc_is_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        unsigned char *blocks[SIZES];
        for (size_t i = 0; i < SIZES; i++) {
            blocks[i] = arena_alloc(arena, sizes[i]);
            assert_int_equal((uintptr_t)blocks[i] % 16, 0);
            is_zeroed(blocks[i], sizes[i]);
            memset(blocks[i], (int)i + 1, sizes[i]);
        }
        for (size_t i = 0; i < SIZES; i++)
            for (size_t b = 0; b < sizes[i]; b++)
                assert_int_equal(blocks[i][b], i + 1);
        arena_clear(arena);
    }
}

static void test_many_small_allocations(void **state)
{
    (void)state;
    char *strings[5000];
    for (int i = 0; i < 5000; i++)
        strings[i] = arena_printf(arena, "%d", i);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(strtol(strings[i], NULL, 10), i);
}

static void test_clear_keeps_the_first_chunk(void **state)
{
    (void)state;
    void *before = arena_alloc(arena, 100);
    arena_alloc(arena, 100000);
    arena_clear(arena);
    assert_ptr_equal(arena_alloc(arena, 100), before);
}

/* Full of other bytes before, in chunks that are kept and in some that are not. */
static void test_reused_memory_is_zeroed(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 300; i++) {
            unsigned char *p = arena_alloc(arena, 500);
            is_zeroed(p, 500);
            memset(p, 0xA5, 500);
        }
        arena_clear(arena);
    }
}

/* 50 kB fit into the chunks that are kept: the second request gets the very same memory. */
static void test_clear_keeps_later_chunks(void **state)
{
    (void)state;
    char *seen[2][100];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 100; i++)
            seen[round][i] = arena_alloc(arena, 500);
        arena_clear(arena);
    }
    for (int i = 0; i < 100; i++) {
        int j = 0;
        while (j < 100 && seen[1][j] != seen[0][i])
            j++;
        assert_true(j < 100);
    }
}

static void test_copies(void **state)
{
    (void)state;
    assert_null(arena_strdup(arena, NULL));
    assert_string_equal(arena_strdup(arena, ""), "");
    assert_string_equal(arena_strdup(arena, "abc"), "abc");
    assert_string_equal(arena_strndup(arena, "abcdef", 3), "abc");
    assert_string_equal(arena_strndup(arena, "ab", 3), "ab");
    assert_string_equal(arena_strndup(arena, "ab", 0), "");
    assert_memory_equal(arena_memdup(arena, "a\0b", 3), "a\0b", 3);
    assert_non_null(arena_memdup(arena, NULL, 0));
}

static void test_printf(void **state)
{
    (void)state;
    assert_string_equal(arena_printf(arena, "%s-%d", "x", 7), "x-7");
    char *wide = arena_printf(arena, "%9000d", 1);
    assert_int_equal(strlen(wide), 9000);
    assert_int_equal(wide[8999], '1');
    for (int width = 254; width <= 257; width++) {
        wide = arena_printf(arena, "%*d", width, 7);
        assert_int_equal(strlen(wide), width);
        assert_int_equal(wide[width - 1], '7');
    }
    assert_string_equal(arena_printf(arena, "%s", ""), "");
    assert_string_equal(arena_printf(arena, "plain"), "plain");
    assert_string_equal(arena_printf(arena, "%s:%s%s.", "a", "", "bc"), "a:bc.");
    assert_string_equal(arena_printf(arena, "%s%%%s%.1s", "a", "b", "cd"), "a%bc");
    wide = memset(arena_alloc(arena, 9001), 'x', 9000);
    assert_int_equal(strlen(arena_printf(arena, "<%s>", wide)), 9002);
}

static void test_array(void **state)
{
    (void)state;
    int *numbers = ARENA_ARRAY(arena, int, 3000);
    is_zeroed((unsigned char *)numbers, 3000 * sizeof *numbers);
    numbers[2999] = 1;
}

static char order[16];

static void note(void *p)
{
    size_t n = strlen(order);
    order[n] = *(const char *)p;
    order[n + 1] = 0;
}

static void test_deferred_calls_run_once_in_reverse(void **state)
{
    (void)state;
    order[0] = 0;
    arena_defer(arena, note, "a");
    arena_defer(arena, note, "b");
    arena_defer(arena, note, "c");
    arena_clear(arena);
    assert_string_equal(order, "cba");
    arena_clear(arena);
    assert_string_equal(order, "cba");
    arena_defer(arena, note, "d");
    arena_free(arena);
    arena = arena_new();
    assert_string_equal(order, "cbad");
}

static void defer_another(void *p)
{
    arena_defer(p, note, "x");
}

static void test_a_deferred_call_may_defer(void **state)
{
    (void)state;
    order[0] = 0;
    arena_defer(arena, note, "a");
    arena_defer(arena, defer_another, arena);
    arena_clear(arena);
    assert_string_equal(order, "xa");
}

static void test_free_takes_null(void **state)
{
    (void)state;
    arena_free(NULL);
}

/* Runs fn in a child with its standard error caught; the child must abort and name event 1001. */
static void dies_out_of_memory(void (*fn)(void))
{
    int ends[2], status;
    char text[1024] = {0};
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    close(ends[1]);
    assert_true(read(ends[0], text, sizeof text - 1) > 0);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(text, "1001"));
}

static void ask_for_everything(void)
{
    arena_alloc(arena, SIZE_MAX);
}

static void ask_for_a_wrapping_array(void)
{
    arena_array(arena, SIZE_MAX / 4, 8);
}

static void test_out_of_memory_ends_the_process(void **state)
{
    (void)state;
    dies_out_of_memory(ask_for_everything);
    dies_out_of_memory(ask_for_a_wrapping_array);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_alloc_is_zeroed_aligned_and_apart),
        TEST(test_many_small_allocations),
        TEST(test_clear_keeps_the_first_chunk),
        TEST(test_reused_memory_is_zeroed),
        TEST(test_clear_keeps_later_chunks),
        TEST(test_copies),
        TEST(test_printf),
        TEST(test_array),
        TEST(test_deferred_calls_run_once_in_reverse),
        TEST(test_a_deferred_call_may_defer),
        TEST(test_free_takes_null),
        TEST(test_out_of_memory_ends_the_process),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}

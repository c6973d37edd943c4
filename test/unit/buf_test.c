#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"

static void is_text(const struct buf *b, const char *text)
{
    assert_string_equal(buf_str(b), text);
    assert_int_equal(b->len, strlen(text));
}

static void test_empty(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(10);
    is_text(&b, "");
    assert_null(b.data);
    assert_true(buf_add(&b, NULL, 0));
    assert_null(b.data);
    buf_consume(&b, 5);
    buf_clear(&b);
    is_text(&b, "");
    buf_release(&b);
}

static void test_additions(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    assert_true(buf_adds(&b, "one"));
    assert_true(buf_addc(&b, ' '));
    assert_true(buf_add(&b, "two!", 3));
    assert_true(buf_addf(&b, " %d%s", 3, "x"));
    is_text(&b, "one two 3x");
    assert_true(buf_add(&b, "\0z", 2));
    assert_int_equal(b.len, 12);
    assert_int_equal(b.data[12], 0);
    buf_release(&b);
    assert_null(b.data);
    assert_int_equal(b.max, 1000);
    assert_true(buf_adds(&b, "again"));
    is_text(&b, "again");
    buf_release(&b);
}

static void test_integers(void **state)
{
    (void)state;
    static const int64_t values[] = {0, 1, -1, 9, 10, -10, 99, 100, 12345, INT32_MIN, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct buf b = BUF_INIT(100), printed = BUF_INIT(100);
        assert_true(buf_addi(&b, values[i]));
        assert_true(buf_addf(&printed, "%lld", (long long)values[i]));
        is_text(&b, printed.data);
        buf_release(&b);
        buf_release(&printed);
    }
    struct buf small = BUF_INIT(3);
    assert_false(buf_addi(&small, 1000));
    is_text(&small, "");
    buf_release(&small);
}

static void test_max_and_one_past(void **state)
{
    (void)state;
    static const size_t limits[] = {0, 1, 5, 255, 256, 257, 511, 512, 100000};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct buf b = BUF_INIT(limits[i]);
        for (size_t n = 0; n < limits[i]; n++)
            assert_true(buf_addc(&b, 'x'));
        assert_int_equal(b.len, limits[i]);
        assert_true(buf_add(&b, "", 0));
        assert_false(b.failed);
        assert_true(b.cap <= limits[i] + 1);
        assert_false(buf_addc(&b, 'x'));
        assert_true(b.failed);
        assert_int_equal(b.len, limits[i]);
        assert_int_equal(strlen(buf_str(&b)), limits[i]);
        buf_release(&b);
    }
}

static void test_failure_is_lasting_until_clear(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(4);
    assert_true(buf_adds(&b, "ab"));
    assert_false(buf_adds(&b, "cde"));
    assert_false(buf_addc(&b, 'c'));
    assert_false(buf_add(&b, "", 0));
    assert_false(buf_addf(&b, "c"));
    assert_false(buf_reserve(&b, 0));
    is_text(&b, "ab");
    buf_clear(&b);
    is_text(&b, "");
    assert_true(buf_adds(&b, "abcd"));
    is_text(&b, "abcd");
    buf_release(&b);
}

static void test_formatted_at_the_limit(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(300);
    assert_true(buf_addf(&b, "%255d", 1)); /* just fills the first allocation */
    assert_int_equal(b.len, 255);
    assert_true(buf_addf(&b, "%45d", 2));
    assert_int_equal(b.len, 300);
    assert_true(buf_addf(&b, "%s", ""));
    assert_false(buf_addf(&b, "%d", 3));
    assert_true(b.failed);
    assert_int_equal(strlen(buf_str(&b)), 300);
    buf_release(&b);
}

static void test_formatted_failure_leaves_the_text(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(20);
    assert_true(buf_adds(&b, "head"));
    assert_false(buf_addf(&b, "%100d", 3));
    is_text(&b, "head");
    buf_release(&b);
}

static void test_reserve(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(600);
    assert_true(buf_reserve(&b, 600));
    memset(b.data + b.len, 'y', 600);
    b.len += 600;
    b.data[b.len] = 0;
    assert_int_equal(strlen(buf_str(&b)), 600);
    assert_true(buf_reserve(&b, 0));
    assert_false(buf_reserve(&b, 1));
    buf_release(&b);
}

static void test_huge_requests_fail(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(SIZE_MAX);
    assert_true(buf_adds(&b, "a"));
    assert_false(buf_reserve(&b, SIZE_MAX));
    is_text(&b, "a");
    buf_clear(&b);
    assert_false(buf_reserve(&b, PTRDIFF_MAX));
    buf_release(&b);
}

static void test_growth_is_geometric(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(1 << 20);
    int moves = 0;
    size_t cap = 0;
    for (int i = 0; i < 1 << 20; i++) {
        buf_addc(&b, 'x');
        moves += b.cap != cap;
        cap = b.cap;
    }
    assert_int_equal(b.len, 1 << 20);
    assert_in_range(moves, 2, 20);
    buf_release(&b);
}

static void test_consume(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(20);
    buf_adds(&b, "abcdef");
    buf_consume(&b, 0);
    is_text(&b, "abcdef");
    buf_consume(&b, 2);
    is_text(&b, "cdef");
    buf_consume(&b, 4);
    is_text(&b, "");
    buf_adds(&b, "xy");
    buf_consume(&b, 3);
    is_text(&b, "");
    buf_release(&b);
}

static void test_arena_owns(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct buf *b = buf_new(a, 1000);
    assert_true(buf_adds(b, "released with the arena, or the leak checker speaks up"));
    assert_int_equal(b->max, 1000);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_additions),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_max_and_one_past),
        cmocka_unit_test(test_failure_is_lasting_until_clear),
        cmocka_unit_test(test_formatted_at_the_limit),
        cmocka_unit_test(test_formatted_failure_leaves_the_text),
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_huge_requests_fail),
        cmocka_unit_test(test_growth_is_geometric),
        cmocka_unit_test(test_consume),
        cmocka_unit_test(test_arena_owns),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}

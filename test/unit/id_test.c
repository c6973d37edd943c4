#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/id.h"
#include "test/unit/rule.h"

static void test_uuid_form(void **state)
{
    (void)state;
    char id[UUID_SIZE], copy[UUID_SIZE], hex[33];
    unsigned char raw[16];
    int64_t before = clock_ms();
    uuid_new(id);
    int64_t after = clock_ms();
    assert_int_equal(strlen(id), UUID_LEN);
    assert_true(uuid_parse(id, copy));
    assert_string_equal(id, copy); /* lower case already */
    assert_int_equal(id[14], '7');
    assert_non_null(strchr("89ab", id[19]));
    uuid_hex(id, hex);
    assert_int_equal(strlen(hex), 32);
    assert_true(hex_decode(hex, 32, raw));
    int64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | raw[i];
    assert_true(ms >= before && ms <= after);
}

static void test_uuid_rises(void **state)
{
    (void)state;
    char last[UUID_SIZE] = "", id[UUID_SIZE];
    for (int i = 0; i < 100000; i++) {
        uuid_new(id);
        if (strcmp(id, last) <= 0)
            fail_msg("%s after %s", id, last);
        memcpy(last, id, UUID_SIZE);
    }
}

enum { THREADS = 4, PER_THREAD = 20000 };

static char ids[THREADS][PER_THREAD][UUID_SIZE];

static void *draw(void *p)
{
    char(*mine)[UUID_SIZE] = p;
    for (int i = 0; i < PER_THREAD; i++)
        uuid_new(mine[i]);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void test_uuid_in_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, draw, ids[t]), 0);
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    for (int t = 0; t < THREADS; t++)
        for (int i = 1; i < PER_THREAD; i++)
            assert_true(strcmp(ids[t][i - 1], ids[t][i]) < 0);
    char *all = (char *)ids;
    qsort(all, (size_t)THREADS * PER_THREAD, UUID_SIZE, compare);
    for (size_t i = 1; i < (size_t)THREADS * PER_THREAD; i++)
        assert_string_not_equal(all + (i - 1) * UUID_SIZE, all + i * UUID_SIZE);
}

/* Parent and children go on from the same state; none may give what another gives. */
static void test_uuid_after_fork(void **state)
{
    (void)state;
    enum { CHILDREN = 8, EACH = 50 };
    static char drawn[(CHILDREN + 1) * EACH][UUID_SIZE];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    char id[UUID_SIZE];
    uuid_new(id);
    for (int c = 0; c < CHILDREN; c++) {
        if (fork() == 0) {
            for (int i = 0; i < EACH; i++) {
                uuid_new(id);
                if (write(ends[1], id, UUID_SIZE) != UUID_SIZE)
                    _exit(1);
            }
            _exit(0);
        }
    }
    for (int i = 0; i < EACH; i++)
        uuid_new(drawn[CHILDREN * EACH + i]);
    for (int i = 0; i < CHILDREN * EACH; i++)
        assert_int_equal(read(ends[0], drawn[i], UUID_SIZE), UUID_SIZE);
    while (wait(NULL) > 0)
        continue;
    close(ends[0]);
    close(ends[1]);
    qsort(drawn, (CHILDREN + 1) * EACH, UUID_SIZE, compare);
    for (size_t i = 1; i < (CHILDREN + 1) * EACH; i++) {
        assert_string_not_equal(drawn[i - 1], drawn[i]);
        assert_memory_not_equal(drawn[i - 1] + 14, drawn[i] + 14, UUID_LEN - 14); /* the time apart, too */
    }
}

static void test_uuid_parse(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "0193a5b0-7000-7000-8000-00000000000",
        "0193a5b0-7000-7000-8000-0000000000011",
        "0193a5b070007000800000000000000000001",
        "0193a5b0x7000-7000-8000-000000000001",
        "0193a5b0-7000-7000-8000-00000000000g",
        "0193a5b0-7000-7000-80000-00000000001",
        "{193a5b0-7000-7000-8000-00000000001}",
        " 193a5b0-7000-7000-8000-000000000001",
        "0193a5b0-7000-7000-8000-000000000001 ",
        "@193a5b0-7000-7000-8000-000000000001",
    };
    char out[UUID_SIZE] = "untouched";
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (uuid_parse(bad[i], out))
            fail_msg("%s", bad[i]);
    assert_false(uuid_parse(NULL, out));
    assert_string_equal(out, "untouched");
    assert_true(uuid_parse("0193A5B0-7000-7000-8000-00000000000F", out));
    assert_string_equal(out, "0193a5b0-7000-7000-8000-00000000000f");
    assert_true(uuid_parse(MASTER_TENANT_ID, NULL));
    char hex[33];
    uuid_hex(MASTER_TENANT_ID, hex);
    assert_string_equal(hex, "0193a5b0700070008000000000000001");
}

static void test_slug(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "0", "a-b", "a--b", "my-agent-2", "abc"};
    static const char *const bad[] = {"", "-", "-a", "a-", "A", "a_b", "a b", "a.b", "\xC3\xA9", "a/b", "a\n"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!slug_valid(good[i]))
            fail_msg("%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (slug_valid(bad[i]))
            fail_msg("%s", bad[i]);
    assert_false(slug_valid(NULL));
    char slug[102];
    memset(slug, 'a', sizeof slug);
    slug[100] = 0;
    assert_true(slug_valid(slug));
    slug[100] = 'a';
    slug[101] = 0;
    assert_false(slug_valid(slug));
}

static void test_hex(void **state)
{
    (void)state;
    unsigned char bytes[256], back[256];
    char text[513];
    for (int i = 0; i < 256; i++)
        bytes[i] = (unsigned char)i;
    hex_encode(bytes, sizeof bytes, text);
    assert_int_equal(strlen(text), 512);
    assert_memory_equal(text, "000102", 6);
    assert_string_equal(text + 508, "feff");
    assert_true(hex_decode(text, 512, back));
    assert_memory_equal(bytes, back, sizeof bytes);
    assert_true(hex_decode("aBFf", 4, back));
    assert_memory_equal(back, "\xAB\xFF", 2);
    assert_true(hex_decode("", 0, back));
    assert_false(hex_decode("abc", 3, back));
    assert_false(hex_decode("0g", 2, back));
    assert_false(hex_decode("g0", 2, back));
    assert_false(hex_decode("0 ", 2, back));
    hex_encode(bytes, 0, text);
    assert_string_equal(text, "");
}

static void test_random_bytes(void **state)
{
    (void)state;
    unsigned char a[32] = {0}, b[32] = {0}, none = 7;
    random_bytes(a, sizeof a);
    random_bytes(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    random_bytes(&none, 0);
    assert_int_equal(none, 7);
    static unsigned char large[1000]; /* more than one call of the kernel is guaranteed to give */
    random_bytes(large, sizeof large);
    int zeros = 0;
    for (size_t i = 0; i < sizeof large; i++)
        zeros += large[i] == 0;
    assert_in_range(zeros, 0, 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TEST("12.1", test_uuid_form),       cmocka_unit_test(test_uuid_rises),
        cmocka_unit_test(test_uuid_in_threads), cmocka_unit_test(test_uuid_after_fork),
        RULE_TEST("12.1", test_uuid_parse),      RULE_TEST("12.1", test_slug),
        cmocka_unit_test(test_hex),             cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests_name("id", tests, NULL, NULL);
}

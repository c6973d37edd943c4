/* Values built once, used by many, forgotten when configuration changes. */
#include "store_fixture.h"

#include <pthread.h>

#include "store/memo.h"

SQL(rename_tenant, "UPDATE tenants SET name = name || 'x'");

struct source {
    int built;
    enum db_rc rc;
    const char *text;
};

static enum db_rc build(void *ctx, struct arena *a, void **value)
{
    struct source *src = ctx;
    src->built++;
    *value = arena_strdup(a, src->text);
    return src->rc;
}

struct made {
    struct fresh *fresh;
    struct memo *memo;
};

static struct made made(struct store *s, size_t max)
{
    struct made m = {.fresh = fresh_open(s->path)};
    assert_non_null(m.fresh);
    m.memo = memo_new(m.fresh, max);
    assert_non_null(m.memo);
    return m;
}

static void unmake(struct made *m)
{
    memo_free(m->memo);
    fresh_close(m->fresh);
}

static const char *get(struct memo *m, struct arena *pin, const char *key, struct source *src)
{
    void *value = NULL;
    assert_int_equal(memo_get(m, pin, key, strlen(key), build, src, &value), DB_ROW);
    return value;
}

static void test_a_value_is_built_once_a_key(void **state)
{
    struct store *s = *state;
    struct made m = made(s, 10);
    struct source src = {.rc = DB_ROW, .text = "one"};
    assert_string_equal(get(m.memo, s->a, "k1", &src), "one");
    src.text = "two";
    assert_string_equal(get(m.memo, s->a, "k1", &src), "one");
    assert_string_equal(get(m.memo, s->a, "k2", &src), "two");
    assert_int_equal(src.built, 2);
    arena_clear(s->a);
    unmake(&m);
}

static void test_a_change_makes_it_build_anew_and_leaves_the_old_one_to_its_users(void **state)
{
    struct store *s = *state;
    struct made m = made(s, 10);
    struct source src = {.rc = DB_ROW, .text = "before"};
    const char *old = get(m.memo, s->a, "k", &src);
    assert_int_equal(db_exec(s->db, &rename_tenant, ""), DB_OK);
    src.text = "after";
    struct arena *other = arena_new();
    assert_string_equal(get(m.memo, other, "k", &src), "after");
    assert_string_equal(old, "before");
    arena_free(other);
    arena_clear(s->a);
    unmake(&m);
}

static void test_a_change_while_it_is_built_makes_it_build_again(void **state)
{
    struct store *s = *state;
    struct made m = made(s, 10);
    struct source src = {.rc = DB_ROW, .text = "early"};
    assert_int_equal(db_begin(s->db), DB_OK);
    assert_int_equal(db_exec(s->db, &rename_tenant, ""), DB_OK);
    get(m.memo, s->a, "k", &src); /* reads what was there before the commit */
    assert_int_equal(db_commit(s->db), DB_OK);
    src.text = "late";
    assert_string_equal(get(m.memo, s->a, "k", &src), "late");
    arena_clear(s->a);
    unmake(&m);
}

static void test_what_is_not_found_is_not_kept(void **state)
{
    struct store *s = *state;
    struct made m = made(s, 10);
    struct source src = {.rc = DB_OK, .text = ""};
    void *value = NULL;
    assert_int_equal(memo_get(m.memo, s->a, "k", 1, build, &src, &value), DB_OK);
    src.rc = DB_BUSY;
    assert_int_equal(memo_get(m.memo, s->a, "k", 1, build, &src, &value), DB_BUSY);
    src.rc = DB_ROW;
    get(m.memo, s->a, "k", &src);
    assert_int_equal(src.built, 3);
    arena_clear(s->a);
    unmake(&m);
}

static void test_it_never_holds_more_than_its_maximum(void **state)
{
    struct store *s = *state;
    struct made m = made(s, 4);
    struct source src = {.rc = DB_ROW, .text = "v"};
    static const char *const keys[] = {"a", "b", "c", "d"};
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < 4; i++)
            get(m.memo, s->a, keys[i], &src);
    assert_int_equal(src.built, 4);
    get(m.memo, s->a, "e", &src); /* one past it: begun anew */
    get(m.memo, s->a, "e", &src);
    get(m.memo, s->a, "a", &src);
    assert_int_equal(src.built, 6);
    arena_clear(s->a);
    unmake(&m);
}

static void test_without_a_memo_everything_is_built(void **state)
{
    struct store *s = *state;
    struct source src = {.rc = DB_ROW, .text = "v"};
    get(NULL, s->a, "k", &src);
    get(NULL, s->a, "k", &src);
    struct memo *deaf = memo_new(NULL, 4);
    get(deaf, s->a, "k", &src);
    get(deaf, s->a, "k", &src);
    assert_int_equal(src.built, 4);
    memo_free(deaf);
}

static void *use_it(void *arg)
{
    struct made *m = arg;
    struct arena *a = arena_new();
    for (int i = 0; i < 2000; i++) {
        struct source src = {.rc = DB_ROW, .text = "shared"};
        const char *key = i % 3 ? "x" : "y";
        if (strcmp(get(m->memo, a, key, &src), "shared") != 0)
            abort();
        if (i % 7 == 0)
            fresh_raise(m->fresh);
        arena_clear(a);
    }
    arena_free(a);
    return NULL;
}

static void test_many_threads_at_once(void **state)
{
    struct made m = made(*state, 1);
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, use_it, &m), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    unmake(&m);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, store_set_up, store_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_value_is_built_once_a_key),
        TEST(a_change_makes_it_build_anew_and_leaves_the_old_one_to_its_users),
        TEST(a_change_while_it_is_built_makes_it_build_again),
        TEST(what_is_not_found_is_not_kept),
        TEST(it_never_holds_more_than_its_maximum),
        TEST(without_a_memo_everything_is_built),
        TEST(many_threads_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

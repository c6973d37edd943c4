/* Threads that leave by themselves: nothing of them is left once they were joined. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <time.h>

#include "base/leavers.h"

enum { THREADS = 40, AFTERWARDS_MS = 20 };

struct crowd {
    pthread_mutex_t lock;
    pthread_cond_t over;
    int here;
    struct leavers left;
};

static pthread_key_t key;
static atomic_int gone;

/* What libraries do with what they keep for a thread, only slower. */
static void free_slowly(void *value)
{
    (void)value;
    nanosleep(&(struct timespec){.tv_nsec = AFTERWARDS_MS * 1000000}, NULL);
    atomic_fetch_add(&gone, 1);
}

static void *member(void *arg)
{
    struct crowd *c = arg;
    pthread_setspecific(key, c);
    pthread_mutex_lock(&c->lock);
    c->here--;
    pthread_cond_signal(&c->over);
    struct leavers before = leavers_add(&c->left);
    pthread_mutex_unlock(&c->lock);
    leavers_join(before);
    return NULL;
}

static void run_crowd(int threads)
{
    struct crowd c = {.lock = PTHREAD_MUTEX_INITIALIZER, .over = PTHREAD_COND_INITIALIZER, .here = threads};
    atomic_store(&gone, 0);
    for (int i = 0; i < threads; i++) {
        pthread_t t;
        assert_int_equal(pthread_create(&t, NULL, member, &c), 0);
    }
    pthread_mutex_lock(&c.lock);
    while (c.here)
        pthread_cond_wait(&c.over, &c.lock);
    pthread_mutex_unlock(&c.lock);
    leavers_join(c.left);
    assert_int_equal(atomic_load(&gone), threads);
}

static void nobody(void **state)
{
    (void)state;
    run_crowd(0);
}

static void one(void **state)
{
    (void)state;
    run_crowd(1);
}

static void many_at_once(void **state)
{
    (void)state;
    run_crowd(THREADS);
}

int main(void)
{
    pthread_key_create(&key, free_slowly);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody),
        cmocka_unit_test(one),
        cmocka_unit_test(many_at_once),
    };
    return cmocka_run_group_tests_name("leavers", tests, NULL, NULL);
}

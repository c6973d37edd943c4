#include "store/memo.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/id.h"

enum { BUCKETS = 256 };

struct entry {
    struct entry *next;
    struct fresh_stamp stamp;
    struct arena *arena; /* of the entry itself, too */
    void *value;
    const char *key;
    size_t key_len;
    uint64_t hash;
    atomic_int users; /* the table is one */
};

struct memo {
    const struct fresh *fresh;
    size_t max, count;
    pthread_mutex_t lock;
    unsigned char seed[HASH_SEED_SIZE];
    struct entry *buckets[BUCKETS];
};

struct memo *memo_new(const struct fresh *fresh, size_t max)
{
    struct memo *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->fresh = fresh;
    m->max = max;
    pthread_mutex_init(&m->lock, NULL);
    random_bytes(m->seed, sizeof m->seed);
    return m;
}

static void entry_release(void *p)
{
    struct entry *e = p;
    if (atomic_fetch_sub(&e->users, 1) == 1)
        arena_free(e->arena);
}

static void forget_all(struct memo *m)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct entry *e = m->buckets[i], *next; e; e = next) {
            next = e->next;
            entry_release(e);
        }
        m->buckets[i] = NULL;
    }
    m->count = 0;
}

void memo_free(struct memo *m)
{
    if (!m)
        return;
    forget_all(m);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* With the lock held. The place that holds the key, or the end of its chain. */
static struct entry **place_of(struct memo *m, uint64_t hash, const char *key, size_t key_len)
{
    struct entry **at = &m->buckets[hash % BUCKETS];
    while (*at && !((*at)->hash == hash && (*at)->key_len == key_len && memcmp((*at)->key, key, key_len) == 0))
        at = &(*at)->next;
    return at;
}

/* Pinned, or NULL. */
static struct entry *find(struct memo *m, uint64_t hash, const char *key, size_t key_len)
{
    pthread_mutex_lock(&m->lock);
    struct entry *e = *place_of(m, hash, key, key_len);
    if (e && fresh_holds(m->fresh, &e->stamp))
        atomic_fetch_add(&e->users, 1);
    else
        e = NULL;
    pthread_mutex_unlock(&m->lock);
    return e;
}

/* Takes the place of an older one. */
static void put(struct memo *m, struct entry *e)
{
    pthread_mutex_lock(&m->lock);
    struct entry **at = place_of(m, e->hash, e->key, e->key_len);
    struct entry *old = *at;
    if (old) {
        *at = old->next;
        m->count--;
        entry_release(old);
    } else if (m->count >= m->max) {
        forget_all(m);
    }
    struct entry **first = &m->buckets[e->hash % BUCKETS];
    e->next = *first;
    *first = e;
    m->count++;
    pthread_mutex_unlock(&m->lock);
}

enum db_rc memo_get(struct memo *m, struct arena *pin, const char *key, size_t key_len, memo_build *build, void *ctx,
                    void **value)
{
    if (!m || !m->fresh)
        return build(ctx, pin, value);
    uint64_t hash = hash_seeded(m->seed, key, key_len);
    struct entry *e = find(m, hash, key, key_len);
    if (!e) {
        struct arena *a = arena_new();
        struct fresh_stamp stamp = fresh_stamp(m->fresh); /* before anything is read */
        void *built = NULL;
        enum db_rc rc = build(ctx, a, &built);
        if (rc != DB_ROW) {
            arena_free(a);
            return rc;
        }
        e = ARENA_NEW(a, struct entry);
        e->stamp = stamp;
        e->arena = a;
        e->value = built;
        e->key = arena_memdup(a, key, key_len);
        e->key_len = key_len;
        e->hash = hash;
        atomic_init(&e->users, 2);
        put(m, e);
    }
    arena_defer(pin, entry_release, e);
    *value = e->value;
    return DB_ROW;
}

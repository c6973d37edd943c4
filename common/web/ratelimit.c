#include "web/ratelimit.h"

#include <errno.h>
#include <pthread.h>
#include <stdalign.h>

#include "base/hash.h"
#include "base/id.h"
#include "base/log.h"
#include "base/shared.h"

#define SECOND_NS INT64_C(1000000000)

struct entry {
    uint64_t key;    /* hash of the key, 0 = never used */
    int64_t full_ns; /* when the bucket is full again */
};

/* An entry is searched in one set only, under the set's lock. */
struct set {
    alignas(64) pthread_mutex_t lock;
    struct entry entries[RATELIMIT_WAYS];
};

struct table {
    unsigned char seed[HASH_SEED_SIZE];
    struct set sets[RATELIMIT_SETS];
};

struct ratelimit {
    struct table *table;
    int64_t token_ns; /* time in which one token comes */
};

/* A robust lock of a dead process is handed to the next who asks. */
static void table_attach(void *memory, bool fresh, int fd, void *ctx)
{
    struct table *t = memory;
    (void)fd;
    (void)ctx;
    if (!fresh)
        return;
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    for (size_t i = 0; i < RATELIMIT_SETS; i++)
        pthread_mutex_init(&t->sets[i].lock, &attr);
    pthread_mutexattr_destroy(&attr);
    random_bytes(t->seed, sizeof t->seed);
}

struct ratelimit *ratelimit_open(const char *home, int64_t rpm)
{
    char layout[64];
    if (rpm <= 0)
        return NULL;
    snprintf(layout, sizeof layout, "ratelimit 1, locks of %zu bytes", sizeof(pthread_mutex_t));
    struct ratelimit *r = malloc(sizeof *r);
    if (!r)
        return NULL;
    r->token_ns = 60 * SECOND_NS / rpm;
    r->table = shared_map(home, "ratelimit.shm", layout, sizeof *r->table, table_attach, NULL);
    if (r->table)
        return r;
    free(r);
    return NULL;
}

void ratelimit_free(struct ratelimit *r)
{
    free(r);
}

/* Whatever a dead process left behind is a valid state: two numbers, each of them written at once. */
static bool set_lock(struct set *s)
{
    int rc = pthread_mutex_lock(&s->lock);
    if (rc == EOWNERDEAD)
        rc = pthread_mutex_consistent(&s->lock);
    if (rc != 0)
        log_event(LOG_ERROR, 3602, "ratelimit.lock", LOG_I, "errno", (int64_t)rc, LOG_END);
    return rc == 0;
}

/* The key's entry, else the one that is given to it: the one that is full first. */
static struct entry *entry_find(struct set *s, uint64_t key)
{
    struct entry *fullest = &s->entries[0];
    for (size_t i = 0; i < RATELIMIT_WAYS; i++) {
        struct entry *e = &s->entries[i];
        if (e->key == key)
            return e;
        if (e->full_ns < fullest->full_ns)
            fullest = e;
    }
    return fullest;
}

bool ratelimit_take_at(struct ratelimit *r, const char *key, int64_t now_ns)
{
    if (!r)
        return true;
    uint64_t hash = hash_seeded(r->table->seed, key, strlen(key));
    struct set *s = &r->table->sets[hash % RATELIMIT_SETS];
    if (hash == 0)
        hash = 1;
    if (!set_lock(s))
        return true;
    struct entry *e = entry_find(s, hash);
    int64_t full = e->key == hash ? e->full_ns : now_ns;
    int64_t when_empty = now_ns + RATELIMIT_BURST * r->token_ns;
    if (full < now_ns)
        full = now_ns;
    if (full > when_empty) /* counted at a lower rate, before the settings changed */
        full = when_empty;
    bool taken = full + r->token_ns <= when_empty;
    e->full_ns = taken ? full + r->token_ns : full;
    e->key = hash;
    pthread_mutex_unlock(&s->lock);
    return taken;
}

bool ratelimit_take(struct ratelimit *r, const char *key)
{
    struct timespec ts;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return ratelimit_take_at(r, key, ts.tv_sec * SECOND_NS + ts.tv_nsec);
}

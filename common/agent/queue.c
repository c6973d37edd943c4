#include "agent/queue.h"

#include <pthread.h>

#include "base/clock.h"

/* How often a waiter looks at its cancel token; a handover wakes it at once. */
enum { LOOK_MS = 100, TICK_MS = 1000, FOREIGN_LOCK_MS = 20, BUCKETS = 1024 };

struct waiter {
    struct waiter *next;
    pthread_cond_t turn;
    bool mine;
};

struct line {
    struct line *next;
    struct waiter *first, **last;
    int waiting;
    char name[]; /* tenant, line feed, session key */
};

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t slot_free;
    size_t slots, taken;
    struct locks *locks;
    struct line *bucket[BUCKETS];
};

static void cond_init_monotonic(pthread_cond_t *c)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
}

static void cond_wait_ms(pthread_cond_t *c, pthread_mutex_t *m, int ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += (long)ms * 1000000L;
    t.tv_sec += t.tv_nsec / 1000000000L;
    t.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(c, m, &t);
}

struct queue *queue_new(size_t slots, struct locks *locks)
{
    struct queue *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    pthread_mutex_init(&q->lock, NULL);
    cond_init_monotonic(&q->slot_free);
    q->slots = slots;
    q->locks = locks;
    return q;
}

void queue_free(struct queue *q)
{
    if (!q)
        return;
    pthread_cond_destroy(&q->slot_free);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

/* Calls tick outside the lock when a second has passed. */
static void tick_if_due(struct queue *q, int64_t *last, void (*tick)(void *), void *ctx)
{
    int64_t now = clock_mono_ms();
    if (!tick || now - *last < TICK_MS)
        return;
    *last = now;
    pthread_mutex_unlock(&q->lock);
    tick(ctx);
    pthread_mutex_lock(&q->lock);
}

static enum queue_rc slot_take(struct queue *q, struct cancel *c, void (*tick)(void *), void *ctx)
{
    int64_t start = clock_mono_ms(), ticked = start;
    while (q->taken >= q->slots) {
        if (cancel_check(c) != CANCEL_NONE)
            return QUEUE_CANCELLED;
        if (clock_mono_ms() - start >= QUEUE_SLOT_WAIT_MS)
            return QUEUE_NO_SLOT;
        cond_wait_ms(&q->slot_free, &q->lock, LOOK_MS);
        tick_if_due(q, &ticked, tick, ctx);
    }
    q->taken++;
    return QUEUE_ENTERED;
}

static void slot_give(struct queue *q)
{
    q->taken--;
    pthread_cond_signal(&q->slot_free);
}

static struct line **line_find(struct queue *q, const char *name)
{
    uint64_t h = 1469598103934665603u;
    for (const char *p = name; *p; p++)
        h = (h ^ (unsigned char)*p) * 1099511628211u;
    struct line **at = &q->bucket[h % BUCKETS];
    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

static void line_remove(struct queue *q, const char *name)
{
    struct line **at = line_find(q, name), *l = *at;
    *at = l->next;
    free(l);
}

/* The first waiter gets the turn; without one the line is gone. */
static void line_pass_on(struct queue *q, const char *name)
{
    struct line *l = *line_find(q, name);
    struct waiter *w = l->first;
    if (!w) {
        line_remove(q, name);
        return;
    }
    l->first = w->next;
    if (!l->first)
        l->last = &l->first;
    l->waiting--;
    w->mine = true;
    pthread_cond_signal(&w->turn);
}

static void waiter_unlink(struct line *l, struct waiter *w)
{
    struct waiter **at = &l->first;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    if (!*at)
        l->last = at;
    l->waiting--;
}

static enum queue_rc line_enter(struct queue *q, const char *name, struct cancel *c, void (*tick)(void *), void *ctx)
{
    struct line **at = line_find(q, name);
    if (!*at) {
        size_t n = strlen(name) + 1;
        struct line *l = calloc(1, sizeof *l + n);
        if (!l)
            return QUEUE_FULL;
        memcpy(l->name, name, n);
        l->last = &l->first;
        *at = l;
        return QUEUE_ENTERED;
    }
    struct line *l = *at;
    if (l->waiting >= QUEUE_CAP)
        return QUEUE_FULL;
    struct waiter w = {0};
    cond_init_monotonic(&w.turn);
    *l->last = &w;
    l->last = &w.next;
    l->waiting++;
    int64_t ticked = clock_mono_ms();
    enum queue_rc rc = QUEUE_ENTERED;
    while (!w.mine) {
        if (cancel_check(c) != CANCEL_NONE) {
            waiter_unlink(l, &w);
            rc = QUEUE_CANCELLED;
            break;
        }
        cond_wait_ms(&w.turn, &q->lock, LOOK_MS);
        tick_if_due(q, &ticked, tick, ctx);
    }
    pthread_cond_destroy(&w.turn);
    return rc;
}

static bool line_name(char *out, size_t size, const char *tenant_id, const char *session_key)
{
    return snprintf(out, size, "%s\n%s", tenant_id, session_key) < (int)size;
}

enum queue_rc queue_enter(struct queue *q, const char *tenant_id, const char *session_key, struct cancel *c,
                          void (*tick)(void *ctx), void *ctx)
{
    char name[1024];
    if (session_key && !line_name(name, sizeof name, tenant_id, session_key))
        return QUEUE_FULL;
    pthread_mutex_lock(&q->lock);
    enum queue_rc rc = slot_take(q, c, tick, ctx);
    if (rc == QUEUE_ENTERED && session_key) {
        rc = line_enter(q, name, c, tick, ctx);
        if (rc != QUEUE_ENTERED)
            slot_give(q);
    }
    pthread_mutex_unlock(&q->lock);
    if (rc != QUEUE_ENTERED || !session_key)
        return rc;
    while (!locks_session_try(q->locks, tenant_id, session_key)) {
        if (!cancel_sleep(c, FOREIGN_LOCK_MS)) {
            pthread_mutex_lock(&q->lock);
            line_pass_on(q, name);
            slot_give(q);
            pthread_mutex_unlock(&q->lock);
            return QUEUE_CANCELLED;
        }
        if (tick)
            tick(ctx);
    }
    return QUEUE_ENTERED;
}

void queue_leave(struct queue *q, const char *tenant_id, const char *session_key)
{
    char name[1024];
    if (session_key && line_name(name, sizeof name, tenant_id, session_key)) {
        locks_session_release(q->locks, tenant_id, session_key);
        pthread_mutex_lock(&q->lock);
        line_pass_on(q, name);
    } else {
        pthread_mutex_lock(&q->lock);
    }
    slot_give(q);
    pthread_mutex_unlock(&q->lock);
}

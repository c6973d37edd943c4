#include "agent/queue.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/config.h"

/* How often a waiter looks at its cancel token; a handover wakes it at once. */
enum { LOOK_MS = 100, TICK_MS = 1000, FOREIGN_LOCK_MS = 20, BUCKETS = 1024 };

struct waiter {
    struct waiter *next;
    pthread_cond_t turn;
    bool mine;
};

/* Those who wait for one thing, first come first served. */
struct waiters {
    struct waiter *first, **last;
    int count;
};

struct line {
    struct line *next;
    struct waiters waiters;
    char name[]; /* tenant, line feed, session key */
};

struct queue {
    pthread_mutex_t lock;
    size_t slots, taken;
    size_t waiting; /* for a slot, for a session's turn or for its lock */
    struct waiters for_slot;
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
    q->for_slot.last = &q->for_slot.first;
    q->slots = slots;
    q->locks = locks;
    return q;
}

void queue_free(struct queue *q)
{
    if (!q)
        return;
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

static void waiter_unlink(struct waiters *list, struct waiter *w)
{
    struct waiter **at = &list->first;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    if (!*at)
        list->last = at;
    list->count--;
}

/* Waits until somebody hands the turn over, at most limit_ms (0 = for ever). */
static enum queue_rc wait_turn(struct queue *q, struct waiters *list, int64_t limit_ms, struct cancel *c,
                               void (*tick)(void *), void *ctx)
{
    if (q->waiting >= CONFIG_RUNS_WAITING_MAX)
        return QUEUE_NO_SLOT;
    struct waiter w = {0};
    int64_t start = clock_mono_ms(), ticked = start;
    enum queue_rc rc = QUEUE_ENTERED;
    cond_init_monotonic(&w.turn);
    *list->last = &w;
    list->last = &w.next;
    list->count++;
    q->waiting++;
    while (!w.mine && rc == QUEUE_ENTERED) {
        cond_wait_ms(&w.turn, &q->lock, LOOK_MS);
        tick_if_due(q, &ticked, tick, ctx);
        if (w.mine)
            break;
        if (cancel_check(c) != CANCEL_NONE)
            rc = QUEUE_CANCELLED;
        else if (limit_ms && clock_mono_ms() - start >= limit_ms)
            rc = QUEUE_NO_SLOT;
    }
    if (!w.mine)
        waiter_unlink(list, &w);
    q->waiting--;
    pthread_cond_destroy(&w.turn);
    return rc;
}

/* Hands the turn to the first who waits; false when nobody does. */
static bool hand_over(struct waiters *list)
{
    struct waiter *w = list->first;
    if (!w)
        return false;
    waiter_unlink(list, w);
    w->mine = true;
    pthread_cond_signal(&w->turn);
    return true;
}

static enum queue_rc slot_take(struct queue *q, struct cancel *c, void (*tick)(void *), void *ctx)
{
    if (q->taken >= q->slots)
        return wait_turn(q, &q->for_slot, QUEUE_SLOT_WAIT_MS, c, tick, ctx);
    q->taken++;
    return QUEUE_ENTERED;
}

static void slot_give(struct queue *q)
{
    if (!hand_over(&q->for_slot))
        q->taken--;
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

/* The first who waits gets the turn; without one the line is gone. */
static void line_pass_on(struct queue *q, const char *name)
{
    struct line **at = line_find(q, name), *l = *at;
    if (hand_over(&l->waiters))
        return;
    *at = l->next;
    free(l);
}

static enum queue_rc line_enter(struct queue *q, const char *name, struct cancel *c, void (*tick)(void *), void *ctx)
{
    struct line **at = line_find(q, name), *l = *at;
    if (l)
        return l->waiters.count < QUEUE_CAP ? wait_turn(q, &l->waiters, 0, c, tick, ctx) : QUEUE_FULL;
    size_t n = strlen(name) + 1;
    l = calloc(1, sizeof *l + n);
    if (!l)
        return QUEUE_FULL;
    memcpy(l->name, name, n);
    l->waiters.last = &l->waiters.first;
    *at = l;
    return QUEUE_ENTERED;
}

static bool line_name(char *out, size_t size, const char *tenant_id, const char *session_key)
{
    return snprintf(out, size, "%s\n%s", tenant_id, session_key) < (int)size;
}

static bool waiting_begin(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    bool room = q->waiting < CONFIG_RUNS_WAITING_MAX;
    q->waiting += room;
    pthread_mutex_unlock(&q->lock);
    return room;
}

static void waiting_end(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->waiting--;
    pthread_mutex_unlock(&q->lock);
}

/* The same session may run in another process (an upgrade, plain CGI): its lock is asked for until it is free. */
static enum queue_rc foreign_wait(struct queue *q, const char *tenant_id, const char *session_key, struct cancel *c,
                                  void (*tick)(void *ctx), void *ctx)
{
    if (locks_session_try(q->locks, tenant_id, session_key))
        return QUEUE_ENTERED;
    if (!waiting_begin(q))
        return QUEUE_FULL;
    int64_t ticked = clock_mono_ms();
    enum queue_rc rc = QUEUE_CANCELLED;
    while (cancel_sleep(c, FOREIGN_LOCK_MS)) {
        if (locks_session_try(q->locks, tenant_id, session_key)) {
            rc = QUEUE_ENTERED;
            break;
        }
        if (tick && clock_mono_ms() - ticked >= TICK_MS) {
            ticked = clock_mono_ms();
            tick(ctx);
        }
    }
    waiting_end(q);
    return rc;
}

static void line_leave(struct queue *q, const char *name)
{
    pthread_mutex_lock(&q->lock);
    line_pass_on(q, name);
    pthread_mutex_unlock(&q->lock);
}

enum queue_rc queue_enter(struct queue *q, const char *tenant_id, const char *session_key, struct cancel *c,
                          void (*tick)(void *ctx), void *ctx)
{
    char name[1024];
    enum queue_rc rc = QUEUE_ENTERED;
    if (session_key && !line_name(name, sizeof name, tenant_id, session_key))
        return QUEUE_FULL;
    if (session_key) {
        pthread_mutex_lock(&q->lock);
        rc = line_enter(q, name, c, tick, ctx);
        pthread_mutex_unlock(&q->lock);
        if (rc != QUEUE_ENTERED)
            return rc;
        rc = foreign_wait(q, tenant_id, session_key, c, tick, ctx);
        if (rc != QUEUE_ENTERED) {
            line_leave(q, name);
            return rc;
        }
    }
    pthread_mutex_lock(&q->lock);
    rc = slot_take(q, c, tick, ctx);
    pthread_mutex_unlock(&q->lock);
    if (rc != QUEUE_ENTERED && session_key) {
        locks_session_release(q->locks, tenant_id, session_key);
        line_leave(q, name);
    }
    return rc;
}

bool queue_claim(struct queue *q, const char *tenant_id, const char *session_key)
{
    char name[1024];
    if (!line_name(name, sizeof name, tenant_id, session_key))
        return false;
    pthread_mutex_lock(&q->lock);
    bool mine = !*line_find(q, name) && line_enter(q, name, NULL, NULL, NULL) == QUEUE_ENTERED;
    pthread_mutex_unlock(&q->lock);
    if (mine && !locks_session_try(q->locks, tenant_id, session_key)) {
        line_leave(q, name);
        mine = false;
    }
    return mine;
}

void queue_unclaim(struct queue *q, const char *tenant_id, const char *session_key)
{
    char name[1024];
    if (line_name(name, sizeof name, tenant_id, session_key)) {
        locks_session_release(q->locks, tenant_id, session_key);
        line_leave(q, name);
    }
}

void queue_leave(struct queue *q, const char *tenant_id, const char *session_key)
{
    if (session_key)
        queue_unclaim(q, tenant_id, session_key);
    pthread_mutex_lock(&q->lock);
    slot_give(q);
    pthread_mutex_unlock(&q->lock);
}

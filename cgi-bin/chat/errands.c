/* Work in the background (store/jobs.h): jobs are looked for once a second, each gets a thread of its own. A plain CGI
 * process works off what is due after its answer. */
#include "agent/session_compact.h"
#include "agent/summon.h"
#include "base/clock.h"
#include "base/leavers.h"
#include "base/log.h"
#include "chat/chat.h"
#include "store/summoning.h"

enum { AT_ONCE = 4, CLAIMS_MAX = 3, LOOK_AT = 32, STACK_BYTES = 1 << 20 };

/* Each kind has places of its own: none waits for another. */
static const struct kind {
    const char *name;
    int64_t lease_ms;
    void (*work)(struct engine *e, const struct job *j);
    void (*give_up)(struct engine *e, const struct job *j); /* it was claimed too often */
} kinds[] = {
    {JOB_SUMMON, SUMMON_LEASE_MS, summon_run, summon_give_up},
    {JOB_COMPACT, COMPACT_LEASE_MS, session_compact, session_compact_give_up},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

struct errands {
    struct engine *engine;
    pthread_mutex_t lock;
    pthread_cond_t over;
    size_t working[KINDS];
    struct leavers left;
};

struct errands *errands_new(struct engine *e)
{
    struct errands *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->engine = e;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->over, NULL);
    return s;
}

/* ---- which job ---- */

struct claim {
    struct engine *engine;
    const char *now;
    struct job job; /* id NULL = none */
    char until[TIME_TEXT_SIZE];
    bool taken;
};

/* Free: queued, or its lease is over, or its worker is gone. */
static void consider(void *ctx, const struct job *j)
{
    struct claim *c = ctx;
    bool held = j->running && j->leased_until && strcmp(j->leased_until, c->now) > 0 &&
                (j->worker == locks_worker(c->engine->locks) || locks_worker_alive(c->engine->locks, j->worker));
    if (!c->job.id && !held)
        c->job = *j;
}

static enum db_rc claim_job(struct db *db, void *arg)
{
    struct claim *c = arg;
    enum db_rc rc = job_claim(db, &c->job, locks_worker(c->engine->locks), c->until);
    c->taken = rc == DB_ROW;
    return rc == DB_ROW ? DB_OK : rc;
}

/* The next free job of that kind, claimed; id NULL when there is none. */
static struct job take(struct engine *e, struct arena *a, const struct kind *kind)
{
    struct claim c = {.engine = e};
    char now[TIME_TEXT_SIZE];
    time_format(clock_ms(), now);
    time_format(clock_ms() + kind->lease_ms, c.until);
    c.now = now;
    struct db *db = engine_db(e);
    if (db)
        jobs_due(db, a, kind->name, now, LOOK_AT, consider, &c);
    engine_db_done(e, db);
    if (!c.job.id || writer_run(e->writer, e->db, claim_job, &c) != DB_OK || !c.taken)
        return (struct job){.id = NULL};
    c.job.attempts++;
    return c.job;
}

static void work_off(struct engine *e, const struct kind *kind, const struct job *j)
{
    if (j->attempts > CLAIMS_MAX)
        kind->give_up(e, j);
    else
        kind->work(e, j);
}

/* ---- threads ---- */

struct errand {
    struct errands *owner;
    const struct kind *kind;
    struct arena *arena;
    struct job job;
};

/* A place that was entered is free again. With the lock held. */
static void leave(struct errands *s, const struct kind *kind)
{
    s->working[kind - kinds]--;
    pthread_cond_broadcast(&s->over);
}

static void *errand_run(void *arg)
{
    struct errand *errand = arg;
    struct errands *s = errand->owner;
    const struct kind *kind = errand->kind;
    work_off(s->engine, kind, &errand->job);
    arena_free(errand->arena);
    pthread_mutex_lock(&s->lock);
    leave(s, kind);
    struct leavers before = leavers_add(&s->left);
    pthread_mutex_unlock(&s->lock);
    leavers_join(before);
    return NULL;
}

static bool enter(struct errands *s, const struct kind *kind)
{
    pthread_mutex_lock(&s->lock);
    bool free_place = s->working[kind - kinds] < AT_ONCE;
    s->working[kind - kinds] += free_place;
    pthread_mutex_unlock(&s->lock);
    return free_place;
}

/* A thread for the next job; false when there is none, or no thread. */
static bool send_one(struct errands *s, const struct kind *kind)
{
    pthread_attr_t attr;
    pthread_t thread;
    struct arena *a = arena_new();
    struct errand *errand = ARENA_NEW(a, struct errand);
    *errand = (struct errand){s, kind, a, take(s->engine, a, kind)};
    if (!errand->job.id) {
        arena_free(a);
        return false;
    }
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    bool sent = pthread_create(&thread, &attr, errand_run, errand) == 0;
    pthread_attr_destroy(&attr);
    if (!sent) {
        log_event(LOG_ERROR, 5303, "job.no_thread", LOG_S, "kind", kind->name, LOG_S, "entity_id",
                  errand->job.entity_id, LOG_END);
        arena_free(a); /* the lease brings it back */
    }
    return sent;
}

static void begin_due(struct errands *s, const struct kind *kind)
{
    while (!engine_draining(s->engine) && enter(s, kind)) {
        if (!send_one(s, kind)) {
            pthread_mutex_lock(&s->lock);
            leave(s, kind);
            pthread_mutex_unlock(&s->lock);
            return;
        }
    }
}

void errands_tick(struct errands *s)
{
    for (size_t i = 0; i < KINDS; i++)
        begin_due(s, &kinds[i]);
}

static size_t working(const struct errands *s)
{
    size_t n = 0;
    for (size_t i = 0; i < KINDS; i++)
        n += s->working[i];
    return n;
}

void errands_stop(struct errands *s)
{
    if (!s)
        return;
    engine_drain(s->engine, true);
    pthread_mutex_lock(&s->lock);
    while (working(s) > 0)
        pthread_cond_wait(&s->over, &s->lock);
    pthread_mutex_unlock(&s->lock);
    leavers_join(s->left);
    pthread_cond_destroy(&s->over);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void errands_now(struct engine *e)
{
    for (size_t i = 0; i < KINDS; i++) {
        struct arena *a = arena_new();
        struct job j = take(e, a, &kinds[i]);
        for (int n = 0; j.id && n < LOOK_AT; n++) {
            work_off(e, &kinds[i], &j);
            j = take(e, a, &kinds[i]);
        }
        arena_free(a);
    }
}

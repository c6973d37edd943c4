#include "agent/engine.h"

#include <errno.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/cancels.h"
#include "store/changes.h"
#include "store/keys.h"
#include "store/runs.h"

enum { WORKERS_AT_ONCE = 256, PRUNE_AT_ONCE = 500, ANSWER_TTL_MS = 24 * 3600 * 1000,
       UNSAVED_GRACE_MS = 5 * 60 * 1000, PRUNE_EVERY_MS = 10 * 60 * 1000, PRUNE_ROUNDS = 20 };

struct engine *engine_start(const struct config *config, struct db *db, struct db_pool *pool, struct writer *writer,
                            struct memo *memo, char *err, size_t errsize)
{
    struct engine *e = calloc(1, sizeof *e);
    if (!e) {
        snprintf(err, errsize, "out of memory");
        return NULL;
    }
    e->config = config;
    e->db = db;
    e->pool = pool;
    e->writer = writer;
    e->memo = memo;
    random_bytes(&e->next_tail, sizeof e->next_tail);
    pthread_mutex_init(&e->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&e->ended, &attr);
    pthread_condattr_destroy(&attr);
    e->locks = locks_open(config->data_dir, err, errsize);
    if (e->locks)
        e->queue = queue_new((size_t)config->max_concurrent_runs, e->locks);
    if (!e->queue) {
        if (e->locks)
            snprintf(err, errsize, "out of memory");
        engine_stop(e);
        return NULL;
    }
    engine_sweep(e);
    return e;
}

void engine_stop(struct engine *e)
{
    if (!e)
        return;
    /* What the writer still has of ours ends in our memory. */
    while (atomic_load(&e->pruning) || atomic_load(&e->sweeps) > 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    queue_free(e->queue);
    locks_close(e->locks);
    pthread_cond_destroy(&e->ended);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

void engine_run_id(struct engine *e, char out[UUID_SIZE])
{
    enum { TAIL = 8 };
    char tail[TAIL + 1];
    uuid_new(out);
    snprintf(tail, sizeof tail, "%08x", __atomic_fetch_add(&e->next_tail, 1, __ATOMIC_RELAXED));
    memcpy(out + UUID_LEN - TAIL, tail, TAIL);
}

struct db *engine_db(struct engine *e)
{
    return e->pool ? db_pool_take(e->pool) : e->db;
}

void engine_db_done(struct engine *e, struct db *db)
{
    if (e->pool && db)
        db_pool_give(e->pool, db);
}

bool engine_add(struct engine *e, struct live_run *r)
{
    pthread_mutex_lock(&e->lock);
    bool ok = !e->draining;
    if (ok) {
        r->next = e->runs;
        r->prev = &e->runs;
        if (e->runs)
            e->runs->prev = &r->next;
        e->runs = r;
        e->count++;
    }
    pthread_mutex_unlock(&e->lock);
    return ok;
}

void engine_remove(struct engine *e, struct live_run *r)
{
    pthread_mutex_lock(&e->lock);
    *r->prev = r->next;
    if (r->next)
        r->next->prev = r->prev;
    e->count--;
    pthread_cond_broadcast(&e->ended);
    pthread_mutex_unlock(&e->lock);
}

void engine_phase(struct engine *e, struct live_run *r, const char *phase)
{
    pthread_mutex_lock(&e->lock);
    r->phase = phase;
    pthread_mutex_unlock(&e->lock);
    if (!e->pool)
        engine_marks(e);
}

void engine_note_unsaved(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    e->unsaved = true;
    pthread_mutex_unlock(&e->lock);
}

void engine_drain(struct engine *e, bool hurry)
{
    pthread_mutex_lock(&e->lock);
    e->draining = true;
    for (struct live_run *r = hurry ? e->runs : NULL; r; r = r->next)
        cancel_fire(r->cancel, CANCEL_SHUTDOWN);
    pthread_mutex_unlock(&e->lock);
}

bool engine_draining(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    bool yes = e->draining;
    pthread_mutex_unlock(&e->lock);
    return yes;
}

bool engine_busy(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    bool yes = e->count > 0;
    pthread_mutex_unlock(&e->lock);
    return yes;
}

/* The lock is held. */
static struct live_run *find(struct engine *e, const char *tenant_id, const char *run_id)
{
    for (struct live_run *r = e->runs; r; r = r->next)
        if (strcmp(r->id, run_id) == 0 && strcmp(r->tenant_id, tenant_id) == 0)
            return r;
    return NULL;
}

enum engine_cancel_rc engine_cancel(struct engine *e, const char *tenant_id, const char *run_id, int64_t wait_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (wait_ms % 1000) * 1000000;
    until.tv_sec += wait_ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&e->lock);
    struct live_run *r = find(e, tenant_id, run_id);
    enum engine_cancel_rc rc = r ? ENGINE_CANCEL_FIRED : ENGINE_CANCEL_UNKNOWN;
    if (r)
        cancel_fire(r->cancel, CANCEL_BY_USER);
    while (r) {
        if (pthread_cond_timedwait(&e->ended, &e->lock, &until) == ETIMEDOUT)
            break;
        r = find(e, tenant_id, run_id);
    }
    pthread_mutex_unlock(&e->lock);
    return rc;
}

void engine_phase_of(struct engine *e, const char *tenant_id, const char *run_id, char *out, size_t size)
{
    pthread_mutex_lock(&e->lock);
    struct live_run *r = find(e, tenant_id, run_id);
    snprintf(out, size, "%s", r ? r->phase : "");
    pthread_mutex_unlock(&e->lock);
}

bool engine_has_body(struct engine *e, const char *answer_scope, const char *body_hash)
{
    bool found = false;
    pthread_mutex_lock(&e->lock);
    for (struct live_run *r = e->runs; r && !found; r = r->next)
        found = r->body_hash && strcmp(r->body_hash, body_hash) == 0 && strcmp(r->answer_scope, answer_scope) == 0;
    pthread_mutex_unlock(&e->lock);
    return found;
}

struct sweep {
    struct engine *engine;
    int64_t worker;
    char before[TIME_TEXT_SIZE], now[TIME_TEXT_SIZE];
    int64_t count;
};

static enum db_rc sweep_job(struct db *db, void *arg)
{
    struct sweep *s = arg;
    return traces_interrupt(db, s->worker, s->before, s->now, &s->count);
}

/* Which rows of that worker are over: all when it is gone; of our own those older than any run can be, once an end
 * was not stored. false: none. */
static bool sweep_what(struct engine *e, struct sweep *s)
{
    if (!locks_worker_alive(e->locks, s->worker)) {
        snprintf(s->before, sizeof s->before, "~");
        return true;
    }
    pthread_mutex_lock(&e->lock);
    bool unsaved = e->unsaved;
    pthread_mutex_unlock(&e->lock);
    time_format(clock_ms() - e->config->run_timeout_sec * 1000 - UNSAVED_GRACE_MS, s->before);
    return unsaved && s->worker == locks_worker(e->locks);
}

static void sweep_done(void *arg)
{
    struct sweep *s = arg;
    if (s->count > 0)
        log_event(LOG_WARN, 5001, "runs.interrupted", LOG_I, "count", s->count, LOG_I, "worker", s->worker, LOG_END);
    atomic_fetch_sub(&s->engine->sweeps, 1);
    free(s);
}

static void sweep_worker(struct engine *e, int64_t worker)
{
    struct sweep *s = calloc(1, sizeof *s);
    if (!s)
        return;
    s->engine = e;
    s->worker = worker;
    if (!sweep_what(e, s)) {
        free(s);
        return;
    }
    time_format(clock_ms(), s->now);
    atomic_fetch_add(&e->sweeps, 1);
    writer_post(e->writer, e->db, sweep_job, s, sweep_done);
}

void engine_sweep(struct engine *e)
{
    int64_t workers[WORKERS_AT_ONCE];
    size_t n = 0;
    struct db *db = atomic_load(&e->sweeps) == 0 ? engine_db(e) : NULL;
    if (!db)
        return;
    enum db_rc rc = traces_running_workers(db, workers, WORKERS_AT_ONCE, &n);
    engine_db_done(e, db);
    for (size_t i = 0; rc == DB_OK && i < n; i++)
        sweep_worker(e, workers[i]);
}

/* The first live run of a tenant after the id `last`, in the order of tenant ids; "" when there is none. */
static void next_tenant(struct engine *e, const char *last, char out[UUID_SIZE])
{
    *out = '\0';
    pthread_mutex_lock(&e->lock);
    for (struct live_run *r = e->runs; r; r = r->next)
        if (strcmp(r->tenant_id, last) > 0 && (!*out || strcmp(r->tenant_id, out) < 0))
            snprintf(out, UUID_SIZE, "%s", r->tenant_id);
    pthread_mutex_unlock(&e->lock);
}

static void cancel_tenant(struct engine *e, const char *tenant_id)
{
    pthread_mutex_lock(&e->lock);
    for (struct live_run *r = e->runs; r; r = r->next)
        if (strcmp(r->tenant_id, tenant_id) == 0)
            cancel_fire(r->cancel, CANCEL_BY_USER);
    pthread_mutex_unlock(&e->lock);
}

static bool tenant_active(struct engine *e, struct arena *a, const char *tenant_id)
{
    struct tenant t;
    struct db *db = engine_db(e);
    enum db_rc rc = db ? tenant_by_id(db, a, tenant_id, &t) : DB_ERROR;
    engine_db_done(e, db);
    return rc == DB_ROW ? strcmp(t.status, "active") == 0 : rc != DB_OK;
}

void engine_tenants(struct engine *e)
{
    char last[UUID_SIZE] = "", next[UUID_SIZE];
    int64_t now = 0;
    struct db *db = engine_db(e);
    enum db_rc rc = db ? generation_read(db, "tenants", &now) : DB_ERROR;
    engine_db_done(e, db);
    if (rc != DB_OK || now == e->tenants_seen)
        return;
    e->tenants_seen = now;
    struct arena *a = arena_new();
    for (next_tenant(e, last, next); *next; next_tenant(e, last, next)) {
        if (!tenant_active(e, a, next))
            cancel_tenant(e, next);
        memcpy(last, next, sizeof last);
    }
    arena_free(a);
}

struct prune {
    struct engine *engine;
    char traces_before[TIME_TEXT_SIZE], answers_before[TIME_TEXT_SIZE];
    bool traces, more;
    int64_t count;
};

static enum db_rc prune_job(struct db *db, void *arg)
{
    struct prune *p = arg;
    int64_t answers = 0, traces = 0, marks = 0;
    enum db_rc rc = answers_prune(db, p->answers_before, PRUNE_AT_ONCE, &answers);
    if (rc == DB_OK && p->traces)
        rc = traces_prune(db, p->traces_before, PRUNE_AT_ONCE, &traces);
    if (rc == DB_OK)
        rc = cancel_marks_prune(db, &marks);
    p->count = answers + traces;
    p->more = rc == DB_OK && (answers == PRUNE_AT_ONCE || traces == PRUNE_AT_ONCE);
    return rc;
}

static void prune_done(void *arg)
{
    struct prune *p = arg;
    if (p->count > 0)
        log_event(LOG_INFO, 0, "retention.pruned", LOG_I, "count", p->count, LOG_END);
    atomic_store(&p->engine->more, p->more);
    atomic_store(&p->engine->pruning, false);
    free(p);
}

void engine_prune(struct engine *e)
{
    if (atomic_exchange(&e->pruning, true))
        return;
    struct prune *p = calloc(1, sizeof *p);
    if (!p) {
        atomic_store(&e->pruning, false);
        return;
    }
    int64_t now = clock_ms();
    p->engine = e;
    p->traces = e->config->retention_days > 0;
    time_format(now - ANSWER_TTL_MS, p->answers_before);
    time_format(now - e->config->retention_days * 86400000, p->traces_before);
    writer_post(e->writer, e->db, prune_job, p, prune_done);
}

bool engine_prune_more(struct engine *e)
{
    return atomic_load(&e->more);
}

void engine_prune_due(struct engine *e)
{
    if (!locks_due(e->locks, PRUNE_EVERY_MS))
        return;
    engine_prune(e);
    for (int round = 1; round < PRUNE_ROUNDS && engine_prune_more(e); round++)
        engine_prune(e);
}

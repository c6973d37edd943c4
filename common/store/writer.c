#include "store/writer.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "store/internal.h"

enum { GROUP_MAX = 256, POST_LIE_MS = 20 };

/* One that somebody waits for lives on his stack. */
struct job {
    struct job *next;
    write_fn *fn;
    void *arg;
    void (*free_arg)(void *);
    sem_t *done;       /* NULL for a posted job */
    enum db_rc rc;
    int64_t handed_in; /* clock_mono_ms; posted jobs only */
};

/* Whoever leads commits everything that is queued. When nobody leads there are only posted jobs in the queue, and who
 * comes with a job leads for one group: alone he is never waiting for another thread. What came meanwhile is the
 * background thread's, which leads until nobody waits any more: a crowd is served from one thread, whose caches know
 * the database. */
struct writer {
    struct db *db; /* the leader's */
    struct checkpointer *checkpointer;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work; /* the background thread's */
    struct job *head, **tail;
    size_t queued;
    size_t waiting; /* queued jobs that somebody waits for */
    size_t backlog; /* all jobs not finished */
    bool leading;   /* somebody leads, or the background thread was called to */
    bool called;    /* it was, and has not noticed yet */
    bool asleep;    /* it is, until it is called */
    bool stop;
};

static bool went_wrong(enum db_rc rc)
{
    return rc != DB_OK && rc != DB_ROW;
}

static enum db_rc run_alone(struct db *db, write_fn *fn, void *arg)
{
    enum db_rc rc = db_begin(db);
    if (rc != DB_OK)
        return rc;
    rc = fn(db, arg);
    if (went_wrong(rc)) {
        db_rollback(db);
        return rc;
    }
    return db_commit(db);
}

static enum db_rc run_together(struct db *db, struct job *first)
{
    enum db_rc rc = db_begin(db);
    if (rc != DB_OK)
        return rc;
    for (struct job *j = first; j; j = j->next) {
        rc = j->fn(db, j->arg);
        if (went_wrong(rc)) {
            db_rollback(db);
            return rc;
        }
    }
    return db_commit(db);
}

static void posted_done(enum db_rc rc, void *arg, void (*free_arg)(void *))
{
    if (went_wrong(rc))
        log_event(LOG_ERROR, 2301, "writer.posted_job_failed", LOG_I, "rc", (int64_t)rc, LOG_END);
    if (free_arg)
        free_arg(arg);
}

/* After this a waited-for job of somebody else is gone: it lived on its owner's stack. */
static void finish(struct job *j, enum db_rc rc)
{
    if (j->done) {
        j->rc = rc;
        sem_post(j->done);
        return;
    }
    posted_done(rc, j->arg, j->free_arg);
    free(j);
}

static void run_group(struct db *db, struct job *first)
{
    enum db_rc rc = run_together(db, first);
    /* A lock that did not come in time is not waited for again by each of them. */
    bool settled = rc == DB_OK || rc == DB_BUSY || !first->next;
    for (struct job *j = first, *next; j; j = next) {
        next = j->next;
        if (!settled && rc != DB_BUSY)
            rc = run_alone(db, j->fn, j->arg);
        finish(j, rc);
    }
}

/* With the lock held. */
static struct job *take_group(struct writer *w, size_t *count)
{
    struct job *first = w->head, *last = NULL;
    size_t n = 0;
    for (struct job *j = first; j && n < GROUP_MAX; j = j->next, n++) {
        if (j->done)
            w->waiting--;
        last = j;
    }
    w->queued -= n;
    w->head = last->next;
    if (!w->head)
        w->tail = &w->head;
    last->next = NULL;
    *count = n;
    return first;
}

/* With the lock held. Nobody who waits for a job shall lead again for others: that is the background thread's. */
static void hand_over(struct writer *w)
{
    w->called = w->leading = w->waiting > 0;
    if (w->called || (w->asleep && (w->head || w->stop)))
        pthread_cond_signal(&w->work);
}

/* One group. The caller holds the lead, and has handed it over afterwards. */
static void lead(struct writer *w)
{
    size_t n;
    pthread_mutex_lock(&w->lock);
    struct job *group = take_group(w, &n);
    pthread_mutex_unlock(&w->lock);
    checkpointer_give_way(w->checkpointer);
    run_group(w->db, group);
    metrics_add(METRIC_WRITER_GROUPS, 1);
    metrics_add(METRIC_WRITER_JOBS, (int64_t)n);
    pthread_mutex_lock(&w->lock);
    w->backlog -= n;
    hand_over(w);
    pthread_mutex_unlock(&w->lock); /* from here on w may be gone: a stop waits for the lead, not for us */
}

/* The background thread's: comes back with the lead when it was called or posted jobs have lain long enough; false when
 * all is done and a stop was asked for. */
static bool wait_for_lead(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    while (!w->called) {
        if (w->leading || !w->head) {
            if (w->stop && !w->leading)
                break;
            w->asleep = true;
            pthread_cond_wait(&w->work, &w->lock);
            w->asleep = false;
            continue;
        }
        int64_t until = w->head->handed_in + POST_LIE_MS;
        if (w->stop || w->queued >= GROUP_MAX || clock_mono_ms() >= until) {
            w->leading = true;
            break;
        }
        struct timespec at = {.tv_sec = (time_t)(until / 1000), .tv_nsec = (long)(until % 1000) * 1000000};
        pthread_cond_timedwait(&w->work, &w->lock, &at);
    }
    w->called = false;
    bool leads = w->leading;
    pthread_mutex_unlock(&w->lock);
    return leads;
}

static void *background(void *arg)
{
    struct writer *w = arg;
    while (wait_for_lead(w))
        lead(w);
    return NULL;
}

static int after_commit(void *arg, sqlite3 *h, const char *name, int pages)
{
    (void)h;
    (void)name;
    checkpointer_note(arg, pages);
    return SQLITE_OK;
}

static void writer_free(struct writer *w)
{
    if (w->checkpointer)
        checkpointer_stop(w->checkpointer);
    db_close(w->db);
    pthread_cond_destroy(&w->work);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

struct writer *writer_start(const char *path, char *err, size_t errsize)
{
    SQL(larger_cache, "PRAGMA cache_size=-4096");
    struct writer *w = calloc(1, sizeof *w);
    if (!w) {
        snprintf(err, errsize, "out of memory");
        return NULL;
    }
    w->tail = &w->head;
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->work, &attr);
    pthread_condattr_destroy(&attr);

    w->db = db_open(path, DB_WRITER, err, errsize);
    if (w->db)
        w->checkpointer = checkpointer_start(path, err, errsize);
    if (!w->checkpointer) {
        writer_free(w);
        return NULL;
    }
    db_exec(w->db, &larger_cache, "");
    sqlite3_wal_hook(db_handle(w->db), after_commit, w->checkpointer);
    if (!store_thread(&w->thread, background, w)) {
        snprintf(err, errsize, "cannot start a thread");
        writer_free(w);
        return NULL;
    }
    return w;
}

void writer_stop(struct writer *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    writer_free(w);
}

/* Whether the caller leads now. */
static bool hand_in(struct writer *w, struct job *j)
{
    pthread_mutex_lock(&w->lock);
    *w->tail = j;
    w->tail = &j->next;
    w->queued++;
    w->backlog++;
    bool leads = j->done && !w->leading;
    if (j->done) {
        w->waiting++;
        w->leading = true;
    } else if (!w->leading && (w->asleep || w->queued == GROUP_MAX)) {
        pthread_cond_signal(&w->work);
    }
    pthread_mutex_unlock(&w->lock);
    return leads;
}

enum db_rc writer_run(struct writer *w, struct db *db, write_fn *fn, void *arg)
{
    if (!w)
        return run_alone(db, fn, arg);
    sem_t done;
    sem_init(&done, 0, 0);
    struct job j = {.fn = fn, .arg = arg, .done = &done};
    if (hand_in(w, &j))
        lead(w);
    while (sem_wait(&done) != 0 && errno == EINTR)
        continue;
    sem_destroy(&done);
    return j.rc;
}

void writer_post(struct writer *w, struct db *db, write_fn *fn, void *arg, void (*free_arg)(void *))
{
    struct job *j = w ? malloc(sizeof *j) : NULL;
    if (j) {
        *j = (struct job){.fn = fn, .arg = arg, .free_arg = free_arg, .handed_in = clock_mono_ms()};
        hand_in(w, j);
        return;
    }
    /* No writer, or no memory for the queue: done on the spot, without a long wait. */
    if (!w)
        db_hurry(db, true);
    posted_done(writer_run(w, db, fn, arg), arg, free_arg);
    if (!w)
        db_hurry(db, false);
}

size_t writer_backlog(struct writer *w)
{
    if (!w)
        return 0;
    pthread_mutex_lock(&w->lock);
    size_t n = w->backlog;
    pthread_mutex_unlock(&w->lock);
    return n;
}

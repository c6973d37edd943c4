#include "store/pool.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/internal.h"

struct db_pool {
    pthread_mutex_t lock;
    pthread_cond_t given;
    char *path;
    size_t max, open, idle;
    struct db *stack[]; /* idle ones; the last given is taken first, so few stay warm */
};

struct db_pool *db_pool_new(const char *path, size_t max, char *err, size_t errsize)
{
    struct db *first = db_open(path, DB_READWRITE, err, errsize);
    if (!first)
        return NULL;
    struct db_pool *p = calloc(1, sizeof *p + max * sizeof p->stack[0]);
    char *copy = strdup(path);
    if (!p || !copy || max == 0) {
        snprintf(err, errsize, max ? "out of memory" : "a pool of no connections");
        free(p);
        free(copy);
        db_close(first);
        return NULL;
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->given, NULL);
    p->path = copy;
    p->max = max;
    p->open = p->idle = 1;
    p->stack[0] = first;
    return p;
}

void db_pool_free(struct db_pool *p)
{
    if (!p)
        return;
    while (p->idle)
        db_close(p->stack[--p->idle]);
    pthread_cond_destroy(&p->given);
    pthread_mutex_destroy(&p->lock);
    free(p->path);
    free(p);
}

/* The place is counted already; gives it back when nothing can be opened. */
static struct db *open_counted(struct db_pool *p)
{
    char err[300];
    struct db *db = db_open(p->path, DB_READWRITE, err, sizeof err);
    if (db)
        return db;
    log_event(LOG_ERROR, 2101, "db.open_failed", LOG_S, "error", err, LOG_END);
    pthread_mutex_lock(&p->lock);
    p->open--;
    pthread_cond_signal(&p->given);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct db *db_pool_take(struct db_pool *p)
{
    struct db *db = NULL;
    pthread_mutex_lock(&p->lock);
    while (p->idle == 0 && p->open == p->max)
        pthread_cond_wait(&p->given, &p->lock);
    if (p->idle)
        db = p->stack[--p->idle];
    else
        p->open++;
    pthread_mutex_unlock(&p->lock);
    return db ? db : open_counted(p);
}

void db_pool_give(struct db_pool *p, struct db *db)
{
    if (!db)
        return;
    db_reset_all(db);
    db_rollback(db);
    pthread_mutex_lock(&p->lock);
    p->stack[p->idle++] = db;
    pthread_cond_signal(&p->given);
    pthread_mutex_unlock(&p->lock);
}

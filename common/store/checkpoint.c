/* Copies the write-ahead log into the database, off the commit path.
 *
 * SQLite starts the log anew only when a commit finds all of it copied and unread. Under steady load that never
 * happens by itself, so above FORCE_PAGES the writer is asked to stand aside for the few milliseconds it takes.
 */
#include <stdlib.h>

#include "base/log.h"
#include "store/internal.h"

enum {
    PAGE_SIZE = 4096,
    STEP_PAGES = 16 * 1024 * 1024 / PAGE_SIZE,   /* copied whenever the log grew by this much */
    FORCE_PAGES = 32 * 1024 * 1024 / PAGE_SIZE,  /* writers wait so that the log starts anew */
    SHRINK_PAGES = 64 * 1024 * 1024 / PAGE_SIZE, /* … and the file is cut */
};

/* How long a forced one waits for readers while writers wait for it. */
static int patience_ms = 250;

struct checkpointer {
    sqlite3 *h;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, forced;
    int pages;    /* length of the log after the last commit */
    int handled;  /* length at the last checkpoint */
    int force_at; /* length at which the next one is forced */
    bool forcing;
    bool stop;
};

static int running;

bool checkpointer_running(void)
{
    return __atomic_load_n(&running, __ATOMIC_RELAXED) > 0;
}

void checkpointer_note(struct checkpointer *c, int pages)
{
    pthread_mutex_lock(&c->lock);
    if (pages < c->pages) { /* the log began anew */
        c->handled = 0;
        c->force_at = FORCE_PAGES;
    }
    c->pages = pages;
    if (pages - c->handled >= STEP_PAGES)
        pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
}

void checkpointer_give_way(struct checkpointer *c)
{
    pthread_mutex_lock(&c->lock);
    while (c->forcing)
        pthread_cond_wait(&c->forced, &c->lock);
    pthread_mutex_unlock(&c->lock);
}

static bool checkpoint(struct checkpointer *c, int mode)
{
    int pages = 0, copied = 0;
    int rc = sqlite3_wal_checkpoint_v2(c->h, NULL, mode, &pages, &copied);
    if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY && (rc & 0xff) != SQLITE_LOCKED)
        log_event(LOG_ERROR, 2321, "db.checkpoint_failed", LOG_S, "message", sqlite3_errmsg(c->h), LOG_I, "code",
                  (int64_t)rc, LOG_END);
    if (pages > 4 * SHRINK_PAGES)
        log_event(LOG_WARN, 2322, "db.log_large", LOG_I, "pages", (int64_t)pages, LOG_I, "copied", (int64_t)copied,
                  LOG_END);
    return rc == SQLITE_OK;
}

/* With the lock held, as it is afterwards. */
static void force(struct checkpointer *c, int pages)
{
    c->forcing = true;
    pthread_mutex_unlock(&c->lock);
    bool done = checkpoint(c, pages >= SHRINK_PAGES ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_RESTART);
    pthread_mutex_lock(&c->lock);
    c->forcing = false;
    /* Somebody reads for long: writers are not held up again soon. */
    c->force_at = done ? FORCE_PAGES : pages + FORCE_PAGES;
    pthread_cond_broadcast(&c->forced);
}

static void *loop(void *arg)
{
    struct checkpointer *c = arg;
    pthread_mutex_lock(&c->lock);
    while (!c->stop) {
        if (c->pages - c->handled < STEP_PAGES) {
            pthread_cond_wait(&c->wake, &c->lock);
            continue;
        }
        int pages = c->handled = c->pages;
        pthread_mutex_unlock(&c->lock);
        /* Most of the log is copied while writers go on; a forced one then has little left to do. */
        checkpoint(c, SQLITE_CHECKPOINT_PASSIVE);
        pthread_mutex_lock(&c->lock);
        if (pages >= c->force_at)
            force(c, pages);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

struct checkpointer *checkpointer_start(const char *path, char *err, size_t errsize)
{
    struct checkpointer *c = calloc(1, sizeof *c);
    if (!c) {
        snprintf(err, errsize, "out of memory");
        return NULL;
    }
    c->h = connect_open(path, DB_READWRITE, err, errsize);
    if (!c->h) {
        free(c);
        return NULL;
    }
    sqlite3_busy_handler(c->h, connect_busy_wait, &patience_ms);
    c->force_at = FORCE_PAGES;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->wake, NULL);
    pthread_cond_init(&c->forced, NULL);
    if (!store_thread(&c->thread, loop, c)) {
        snprintf(err, errsize, "cannot start a thread");
        sqlite3_close(c->h);
        free(c);
        return NULL;
    }
    __atomic_add_fetch(&running, 1, __ATOMIC_RELAXED);
    return c;
}

void checkpointer_stop(struct checkpointer *c)
{
    pthread_mutex_lock(&c->lock);
    c->stop = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    __atomic_sub_fetch(&running, 1, __ATOMIC_RELAXED);
    sqlite3_close(c->h);
    pthread_cond_destroy(&c->wake);
    pthread_cond_destroy(&c->forced);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

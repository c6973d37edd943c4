#include "web/gone.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/log.h"

enum { EVENTS_AT_ONCE = 64, STACK_SIZE = 256 * 1024 };
enum { WAKE_MARK = -1, NOBODY = -1 };
enum {
    YOUNG_MS = 20,  /* most plain runs are over by then: the kernel never hears of them */
    DOZE_MS = 200,  /* without a new run for so long, and with no young one, the thread sleeps until it is woken */
};

/* One row a descriptor. `turn` tells a row's present entry from an event of an earlier one: a
 * descriptor number is used again as soon as it is closed. */
struct watched {
    struct cancel *cancel;
    uint32_t turn;
    bool armed;           /* in the epoll set; else in the line of the young ones */
    int before, behind;   /* in that line, NOBODY at its ends */
    int64_t since;        /* clock_mono_ms of gone_add */
};

struct gone_watcher {
    pthread_t thread;
    int epoll_fd;
    int wake_fd;
    pthread_mutex_t lock; /* guards everything below, and every use of a cancel */
    struct watched *rows; /* indexed by descriptor */
    size_t row_count;
    int oldest, youngest; /* ends of the line of entries that are not armed yet, by age */
    int64_t last_add;
    bool asleep;          /* nothing but an event or wake_fd ends its wait */
    bool stopping;
};

static uint64_t mark_of(int fd, uint32_t turn)
{
    return (uint64_t)turn << 32 | (uint32_t)fd;
}

static void fire(struct gone_watcher *w, uint64_t mark)
{
    size_t fd = (uint32_t)mark;
    if (fd >= w->row_count)
        return;
    struct watched *row = &w->rows[fd];
    if (row->cancel && row->turn == (uint32_t)(mark >> 32))
        cancel_fire(row->cancel, CANCEL_CLIENT_GONE);
}

static void line_leave(struct gone_watcher *w, int fd)
{
    struct watched *row = &w->rows[fd];
    if (row->before == NOBODY)
        w->oldest = row->behind;
    else
        w->rows[row->before].behind = row->behind;
    if (row->behind == NOBODY)
        w->youngest = row->before;
    else
        w->rows[row->behind].before = row->before;
}

static void line_join(struct gone_watcher *w, int fd)
{
    struct watched *row = &w->rows[fd];
    row->before = w->youngest;
    row->behind = NOBODY;
    if (w->youngest == NOBODY)
        w->oldest = fd;
    else
        w->rows[w->youngest].behind = fd;
    w->youngest = fd;
}

/* Those who have waited long enough are given to the kernel. One it does not take is left to the next write. */
static void arm_old(struct gone_watcher *w, int64_t now)
{
    while (w->oldest != NOBODY && now - w->rows[w->oldest].since >= YOUNG_MS) {
        int fd = w->oldest;
        struct watched *row = &w->rows[fd];
        struct epoll_event ev = {.events = EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLONESHOT,
                                 .data.u64 = mark_of(fd, row->turn)};
        line_leave(w, fd);
        row->armed = true;
        epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
    }
}

/* How long the thread may wait for events, -1 = for ever. */
static int nap_ms(struct gone_watcher *w, int64_t now)
{
    w->asleep = w->oldest == NOBODY && now - w->last_add >= DOZE_MS;
    return w->asleep ? -1 : YOUNG_MS;
}

static void *watch(void *arg)
{
    struct gone_watcher *w = arg;
    struct epoll_event events[EVENTS_AT_ONCE];
    int nap = -1;
    for (;;) {
        int n = epoll_wait(w->epoll_fd, events, EVENTS_AT_ONCE, nap);
        if (n < 0 && errno != EINTR) {
            log_event(LOG_ERROR, 3301, "gone.epoll", LOG_I, "errno", (int64_t)errno, LOG_END);
            return NULL;
        }
        pthread_mutex_lock(&w->lock);
        bool stopping = w->stopping;
        for (int i = 0; i < n && !stopping; i++)
            fire(w, events[i].data.u64);
        int64_t now = clock_mono_ms();
        arm_old(w, now);
        nap = nap_ms(w, now);
        pthread_mutex_unlock(&w->lock);
        if (stopping)
            return NULL;
    }
}

/* The thread answers no signals: they belong to the process's main thread. */
static bool thread_begin(struct gone_watcher *w)
{
    sigset_t all;
    sigset_t before;
    pthread_attr_t attr;
    sigfillset(&all);
    pthread_attr_init(&attr);
#ifndef CLAWGATE_SANITIZED
    pthread_attr_setstacksize(&attr, STACK_SIZE);
#endif
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&w->thread, &attr, watch, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return rc == 0;
}

static void watcher_free(struct gone_watcher *w)
{
    if (w->epoll_fd >= 0)
        close(w->epoll_fd);
    if (w->wake_fd >= 0)
        close(w->wake_fd);
    pthread_mutex_destroy(&w->lock);
    free(w->rows);
    free(w);
}

struct gone_watcher *gone_start(char *err, size_t errsize)
{
    struct gone_watcher *w = calloc(1, sizeof *w);
    if (!w) {
        snprintf(err, errsize, "out of memory");
        return NULL;
    }
    pthread_mutex_init(&w->lock, NULL);
    w->oldest = w->youngest = NOBODY;
    w->asleep = true;
    w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event wake = {.events = EPOLLIN | EPOLLET, .data.u64 = mark_of(WAKE_MARK, 0)};
    if (w->epoll_fd < 0 || w->wake_fd < 0 || epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->wake_fd, &wake) != 0 ||
        !thread_begin(w)) {
        snprintf(err, errsize, "cannot watch for clients that leave (errno %d)", errno);
        watcher_free(w);
        return NULL;
    }
    return w;
}

void gone_stop(struct gone_watcher *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_mutex_unlock(&w->lock);
    eventfd_write(w->wake_fd, 1);
    pthread_join(w->thread, NULL);
    watcher_free(w);
}

static bool row_ensure(struct gone_watcher *w, size_t fd)
{
    if (fd < w->row_count)
        return true;
    size_t count = w->row_count ? w->row_count : 64;
    while (count <= fd)
        count *= 2;
    struct watched *rows = realloc(w->rows, count * sizeof *rows);
    if (!rows)
        return false;
    memset(rows + w->row_count, 0, (count - w->row_count) * sizeof *rows);
    w->rows = rows;
    w->row_count = count;
    return true;
}

bool gone_add(struct gone_watcher *w, int fd, struct cancel *c)
{
    if (!w || fd < 0)
        return true;
    bool wake = false;
    pthread_mutex_lock(&w->lock);
    bool done = row_ensure(w, (size_t)fd);
    if (done) {
        struct watched *row = &w->rows[fd];
        row->cancel = c;
        row->turn++;
        row->armed = false;
        row->since = w->last_add = clock_mono_ms();
        line_join(w, fd);
        wake = w->asleep;
        w->asleep = false;
    }
    pthread_mutex_unlock(&w->lock);
    if (wake)
        eventfd_write(w->wake_fd, 1);
    return done;
}

void gone_remove(struct gone_watcher *w, int fd)
{
    if (!w || fd < 0)
        return;
    pthread_mutex_lock(&w->lock);
    if ((size_t)fd < w->row_count && w->rows[fd].cancel) {
        w->rows[fd].cancel = NULL;
        if (w->rows[fd].armed)
            epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        else
            line_leave(w, fd);
    }
    pthread_mutex_unlock(&w->lock);
}

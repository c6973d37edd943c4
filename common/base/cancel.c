#include "base/cancel.h"

#include <sys/socket.h>

#include "base/clock.h"

void cancel_init(struct cancel *c, int64_t deadline_mono_ms)
{
    *c = (struct cancel){.reason = CANCEL_NONE, .fd = -1, .deadline = deadline_mono_ms};
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->woken, &attr);
    pthread_condattr_destroy(&attr);
}

void cancel_release(struct cancel *c)
{
    pthread_cond_destroy(&c->woken);
    pthread_mutex_destroy(&c->lock);
}

static void fire_locked(struct cancel *c, enum cancel_reason why)
{
    if (c->reason != CANCEL_NONE || why == CANCEL_NONE)
        return;
    c->reason = why;
    if (c->fd >= 0)
        shutdown(c->fd, SHUT_RDWR);
    pthread_cond_broadcast(&c->woken);
}

static enum cancel_reason check_locked(struct cancel *c)
{
    if (cancel_time_left(c) == 0)
        fire_locked(c, CANCEL_DEADLINE);
    return c->reason;
}

void cancel_fire(struct cancel *c, enum cancel_reason why)
{
    pthread_mutex_lock(&c->lock);
    fire_locked(c, why);
    pthread_mutex_unlock(&c->lock);
}

enum cancel_reason cancel_check(struct cancel *c)
{
    pthread_mutex_lock(&c->lock);
    enum cancel_reason reason = check_locked(c);
    pthread_mutex_unlock(&c->lock);
    return reason;
}

bool cancel_watch_fd(struct cancel *c, int fd)
{
    pthread_mutex_lock(&c->lock);
    bool go_on = check_locked(c) == CANCEL_NONE;
    if (go_on)
        c->fd = fd;
    pthread_mutex_unlock(&c->lock);
    return go_on;
}

void cancel_unwatch_fd(struct cancel *c, int fd)
{
    pthread_mutex_lock(&c->lock);
    if (c->fd == fd)
        c->fd = -1;
    pthread_mutex_unlock(&c->lock);
}

bool cancel_sleep(struct cancel *c, int64_t ms)
{
    int64_t now = clock_mono_ms();
    int64_t end = ms > INT64_MAX - now ? INT64_MAX : now + ms;
    bool whole = false;
    pthread_mutex_lock(&c->lock);
    while (check_locked(c) == CANCEL_NONE) {
        if (clock_mono_ms() >= end) {
            whole = true;
            break;
        }
        int64_t until = c->deadline > 0 && c->deadline < end ? c->deadline : end;
        struct timespec at = {.tv_sec = (time_t)(until / 1000), .tv_nsec = (long)(until % 1000) * 1000000L};
        pthread_cond_timedwait(&c->woken, &c->lock, &at);
    }
    pthread_mutex_unlock(&c->lock);
    return whole;
}

int64_t cancel_time_left(const struct cancel *c)
{
    if (c->deadline == 0)
        return INT64_MAX;
    int64_t left = c->deadline - clock_mono_ms();
    return left > 0 ? left : 0;
}

/* One cancellation token of one run: fired from any thread, felt at once by whatever the run waits for.
 *
 * The run's thread registers the socket it is about to block on; firing shuts
 * that socket down, so a blocked read ends immediately. Sleeps wake up too.
 * The first reason stays.
 */
#ifndef CLAWGATE_BASE_CANCEL_H
#define CLAWGATE_BASE_CANCEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum cancel_reason {
    CANCEL_NONE,
    CANCEL_CLIENT_GONE,
    CANCEL_BY_USER,   /* POST /v1/runs/{id}/cancel, session deleted or reset */
    CANCEL_DEADLINE,
    CANCEL_SHUTDOWN,
};

struct cancel {
    pthread_mutex_t lock;
    pthread_cond_t woken; /* CLOCK_MONOTONIC */
    enum cancel_reason reason;
    int fd;               /* socket of the call in progress, -1 when none */
    int64_t deadline;     /* clock_mono_ms, 0 = none */
};

void cancel_init(struct cancel *c, int64_t deadline_mono_ms);
void cancel_release(struct cancel *c);
void cancel_fire(struct cancel *c, enum cancel_reason why);
/* CANCEL_NONE while the run may go on. Turns a passed deadline into CANCEL_DEADLINE. */
enum cancel_reason cancel_check(struct cancel *c);
/* Registers the socket that firing shall shut down. false when already cancelled (do not connect). */
bool cancel_watch_fd(struct cancel *c, int fd);
/* Must be called before fd is closed. */
void cancel_unwatch_fd(struct cancel *c, int fd);
/* Sleeps; true when the full time passed, false as soon as the run is cancelled or its deadline passes. */
bool cancel_sleep(struct cancel *c, int64_t ms);
/* Milliseconds to the deadline (0 when passed); INT64_MAX without one. */
int64_t cancel_time_left(const struct cancel *c);

#endif

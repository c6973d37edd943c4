/* Deadlines of connections: a binary heap of embedded timers. */
#ifndef UPSTREAM_TIMERS_H
#define UPSTREAM_TIMERS_H

#include <stddef.h>
#include <stdint.h>

struct timer {
    int64_t due; /* microseconds, monotonic */
    size_t slot; /* place in the heap plus one; 0 = not armed */
};

struct timers {
    struct timer **heap;
    size_t len, cap;
};

int64_t timers_now(void);
/* Arms or moves a timer. */
void timers_set(struct timers *t, struct timer *timer, int64_t due);
void timers_clear(struct timers *t, struct timer *timer);
/* The earliest timer when it is due at `now`, disarmed; else NULL. */
struct timer *timers_pop(struct timers *t, int64_t now);
/* Microseconds until the earliest timer, 0 when it is overdue, -1 when there is none. */
int64_t timers_wait(const struct timers *t, int64_t now);
void timers_free(struct timers *t);

#endif

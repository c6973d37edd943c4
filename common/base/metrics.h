/* What the programs of a home did, counted together in <home>/run/metrics.shm and shown by GET /metrics.
 *
 * Guarantees:
 *  1. Counting is a relaxed addition to shared memory: no lock, no system call. Before metrics_open it does nothing.
 *  2. Counters belong to a program and outlive its processes; they start at zero when the machine does.
 *  3. What is going on now (gauges) belongs to a process and is gone with it, also when it was killed.
 */
#ifndef CLAWGATE_BASE_METRICS_H
#define CLAWGATE_BASE_METRICS_H

#include <stdint.h>

struct buf;

enum metric {
    METRIC_RATE_LIMITED,
    METRIC_AUTH_FAILED,
    METRIC_WORKER_DIED,
    METRIC_STREAMS,
    METRIC_RUNS_COMPLETED,
    METRIC_RUNS_ERROR,
    METRIC_RUNS_CANCELLED,
    METRIC_RUNS_REFUSED,
    METRIC_LLM_CALLS,
    METRIC_TOKENS_IN,
    METRIC_TOKENS_OUT,
    METRIC_WRITER_GROUPS,
    METRIC_WRITER_JOBS,
    METRIC_COUNT
};

enum gauge { GAUGE_RUNS, GAUGE_STREAMS, GAUGE_COUNT };

/* Once a process, before threads and workers start; workers inherit it. */
void metrics_open(const char *home, const char *program);
/* This process shows gauges; before its threads start. At most 64 processes at a time do. */
void metrics_show_gauges(void);

void metrics_add(enum metric m, int64_t n);
void metrics_gauge(enum gauge g, int64_t change);
/* A request was answered, status as sent, after so many microseconds. */
void metrics_request(int status, int64_t us);

/* Everything as text in Prometheus' exposition format 0.0.4. */
void metrics_write(struct buf *out);

#endif

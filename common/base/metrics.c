#include "base/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdalign.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/shared.h"

enum { PROGRAMS_MAX = 24, PROCESSES_MAX = 64, NAME_SIZE = 32, CLASSES = 5 };

/* Upper edges of the histogram in microseconds; the last bucket has none. */
static const int64_t edges[] = {500,     1000,    2500,    5000,     10000,    25000,    50000,     100000,   250000,
                                500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000, 120000000, 300000000};
enum { EDGES = sizeof edges / sizeof *edges };

typedef _Atomic int64_t counter;

struct program_slot {
    alignas(64) char name[NAME_SIZE]; /* "" = free; written under the lock of the directory */
    counter classes[CLASSES];
    counter buckets[EDGES + 1];
    counter duration_us;
    counter counters[METRIC_COUNT];
};

/* Belongs to the process that locks the byte of the same number in the file. */
struct process_slot {
    alignas(64) counter gauges[GAUGE_COUNT];
};

struct metrics {
    struct program_slot programs[PROGRAMS_MAX];
    struct process_slot processes[PROCESSES_MAX];
};

static struct {
    struct metrics *all;
    struct program_slot *own;
    struct process_slot *process;
    int fd; /* its locks say which processes live */
} here = {.fd = -1};

static void add(counter *c, int64_t n)
{
    atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

static int64_t get(counter *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

static void attach(void *memory, bool fresh, int fd, void *ctx)
{
    (void)fresh;
    const char *program = ctx;
    struct metrics *m = memory;
    here.all = m;
    here.own = NULL;
    for (size_t i = 0; i < PROGRAMS_MAX && !here.own; i++) {
        struct program_slot *p = &m->programs[i];
        if (!p->name[0])
            snprintf(p->name, sizeof p->name, "%s", program);
        if (strcmp(p->name, program) == 0)
            here.own = p;
    }
    if (here.fd >= 0)
        close(here.fd);
    here.fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
}

void metrics_open(const char *home, const char *program)
{
    char layout[64], name[NAME_SIZE];
    snprintf(name, sizeof name, "%s", program);
    snprintf(layout, sizeof layout, "metrics 1, %d counters, %d gauges", METRIC_COUNT, GAUGE_COUNT);
    here.process = NULL;
    shared_map(home, "metrics.shm", layout, sizeof *here.all, attach, name);
}

static int slot_lock(int fd, int command, struct flock *l, size_t slot)
{
    *l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)slot, .l_len = 1};
    int rc;
    do
        rc = fcntl(fd, command, l);
    while (rc < 0 && errno == EINTR);
    return rc;
}

/* A description of its own: workers share the one their supervisor opened, and locks belong to descriptions. */
static int own_description(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", here.fd);
    return open(path, O_RDWR | O_CLOEXEC);
}

void metrics_show_gauges(void)
{
    int fd = here.fd >= 0 ? own_description() : -1;
    struct flock l;
    here.process = NULL;
    if (fd < 0)
        return;
    close(here.fd);
    here.fd = fd;
    for (size_t i = 0; i < PROCESSES_MAX && !here.process; i++)
        if (slot_lock(fd, F_OFD_SETLK, &l, i) == 0)
            here.process = &here.all->processes[i];
    for (size_t i = 0; here.process && i < GAUGE_COUNT; i++)
        atomic_store_explicit(&here.process->gauges[i], 0, memory_order_relaxed);
}

void metrics_add(enum metric m, int64_t n)
{
    if (here.own)
        add(&here.own->counters[m], n);
}

void metrics_gauge(enum gauge g, int64_t change)
{
    if (here.process)
        add(&here.process->gauges[g], change);
}

void metrics_request(int status, int64_t us)
{
    if (!here.own)
        return;
    size_t bucket = 0;
    while (bucket < EDGES && us > edges[bucket])
        bucket++;
    int class = status / 100;
    add(&here.own->classes[class >= 1 && class <= CLASSES ? class - 1 : CLASSES - 1], 1);
    add(&here.own->buckets[bucket], 1);
    add(&here.own->duration_us, us);
}

/* ---- text ---- */

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_addf(out, "# HELP clawgate_%s %s\n# TYPE clawgate_%s %s\n", name, help, name, type);
}

/* Microseconds as seconds, without trailing zeros. */
static void add_seconds(struct buf *out, int64_t us)
{
    char text[40];
    int n = snprintf(text, sizeof text, "%" PRId64 ".%06" PRId64, us / 1000000, us % 1000000);
    while (text[n - 1] == '0')
        n--;
    if (text[n - 1] == '.')
        n--;
    buf_add(out, text, (size_t)n);
}

static void write_requests(struct buf *out)
{
    head(out, "requests_total", "counter", "Requests answered, by program and class of the status.");
    for (struct program_slot *p = here.all->programs; p < here.all->programs + PROGRAMS_MAX && p->name[0]; p++)
        for (int i = 0; i < CLASSES; i++)
            buf_addf(out, "clawgate_requests_total{program=\"%s\",class=\"%dxx\"} %" PRId64 "\n", p->name, i + 1,
                     get(&p->classes[i]));
}

static void write_durations(struct buf *out)
{
    static const char name[] = "request_duration_seconds";
    head(out, name, "histogram", "Time from a request's arrival at its program to the end of its answer.");
    for (struct program_slot *p = here.all->programs; p < here.all->programs + PROGRAMS_MAX && p->name[0]; p++) {
        int64_t sum = 0;
        for (size_t i = 0; i <= EDGES; i++) {
            sum += get(&p->buckets[i]);
            buf_addf(out, "clawgate_%s_bucket{program=\"%s\",le=\"", name, p->name);
            if (i < EDGES)
                add_seconds(out, edges[i]);
            else
                buf_adds(out, "+Inf");
            buf_addf(out, "\"} %" PRId64 "\n", sum);
        }
        buf_addf(out, "clawgate_%s_sum{program=\"%s\"} ", name, p->name);
        add_seconds(out, get(&p->duration_us));
        buf_addf(out, "\nclawgate_%s_count{program=\"%s\"} %" PRId64 "\n", name, p->name, sum);
    }
}

static void write_by_program(struct buf *out, enum metric m, const char *name, const char *help)
{
    head(out, name, "counter", help);
    for (struct program_slot *p = here.all->programs; p < here.all->programs + PROGRAMS_MAX && p->name[0]; p++)
        buf_addf(out, "clawgate_%s{program=\"%s\"} %" PRId64 "\n", name, p->name, get(&p->counters[m]));
}

static void write_total(struct buf *out, enum metric m, const char *name, const char *labels)
{
    int64_t sum = 0;
    for (size_t i = 0; i < PROGRAMS_MAX; i++)
        sum += get(&here.all->programs[i].counters[m]);
    buf_addf(out, "clawgate_%s%s %" PRId64 "\n", name, labels, sum);
}

static void write_totals(struct buf *out)
{
    static const struct {
        enum metric metric;
        const char *name, *labels, *help; /* help: the first row of a name */
    } rows[] = {
        {METRIC_RUNS_COMPLETED, "runs_total", "{outcome=\"completed\"}", "Agent runs that ended, by outcome."},
        {METRIC_RUNS_ERROR, "runs_total", "{outcome=\"error\"}", NULL},
        {METRIC_RUNS_CANCELLED, "runs_total", "{outcome=\"cancelled\"}", NULL},
        {METRIC_RUNS_REFUSED, "runs_total", "{outcome=\"refused\"}", NULL},
        {METRIC_LLM_CALLS, "llm_calls_total", "", "Calls of models."},
        {METRIC_TOKENS_IN, "llm_tokens_total", "{direction=\"input\"}", "Tokens, as providers reported them."},
        {METRIC_TOKENS_OUT, "llm_tokens_total", "{direction=\"output\"}", NULL},
        {METRIC_STREAMS, "streams_total", "", "Event streams that were begun."},
        {METRIC_WRITER_GROUPS, "writer_groups_total", "", "Transactions of the threads that write."},
        {METRIC_WRITER_JOBS, "writer_jobs_total", "", "Changes they wrote; jobs by groups is how many share a commit."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].help)
            head(out, rows[i].name, "counter", rows[i].help);
        write_total(out, rows[i].metric, rows[i].name, rows[i].labels);
    }
}

/* Somebody else holds the lock of the slot, or we do. */
static bool process_lives(int fd, size_t slot)
{
    struct flock l;
    if (here.process == &here.all->processes[slot])
        return true;
    return fd >= 0 && slot_lock(fd, F_OFD_GETLK, &l, slot) == 0 && l.l_type != F_UNLCK;
}

static void write_gauges(struct buf *out)
{
    static const char *const names[GAUGE_COUNT][2] = {
        [GAUGE_RUNS] = {"active_runs", "Agent runs that hold a slot now."},
        [GAUGE_STREAMS] = {"active_streams", "Event streams that are open now."},
    };
    int64_t sums[GAUGE_COUNT] = {0};
    for (size_t i = 0; i < PROCESSES_MAX; i++) {
        if (!process_lives(here.fd, i))
            continue;
        for (size_t g = 0; g < GAUGE_COUNT; g++)
            sums[g] += get(&here.all->processes[i].gauges[g]);
    }
    for (size_t g = 0; g < GAUGE_COUNT; g++) {
        head(out, names[g][0], "gauge", names[g][1]);
        buf_addf(out, "clawgate_%s %" PRId64 "\n", names[g][0], sums[g]);
    }
}

void metrics_write(struct buf *out)
{
    if (!here.all)
        return;
    write_requests(out);
    write_durations(out);
    write_totals(out);
    write_gauges(out);
    write_by_program(out, METRIC_RATE_LIMITED, "rate_limited_total", "Requests refused with 429.");
    write_by_program(out, METRIC_AUTH_FAILED, "auth_failures_total", "Requests without a valid credential.");
    write_by_program(out, METRIC_WORKER_DIED, "worker_deaths_total", "Workers that crashed and were replaced.");
}

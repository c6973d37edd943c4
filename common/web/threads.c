/* The worker of a threaded program: a crew of threads that accept by themselves.
 *
 * Idle threads wait in one epoll set, where the kernel wakes the one that came last: its stack, arena and buffers
 * are still in the processor's caches, and those that are not needed stay asleep. (Threads that wait in accept take
 * turns.) The event comes once; who takes the connection asks for the next one. The thread that leaves nobody idle
 * starts another first; one that is done and finds enough idle ones leaves. The main thread serves nothing: it waits
 * for signals, ticks once a second and ends the process in order.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/leavers.h"
#include "base/log.h"
#include "base/metrics.h"
#include "store/fresh.h"
#include "store/memo.h"
#include "web/process.h"
#include "web/ratelimit.h"
#include "web/serve.h"
#include "web/transport.h"

enum {
#ifdef CLAWGATE_SANITIZED
    STACK_SIZE = 1024 * 1024,
#else
    STACK_SIZE = 256 * 1024,
#endif
    IDLE_MAX = 16,       /* threads kept without work */
    BEYOND_RUNS = 64,    /* threads above those of runs and waiting runs: short requests beside them */
    POOL_CONNECTIONS = 8,
    COPIES_MAX = 512,    /* of configuration */
    ARENAS = 4,          /* of malloc */
    TICK_MS = 1000,
    KICK_MS = 10,
    TRIM_AFTER_MS = 5000,
    GRACE_MS = 10000,    /* from "hurry" to giving up */
    ERR_SIZE = 256,
};

/* One thread, on its own stack. */
struct member {
    pthread_t thread;
    bool idle;          /* waits for a connection, or is about to */
    struct member *before, *behind;
};

struct crew {
    const struct gateway *gw;
    int epoll;          /* of the listening socket alone */
    pthread_attr_t attr;
    pthread_mutex_t lock;
    size_t limit;
    size_t count;
    size_t idle;
    size_t peak;        /* most threads since memory was last given back */
    bool stopping;
    struct member *first;
    struct leavers left;
};

static void on_kick(int sig)
{
    (void)sig;
}

static void *member_main(void *arg);

/* With the lock held. */
static void crew_grow(struct crew *c)
{
    if (c->stopping || c->count >= c->limit)
        return;
    pthread_t thread;
    int rc = pthread_create(&thread, &c->attr, member_main, c);
    if (rc != 0) {
        log_event(LOG_WARN, 3321, "threads.create", LOG_I, "errno", (int64_t)rc, LOG_I, "threads",
                  (int64_t)c->count, LOG_END);
        return;
    }
    c->count++;
    c->idle++;
    if (c->count > c->peak)
        c->peak = c->count;
}

static void crew_join(struct crew *c, struct member *m)
{
    m->thread = pthread_self();
    pthread_mutex_lock(&c->lock);
    m->behind = c->first;
    if (c->first)
        c->first->before = m;
    c->first = m;
    m->idle = true;
    pthread_mutex_unlock(&c->lock);
}

/* The last thing a thread does: afterwards the process may end. */
static void crew_leave(struct crew *c, struct member *m)
{
    pthread_mutex_lock(&c->lock);
    if (m->before)
        m->before->behind = m->behind;
    else
        c->first = m->behind;
    if (m->behind)
        m->behind->before = m->before;
    c->count--;
    struct leavers before = leavers_add(&c->left);
    pthread_mutex_unlock(&c->lock);
    leavers_join(before);
}

/* SIGUSR2 ends a wait for a connection and must not end another: it is sent to idle threads only, once the crew is
 * stopping, and a thread that took a connection then closes its ears before it reads. */
static void kicks_end(void)
{
    sigset_t kick;
    sigemptyset(&kick);
    sigaddset(&kick, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &kick, NULL);
}

static void kicks_begin(void)
{
    sigset_t kick;
    sigemptyset(&kick);
    sigaddset(&kick, SIGUSR2);
    pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
}

/* The next connection wakes a thread again: at once, if it is there already. */
static bool listen_on(const struct crew *c, int how)
{
    struct epoll_event once = {.events = EPOLLIN | EPOLLONESHOT};
    return epoll_ctl(c->epoll, how, STDIN_FILENO, &once) == 0;
}

/* As accept4. Should another process have been faster, this thread waits in accept for the connection after that. */
static int accept_last_come(const struct crew *c)
{
    struct epoll_event event;
    if (epoll_wait(c->epoll, &event, 1, -1) < 0)
        return -1;
    int fd = accept4(STDIN_FILENO, NULL, NULL, SOCK_CLOEXEC);
    int err = errno;
    listen_on(c, EPOLL_CTL_MOD);
    errno = err;
    return fd;
}

/* A connection, or -1 when the crew is stopping. The member is idle no more. */
static int member_accept(struct crew *c, struct member *m)
{
    for (bool stopping = false;;) {
        int fd = accept_last_come(c);
        int err = errno;
        pthread_mutex_lock(&c->lock);
        stopping = c->stopping;
        if (fd >= 0 || stopping) {
            m->idle = false;
            c->idle--;
            if (c->idle == 0)
                crew_grow(c);
        }
        pthread_mutex_unlock(&c->lock);
        if (stopping)
            kicks_end();
        if (fd >= 0 || stopping)
            return fd;
        if (!accept_may_retry(err)) {
            log_event(LOG_ERROR, 3322, "threads.accept", LOG_I, "errno", (int64_t)err, LOG_END);
            sleep(1);
        }
    }
}

/* Stays the thread, it is idle again. */
static bool member_stays(struct crew *c, struct member *m)
{
    pthread_mutex_lock(&c->lock);
    bool stay = !c->stopping && c->idle < IDLE_MAX;
    if (stay) {
        m->idle = true;
        c->idle++;
    }
    pthread_mutex_unlock(&c->lock);
    return stay;
}

static void *member_main(void *arg)
{
    struct crew *c = arg;
    struct member self = {0};
    struct arena *arena = arena_new();
    struct transport *t = NULL;
    crew_join(c, &self);
    kicks_begin();
    do {
        int fd = member_accept(c, &self);
        struct transport *got = fd >= 0 ? transport_fastcgi(t, fd) : NULL;
        if (got) {
            t = got;
            serve_request(c->gw, t, arena);
            transport_finish(t);
            arena_clear(arena);
        }
    } while (member_stays(c, &self));
    transport_free(t);
    arena_free(arena);
    crew_leave(c, &self);
    return NULL;
}

static bool crew_start(struct crew *c, const struct gateway *gw)
{
    c->gw = gw;
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (c->epoll < 0 || !listen_on(c, EPOLL_CTL_ADD)) {
        log_event(LOG_ERROR, 3325, "threads.epoll", LOG_I, "errno", (int64_t)errno, LOG_END);
        return false;
    }
    c->limit = (size_t)gw->config->max_concurrent_runs + CONFIG_RUNS_WAITING_MAX + BEYOND_RUNS;
    pthread_mutex_init(&c->lock, NULL);
    pthread_attr_init(&c->attr);
    pthread_attr_setstacksize(&c->attr, STACK_SIZE);
    pthread_mutex_lock(&c->lock);
    crew_grow(c);
    bool begun = c->count > 0;
    pthread_mutex_unlock(&c->lock);
    return begun;
}

/* Frees memory of a peak that is over. Called once a tick; the peak must have been over for a while. */
static void crew_trim(struct crew *c, int64_t *quiet_since)
{
    pthread_mutex_lock(&c->lock);
    bool over = c->peak > IDLE_MAX && c->count <= c->peak / 2;
    pthread_mutex_unlock(&c->lock);
    int64_t now = clock_mono_ms();
    if (!over)
        *quiet_since = 0;
    else if (*quiet_since == 0)
        *quiet_since = now;
    else if (now - *quiet_since >= TRIM_AFTER_MS) {
        malloc_trim(0);
        *quiet_since = 0;
        pthread_mutex_lock(&c->lock);
        c->peak = c->count;
        pthread_mutex_unlock(&c->lock);
    }
}

static void crew_stop_accepting(struct crew *c)
{
    socket_let_go();
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    pthread_mutex_unlock(&c->lock);
}

/* Wakes the threads that wait in accept. Returns how many threads are left. */
static size_t crew_kick(struct crew *c)
{
    pthread_mutex_lock(&c->lock);
    size_t left = c->count;
    for (struct member *m = c->first; m; m = m->behind)
        if (m->idle)
            pthread_kill(m->thread, SIGUSR2);
    pthread_mutex_unlock(&c->lock);
    return left;
}

static int wait_signal(int64_t ms)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    return sigtimedwait(&set, NULL, &ts);
}

static void tell(struct gateway *gw, bool hurry)
{
    if (gw->program->drain)
        gw->program->drain(gw, hurry);
}

/* SIGTERM, and work is in flight: nobody else will take what arrives meanwhile, so it is taken and refused, until
 * the work is done, its time is over, or a second SIGTERM comes. */
static void crew_refuse(struct gateway *gw)
{
    int64_t until = clock_mono_ms() + gw->config->drain_seconds * 1000;
    tell(gw, false);
    while (gw->program->busy && gw->program->busy(gw) && clock_mono_ms() < until)
        if (wait_signal(KICK_MS) == SIGTERM)
            break;
    if (gw->program->busy && gw->program->busy(gw))
        tell(gw, true);
}

/* Until the last request is over. SIGUSR1: the runs may take the time they have; SIGTERM: drain_seconds;
 * a second SIGTERM: no time. Returns how many threads are still busy at the end of all patience. */
static size_t crew_drain(struct crew *c, struct gateway *gw, int sig)
{
    const struct config *config = gw->config;
    bool told = sig == SIGTERM;
    bool hurried = false;
    int64_t patience = sig == SIGTERM ? config->drain_seconds : config->run_timeout_sec + config->drain_seconds;
    int64_t until = clock_mono_ms() + patience * 1000;
    int64_t next_tick = 0;
    if (told)
        crew_refuse(gw);
    crew_stop_accepting(c);
    size_t left;
    while ((left = crew_kick(c)) > 0) {
        int64_t now = clock_mono_ms();
        if (now >= until && hurried)
            return left;
        if (now >= until) {
            hurried = true;
            until = now + GRACE_MS;
            tell(gw, true);
        }
        if (now >= next_tick && gw->program->tick) {
            gw->program->tick(gw);
            next_tick = now + TICK_MS;
        }
        if (wait_signal(KICK_MS) != SIGTERM)
            continue;
        if (told)
            until = hurried ? until : 0;
        else {
            told = true;
            until = clock_mono_ms() + config->drain_seconds * 1000;
            tell(gw, false);
        }
    }
    return 0;
}

static void process_prepare(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    mallopt(M_ARENA_MAX, ARENAS);
    /* Dispositions that are set keep FCGX_Init from putting its own there. */
    signal_interrupts(SIGTERM, on_kick);
    signal_interrupts(SIGUSR1, on_kick);
    signal_interrupts(SIGUSR2, on_kick);
}

/* Everything but what a fault of this very thread raises; every thread inherits it. */
static void signals_block(void)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGPROF};
    sigset_t set;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset(&set, own[i]);
    pthread_sigmask(SIG_SETMASK, &set, NULL);
}

static bool gateway_open(struct gateway *gw)
{
    char err[ERR_SIZE] = "";
    const char *path = gw->config->sqlite_path;
    gw->limiter = ratelimit_open(gw->config->home, gw->config->rate_limit_rpm);
    metrics_show_gauges();
    /* Creates or migrates before the first connection of the pool. */
    struct db *db = db_open(path, DB_CREATE, err, sizeof err);
    if (db) {
        db_close(db);
        gw->fresh = fresh_open(path);
        gw->memo = memo_new(gw->fresh, COPIES_MAX);
        gw->pool = db_pool_new(path, POOL_CONNECTIONS, err, sizeof err);
    }
    if (gw->pool)
        gw->writer = writer_start(path, err, sizeof err);
    if (gw->writer && (!gw->program->start || gw->program->start(gw, err, sizeof err)))
        return true;
    log_event(LOG_ERROR, 3323, "threads.start", LOG_S, "reason", err, LOG_END);
    return false;
}

static void gateway_close(struct gateway *gw)
{
    if (gw->program->stop)
        gw->program->stop(gw);
    writer_stop(gw->writer);
    db_pool_free(gw->pool);
    memo_free(gw->memo);
    fresh_close(gw->fresh);
    ratelimit_free(gw->limiter);
}

static int serve_until_signal(struct crew *c, struct gateway *gw)
{
    int64_t quiet_since = 0;
    for (;;) {
        int sig = wait_signal(TICK_MS);
        if (sig == SIGTERM || sig == SIGUSR1)
            return sig;
        if (gw->program->tick)
            gw->program->tick(gw);
        crew_trim(c, &quiet_since);
    }
}

int threads_run(const struct worker_place *place)
{
    struct gateway gw = {.config = place->config, .program = place->program};
    struct crew crew = {0};
    process_prepare();
    signals_block();
    if (!socket_hold() || !gateway_open(&gw) || !crew_start(&crew, &gw))
        return 1;
    worker_mark(place, SLOT_IDLE);

    int sig = serve_until_signal(&crew, &gw);
    size_t left = crew_drain(&crew, &gw, sig);
    if (left > 0) {
        log_event(LOG_ERROR, 3324, "threads.left_busy", LOG_I, "threads", (int64_t)left, LOG_END);
        _exit(1); /* what the threads use cannot be freed under them */
    }
    leavers_join(crew.left);
    gateway_close(&gw);
    return 0;
}

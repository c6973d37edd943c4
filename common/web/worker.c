#include <errno.h>
#include <signal.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "store/fresh.h"
#include "store/memo.h"
#include "web/process.h"
#include "web/ratelimit.h"
#include "web/serve.h"
#include "web/transport.h"

enum { ERR_SIZE = 256, SHORTAGE_PAUSE_US = 50000, COPIES_MAX = 64 };

static int null_fd = -1;
static volatile sig_atomic_t leave;

bool socket_hold(void)
{
    null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    return null_fd >= 0;
}

void socket_let_go(void)
{
    dup2(null_fd, STDIN_FILENO);
}

/* A signal between the look at `leave` and accept4 would be lost; with the socket gone accept4 fails at once. */
static void on_leave(int sig)
{
    (void)sig;
    int saved = errno;
    leave = 1;
    socket_let_go();
    errno = saved;
}

void signal_interrupts(int sig, void (*handler)(int))
{
    struct sigaction sa = {.sa_handler = handler};
    sigemptyset(&sa.sa_mask);
    sigaction(sig, &sa, NULL);
}

bool accept_may_retry(int err)
{
    switch (err) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        log_event(LOG_WARN, 3311, "worker.accept_short", LOG_I, "errno", (int64_t)err, LOG_END);
        usleep(SHORTAGE_PAUSE_US);
        return true;
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
    case EOPNOTSUPP:
        return false;
    default:
        return true;
    }
}

void worker_mark(const struct worker_place *place, enum slot_state state)
{
    struct board *board = place->board;
    int before = atomic_exchange(&board->slots[place->slot], (int)state);
    if (before == SLOT_STARTING)
        eventfd_write(place->notice_fd, 1);
    if (state != SLOT_BUSY)
        return;
    int busy = 0;
    int spare = 0;
    for (int i = 0; i < board->count; i++) {
        int s = atomic_load(&board->slots[i]);
        busy += s == SLOT_BUSY;
        spare += s == SLOT_IDLE || s == SLOT_STARTING;
    }
    int peak = atomic_load(&board->peak);
    while (busy > peak && !atomic_compare_exchange_weak(&board->peak, &peak, busy))
        ;
    if (spare == 0 && atomic_exchange(&board->notice_wanted, 0))
        eventfd_write(place->notice_fd, 1);
}

/* The one connection. When it cannot be opened it is tried again with each request, which is answered with
 * 503 meanwhile: it may be a full disk that somebody clears. */
static bool database_ready(struct gateway *gw)
{
    char err[ERR_SIZE] = "";
    if (!gw->db)
        gw->db = db_open(gw->config->sqlite_path, DB_CREATE, err, sizeof err);
    if (gw->db && !gw->fresh)
        gw->fresh = fresh_open(gw->config->sqlite_path);
    if (!gw->db)
        log_event(LOG_ERROR, 3312, "worker.database", LOG_S, "reason", err, LOG_END);
    return gw->db != NULL;
}

/* Not for one request alone. */
static void memo_ready(struct gateway *gw)
{
    if (gw->fresh && !gw->memo)
        gw->memo = memo_new(gw->fresh, COPIES_MAX);
}

/* A program with a start of its own cannot go on without a database: its worker ends. */
static bool gateway_begin(struct gateway *gw)
{
    char err[ERR_SIZE] = "";
    bool ready = database_ready(gw);
    gw->limiter = ratelimit_open(gw->config->home, gw->config->rate_limit_rpm);
    if (!gw->program->start)
        return true;
    if (ready && gw->program->start(gw, err, sizeof err))
        return true;
    if (ready)
        log_event(LOG_ERROR, 3313, "worker.start", LOG_S, "reason", err, LOG_END);
    ratelimit_free(gw->limiter);
    fresh_close(gw->fresh);
    if (gw->db)
        db_close(gw->db);
    return false;
}

static void gateway_end(struct gateway *gw)
{
    if (gw->program->stop)
        gw->program->stop(gw);
    ratelimit_free(gw->limiter);
    memo_free(gw->memo);
    fresh_close(gw->fresh);
    if (gw->db)
        db_close(gw->db);
}

static void serve_one(struct gateway *gw, struct transport *t, struct arena *arena)
{
    database_ready(gw);
    serve_request(gw, t, arena);
    transport_finish(t);
    arena_clear(arena);
}

/* Signals come through only while the worker waits: elsewhere they would break a read or write. */
static int accept_one(void)
{
    sigset_t leaving;
    sigemptyset(&leaving);
    sigaddset(&leaving, SIGTERM);
    sigaddset(&leaving, SIGUSR1);
    sigprocmask(SIG_UNBLOCK, &leaving, NULL);
    int fd = leave ? -1 : accept4(STDIN_FILENO, NULL, NULL, SOCK_CLOEXEC);
    int saved = errno;
    sigprocmask(SIG_BLOCK, &leaving, NULL);
    errno = saved;
    return fd;
}

int worker_run(const struct worker_place *place)
{
    struct gateway gw = {.config = place->config, .program = place->program};
    struct transport *t = NULL;
    if (!socket_hold() || !gateway_begin(&gw))
        return 1;
    struct arena *arena = arena_new();
    signal_interrupts(SIGTERM, on_leave);
    signal_interrupts(SIGUSR1, on_leave);

    for (int64_t served = 0; served < place->config->prefork_requests && !leave;) {
        worker_mark(place, SLOT_IDLE);
        int fd = accept_one();
        if (fd < 0 && !leave && !accept_may_retry(errno)) {
            log_event(LOG_ERROR, 3314, "worker.accept", LOG_I, "errno", (int64_t)errno, LOG_END);
            break;
        }
        if (fd < 0)
            continue;
        worker_mark(place, SLOT_BUSY);
        struct transport *got = transport_fastcgi(t, fd);
        if (!got)
            continue;
        t = got;
        memo_ready(&gw);
        serve_one(&gw, t, arena);
        served++;
    }
    gateway_end(&gw);
    transport_free(t);
    arena_free(arena);
    return 0;
}

int cgi_run(const struct program *program, const struct config *config)
{
    struct gateway gw = {.config = config, .program = program};
    signal_interrupts(SIGPIPE, SIG_IGN);
    metrics_open(config->home, program->name);
    if (program->model == PROGRAM_THREADED)
        metrics_show_gauges();
    struct transport *t = transport_cgi();
    if (!t || !gateway_begin(&gw)) {
        transport_free(t);
        return 1;
    }
    struct arena *arena = arena_new();
    serve_one(&gw, t, arena);
    gateway_end(&gw);
    transport_free(t);
    arena_free(arena);
    return 0;
}

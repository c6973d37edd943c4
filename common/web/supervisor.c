/* One process a program that holds the listening socket and does nothing but fork and watch.
 *
 * It never touches the database or libfcgi, so a fork copies almost nothing. Its signals are blocked
 * except inside ppoll, where a handler only notes them: none is lost, and one that is pending survives
 * the exec of an upgrade.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "web/process.h"

enum {
    LOOK_AGAIN_MS = 5,       /* from "all busy" to the look whether somebody waits */
    QUICK_DEATH_MS = 1000,   /* a worker that lives shorter counts as one that cannot start */
    BACKOFF_MIN_MS = 100,
    BACKOFF_MAX_MS = 2000,
    KILL_AFTER_MS = 15000,   /* beyond drain_seconds, then SIGKILL */
    CHECK_MS = 10000,        /* for the new binary's --check */
    CHECK_STEP_US = 10000,
    SLOTS_MAX = 256,
    CHILDREN_MAX = 2 * SLOTS_MAX,
    OLD_TEXT_SIZE = CHILDREN_MAX * 32,
};

static const char old_workers_env[] = "CLAWGATE_OLD_WORKERS";

struct child {
    pid_t pid;
    int slot;           /* -1: forked by the image before an upgrade */
    int64_t born_ms;
    int64_t until_ms;   /* old ones: when patience ends, 0 = not told yet */
};

struct supervisor {
    const struct program *program;
    const struct config *config;
    const char *path;
    char **argv;
    struct board *board;
    int notice_fd;
    int child_count;
    struct child children[CHILDREN_MAX];
    int64_t fork_after_ms;  /* back-off */
    int64_t backoff_ms;     /* the last pause */
    int quick_deaths;       /* in a row */
    int64_t look_after_ms;  /* all were busy a moment ago */
    int64_t surplus_at_ms;  /* next look for workers that are not needed */
    int64_t kill_at_ms;     /* stopping: when patience ends */
    bool fork_wanted;       /* without waiting for a connection */
    bool old_untold;        /* old workers that still accept */
    bool stopping;
    bool in_worker;         /* this process is a worker just forked */
    bool may_rest;          /* whoever started us watches the socket while we are gone */
    bool had_worker;
    int exit_code;
};

static struct {
    volatile sig_atomic_t term;
    volatile sig_atomic_t hup;
} noted;

static void on_term(int sig)
{
    (void)sig;
    noted.term = 1;
}

static void on_hup(int sig)
{
    (void)sig;
    noted.hup = 1;
}

static void on_child(int sig)
{
    (void)sig; /* ends ppoll */
}

static void signals_take(void)
{
    static const int ours[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGUSR1, SIGUSR2};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        sigaddset(&set, ours[i]);
    sigprocmask(SIG_SETMASK, &set, NULL);
    signal_interrupts(SIGTERM, on_term);
    signal_interrupts(SIGINT, on_term);
    signal_interrupts(SIGHUP, on_hup);
    signal_interrupts(SIGCHLD, on_child);
    signal_interrupts(SIGUSR1, SIG_IGN);
    signal_interrupts(SIGUSR2, SIG_IGN);
    signal_interrupts(SIGPIPE, SIG_IGN);
}

/* In the worker: what comes from the terminal is the supervisor's business; TERM, USR1 and USR2 stay
 * blocked until the worker is ready for them. */
static void signals_give(void)
{
    sigset_t set;
    signal_interrupts(SIGINT, SIG_IGN);
    signal_interrupts(SIGHUP, SIG_IGN);
    signal_interrupts(SIGCHLD, SIG_DFL);
    signal_interrupts(SIGTERM, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_SETMASK, &set, NULL);
}

/* CLAWGATE_SUPERVISED holds the pid of who started us (1 when it cannot say). */
static bool bind_to_parent(void)
{
    const char *text = getenv("CLAWGATE_SUPERVISED");
    if (!text || !*text)
        return true;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    long parent = strtol(text, NULL, 10);
    return parent <= 1 || parent == (long)getppid();
}

static bool board_make(struct supervisor *s)
{
    int64_t most = s->program->model == PROGRAM_THREADED ? 1 : s->config->prefork_max;
    int count = most < 1 ? 1 : most > SLOTS_MAX ? SLOTS_MAX : (int)most;
    size_t size = sizeof *s->board + (size_t)count * sizeof s->board->slots[0];
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return false;
    s->board = p;
    s->board->count = count;
    s->notice_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return s->notice_fd >= 0;
}

static int slots_in(const struct supervisor *s, enum slot_state state)
{
    int n = 0;
    for (int i = 0; i < s->board->count; i++)
        n += atomic_load(&s->board->slots[i]) == (int)state;
    return n;
}

static void fork_worker(struct supervisor *s)
{
    int slot = 0;
    while (slot < s->board->count && atomic_load(&s->board->slots[slot]) != SLOT_FREE)
        slot++;
    if (slot == s->board->count || s->child_count == CHILDREN_MAX)
        return;
    s->fork_wanted = false;
    atomic_store(&s->board->slots[slot], SLOT_STARTING);
    pid_t self = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        log_event(LOG_ERROR, 3341, "supervisor.fork", LOG_I, "errno", (int64_t)errno, LOG_END);
        atomic_store(&s->board->slots[slot], SLOT_FREE);
        s->fork_wanted = true;
        s->fork_after_ms = clock_mono_ms() + BACKOFF_MAX_MS;
        return;
    }
    if (pid > 0) {
        s->had_worker = true;
        s->children[s->child_count++] = (struct child){.pid = pid, .slot = slot, .born_ms = clock_mono_ms()};
        return;
    }
    s->in_worker = true;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != self)
        return;
    signals_give();
    struct worker_place place = {.program = s->program, .config = s->config, .board = s->board, .slot = slot,
                                 .notice_fd = s->notice_fd};
    s->exit_code = s->program->model == PROGRAM_THREADED ? threads_run(&place) : worker_run(&place);
}

/* The first quick death may be an accident; from the second on the pauses grow. */
static int64_t backoff_ms(int quick_deaths)
{
    int64_t ms = BACKOFF_MIN_MS;
    for (int i = 2; i < quick_deaths && ms < BACKOFF_MAX_MS; i++)
        ms *= 2;
    return quick_deaths < 2 ? 0 : ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

static void note_death(struct supervisor *s, const struct child *c, int status)
{
    bool crashed = WIFSIGNALED(status) || WEXITSTATUS(status) != 0;
    bool quick = clock_mono_ms() - c->born_ms < QUICK_DEATH_MS;
    s->quick_deaths = crashed && quick ? s->quick_deaths + 1 : 0;
    s->backoff_ms = backoff_ms(s->quick_deaths);
    if (c->slot >= 0 && !s->stopping) {
        s->fork_after_ms = clock_mono_ms() + s->backoff_ms;
        s->fork_wanted |= crashed || s->program->model == PROGRAM_THREADED;
    }
    if (!crashed)
        return;
    metrics_add(METRIC_WORKER_DIED, 1);
    log_event(LOG_ERROR, 3342, "supervisor.worker_died", LOG_I, "worker", (int64_t)c->pid, LOG_I, "signal",
              (int64_t)(WIFSIGNALED(status) ? WTERMSIG(status) : 0), LOG_I, "exit",
              (int64_t)(WIFEXITED(status) ? WEXITSTATUS(status) : 0), LOG_I, "next_in_ms", s->backoff_ms, LOG_END);
}

static void reap(struct supervisor *s)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (int i = 0; i < s->child_count; i++) {
            if (s->children[i].pid != pid)
                continue;
            note_death(s, &s->children[i], status);
            if (s->children[i].slot >= 0)
                atomic_store(&s->board->slots[s->children[i].slot], SLOT_FREE);
            s->children[i] = s->children[--s->child_count];
            break;
        }
    }
}

static void tell_all(const struct supervisor *s, int sig)
{
    for (int i = 0; i < s->child_count; i++)
        kill(s->children[i].pid, sig);
}

/* The first TERM lets requests end; the second leaves no time. */
static void stop(struct supervisor *s)
{
    int64_t drain_ms = s->stopping ? 0 : s->config->drain_seconds * 1000;
    s->stopping = true;
    s->kill_at_ms = clock_mono_ms() + drain_ms + KILL_AFTER_MS;
    tell_all(s, SIGTERM);
}

/* --- upgrade ------------------------------------------------------------------------------------- */

/* A new binary that cannot read its settings would take every worker down with it: it is asked first. */
static bool new_image_works(struct supervisor *s)
{
    pid_t pid = fork();
    if (pid < 0)
        return false;
    if (pid == 0) {
        char *args[] = {s->argv[0], (char[]){"--check"}, NULL};
        execv(s->path, args);
        _exit(127);
    }
    for (int waited_us = 0; waited_us < CHECK_MS * 1000; waited_us += CHECK_STEP_US) {
        int status;
        if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFEXITED(status) && WEXITSTATUS(status) == 0;
        usleep(CHECK_STEP_US);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return false;
}

static void upgrade(struct supervisor *s)
{
    static char text[OLD_TEXT_SIZE];
    size_t len = 0;
    if (!new_image_works(s)) {
        log_event(LOG_ERROR, 3343, "supervisor.upgrade_refused", LOG_S, "path", s->path, LOG_END);
        return;
    }
    text[0] = '\0';
    for (int i = 0; i < s->child_count && len < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%ld:%" PRId64 ",", (long)s->children[i].pid,
                                s->children[i].until_ms);
    setenv(old_workers_env, text, 1);
    execv(s->path, s->argv);
    log_event(LOG_ERROR, 3344, "supervisor.exec", LOG_S, "path", s->path, LOG_I, "errno", (int64_t)errno, LOG_END);
    unsetenv(old_workers_env);
}

/* After the exec: the workers of the image before are still our children. */
static void adopt_old(struct supervisor *s)
{
    const char *text = getenv(old_workers_env);
    while (text && *text && s->child_count < CHILDREN_MAX) {
        char *end = NULL;
        long pid = strtol(text, &end, 10);
        if (pid <= 1 || *end != ':')
            break;
        int64_t until = strtoll(end + 1, &end, 10);
        s->children[s->child_count++] = (struct child){.pid = (pid_t)pid, .slot = -1, .until_ms = until};
        s->old_untold = s->fork_wanted = true;
        text = *end == ',' ? end + 1 : end;
    }
    unsetenv(old_workers_env);
}

/* Old workers accept until a new one is ready, so that no moment is without a worker. */
static void retire_old(struct supervisor *s, int64_t now)
{
    bool ready = s->old_untold && slots_in(s, SLOT_IDLE) + slots_in(s, SLOT_BUSY) > 0;
    if (ready)
        s->old_untold = false;
    int64_t patience = (s->config->run_timeout_sec + s->config->drain_seconds) * 1000 + KILL_AFTER_MS;
    for (int i = 0; i < s->child_count; i++) {
        struct child *c = &s->children[i];
        if (c->slot >= 0)
            continue;
        if (ready && c->until_ms == 0) {
            kill(c->pid, SIGUSR1);
            c->until_ms = now + patience;
        } else if (c->until_ms && now >= c->until_ms) {
            log_event(LOG_WARN, 3345, "supervisor.old_killed", LOG_I, "worker", (int64_t)c->pid, LOG_END);
            kill(c->pid, SIGKILL);
            c->until_ms = now + KILL_AFTER_MS;
        }
    }
}

/* --- how many workers ---------------------------------------------------------------------------- */

static int live_workers(const struct supervisor *s)
{
    return s->board->count - slots_in(s, SLOT_FREE);
}

static int least_workers(const struct supervisor *s)
{
    return s->may_rest ? 0 : 1;
}

/* Workers beyond the most that were busy at one time lately are told to go; one stays, unless we may rest. */
static void retire_surplus(struct supervisor *s, int64_t now)
{
    if (now < s->surplus_at_ms)
        return;
    s->surplus_at_ms = now + s->config->prefork_idle_seconds * 1000;
    int needed = atomic_exchange(&s->board->peak, slots_in(s, SLOT_BUSY));
    int surplus = live_workers(s) - (needed < least_workers(s) ? least_workers(s) : needed);
    for (int i = 0; i < s->child_count && surplus > 0; i++) {
        int slot = s->children[i].slot;
        if (slot < 0 || atomic_load(&s->board->slots[slot]) != SLOT_IDLE)
            continue;
        kill(s->children[i].pid, SIGUSR1);
        surplus--;
    }
}

/* True when a waiting connection is a reason to fork: nobody else would take it. */
static bool watches_socket(struct supervisor *s, int64_t now)
{
    if (s->stopping || now < s->fork_after_ms || s->program->model == PROGRAM_THREADED)
        return false;
    if (slots_in(s, SLOT_FREE) == 0 || slots_in(s, SLOT_STARTING) > 0)
        return false;
    if (live_workers(s) == 0)
        return true;
    /* Until the next look nobody gives notice: under load that would be one with each request. */
    if (now < s->look_after_ms)
        return false;
    /* Wanted first, looked at second: a worker that gets busy in between gives notice. */
    atomic_store(&s->board->notice_wanted, 1);
    return slots_in(s, SLOT_IDLE) == 0;
}

static bool connection_waits(void)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&p, 1, 0) > 0 && (p.revents & POLLIN);
}

static void earlier(int64_t *timeout, int64_t now, int64_t at)
{
    int64_t ms = at > now ? at - now : 0;
    if (*timeout < 0 || ms < *timeout)
        *timeout = ms;
}

static int64_t next_wake(const struct supervisor *s, int64_t now)
{
    int64_t t = -1;
    if (s->stopping)
        earlier(&t, now, s->kill_at_ms);
    else if (s->fork_wanted || now < s->fork_after_ms)
        earlier(&t, now, s->fork_after_ms);
    if (!s->stopping && now < s->look_after_ms)
        earlier(&t, now, s->look_after_ms);
    if (!s->stopping && live_workers(s) > least_workers(s))
        earlier(&t, now, s->surplus_at_ms);
    for (int i = 0; i < s->child_count; i++)
        if (s->children[i].until_ms)
            earlier(&t, now, s->children[i].until_ms);
    return t;
}

static void wait_for_news(struct supervisor *s)
{
    int64_t now = clock_mono_ms();
    bool watch = watches_socket(s, now);
    int64_t timeout = next_wake(s, now);
    struct timespec ts = {.tv_sec = timeout / 1000, .tv_nsec = timeout % 1000 * 1000000};
    struct pollfd fds[] = {{.fd = s->notice_fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    sigset_t none;
    sigemptyset(&none);
    if (ppoll(fds, watch ? 2 : 1, timeout < 0 ? NULL : &ts, &none) <= 0)
        return;
    eventfd_t count;
    if ((fds[0].revents & POLLIN) && eventfd_read(s->notice_fd, &count) == 0)
        s->look_after_ms = clock_mono_ms() + LOOK_AGAIN_MS;
    if (!watch || !(fds[1].revents & POLLIN))
        return;
    /* Looked at again: by now a worker may have taken it, or be idle and about to. */
    if (slots_in(s, SLOT_IDLE) == 0 && connection_waits())
        s->fork_wanted = true;
    else
        s->look_after_ms = clock_mono_ms() + LOOK_AGAIN_MS;
}

static void act(struct supervisor *s)
{
    int64_t now = clock_mono_ms();
    reap(s);
    if (noted.term) {
        noted.term = 0;
        stop(s);
    }
    if (noted.hup) {
        noted.hup = 0;
        if (!s->stopping)
            upgrade(s);
    }
    retire_old(s, now);
    if (s->stopping) {
        if (now >= s->kill_at_ms && s->child_count > 0) {
            log_event(LOG_ERROR, 3346, "supervisor.killed", LOG_I, "workers", (int64_t)s->child_count, LOG_END);
            tell_all(s, SIGKILL);
            s->kill_at_ms = now + KILL_AFTER_MS;
        }
        return;
    }
    retire_surplus(s, now);
    if (s->fork_wanted && now >= s->fork_after_ms)
        fork_worker(s);
}

int supervisor_run(const struct program *program, const struct config *config, const char *path, char **argv)
{
    static struct supervisor supervisor;
    struct supervisor *s = &supervisor;
    *s = (struct supervisor){.program = program, .config = config, .path = path, .argv = argv};
    signals_take();
    if (!bind_to_parent())
        return 0;
    if (!board_make(s)) {
        log_event(LOG_ERROR, 3347, "supervisor.start", LOG_I, "errno", (int64_t)errno, LOG_END);
        return 1;
    }
    metrics_open(config->home, program->name);
    adopt_old(s);
    s->fork_wanted |= program->model == PROGRAM_THREADED;
    s->may_rest = getenv("CLAWGATE_ON_DEMAND") != NULL && program->model == PROGRAM_PREFORK;
    s->surplus_at_ms = clock_mono_ms() + config->prefork_idle_seconds * 1000;
    for (;;) {
        act(s);
        if (s->in_worker || (s->stopping && s->child_count == 0))
            return s->exit_code;
        if (s->may_rest && s->had_worker && s->child_count == 0 && !s->fork_wanted && !connection_waits())
            return 0;
        wait_for_news(s);
    }
}

/* clawgate-serve: owns start, stop and reload of one installation.
 *
 * Guarantees:
 *  1. One serve a home: a lock on <home>/serve.lock; a second one says whose it is and ends with 3.
 *  2. It creates the sockets and never closes them: a program, a supervisor or lighttpd may die and be
 *     replaced, a request that waits in a backlog is served by the next one.
 *  3. Stop order on TERM or INT: chat drains (each stream gets its one terminal event), then lighttpd,
 *     then the rest. A second signal hurries the drain.
 *  4. HUP: every program reads its settings again and execs its new binary over the same socket. Between two of
 *     them all programs have the same settings, whenever they start.
 *     lighttpd is not touched, so no request is refused; unless its certificate or key is another file now: then a
 *     second one takes over the listening socket, and the first ends with its last request.
 *  5. Whatever it started dies with it, also under kill -9 (PDEATHSIG).
 *  6. A program other than chat costs nothing until its socket becomes readable: only then its supervisor
 *     is started, and one that had nothing to do for a while ends by itself.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <poll.h>

#include "base/clock.h"
#include "base/complain.h"
#include "base/config.h"
#include "base/log.h"
#include "store/db.h"
#include "tools/clawgate-serve/place.h"
#include "tools/clawgate-serve/settings.h"

extern char **environ;

enum { BACKOFF_MIN_MS = 100, BACKOFF_MAX_MS = 2000, YOUNG_MS = 1000,
       STOP_GRACE_MS = 10000, NAMES_MAX = 32, RETIRED_MAX = 8, FIRST_PASSED_FD = 3 };

struct child {
    const char *name;
    int socket;       /* listening socket, -1 for lighttpd */
    pid_t pid;        /* 0 = not running */
    int64_t started;  /* clock_mono_ms */
    int64_t start_at; /* when to start it again */
    int backoff_ms;
    bool on_demand;   /* started when its socket becomes readable */
    bool resting;     /* not running, and nobody waits */
};

static const struct config *config;
static struct child children[NAMES_MAX];
static size_t child_count;
static char front_host[FRONT_HOST_SIZE];
static char program_dir[PATH_MAX], lighttpd_conf[PATH_MAX], tls_conf[PATH_MAX], run_dir[PATH_MAX], log_path[PATH_MAX];
static bool stopping;
static int front_socket = -1;      /* with TLS: the port, held here so that two lighttpds can hand it over */
static struct stat tls_files[2];   /* certificate and key as lighttpd has read them */
static pid_t retired[RETIRED_MAX]; /* lighttpds that only end what they have begun, 0 = none */
static sigset_t child_signals; /* mask of the process before we changed it */

/* The database is created or migrated by a child of its own: this process stays small. */
static bool database_prepare(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        char err[512] = "";
        struct db *db = db_open(config->sqlite_path, DB_CREATE, err, sizeof err);
        if (!db)
            complain("%s", err);
        db_close(db);
        _exit(db ? 0 : 1);
    }
    int status = 1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void log_open(void)
{
    int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    dup2(fd, STDERR_FILENO);
    close(fd);
}

/* The convention of systemd: descriptors from 3 on, named to one process. */
static void front_socket_pass(void)
{
    char pid[16];
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    if (dup2(front_socket, FIRST_PASSED_FD) == front_socket)
        fcntl(front_socket, F_SETFD, 0);
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "1", 1);
}

/* mode: -D serves, -tt only looks whether everything can be loaded. */
static void exec_lighttpd(const char *mode)
{
    char how[4];
    snprintf(how, sizeof how, "%s", mode);
    if (front_socket >= 0 && strcmp(mode, "-D") == 0)
        front_socket_pass();
    char *argv[] = {(char[]){"lighttpd"}, how, (char[]){"-f"}, config->tls_cert ? tls_conf : lighttpd_conf, NULL};
    setenv("PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin", 1);
    execvp("lighttpd", argv);
}

static void exec_program(const struct child *c)
{
    char path[PATH_MAX], parent[16];
    if (!path_join(path, sizeof path, program_dir, c->name))
        return;
    char *argv[] = {path, NULL};
    snprintf(parent, sizeof parent, "%ld", (long)getppid());
    setenv("CLAWGATE_SUPERVISED", parent, 1);
    if (c->on_demand)
        setenv("CLAWGATE_ON_DEMAND", "1", 1);
    dup2(c->socket, STDIN_FILENO);
    execv(path, argv);
}

static void child_start(struct child *c)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        c->start_at = clock_mono_ms() + BACKOFF_MAX_MS;
        return;
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
            _exit(0);
        setpgid(0, 0); /* Ctrl-C is for serve alone: it knows the order */
        sigprocmask(SIG_SETMASK, &child_signals, NULL);
        if (c->socket < 0)
            exec_lighttpd("-D");
        else
            exec_program(c);
        log_event(LOG_ERROR, 6001, "serve.exec_failed", LOG_S, "program", c->name, LOG_S, "reason", strerror(errno),
                  LOG_END);
        _exit(127);
    }
    c->pid = pid;
    c->started = clock_mono_ms();
}

/* A child ended that should not have: at once again, slower when it keeps dying young. */
static void child_ended(struct child *c, int status)
{
    int64_t now = clock_mono_ms();
    if (c->on_demand && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        c->pid = 0;
        c->resting = true;
        return;
    }
    bool young = now - c->started < YOUNG_MS;
    c->backoff_ms = !young ? 0 : c->backoff_ms ? c->backoff_ms * 2 : BACKOFF_MIN_MS;
    if (c->backoff_ms > BACKOFF_MAX_MS)
        c->backoff_ms = BACKOFF_MAX_MS;
    c->pid = 0;
    c->start_at = now + c->backoff_ms;
    log_event(LOG_WARN, 6002, "serve.child_ended", LOG_S, "program", c->name, LOG_I, "signal",
              (int64_t)(WIFSIGNALED(status) ? WTERMSIG(status) : 0), LOG_I, "status",
              (int64_t)(WIFEXITED(status) ? WEXITSTATUS(status) : 0), LOG_I, "again_in_ms", (int64_t)c->backoff_ms,
              LOG_END);
}

static bool retired_ended(pid_t pid)
{
    for (size_t i = 0; i < RETIRED_MAX; i++)
        if (retired[i] == pid) {
            retired[i] = 0;
            return true;
        }
    return false;
}

static struct child *child_of(pid_t pid)
{
    for (size_t i = 0; i < child_count; i++)
        if (children[i].pid == pid)
            return &children[i];
    return NULL;
}

static void reap(void)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct child *c = retired_ended(pid) ? NULL : child_of(pid);
        if (c && stopping)
            c->pid = 0;
        else if (c)
            child_ended(c, status);
    }
}

/* Starts what is due; returns how long to sleep, -1 for ever. */
static int start_due(void)
{
    int64_t now = clock_mono_ms(), next = INT64_MAX;
    for (size_t i = 0; i < child_count; i++) {
        struct child *c = &children[i];
        if (c->pid || c->resting)
            continue;
        if (c->start_at <= now)
            child_start(c);
        else if (c->start_at < next)
            next = c->start_at;
    }
    return next == INT64_MAX ? -1 : (int)(next - now);
}

/* The next signal, 0 when the time is over or a resting program was woken by a connection. */
static int signal_wait(int sfd, int timeout_ms)
{
    struct pollfd p[NAMES_MAX + 1] = {{.fd = sfd, .events = POLLIN}};
    struct child *who[NAMES_MAX + 1] = {NULL};
    nfds_t n = 1;
    for (size_t i = 0; i < child_count; i++)
        if (children[i].resting && !stopping) {
            who[n] = &children[i];
            p[n++] = (struct pollfd){.fd = children[i].socket, .events = POLLIN};
        }
    if (poll(p, n, timeout_ms) <= 0)
        return 0;
    for (nfds_t i = 1; i < n; i++)
        if (p[i].revents)
            who[i]->resting = false;
    struct signalfd_siginfo info;
    if (!p[0].revents || read(sfd, &info, sizeof info) != sizeof info)
        return 0;
    return (int)info.ssi_signo;
}

static void stop_group(int sfd, struct child *list, size_t n, int64_t grace_ms)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].pid)
            kill(list[i].pid, SIGTERM);
    int64_t until = clock_mono_ms() + grace_ms;
    for (;;) {
        reap();
        bool alive = false;
        for (size_t i = 0; i < n; i++)
            alive |= list[i].pid != 0;
        if (!alive)
            return;
        int64_t left = until - clock_mono_ms();
        if (left <= 0)
            break;
        int sig = signal_wait(sfd, (int)left);
        for (size_t i = 0; i < n && (sig == SIGTERM || sig == SIGINT); i++)
            if (list[i].pid)
                kill(list[i].pid, SIGTERM);
    }
    for (size_t i = 0; i < n; i++)
        if (list[i].pid) {
            log_event(LOG_WARN, 6003, "serve.killed", LOG_S, "program", list[i].name, LOG_END);
            kill(list[i].pid, SIGKILL);
            waitpid(list[i].pid, NULL, 0);
        }
}

static void stop_all(int sfd)
{
    stopping = true;
    /* children[0] is chat, [1] lighttpd, then the rest. */
    stop_group(sfd, &children[0], 1, config->drain_seconds * 1000 + STOP_GRACE_MS);
    for (size_t i = 0; i < RETIRED_MAX; i++)
        if (retired[i])
            kill(retired[i], SIGTERM);
    stop_group(sfd, &children[1], 1, STOP_GRACE_MS);
    stop_group(sfd, &children[2], child_count - 2, STOP_GRACE_MS);
}

static bool tls_readable(const char *key, const char *path)
{
    if (!path || access(path, R_OK) == 0)
        return true;
    complain("%s: %s: %s", key, path, strerror(errno));
    return false;
}

/* What is wrong with certificate or key is said now, not by a front server that keeps dying. */
static bool tls_check(void)
{
    if (!config->tls_cert && config->tls_key)
        return complain("gateway.tls_key is set, but gateway.tls_cert is not"), false;
    if (!config->tls_cert)
        return true;
    if (!tls_readable("gateway.tls_cert", config->tls_cert) || !tls_readable("gateway.tls_key", config->tls_key))
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        exec_lighttpd("-tt");
        complain("lighttpd: %s", strerror(errno));
        _exit(127);
    }
    int status = 1;
    if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    complain("lighttpd cannot serve TLS with gateway.tls_cert %s and gateway.tls_key %s (is lighttpd-mod-openssl "
             "installed?)", config->tls_cert, config->tls_key ? config->tls_key : "in the same file");
    return false;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Notes what certificate and key are like; true when they are other files than they were. */
static bool tls_files_changed(void)
{
    const char *const paths[2] = {config->tls_cert, config->tls_key ? config->tls_key : config->tls_cert};
    bool changed = false;
    for (size_t i = 0; i < 2; i++) {
        struct stat now = {0};
        stat(paths[i], &now);
        changed |= !same_file(&now, &tls_files[i]);
        tls_files[i] = now;
    }
    return changed;
}

/* The place of the one that has been ending for longest is taken from it, if there is no other. */
static void front_retire(pid_t pid)
{
    size_t i = 0;
    while (i < RETIRED_MAX - 1 && retired[i])
        i++;
    if (retired[i])
        kill(retired[i], SIGTERM);
    retired[i] = pid;
    kill(pid, SIGINT);
}

static void front_renew(struct child *front)
{
    if (!tls_files_changed())
        return;
    if (front_socket < 0 || !tls_check()) {
        log_event(LOG_ERROR, 6004, "serve.certificate_kept", LOG_S, "certificate", config->tls_cert, LOG_END);
        return;
    }
    log_event(LOG_INFO, 0, "serve.certificate", LOG_S, "certificate", config->tls_cert, LOG_END);
    if (front->pid)
        front_retire(front->pid);
    front->pid = 0;
    front->start_at = 0;
}

static void programs_renew(void)
{
    char chat[PATH_MAX];
    if (!path_join(chat, sizeof chat, program_dir, "chat") || !settings_renew(chat)) {
        log_event(LOG_ERROR, 6005, "serve.settings_kept", LOG_S, "file", config->file, LOG_END);
        return;
    }
    for (size_t i = 0; i < child_count; i++)
        if (children[i].pid && children[i].socket >= 0)
            kill(children[i].pid, SIGHUP);
}

static void reload(void)
{
    log_event(LOG_INFO, 0, "serve.reload", LOG_END);
    programs_renew();
    if (config->tls_cert)
        front_renew(&children[1]);
}

static bool child_add(const char *name, bool front, bool on_demand)
{
    int fd = front ? -1 : socket_listen(run_dir, name);
    if (child_count == NAMES_MAX || (!front && fd < 0))
        return false;
    children[child_count++] =
        (struct child){.name = strdup(name), .socket = fd, .on_demand = on_demand, .resting = on_demand};
    return true;
}

/* Every executable file beside chat is a program and serves the socket of its name. */
static bool children_find(void)
{
    char path[PATH_MAX];
    if (!path_join(path, sizeof path, program_dir, "chat") || access(path, X_OK) != 0) {
        complain("no programs in %s; run make first", program_dir);
        return false;
    }
    if (!child_add("chat", false, false) || !child_add("lighttpd", true, false))
        return false;
    DIR *dir = opendir(program_dir);
    bool ok = dir != NULL;
    for (struct dirent *e; ok && (e = readdir(dir)) != NULL;) {
        bool program = strpbrk(e->d_name, ".~") == NULL && strcmp(e->d_name, "chat") != 0 &&
                       path_join(path, sizeof path, program_dir, e->d_name) && access(path, X_OK) == 0;
        ok = !program || child_add(e->d_name, false, true);
    }
    if (dir)
        closedir(dir);
    return ok;
}

static bool directories(void)
{
    char log_dir[PATH_MAX];
    if (!path_join(run_dir, sizeof run_dir, config->home, "run") ||
        !path_join(log_dir, sizeof log_dir, config->home, "log") ||
        !path_join(log_path, sizeof log_path, log_dir, "clawgate.log"))
        return false;
    const char *const dirs[] = {run_dir, log_dir, config->data_dir};
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        if (mkdir(dirs[i], 0700) != 0 && errno != EEXIST) {
            complain("%s: %s", dirs[i], strerror(errno));
            return false;
        }
    return true;
}

static void environment(void)
{
    char port[16];
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    snprintf(port, sizeof port, "%lld", (long long)config->port);
    setenv("CLAWGATE_HOME", config->home, 1);
    setenv("CLAWGATE_HOST", front_host, 1);
    setenv("CLAWGATE_PORT", port, 1);
    setenv("CLAWGATE_RUN", run_dir, 1);
    setenv("GLIBC_TUNABLES", "glibc.pthread.stack_cache_size=4194304", 0); /* of 40 MB; chat has threads by the peak */
    if (config->tls_cert) {
        setenv("CLAWGATE_TLS_CERT", config->tls_cert, 1);
        setenv("CLAWGATE_TLS_KEY", config->tls_key ? config->tls_key : config->tls_cert, 1);
    }
}

/* It stands beside lighttpd.conf, which it includes. */
static bool tls_conf_find(void)
{
    const char *slash = strrchr(lighttpd_conf, '/');
    int dir = slash ? (int)(slash - lighttpd_conf) + 1 : 0;
    int n = snprintf(tls_conf, sizeof tls_conf, "%.*slighttpd-tls.conf", dir, lighttpd_conf);
    return n >= 0 && (size_t)n < sizeof tls_conf;
}

/* Only for a numeric address: lighttpd takes a socket over when its address is the one it was told to listen on. */
static void front_listen(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)config->port)};
    int on = 1;
    if (!config->tls_cert)
        return;
    tls_files_changed();
    if (inet_pton(AF_INET, config->host, &addr.sin_addr) != 1)
        return;
    front_socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(front_socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(front_socket, (struct sockaddr *)&addr, sizeof addr) == 0 && listen(front_socket, FRONT_BACKLOG) == 0)
        return;
    close(front_socket); /* lighttpd will say what is wrong */
    front_socket = -1;
}

static int signals_open(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, &child_signals);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static int serve(void)
{
    int sfd = signals_open();
    if (sfd < 0)
        return complain("signalfd: %s", strerror(errno));
    printf("Clawgate listens on %s://%s:%lld (log: %s)\n", config->tls_cert ? "https" : "http", front_host,
           (long long)config->port, log_path);
    fflush(stdout);
    log_open();
    log_event(LOG_INFO, 0, "serve.start", LOG_S, "home", config->home, LOG_I, "port", config->port, LOG_END);
    for (;;) {
        switch (signal_wait(sfd, start_due())) {
        case SIGCHLD:
            reap();
            break;
        case SIGHUP:
            reload();
            break;
        case SIGTERM:
        case SIGINT:
            stop_all(sfd);
            log_event(LOG_INFO, 0, "serve.stop", LOG_END);
            return 0;
        default:
            break;
        }
    }
}

int main(int argc, char **argv)
{
    const char *home = NULL;
    char err[512] = "";
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--home") == 0)
            home = argv[i + 1];
        else if (strcmp(argv[i], "--programs") == 0)
            snprintf(program_dir, sizeof program_dir, "%s", argv[i + 1]);
        else if (strcmp(argv[i], "--lighttpd-conf") == 0)
            snprintf(lighttpd_conf, sizeof lighttpd_conf, "%s", argv[i + 1]);
    }
    if (!*program_dir || !*lighttpd_conf)
        return complain("usage: clawgate-serve --programs DIR --lighttpd-conf FILE [--home DIR]");
    log_init("serve", LOG_INFO);
    config = config_load(home, err, sizeof err);
    if (!config)
        return complain("%s", err);
    log_init("serve", (enum log_level)config->log_level);
    if (config_token_missing(config))
        return complain("gateway.token is empty and %s is not a loopback address: set a token, or listen on 127.0.0.1",
                        config->host);
    if (!tls_conf_find())
        return complain("%s: the path is too long", lighttpd_conf);
    if (!directories())
        return 1;
    if (home_lock(config->home) < 0)
        return complain("%s/serve.lock: %s", config->home, strerror(errno));
    config_host_text(config->host, front_host, sizeof front_host);
    environment();
    if (!settings_begin(config->file, run_dir))
        return complain("%s cannot be copied to %s: %s", config->file, run_dir, strerror(errno));
    if (!address_check(config->host, config->port) || !database_prepare() || !children_find() || !tls_check())
        return 1;
    front_listen();
    return serve();
}

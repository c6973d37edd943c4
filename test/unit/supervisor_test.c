/* Supervisor, prefork workers and threads (guarantees of common/web/service.h), as real processes.
 *
 * The test program is also the program under test: started with CLAWGATE_TEST_PROGRAM it is a small FastCGI
 * program, so that SIGHUP has a binary to execute.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fcgi_wire.h"
#include "slower.h"
#include "web/service.h"
#include "web/sse_out.h"

enum { ANSWER_MAX = 1 << 20, PATIENCE_S = 20, SLOW_MS = 300, PREFORK_MAX = 3, DRAIN_S = 1, LOADERS = 4 };

/* ---- the program under test ---- */

static atomic_bool hurrying;

static void drain(struct gateway *gw, bool hurry)
{
    (void)gw;
    atomic_store(&hurrying, hurry);
}

static reply say_pid(struct request *req)
{
    jw_obj(&req->w);
    jw_kint(&req->w, "pid", getpid());
    jw_obj_end(&req->w);
    return reply_json(req, 200);
}

static reply slow(struct request *req)
{
    usleep(SLOW_MS * 1000);
    return say_pid(req);
}

static reply die(struct request *req)
{
    (void)req;
    raise(SIGKILL);
    return 0;
}

/* For ever, until it is told to hurry. */
static reply stream(struct request *req)
{
    bool open = true;
    sse_begin(req);
    while (open && !atomic_load(&hurrying)) {
        usleep(10000);
        sse_frame(req, NULL, "1", 1);
        open = sse_flush(req);
    }
    sse_frame(req, NULL, "[DONE]", 6);
    return sse_end(req);
}

static const struct route routes[] = {
    {METHOD_GET, "/pid", ROLE_PUBLIC, USER_UNUSED, BODY_DEFAULT, say_pid, "System", "pid", 0},
    {METHOD_GET, "/slow", ROLE_PUBLIC, USER_UNUSED, BODY_DEFAULT, slow, "System", "slow", 0},
    {METHOD_GET, "/die", ROLE_PUBLIC, USER_UNUSED, BODY_DEFAULT, die, "System", "die", 0},
    {METHOD_GET, "/stream", ROLE_PUBLIC, USER_UNUSED, BODY_DEFAULT, stream, "System", "stream", 0},
};

enum { ROUTES = sizeof routes / sizeof *routes };

static const struct program prefork = {
    .name = "prefork", .routes = routes, .route_count = ROUTES, .model = PROGRAM_PREFORK};
static const struct program threaded = {
    .name = "threaded", .routes = routes, .route_count = ROUTES, .model = PROGRAM_THREADED, .drain = drain};

/* ---- the one who starts it ---- */

static char home[] = "/tmp/clawgate-supervisor-XXXXXX";
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static pid_t supervisor;

static void config_write(const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/config.json", home);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void config_good(void)
{
    char text[256];
    snprintf(text, sizeof text,
             "{\"gateway\":{\"drain_seconds\":%d,\"prefork_max\":%d,\"prefork_idle_seconds\":1}}", DRAIN_S,
             PREFORK_MAX);
    config_write(text);
}

static void program_start(const struct program *p)
{
    unlink(address.sun_path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1024), 0);
    char self[32];
    snprintf(self, sizeof self, "%d", (int)getpid());
    supervisor = fork();
    assert_true(supervisor >= 0);
    if (supervisor == 0) {
        char path[4096];
        ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
        path[n > 0 ? n : 0] = '\0';
        int quiet = open("/dev/null", O_WRONLY);
        dup2(quiet, STDERR_FILENO);
        dup2(listener, STDIN_FILENO);
        setenv("CLAWGATE_TEST_PROGRAM", p->name, 1);
        setenv("CLAWGATE_HOME", home, 1);
        setenv("CLAWGATE_SUPERVISED", self, 1);
        execl(path, path, (char *)NULL);
        _exit(127);
    }
    close(listener);
}

static int request_send(const char *target)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval tv = {.tv_sec = PATIENCE_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    struct buf wire = BUF_INIT(ANSWER_MAX);
    fcgi_request(&wire, "GET", target, "", 0, 1);
    bool sent = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                send(fd, wire.data, wire.len, MSG_NOSIGNAL) == (ssize_t)wire.len;
    buf_release(&wire);
    if (sent)
        return fd;
    close(fd);
    return -1;
}

/* The pid in the answer, 0 for a complete answer without one, -1 for none. Closes fd. */
static pid_t answer_read(int fd, struct buf *text)
{
    struct buf wire = BUF_INIT(ANSWER_MAX);
    char chunk[4096];
    ssize_t n;
    while (fd >= 0 && (n = read(fd, chunk, sizeof chunk)) > 0)
        buf_add(&wire, chunk, (size_t)n);
    if (fd >= 0)
        close(fd);
    bool complete = fcgi_answer(&wire, text);
    buf_release(&wire);
    const char *pid = strstr(buf_str(text), "\"pid\":");
    return !complete ? -1 : pid ? (pid_t)strtol(pid + 6, NULL, 10) : 0;
}

static pid_t get(const char *target)
{
    struct buf text = BUF_INIT(ANSWER_MAX);
    pid_t pid = answer_read(request_send(target), &text);
    buf_release(&text);
    return pid;
}

/* We are the subreaper: an orphan becomes our child. The wait status, -1 when it does not end. */
static int ended(pid_t pid, int64_t within_ms)
{
    int64_t until = clock_mono_ms() + within_ms;
    int status;
    while (clock_mono_ms() < until) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return status;
        usleep(5000);
    }
    return -1;
}

/* A connection that a dying process has just taken dies with it: only what comes afterwards must be served. */
static void wait_until_reaped(pid_t pid)
{
    int64_t until = clock_mono_ms() + 5000;
    while (kill(pid, 0) == 0 && clock_mono_ms() < until)
        usleep(1000);
    assert_int_equal(kill(pid, 0), -1);
}

static bool has_children(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    bool some = fgetc(f) != EOF;
    fclose(f);
    return some;
}

static void program_stop(void)
{
    kill(supervisor, SIGTERM);
    assert_int_equal(ended(supervisor, PATIENCE_S * 1000), 0);
}

/* ---- tests ---- */

static void the_first_request_forks_the_first_worker(void **state)
{
    (void)state;
    program_start(&prefork);
    usleep(200000);
    assert_false(has_children(supervisor));
    pid_t worker = get("/pid");
    assert_true(worker > 0 && worker != supervisor);
    assert_true(has_children(supervisor));
    program_stop();
}

static void busy_workers_get_company_up_to_the_limit(void **state)
{
    (void)state;
    enum { CALLS = 3 * PREFORK_MAX };
    program_start(&prefork);
    int fds[CALLS];
    int64_t begin = clock_mono_ms();
    for (int i = 0; i < CALLS; i++)
        fds[i] = request_send("/slow");
    pid_t seen[CALLS];
    int distinct = 0;
    for (int i = 0; i < CALLS; i++) {
        struct buf text = BUF_INIT(ANSWER_MAX);
        pid_t pid = answer_read(fds[i], &text);
        buf_release(&text);
        assert_true(pid > 0);
        bool known = false;
        for (int k = 0; k < distinct; k++)
            known |= seen[k] == pid;
        if (!known)
            seen[distinct++] = pid;
    }
    assert_int_equal(distinct, PREFORK_MAX);
    assert_true(clock_mono_ms() - begin < CALLS * SLOW_MS);
    program_stop();
}

static void a_worker_is_replaced_after_its_requests(void **state)
{
    (void)state;
    config_write("{\"gateway\":{\"prefork_max\":1,\"prefork_requests\":3}}");
    program_start(&prefork);
    pid_t first = get("/pid");
    assert_int_equal(get("/pid"), first);
    assert_int_equal(get("/pid"), first);
    assert_int_not_equal(get("/pid"), first);
    program_stop();
    config_good();
}

static void a_killed_worker_is_replaced(const struct program *p)
{
    program_start(p);
    pid_t first = get("/pid");
    assert_true(first > 0);
    assert_int_equal(kill(first, SIGKILL), 0);
    wait_until_reaped(first);
    pid_t second = get("/pid");
    assert_true(second > 0 && second != first);
    assert_int_equal(get("/die"), -1);
    wait_until_reaped(second);
    pid_t third = get("/pid");
    assert_true(third > 0 && third != second);
    program_stop();
}

static void no_worker_outlives_a_killed_supervisor(const struct program *p)
{
    program_start(p);
    pid_t worker = get("/pid");
    assert_true(worker > 0);
    kill(supervisor, SIGKILL);
    assert_true(WIFSIGNALED(ended(supervisor, 5000)));
    int status = ended(worker, 5000);
    assert_true(status != -1 && WIFSIGNALED(status));
}

static void a_stop_lets_requests_end(const struct program *p)
{
    program_start(p);
    assert_true(get("/pid") > 0);
    int fd = request_send("/slow");
    usleep(SLOW_MS * 1000 / 3);
    kill(supervisor, SIGTERM);
    struct buf text = BUF_INIT(ANSWER_MAX);
    assert_true(answer_read(fd, &text) > 0);
    buf_release(&text);
    assert_int_equal(ended(supervisor, 5000), 0);
}

/* For a moment both accept; after that the worker of before gets nothing more. */
static bool hands_over(pid_t before)
{
    enum { IN_A_ROW = 20 };
    int64_t until = clock_mono_ms() + slower(5000);
    int others = 0;
    while (others < IN_A_ROW && clock_mono_ms() < until) {
        others = get("/pid") == before ? 0 : others + 1;
        usleep(5000);
    }
    return others == IN_A_ROW;
}

struct load {
    atomic_bool over;
    atomic_int done;
    atomic_int failed;
};

static void *load_main(void *arg)
{
    struct load *l = arg;
    while (!atomic_load(&l->over)) {
        if (get("/pid") > 0)
            atomic_fetch_add(&l->done, 1);
        else
            atomic_fetch_add(&l->failed, 1);
    }
    return NULL;
}

static void an_upgrade_under_load_loses_nothing(const struct program *p)
{
    program_start(p);
    pid_t before = get("/pid");
    struct load load = {0};
    pthread_t threads[LOADERS];
    for (int i = 0; i < LOADERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, load_main, &load), 0);
    for (int i = 0; i < 3; i++) {
        usleep(300000);
        kill(supervisor, SIGHUP);
    }
    usleep(300000);
    atomic_store(&load.over, true);
    for (int i = 0; i < LOADERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&load.failed), 0);
    assert_true(atomic_load(&load.done) > 100);
    assert_true(hands_over(before));
    program_stop(); /* the same process: exec keeps the pid */
}

/* How often a process went to sleep. */
static long sleeps_of(pid_t pid)
{
    char path[64], line[128];
    long n = -1;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        sscanf(line, "voluntary_ctxt_switches: %ld", &n);
    fclose(f);
    assert_true(n >= 0);
    return n;
}

/* It looks now and then whether somebody waits, not with each request. */
static void the_supervisor_sleeps_under_load(void **state)
{
    (void)state;
    enum { REQUESTS = 1000, LOOKS_A_SECOND = 1000 };
    program_start(&prefork);
    get("/pid");
    long before = sleeps_of(supervisor);
    int64_t began = clock_mono_ms();
    for (int i = 0; i < REQUESTS; i++)
        assert_true(get("/pid") > 0);
    long looks = sleeps_of(supervisor) - before;
    int64_t took = clock_mono_ms() - began;
    if (looks > took * LOOKS_A_SECOND / 1000 + 50)
        fail_msg("%ld times in %d requests and %lld ms", looks, REQUESTS, (long long)took);
    program_stop();
}

static void settings_that_do_not_load_stop_an_upgrade(void **state)
{
    (void)state;
    program_start(&threaded);
    pid_t before = get("/pid");
    config_write("{\"gateway\":{\"port\":\"none\"}}");
    kill(supervisor, SIGHUP);
    usleep(300000);
    assert_int_equal(get("/pid"), before);
    config_good();
    kill(supervisor, SIGHUP);
    assert_true(hands_over(before));
    program_stop();
}

static void a_stream_goes_on_through_an_upgrade_and_ends_when_told(void **state)
{
    (void)state;
    program_start(&threaded);
    pid_t before = get("/pid");
    int fd = request_send("/stream");
    usleep(100000);
    kill(supervisor, SIGHUP);
    assert_true(hands_over(before));
    int64_t begin = clock_mono_ms();
    kill(supervisor, SIGTERM);
    struct buf text = BUF_INIT(ANSWER_MAX);
    assert_int_equal(answer_read(fd, &text), 0);
    assert_non_null(strstr(buf_str(&text), "data: [DONE]\n\n"));
    assert_non_null(strstr(buf_str(&text), "X-Accel-Buffering: no\r\n"));
    assert_true(clock_mono_ms() - begin >= DRAIN_S * 1000 - 50);
    buf_release(&text);
    assert_int_equal(ended(supervisor, 5000), 0);
}

static void a_second_term_leaves_no_time(void **state)
{
    (void)state;
    program_start(&threaded);
    int fd = request_send("/stream");
    struct pollfd first = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&first, 1, PATIENCE_S * 1000), 1);
    int64_t begin = clock_mono_ms();
    kill(supervisor, SIGTERM);
    usleep(50000);
    kill(supervisor, SIGTERM);
    struct buf text = BUF_INIT(ANSWER_MAX);
    assert_int_equal(answer_read(fd, &text), 0);
    assert_non_null(strstr(buf_str(&text), "data: [DONE]\n\n"));
    assert_true(clock_mono_ms() - begin < DRAIN_S * 1000);
    buf_release(&text);
    assert_int_equal(ended(supervisor, 5000), 0);
}

static void silent_connections_hold_up_nobody(void **state)
{
    (void)state;
    enum { SILENT = 40 };
    program_start(&threaded);
    int fds[SILENT];
    for (int i = 0; i < SILENT; i++) {
        fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fds[i], (struct sockaddr *)&address, sizeof address), 0);
    }
    int64_t begin = clock_mono_ms();
    assert_true(get("/pid") > 0);
    assert_true(clock_mono_ms() - begin < 5000);
    for (int i = 0; i < SILENT; i++)
        close(fds[i]);
    program_stop();
}

#define FOR_BOTH(test)                                                                                       \
    static void test##_prefork(void **state)                                                                 \
    {                                                                                                        \
        (void)state;                                                                                         \
        test(&prefork);                                                                                      \
    }                                                                                                        \
    static void test##_threaded(void **state)                                                                \
    {                                                                                                        \
        (void)state;                                                                                         \
        test(&threaded);                                                                                     \
    }

FOR_BOTH(a_killed_worker_is_replaced)
FOR_BOTH(no_worker_outlives_a_killed_supervisor)
FOR_BOTH(a_stop_lets_requests_end)
FOR_BOTH(an_upgrade_under_load_loses_nothing)

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(home))
        return -1;
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", home);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    config_good();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    const char *args[] = {"rm", "-rf", home, NULL};
    pid_t pid = fork();
    if (pid == 0) {
        execvp(args[0], (char *const *)(uintptr_t)args);
        _exit(127);
    }
    return ended(pid, 5000);
}

int main(int argc, char **argv)
{
    const char *program = getenv("CLAWGATE_TEST_PROGRAM");
    if (program)
        return service_main(strcmp(program, "prefork") == 0 ? &prefork : &threaded, argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_request_forks_the_first_worker),
        cmocka_unit_test(busy_workers_get_company_up_to_the_limit),
        cmocka_unit_test(a_worker_is_replaced_after_its_requests),
        cmocka_unit_test(the_supervisor_sleeps_under_load),
        cmocka_unit_test(a_killed_worker_is_replaced_prefork),
        cmocka_unit_test(a_killed_worker_is_replaced_threaded),
        cmocka_unit_test(no_worker_outlives_a_killed_supervisor_prefork),
        cmocka_unit_test(no_worker_outlives_a_killed_supervisor_threaded),
        cmocka_unit_test(a_stop_lets_requests_end_prefork),
        cmocka_unit_test(a_stop_lets_requests_end_threaded),
        cmocka_unit_test(an_upgrade_under_load_loses_nothing_prefork),
        cmocka_unit_test(an_upgrade_under_load_loses_nothing_threaded),
        cmocka_unit_test(settings_that_do_not_load_stop_an_upgrade),
        cmocka_unit_test(a_stream_goes_on_through_an_upgrade_and_ends_when_told),
        cmocka_unit_test(a_second_term_leaves_no_time),
        cmocka_unit_test(silent_connections_hold_up_nobody),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

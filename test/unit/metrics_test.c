/* The guarantees of common/base/metrics.h. */
#include "shared_home.h"

#include <pthread.h>
#include <signal.h>

#include "base/buf.h"
#include "base/metrics.h"

static struct buf text;

static int setup(void **state)
{
    buf_init(&text, 1 << 20);
    if (home_make(state) != 0)
        return -1;
    metrics_open(test_home, "test");
    return 0;
}

static int teardown(void **state)
{
    buf_release(&text);
    return home_remove(state);
}

/* The value after "\nclawgate_<series> ", -1 when the line is not there. */
static double value(const char *series)
{
    char line[200];
    buf_clear(&text);
    metrics_write(&text);
    int n = snprintf(line, sizeof line, "\nclawgate_%s ", series);
    const char *at = strstr(buf_str(&text), line);
    return at ? strtod(at + n, NULL) : -1;
}

#define EXPECT(series, expected)                                          \
    do {                                                                  \
        double got = value(series), want = (double)(expected);           \
        if (got < want - 1e-9 || got > want + 1e-9)                       \
            fail_msg("%s: %g, not %g", series, got, want);                \
    } while (0)

static void nothing_before_open(void **state)
{
    (void)state;
    metrics_add(METRIC_STREAMS, 1);
    metrics_gauge(GAUGE_RUNS, 1);
    metrics_request(200, 1);
    struct buf out = BUF_INIT(1000);
    metrics_write(&out);
    assert_int_equal(out.len, 0);
    metrics_show_gauges();
}

static void status_classes(void **state)
{
    static const int statuses[] = {200, 201, 299, 304, 400, 404, 429, 499, 500, 599, 100};
    (void)state;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        metrics_request(statuses[i], 0);
    metrics_request(0, 0);   /* nothing was sent */
    metrics_request(600, 0); /* no class of its own */
    EXPECT("requests_total{program=\"test\",class=\"1xx\"}", 1);
    EXPECT("requests_total{program=\"test\",class=\"2xx\"}", 3);
    EXPECT("requests_total{program=\"test\",class=\"3xx\"}", 1);
    EXPECT("requests_total{program=\"test\",class=\"4xx\"}", 4);
    EXPECT("requests_total{program=\"test\",class=\"5xx\"}", 4);
}

static void histogram(void **state)
{
    (void)state;
    metrics_request(200, 0);
    metrics_request(200, 500);
    metrics_request(200, 501);
    metrics_request(200, 300000000);
    metrics_request(200, 300000001);
    EXPECT("request_duration_seconds_bucket{program=\"test\",le=\"0.0005\"}", 2);
    EXPECT("request_duration_seconds_bucket{program=\"test\",le=\"0.001\"}", 3);
    EXPECT("request_duration_seconds_bucket{program=\"test\",le=\"120\"}", 3);
    EXPECT("request_duration_seconds_bucket{program=\"test\",le=\"300\"}", 4);
    EXPECT("request_duration_seconds_bucket{program=\"test\",le=\"+Inf\"}", 5);
    EXPECT("request_duration_seconds_count{program=\"test\"}", 5);
    EXPECT("request_duration_seconds_sum{program=\"test\"}", 600.001002);
}

static void all_series(void **state)
{
    static const struct {
        enum metric metric;
        const char *series;
    } rows[] = {
        {METRIC_RATE_LIMITED, "rate_limited_total{program=\"test\"}"},
        {METRIC_AUTH_FAILED, "auth_failures_total{program=\"test\"}"},
        {METRIC_WORKER_DIED, "worker_deaths_total{program=\"test\"}"},
        {METRIC_STREAMS, "streams_total"},
        {METRIC_RUNS_COMPLETED, "runs_total{outcome=\"completed\"}"},
        {METRIC_RUNS_ERROR, "runs_total{outcome=\"error\"}"},
        {METRIC_RUNS_CANCELLED, "runs_total{outcome=\"cancelled\"}"},
        {METRIC_RUNS_REFUSED, "runs_total{outcome=\"refused\"}"},
        {METRIC_LLM_CALLS, "llm_calls_total"},
        {METRIC_TOKENS_IN, "llm_tokens_total{direction=\"input\"}"},
        {METRIC_TOKENS_OUT, "llm_tokens_total{direction=\"output\"}"},
        {METRIC_WRITER_GROUPS, "writer_groups_total"},
        {METRIC_WRITER_JOBS, "writer_jobs_total"},
    };
    (void)state;
    assert_int_equal(sizeof rows / sizeof *rows, METRIC_COUNT);
    for (size_t i = 0; i < METRIC_COUNT; i++)
        metrics_add(rows[i].metric, (int64_t)i + 1);
    for (size_t i = 0; i < METRIC_COUNT; i++)
        EXPECT(rows[i].series, i + 1);
}

/* Each line is a comment or one series of a name whose HELP and TYPE came before, once. */
static void text_format(void **state)
{
    (void)state;
    metrics_request(200, 1234);
    value("");
    char name[100] = "", seen[4000] = " ";
    for (const char *line = buf_str(&text); *line; line = strchr(line, '\n') + 1) {
        int n = (int)strcspn(line, "\n");
        assert_int_equal(line[n], '\n');
        if (strncmp(line, "# HELP ", 7) == 0) {
            snprintf(name, sizeof name, " %.*s ", (int)strcspn(line + 7, " "), line + 7);
            assert_null(strstr(seen, name));
            snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s", name);
            continue;
        }
        size_t len = strlen(name) - 2;
        const char *of = strncmp(line, "# TYPE ", 7) == 0 ? line + 7 : line;
        assert_int_equal(strncmp(of, name + 1, len), 0);
        if (of == line)
            assert_true(strchr("{ _", of[len]) != NULL && strrchr(line, ' ') != NULL);
    }
}

static int count_in_child(void *ctx)
{
    metrics_open(test_home, ctx ? ctx : "test");
    for (int i = 0; i < 10000; i++)
        metrics_add(METRIC_STREAMS, 1);
    return 0;
}

static void *count_in_thread(void *arg)
{
    for (int i = 0; i < 10000; i++) {
        metrics_add(METRIC_STREAMS, 1);
        metrics_gauge(GAUGE_RUNS, 1);
        metrics_request(200, i);
    }
    return arg;
}

static void nothing_is_lost(void **state)
{
    (void)state;
    pthread_t threads[4];
    metrics_show_gauges();
    for (int i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, count_in_thread, NULL) != 0)
            abort();
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    EXPECT("streams_total", 40000);
    EXPECT("active_runs", 40000);
    EXPECT("request_duration_seconds_count{program=\"test\"}", 40000);
    children_sum(8, count_in_child, NULL);
    children_sum(1, count_in_child, (char[]){"other"});
    EXPECT("streams_total", 130000);
    EXPECT("requests_total{program=\"other\",class=\"2xx\"}", 0);
}

/* Programs whose names came too late are not counted, and nothing else breaks. */
static void many_programs(void **state)
{
    (void)state;
    char name[32];
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "p%d", i);
        metrics_open(test_home, name);
        metrics_add(METRIC_STREAMS, 1);
        metrics_request(200, 1);
    }
    EXPECT("streams_total", 23); /* 24 places, one is ours */
    EXPECT("requests_total{program=\"p22\",class=\"2xx\"}", 1);
    EXPECT("requests_total{program=\"p23\",class=\"2xx\"}", -1);
    metrics_open(test_home, "p3");
    metrics_add(METRIC_STREAMS, 1);
    EXPECT("streams_total", 24);
}

/* A process that shows 3 runs until it is told to end. */
static pid_t show_three(void)
{
    int ready[2];
    char c;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        metrics_show_gauges();
        metrics_gauge(GAUGE_RUNS, 3);
        metrics_gauge(GAUGE_STREAMS, 1);
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void gauges_die_with_their_process(void **state)
{
    (void)state;
    EXPECT("active_runs", 0);
    pid_t a = show_three(), b = show_three();
    EXPECT("active_runs", 6);
    EXPECT("active_streams", 2);
    end(a);
    EXPECT("active_runs", 3);
    metrics_show_gauges(); /* takes the place of the dead one, from zero */
    EXPECT("active_runs", 3);
    metrics_gauge(GAUGE_RUNS, 1);
    EXPECT("active_runs", 4);
    end(b);
    EXPECT("active_runs", 1);
    metrics_gauge(GAUGE_RUNS, -1);
    EXPECT("active_runs", 0);
}

static void more_processes_than_places(void **state)
{
    (void)state;
    pid_t pids[66];
    for (int i = 0; i < 66; i++)
        pids[i] = show_three();
    EXPECT("active_runs", 64 * 3);
    for (int i = 0; i < 66; i++)
        end(pids[i]);
    EXPECT("active_runs", 0);
}

static void without_a_file(void **state)
{
    (void)state;
    metrics_open("/nonexistent/home", "test");
    metrics_show_gauges();
    metrics_add(METRIC_STREAMS, 2);
    metrics_gauge(GAUGE_RUNS, 1);
    EXPECT("streams_total", 2);
    EXPECT("active_runs", 0); /* nobody could tell whose they are */
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_before_open), T(status_classes), T(histogram), T(all_series), T(text_format),
        T(nothing_is_lost), T(many_programs), T(gauges_die_with_their_process), T(more_processes_than_places),
        T(without_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* load: the load generator of the benchmarks. `load --help` describes it. */
#include <getopt.h>
#include <signal.h>
#include <sys/resource.h>

#include "test/bench/parts/load.h"

static const char usage_text[] =
    "usage: load rr      --url http://HOST:PORT/PATH [options]   request/response over keep-alive connections\n"
    "       load streams --url http://HOST:PORT/PATH [options]   concurrent server-sent event streams\n"
    "Prints one JSON object; times are microseconds as the client saw them. Exit status 1 when anything failed.\n"
    "\n"
    "The request\n"
    "  --method M          default POST with a body, GET without\n"
    "  --body TEXT         JSON body (default: a small chat request; streams: the same with stream:true)\n"
    "  --body-file F       the same from a file; --no-body sends none\n"
    "  --header 'N: V'     repeatable, up to 16\n"
    "  --token T           sends Authorization: Bearer T\n"
    "  --users N           {n} in URL path, body, headers and token becomes 1..N in turn (default: counts on)\n"
    "rr: rps, p50_us, p90_us, p99_us, p999_us, max_us, errors\n"
    "  --concurrency N     connections (default 1)\n"
    "  --seconds S         measured time (default 5); --warmup S before it (default 0.5)\n"
    "  --expect STATUS     any other status is an error (default 200)\n"
    "streams: streams, complete, frames, frames_per_s, ttft_*_us, gap_*_us, errors, failures by kind\n"
    "  --streams N         how many (default 1)\n"
    "  --ramp MS           start them evenly over this time (default 0)\n"
    "  --timeout S         for everything (default 60)\n"
    "  --terminal T        data or event name that ends a stream, exactly one is due (default [DONE])\n"
    "  --expect-frames N   data events every stream must have, the terminal one not counted (default: any)\n"
    "  A stream is complete when its HTTP answer ended properly with status 200, the terminal event came exactly\n"
    "  once, and no event was an error (event: error, or data beginning with {\"error\"). The time to the first token\n"
    "  and the gaps leave out an opening chunk that holds only the role.\n";

static const char small_body[] =
    "{\"model\":\"upstream-small\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}";
static const char stream_body[] =
    "{\"model\":\"upstream-small\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}";

static char *read_file(const char *path)
{
    struct bytes text = {0};
    FILE *f = fopen(path, "r");
    if (!f) {
        return NULL;
    }
    for (size_t n; (n = fread(bytes_reserve(&text, 65536), 1, 65536, f)) > 0;) {
        text.len += n;
    }
    bytes_add(&text, "", 1);
    fclose(f);
    return text.p;
}

static bool read_long(const char *text, long low, long *out)
{
    char *end;
    *out = strtol(text, &end, 10);
    return end != text && !*end && *out >= low;
}

static bool read_seconds(const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && !*end && *out >= 0 && *out < 1e6;
}

static bool set_body(struct load *l, char *body)
{
    free(l->body);
    l->body = body;
    return body != NULL;
}

static bool add_header(struct load *l, const char *header)
{
    if (l->header_count == LOAD_HEADERS_MAX) {
        return false;
    }
    l->headers[l->header_count++] = header;
    return true;
}

static bool set_option(struct load *l, int c, char *value)
{
    long number = 0;
    switch (c) {
    case 'u': l->url = value; return true;
    case 'm': l->method = value; return true;
    case 'b': return set_body(l, strdup(value));
    case 'f': return set_body(l, read_file(value));
    case 'n': return set_body(l, strdup(""));
    case 'H': return add_header(l, value);
    case 't': l->token = value; return true;
    case 'U': return read_long(value, 1, &l->users);
    case 'c': return read_long(value, 1, &l->concurrency);
    case 's': return read_seconds(value, &l->seconds) && l->seconds > 0;
    case 'w': return read_seconds(value, &l->warmup);
    case 'x':
        if (!read_long(value, 100, &number)) {
            return false;
        }
        l->expect = (int)number;
        return true;
    case 'N': return read_long(value, 1, &l->streams);
    case 'r': return read_long(value, 0, &l->ramp_ms);
    case 'T': return read_seconds(value, &l->timeout) && l->timeout > 0;
    case 'e': l->terminal = value; return true;
    case 'F': return read_long(value, 0, &l->expect_frames);
    default: return false;
    }
}

static bool read_options(int argc, char **argv, struct load *l)
{
    static const struct option options[] = {
        {"url", required_argument, NULL, 'u'},        {"method", required_argument, NULL, 'm'},
        {"body", required_argument, NULL, 'b'},       {"body-file", required_argument, NULL, 'f'},
        {"no-body", no_argument, NULL, 'n'},          {"header", required_argument, NULL, 'H'},
        {"token", required_argument, NULL, 't'},      {"users", required_argument, NULL, 'U'},
        {"concurrency", required_argument, NULL, 'c'}, {"seconds", required_argument, NULL, 's'},
        {"warmup", required_argument, NULL, 'w'},     {"expect", required_argument, NULL, 'x'},
        {"streams", required_argument, NULL, 'N'},    {"ramp", required_argument, NULL, 'r'},
        {"timeout", required_argument, NULL, 'T'},    {"terminal", required_argument, NULL, 'e'},
        {"expect-frames", required_argument, NULL, 'F'}, {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (!set_option(l, c, optarg)) {
            return false;
        }
    }
    return optind == argc && l->url;
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(usage_text, stdout);
        return 0;
    }
    bool streams = argc > 1 && strcmp(argv[1], "streams") == 0;
    struct load l = {.concurrency = 1, .seconds = 5, .warmup = 0.5, .expect = 200, .streams = 1, .timeout = 60,
                     .terminal = "[DONE]", .expect_frames = -1, .epoll = -1};
    l.body = strdup(streams ? stream_body : small_body);
    bool known = streams || (argc > 1 && strcmp(argv[1], "rr") == 0);
    const char *why = NULL;
    int status = 2;
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    if (!known || !l.body || !read_options(argc - 1, argv + 1, &l)) {
        fputs(usage_text, stderr);
    } else {
        l.method = l.method ? l.method : l.body[0] ? "POST" : "GET";
        if (load_prepare(&l, &why)) {
            status = streams ? load_run_streams(&l) : load_run_rr(&l);
        } else {
            fprintf(stderr, "load: %s\n", why);
        }
    }
    load_free(&l);
    return status;
}

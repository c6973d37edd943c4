/* The load of the crash torture: threads that talk to a gateway and write down what it acknowledged.
 *
 * Every request carries a text of its own and asks the offline model for a known answer. A line of the
 * journal is written (one write, appended) only after the acknowledgement was read completely:
 *
 *   ack  TAB how TAB run id TAB session TAB key TAB text TAB answer      HTTP 200 complete, or finish chunk and [DONE]
 *   odd  TAB what TAB text                                               something that must never be seen
 *   cut  TAB status TAB text                                             an answer that began and did not end
 *   sum  TAB acks TAB refusals TAB failures TAB left                     at the end, one a run of this program
 *
 * how is plain, stream or replay (a repeated key); line feeds of a text are written as '|'. TERM ends the load: each
 * thread finishes its request first.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 64, READ_MAX = 1 << 18, TEXT_MAX = 512, KEY_TRIES = 12, ANSWER_SECONDS = 15, SESSIONS = 3,
       NEW_KEYS_EVERY = 3, PAUSE_MAX_US = 40000 };

static struct {
    int port, threads;
    unsigned seed;
    const char *token, *path;
    int journal;
} options = {.threads = 12, .journal = -1};

static atomic_bool over;
static atomic_long acks, refusals, failures, left_early;
static atomic_int shared_key; /* the key all threads may repeat at one time */

struct client {
    pthread_t thread;
    int number, fd, requests;
    uint64_t random;
    char in[READ_MAX]; /* what was read of the current answer */
    size_t len, at, body_len;
    char body[READ_MAX];
};

struct ask {
    bool stream, leave, keep_running;
    char text[TEXT_MAX], answer[TEXT_MAX], session[64], key[64];
};

struct told {
    int status;
    char run[40], session[256], answer[TEXT_MAX * 4];
    bool complete; /* the whole answer was read */
    bool chunked, has_length, events, close, replay;
    size_t length;
    int finishes, errors, dones;
};

static uint64_t draw(struct client *c, uint64_t n)
{
    c->random ^= c->random << 13;
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return c->random % n;
}

__attribute__((format(printf, 1, 2))) static void note(const char *fmt, ...)
{
    char line[TEXT_MAX * 8];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line - 1, fmt, ap);
    va_end(ap);
    if (n <= 0 || (size_t)n >= sizeof line - 1)
        abort();
    for (int i = 0; i < n; i++)
        if (line[i] == '\n')
            line[i] = '|';
    line[n++] = '\n';
    if (write(options.journal, line, (size_t)n) != n)
        abort();
}

/* ---- the connection ---- */

static void hang_up(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static bool dial(struct client *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = ANSWER_SECONDS};
    int on = 1;
    if (c->fd >= 0)
        return true;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) == 0)
        return true;
    hang_up(c);
    return false;
}

static bool send_all(struct client *c, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = send(c->fd, p, n, MSG_NOSIGNAL);
        if (w <= 0)
            return false;
        p += w;
        n -= (size_t)w;
    }
    return true;
}

/* More bytes into c->in; false at the end, on an error, or when it is full. */
static bool read_more(struct client *c)
{
    if (c->len == sizeof c->in - 1)
        return false;
    ssize_t n = recv(c->fd, c->in + c->len, sizeof c->in - 1 - c->len, 0);
    if (n <= 0) {
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            note("odd\tsilent for %d seconds\t-", ANSWER_SECONDS);
        return false;
    }
    c->len += (size_t)n;
    c->in[c->len] = '\0';
    return true;
}

/* A line without its CR LF; NULL when the connection ended before it. */
static char *read_line(struct client *c)
{
    char *end;
    while (!(end = strstr(c->in + c->at, "\r\n")))
        if (!read_more(c))
            return NULL;
    char *line = c->in + c->at;
    *end = '\0';
    c->at = (size_t)(end + 2 - c->in);
    return line;
}

static bool read_bytes(struct client *c, size_t n)
{
    while (c->len - c->at < n)
        if (!read_more(c))
            return false;
    return true;
}

/* ---- the answer ---- */

static bool header_is(const char *line, const char *name, const char **value)
{
    size_t n = strlen(name);
    if (strncasecmp(line, name, n) != 0 || line[n] != ':')
        return false;
    *value = line + n + 1 + strspn(line + n + 1, " ");
    return true;
}

static bool read_head(struct client *c, struct told *t)
{
    const char *v;
    char *line = read_line(c);
    if (!line || strncmp(line, "HTTP/1.1 ", 9) != 0)
        return false;
    t->status = (int)strtol(line + 9, NULL, 10);
    while ((line = read_line(c)) && *line) {
        if (header_is(line, "X-GoClaw-Run-Id", &v))
            snprintf(t->run, sizeof t->run, "%s", v);
        else if (header_is(line, "X-GoClaw-Session-Key", &v))
            snprintf(t->session, sizeof t->session, "%s", v);
        else if (header_is(line, "Transfer-Encoding", &v))
            t->chunked = strcasecmp(v, "chunked") == 0;
        else if (header_is(line, "Content-Length", &v))
            t->has_length = true, t->length = strtoul(v, NULL, 10);
        else if (header_is(line, "Content-Type", &v))
            t->events = strncmp(v, "text/event-stream", 17) == 0;
        else if (header_is(line, "Connection", &v))
            t->close = strcasecmp(v, "close") == 0;
    }
    return line != NULL;
}

/* "chatcmpl-" and 32 hex digits to the run's id. */
static void run_from(json_object *o, struct told *t)
{
    json_object *id;
    const char *s = json_object_object_get_ex(o, "id", &id) ? json_object_get_string(id) : "";
    if (strncmp(s, "chatcmpl-", 9) != 0 || strlen(s) != 41)
        return;
    char run[40];
    s += 9;
    snprintf(run, sizeof run, "%.8s-%.4s-%.4s-%.4s-%.12s", s, s + 8, s + 12, s + 16, s + 20);
    t->replay |= !*t->run;
    if (*t->run && strcmp(t->run, run) != 0)
        note("odd\theader and body name different runs\t%s %s", t->run, run);
    snprintf(t->run, sizeof t->run, "%s", run);
}

static void append_text(json_object *holder, struct told *t)
{
    json_object *text;
    if (!json_object_object_get_ex(holder, "content", &text) || !text)
        return;
    size_t n = strlen(t->answer);
    snprintf(t->answer + n, sizeof t->answer - n, "%s", json_object_get_string(text));
}

/* An answer or a chunk: its run, its text, whether it finishes. */
static void take_object(const char *text, struct told *t)
{
    json_object *o = json_tokener_parse(text), *choices, *choice, *part, *finish, *error;
    if (!o) {
        note("odd\tnot JSON\t%.200s", text);
        return;
    }
    run_from(o, t);
    if (json_object_object_get_ex(o, "error", &error))
        t->errors++;
    choice = json_object_object_get_ex(o, "choices", &choices) && json_object_array_length(choices)
                 ? json_object_array_get_idx(choices, 0)
                 : NULL;
    if (choice && (json_object_object_get_ex(choice, "message", &part) || json_object_object_get_ex(choice, "delta", &part)))
        append_text(part, t);
    if (choice && json_object_object_get_ex(choice, "finish_reason", &finish) && finish)
        t->finishes++;
    json_object_put(o);
}

static void take_event(const char *line, struct told *t, const struct ask *a)
{
    if (strncmp(line, "data: ", 6) != 0)
        return;
    if (t->dones)
        note("odd\tan event after [DONE]\t%s", a->text);
    if (strcmp(line + 6, "[DONE]") == 0)
        t->dones++;
    else
        take_object(line + 6, t);
}

static bool chunk_size(struct client *c, size_t *n)
{
    char *line = read_line(c);
    *n = line ? strtoul(line, NULL, 16) : 0;
    return line != NULL;
}

/* Whole event lines are looked at as they come; *seen is where the next one begins. */
static void take_events(char *body, size_t *seen, struct told *t, const struct ask *a)
{
    for (char *end; (end = strchr(body + *seen, '\n')); *seen = (size_t)(end + 1 - body)) {
        *end = '\0';
        take_event(body + *seen, t, a);
    }
}

/* Moves the next n bytes of the connection to the end of the body. */
static bool body_add(struct client *c, size_t n)
{
    if (c->body_len + n >= sizeof c->body || !read_bytes(c, n))
        return false;
    memcpy(c->body + c->body_len, c->in + c->at, n);
    c->body_len += n;
    c->body[c->body_len] = '\0';
    c->at += n;
    memmove(c->in, c->in + c->at, c->len - c->at + 1);
    c->len -= c->at;
    c->at = 0;
    return true;
}

/* The next piece of the body: a chunk, or all of it. True while more is to come. */
static bool read_piece(struct client *c, struct told *t)
{
    size_t n = t->length;
    if (!t->chunked) {
        t->complete = t->has_length && body_add(c, n);
        return false;
    }
    if (!chunk_size(c, &n))
        return false;
    if (n > 0)
        return body_add(c, n) && read_line(c);
    t->complete = read_line(c) != NULL;
    return false;
}

static void read_answer(struct client *c, struct told *t, const struct ask *a)
{
    size_t seen = 0;
    c->len = c->at = c->body_len = 0;
    c->in[0] = c->body[0] = '\0';
    if (!read_head(c, t))
        return;
    for (bool more = true; more && !(a->leave && strlen(t->answer) > 8);) {
        more = read_piece(c, t);
        if (t->events)
            take_events(c->body, &seen, t, a);
    }
    if (t->complete && !t->events)
        take_object(c->body, t);
}

/* ---- one request ---- */

static bool ask_send(struct client *c, const struct ask *a)
{
    char out[4096], body[1024], extra[512] = "";
    size_t n = 0;
    char text[TEXT_MAX * 2];
    for (const char *p = a->text; *p; p++) /* our texts need no escape but this one */
        n += (size_t)snprintf(text + n, sizeof text - n, *p == '\n' ? "\\n" : "%c", *p);
    int len = snprintf(body, sizeof body, "{\"model\":\"goclaw:default\",\"stream\":%s,\"messages\":[{\"role\":\"user\","
                                          "\"content\":\"%s\"}]}", a->stream ? "true" : "false", text);
    n = 0;
    if (*a->session)
        n += (size_t)snprintf(extra + n, sizeof extra - n, "X-GoClaw-Session-Key: %s\r\n", a->session);
    if (*a->key)
        n += (size_t)snprintf(extra + n, sizeof extra - n, "Idempotency-Key: %s\r\n", a->key);
    if (a->keep_running)
        snprintf(extra + n, sizeof extra - n, "X-GoClaw-Keep-Running: true\r\n");
    int total = snprintf(out, sizeof out,
                         "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
                         "Content-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s",
                         options.token, extra, len, body);
    return send_all(c, out, (size_t)total);
}

static void judge(struct told *t, const struct ask *a)
{
    if (t->dones > 1 || t->finishes + t->errors > 1)
        note("odd\t%d finish chunks, %d errors, %d [DONE]\t%s", t->finishes, t->errors, t->dones, a->text);
    bool stream = t->events;
    if (a->stream != stream && t->status == 200)
        note("odd\tan answer of the wrong kind\t%s", a->text);
    if (stream && t->complete && !t->dones)
        note("odd\ta stream ended properly without [DONE]\t%s", a->text);
    if (stream && t->dones && !t->finishes && !t->errors)
        note("odd\t[DONE] without a terminal event\t%s", a->text);
    bool ack = t->status == 200 && t->finishes == 1 && (stream ? t->dones == 1 : t->complete);
    if (ack) {
        atomic_fetch_add(&acks, 1);
        note("ack\t%s\t%s\t%s\t%s\t%s\t%s", t->replay ? "replay" : stream ? "stream" : "plain", t->run, t->session, a->key,
             a->text, t->answer);
        if (strcmp(t->answer, a->answer) != 0)
            note("odd\tnot the answer that was asked for\t%s", a->text);
    } else if (t->status >= 400 && t->complete) {
        atomic_fetch_add(&refusals, 1);
    } else {
        atomic_fetch_add(&failures, 1);
        if (t->status)
            note("cut\t%d\t%s", t->status, a->text);
    }
}

static int ask_once(struct client *c, const struct ask *a)
{
    struct told t = {0};
    if (!dial(c) || !ask_send(c, a)) {
        hang_up(c);
        atomic_fetch_add(&failures, 1);
        return 0;
    }
    read_answer(c, &t, a);
    if (a->leave && t.status == 200 && !t.dones) {
        atomic_fetch_add(&left_early, 1);
        hang_up(c);
        return 0;
    }
    judge(&t, a);
    if (!t.complete || t.close)
        hang_up(c);
    return t.status == 200 && t.finishes ? 200 : t.status == 200 ? 0 : t.status;
}

/* A request that nobody repeats. */
static void ask_alone(struct client *c)
{
    struct ask a = {.stream = draw(c, 2), .leave = draw(c, 20) == 0, .keep_running = draw(c, 10) == 0};
    int words = (int)draw(c, 20) + 1, slow = (int)draw(c, 3) * 8;
    char word[48];
    snprintf(word, sizeof word, "n%u-%d-%d", options.seed, c->number, c->requests);
    snprintf(a.text, sizeof a.text, "/slow %d\n/repeat %d %s", slow, words, word);
    for (int i = 0; i < words; i++) {
        size_t n = strlen(a.answer);
        snprintf(a.answer + n, sizeof a.answer - n, "%s%s", i ? " " : "", word);
    }
    switch (draw(c, 4)) {
    case 0:
        snprintf(a.session, sizeof a.session, "shared%d", (int)draw(c, SESSIONS));
        break;
    case 1:
        snprintf(a.session, sizeof a.session, "own%u-%d", options.seed, c->number);
        break;
    default:
        break; /* a new one */
    }
    a.leave &= a.stream && slow;
    ask_once(c, &a);
}

/* A request with a key that several threads send, each until it is answered. */
static void ask_with_key(struct client *c)
{
    struct ask a = {0};
    int number = atomic_load(&shared_key);
    if (draw(c, NEW_KEYS_EVERY) == 0)
        atomic_compare_exchange_strong(&shared_key, &number, number + 1);
    a.stream = number % 2;
    snprintf(a.key, sizeof a.key, "key%u-%d", options.seed, number);
    snprintf(a.text, sizeof a.text, "/slow %d\n/echo answer of %s", number % 4 * 20, a.key);
    snprintf(a.answer, sizeof a.answer, "answer of %s", a.key);
    for (int i = 0; i < KEY_TRIES && !atomic_load(&over); i++) {
        if (ask_once(c, &a) == 200)
            return;
        usleep((useconds_t)draw(c, 3) * 20000 + 1000);
    }
}

/* The other programs get something to do as well. */
static void ask_others(struct client *c)
{
    static const char *const paths[] = {"/v1/sessions?limit=5", "/health", "/v1/runs?limit=5", "/v1/sessions?limit=1"};
    char out[1024];
    struct told t = {0};
    struct ask a = {0};
    int n = snprintf(out, sizeof out, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n\r\n",
                     paths[draw(c, 4)], options.token);
    if (dial(c) && send_all(c, out, (size_t)n))
        read_answer(c, &t, &a);
    if (!t.complete || t.close)
        hang_up(c);
}

static void *client_main(void *arg)
{
    struct client *c = arg;
    while (!atomic_load(&over)) {
        uint64_t kind = draw(c, 10);
        c->requests++;
        if (kind == 0)
            ask_others(c);
        else if (kind < 4)
            ask_with_key(c);
        else
            ask_alone(c);
        usleep((useconds_t)draw(c, PAUSE_MAX_US));
    }
    hang_up(c);
    return NULL;
}

static bool options_read(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--port") == 0)
            options.port = (int)strtol(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--token") == 0)
            options.token = argv[i + 1];
        else if (strcmp(argv[i], "--journal") == 0)
            options.path = argv[i + 1];
        else if (strcmp(argv[i], "--seed") == 0)
            options.seed = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--clients") == 0)
            options.threads = (int)strtol(argv[i + 1], NULL, 10);
        else
            return false;
    }
    return options.port && options.token && options.path && options.threads >= 1 && options.threads <= THREADS_MAX;
}

int main(int argc, char **argv)
{
    static struct client clients[THREADS_MAX];
    sigset_t stop;
    int sig;
    if (!options_read(argc, argv)) {
        fputs("usage: client --port P --token T --journal FILE [--seed N] [--clients N]\n", stderr);
        return 2;
    }
    options.journal = open(options.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (options.journal < 0) {
        perror(options.path);
        return 2;
    }
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    for (int i = 0; i < options.threads; i++) {
        clients[i].number = i;
        clients[i].fd = -1;
        clients[i].random = 0x9E3779B97F4A7C15u * (options.seed * 1000u + (unsigned)i + 1u);
        if (pthread_create(&clients[i].thread, NULL, client_main, &clients[i]) != 0)
            return 2;
    }
    sigwait(&stop, &sig);
    atomic_store(&over, true);
    for (int i = 0; i < options.threads; i++)
        pthread_join(clients[i].thread, NULL);
    note("sum\t%ld\t%ld\t%ld\t%ld", acks, refusals, failures, left_early);
    return 0;
}

/* FastCGI and CGI transport (common/web/transport.h) against records made by hand. */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "transport_fixture.h"

static void read_body(struct transport *t, struct buf *body, size_t step)
{
    char chunk[8192];
    long n;
    while ((n = transport_read(t, chunk, step)) > 0)
        buf_add(body, chunk, (size_t)n);
    assert_int_equal(n, 0);
}

static void params_and_answer(void **state)
{
    (void)state;
    struct sender s = {.wire = BUF_INIT(WIRE_MAX)};
    fcgi_request(&s.wire, "GET", "/a?b=c", "", 0, 1);
    struct transport *t = open_request(&s);
    assert_non_null(t);
    assert_string_equal(transport_param(t, "REQUEST_METHOD"), "GET");
    assert_string_equal(transport_param(t, "REQUEST_URI"), "/a?b=c");
    assert_null(transport_param(t, "HTTP_HOST"));
    assert_true(transport_fd(t) >= 0);
    bool seen = false;
    for (char *const *e = transport_env(t); *e; e++)
        seen |= strcmp(*e, "REQUEST_METHOD=GET") == 0;
    assert_true(seen);
    assert_true(transport_write(t, "hello ", 6));
    assert_true(transport_flush(t));
    assert_true(transport_write(t, "world", 5));
    transport_finish(t);
    transport_finish(t); /* once more does no harm */
    assert_int_equal(transport_fd(t), -1);
    assert_false(transport_write(t, "late", 4));
    expect_answer(&s, "hello world");
    send_end(&s);
}

static void nothing_is_written_unasked(void **state)
{
    (void)state;
    struct sender s = {.wire = BUF_INIT(WIRE_MAX)};
    fcgi_request(&s.wire, "GET", "/", "", 0, 1);
    struct transport *t = open_request(&s);
    char byte;
    assert_int_equal(recv(s.fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
    transport_finish(t);
    expect_answer(&s, "");
    send_end(&s);
}

static void a_long_value_and_equal_names_arrive(void **state)
{
    (void)state;
    char value[2000];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    struct buf params = BUF_INIT(FCGI_RECORD_MAX);
    fcgi_pair(&params, "HTTP_X", "first");
    fcgi_pair(&params, "HTTP_X", "second");
    fcgi_pair(&params, "HTTP_LONG", value);
    struct sender s = {.wire = BUF_INIT(WIRE_MAX)};
    fcgi_begin(&s.wire);
    for (size_t at = 0; at < params.len; at++) /* one byte a record */
        fcgi_record(&s.wire, FCGI_PARAMS, params.data + at, 1);
    fcgi_record(&s.wire, FCGI_PARAMS, "", 0);
    fcgi_record(&s.wire, FCGI_STDIN, "", 0);
    buf_release(&params);
    struct transport *t = open_request(&s);
    assert_non_null(t);
    assert_string_equal(transport_param(t, "HTTP_LONG"), value);
    int equal = 0;
    for (char *const *e = transport_env(t); *e; e++)
        equal += strncmp(*e, "HTTP_X=", 7) == 0;
    assert_int_equal(equal, 2);
    transport_finish(t);
    send_end(&s);
}

static void body_of(size_t n, size_t piece, size_t step)
{
    char *body = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        body[i] = (char)('a' + i % 26);
    body[n] = '\0';
    struct sender s = {.wire = BUF_INIT(WIRE_MAX)};
    fcgi_request(&s.wire, "POST", "/", body, n, piece);
    struct transport *t = open_request(&s);
    assert_non_null(t);
    struct buf got = BUF_INIT(WIRE_MAX);
    read_body(t, &got, step);
    assert_int_equal(got.len, n);
    assert_memory_equal(buf_str(&got), body, n);
    assert_int_equal(transport_read(t, body, 1), 0); /* the end stays the end */
    transport_write(t, "ok", 2);
    transport_finish(t);
    expect_answer(&s, "ok");
    send_end(&s);
    buf_release(&got);
    free(body);
}

static void bodies_in_pieces(void **state)
{
    (void)state;
    body_of(0, 1, 16);
    body_of(1, 1, 16);
    body_of(1000, 1, 7);
    body_of(8192, 8192, 8192);
    body_of(8193, 1000, 8192);
    body_of(FCGI_RECORD_MAX, FCGI_RECORD_MAX, 4096);
    body_of(3000000, FCGI_RECORD_MAX, 8192);
}

static void a_large_answer(void **state)
{
    (void)state;
    struct sender s = {.wire = BUF_INIT(WIRE_MAX)};
    fcgi_request(&s.wire, "GET", "/", "", 0, 1);
    struct transport *t = open_request(&s);
    assert_non_null(t);
    size_t n = 100000;
    char *text = malloc(n + 1);
    memset(text, 'x', n);
    text[n] = '\0';
    assert_true(transport_write(t, text, n));
    transport_finish(t);
    expect_answer(&s, text);
    send_end(&s);
    free(text);
}

/* The answer comes before the body was read, while the peer still sends: it must not see a reset. */
static void an_unread_body_does_not_lose_the_answer(void **state)
{
    (void)state;
    size_t n = 2000000;
    char *body = calloc(1, n);
    struct sender s = {.wire = BUF_INIT(WIRE_MAX), .half_close = true};
    fcgi_request(&s.wire, "POST", "/", body, n, 60000);
    struct transport *t = open_request(&s);
    assert_non_null(t);
    transport_write(t, "too large", 9);
    transport_finish(t);
    expect_answer(&s, "too large");
    send_end(&s);
    free(body);
}

struct late_end {
    int fd;
    ssize_t sent;
};

static void *send_end_late(void *arg)
{
    struct late_end *late = arg;
    struct buf end = BUF_INIT(64);
    fcgi_record(&end, FCGI_STDIN, "", 0);
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    late->sent = send(late->fd, end.data, end.len, MSG_NOSIGNAL);
    buf_release(&end);
    return NULL;
}

/* Apache sends the end of an empty body by itself, maybe after the answer: it does not find the socket closed. */
static void the_end_of_no_body_may_come_late(void **state)
{
    (void)state;
    struct sender s = {.wire = BUF_INIT(WIRE_MAX)};
    fcgi_request(&s.wire, "GET", "/", "", 0, 1);
    s.wire.len -= 8;
    struct transport *t = open_request(&s);
    assert_non_null(t);
    struct late_end late = {.fd = s.fd};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_end_late, &late), 0);
    assert_true(transport_write(t, "fast", 4));
    transport_finish(t);
    pthread_join(thread, NULL);
    assert_int_equal(late.sent, 8);
    expect_answer(&s, "fast");
    send_end(&s);
}

static void a_body_that_breaks_off_is_an_error(void **state)
{
    (void)state;
    struct sender s = {.wire = BUF_INIT(WIRE_MAX), .half_close = true};
    fcgi_request(&s.wire, "POST", "/", "0123456789", 10, 5);
    s.wire.len -= 8 + 3; /* without the end and the last three bytes */
    struct transport *t = open_request(&s);
    assert_non_null(t);
    char chunk[64];
    long n;
    while ((n = transport_read(t, chunk, sizeof chunk)) > 0)
        ;
    assert_int_equal(n, -1);
    transport_write(t, "bad", 3);
    transport_finish(t);
    send_end(&s);
}

/* A peer that half-closes after its request still gets its answer. */
static void half_close_is_answered(void **state)
{
    (void)state;
    struct sender s = {.wire = BUF_INIT(WIRE_MAX), .half_close = true};
    fcgi_request(&s.wire, "POST", "/", "abc", 3, 3);
    struct transport *t = open_request(&s);
    assert_non_null(t);
    pthread_join(s.thread, NULL);
    struct buf got = BUF_INIT(WIRE_MAX);
    read_body(t, &got, 100);
    assert_string_equal(buf_str(&got), "abc");
    assert_true(transport_write(t, "answer", 6));
    transport_finish(t);
    expect_answer(&s, "answer");
    close(s.fd);
    buf_release(&got);
    buf_release(&s.wire);
}

static void a_client_that_left_fails_the_write(void **state)
{
    (void)state;
    struct sender s = {.wire = BUF_INIT(WIRE_MAX)};
    fcgi_request(&s.wire, "GET", "/", "", 0, 1);
    struct transport *t = open_request(&s);
    assert_non_null(t);
    send_end(&s);
    transport_write(t, "x", 1);
    assert_false(transport_flush(t));
    assert_false(transport_write(t, "x", 1));
    assert_false(transport_flush(t));
    transport_finish(t);
}

/* The parameters can still be read when the answer is complete. */
static void the_end_leaves_with_the_answer(void **state)
{
    (void)state;
    struct sender s = {.wire = BUF_INIT(WIRE_MAX)};
    fcgi_request(&s.wire, "GET", "/end", "", 0, 1);
    struct transport *t = open_request(&s);
    assert_non_null(t);
    assert_true(transport_write(t, "all", 3));
    transport_end(t);
    assert_string_equal(transport_param(t, "REQUEST_URI"), "/end");
    assert_false(transport_write(t, "more", 4));
    transport_end(t); /* once more does no harm */
    transport_finish(t);
    expect_answer(&s, "all");
    send_end(&s);
}

/* Records have at most 65,535 bytes. */
static void answers_around_the_size_of_a_record(void **state)
{
    (void)state;
    for (size_t n = FCGI_RECORD_MAX - 1; n <= FCGI_RECORD_MAX + 1; n++) {
        struct sender s = {.wire = BUF_INIT(WIRE_MAX)};
        fcgi_request(&s.wire, "GET", "/", "", 0, 1);
        struct transport *t = open_request(&s);
        assert_non_null(t);
        char *text = text_of(n);
        assert_true(transport_write(t, text, n));
        transport_finish(t);
        expect_answer(&s, text);
        send_end(&s);
        free(text);
    }
}

static void refused(const char *bytes, size_t n)
{
    struct sender s = {.wire = BUF_INIT(WIRE_MAX), .half_close = true};
    if (n)
        buf_add(&s.wire, bytes, n);
    int server;
    send_begin(&s, &server);
    assert_null(transport_fastcgi(reused, server));
    assert_int_equal(fcntl(server, F_GETFD), -1); /* closed */
    send_end(&s);
}

static void garbage_is_refused(void **state)
{
    (void)state;
    char noise[20000];
    uint32_t x = 12345;
    for (size_t i = 0; i < sizeof noise; i++) {
        x = x * 1664525u + 1013904223u;
        noise[i] = (char)(x >> 24);
    }
    refused("", 0);
    refused("G", 1);
    refused("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    refused(noise, sizeof noise);
    for (size_t cut = 0; cut < 256; cut++)
        refused(noise + cut, 64);
}

static void a_request_cut_anywhere_is_refused(void **state)
{
    (void)state;
    struct buf whole = BUF_INIT(WIRE_MAX);
    fcgi_request(&whole, "GET", "/", "", 0, 1);
    size_t head = whole.len - FCGI_HEADER; /* params complete, the body's end missing: that is readable */
    for (size_t n = 0; n < head; n++)
        refused(whole.data, n);
    buf_release(&whole);
}

static void a_value_longer_than_its_record_is_refused(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(WIRE_MAX);
    const unsigned char liar[] = {1, 0x80, 0, 0x10, 0, 'N', 'v'};
    fcgi_begin(&b);
    fcgi_record(&b, FCGI_PARAMS, liar, sizeof liar);
    fcgi_record(&b, FCGI_PARAMS, "", 0);
    refused(b.data, b.len);
    buf_release(&b);
}

/* The library's own close would abort here: it fills an fd_set. */
static void descriptors_above_1024_are_fine(void **state)
{
    (void)state;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_max < 3100)
        skip();
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    struct sender s = {.wire = BUF_INIT(WIRE_MAX), .half_close = true};
    buf_adds(&s.wire, "nonsense");
    int server;
    send_begin(&s, &server);
    assert_int_equal(dup2(server, 3000), 3000);
    close(server);
    assert_null(transport_fastcgi(reused, 3000));
    send_end(&s);

    s = (struct sender){.wire = BUF_INIT(WIRE_MAX)};
    fcgi_request(&s.wire, "GET", "/", "", 0, 1);
    send_begin(&s, &server);
    assert_int_equal(dup2(server, 3000), 3000);
    close(server);
    struct transport *t = transport_fastcgi(reused, 3000);
    assert_non_null(t);
    reused = t;
    transport_write(t, "high", 4);
    transport_finish(t);
    expect_answer(&s, "high");
    send_end(&s);
}

/* One pipe for standard input, one for standard output. */
static void cgi_reads_what_was_announced(void **state)
{
    (void)state;
    int in[2];
    int out[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(write(in[1], "12345extra", 10), 10);
    int old_in = dup(STDIN_FILENO);
    fflush(stdout);
    int old_out = dup(STDOUT_FILENO);
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    setenv("CONTENT_LENGTH", "5", 1);
    struct transport *t = transport_cgi();
    struct buf got = BUF_INIT(WIRE_MAX);
    char chunk[64];
    long n;
    while ((n = transport_read(t, chunk, sizeof chunk)) > 0)
        buf_add(&got, chunk, (size_t)n);
    int fd = transport_fd(t);
    bool wrote = transport_write(t, "Status: 200\r\n\r\n", 15);
    transport_finish(t);
    transport_free(t);
    unsetenv("CONTENT_LENGTH");
    dup2(old_in, STDIN_FILENO);
    dup2(old_out, STDOUT_FILENO);
    close(old_in);
    close(old_out);
    close(in[0]);
    close(in[1]);
    close(out[1]);
    assert_int_equal(fd, -1);
    assert_int_equal(n, 0);
    assert_true(wrote);
    assert_string_equal(buf_str(&got), "12345");
    assert_int_equal(read(out[0], chunk, sizeof chunk), 15);
    assert_memory_equal(chunk, "Status: 200\r\n\r\n", 15);
    close(out[0]);
    buf_release(&got);
}

/* The status of a CGI program that is told to end before or after its answer has left. */
static int cgi_told_to_end(bool answered)
{
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        struct transport *t = transport_cgi();
        signal(SIGTERM, SIG_DFL);
        if (!t || dup2(null, STDOUT_FILENO) < 0 || !transport_write(t, "x", 1))
            _exit(1);
        if (answered)
            transport_flush(t);
        raise(SIGTERM);
        _exit(7);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void cgi_lives_on_after_its_answer(void **state)
{
    (void)state;
    int status = cgi_told_to_end(true);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    status = cgi_told_to_end(false);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(params_and_answer),
        cmocka_unit_test(nothing_is_written_unasked),
        cmocka_unit_test(a_long_value_and_equal_names_arrive),
        cmocka_unit_test(bodies_in_pieces),
        cmocka_unit_test(a_large_answer),
        cmocka_unit_test(the_end_leaves_with_the_answer),
        cmocka_unit_test(answers_around_the_size_of_a_record),
        cmocka_unit_test(an_unread_body_does_not_lose_the_answer),
        cmocka_unit_test(the_end_of_no_body_may_come_late),
        cmocka_unit_test(a_body_that_breaks_off_is_an_error),
        cmocka_unit_test(half_close_is_answered),
        cmocka_unit_test(a_client_that_left_fails_the_write),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(a_request_cut_anywhere_is_refused),
        cmocka_unit_test(a_value_longer_than_its_record_is_refused),
        cmocka_unit_test(descriptors_above_1024_are_fine),
        cmocka_unit_test(cgi_reads_what_was_announced),
        cmocka_unit_test(cgi_lives_on_after_its_answer),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

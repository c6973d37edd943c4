/* Every log line is one JSON object with the promised members, whatever the values hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"

/* Standard error goes to a file while a test runs. */
static FILE *sink;
static int saved_stderr;

static int catch_stderr(void **state)
{
    (void)state;
    sink = tmpfile();
    saved_stderr = dup(STDERR_FILENO);
    return sink && saved_stderr >= 0 && dup2(fileno(sink), STDERR_FILENO) >= 0 ? 0 : -1;
}

static int release_stderr(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    fclose(sink);
    return 0;
}

static char *caught(struct arena *a)
{
    off_t size = lseek(fileno(sink), 0, SEEK_END);
    char *text = arena_alloc(a, (size_t)size + 1);
    assert_int_equal(pread(fileno(sink), text, (size_t)size, 0), size);
    assert_int_equal(ftruncate(fileno(sink), 0), 0);
    lseek(fileno(sink), 0, SEEK_SET);
    return text;
}

static json_object *parse_line(struct arena *a, const char *line)
{
    struct json_fault fault;
    size_t n = strlen(line);
    assert_true(n > 0 && line[n - 1] == '\n');
    json_object *o = json_parse(a, line, n, 0, &fault);
    if (!o)
        fail_msg("%s at %zu: %s", fault.reason, fault.offset, line);
    return o;
}

static void line_has_the_promised_members(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    int64_t before = clock_ms(), when;
    log_event(LOG_WARN, 9103, "db.busy", LOG_S, "request_id", "r1", LOG_I, "ms", (int64_t)-12, LOG_S, "gone",
              (const char *)NULL, LOG_I, "big", INT64_MIN, LOG_END);
    char *line = caught(a);
    json_object *o = parse_line(a, line);
    assert_true(time_parse(json_str(o, "time"), &when));
    assert_in_range(when, before, clock_ms());
    assert_string_equal(json_str(o, "level"), "warn");
    assert_string_equal(json_str(o, "program"), "log_test");
    assert_int_equal(json_int(o, "pid", 0), getpid());
    assert_string_equal(json_str(o, "event"), "db.busy");
    assert_int_equal(json_int(o, "number", 0), 9103);
    assert_string_equal(json_str(o, "request_id"), "r1");
    assert_int_equal(json_int(o, "ms", 0), -12);
    assert_true(json_int(o, "big", 0) == INT64_MIN);
    assert_false(json_has(o, "gone"));
    assert_memory_equal(line, "{\"time\":\"", 9);
    arena_free(a);
}

static void ordinary_line_has_no_number(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    log_event(LOG_INFO, 0, "start", LOG_END);
    assert_false(json_has(parse_line(a, caught(a)), "number"));
    arena_free(a);
}

static void level_decides(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (enum log_level least = LOG_DEBUG; least <= LOG_ERROR; least++) {
        log_init("log_test", least);
        for (enum log_level level = LOG_DEBUG; level <= LOG_ERROR; level++) {
            assert_int_equal(log_wants(level), level >= least);
            log_event(level, 0, "x", LOG_END);
            char *line = caught(a);
            if (level < least)
                assert_string_equal(line, "");
            else
                assert_string_equal(json_str(parse_line(a, line), "level"), names[level]);
        }
    }
    log_init("log_test", LOG_DEBUG);
    arena_free(a);
}

static void hostile_values_stay_inside_their_string(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    char value[256], *p = value;
    for (int c = 1; c < 0x80; c++)
        *p++ = (char)c;
    *p = 0;
    log_event(LOG_INFO, 0, "x", LOG_S, "v", value, LOG_S, "w", "\",\"admin\":true,\"x\":\"\n{\"event\":\"forged\"}",
              LOG_END);
    char *line = caught(a);
    json_object *o = parse_line(a, line);
    assert_string_equal(json_str(o, "v"), value);
    assert_false(json_has(o, "admin"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    for (const char *s = line; s[1]; s++)
        assert_true((unsigned char)*s >= 0x20 && *s != 0x7f);
    arena_free(a);
}

static void broken_utf8_is_replaced(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    log_event(LOG_INFO, 0, "x", LOG_S, "v", "a\xff" "b\xe5\xad", LOG_S, "ok", "字🙂", LOG_END);
    json_object *o = parse_line(a, caught(a));
    assert_memory_equal(json_str(o, "v"), "a\xEF\xBF\xBD" "b\xEF\xBF\xBD", 7);
    assert_string_equal(json_str(o, "ok"), "字🙂");
    arena_free(a);
}

static size_t logged_length(struct arena *a, const char *value)
{
    log_event(LOG_INFO, 0, "x", LOG_S, "v", value, LOG_END);
    const char *got = json_str(parse_line(a, caught(a)), "v");
    assert_true(utf8_valid(got, strlen(got)));
    return strlen(got);
}

static void values_are_cut_at_their_limit(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    char *value = arena_alloc(a, 4001);
    memset(value, 'x', 2000);
    assert_int_equal(logged_length(a, value), 2000);
    memset(value, 'x', 2001);
    assert_int_equal(logged_length(a, value), 2000);
    memset(value, 'x', 4000);
    assert_int_equal(logged_length(a, value), 2000);
    memcpy(value + 1998, "字", 3); /* 1998 + 3 passes 2000: the character goes as a whole */
    assert_int_equal(logged_length(a, value), 1998);
    arena_free(a);
}

static void line_that_gets_too_long_drops_whole_fields(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    char *big = arena_alloc(a, 2001);
    memset(big, 1, 2000); /* six bytes each once escaped */
    log_event(LOG_INFO, 0, "x", LOG_S, "huge", big, LOG_S, "small", "s", LOG_END);
    json_object *o = parse_line(a, caught(a));
    assert_false(json_has(o, "huge"));
    assert_string_equal(json_str(o, "small"), "s");
    memset(big, 'x', 2000);
    log_event(LOG_INFO, 0, "x", LOG_S, "a", big, LOG_S, "b", big, LOG_S, "c", big, LOG_S, "d", big, LOG_S, "e", big,
              LOG_I, "i", (int64_t)1, LOG_END);
    char *line = caught(a);
    assert_true(strlen(line) <= 8192);
    o = parse_line(a, line);
    assert_true(json_has(o, "c"));
    assert_false(json_has(o, "e"));
    assert_int_equal(json_int(o, "i", 0), 1);
    arena_free(a);
}

static void errno_survives(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    int fd = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    errno = ENOSPC;
    log_event(LOG_ERROR, 0, "nowhere", LOG_END);
    assert_int_equal(errno, ENOSPC);
    dup2(fd, STDERR_FILENO);
    close(fd);
    assert_string_equal(caught(a), "");
    arena_free(a);
}

enum { WRITERS = 4, LINES = 200 };

static void *write_lines(void *arg)
{
    for (int i = 0; i < LINES; i++)
        log_event(LOG_INFO, 0, "x", LOG_S, "who", (const char *)arg, LOG_I, "i", (int64_t)i, LOG_END);
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    pthread_t threads[WRITERS];
    static char names[WRITERS][2] = {"a", "b", "c", "d"};
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, names[i]), 0);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    int count = 0;
    char *text = caught(a);
    for (char *line = text, *next; *line; line = next, count++) {
        next = strchr(line, '\n') + 1;
        parse_line(a, arena_strndup(a, line, (size_t)(next - line)));
    }
    assert_int_equal(count, WRITERS * LINES);
    arena_free(a);
}

static void a_child_has_its_own_number(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    log_event(LOG_INFO, 0, "parent", LOG_END);
    caught(a);
    pid_t child = fork();
    if (child == 0) {
        log_event(LOG_INFO, 0, "child", LOG_END);
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(json_int(parse_line(a, caught(a)), "pid", 0), child);
    log_event(LOG_INFO, 0, "parent", LOG_END);
    assert_int_equal(json_int(parse_line(a, caught(a)), "pid", 0), getpid());
    arena_free(a);
}

int main(void)
{
    log_init("log_test", LOG_DEBUG);
#define CAUGHT(test) cmocka_unit_test_setup_teardown(test, catch_stderr, release_stderr)
    const struct CMUnitTest tests[] = {
        CAUGHT(line_has_the_promised_members),
        CAUGHT(ordinary_line_has_no_number),
        CAUGHT(level_decides),
        CAUGHT(hostile_values_stay_inside_their_string),
        CAUGHT(broken_utf8_is_replaced),
        CAUGHT(values_are_cut_at_their_limit),
        CAUGHT(line_that_gets_too_long_drops_whole_fields),
        CAUGHT(errno_survives),
        CAUGHT(lines_of_threads_do_not_mix),
        CAUGHT(a_child_has_its_own_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/decimal.h"
#include "base/json_scan.h"
#include "base/utf8.h"

enum { VALUE_MAX = 2000, LINE_MAX_BYTES = 8192 };

static struct {
    const char *program;
    enum log_level least;
} settings = {"clawgate", LOG_INFO};

/* One line in the making, on the stack: nothing here needs the heap. */
struct line {
    size_t len;
    bool full;
    char text[LINE_MAX_BYTES];
};

/* 0: not asked yet. Every line has it, and asking is a system call. */
static _Atomic pid_t own_pid;

static void forget_pid(void)
{
    own_pid = 0;
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_pid);
}

static pid_t pid_known(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pid_t pid = own_pid;
    if (pid == 0) {
        pthread_once(&once, watch_forks);
        own_pid = pid = getpid();
    }
    return pid;
}

void log_init(const char *program, enum log_level least)
{
    settings.program = program;
    settings.least = least;
}

bool log_wants(enum log_level level)
{
    return level >= settings.least;
}

static const char *level_name(enum log_level level)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    return names[level <= LOG_ERROR ? level : LOG_ERROR];
}

/* Two bytes stay free for the closing brace and the line feed. */
static void put(struct line *l, const char *s, size_t n)
{
    if (l->full || n > sizeof l->text - 2 - l->len) {
        l->full = true;
        return;
    }
    memcpy(l->text + l->len, s, n);
    l->len += n;
}

/* A quote, a backslash, a control character or the beginning of a sequence; returns how many bytes it was. */
static size_t put_special(struct line *l, const char *s, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char c = (unsigned char)*s;
    if (c >= 0x80) {
        uint32_t cp;
        size_t len = utf8_decode(s, n, &cp);
        put(l, len ? s : "\xEF\xBF\xBD", len ? len : 3);
        return len ? len : 1;
    }
    char escape[6] = {'\\', (char)c, '0', '0', digits[c >> 4], digits[c & 15]};
    bool control = c < 0x20 || c == 0x7f;
    if (control)
        escape[1] = 'u';
    put(l, escape, control ? 6 : 2);
    return 1;
}

/* DEL is plain for JSON, but nothing a terminal should see. */
static size_t plain_run(const char *s, size_t n)
{
    size_t run = json_plain_run(s, n);
    const char *del = memchr(s, 0x7f, run);
    return del ? (size_t)(del - s) : run;
}

static void put_escaped(struct line *l, const char *s)
{
    size_t n = strnlen(s, VALUE_MAX + 1);
    if (n > VALUE_MAX)
        n = utf8_cut(s, n, VALUE_MAX);
    for (size_t i = 0; i < n;) {
        size_t run = plain_run(s + i, n - i);
        put(l, s + i, run);
        i += run;
        if (i < n)
            i += put_special(l, s + i, n - i);
    }
}

static void put_name(struct line *l, const char *name)
{
    if (l->len > 1)
        put(l, ",", 1);
    put(l, "\"", 1);
    put(l, name, strlen(name));
    put(l, "\":", 2);
}

/* A field that does not fit any more is left out whole, so that the line stays JSON. */
static void field_end(struct line *l, size_t before)
{
    if (l->full) {
        l->len = before;
        l->full = false;
    }
}

static void field_text(struct line *l, const char *name, const char *value)
{
    if (!value)
        return;
    size_t before = l->len;
    put_name(l, name);
    put(l, "\"", 1);
    put_escaped(l, value);
    put(l, "\"", 1);
    field_end(l, before);
}

static void field_int(struct line *l, const char *name, int64_t value)
{
    char digits[DECIMAL_SIZE];
    size_t before = l->len;
    put_name(l, name);
    put(l, digits, decimal_format(value, digits));
    field_end(l, before);
}

/* One write a line; the loop is for signals and full pipes. A line that cannot be written is lost. */
static void line_write(const struct line *l)
{
    size_t done = 0;
    while (done < l->len) {
        ssize_t n = write(STDERR_FILENO, l->text + done, l->len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        done += (size_t)n;
    }
}

void log_event(enum log_level level, int number, const char *event, ...)
{
    if (!log_wants(level))
        return;
    int saved_errno = errno;
    struct line l;
    l.len = 0;
    l.full = false;
    char now[TIME_TEXT_SIZE];
    time_format(clock_ms(), now);
    put(&l, "{", 1);
    field_text(&l, "time", now);
    field_text(&l, "level", level_name(level));
    field_text(&l, "program", settings.program);
    field_int(&l, "pid", pid_known());
    field_text(&l, "event", event);
    if (number != 0)
        field_int(&l, "number", number);

    va_list ap;
    va_start(ap, event);
    for (int type = va_arg(ap, int); type != LOG_END; type = va_arg(ap, int)) {
        const char *name = va_arg(ap, const char *);
        if (type == LOG_S)
            field_text(&l, name, va_arg(ap, const char *));
        else
            field_int(&l, name, va_arg(ap, int64_t));
    }
    va_end(ap);

    memcpy(l.text + l.len, "}\n", 2);
    l.len += 2;
    line_write(&l);
    errno = saved_errno;
}

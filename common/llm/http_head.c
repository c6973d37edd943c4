#include "llm/http_head.h"

#include <curl/curl.h>
#include <errno.h>
#include <strings.h>

#include "base/clock.h"

enum { DAY_MS = 86400000 };

/* The value of a header line when it has this name; NULL otherwise. Not terminated: n bytes. */
static const char *header_value(const char *line, size_t len, const char *name, size_t *n)
{
    size_t name_len = strlen(name);
    if (len <= name_len || line[name_len] != ':' || strncasecmp(line, name, name_len) != 0)
        return NULL;
    const char *v = line + name_len + 1, *end = line + len;
    while (v < end && (*v == ' ' || *v == '\t'))
        v++;
    while (end > v && strchr(" \t\r\n", end[-1]))
        end--;
    *n = (size_t)(end - v);
    return v;
}

static int64_t retry_after_ms(const char *value)
{
    char *end;
    errno = 0;
    long seconds = strtol(value, &end, 10);
    if (end != value && *end == 0)
        return seconds < 0 ? 0 : seconds > DAY_MS / 1000 ? DAY_MS : seconds * 1000;
    time_t at = curl_getdate(value, NULL);
    if (at < 0)
        return -1;
    int64_t ms = (int64_t)at * 1000 - clock_ms();
    return ms < 0 ? 0 : ms;
}

static void status_line(struct http_call *call, const char *line, size_t len)
{
    const char *at = memchr(line, ' ', len);
    call->status = 0;
    for (at = at ? at + 1 : line; at < line + len && *at >= '0' && *at <= '9' && call->status < 1000; at++)
        call->status = call->status * 10 + (*at - '0');
    call->content_type[0] = 0;
    call->encoded = false;
    call->retry_after_ms = -1;
}

void http_head_line(struct http_call *call, const char *line, size_t len)
{
    size_t n;
    char value[128];
    if (len > 5 && memcmp(line, "HTTP/", 5) == 0) {
        status_line(call, line, len);
        return;
    }
    const char *v = header_value(line, len, "content-type", &n);
    if (v) {
        n = n < sizeof(call->content_type) ? n : sizeof(call->content_type) - 1;
        memcpy(call->content_type, v, n);
        call->content_type[n] = 0;
    } else if ((v = header_value(line, len, "content-encoding", &n))) {
        call->encoded = n > 0 && !(n == 8 && strncasecmp(v, "identity", 8) == 0);
    } else if ((v = header_value(line, len, "retry-after", &n)) && n < sizeof(value)) {
        memcpy(value, v, n);
        value[n] = 0;
        call->retry_after_ms = retry_after_ms(value);
    }
}

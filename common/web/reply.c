/* What goes out: the head, plain answers, the error envelope (contract 01 §2.2, §3). */
#include "web/reply.h"

#include "base/log.h"
#include "web/phrases.h"
#include "web/transport.h"

enum { HEAD_MAX = 64 * 1024, HEAD_USUAL = 900 };

/* ---- head ---- */

static const char *status_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {409, "Conflict"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {416, "Range Not Satisfiable"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "Status";
}

static bool header_clean(const char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return true;
}

static void add_line(struct buf *b, const char *name, const char *value)
{
    buf_adds(b, name);
    buf_add(b, ": ", 2);
    buf_adds(b, value);
    buf_add(b, "\r\n", 2);
}

void reply_header(struct request *req, const char *name, const char *value)
{
    if (value != NULL && header_clean(name) && header_clean(value))
        add_line(req->headers, name, value);
}

/* Was the header set by reply_header? */
static bool header_set(const struct request *req, const char *name)
{
    size_t n = strlen(name);
    for (const char *line = buf_str(req->headers); *line != '\0';) {
        if ((line[0] | 0x20) == (name[0] | 0x20) && strncasecmp(line, name, n) == 0 && line[n] == ':')
            return true;
        const char *end = strchr(line, '\n');
        line = end != NULL ? end + 1 : "";
    }
    return false;
}

static void header_default(struct request *req, struct buf *head, const char *name, const char *value)
{
    if (!header_set(req, name) && header_clean(value))
        add_line(head, name, value);
}

static bool served_over_tls(const struct request *req)
{
    const char *https = params_get(&req->env, "HTTPS");
    const char *scheme = params_get(&req->env, "REQUEST_SCHEME");
    return (https != NULL && strcasecmp(https, "on") == 0) || (scheme != NULL && strcasecmp(scheme, "https") == 0);
}

struct header {
    const char *name, *value;
};

#define HEADERS(X) \
    X("X-Content-Type-Options", "nosniff") \
    X("X-Frame-Options", "DENY") \
    X("X-XSS-Protection", "0") \
    X("Referrer-Policy", "strict-origin-when-cross-origin") \
    X("Cache-Control", "no-store")
#define HEADER_LINE(name, value) name ": " value "\r\n"
#define HEADER_ROW(name, value) {name, value},

/* All at once when nothing set by reply_header begins like one of them. */
static void head_defaults(struct request *req, struct buf *head)
{
    static const char lines[] = HEADERS(HEADER_LINE);
    static const struct header rows[] = {HEADERS(HEADER_ROW)};
    bool alike = false;
    for (const char *line = buf_str(req->headers); *line != '\0' && !alike;) {
        alike = strchr("XxRrCc", *line) != NULL;
        const char *end = strchr(line, '\n');
        line = end != NULL ? end + 1 : "";
    }
    if (!alike)
        buf_add(head, lines, sizeof lines - 1);
    for (size_t i = 0; alike && i < sizeof rows / sizeof *rows; i++)
        header_default(req, head, rows[i].name, rows[i].value);
}

static void head_fill(struct request *req, struct buf *head, int status, const char *content_type, int64_t length)
{
    buf_reserve(head, HEAD_USUAL);
    buf_adds(head, "Status: ");
    buf_addi(head, status);
    buf_addc(head, ' ');
    buf_adds(head, status_phrase(status));
    buf_add(head, "\r\n", 2);
    if (content_type != NULL && header_clean(content_type))
        add_line(head, "Content-Type", content_type);
    if (length >= 0) {
        buf_adds(head, "Content-Length: ");
        buf_addi(head, length);
        buf_add(head, "\r\n", 2);
    }
    head_defaults(req, head);
    if (served_over_tls(req))
        header_default(req, head, "Strict-Transport-Security", "max-age=31536000; includeSubDomains");
    header_default(req, head, "X-Request-Id", req->id);
    if (!header_set(req, "Access-Control-Allow-Origin"))
        cors_headers(req, head, req->preflight);
    buf_adds(head, buf_str(req->headers));
    buf_add(head, "\r\n", 2);
}

bool reply_head(struct request *req, int status, const char *content_type, int64_t length)
{
    static const char last_resort[] = "Status: 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";

    if (req->answered)
        return false;
    req->answered = true;
    req->status = status;
    struct buf *head = buf_new(req->arena, HEAD_MAX);
    head_fill(req, head, status, content_type, length);
    if (!head->failed && !req->headers->failed)
        return transport_write(req->io, head->data, head->len);
    req->status = 500;
    transport_write(req->io, last_resort, sizeof last_resort - 1);
    return false;
}

/* ---- bodies ---- */

reply reply_bytes(struct request *req, int status, const char *content_type, const void *p, size_t n)
{
    bool sent = reply_head(req, status, content_type, status == 204 ? -1 : (int64_t)n);
    if (sent && !req->head_only && n > 0)
        transport_write(req->io, p, n);
    return req->status;
}

reply reply_json(struct request *req, int status)
{
    if (req->out->failed)
        return reply_error(req, FAULT_INTERNAL, MSG_internal, NULL, "answer", NULL);
    return reply_bytes(req, status, "application/json", buf_str(req->out), req->out->len);
}

/* ---- errors ---- */

static int fault_wait_ms(const struct fault *f)
{
    const struct fault_info *info = fault_info(f->kind);
    return info->retryable && f->retry_after_ms > 0 ? f->retry_after_ms : info->retry_after_ms;
}

/* Does the last parameter say what must be, or is wrong, in words? */
static bool ends_in_phrase(enum message_id id)
{
    return id == MSG_must_be || id == MSG_too_long || id == MSG_invalid_request;
}

static void message_write(struct buf *text, const struct fault *f, enum locale locale)
{
    const char *args[3] = {f->args[0], f->args[1], f->args[2]};
    struct buf phrase = BUF_INIT(8192);
    int last = message_params(f->message) - 1;
    if (locale != LOCALE_EN && ends_in_phrase(f->message) && args[last] != NULL &&
        phrase_add(&phrase, args[last], locale))
        args[last] = buf_str(&phrase);
    message_format(text, f->message, locale, args);
    buf_release(&phrase);
}

void fault_write(struct jsonw *w, const struct fault *f, enum locale locale)
{
    const struct fault_info *info = fault_info(f->kind);
    struct buf text = BUF_INIT(8192);
    message_write(&text, f, locale);
    jw_obj(w);
    jw_kobj(w, "error");
    jw_kstr(w, "code", info->code);
    jw_kstr(w, "message", text.len > 0 ? buf_str(&text) : info->code);
    jw_kbool(w, "retryable", info->retryable);
    jw_kint(w, "retryAfterMs", fault_wait_ms(f));
    jw_kstr(w, "type", fault_type(info->status));
    jw_kstr(w, "param", f->param);
    if (f->details != NULL && strcmp(f->details, "{}") != 0)
        jw_kraw(w, "details", f->details);
    jw_obj_end(w);
    jw_obj_end(w);
    buf_release(&text);
}

static void fault_headers(struct request *req, const struct fault *f)
{
    const struct fault_info *info = fault_info(f->kind);
    reply_header(req, "Content-Language", locale_name(req->locale));
    if (info->status == 401)
        reply_header(req, "WWW-Authenticate", "Bearer realm=\"goclaw\"");
    int wait_ms = fault_wait_ms(f);
    if (wait_ms > 0)
        reply_header(req, "Retry-After", arena_printf(req->arena, "%d", wait_ms / 1000 + (wait_ms % 1000 != 0)));
    if (req->run_path && (req->admitted || !info->retryable))
        reply_header(req, "X-Should-Retry", "false");
}

reply reply_fault(struct request *req, const struct fault *f)
{
    static const char last_resort[] =
        "{\"error\":{\"code\":\"INTERNAL\",\"message\":\"Internal error\",\"retryable\":false,"
        "\"retryAfterMs\":0,\"type\":\"server_error\",\"param\":null}}";

    const struct fault_info *info = fault_info(f->kind);
    if (req->answered)
        return req->status;
    req->error_code = info->code;
    buf_clear(req->out);
    jw_init(&req->w, req->out);
    fault_write(&req->w, f, req->locale);
    buf_addc(req->out, '\n');
    fault_headers(req, f);
    if (req->out->failed) {
        req->error_code = "INTERNAL";
        return reply_bytes(req, 500, "application/json", last_resort, sizeof last_resort - 1);
    }
    return reply_bytes(req, info->status, "application/json", buf_str(req->out), req->out->len);
}

reply reply_error(struct request *req, enum fault_kind kind, enum message_id message, const char *param,
                  const char *arg0, const char *arg1)
{
    struct fault f;
    fault_set(&f, kind, message, param, arg0, arg1);
    return reply_fault(req, &f);
}

void fault_db(struct request *req, enum db_rc rc, struct fault *f)
{
    static const char *const reasons[] = {
        [DB_OK] = "no row", [DB_ROW] = "row", [DB_BUSY] = "busy", [DB_CONSTRAINT] = "constraint", [DB_FULL] = "full",
        [DB_ERROR] = "error",
    };
    log_event(LOG_WARN, 3101, "db.request_failed", LOG_S, "request_id", req->id, LOG_S, "reason", reasons[rc], LOG_S,
              "path", req->path_text, LOG_END);
    if (rc == DB_BUSY || rc == DB_FULL)
        fault_set(f, FAULT_UNAVAILABLE, MSG_unavailable, NULL, NULL, NULL);
    else
        fault_set(f, FAULT_INTERNAL, MSG_internal, NULL, "database", NULL);
}

reply reply_db(struct request *req, enum db_rc rc)
{
    struct fault f;
    fault_db(req, rc, &f);
    return reply_fault(req, &f);
}

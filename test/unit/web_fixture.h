/* A transport made of strings, for tests of common/web: include once in a test program; it takes the place of
 * transport.c, which the linker then leaves in the archive. */
#ifndef CLAWGATE_TEST_WEB_FIXTURE_H
#define CLAWGATE_TEST_WEB_FIXTURE_H

#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "web/serve.h"
#include "web/service.h"
#include "web/transport.h"

enum { FIXTURE_ENV_MAX = 64 };

struct transport {
    char *env[FIXTURE_ENV_MAX];
    size_t env_count;
    const char *body;
    size_t body_len, body_at;
    size_t body_endless; /* so many blanks follow the body */
    bool read_fails;
    struct buf out;
};

char *const *transport_env(const struct transport *t)
{
    return t->env;
}

const char *transport_param(const struct transport *t, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < t->env_count; i++)
        if (strncmp(t->env[i], name, n) == 0 && t->env[i][n] == '=')
            return t->env[i] + n + 1;
    return NULL;
}

long transport_read(struct transport *t, void *p, size_t n)
{
    if (t->read_fails)
        return -1;
    size_t left = t->body_len - t->body_at;
    if (left == 0) {
        n = n < t->body_endless ? n : t->body_endless;
        memset(p, ' ', n);
        t->body_endless -= n;
        return (long)n;
    }
    n = n < left ? n : left;
    n = n < 1000 ? n : 1000; /* short reads are the rule */
    memcpy(p, t->body + t->body_at, n);
    t->body_at += n;
    return (long)n;
}

bool transport_write(struct transport *t, const void *p, size_t n)
{
    return buf_add(&t->out, p, n);
}

bool transport_flush(struct transport *t)
{
    (void)t;
    return true;
}

bool transport_push(struct transport *t)
{
    return transport_flush(t);
}

void transport_end(struct transport *t)
{
    (void)t;
}

int transport_fd(const struct transport *t)
{
    (void)t;
    return -1;
}

/* One exchange: the parameters of the request, then the answer taken apart. */
struct exchange {
    struct transport t;
    struct arena *arena;
    int status;
    const char *body;    /* "" when none */
    json_object *json;   /* the body parsed, NULL when it is no JSON */
    char header[1024];   /* of the last exchange_header */
};

static inline void exchange_param(struct exchange *x, const char *name, const char *value)
{
    assert_true(x->t.env_count < FIXTURE_ENV_MAX - 1);
    x->t.env[x->t.env_count++] = arena_printf(x->arena, "%s=%s", name, value);
}

static const char *exchange_peer = "192.0.2.9";

static inline void exchange_start(struct exchange *x, const char *method, const char *uri)
{
    *x = (struct exchange){.arena = arena_new(), .body = ""};
    buf_init(&x->t.out, (size_t)80 << 20);
    exchange_param(x, "REQUEST_METHOD", method);
    if (uri != NULL)
        exchange_param(x, "REQUEST_URI", uri);
    exchange_param(x, "REMOTE_ADDR", exchange_peer);
}

static inline void exchange_body(struct exchange *x, const char *body)
{
    x->t.body = body;
    x->t.body_len = strlen(body);
    exchange_param(x, "CONTENT_LENGTH", arena_printf(x->arena, "%zu", strlen(body)));
}

static inline void exchange_run(struct exchange *x, const struct gateway *gw)
{
    serve_request(gw, &x->t, x->arena);
    const char *text = buf_str(&x->t.out);
    assert_int_equal(strncmp(text, "Status: ", 8), 0);
    x->status = (int)strtol(text + 8, NULL, 10);
    const char *end = strstr(text, "\r\n\r\n");
    assert_non_null(end);
    x->body = end + 4;
    struct json_fault jf;
    x->json = *x->body != '\0' ? json_parse(x->arena, x->body, strlen(x->body), 0, &jf) : NULL;
}

/* Value of a response header, NULL when it is not there; fails when it is there twice. */
static inline const char *exchange_header(struct exchange *x, const char *name)
{
    const char *found = NULL;
    size_t n = strlen(name);
    for (const char *line = buf_str(&x->t.out); strncmp(line, "\r\n", 2) != 0; line = strstr(line, "\r\n") + 2) {
        if (strncasecmp(line, name, n) != 0 || line[n] != ':')
            continue;
        assert_null(found);
        found = line + n + 2;
    }
    if (found == NULL)
        return NULL;
    snprintf(x->header, sizeof x->header, "%.*s", (int)strcspn(found, "\r"), found);
    return x->header;
}

static inline void exchange_end(struct exchange *x)
{
    arena_free(x->arena);
    buf_release(&x->t.out);
}

/* What is written to a descriptor between capture_start and capture_end. */
struct capture {
    int fd, saved;
    FILE *file;
    char text[16384];
};

static inline void capture_start(struct capture *c, int fd)
{
    fflush(NULL);
    c->fd = fd;
    c->saved = dup(fd);
    c->file = tmpfile();
    assert_non_null(c->file);
    assert_true(dup2(fileno(c->file), fd) >= 0);
}

static inline const char *capture_end(struct capture *c)
{
    fflush(NULL);
    dup2(c->saved, c->fd);
    close(c->saved);
    rewind(c->file);
    size_t n = fread(c->text, 1, sizeof c->text - 1, c->file);
    c->text[n] = '\0';
    fclose(c->file);
    return c->text;
}

/* A member of the error object as text. */
static inline const char *exchange_error(struct exchange *x, const char *member)
{
    json_object *error = json_get(x->json, "error");
    assert_non_null(error);
    json_object *value = json_get(error, member);
    return value != NULL ? json_object_get_string(value) : "null";
}

/* ---- a gateway whose handlers tell what they saw ---- */

static struct config config;
static char seen[1024]; /* what the handler was given */

#define ROW(method_, pattern_, role_, user_, handler_) \
    .method = METHOD_##method_, .pattern = pattern_, .role = ROLE_##role_, .user = USER_##user_, .handler = handler_, \
    .tag = "Test", .summary = "test"

static inline reply say_json(struct request *req)
{
    jw_obj(&req->w);
    jw_kstr(&req->w, "seen", seen);
    jw_obj_end(&req->w);
    return reply_json(req, 200);
}

static inline int config_setup(void **state)
{
    static const char *const owners[] = {"boss", NULL};
    static const char *const none[] = {NULL};
    (void)state;
    config = (struct config){.host = "0.0.0.0", .token = "s3cret", .owner_ids = owners, .allowed_origins = none,
                             .trusted_proxies = none, .max_body_bytes = 2000};
    snprintf(seen, sizeof seen, "nothing");
    return 0;
}

static inline void exchange_start_authorized(struct exchange *x, const char *method, const char *uri)
{
    exchange_start(x, method, uri);
    exchange_param(x, "HTTP_AUTHORIZATION", "Bearer s3cret");
}

static inline void exchange_expect_error(struct exchange *x, const struct gateway *gw, int status, const char *code,
                                         const char *message)
{
    exchange_run(x, gw);
    assert_int_equal(x->status, status);
    assert_string_equal(exchange_error(x, "code"), code);
    if (strstr(exchange_error(x, "message"), message) == NULL)
        fail_msg("message: %s", exchange_error(x, "message"));
}

static inline void exchange_expect_seen(struct exchange *x, const struct gateway *gw, const char *expected)
{
    exchange_run(x, gw);
    assert_int_equal(x->status, 200);
    assert_string_equal(seen, expected);
    exchange_end(x);
}

/* For programs with a gateway called gw. */
#define start(x, method, uri) exchange_start_authorized((x), (method), (uri))
#define expect_error(x, status, code, message) exchange_expect_error((x), &gw, (status), (code), (message))
#define expect_seen(x, expected) exchange_expect_seen((x), &gw, (expected))

#endif

/* What came in: headers, query, body; and the connection to the store. */
#include "web/request.h"

#include <ctype.h>
#include <errno.h>

#include "base/utf8.h"
#include "base/percent.h"
#include "web/transport.h"

enum { HEADER_NAME_MAX = 64, READ_CHUNK = 64 * 1024 };

const char *req_header(const struct request *req, const char *name)
{
    char param[HEADER_NAME_MAX + 8];
    bool own = strncasecmp(name, "Content-", 8) == 0 &&
               (strcasecmp(name + 8, "Type") == 0 || strcasecmp(name + 8, "Length") == 0);
    size_t at = 0;
    if (!own) {
        memcpy(param, "HTTP_", 5);
        at = 5;
    }
    for (; *name != '\0' && at < sizeof param - 1; name++)
        param[at++] = *name == '-' ? '_' : (char)toupper((unsigned char)*name);
    param[at] = '\0';
    const char *value = params_get(&req->env, param);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* ---- query ---- */

struct query_pair {
    char *name, *value;
    size_t name_len, value_len;
};

/* Takes the next pair off the query; false at its end. *sound tells whether both halves could be decoded. */
static bool query_next(struct arena *a, const char **p, struct query_pair *out, bool *sound)
{
    while (**p == '&')
        ++*p;
    size_t n = strcspn(*p, "&");
    if (n == 0)
        return false;
    const char *start = *p;
    *p += n;
    const char *equals = memchr(start, '=', n);
    size_t name_n = equals != NULL ? (size_t)(equals - start) : n;
    size_t value_n = equals != NULL ? n - name_n - 1 : 0;
    out->name = arena_strndup(a, start, name_n);
    out->value = arena_strndup(a, equals != NULL ? equals + 1 : "", value_n);
    *sound = percent_decode(out->name, name_n, true, &out->name_len) &&
             percent_decode(out->value, value_n, true, &out->value_len) &&
             memchr(out->name, '\0', out->name_len) == NULL && memchr(out->value, '\0', out->value_len) == NULL &&
             utf8_valid(out->name, out->name_len) && utf8_valid(out->value, out->value_len);
    return true;
}

static const char *query_start(const struct request *req)
{
    const char *mark = strchr(req->target, '?');
    return mark != NULL ? mark + 1 : "";
}

bool req_query_valid(struct request *req)
{
    const char *p = query_start(req);
    struct query_pair pair;
    bool sound = true;
    while (sound && query_next(req->arena, &p, &pair, &sound))
        continue;
    return sound;
}

const char *req_query(struct request *req, const char *name)
{
    const char *p = query_start(req);
    struct query_pair pair;
    bool sound;
    while (query_next(req->arena, &p, &pair, &sound))
        if (sound && strcmp(pair.name, name) == 0)
            return pair.value_len > 0 ? pair.value : NULL;
    return NULL;
}

int64_t req_query_int(struct request *req, const char *name, int64_t fallback, int64_t min, int64_t max)
{
    const char *text = req_query(req, name);
    if (text == NULL || strspn(text, "0123456789") != strlen(text))
        return fallback;
    errno = 0;
    long long v = strtoll(text, NULL, 10);
    if (errno == ERANGE || v > max)
        return max;
    return v < min ? fallback : v;
}

/* ---- body ---- */

static bool body_too_large(struct request *req, size_t limit, struct fault *f)
{
    fault_set(f, FAULT_TOO_LARGE, MSG_body_too_large, NULL, arena_printf(req->arena, "%zu", limit), NULL);
    f->details = arena_printf(req->arena, "{\"max\":%zu}", limit);
    return false;
}

/* CONTENT_LENGTH as the front server gave it; -1 when it is missing or no number. Huge numbers saturate. */
static int64_t announced_length(const struct request *req)
{
    const char *text = req_header(req, "Content-Length");
    if (text == NULL || strspn(text, "0123456789") != strlen(text))
        return -1;
    return (int64_t)strtoll(text, NULL, 10);
}

/* The whole stream into memory, never more than limit + 1 bytes of it. */
static bool body_fetch(struct request *req, size_t limit, struct fault *f)
{
    int64_t announced = announced_length(req);
    if (announced > 0 && (uint64_t)announced > limit)
        return body_too_large(req, limit, f);
    struct buf *b = buf_new(req->arena, limit + 1);
    /* What was announced and one byte more, which then shows that the stream is longer. */
    size_t chunk = announced >= 0 && announced < READ_CHUNK ? (size_t)announced + 1 : READ_CHUNK;
    for (;;) {
        size_t want = limit + 1 - b->len < chunk ? limit + 1 - b->len : chunk;
        if (!buf_reserve(b, want))
            return fault_set(f, FAULT_INTERNAL, MSG_internal, NULL, "memory", NULL);
        long got = transport_read(req->io, b->data + b->len, want);
        if (got < 0)
            return fault_set(f, FAULT_INVALID, MSG_invalid_request, NULL, "the body could not be read", NULL);
        if (got == 0)
            break;
        b->len += (size_t)got;
        if (b->len > limit)
            return body_too_large(req, limit, f);
    }
    if (b->data != NULL)
        b->data[b->len] = '\0';
    if (announced >= 0 && (uint64_t)announced != b->len)
        return fault_set(f, FAULT_INVALID, MSG_invalid_request, "Content-Length",
                         "the body is not as long as Content-Length says", NULL);
    req->raw_body = buf_str(b);
    req->raw_len = b->len;
    return true;
}

static bool is_blank(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strchr(" \t\r\n", s[i]) == NULL || s[i] == '\0')
            return false;
    return true;
}

static void object_put(void *p)
{
    json_object_put(p);
}

static bool json_refuse(struct request *req, const char *reason, size_t offset, struct fault *f)
{
    fault_set(f, FAULT_INVALID, MSG_invalid_json, NULL, NULL, NULL);
    struct buf *details = buf_new(req->arena, 4096);
    struct jsonw w;
    jw_init(&w, details);
    jw_obj(&w);
    jw_kstr(&w, "reason", reason);
    jw_kint(&w, "offset", (int64_t)offset);
    jw_obj_end(&w);
    f->details = details->failed ? NULL : buf_str(details);
    return false;
}

static bool body_empty_object(struct request *req, struct fault *f)
{
    req->body = json_object_new_object();
    if (req->body == NULL)
        return fault_set(f, FAULT_INTERNAL, MSG_internal, NULL, "memory", NULL);
    arena_defer(req->arena, object_put, req->body);
    return true;
}

bool req_body_read(struct request *req, struct fault *f)
{
    if (req->body != NULL || (req->route->flags & (ROUTE_NO_BODY | ROUTE_RAW_BODY)) != 0)
        return true;
    /* A body has no meaning with GET: it is left where it is. */
    if (req->method == METHOD_GET)
        return body_empty_object(req, f);
    size_t limit = route_body_max(req->route, (size_t)req->gw->config->max_body_bytes);
    if (!body_fetch(req, limit, f))
        return false;
    if (is_blank(req->raw_body, req->raw_len))
        return body_empty_object(req, f);
    struct json_fault jf = {.reason = "malformed"};
    json_object *root = json_parse(req->arena, req->raw_body, req->raw_len, 0, &jf);
    if (root == NULL)
        return json_refuse(req, jf.reason, jf.offset, f);
    if (!json_object_is_type(root, json_type_object))
        return json_refuse(req, "the root must be an object", 0, f);
    req->body = root;
    return true;
}

/* ---- store ---- */

struct db *req_db(struct request *req)
{
    return req->gw->pool != NULL ? db_pool_take(req->gw->pool) : req->gw->db;
}

void req_db_done(struct request *req, struct db *db)
{
    if (req->gw->pool != NULL && db != NULL)
        db_pool_give(req->gw->pool, db);
}

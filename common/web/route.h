/* The route table is the API: dispatch, authorization, 404/405, body limits and --describe all read it. */
#ifndef CLAWGATE_WEB_ROUTE_H
#define CLAWGATE_WEB_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

struct request;
struct resource;

enum method {
    METHOD_GET,
    METHOD_POST,
    METHOD_PUT,
    METHOD_PATCH,
    METHOD_DELETE,
    METHOD_OPTIONS,
    METHOD_HEAD,
    METHOD_OTHER,
};

/* Least role, contract 01 §5.4. ROLE_UNSET is refused at start-up: a route without a role does not exist. */
enum role { ROLE_UNSET, ROLE_PUBLIC, ROLE_VIEWER, ROLE_OPERATOR, ROLE_ADMIN, ROLE_OWNER };

/* Contract 01 §2.3 and §6: is X-GoClaw-User-Id needed? */
enum user_rule {
    USER_UNSET,
    USER_UNUSED,   /* "–" */
    USER_OPTIONAL, /* "o" */
    USER_ADMIN_MAY_OMIT, /* "a": below admin 400 without it */
    USER_REQUIRED, /* "R" */
};

/* What a handler returns: it answered. Handlers end with `return reply_…(…)`. */
typedef int reply;
typedef reply handler_fn(struct request *req);

enum route_flags {
    ROUTE_RUN = 1,        /* a run endpoint: X-Should-Retry rule of contract 03 §1.10 */
    ROUTE_NO_BODY = 2,    /* a body is not read */
    ROUTE_ALIAS = 4,      /* same handler as a canonical path; `deprecated` in the document */
    ROUTE_RAW_BODY = 8,   /* the handler reads the stream itself */
    ROUTE_LATE_BODY = 16, /* the handler calls req_body_read once it found its row (01 §0, steps 9 to 12) */
    ROUTE_METRICS = 32,   /* public when gateway.metrics_public says so */
    ROUTE_ANY_TENANT = 64, /* the path names the tenant: X-GoClaw-Tenant-Id plays no part (01 §13) */
};

enum { BODY_DEFAULT = 0 };      /* 1 MiB */
enum { BODY_CHAT = (size_t)-1 };/* gateway.max_body_bytes */

/* Rows end with the last member they need. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

struct route {
    enum method method;
    const char *pattern; /* "/v1/runs/{id}/cancel"; a last segment "{path...}" takes the rest */
    enum role role;
    enum user_rule user;
    size_t body_max;     /* bytes, BODY_DEFAULT or BODY_CHAT */
    handler_fn *handler;
    const char *tag;     /* OpenAPI tag, contract 01 §9.3 */
    const char *summary; /* one line */
    unsigned flags;
    const struct resource *resource; /* what the handlers of web/resource.h work on; NULL for other rows */
};

enum { PATH_SEGMENTS_MAX = 16 };

struct path {
    int n;
    const char *seg[PATH_SEGMENTS_MAX]; /* decoded once each */
    bool trailing_slash;                /* one was there and is ignored */
};

/* The path (and query) of a request target: the absolute form "http://host/path" loses its first part. A target
 * that is neither is returned as it is. */
const char *target_path(const char *target);

enum path_rc { PATH_OK, PATH_BAD, PATH_UNKNOWN };
/* Contract 01 §12.9, §12.10: cut the query, split on '/', decode each segment once. PATH_BAD: malformed
 * escape, NUL, invalid UTF-8, or a segment "." or ".."; PATH_UNKNOWN: empty inner segment, too many. */
struct arena;
enum path_rc path_parse(struct arena *a, const char *raw_target, struct path *out);

/* The best row for a path: literals beat parameters. *allow gets the methods of the path when only the
 * method does not fit (for Allow), e.g. "GET, HEAD, OPTIONS". params[i] points into path. */
const struct route *route_find(const struct route *routes, size_t n, const struct path *path, enum method m,
                               const char **params, const char **allow, struct arena *a);
/* Start-up check of a table: every row complete and well-formed, no two rows alike. false with a reason in err. */
bool routes_check(const struct route *routes, size_t n, char *err, size_t errsize);
const char *method_name(enum method m); /* "GET"; METHOD_OTHER is "OTHER" */
enum method method_parse(const char *s);
const char *role_name(enum role r); /* "viewer" */
const char *user_rule_name(enum user_rule u); /* "admin_may_omit" */
/* The longest body of a route, given gateway.max_body_bytes. */
size_t route_body_max(const struct route *r, size_t chat_max);

#endif

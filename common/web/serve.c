/* The order of checks (contract 01 §0), the same for every endpoint. */
#include "web/serve.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "web/auth.h"
#include "web/intake.h"
#include "web/limit.h"
#include "web/service.h"

static void not_found(struct request *req)
{
    reply_error(req, FAULT_NOT_FOUND, MSG_not_found, NULL, "API route", req->path_text);
}

/* Preflights and plain OPTIONS of a known path. */
static void options_answer(struct request *req, const char *allow)
{
    req->preflight = req_header(req, "Access-Control-Request-Method") != NULL;
    if (!req->preflight)
        reply_header(req, "Allow", allow);
    reply_bytes(req, 204, NULL, "", 0);
}

/* Contract 03 §1.10 binds the path, whatever the method. */
static bool is_run_path(struct request *req)
{
    const struct program *p = req->gw->program;
    const char *params[PATH_SEGMENTS_MAX];
    const char *allow;
    const struct route *r =
        route_find(p->routes, p->route_count, &req->path, METHOD_POST, params, &allow, req->arena);
    return r != NULL && (r->flags & ROUTE_RUN) != 0;
}

/* Step 1 and 2. false when the request is answered. */
static bool route_step(struct request *req)
{
    const struct program *p = req->gw->program;
    enum path_rc rc = path_parse(req->arena, req->target, &req->path);
    if (rc == PATH_BAD) {
        reply_error(req, FAULT_INVALID, MSG_invalid_path, NULL, NULL, NULL);
        return false;
    }
    const char *allow = NULL;
    if (rc == PATH_OK)
        req->route =
            route_find(p->routes, p->route_count, &req->path, req->method, req->params, &allow, req->arena);
    if (req->route != NULL) {
        req->run_path = (req->route->flags & ROUTE_RUN) != 0;
        return true;
    }
    if (allow == NULL) {
        not_found(req);
    } else if (req->method == METHOD_OPTIONS) {
        options_answer(req, allow);
    } else {
        req->run_path = is_run_path(req);
        reply_header(req, "Allow", allow);
        reply_error(req, FAULT_METHOD, MSG_method_not_allowed, NULL, NULL, NULL);
    }
    return false;
}

/* Steps 4 to 8. */
static bool admit(struct request *req, struct fault *f)
{
    struct db *db = req_db(req);
    if (db == NULL)
        return fault_set(f, FAULT_UNAVAILABLE, MSG_unavailable, NULL, NULL, NULL);
    bool known = auth_principal(req, db, f);
    req_db_done(req, db);
    if (!known)
        limit_failed_auth(req, f);
    return known && limit_request(req, f) && auth_authorize(req, req->route, f);
}

static bool is_public(const struct request *req)
{
    return req->route->role == ROLE_PUBLIC ||
           ((req->route->flags & ROUTE_METRICS) != 0 && req->gw->config->metrics_public);
}

static bool query_step(struct request *req, struct fault *f)
{
    return req_query_valid(req) ||
           fault_set(f, FAULT_INVALID, MSG_invalid_request, NULL, "the query string is malformed", NULL);
}

static bool body_step(struct request *req, struct fault *f)
{
    return (req->route->flags & ROUTE_LATE_BODY) != 0 || req_body_read(req, f);
}

static void answer(struct request *req)
{
    const char *doubled = req->env.doubled;
    if (doubled != NULL) {
        req->run_path = path_parse(req->arena, req->target, &req->path) == PATH_OK && is_run_path(req);
        reply_error(req, FAULT_INVALID, MSG_header_collision, doubled, doubled, NULL);
        return;
    }
    if (!route_step(req))
        return;
    struct fault f;
    req->who.role = ROLE_PUBLIC;
    if ((!is_public(req) && !admit(req, &f)) || !query_step(req, &f) || !body_step(req, &f)) {
        reply_fault(req, &f);
        return;
    }
    req->route->handler(req);
    if (!req->answered && !req->streaming) {
        log_event(LOG_ERROR, 3002, "request.unanswered", LOG_S, "request_id", req->id, LOG_S, "route",
                  req->route->pattern, LOG_END);
        reply_error(req, FAULT_INTERNAL, MSG_internal, NULL, "no answer", NULL);
    }
}

#define LINE_FIELDS(req, role, method, ms) \
    LOG_S, "request_id", (req)->id, LOG_S, "tenant", (req)->who.tenant_id, LOG_S, "role", role, LOG_S, "user", \
        (req)->who.user, LOG_S, "method", method, LOG_S, "path", (req)->path_text, LOG_I, "status", \
        (int64_t)(req)->status, LOG_I, "ms", ms, LOG_S, "code", (req)->error_code, LOG_END

/* Contract 01 §2.7. */
static void log_line(const struct request *req)
{
    const char *method = req->head_only ? method_name(METHOD_HEAD) : method_name(req->method);
    const char *role = req->who.credential != CRED_NONE ? role_name(req->who.role) : NULL;
    int64_t ms = clock_mono_ms() - req->started_ms;
    if (req->status >= 500)
        log_event(LOG_WARN, 3001, "request", LINE_FIELDS(req, role, method, ms));
    else
        log_event(LOG_INFO, 0, "request", LINE_FIELDS(req, role, method, ms));
}

static int64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void serve_request(const struct gateway *gw, struct transport *t, struct arena *arena)
{
    int64_t began = now_us();
    struct request *req = request_new(gw, t, arena);
    answer(req);
    transport_end(t);
    if (req->streaming)
        metrics_gauge(GAUGE_STREAMS, -1);
    metrics_request(req->status, now_us() - began);
    auth_note_use(req);
    log_line(req);
}

/* docs: the front page, the health check, the metrics, the API document, and 404 for everything no program owns. */
#include "base/metrics.h"
#include "docs/pages.h"
#include "web/service.h"

#define N(a) (sizeof(a) / sizeof *(a))

/* Contract 01 §9.4. */
static reply front_page(struct request *req)
{
    jw_obj(&req->w);
    jw_kstr(&req->w, "service", "goclaw");
    jw_kstr(&req->w, "status", "ok");
    jw_obj_end(&req->w);
    return reply_json(req, 200);
}

/* Contract 01 §9.1. */
static reply health(struct request *req)
{
    struct db *db = req_db(req);
    bool alive = db && db_ping(db);
    req_db_done(req, db);
    if (!alive)
        return reply_error(req, FAULT_UNAVAILABLE, MSG_unavailable, NULL, NULL, NULL);
    jw_obj(&req->w);
    jw_kstr(&req->w, "status", "ok");
    jw_obj_end(&req->w);
    return reply_json(req, 200);
}

static reply metrics(struct request *req)
{
    metrics_write(req->out);
    if (req->out->failed)
        return reply_error(req, FAULT_INTERNAL, MSG_internal, NULL, "memory", NULL);
    return reply_bytes(req, 200, "text/plain; version=0.0.4; charset=utf-8", buf_str(req->out), req->out->len);
}

static const struct route routes[] = {
    {METHOD_GET, "/", ROLE_PUBLIC, USER_UNUSED, BODY_DEFAULT, front_page, "System", "Name and state of the service",
     ROUTE_NO_BODY},
    {METHOD_GET, "/health", ROLE_PUBLIC, USER_UNUSED, BODY_DEFAULT, health, "System",
     "Is the service alive and its database readable?", ROUTE_NO_BODY},
    {METHOD_GET, "/metrics", ROLE_ADMIN, USER_UNUSED, BODY_DEFAULT, metrics, "System",
     "What the gateway did and does, for Prometheus", ROUTE_NO_BODY | ROUTE_METRICS},
    {METHOD_GET, "/docs", ROLE_PUBLIC, USER_UNUSED, BODY_DEFAULT, docs_page, "System", "This document, to read and to try",
     ROUTE_NO_BODY},
    {METHOD_GET, "/docs/{asset}", ROLE_PUBLIC, USER_UNUSED, BODY_DEFAULT, docs_asset, "System", "A file of that page",
     ROUTE_NO_BODY},
    {METHOD_GET, "/docs/openapi.json", ROLE_PUBLIC, USER_UNUSED, BODY_DEFAULT, docs_document, "System",
     "This document, for programs", ROUTE_NO_BODY},
    {METHOD_GET, "/v1/openapi.json", ROLE_PUBLIC, USER_UNUSED, BODY_DEFAULT, docs_document, "System",
     "This document, for programs", ROUTE_NO_BODY | ROUTE_ALIAS},
};

static const struct program program = {
    .name = "docs",
    .routes = routes,
    .route_count = N(routes),
    .model = PROGRAM_PREFORK,
};

int main(int argc, char **argv)
{
    return service_main(&program, argc, argv);
}

/* One changing request: everything that holds for every write, in one place.
 *
 * Guarantees of change_run:
 *  1. What `apply` does, its audit row (01 §8.2), the generation counter (04 §0 "Reload") and the kept answer of
 *     an Idempotency-Key (01 §12.18) are one transaction: all of it is there or nothing.
 *  2. A fault set by `apply` rolls everything back. A key that was used before gets the kept answer, or 409 when
 *     the body differs; apply is then not called.
 *  3. The order of contract 01 §0: body (413, 400), Idempotency-Key, `prepare` (400), `apply` (404, 412, 409).
 *
 * A handler fills the callbacks and returns change_run(...). The resource handlers (web/resource.h) stand on this;
 * actions beside them (grants, reviews, toggles) use it directly.
 */
#ifndef CLAWGATE_WEB_CHANGE_H
#define CLAWGATE_WEB_CHANGE_H

#include <stdbool.h>

#include "web/request.h"

struct change {
    struct request *req;

    /* Filled by the caller; only apply and render are needed. */
    bool (*prepare)(struct change *c);        /* outside the transaction, body read; false with c->fault */
    enum db_rc (*apply)(struct change *c);    /* inside; may be called twice: must begin anew each time */
    void (*render)(struct change *c, struct jsonw *w, bool kept); /* the whole JSON answer; kept: without secrets that
                                                                     are shown once */
    const char *entity;     /* activity_logs.entity_type */
    const char *generation; /* counter to raise, NULL = none */
    int status;             /* of the answer; 0 = 200 */

    /* For the callbacks. */
    struct db *db;          /* NULL in prepare */
    struct fault fault;
    const char *action;     /* set by apply: "mcp_server.created"; NULL = nothing changed: no audit, no generation */
    const char *entity_id;
    const char *details;    /* audit details, a small JSON object as text, never secrets; or NULL */

    /* Private. */
    const char *scope, *key, *body_hash;
    const char *replay;
    int64_t replay_status;
};

reply change_run(struct request *req, struct change *c);

/* Sets c->fault and returns false. Strings live as long as the request. */
bool change_refuse(struct change *c, enum fault_kind kind, enum message_id message, const char *param,
                   const char *arg0, const char *arg1);

#endif

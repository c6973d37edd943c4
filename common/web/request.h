/* One HTTP request on its way to a handler, and the answer on its way back.
 *
 * The handler cannot tell whether it runs in a prefork worker, a thread or a
 * plain CGI process. Everything in a request lives in its arena.
 */
#ifndef CLAWGATE_WEB_REQUEST_H
#define CLAWGATE_WEB_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/cancel.h"
#include "base/config.h"
#include "base/fault.h"
#include "base/id.h"
#include "base/json.h"
#include "base/jsonw.h"
#include "store/db.h"
#include "store/pool.h"
#include "store/writer.h"
#include "web/params.h"
#include "web/route.h"

/* Who calls, once authenticated (contract 01 §1, §5). */
enum credential { CRED_NONE, CRED_GATEWAY_TOKEN, CRED_API_KEY, CRED_DEV_MODE };
struct principal {
    enum credential credential;
    enum role role;
    const char *tenant_id;
    const char *tenant_slug;
    const char *user;       /* effective user of 01 §2.3 (1 to 3), NULL when none */
    bool user_bound;        /* fixed by the API key's owner_id */
    const char *key_id;     /* API key's id, NULL otherwise */
    bool system_level_key;
};

/* What a process shares between its requests. */
struct gateway {
    const struct config *config;
    const struct program *program;
    struct db *db;          /* prefork and CGI: the one connection; NULL in a threaded process */
    struct db_pool *pool;   /* threaded process; NULL otherwise */
    struct writer *writer;  /* threaded process; NULL otherwise */
    struct fresh *fresh;    /* store/fresh.h; NULL: keep no copies of configuration */
    struct memo *memo;      /* the copies (store/memo.h); NULL: there are none. Keys begin with a letter for their
                               kind: k API key, t tenant, l list, n its total */
    struct ratelimit *limiter; /* NULL: no limit */
    void *state;            /* the program's own, set by its start function */
};

struct transport; /* FastCGI or CGI; private to web/ */

struct request {
    struct arena *arena;
    const struct gateway *gw;
    struct transport *io;
    struct params env;       /* headers and everything else the front server says */

    enum method method;      /* HEAD arrives as METHOD_GET with head_only set */
    bool head_only;
    const char *target;      /* raw request target with its query; never logged */
    const char *path_text;   /* raw path without the query, for logs */
    struct path path;
    const struct route *route;
    const char *params[PATH_SEGMENTS_MAX]; /* in the order of the pattern */

    char id[129];            /* X-Request-Id */
    enum locale locale;
    const char *client_ip;
    struct principal who;

    const char *raw_body;    /* NUL-terminated, "" when none */
    size_t raw_len;
    json_object *body;       /* an object; {} for an empty body. NULL with ROUTE_RAW_BODY / ROUTE_NO_BODY */

    struct buf *out;         /* body of the answer; up to 64 MiB */
    struct jsonw w;          /* writes into out */
    int status;              /* set by reply_… */
    struct buf *headers;     /* extra response header lines */
    bool streaming;          /* headers are out */
    bool answered;           /* the head of the answer is out */
    bool preflight;          /* a CORS preflight: its answer has headers of its own */
    bool run_path;           /* the path of a run endpoint, also with a wrong method */
    bool admitted;           /* a run was admitted: errors carry X-Should-Retry: false */
    struct sse_out *sse;     /* set by sse_begin; private to sse_out.c */
    bool note_key_use;       /* the API key's last_used_at is due; written after the answer */
    const char *error_code;  /* for the log line */
    int64_t started_ms;      /* clock_mono_ms */
};

/* Header by its HTTP name ("X-GoClaw-User-Id"); NULL when absent or empty. */
const char *req_header(const struct request *req, const char *name);
/* First occurrence in the query, decoded ('+' is a blank); NULL when absent or empty. */
const char *req_query(struct request *req, const char *name);
/* false when the query holds a malformed escape, NUL or invalid UTF-8 (step 9 of contract 01 §0). */
bool req_query_valid(struct request *req);
/* Contract 01 §12.6: invalid gives the default, above max gives max. */
int64_t req_query_int(struct request *req, const char *name, int64_t fallback, int64_t min, int64_t max);
/* Reads the body (raw_body, raw_len) and parses it (body), once. false leaves the answer in *f: 413 above the
 * route's limit, 400 when it is no JSON object. The house calls it unless the route says otherwise. */
bool req_body_read(struct request *req, struct fault *f);
/* The connection for this request: take, use, give. In prefork it is always the same one. */
struct db *req_db(struct request *req);
void req_db_done(struct request *req, struct db *db);

/* One more response header. Values with control characters are dropped; a default of the same name gives way. */
void reply_header(struct request *req, const char *name, const char *value);
/* Sends what was written through req->w / req->out as application/json. */
reply reply_json(struct request *req, int status);
/* Sends a body of another type. */
reply reply_bytes(struct request *req, int status, const char *content_type, const void *p, size_t n);
/* The one envelope of contract 01 §3.2 in the caller's language. What was written to out is dropped. */
reply reply_fault(struct request *req, const struct fault *f);
/* Short forms. param and args may be NULL. */
reply reply_error(struct request *req, enum fault_kind kind, enum message_id message, const char *param,
                  const char *arg0, const char *arg1);
/* A failed store call: busy -> 503, full -> 503, else 500; logged (event 3101). */
reply reply_db(struct request *req, enum db_rc rc);
/* Writes the envelope object of a fault (with its "error" key) to w; used by SSE error frames too. */
void fault_write(struct jsonw *w, const struct fault *f, enum locale locale);

#endif

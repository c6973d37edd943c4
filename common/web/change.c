#include "web/change.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "store/changes.h"
#include "store/runs.h"
#include "web/reply.h"

enum { KEY_MAX = 255, KEPT_MS = 24 * 3600 * 1000, KEPT_TEXT_MAX = 16 << 20 };

bool change_refuse(struct change *c, enum fault_kind kind, enum message_id message, const char *param,
                   const char *arg0, const char *arg1)
{
    return fault_set(&c->fault, kind, message, param, arg0, arg1);
}

/* ---- Idempotency-Key (contract 01 §12.18) ---- */

static bool key_valid(const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < n; i++)
        if (key[i] < 0x21 || key[i] > 0x7e)
            return false;
    return n >= 1 && n <= KEY_MAX;
}

static bool key_take(struct change *c)
{
    struct request *req = c->req;
    const char *key = req->method == METHOD_POST ? req_header(req, "Idempotency-Key") : NULL;
    if (key == NULL)
        return true;
    if (!key_valid(key))
        return change_refuse(c, FAULT_INVALID, MSG_invalid_idempotency_key, "Idempotency-Key", NULL, NULL);
    char hash[SHA256_HEX_SIZE];
    sha256_hex(req->raw_body, req->raw_len, hash);
    c->body_hash = arena_strdup(req->arena, hash);
    c->scope = arena_printf(req->arena, "%s|%s|%s|POST %s", req->who.tenant_id,
                            req->who.key_id != NULL ? req->who.key_id : "gateway",
                            req->who.user != NULL ? req->who.user : "", req->path_text);
    c->key = arena_printf(req->arena, "key:%s", key);
    return true;
}

/* Looks for the kept answer; it goes to c->replay. false with a fault when the key was used otherwise. */
static enum db_rc kept_find(struct change *c, struct db *db)
{
    struct kept_answer row;
    enum db_rc rc = answer_find(db, c->req->arena, c->scope, c->key, &row);
    if (rc != DB_ROW)
        return rc;
    int64_t at = 0;
    if (!time_parse(row.created_at, &at) || clock_ms() - at > KEPT_MS)
        return DB_OK;
    if (strcmp(row.body_hash, c->body_hash) != 0)
        change_refuse(c, FAULT_EXISTS, MSG_idempotency_conflict, "Idempotency-Key", NULL, NULL);
    else if (row.answer == NULL)
        change_refuse(c, FAULT_UNAVAILABLE, MSG_idempotency_in_progress, NULL, NULL, NULL);
    else {
        c->replay = row.answer;
        c->replay_status = row.status;
    }
    return DB_ROW;
}

static enum db_rc kept_put(struct change *c, struct db *db, int status, const char *answer)
{
    char now[TIME_TEXT_SIZE];
    time_format(clock_ms(), now);
    struct kept_answer row = {
        .scope = c->scope,
        .key = c->key,
        .body_hash = c->body_hash,
        .state = status < 400 ? "done" : "failed",
        .status = status,
        .answer = answer,
        .created_at = now,
    };
    enum db_rc rc = answer_drop(db, c->scope, c->key, NULL); /* one that is too old */
    return rc == DB_OK ? answer_claim(db, &row) : rc;
}

/* ---- the transaction ---- */

static enum db_rc audit(const struct change *c, struct db *db)
{
    const struct principal *who = &c->req->who;
    bool as_key = who->user == NULL && who->key_id != NULL;
    struct activity a = {
        .tenant_id = who->tenant_id,
        .actor_type = as_key ? "api_key" : "user",
        .actor_id = as_key ? who->key_id : who->user != NULL ? who->user : "system",
        .action = c->action,
        .entity_type = c->entity,
        .entity_id = c->entity_id,
        .details = c->details,
        .ip_address = c->req->client_ip,
    };
    return activity_add(db, &a);
}

static const char *answer_text(struct change *c, bool kept)
{
    struct buf *b = buf_new(c->req->arena, KEPT_TEXT_MAX);
    struct jsonw w;
    jw_init(&w, b);
    c->render(c, &w, kept);
    return b->failed ? NULL : buf_str(b);
}

static int answer_status(const struct change *c)
{
    return c->status != 0 ? c->status : 200;
}

static enum db_rc accompany(struct change *c, struct db *db)
{
    enum db_rc rc = DB_OK;
    if (c->action != NULL && c->entity != NULL)
        rc = audit(c, db);
    if (rc == DB_OK && c->action != NULL && c->generation != NULL)
        rc = generation_raise(db, c->generation);
    if (rc != DB_OK || c->key == NULL)
        return rc;
    const char *text = answer_text(c, true);
    return text != NULL ? kept_put(c, db, answer_status(c), text) : DB_ERROR;
}

static enum db_rc job(struct db *db, void *arg)
{
    struct change *c = arg;
    c->fault = (struct fault){.kind = FAULT_NONE};
    c->action = c->details = c->replay = NULL;
    enum db_rc rc = c->key != NULL ? kept_find(c, db) : DB_OK;
    if (rc == DB_ROW)
        return DB_OK;
    if (rc != DB_OK)
        return rc;
    c->db = db;
    rc = c->apply(c);
    if (c->fault.kind == FAULT_NONE && rc == DB_OK)
        rc = accompany(c, db);
    c->db = NULL;
    return c->fault.kind != FAULT_NONE ? DB_CONSTRAINT : rc;
}

/* ---- answers ---- */

struct keeping {
    struct change *change;
    const char *text;
    int status;
};

/* Unless somebody came with the same key meanwhile: his answer stays, and is everybody's. */
static enum db_rc keep_fault_job(struct db *db, void *arg)
{
    struct keeping *k = arg;
    enum db_rc rc = kept_find(k->change, db);
    if (rc != DB_OK)
        return rc == DB_ROW ? DB_OK : rc;
    return kept_put(k->change, db, k->status, k->text);
}

/* An answer of the request itself (400, 404, 409) is kept; 401, 403, 412, 429 and 5xx are not. */
static void fault_keep(struct change *c)
{
    struct keeping k = {.change = c, .status = fault_info(c->fault.kind)->status};
    bool keep = c->key != NULL && (k.status == 400 || k.status == 404 || k.status == 409) &&
                c->fault.message != MSG_idempotency_conflict;
    if (!keep)
        return;
    struct buf *b = buf_new(c->req->arena, KEPT_TEXT_MAX);
    struct jsonw w;
    jw_init(&w, b);
    fault_write(&w, &c->fault, c->req->locale);
    k.text = b->failed ? NULL : buf_str(b);
    struct db *db = req_db(c->req);
    if (k.text != NULL && db != NULL)
        writer_run(c->req->gw->writer, db, keep_fault_job, &k);
    req_db_done(c->req, db);
}

static reply replay(struct change *c)
{
    return reply_bytes(c->req, (int)c->replay_status, "application/json", c->replay, strlen(c->replay));
}

static reply refuse(struct change *c)
{
    fault_keep(c);
    return c->replay != NULL ? replay(c) : reply_fault(c->req, &c->fault);
}

/* Before anything is judged: has this key been answered? false when the request is over. */
static bool first_time(struct change *c, reply *answer)
{
    if (c->key == NULL)
        return true;
    struct db *db = req_db(c->req);
    enum db_rc rc = db != NULL ? kept_find(c, db) : DB_BUSY;
    req_db_done(c->req, db);
    if (rc == DB_OK)
        return true;
    if (rc != DB_ROW)
        *answer = reply_db(c->req, rc);
    else
        *answer = c->fault.kind != FAULT_NONE ? reply_fault(c->req, &c->fault) : replay(c);
    return false;
}

reply change_run(struct request *req, struct change *c)
{
    reply answer;
    c->req = req;
    c->fault = (struct fault){.kind = FAULT_NONE};
    if (!req_body_read(req, &c->fault) || !key_take(c))
        return reply_fault(req, &c->fault);
    if (!first_time(c, &answer))
        return answer;
    if (c->prepare != NULL && !c->prepare(c))
        return refuse(c);
    struct db *db = req->gw->writer == NULL ? req_db(req) : NULL;
    enum db_rc rc = writer_run(req->gw->writer, db, job, c);
    if (req->gw->writer == NULL)
        req_db_done(req, db);
    if (c->fault.kind != FAULT_NONE)
        return refuse(c);
    if (rc != DB_OK)
        return reply_db(req, rc);
    if (c->replay != NULL)
        return replay(c);
    c->render(c, &req->w, false);
    return reply_json(req, answer_status(c));
}

/* One run for one request, however often it is sent (contract 03 §1.10, 01 §12.18).
 *
 * Two kinds: an explicit Idempotency-Key is claimed in the database before the
 * run and kept 24 hours; a request of an official SDK (X-Stainless-Retry-Count)
 * is kept under the hash of its body, so that the SDK's own retry of a lost
 * connection finds the answer for 15 minutes. A run in flight is found in memory.
 */
#include "base/clock.h"
#include "base/crypto.h"
#include "chat/chat.h"
#include "store/runs.h"

enum { SDK_TTL_MS = 15 * 60 * 1000, KEY_TTL_MS = 24 * 3600 * 1000, CLAIM_YOUNG_MS = 60000, KEY_MAX = 255,
       BUSY_RETRY_MS = 5000 };

static bool key_valid(const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < n; i++)
        if (key[i] < 0x21 || key[i] > 0x7E)
            return false;
    return n >= 1 && n <= KEY_MAX;
}

static bool busy(struct fault *f)
{
    fault_set(f, FAULT_UNAVAILABLE, MSG_idempotency_in_progress, NULL, NULL, NULL);
    f->retry_after_ms = BUSY_RETRY_MS;
    return false;
}

static int64_t age_ms(const struct kept_answer *row)
{
    int64_t at = 0;
    return time_parse(row->created_at, &at) ? clock_ms() - at : INT64_MAX;
}

/* A claim whose run neither lives in another process nor is in flight here will never be answered. */
static bool in_progress(struct request *req, const struct kept_answer *row)
{
    struct engine *e = chat_of(req)->engine;
    char phase[32];
    if (strcmp(row->state, "running") != 0)
        return false;
    if (row->worker != locks_worker(e->locks))
        return locks_worker_alive(e->locks, row->worker);
    engine_phase_of(e, req->who.tenant_id, row->run_id, phase, sizeof phase);
    return *phase != '\0' || age_ms(row) < CLAIM_YOUNG_MS; /* a young claim's run is about to be admitted */
}

static enum kept_rc stored(struct request *req, struct kept *k, const struct kept_answer *row, const char **answer,
                           int *status, struct fault *f)
{
    if (strcmp(row->body_hash, k->body_hash) != 0) {
        fault_set(f, FAULT_EXISTS, MSG_idempotency_conflict, "Idempotency-Key", NULL, NULL);
        return KEPT_FAULT;
    }
    if (in_progress(req, row)) {
        busy(f);
        return KEPT_FAULT;
    }
    if (strcmp(row->state, "running") == 0 || strcmp(row->state, "gone") == 0) {
        kept_drop(req, k, row->run_id);
        return KEPT_NEW;
    }
    k->run_id = row->run_id;
    *answer = row->answer;
    *status = (int)row->status;
    return KEPT_REPLAY;
}

static bool expired(const struct kept *k, const struct kept_answer *row)
{
    return age_ms(row) > (k->claim ? KEY_TTL_MS : SDK_TTL_MS);
}

/* What makes two requests the same: the body, and the headers that choose agent and session. */
static const char *request_hash(struct request *req)
{
    static const char *const choosing[] = {"X-GoClaw-Session-Key", "X-GoClaw-Agent-Id", "X-GoClaw-Agent"};
    char body[SHA256_HEX_SIZE], *hash = arena_alloc(req->arena, SHA256_HEX_SIZE);
    struct buf *text = buf_new(req->arena, 65536);
    sha256_hex(req->raw_body, req->raw_len, body);
    buf_adds(text, body);
    for (size_t i = 0; i < sizeof choosing / sizeof *choosing; i++) {
        const char *v = req_header(req, choosing[i]);
        buf_addf(text, "\n%s", v ? v : "");
    }
    sha256_hex(buf_str(text), text->len, hash);
    return hash;
}

static void describe(struct request *req, struct kept *k, const char *idempotency_key)
{
    k->body_hash = request_hash(req);
    k->scope = arena_printf(req->arena, "%s|%s|%s|POST %s", req->who.tenant_id,
                            req->who.key_id ? req->who.key_id : "gateway", req->who.user ? req->who.user : "",
                            req->path_text);
    k->key = idempotency_key ? arena_printf(req->arena, "key:%s", idempotency_key)
                             : arena_printf(req->arena, "sdk:%s", k->body_hash);
}

enum kept_rc kept_lookup(struct request *req, struct kept *k, const char **answer, int *status, struct fault *f)
{
    const char *key = req_header(req, "Idempotency-Key");
    const char *count = req_header(req, "X-Stainless-Retry-Count");
    *k = (struct kept){.claim = key != NULL, .repeated = key || (count && strcmp(count, "0") != 0)};
    if (!key && !count)
        return KEPT_NEW;
    if (key && !key_valid(key)) {
        fault_set(f, FAULT_INVALID, MSG_invalid_idempotency_key, "Idempotency-Key", NULL, NULL);
        return KEPT_FAULT;
    }
    describe(req, k, key);
    if (!k->repeated)
        return KEPT_NEW;
    if (!k->claim && engine_has_body(chat_of(req)->engine, k->scope, k->body_hash)) {
        busy(f);
        return KEPT_FAULT;
    }
    struct kept_answer row;
    struct db *db = req_db(req);
    enum db_rc rc = answer_find(db, req->arena, k->scope, k->key, &row);
    req_db_done(req, db);
    if (rc == DB_ROW && expired(k, &row)) {
        kept_drop(req, k, row.run_id);
        rc = DB_OK;
    }
    if (rc == DB_OK)
        return KEPT_NEW;
    if (rc != DB_ROW) {
        fault_set(f, FAULT_UNAVAILABLE, MSG_unavailable, NULL, NULL, NULL);
        return KEPT_FAULT;
    }
    return stored(req, k, &row, answer, status, f);
}

static enum db_rc claim_job(struct db *db, void *arg)
{
    return answer_claim(db, arg);
}

bool kept_claim(struct request *req, const struct kept *k, const char *run_id, struct fault *f)
{
    if (!k->claim)
        return true;
    char now[TIME_TEXT_SIZE];
    time_format(clock_ms(), now);
    struct engine *e = chat_of(req)->engine;
    struct kept_answer row = {.scope = k->scope,
                              .key = k->key,
                              .body_hash = k->body_hash,
                              .run_id = run_id,
                              .state = "running",
                              .created_at = now,
                              .worker = locks_worker(e->locks)};
    enum db_rc rc = writer_run(e->writer, e->db, claim_job, &row);
    if (rc == DB_CONSTRAINT)
        return busy(f);
    return rc == DB_OK ? true : fault_set(f, FAULT_UNAVAILABLE, MSG_unavailable, NULL, NULL, NULL);
}

static enum db_rc drop_job(struct db *db, void *arg)
{
    const struct kept_answer *row = arg;
    return answer_drop(db, row->scope, row->key, row->run_id);
}

void kept_drop(struct request *req, const struct kept *k, const char *run_id)
{
    struct engine *e = chat_of(req)->engine;
    struct kept_answer row = {.scope = k->scope, .key = k->key, .run_id = run_id};
    if (k->key)
        writer_run(e->writer, e->db, drop_job, &row);
}

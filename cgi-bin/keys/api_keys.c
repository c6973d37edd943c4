/* API keys (contract 01 §1.4, §7). Nobody makes a key that may do more than he may himself: only the owner role
 * chooses a tenant or none, and whoever is bound to a user makes keys of that user. */
#include "base/clock.h"
#include "base/log.h"
#include "keys/keys.h"
#include "store/keys.h"
#include "store/tenants.h"
#include "web/reply.h"

enum { LIFETIME_MAX = 10 * 365 * 24 * 3600 }; /* seconds */

#define SCOPES "operator.admin|operator.write|operator.approvals|operator.pairing|operator.read"

/* ---- fields ---- */

/* The order stays, what is named twice stands once. */
static bool scopes_check(struct edit *e, const struct field *f, struct db_value *v, json_object *in)
{
    struct buf *text = buf_new(e->req->arena, 4096);
    struct jsonw w;
    (void)f;
    jw_init(&w, text);
    jw_arr(&w);
    for (size_t i = 0; i < json_object_array_length(in); i++) {
        const char *scope = json_object_get_string(json_object_array_get_idx(in, i));
        size_t k = 0;
        while (strcmp(json_object_get_string(json_object_array_get_idx(in, k)), scope) != 0)
            k++;
        if (k == i)
            jw_str(&w, scope);
    }
    jw_arr_end(&w);
    v->text = buf_str(text);
    return true;
}

static bool tenant_check(struct edit *e, const struct field *f, struct db_value *v, json_object *in)
{
    (void)in;
    return uuid_parse(v->text, NULL) || tenant_slug_valid(v->text) ||
           edit_refuse(e, FAULT_INVALID, MSG_invalid_id, f->name, "tenant", NULL);
}

static const struct field fields[] = {
    FIELD_ROW_ID,
    {.name = "tenant_id", .kind = FIELD_TEXT, .flags = FIELD_NULLABLE, .check = tenant_check,
     .doc = "The tenant it is bound to; null is system-level. The owner may name another by id or slug"},
    {.name = "name", .kind = FIELD_TEXT, .flags = FIELD_REQUIRED | FIELD_TRIM, .max = 100, .doc = "For people"},
    {.name = "prefix", .kind = FIELD_TEXT, .flags = FIELD_READ_ONLY, .doc = "First 8 digits after goclaw_"},
    {.name = "key_hash", .kind = FIELD_TEXT, .flags = FIELD_READ_ONLY | FIELD_HIDDEN, .doc = "SHA-256 of the key"},
    {.name = "scopes", .kind = FIELD_TEXTS, .flags = FIELD_REQUIRED, .values = SCOPES, .check = scopes_check,
     .doc = "What the key may do; the widest scope counts"},
    {.name = "owner_id", .kind = FIELD_USER, .flags = FIELD_NULLABLE | FIELD_NO_NULL | FIELD_OMIT,
     .doc = "The user every call with this key acts for"},
    {.name = "expires_at", .kind = FIELD_TIME, .flags = FIELD_READ_ONLY | FIELD_NULLABLE,
     .doc = "When it stops working; made from expires_in"},
    {.name = "last_used_at", .kind = FIELD_TIME, .flags = FIELD_READ_ONLY | FIELD_NULLABLE,
     .doc = "Last use, noted once a minute"},
    {.name = "revoked", .kind = FIELD_BOOL, .flags = FIELD_READ_ONLY, .doc = "Whether it was taken back"},
    {.name = "created_by", .kind = FIELD_TEXT, .flags = FIELD_CALLER, .doc = "The user who made it"},
    FIELD_ROW_CREATED,
    FIELD_ROW_UPDATED,
};

static const struct field inputs[] = {
    {.name = "expires_in", .kind = FIELD_INTEGER, .flags = FIELD_CREATE_ONLY, .max = LIFETIME_MAX,
     .doc = "Seconds until it stops working; 0 is never"},
};

static const struct field once[] = {
    {.name = "key", .kind = FIELD_TEXT, .doc = "The key itself: goclaw_ and 32 digits"},
};

/* ---- whose keys ---- */

/* The tenant whose keys the caller manages; NULL: all keys, system-level ones included. */
static const char *managed_tenant(const struct request *req)
{
    bool all = req->who.role == ROLE_OWNER && req_header(req, "X-GoClaw-Tenant-Id") == NULL;
    return all ? NULL : req->who.tenant_id;
}

static bool keys_open(struct edit *e)
{
    e->view.user = managed_tenant(e->req); /* what visible_sql judges */
    return true;
}

/* ---- a new key ---- */

/* What the caller may not say is dropped before it is read. */
static bool keys_input(struct edit *e)
{
    const struct principal *who = &e->req->who;
    if (who->role != ROLE_OWNER)
        json_object_object_del(e->body, "tenant_id");
    if (who->user_bound)
        json_object_object_add(e->body, "owner_id", json_object_new_string(who->user));
    return true;
}

static bool tenant_choose(struct edit *e)
{
    const char *named = edit_text(e, "tenant_id");
    struct tenant t = {.id = managed_tenant(e->req)};
    enum db_rc rc = *named != '\0' ? tenant_find(e->db, e->req->arena, named, &t) : DB_ROW;
    if (rc == DB_OK)
        return edit_refuse(e, FAULT_NOT_FOUND, MSG_tenant_not_found, "tenant_id", named, NULL);
    if (rc != DB_ROW)
        return edit_failed(e, rc);
    edit_set_text(e, "tenant_id", t.id);
    return true;
}

static void lifetime_set(struct edit *e)
{
    int64_t seconds = json_int(e->body, "expires_in", 0);
    if (seconds == 0)
        return;
    char *at = arena_alloc(e->req->arena, TIME_TEXT_SIZE);
    time_format(clock_ms() + seconds * 1000, at);
    edit_set_text(e, "expires_at", at);
}

static bool keys_before_write(struct edit *e)
{
    if (!tenant_choose(e))
        return false;
    lifetime_set(e);
    struct api_key_text *key = ARENA_NEW(e->req->arena, struct api_key_text);
    key_make(key);
    edit_set_text(e, "prefix", key->prefix);
    edit_set_text(e, "key_hash", key->hash);
    e->state = key;
    return true;
}

static void keys_write_once(struct jsonw *w, struct edit *e)
{
    const struct api_key_text *key = e->state;
    jw_kstr(w, "key", key->text);
}

const struct resource api_keys = {
    .name = "ApiKey",
    .noun = "API key",
    .audit = "api_key",
    .table = "api_keys",
    .doc = "A credential with a role of its own; only its hash is kept",
    .made = RESOURCE_MADE,
    .fields = fields,
    .field_count = sizeof fields / sizeof *fields,
    .inputs = inputs,
    .input_count = sizeof inputs / sizeof *inputs,
    .once = once,
    .once_count = sizeof once / sizeof *once,
    .order = "created_at DESC",
    .no_tenant = true,
    .visible_sql = "t.tenant_id = ?2",
    .invisible_is_missing = true,
    .open = keys_open,
    .input = keys_input,
    .before_write = keys_before_write,
    .write_once = keys_write_once,
};

/* ---- taking one back ---- */

struct revocation {
    struct change change;
    char id[UUID_SIZE];
};

/* A key of somebody else is hidden from the caller, not from the log. */
static void revoke_forbidden(struct revocation *r, struct request *req, struct db *db)
{
    bool revoked;
    if (managed_tenant(req) != NULL && key_look(db, r->id, NULL, &revoked) == DB_ROW)
        log_event(LOG_WARN, 3221, "security.api_key_revoke_forbidden", LOG_S, "request_id", req->id, LOG_S, "tenant",
                  req->who.tenant_id, LOG_S, "key", r->id, LOG_END);
}

/* DB_ROW: the caller may revoke it. Otherwise the fault is set. */
static enum db_rc revocable(struct revocation *r, struct request *req, struct db *db, bool *revoked)
{
    enum db_rc rc = db != NULL ? key_look(db, r->id, managed_tenant(req), revoked) : DB_BUSY;
    if (rc == DB_OK) {
        revoke_forbidden(r, req, db);
        change_refuse(&r->change, FAULT_NOT_FOUND, MSG_not_found, "id", api_keys.noun, req->params[0]);
    } else if (rc != DB_ROW) {
        fault_db(req, rc, &r->change.fault);
    }
    return rc;
}

static enum db_rc revoke_apply(struct change *c)
{
    struct revocation *r = (struct revocation *)c; /* its first member */
    bool revoked = true;
    if (revocable(r, c->req, c->db, &revoked) != DB_ROW || revoked)
        return DB_OK;
    c->action = "api_key.revoked";
    c->entity_id = r->id;
    return key_revoke(c->db, r->id);
}

static void revoke_render(struct change *c, struct jsonw *w, bool kept)
{
    (void)c;
    (void)kept;
    jw_obj(w);
    jw_kstr(w, "status", "revoked");
    jw_obj_end(w);
}

reply key_revoke_handler(struct request *req)
{
    struct revocation r = {.change = {.apply = revoke_apply, .render = revoke_render, .entity = api_keys.audit}};
    bool revoked;
    if (!uuid_parse(req->params[0], r.id))
        return reply_error(req, FAULT_INVALID, MSG_invalid_id, "id", api_keys.noun, NULL);
    struct db *db = req_db(req);
    enum db_rc rc = revocable(&r, req, db, &revoked);
    req_db_done(req, db);
    return rc == DB_ROW ? change_run(req, &r.change) : reply_fault(req, &r.change.fault);
}

/* Credential, tenant, role, user header. */
#include "web/auth.h"

#include <stdatomic.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"
#include "store/keys.h"
#include "store/memo.h"
#include "web/reply.h"

enum { KEY_LEN = API_KEY_SIZE - 1, KEY_USE_EVERY_MS = 60000, USER_ID_MAX = 255 };

static const char user_header[] = "X-GoClaw-User-Id";

static bool refuse(struct fault *f)
{
    return fault_set(f, FAULT_UNAUTHENTICATED, MSG_unauthorized, NULL, NULL, NULL);
}

/* ---- credential (contract 01 §1) ---- */

/* Contract 01 §1.1: any case of "Bearer", blanks around the token do not count. NULL without a token. */
static const char *bearer_token(struct request *req)
{
    const char *value = req_header(req, "Authorization");
    if (value == NULL || strncasecmp(value, "Bearer", 6) != 0 || (value[6] != ' ' && value[6] != '\t'))
        return NULL;
    value += 6;
    value += strspn(value, " \t");
    size_t n = strlen(value);
    while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
        n--;
    return n > 0 ? arena_strndup(req->arena, value, n) : NULL;
}

/* A user header was sent, be it empty: that must not pass for "no user". */
static bool user_header_sent(const struct request *req)
{
    return params_get(&req->env, "HTTP_X_GOCLAW_USER_ID") != NULL;
}

static void principal_gateway_token(struct request *req)
{
    struct principal *who = &req->who;
    who->credential = CRED_GATEWAY_TOKEN;
    who->user = req_header(req, user_header);
    bool owner = !user_header_sent(req) || (who->user != NULL && config_is_owner_id(req->gw->config, who->user));
    who->role = owner ? ROLE_OWNER : ROLE_ADMIN;
}

static void principal_dev_mode(struct request *req)
{
    req->who.credential = CRED_DEV_MODE;
    req->who.role = ROLE_ADMIN;
    if (!user_header_sent(req))
        return;
    req->who.user = "system";
    log_event(LOG_INFO, 3024, "security.user_id_header_ignored_no_auth", LOG_S, "request_id", req->id, LOG_S, "user",
              req_header(req, user_header), LOG_END);
}

/* The caller's address, and the name under which he calls. A name of somebody else's can lead to a local address, and
 * the web server in front of a plain CGI installation listens where it likes. */
static bool is_local(const struct request *req)
{
    const char *host = req_header(req, "Host");
    if (host == NULL)
        return config_is_loopback(req->client_ip);
    size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    return config_is_loopback(req->client_ip) && config_is_loopback(arena_strndup(req->arena, host, strnlen(host, n)));
}

/* Contract 01 §1.5: for those on this machine. Any page can make a browser there send requests, which are not its
 * user's. */
static bool dev_mode(const struct request *req)
{
    const struct config *c = req->gw->config;
    bool meant = c->allow_insecure_no_auth || (!config_token_missing(c) && is_local(req));
    return c->token[0] == '\0' && meant && !cors_foreign(req);
}

static bool key_shaped(const char *token)
{
    static const char prefix[] = "goclaw_";
    return strlen(token) == KEY_LEN && strncmp(token, prefix, sizeof prefix - 1) == 0 &&
           strspn(token + sizeof prefix - 1, "0123456789abcdef") == KEY_LEN - (sizeof prefix - 1);
}

static enum role scope_role(const char *scope)
{
    if (strcmp(scope, "operator.admin") == 0)
        return ROLE_ADMIN;
    if (strcmp(scope, "operator.write") == 0 || strcmp(scope, "operator.approvals") == 0 ||
        strcmp(scope, "operator.pairing") == 0)
        return ROLE_OPERATOR;
    return ROLE_VIEWER;
}

/* The highest role of a key's scopes; what cannot be read is a viewer. */
static enum role scopes_role(struct arena *a, const char *scopes)
{
    enum role best = ROLE_VIEWER;
    struct json_fault jf;
    json_object *list = scopes != NULL ? json_parse(a, scopes, strlen(scopes), 0, &jf) : NULL;
    if (list == NULL || !json_object_is_type(list, json_type_array))
        return best;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *item = json_object_array_get_idx(list, i);
        if (!json_object_is_type(item, json_type_string))
            continue;
        enum role role = scope_role(json_object_get_string(item));
        if (role > best)
            best = role;
    }
    return best;
}

/* ---- API keys and tenants, kept while they are fresh ---- */

struct known_key {
    struct api_key key;
    enum role role;
    atomic_bool noted; /* whoever used this copy first notes the use */
};

/* What is looked for: kind and name are the memo's key. */
struct look_up {
    struct request *req;
    struct db *db;
    const char *name;
};

static enum db_rc look_up(struct look_up *l, char kind, memo_build *build, void **found)
{
    size_t n = strlen(l->name);
    char *key = arena_alloc(l->req->arena, n + 2);
    key[0] = kind;
    memcpy(key + 1, l->name, n);
    return memo_get(l->req->gw->memo, l->req->arena, key, n + 1, build, l, found);
}

static enum db_rc key_build(void *ctx, struct arena *a, void **value)
{
    struct look_up *l = ctx;
    struct known_key *k = ARENA_NEW(a, struct known_key);
    enum db_rc rc = key_find(l->db, a, l->name, &k->key);
    if (rc == DB_ROW)
        k->role = scopes_role(l->req->arena, k->key.scopes);
    *value = k;
    return rc;
}

static enum db_rc tenant_build(void *ctx, struct arena *a, void **value)
{
    struct look_up *l = ctx;
    struct tenant *t = ARENA_NEW(a, struct tenant);
    *value = t;
    return tenant_find(l->db, a, l->name, t);
}

/* Expiry needs no change of configuration: it is looked at each time. */
static enum db_rc key_known(struct request *req, struct db *db, const char *hash, struct known_key **out)
{
    struct look_up l = {req, db, hash};
    void *found = NULL;
    enum db_rc rc = look_up(&l, 'k', key_build, &found);
    *out = found;
    return rc == DB_ROW && key_has_expired(&(*out)->key) ? DB_OK : rc;
}

static enum db_rc tenant_known(struct request *req, struct db *db, const char *id_or_slug, const struct tenant **out)
{
    struct look_up l = {req, db, id_or_slug};
    void *found = NULL;
    enum db_rc rc = look_up(&l, 't', tenant_build, &found);
    *out = found;
    return rc;
}

/* ---- which credential ---- */

static bool key_use_due(const struct api_key *key)
{
    int64_t last;
    return key->last_used_at == NULL || !time_parse(key->last_used_at, &last) || clock_ms() - last >= KEY_USE_EVERY_MS;
}

static void principal_api_key(struct request *req, struct known_key *known)
{
    struct principal *who = &req->who;
    const struct api_key *key = &known->key;
    const char *sent = req_header(req, user_header);
    who->credential = CRED_API_KEY;
    who->key_id = key->id;
    who->system_level_key = key->tenant_id == NULL;
    who->role = known->role;
    who->user_bound = key->owner_id != NULL && key->owner_id[0] != '\0';
    who->user = who->user_bound ? key->owner_id : sent;
    req->note_key_use = key_use_due(key) && !atomic_exchange(&known->noted, true);
    if (who->user_bound && sent != NULL && strcmp(sent, key->owner_id) != 0)
        log_event(LOG_WARN, 3023, "security.api_key_owner_override", LOG_S, "request_id", req->id, LOG_S, "key",
                  key->id, LOG_S, "sent", sent, LOG_S, "user", key->owner_id, LOG_END);
}

/* A key is no gateway token unless the configured one looks like a key: then it is not compared. */
static bool is_gateway_token(const struct config *c, const char *token, bool shaped)
{
    return token != NULL && c->token[0] != '\0' && (!shaped || key_shaped(c->token)) && secret_equal(token, c->token);
}

/* Fills req->who, and *key when it was an API key. */
static bool credential_find(struct request *req, struct db *db, const struct api_key **key, struct fault *f)
{
    const struct config *c = req->gw->config;
    const char *token = bearer_token(req);
    bool shaped = token != NULL && key_shaped(token);
    if (is_gateway_token(c, token, shaped)) {
        principal_gateway_token(req);
        return true;
    }
    if (shaped) {
        char hash[SHA256_HEX_SIZE];
        struct known_key *known;
        sha256_hex(token, strlen(token), hash);
        enum db_rc rc = key_known(req, db, hash, &known);
        if (rc == DB_ROW) {
            *key = &known->key;
            principal_api_key(req, known);
            return true;
        }
        if (rc != DB_OK) {
            fault_db(req, rc, f);
            return false;
        }
    }
    /* A key that is revoked or unknown never turns into the admin of dev mode. */
    if (shaped || !dev_mode(req))
        return refuse(f);
    principal_dev_mode(req);
    return true;
}

/* ---- tenant (contract 01 §5.3) ---- */

static bool tenant_denied(struct fault *f)
{
    return fault_set(f, FAULT_FORBIDDEN, MSG_tenant_access_denied, NULL, NULL, NULL);
}

static void tenant_set(struct request *req, const char *id, const char *slug)
{
    req->who.tenant_id = id;
    req->who.tenant_slug = slug;
}

/* An owner may look into a suspended tenant; nobody else may do anything there. */
static bool tenant_enter(struct request *req, const struct tenant *t, struct fault *f)
{
    bool active = strcmp(t->status, "active") == 0;
    if (!active && !(req->who.role == ROLE_OWNER && req->method == METHOD_GET))
        return tenant_denied(f);
    tenant_set(req, t->id, t->slug);
    return true;
}

static bool tenant_of_key(struct request *req, struct db *db, const struct api_key *key, struct fault *f)
{
    const struct tenant *t;
    enum db_rc rc = tenant_known(req, db, key->tenant_id, &t);
    if (rc == DB_OK)
        return tenant_denied(f);
    if (rc != DB_ROW) {
        fault_db(req, rc, f);
        return false;
    }
    const char *named = req_header(req, "X-GoClaw-Tenant-Id");
    if (named != NULL && strcasecmp(named, t->id) != 0 && strcmp(named, t->slug) != 0)
        log_event(LOG_WARN, 3026, "security.tenant_scope_violation", LOG_S, "request_id", req->id, LOG_S, "key",
                  key->id, LOG_S, "tenant", t->id, LOG_S, "named", named, LOG_END);
    return tenant_enter(req, t, f);
}

/* A gateway token that acts for a user who is no owner: master, or where he is a member. The answer does not
 * tell whether the tenant exists. */
static bool tenant_by_membership(struct request *req, struct db *db, enum db_rc found, const struct tenant *t,
                                 struct fault *f)
{
    bool master = found == DB_ROW && strcmp(t->id, MASTER_TENANT_ID) == 0;
    if (found == DB_ROW && !master)
        found = req->who.user != NULL ? tenant_member(db, t->id, req->who.user) : DB_OK;
    if (found == DB_ROW)
        return tenant_enter(req, t, f);
    if (found != DB_OK) {
        fault_db(req, found, f);
        return false;
    }
    log_event(LOG_WARN, 3025, "security.http_tenant_no_membership", LOG_S, "request_id", req->id, LOG_S, "user",
              req->who.user, LOG_S, "named", req_header(req, "X-GoClaw-Tenant-Id"), LOG_END);
    return tenant_denied(f);
}

static bool tenant_resolve(struct request *req, struct db *db, const struct api_key *key, struct fault *f)
{
    const struct principal *who = &req->who;
    if (who->credential == CRED_API_KEY && !who->system_level_key)
        return tenant_of_key(req, db, key, f);
    const char *named = (req->route->flags & ROUTE_ANY_TENANT) == 0 ? req_header(req, "X-GoClaw-Tenant-Id") : NULL;
    if (named == NULL || who->credential == CRED_DEV_MODE) {
        tenant_set(req, MASTER_TENANT_ID, "master");
        return true;
    }
    const struct tenant *t;
    enum db_rc rc = tenant_known(req, db, named, &t);
    if (who->credential == CRED_GATEWAY_TOKEN && who->role != ROLE_OWNER)
        return tenant_by_membership(req, db, rc, t, f);
    if (rc == DB_ROW)
        return tenant_enter(req, t, f);
    if (rc == DB_OK)
        return fault_set(f, FAULT_NOT_FOUND, MSG_tenant_not_found, "X-GoClaw-Tenant-Id", named, NULL);
    fault_db(req, rc, f);
    return false;
}

bool auth_principal(struct request *req, struct db *db, struct fault *f)
{
    const struct api_key *key = NULL;
    return credential_find(req, db, &key, f) && tenant_resolve(req, db, key, f);
}

/* ---- role and user header (contract 01 §2.3, §6) ---- */

/* Where the header decides who the user is, it must be well-formed. */
static bool user_header_check(struct request *req, struct fault *f)
{
    const struct principal *who = &req->who;
    if (!user_header_sent(req) || who->user_bound || who->credential == CRED_DEV_MODE)
        return true;
    size_t n = who->user != NULL ? strlen(who->user) : 0;
    if (n > 0 && utf8_user_id_valid(who->user, n))
        return true;
    req->who.user = NULL;
    if (n > USER_ID_MAX)
        log_event(LOG_WARN, 3021, "security.user_id_too_long", LOG_S, "request_id", req->id, LOG_I, "bytes",
                  (int64_t)n, LOG_END);
    else
        log_event(LOG_WARN, 3022, "security.user_id_invalid", LOG_S, "request_id", req->id, LOG_END);
    return fault_set(f, FAULT_INVALID, MSG_invalid_user_id, user_header, NULL, NULL);
}

bool auth_authorize(struct request *req, const struct route *route, struct fault *f)
{
    const struct principal *who = &req->who;
    if (who->role < route->role)
        return fault_set(f, FAULT_FORBIDDEN, MSG_permission_denied, NULL, req->path_text, NULL);
    if (!user_header_check(req, f))
        return false;
    bool needed = route->user == USER_REQUIRED || (route->user == USER_ADMIN_MAY_OMIT && who->role < ROLE_ADMIN);
    if (needed && who->user == NULL)
        return fault_set(f, FAULT_INVALID, MSG_user_id_header, user_header, NULL, NULL);
    return true;
}

/* ---- last use ---- */

static enum db_rc key_touch_job(struct db *db, void *key_id)
{
    return key_touch(db, key_id);
}

void auth_note_use(struct request *req)
{
    if (!req->note_key_use)
        return;
    char *key_id = strdup(req->who.key_id);
    struct db *db = req->gw->writer == NULL ? req_db(req) : NULL;
    if (key_id != NULL && (req->gw->writer != NULL || db != NULL))
        writer_post(req->gw->writer, db, key_touch_job, key_id, free);
    else
        free(key_id);
    if (req->gw->writer == NULL)
        req_db_done(req, db);
}

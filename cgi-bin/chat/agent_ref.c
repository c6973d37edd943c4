/* Who runs and on whose behalf (contract 03 §1.4, §1.5). */
#include <ctype.h>

#include "chat/chat.h"

static const char *after_prefix(struct arena *a, const char *model)
{
    static const char *const prefixes[] = {"goclaw:", "agent:"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t n = strlen(prefixes[i]);
        if (strncmp(model, prefixes[i], n) != 0)
            continue;
        const char *s = model + n;
        while (isspace((unsigned char)*s))
            s++;
        size_t len = strlen(s);
        while (len && isspace((unsigned char)s[len - 1]))
            len--;
        return len ? arena_strndup(a, s, len) : NULL;
    }
    return NULL;
}

struct agent_ref agent_ref_from(struct request *req, const char *model)
{
    static const char *const headers[] = {"X-GoClaw-Agent-Id", "X-GoClaw-Agent"};
    const char *text = model ? after_prefix(req->arena, model) : NULL;
    if (text)
        return (struct agent_ref){text, "model"};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        text = req_header(req, headers[i]);
        if (text)
            return (struct agent_ref){text, headers[i]};
    }
    return (struct agent_ref){NULL, "model"};
}

/* Role owner, and an admin who names no user, may run any agent of the tenant. */
static bool access_free(struct request *req, const char *user)
{
    return !user || req->who.role == ROLE_OWNER;
}

/* What is kept of an agent for one who runs it. */
struct resolved {
    struct agent agent;
    bool accessible;
};

struct resolving {
    struct request *req;
    const char *ref, *user; /* NULL: the default agent; access is free */
};

static enum db_rc resolve(void *ctx, struct arena *a, void **value)
{
    const struct resolving *in = ctx;
    const char *tenant = in->req->who.tenant_id;
    struct resolved *r = ARENA_NEW(a, struct resolved);
    struct db *db = req_db(in->req);
    if (!db)
        return DB_ERROR;
    enum db_rc rc = in->ref ? agent_find(db, a, tenant, in->ref, &r->agent) : agent_default(db, a, tenant, &r->agent);
    enum db_rc access = rc == DB_ROW && in->user ? agent_accessible(db, &r->agent, in->user) : DB_ROW;
    req_db_done(in->req, db);
    r->accessible = access == DB_ROW;
    *value = r;
    return access == DB_ROW || access == DB_OK ? rc : access;
}

bool agent_resolve(struct request *req, const struct agent_ref *ref, const char *user, struct agent *out,
                   struct fault *f)
{
    if (ref->text && !uuid_parse(ref->text, NULL) && !slug_valid(ref->text))
        return fault_set(f, FAULT_INVALID, MSG_invalid_id, ref->param, "agent", NULL);
    struct resolving in = {req, ref->text, access_free(req, user) ? NULL : user};
    const char *key = arena_printf(req->arena, "agent %s %s %s%s", req->who.tenant_id, ref->text ? ref->text : "",
                                   in.user ? "of " : "", in.user ? in.user : "");
    void *found = NULL;
    enum db_rc rc = memo_get(chat_of(req)->engine->memo, req->arena, key, strlen(key), resolve, &in, &found);
    if (rc == DB_OK)
        return fault_set(f, FAULT_NOT_FOUND, MSG_not_found, ref->param, "agent", ref->text ? ref->text : "default");
    if (rc != DB_ROW)
        return fault_set(f, FAULT_UNAVAILABLE, MSG_unavailable, NULL, NULL, NULL);
    const struct resolved *r = found;
    if (!r->accessible)
        return fault_set(f, FAULT_FORBIDDEN, MSG_no_access, NULL, "agent", NULL);
    *out = r->agent;
    return true;
}

const char *access_user(struct request *req, const char *body_user)
{
    if (req->who.user)
        return req->who.user;
    return req->who.role < ROLE_ADMIN ? body_user : NULL;
}

const char *recorded_user(struct request *req, const char *body_user)
{
    if (req->who.user)
        return req->who.user;
    if (body_user)
        return body_user;
    return req->who.key_id ? arena_printf(req->arena, "apikey:%s", req->who.key_id) : "system";
}

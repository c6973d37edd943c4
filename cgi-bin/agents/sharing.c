#include "agents/sharing.h"

#include "base/utf8.h"
#include "store/agents.h"
#include "web/change.h"

enum { ROLE_MAX = 20 };

const char *agent_owned(struct request *req, struct db *db, struct fault *f)
{
    struct record agent;
    return resource_find(req, db, &agents, NULL, req->params[0], ACCESS_WRITE, &agent, f) ? record_text(&agent, "id")
                                                                                          : NULL;
}

bool agent_open(struct edit *e)
{
    e->view.parent = agent_owned(e->req, e->db, &e->change.fault);
    return e->view.parent != NULL;
}

/* ---- one grant as a change ---- */

struct sharing {
    struct change change; /* first */
    struct agent_share share;
    struct record made;
};

/* The agent again, in the transaction: it may have gone meanwhile. */
static bool sharing_begin(struct sharing *s)
{
    struct change *c = &s->change;
    s->share.tenant_id = c->req->who.tenant_id;
    s->share.agent_id = c->entity_id = agent_owned(c->req, c->db, &c->fault);
    return c->entity_id != NULL;
}

static const char *details_of(const struct sharing *s)
{
    struct buf *b = buf_new(s->change.req->arena, 4096);
    struct jsonw w;
    jw_init(&w, b);
    jw_obj(&w);
    jw_kstr(&w, "user_id", s->share.user_id);
    jw_kopt(&w, "role", s->share.role);
    jw_obj_end(&w);
    return buf_str(b);
}

/* 400, 404 and 403 of the path come before anything is said about the body. */
static reply sharing_run(struct request *req, struct sharing *s)
{
    struct fault f;
    struct db *db = req_db(req);
    bool owned = agent_owned(req, db, &f) != NULL;
    req_db_done(req, db);
    return owned ? change_run(req, &s->change) : reply_fault(req, &f);
}

/* ---- POST ---- */

static bool role_valid(const char *role)
{
    size_t n = strspn(role, "abcdefghijklmnopqrstuvwxyz_-");
    return role[n] == '\0' && n >= 1 && n <= ROLE_MAX && role[0] != '_' && role[0] != '-';
}

/* A text of the body: absent and null are "". */
static bool text_read(struct change *c, const char *name, const char **text)
{
    json_object *v = json_get(c->req->body, name);
    *text = json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";
    return v == NULL || json_object_is_type(v, json_type_string) ||
           change_refuse(c, FAULT_INVALID, MSG_must_be_string, name, name, NULL);
}

static bool grant_prepare(struct change *c)
{
    struct sharing *s = (struct sharing *)c;
    const char *user, *role;
    if (!text_read(c, "user_id", &user) || !text_read(c, "role", &role))
        return false;
    if (*user == '\0')
        return change_refuse(c, FAULT_INVALID, MSG_required, "user_id", "user_id", NULL);
    if (!utf8_user_id_valid(user, strlen(user)))
        return change_refuse(c, FAULT_INVALID, MSG_invalid_user_id, "user_id", NULL, NULL);
    s->share.user_id = user;
    s->share.role = *role != '\0' ? role : "user";
    s->share.granted_by = c->req->who.user != NULL ? c->req->who.user : "system";
    return role_valid(s->share.role) || change_refuse(c, FAULT_INVALID, MSG_invalid_role, "role", NULL, NULL);
}

static enum db_rc grant_apply(struct change *c)
{
    struct sharing *s = (struct sharing *)c;
    if (!sharing_begin(s))
        return DB_OK;
    enum db_rc rc = agent_share_put(c->db, &s->share);
    if (rc != DB_OK)
        return rc;
    c->action = "agent.shared";
    c->details = details_of(s);
    resource_find(c->req, c->db, &shares, s->share.agent_id, s->share.user_id, ACCESS_READ, &s->made, &c->fault);
    return DB_OK;
}

static void grant_render(struct change *c, struct jsonw *w, bool kept)
{
    (void)kept;
    jw_obj(w);
    resource_write(w, &((struct sharing *)c)->made);
    jw_kstr(w, "ok", "true");
    jw_obj_end(w);
}

reply share_grant(struct request *req)
{
    struct sharing s = {.change = {.prepare = grant_prepare, .apply = grant_apply, .render = grant_render,
                                   .entity = "agent", .status = 201}};
    return sharing_run(req, &s);
}

/* ---- DELETE ---- */

static enum db_rc revoke_apply(struct change *c)
{
    struct sharing *s = (struct sharing *)c;
    if (!sharing_begin(s))
        return DB_OK;
    enum db_rc rc = agent_share_drop(c->db, s->share.tenant_id, s->share.agent_id, s->share.user_id);
    if (rc == DB_ROW) {
        c->action = "agent.share_revoked";
        c->details = details_of(s);
    }
    return rc == DB_ROW ? DB_OK : rc;
}

static void revoke_render(struct change *c, struct jsonw *w, bool kept)
{
    (void)c;
    (void)kept;
    jw_obj(w);
    jw_kstr(w, "ok", "true");
    jw_obj_end(w);
}

reply share_revoke(struct request *req)
{
    struct sharing s = {.change = {.apply = revoke_apply, .render = revoke_render, .entity = "agent"}};
    s.share.user_id = req->params[1];
    if (!utf8_user_id_valid(req->params[1], strlen(req->params[1])))
        return reply_error(req, FAULT_INVALID, MSG_invalid_user_id, "user_id", NULL, NULL);
    return sharing_run(req, &s);
}

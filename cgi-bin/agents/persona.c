#include "agents/persona.h"

#include "agent/persona.h"
#include "agents/sharing.h"
#include "base/utf8.h"
#include "store/jobs.h"
#include "store/summoning.h"

enum { PROMPT_CHARS = 32000 };

static const char *description_of(struct arena *a, const char *other_config)
{
    const char *text = json_str(json_parse(a, other_config, strlen(other_config), 0, NULL), "description");
    return text != NULL ? text : "";
}

static const char *payload(struct arena *a, bool regenerate, const char *before, const char *prompt)
{
    struct buf *b = buf_new(a, 1 << 20);
    struct jsonw w;
    jw_init(&w, b);
    jw_obj(&w);
    jw_kbool(&w, "regenerate", regenerate);
    jw_kstr(&w, "before", before);
    jw_kopt(&w, "prompt", prompt);
    jw_obj_end(&w);
    return buf_str(b);
}

/* ---- with the record ---- */

static bool is_predefined(const char *type)
{
    return type != NULL && strcmp(type, "predefined") == 0;
}

bool persona_begin(struct edit *e)
{
    if (e->action == EDIT_CREATE && is_predefined(edit_text(e, "agent_type")) &&
        *description_of(e->req->arena, edit_text(e, "other_config")) != '\0')
        edit_set_text(e, "status", "summoning");
    return true;
}

bool persona_follow(struct edit *e)
{
    struct arena *a = e->req->arena;
    const char *tenant = e->req->who.tenant_id, *name = edit_text(e, "display_name");
    enum db_rc rc = DB_OK;
    if (e->action == EDIT_DELETE)
        rc = jobs_forget(e->db, tenant, JOB_SUMMON, e->id);
    else if (is_predefined(edit_text(e, "agent_type")) && !is_predefined(edit_old_text(e, "agent_type")))
        rc = persona_seed(e->db, tenant, e->id);
    if (rc == DB_OK && e->action == EDIT_UPDATE && edit_changed(e, "display_name") && *name != '\0')
        rc = persona_follow_name(e->db, a, tenant, e->id, !is_predefined(edit_text(e, "agent_type")), name);
    if (rc == DB_OK && e->action == EDIT_CREATE && strcmp(edit_text(e, "status"), "summoning") == 0)
        rc = job_add(e->db, tenant, JOB_SUMMON, e->id, payload(a, false, "active", NULL));
    return rc == DB_OK || edit_failed(e, rc);
}

/* ---- on demand ---- */

struct summons {
    struct change change; /* first */
    bool regenerate;
    const char *prompt;   /* NULL = none */
};

static bool prompt_read(struct change *c)
{
    struct summons *s = (struct summons *)c;
    json_object *in = json_get(c->req->body, "prompt");
    if (in == NULL)
        return true;
    if (!json_object_is_type(in, json_type_string))
        return change_refuse(c, FAULT_INVALID, MSG_must_be_string, "prompt", "prompt", NULL);
    s->prompt = json_object_get_string(in);
    if (s->prompt[strspn(s->prompt, " \t\r\n")] == '\0')
        return change_refuse(c, FAULT_INVALID, MSG_required, "prompt", "prompt", NULL);
    return utf8_count(s->prompt, strlen(s->prompt)) <= PROMPT_CHARS ||
           change_refuse(c, FAULT_INVALID, MSG_too_long, "prompt", "prompt", "32000 characters");
}

/* The agent again, in the transaction: it may have changed or gone meanwhile. */
static enum db_rc summons_apply(struct change *c)
{
    struct summons *s = (struct summons *)c;
    struct request *req = c->req;
    struct record agent;
    const char *before = NULL;
    if (!resource_find(req, c->db, &agents, NULL, req->params[0], ACCESS_WRITE, &agent, &c->fault))
        return DB_OK;
    c->entity_id = record_text(&agent, "id");
    enum db_rc rc = summoning_enter(c->db, req->arena, req->who.tenant_id, c->entity_id, &before);
    if (rc == DB_OK)
        change_refuse(c, FAULT_STATE, MSG_already_summoning, NULL, NULL, NULL);
    if (rc != DB_ROW)
        return rc;
    if (!s->regenerate && *description_of(req->arena, record_text(&agent, "other_config")) == '\0') {
        change_refuse(c, FAULT_STATE, MSG_no_description, NULL, NULL, NULL);
        return DB_OK;
    }
    c->action = s->regenerate ? "agent.regenerated" : "agent.resummoned";
    return job_add(c->db, req->who.tenant_id, JOB_SUMMON, c->entity_id,
                   payload(req->arena, s->regenerate, before, s->prompt));
}

static void summons_render(struct change *c, struct jsonw *w, bool kept)
{
    (void)c;
    (void)kept;
    jw_obj(w);
    jw_kstr(w, "ok", "true");
    jw_kstr(w, "status", "summoning");
    jw_obj_end(w);
}

/* 400, 404 and 403 of the path come before anything is said about the body. */
static reply summons_run(struct request *req, bool regenerate)
{
    struct summons s = {.change = {.prepare = regenerate ? prompt_read : NULL,
                                   .apply = summons_apply,
                                   .render = summons_render,
                                   .entity = "agent",
                                   .generation = "agents",
                                   .status = 202},
                        .regenerate = regenerate};
    struct record agent;
    struct fault f;
    struct db *db = req_db(req);
    bool owned = resource_find(req, db, &agents, NULL, req->params[0], ACCESS_WRITE, &agent, &f);
    req_db_done(req, db);
    return owned ? change_run(req, &s.change) : reply_fault(req, &f);
}

reply persona_regenerate(struct request *req)
{
    return summons_run(req, true);
}

reply persona_resummon(struct request *req)
{
    return summons_run(req, false);
}

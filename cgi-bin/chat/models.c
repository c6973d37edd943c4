/* GET /v1/models (contract 03 §1.13): the agents the caller may run, in OpenAI's list format. */
#include "base/clock.h"
#include "chat/chat.h"

static void write_model(struct jsonw *w, const char *agent_key, const char *created_at, struct arena *a)
{
    int64_t created = 0;
    time_parse(created_at, &created);
    jw_obj(w);
    jw_kstr(w, "id", arena_printf(a, "goclaw:%s", agent_key));
    jw_kstr(w, "object", "model");
    jw_kint(w, "created", created / 1000);
    jw_kstr(w, "owned_by", "goclaw");
    jw_obj_end(w);
}

static void each(void *ctx, const char *agent_key, const char *created_at)
{
    struct request *req = ctx;
    write_model(&req->w, agent_key, created_at, req->arena);
}

reply models_list(struct request *req)
{
    const char *user = req->who.role == ROLE_OWNER ? NULL : access_user(req, NULL);
    jw_obj(&req->w);
    jw_kstr(&req->w, "object", "list");
    jw_karr(&req->w, "data");
    struct db *db = req_db(req);
    enum db_rc rc = agent_each_active(db, req->arena, req->who.tenant_id, user, each, req);
    req_db_done(req, db);
    if (rc != DB_OK)
        return reply_db(req, rc);
    jw_arr_end(&req->w);
    jw_obj_end(&req->w);
    return reply_json(req, 200);
}

static const char *bare_id(const char *id)
{
    if (strncmp(id, "goclaw:", 7) == 0)
        return id + 7;
    return strncmp(id, "agent:", 6) == 0 ? id + 6 : id;
}

reply models_get(struct request *req)
{
    const char *id = req->params[0];
    struct agent_ref ref = {bare_id(id), "id"};
    struct agent agent;
    struct fault f = {0};
    /* A model id is free text: what cannot name an agent is simply absent. */
    if (!uuid_parse(ref.text, NULL) && !slug_valid(ref.text))
        return reply_error(req, FAULT_NOT_FOUND, MSG_not_found, "id", "model", id);
    if (!agent_resolve(req, &ref, access_user(req, NULL), &agent, &f))
        return reply_fault(req, &f);
    if (strcmp(agent.status, "active") != 0)
        return reply_error(req, FAULT_NOT_FOUND, MSG_not_found, "id", "model", id);
    write_model(&req->w, agent.agent_key, agent.created_at, req->arena);
    return reply_json(req, 200);
}

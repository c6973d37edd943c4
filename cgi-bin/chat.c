/* chat: the one threaded program, where agents run and anything waits on a network. */
#include "agent/engine.h"
#include "chat/chat.h"
#include "llm/llm.h"
#include "web/service.h"

#define N(a) (sizeof(a) / sizeof *(a))

enum { SWEEP_EVERY = 5, PRUNE_EVERY = 60 };

static const struct route routes[] = {
    {METHOD_POST, "/v1/chat/completions", ROLE_OPERATOR, USER_OPTIONAL, BODY_CHAT, chat_completions, "Chat",
     "Run an agent on a conversation, in OpenAI's chat format", ROUTE_RUN},
    {METHOD_GET, "/v1/models", ROLE_VIEWER, USER_OPTIONAL, BODY_DEFAULT, models_list, "Models",
     "List the agents the caller may run as models", 0},
    {METHOD_GET, "/v1/models/{id}", ROLE_VIEWER, USER_OPTIONAL, BODY_DEFAULT, models_get, "Models",
     "Get one agent as a model", 0},
    {METHOD_GET, "/v1/runs", ROLE_VIEWER, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, runs_list, "Runs",
     "List running and recent runs", 0},
    {METHOD_GET, "/v1/runs/{id}", ROLE_VIEWER, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, runs_get, "Runs", "Get one run", 0},
    {METHOD_POST, "/v1/runs/{id}/cancel", ROLE_OPERATOR, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, runs_cancel, "Runs",
     "Cancel a run", 0},
    {METHOD_POST, "/v1/providers/{id}/verify", ROLE_ADMIN, USER_UNUSED, 65536, provider_verify, "Providers",
     "Ask a provider's API whether it answers; with a model, have it say a word", ROUTE_LATE_BODY},
    {METHOD_GET, "/v1/providers/{id}/models", ROLE_VIEWER, USER_UNUSED, BODY_DEFAULT, provider_models, "Providers",
     "List the models a provider offers", 0},
    {METHOD_GET, "/ready", ROLE_PUBLIC, USER_UNUSED, BODY_DEFAULT, ready, "System",
     "Can a run be taken and the database be written?", 0},
};

struct chat *chat_of(struct request *req)
{
    return req->gw->state;
}

static void stop(struct gateway *gw)
{
    struct chat *c = gw->state;
    if (!c)
        return;
    if (c->engine && !gw->pool) {
        engine_prune_due(c->engine);
        errands_now(c->engine);
    }
    errands_stop(c->errands);
    gone_stop(c->gone);
    engine_stop(c->engine);
    llm_stop();
    free(c);
    gw->state = NULL;
}

static bool start(struct gateway *gw, char *err, size_t errsize)
{
    struct chat *c = calloc(1, sizeof *c);
    if (!c) {
        snprintf(err, errsize, "out of memory");
        return false;
    }
    gw->state = c;
    llm_start();
    c->engine = engine_start(gw->config, gw->db, gw->pool, gw->writer, gw->memo, err, errsize);
    if (c->engine && gw->pool) {
        c->gone = gone_start(err, errsize);
        c->errands = errands_new(c->engine);
    }
    bool ok = c->engine && ((c->gone && c->errands) || !gw->pool);
    if (!ok)
        stop(gw);
    return ok;
}

static void drain(struct gateway *gw, bool hurry)
{
    engine_drain(((struct chat *)gw->state)->engine, hurry);
}

static bool busy(struct gateway *gw)
{
    return engine_busy(((struct chat *)gw->state)->engine);
}

static void tick(struct gateway *gw)
{
    static unsigned seconds;
    struct chat *c = gw->state;
    seconds++;
    llm_housekeeping();
    engine_tenants(c->engine);
    engine_marks(c->engine);
    errands_tick(c->errands);
    if (seconds % SWEEP_EVERY == 0)
        engine_sweep(c->engine);
    if (seconds % PRUNE_EVERY == 0 || engine_prune_more(c->engine))
        engine_prune(c->engine);
}

int main(int argc, char **argv)
{
    static const struct program program = {"chat", routes, N(routes), PROGRAM_THREADED, start, drain, tick, stop, busy};
    return service_main(&program, argc, argv);
}

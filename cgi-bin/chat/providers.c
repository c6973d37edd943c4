/* POST /v1/providers/{id}/verify and GET /v1/providers/{id}/models (contract 04 §1.5): what needs the upstream. */
#include <math.h>

#include "agent/provider.h"
#include "base/clock.h"
#include "chat/chat.h"
#include "llm/models.h"
#include "web/sse_out.h"

enum { PING_SECONDS = 10, LIST_SECONDS = 15, TRY_SECONDS = 25, TRY_TOKENS = 50 };

/* ---- the wait ---- */

/* The engine knows a wait as it knows a run: a stop refuses new ones and ends those that last. */
struct wait {
    struct request *req;
    struct live_run live;
    struct cancel cancel;
    bool watched;
};

/* false when the process is stopping. */
static bool wait_begin(struct wait *w, struct request *req, int seconds)
{
    *w = (struct wait){
        .req = req,
        .live = {.id = "", .tenant_id = req->who.tenant_id, .phase = "provider", .cancel = &w->cancel},
    };
    cancel_init(&w->cancel, clock_mono_ms() + (int64_t)seconds * 1000);
    if (!engine_add(chat_of(req)->engine, &w->live)) {
        cancel_release(&w->cancel);
        return false;
    }
    w->watched = chat_of(req)->gone && gone_add(chat_of(req)->gone, req_client_fd(req), &w->cancel);
    return true;
}

/* Why it ended before its time, CANCEL_NONE when it did not. */
static enum cancel_reason wait_end(struct wait *w)
{
    if (w->watched)
        gone_remove(chat_of(w->req)->gone, req_client_fd(w->req));
    engine_remove(chat_of(w->req)->engine, &w->live);
    enum cancel_reason why = cancel_check(&w->cancel);
    cancel_release(&w->cancel);
    return why;
}

static reply stopping(struct request *req)
{
    return reply_error(req, FAULT_UNAVAILABLE, MSG_shutting_down, NULL, NULL, NULL);
}

/* ---- the row ---- */

/* false when the request is answered already. */
static bool find(struct request *req, struct provider *row, reply *done)
{
    char id[UUID_SIZE];
    if (!uuid_parse(req->params[0], id)) {
        *done = reply_error(req, FAULT_INVALID, MSG_invalid_id, "id", "provider", NULL);
        return false;
    }
    struct db *db = req_db(req);
    enum db_rc rc = provider_lookup_id(db, req->arena, req->gw->config, req->who.tenant_id, id, row);
    req_db_done(req, db);
    if (rc == DB_ROW)
        return true;
    *done = rc == DB_OK ? reply_error(req, FAULT_NOT_FOUND, MSG_not_found, "id", "provider", id) : reply_db(req, rc);
    return false;
}

/* ---- models ---- */

static reply answer_models(struct request *req, const struct provider *row, const struct llm_model_list *list)
{
    struct jsonw *w = &req->w;
    json_object *settings = json_parse(req->arena, row->settings, strlen(row->settings), 0, NULL);
    json_object *reasoning = json_get(settings, "reasoning_defaults");
    jw_obj(w);
    jw_karr(w, "models");
    for (size_t i = 0; i < list->count; i++) {
        jw_obj(w);
        jw_kstr(w, "id", list->items[i].id);
        jw_kopt(w, "name", list->items[i].name);
        jw_obj_end(w);
    }
    jw_arr_end(w);
    if (json_object_is_type(reasoning, json_type_object)) {
        jw_key(w, "reasoning_defaults");
        jw_json(w, reasoning);
    }
    jw_obj_end(w);
    return reply_json(req, 200);
}

reply provider_models(struct request *req)
{
    struct provider row;
    struct llm_provider p;
    struct llm_model_list list = {0};
    struct wait wait;
    reply done;
    if (!find(req, &row, &done))
        return done;
    enum provider_state state = provider_resolve(req->arena, req->gw->config, req->who.tenant_id, &row, &p);
    const struct llm_type *type = llm_type_find(row.provider_type);
    if (type && type->needs_key && !*row.api_key)
        return reply_error(req, FAULT_INVALID, MSG_required, "api_key", "api_key", NULL);
    if (state == PROVIDER_KEY_LOST && !llm_models_fixed(p.type))
        return reply_error(req, FAULT_STATE, MSG_decrypt_failed, NULL, "api_key", NULL);
    if (!wait_begin(&wait, req, LIST_SECONDS))
        return stopping(req);
    llm_models(req->arena, &p, &wait.cancel, &list);
    wait_end(&wait);
    return answer_models(req, &row, &list);
}

/* ---- verify ---- */

struct verdict {
    bool valid;
    const char *error, *note; /* NULL when there is none */
};

static struct verdict invalid(const char *error)
{
    return (struct verdict){.error = error};
}

static struct verdict ended_early(struct request *req, enum cancel_reason why, int seconds)
{
    return invalid(why == CANCEL_DEADLINE ? arena_printf(req->arena, "no answer within %d seconds", seconds)
                                          : "the gateway stopped waiting");
}

/* Does it answer, and take the key? A server without a list of models is no worse for it. */
static struct verdict judge_ping(const struct llm_model_list *list, bool ok)
{
    if (ok)
        return (struct verdict){.valid = true};
    if (list->status == 404 || list->status == 405 || list->status == 501)
        return (struct verdict){.valid = true,
                                .note = "the provider answers but has no list of models; name a model to try it"};
    return invalid(list->why);
}

/* The upstream's words without the status llm_call puts in front of them. */
static const char *bare_message(const char *reason)
{
    int n = 0;
    return sscanf(reason, "HTTP %*3d: %n", &n) == 0 && n > 0 ? reason + n : reason;
}

/* OpenAI's models that think refuse, after the fact, when they thought all of the few tokens away. */
static bool ran_out(const char *reason)
{
    return strcasestr(reason, "output limit was reached") != NULL;
}

static struct verdict judge_try(bool ok, const struct fault *f)
{
    if (ok || (f->args[1] && ran_out(f->args[1])))
        return (struct verdict){.valid = true};
    return invalid(f->args[1] ? bare_message(f->args[1]) : "the call failed");
}

static bool try_model(struct request *req, const struct llm_provider *p, const char *model, struct cancel *c,
                      struct fault *f)
{
    const struct llm_message message = {.role = LLM_USER, .text = "Answer with the one word OK."};
    struct llm_request r = {
        .model = model, .messages = &message, .message_count = 1, .params = LLM_PARAMS_NONE};
    struct llm_answer answer;
    r.params.max_tokens = TRY_TOKENS;
    return llm_call(req->arena, p, &r, NULL, c, &answer, f, NULL);
}

/* model NULL: a ping. false when the process is stopping. */
static bool ask(struct request *req, const struct llm_provider *p, const char *model, struct verdict *v)
{
    int seconds = model ? TRY_SECONDS : PING_SECONDS;
    struct llm_model_list list = {0};
    struct fault f = {0};
    struct wait wait;
    if (!wait_begin(&wait, req, seconds))
        return false;
    bool ok = model ? try_model(req, p, model, &wait.cancel, &f) : llm_models(req->arena, p, &wait.cancel, &list);
    enum cancel_reason why = wait_end(&wait);
    if (!ok && why != CANCEL_NONE)
        *v = ended_early(req, why, seconds);
    else
        *v = model ? judge_try(ok, &f) : judge_ping(&list, ok);
    return true;
}

static reply answer_verdict(struct request *req, const struct verdict *v)
{
    jw_obj(&req->w);
    jw_kbool(&req->w, "valid", v->valid);
    jw_kopt(&req->w, "error", v->error);
    jw_kopt(&req->w, "note", v->note);
    jw_obj_end(&req->w);
    return reply_json(req, 200);
}

reply provider_verify(struct request *req)
{
    static const char *const refusals[PROVIDER_STATES] = {
        [PROVIDER_DISABLED] = "the provider is disabled",
        [PROVIDER_STORED_ONLY] = "providers of this type are stored but cannot be called",
        [PROVIDER_NO_KEY] = "the provider has no key",
        [PROVIDER_KEY_LOST] = "the stored key cannot be decrypted",
    };
    struct provider row;
    struct llm_provider p;
    struct verdict v = {.valid = true};
    struct fault f = {0};
    reply done;
    if (!find(req, &row, &done))
        return done;
    if (!req_body_read(req, &f))
        return reply_fault(req, &f);
    json_object *given = json_get(req->body, "model");
    if (given && !json_object_is_type(given, json_type_string))
        return reply_error(req, FAULT_INVALID, MSG_must_be_string, "model", "model", NULL);
    const char *model = given && json_object_get_string_len(given) > 0 ? json_object_get_string(given) : NULL;

    enum provider_state state = provider_resolve(req->arena, req->gw->config, req->who.tenant_id, &row, &p);
    if (state != PROVIDER_USABLE)
        v = invalid(refusals[state]);
    else if (model && llm_model_is_media(model))
        v.note = "models for images and video are not tried";
    else if (strcmp(p.type, "offline") != 0 && !ask(req, &p, model, &v))
        return stopping(req);
    return answer_verdict(req, &v);
}

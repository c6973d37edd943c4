#include "llm/llm.h"

#include "base/id.h"
#include "base/log.h"
#include "llm/http.h"
#include "llm/redact.h"
#include "llm/wire.h"

enum {
    ATTEMPTS = 3,
    PAUSE_MAX_MS = 30000,
    RETRY_AFTER_MAX_MS = 60000,
    REASON_CHARS = 500,
    TRACE_BYTES = 2000,
};

void llm_start(void)
{
    http_start();
}

void llm_stop(void)
{
    http_stop();
}

void llm_housekeeping(void)
{
    http_housekeeping();
}

/* Contract 03 §5.1. "" when nobody names one. */
static const char *model_choice(const struct llm_provider *p, const struct llm_request *r, const struct llm_type *type)
{
    const char *fallback = p->default_model && *p->default_model ? p->default_model : type->default_model;
    const char *model = r->model && *r->model ? r->model : fallback ? fallback : "";
    if (strcmp(type->name, "openrouter") == 0 && !strchr(model, '/'))
        model = type->default_model;
    return model;
}

/* Contract 03 §5.4: after the n-th failure. */
static int64_t pause_ms(int failures, int64_t retry_after_ms)
{
    if (retry_after_ms >= 0)
        return retry_after_ms < RETRY_AFTER_MAX_MS ? retry_after_ms : RETRY_AFTER_MAX_MS;
    int64_t ms = http_retry_base_ms() << (failures - 1);
    if (ms > PAUSE_MAX_MS)
        ms = PAUSE_MAX_MS;
    unsigned char dice;
    random_bytes(&dice, sizeof(dice));
    return ms * (900 + 200 * dice / 255) / 1000;
}

static bool is_overflow(const struct wire_result *res)
{
    return (res->status == 400 || res->status == 413 || res->status == 422) &&
           (wire_is_overflow(res->reason) || wire_is_overflow(res->raw));
}

/* Contract 01 §3.3: whose fault it is decides the answer. */
static void explain(struct arena *a, const struct llm_provider *p, const struct wire_result *res,
                    struct llm_answer *answer, struct fault *fault)
{
    const char *name = arena_strdup(a, p->name);
    const char *reason = redact(a, res->reason, p->api_key ? p->api_key : "", 4 * REASON_CHARS, REASON_CHARS);
    int status = res->status;
    if (res->blocked) {
        fault_set(fault, FAULT_STATE, MSG_provider_request_failed, NULL, name, reason);
    } else if (is_overflow(res)) {
        answer->context_overflow = true;
        fault_set(fault, FAULT_INVALID, MSG_context_too_large, NULL, name, reason);
    } else if (status >= 401 && status <= 404) {
        fault_set(fault, FAULT_STATE, MSG_provider_refused, NULL, name, reason);
    } else if (res->transient || status >= 500 || status == 0) {
        fault_set(fault, FAULT_UNAVAILABLE, MSG_provider_request_failed, NULL, name, reason);
        if (res->retry_after_ms > 0)
            fault->retry_after_ms =
                (int)(res->retry_after_ms < RETRY_AFTER_MAX_MS ? res->retry_after_ms : RETRY_AFTER_MAX_MS);
    } else {
        fault_set(fault, FAULT_STATE, MSG_provider_request_failed, NULL, name, reason);
    }
    log_event(LOG_WARN, 4002, "llm.failed", LOG_S, "provider", name, LOG_I, "status", (int64_t)status, LOG_I,
              "attempts", (int64_t)answer->attempts, LOG_S, "reason", reason, LOG_END);
}

static void trace_error(const struct wire_call *call, const struct wire_result *res, const char **upstream_error)
{
    if (!upstream_error)
        return;
    const char *key = call->provider->api_key ? call->provider->api_key : "";
    const char *text = *res->raw ? arena_printf(call->arena, "%s | %s", res->reason, res->raw) : res->reason;
    *upstream_error = redact(call->arena, text, key, TRACE_BYTES, TRACE_BYTES);
}

/* One attempt, from an empty reply to a filled answer. Returns whether a delta reached the sink. */
static bool attempt(struct wire_call *call, const struct llm_type *type, struct llm_answer *answer,
                    struct wire_result *res)
{
    static void (*const wires[])(const struct wire_call *call, struct wire_result *result) = {
        [LLM_WIRE_OPENAI] = openai_try, [LLM_WIRE_ANTHROPIC] = anthropic_try, [LLM_WIRE_OFFLINE] = offline_try};
    struct reply reply;
    reply_init(&reply, call->request->stream ? call->sink : NULL);
    call->reply = &reply;
    answer->attempts++;
    wires[type->wire](call, res);
    reply_close(&reply, call->arena, answer);
    bool forwarded = reply.forwarded;
    reply_release(&reply);
    return forwarded;
}

/* The upstream named its limit: ask for that much, once, instead of failing. */
static bool lower_max_tokens(struct wire_call *call, const struct wire_result *res)
{
    if (call->max_tokens_limit > 0 || res->max_tokens <= 0)
        return false;
    call->max_tokens_limit = res->max_tokens;
    return true;
}

/* Announces the next attempt and waits for its time. false: there will be none. */
static bool wait_turn(const struct wire_call *call, const struct wire_result *res, int failures)
{
    int64_t ms = pause_ms(failures, res->retry_after_ms);
    if (ms >= cancel_time_left(call->cancel))
        return false;
    const char *key = call->provider->api_key ? call->provider->api_key : "";
    const char *why = redact(call->arena, res->reason, key, 4 * REASON_CHARS, REASON_CHARS);
    log_event(LOG_INFO, 4001, "llm.retry", LOG_S, "provider", call->provider->name, LOG_I, "status",
              (int64_t)res->status, LOG_I, "pause_ms", ms, LOG_S, "reason", why, LOG_END);
    if (call->sink && call->sink->retrying)
        call->sink->retrying(call->sink->ctx, failures, ATTEMPTS, why);
    return wire_pause(call, ms);
}

static bool run(struct wire_call *call, const struct llm_type *type, struct llm_answer *answer,
                struct wire_result *res)
{
    for (int failures = 0;;) {
        bool forwarded = attempt(call, type, answer, res);
        if (res->ok)
            return true;
        if (res->cancelled || forwarded)
            return false;
        if (lower_max_tokens(call, res))
            continue;
        if (!res->transient || ++failures == ATTEMPTS || !wait_turn(call, res, failures))
            return false;
    }
}

/* What can be said without asking anybody. */
static bool usable(struct arena *a, const struct llm_provider *p, const struct llm_type *type, struct fault *fault)
{
    if (!type || type->wire == LLM_WIRE_STORED_ONLY)
        return fault_set(fault, FAULT_STATE, MSG_provider_request_failed, NULL, arena_strdup(a, p->name),
                         "providers of this type are stored but cannot be called");
    return true;
}

bool llm_call(struct arena *a, const struct llm_provider *p, const struct llm_request *r, const struct llm_sink *sink,
              struct cancel *c, struct llm_answer *answer, struct fault *fault, const char **upstream_error)
{
    const struct llm_type *type = llm_type_find(p->type);
    *answer = (struct llm_answer){.text = "", .thinking = ""};
    *fault = (struct fault){.kind = FAULT_NONE};
    if (upstream_error)
        *upstream_error = NULL;
    if (!usable(a, p, type, fault))
        return false;
    struct wire_call call = {.arena = a, .provider = p, .request = r, .sink = sink, .cancel = c};
    call.model = model_choice(p, r, type);
    call.max_tokens = r->params.max_tokens;
    if (!*call.model)
        return fault_set(fault, FAULT_STATE, MSG_no_provider, NULL, NULL, "no model is configured");

    struct wire_result res = {.reason = "", .raw = ""};
    if (run(&call, type, answer, &res))
        return true;
    if (res.cancelled || cancel_check(c) != CANCEL_NONE)
        return false;
    trace_error(&call, &res, upstream_error);
    explain(a, p, &res, answer, fault);
    return false;
}

#include "llm/openai.h"

#include <math.h>

#include "base/jsonw.h"
#include "llm/schema.h"

static bool starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool ends(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && strcmp(s + n - m, suffix) == 0;
}

static bool starts_any(const char *s, const char *const *prefixes)
{
    for (; *prefixes; prefixes++)
        if (starts(s, *prefixes))
            return true;
    return false;
}

/* The model's own name, without "vendor/". */
static const char *model_base(const char *model)
{
    const char *slash = strrchr(model, '/');
    return slash ? slash + 1 : model;
}

/* Theirs by type or address: not every host of their models takes a thought back. */
static bool is_deepseek_or_kimi(const struct llm_provider *p, const char *host)
{
    static const char *const types[] = {"deepseek", "kimi", NULL};
    static const char *const hosts[] = {"deepseek.com", "moonshot.ai", "moonshot.cn", "kimi.com"};
    bool found = starts_any(p->type, types);
    for (size_t i = 0; !found && i < sizeof(hosts) / sizeof(hosts[0]); i++)
        found = ends(host, hosts[i]);
    return found;
}

static bool is_reasoning_family(const char *model)
{
    static const char *const families[] = {"gpt-5", "o1", "o3", "o4", NULL};
    return starts_any(model_base(model), families);
}

/* Models that think refuse a temperature; two of them take it as long as they are not to think. */
static bool refuses_sampling(const char *model, const char *effort)
{
    static const char *const both[] = {"gpt-5.1", "gpt-5.2"};
    const char *base = model_base(model);
    for (size_t i = 0; i < sizeof(both) / sizeof(both[0]); i++) {
        const char *rest = starts(base, both[i]) ? base + strlen(both[i]) : "-";
        if (!*rest || starts(rest, "-20"))
            return effort && *effort && strcmp(effort, "none") != 0;
    }
    return is_reasoning_family(model) && !starts(base, "gpt-5-chat");
}

void openai_target(struct arena *a, const struct llm_provider *p, const struct upstream_base *base,
                   const struct llm_request *r, struct openai_target *t)
{
    bool ollama = strcmp(p->type, "ollama") == 0 || strcmp(p->type, "ollama_cloud") == 0;
    const char *path = strcmp(p->type, "minimax_native") == 0 ? "/text/chatcompletion_v2" : "/chat/completions";
    const char *version = ollama && !ends(base->root, "/v1") ? "/v1" : "";
    *t = (struct openai_target){
        .url = arena_printf(a, "%s%s%s%s", base->root, version, path, base->query),
        .native = strcmp(base->host, "api.openai.com") == 0,
        .gemini = strcmp(p->type, "gemini_native") == 0 || strcmp(base->host, "generativelanguage.googleapis.com") == 0,
        .xai = strcmp(p->type, "xai") == 0 || strcmp(base->host, "api.x.ai") == 0,
        .mistral = strcmp(p->type, "mistral") == 0 || strcmp(base->host, "api.mistral.ai") == 0,
        .together = ends(base->host, "together.xyz") || ends(base->host, "together.ai"),
        .thoughts = is_deepseek_or_kimi(p, base->host),
        .streams = r->stream && !(strcmp(p->type, "dashscope") == 0 && r->tool_count > 0),
    };
}

/* Mistral wants exactly nine letters and digits; the same id always gives the same nine. */
static void mistral_id(const char *id, char out[10])
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    uint64_t hash = 14695981039346656037u;
    for (; *id; id++)
        hash = (hash ^ (unsigned char)*id) * 1099511628211u;
    for (int i = 0; i < 9; i++, hash /= 36)
        out[i] = digits[hash % 36];
    out[9] = 0;
}

static void write_id(struct jsonw *w, const struct openai_target *t, const char *key, const char *id)
{
    char nine[10];
    if (t->mistral) {
        mistral_id(id, nine);
        id = nine;
    }
    jw_kstr(w, key, id);
}

static void write_signature(struct jsonw *w, const char *signature)
{
    jw_kobj(w, "extra_content");
    jw_kobj(w, "google");
    jw_kstr(w, "thought_signature", signature);
    jw_obj_end(w);
    jw_obj_end(w);
}

static void write_tool_calls(struct jsonw *w, const struct openai_target *t, const struct llm_message *m)
{
    jw_karr(w, "tool_calls");
    for (size_t i = 0; i < m->tool_call_count; i++) {
        const struct llm_tool_call *call = &m->tool_calls[i];
        jw_obj(w);
        write_id(w, t, "id", call->id);
        jw_kstr(w, "type", "function");
        jw_kobj(w, "function");
        jw_kstr(w, "name", call->name);
        jw_kstr(w, "arguments", call->malformed || !*call->arguments ? "{}" : call->arguments);
        jw_obj_end(w);
        if (t->gemini && call->signature)
            write_signature(w, call->signature);
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

/* A thought that is not known any more is a blank: missing, or empty, it is refused. */
static void write_thought(struct jsonw *w, const struct llm_message *m)
{
    bool known = m->block_count > 0 && m->blocks[0].kind == LLM_BLOCK_THINKING;
    jw_kstr(w, "reasoning_content", known ? m->blocks[0].text : " ");
}

static void write_message(struct jsonw *w, const struct openai_target *t, const struct llm_message *m)
{
    static const char *const roles[] = {
        [LLM_SYSTEM] = "system", [LLM_USER] = "user", [LLM_ASSISTANT] = "assistant", [LLM_TOOL] = "tool"};
    const char *text = m->text ? m->text : "";
    bool calls = m->role == LLM_ASSISTANT && m->tool_call_count > 0;
    jw_obj(w);
    jw_kstr(w, "role", m->role == LLM_SYSTEM && t->native ? "developer" : roles[m->role]);
    if (*text || !calls)
        jw_kstr(w, "content", text);
    if (m->role == LLM_ASSISTANT && t->thoughts)
        write_thought(w, m);
    if (calls)
        write_tool_calls(w, t, m);
    if (m->role == LLM_TOOL) {
        write_id(w, t, "tool_call_id", m->tool_call_id ? m->tool_call_id : "");
        if (t->gemini)
            jw_kopt(w, "name", m->tool_name);
    }
    jw_obj_end(w);
}

/* Gemini refuses calls that it did not sign, from its third generation on; of several at once it signs the first. */
static bool wants_signatures(const struct openai_target *t, const char *model)
{
    static const char *const unsigned_families[] = {"gemini-1", "gemini-2", NULL};
    return t->gemini && starts(model_base(model), "gemini") && !starts_any(model_base(model), unsigned_families);
}

static bool is_unsigned(const struct llm_message *m)
{
    return m->tool_call_count > 0 && !m->tool_calls[0].signature;
}

/* A turn with calls that cannot be shown as calls: what was called and what came of it, in words. */
static void write_told(struct jsonw *w, struct arena *a, const struct llm_message *m)
{
    struct buf *text = buf_new(a, EXCHANGE_REQUEST_MAX);
    if (m->role == LLM_TOOL)
        buf_addf(text, "[Tool Result: %s]\n", m->tool_name ? m->tool_name : "");
    buf_adds(text, m->text ? m->text : "");
    for (size_t i = 0; i < m->tool_call_count; i++)
        buf_addf(text, "%s[Tool Call: %s]\n%s", text->len > 0 ? "\n" : "", m->tool_calls[i].name,
                 m->tool_calls[i].arguments);
    jw_obj(w);
    jw_kstr(w, "role", m->role == LLM_TOOL ? "user" : "assistant");
    jw_kstr(w, "content", buf_str(text));
    jw_obj_end(w);
    buf_release(text);
}

static void write_messages(struct jsonw *w, const struct openai_target *t, const struct wire_call *call)
{
    const struct llm_request *r = call->request;
    /* Mistral wants the model to speak between a tool and the user. */
    static const struct llm_message between = {.role = LLM_ASSISTANT, .text = "OK."};
    bool signs = wants_signatures(t, call->model), told = false;
    size_t count = r->message_count;
    while (count > 0 && r->messages[count - 1].role == LLM_ASSISTANT)
        count--;
    jw_karr(w, "messages");
    for (size_t i = 0; i < count; i++) {
        const struct llm_message *m = &r->messages[i];
        if (m->role == LLM_ASSISTANT)
            told = signs && is_unsigned(m);
        if (t->mistral && m->role == LLM_USER && i > 0 && r->messages[i - 1].role == LLM_TOOL)
            write_message(w, t, &between);
        if (told && m->role != LLM_USER && m->role != LLM_SYSTEM)
            write_told(w, call->arena, m);
        else
            write_message(w, t, m);
    }
    jw_arr_end(w);
}

static void write_tools(struct jsonw *w, const struct openai_target *t, const struct llm_request *r)
{
    enum schema_taste taste = t->gemini ? SCHEMA_GEMINI : t->xai ? SCHEMA_XAI : SCHEMA_ANY;
    if (r->tool_count == 0)
        return;
    jw_karr(w, "tools");
    for (size_t i = 0; i < r->tool_count; i++) {
        jw_obj(w);
        jw_kstr(w, "type", "function");
        jw_kobj(w, "function");
        jw_kstr(w, "name", r->tools[i].name);
        jw_kopt(w, "description", r->tools[i].description);
        jw_key(w, "parameters");
        schema_write(w, &r->tools[i], taste);
        jw_obj_end(w);
        jw_obj_end(w);
    }
    jw_arr_end(w);
    if (r->params.tool_choice) {
        jw_key(w, "tool_choice");
        jw_json(w, r->params.tool_choice);
    } else {
        jw_kstr(w, "tool_choice", "auto");
    }
    if (r->params.parallel_tool_calls >= 0)
        jw_kbool(w, "parallel_tool_calls", r->params.parallel_tool_calls > 0);
}

static void write_number(struct jsonw *w, const char *key, double v)
{
    if (!isnan(v))
        jw_knum(w, key, v);
}

static void write_json(struct jsonw *w, const char *key, json_object *o)
{
    if (!o)
        return;
    jw_key(w, key);
    jw_json(w, o);
}

/* Gemini's compatible route knows low and high. */
static const char *gemini_effort(const char *effort)
{
    bool high = strcmp(effort, "medium") == 0 || strcmp(effort, "high") == 0 || strcmp(effort, "xhigh") == 0;
    return high ? "high" : "low";
}

static void write_params(struct jsonw *w, const struct openai_target *t, const struct wire_call *call)
{
    const struct llm_params *p = &call->request->params;
    const char *model = call->model;
    int64_t max_tokens = wire_max_tokens(call, call->max_tokens);
    if (max_tokens > 0)
        jw_kint(w, is_reasoning_family(model) ? "max_completion_tokens" : "max_tokens", max_tokens);
    if (!refuses_sampling(model, p->reasoning_effort)) {
        write_number(w, "temperature", p->temperature);
        write_number(w, "top_p", p->top_p);
        write_number(w, "presence_penalty", t->gemini ? NAN : p->presence_penalty);
        write_number(w, "frequency_penalty", t->gemini ? NAN : p->frequency_penalty);
        write_json(w, "stop", p->stop);
    }
    if (p->has_seed && !t->gemini)
        jw_kint(w, t->mistral ? "random_seed" : "seed", p->seed);
    write_json(w, "response_format", p->response_format);
    if (p->reasoning_effort && *p->reasoning_effort) {
        if (t->gemini)
            jw_kstr(w, "reasoning_effort", gemini_effort(p->reasoning_effort));
        else if (is_reasoning_family(model))
            jw_kstr(w, "reasoning_effort", p->reasoning_effort);
    }
}

bool openai_request(struct buf *out, const struct openai_target *t, const struct wire_call *call)
{
    struct jsonw w;
    jw_init(&w, out);
    jw_obj(&w);
    jw_kstr(&w, "model", call->model);
    write_messages(&w, t, call);
    jw_kbool(&w, "stream", t->streams);
    if (t->streams && !t->together && !t->mistral) {
        jw_kobj(&w, "stream_options");
        jw_kbool(&w, "include_usage", true);
        jw_obj_end(&w);
    }
    write_tools(&w, t, call->request);
    write_params(&w, t, call);
    jw_obj_end(&w);
    return !out->failed;
}

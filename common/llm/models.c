#include "llm/models.h"

#include "base/log.h"
#include "llm/anthropic.h"
#include "llm/http.h"
#include "llm/openai.h"
#include "llm/redact.h"
#include "llm/upstream_json.h"

enum { FIXED_MAX = 12, ANSWER_MAX = 4 << 20, WHY_BYTES = 2000, WHY_CHARS = 500 };

const char *const *llm_models_fixed(const char *type)
{
    static const struct {
        const char *type;
        const char *ids[FIXED_MAX + 1];
    } table[] = {
        {"bailian", {"qwen3.5-plus", "kimi-k2.5", "GLM-5", "MiniMax-M2.5", "qwen3-max-2026-01-23", "qwen3-coder-next",
                     "qwen3-coder-plus", "glm-4.7"}},
        {"dashscope", {"qwen3.5-plus", "qwen3.5-turbo", "qwen3-max", "qwen3-plus", "qwen3-turbo", "wan2.6-image",
                       "wan2.1-image", "wan2.6-video"}},
        {"minimax_native", {"MiniMax-Text-01", "MiniMax-M1", "MiniMax-M2.7", "MiniMax-M2.5", "image-01",
                            "MiniMax-Hailuo-2.3", "MiniMax-Hailuo-2", "T2V-01-Director", "music-2.5+", "music-2.5",
                            "speech-02-hd", "speech-02-turbo"}},
        {"anthropic_oauth", {"claude-opus-4-6", "claude-opus-4-5", "claude-sonnet-4-6", "claude-haiku-4-5-20251001"}},
        {"claude_cli", {"sonnet", "opus", "haiku"}},
        {"acp", {"claude", "codex", "gemini"}},
        {"suno", {"v4.5", "v4", "v3.5"}},
        {"chatgpt_oauth", {"gpt-5.4", "gpt-5.4-mini", "gpt-5.3-codex", "gpt-5.2-codex", "gpt-5.2", "gpt-5.1-codex",
                           "gpt-5.1"}},
        {"offline", {"offline"}},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strcmp(table[i].type, type) == 0)
            return table[i].ids;
    return NULL;
}

bool llm_model_is_media(const char *id)
{
    static const char *const prefixes[] = {"veo-",       "dall-e-",     "imagen-", "gemini-2.5-flash-image",
                                           "grok-imagine", "grok-2-image"};
    const char *slash = strrchr(id, '/');
    const char *base = slash ? slash + 1 : id;
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (strncmp(base, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* ---- the answer ---- */

static const char *text_of(json_object *o, const char *key)
{
    const char *s = json_str(o, key);
    return s && *s ? s : NULL;
}

/* Ollama: "llama3:8b (llama, 8.0B, Q4_0)", as much of it as is known. */
static const char *local_name(struct arena *a, const char *id, json_object *details)
{
    static const char *const keys[] = {"family", "parameter_size", "quantization_level"};
    const char *inside = NULL;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *part = text_of(details, keys[i]);
        if (part)
            inside = inside ? arena_printf(a, "%s, %s", inside, part) : part;
    }
    return inside ? arena_printf(a, "%s (%s)", id, inside) : NULL;
}

/* false when it has no id. */
static bool model_read(struct arena *a, json_object *o, struct llm_model *m)
{
    static const char gemini[] = "models/";
    const char *id = text_of(o, "id"), *name = text_of(o, "name"), *shown = text_of(o, "display_name");
    if (!shown)
        shown = text_of(o, "displayName");
    if (!shown && id)
        shown = name;
    if (!id && name)
        id = strncmp(name, gemini, sizeof(gemini) - 1) == 0 ? name + sizeof(gemini) - 1 : name;
    if (!id || !*id)
        return false;
    if (!shown)
        shown = local_name(a, id, json_get(o, "details"));
    m->id = arena_strdup(a, id);
    m->name = shown && strcmp(shown, id) != 0 ? arena_strdup(a, shown) : NULL;
    return true;
}

static json_object *array_of(json_object *root)
{
    static const char *const keys[] = {"data", "models"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        json_object *list = json_get(root, keys[i]);
        if (json_object_is_type(list, json_type_array))
            return list;
    }
    return NULL;
}

static bool refuse(struct llm_model_list *out, const char *why)
{
    out->why = why;
    return false;
}

bool llm_models_read(struct arena *a, const char *text, size_t len, struct llm_model_list *out)
{
    struct json_fault jf = {.reason = "empty"};
    json_object *root = json_parse(a, text, len, 0, &jf);
    json_object *list = json_object_is_type(root, json_type_array) ? root : array_of(root);
    if (!root)
        return refuse(out, arena_printf(a, "the answer is no JSON (%s); is the base URL right?", jf.reason));
    if (!list) {
        const char *said = upstream_error_said(a, text, len);
        return refuse(out, said ? said : "the answer is no list of models");
    }
    size_t n = json_object_array_length(list);
    struct llm_model *items = ARENA_ARRAY(a, struct llm_model, n);
    out->count = 0;
    for (size_t i = 0; i < n; i++)
        if (model_read(a, json_object_array_get_idx(list, i), &items[out->count]))
            out->count++;
    out->items = items;
    return true;
}

/* ---- the question ---- */

struct question {
    const char *url;
    const char *headers[1 + ANTHROPIC_HEADERS + 1];
};

static const char *without(struct arena *a, const char *root, const char *tail)
{
    size_t n = strlen(root), t = strlen(tail);
    return n >= t && strcmp(root + n - t, tail) == 0 ? arena_strndup(a, root, n - t) : root;
}

/* Keys travel in headers alone: a URL ends up in logs. */
static bool ask_for(struct arena *a, const struct llm_provider *p, const struct llm_type *type, struct question *q)
{
    struct upstream_base base;
    if (!upstream_base(a, p, &base))
        return false;
    const char *root = base.root, *path = "/models", *page = NULL;
    *q = (struct question){.headers = {"Accept: application/json"}};
    if (strcmp(type->name, "ollama") == 0 || strcmp(type->name, "ollama_cloud") == 0) {
        root = without(a, root, "/v1");
        path = "/api/tags";
        q->headers[1] = openai_key_header(a, p, base.host);
    } else if (type->wire == LLM_WIRE_ANTHROPIC) {
        page = "limit=1000";
        anthropic_headers(a, p, false, q->headers + 1);
    } else if (strcmp(type->name, "gemini_native") == 0 && without(a, root, "/openai") != root) {
        root = without(a, root, "/openai");
        page = "pageSize=1000";
        q->headers[1] = arena_printf(a, "x-goog-api-key: %s", p->api_key);
    } else {
        q->headers[1] = openai_key_header(a, p, base.host);
    }
    q->url = arena_printf(a, "%s%s%s%s%s", root, path, base.query, !page ? "" : *base.query ? "&" : "?",
                          page ? page : "");
    return true;
}

static bool on_body(struct http_call *h, const char *bytes, size_t n)
{
    return !h->encoded && buf_add(h->ctx, bytes, n);
}

/* The message of an error's body, or its status. */
static const char *error_text(struct arena *a, const struct http_call *h, const struct buf *body)
{
    const char *said = upstream_error_said(a, buf_str(body), body->len);
    bool redirect = h->status >= 300 && h->status < 400;
    return said ? said : arena_printf(a, "HTTP %d%s", h->status, redirect ? ": redirects are not followed" : "");
}

static bool judge(struct arena *a, const struct http_call *h, const struct buf *body, struct llm_model_list *out)
{
    out->status = h->status;
    if (h->end == HTTP_CANCELLED)
        return refuse(out, "cancelled");
    if (h->end != HTTP_DONE && h->end != HTTP_STOPPED)
        return refuse(out, h->error);
    if (h->encoded)
        return refuse(out, "the answer is compressed although that was not asked for");
    if (h->status < 200 || h->status > 299)
        return refuse(out, error_text(a, h, body));
    if (body->failed)
        return refuse(out, "the answer is larger than 4 MiB");
    return llm_models_read(a, buf_str(body), body->len, out);
}

static bool ask(struct arena *a, const struct llm_provider *p, struct cancel *c, const struct question *q,
                struct llm_model_list *out)
{
    struct buf *body = buf_new(a, ANSWER_MAX);
    struct http_call h = {
        .url = q->url,
        .headers = q->headers,
        .private_allowed = upstream_private_allowed(p, q->url),
        .cancel = c,
        .on_body = on_body,
        .ctx = body,
    };
    http_perform(&h);
    bool ok = judge(a, &h, body, out);
    buf_release(body);
    if (!ok)
        out->why = redact(a, out->why, p->api_key, WHY_BYTES, WHY_CHARS);
    if (!ok && h.end != HTTP_CANCELLED)
        log_event(LOG_INFO, 4003, "llm.no_models", LOG_S, "provider", p->name, LOG_I, "status", (int64_t)h.status,
                  LOG_S, "reason", out->why, LOG_END);
    return ok;
}

static bool fixed(struct arena *a, const char *const *ids, struct llm_model_list *out)
{
    size_t n = 0;
    while (ids[n])
        n++;
    struct llm_model *items = ARENA_ARRAY(a, struct llm_model, n);
    for (size_t i = 0; i < n; i++)
        items[i].id = ids[i];
    out->items = items;
    out->count = n;
    return true;
}

bool llm_models(struct arena *a, const struct llm_provider *p, struct cancel *c, struct llm_model_list *out)
{
    const struct llm_type *type = llm_type_find(p->type);
    const char *const *ids = llm_models_fixed(p->type);
    struct question q;
    *out = (struct llm_model_list){.why = ""};
    if (ids)
        return fixed(a, ids, out);
    if (!type || (type->wire != LLM_WIRE_OPENAI && type->wire != LLM_WIRE_ANTHROPIC))
        return refuse(out, "providers of this type are stored but cannot be called");
    if (!ask_for(a, p, type, &q))
        return refuse(out, "the base URL is not usable");
    return ask(a, p, c, &q, out);
}

/* From the body of a chat completion to a struct completion; every fault names its field. */
#include <math.h>

#include "base/utf8.h"
#include "chat/completion.h"

enum { USER_MAX = 255, TOOLS_MAX = 128, TOOL_NAME_MAX = 64, STOP_MAX = 4, MODEL_MAX = 255, TEXT_MAX = 16 << 20 };

static bool bad(struct fault *f, const char *param, const char *must_be)
{
    return fault_set(f, FAULT_INVALID, MSG_must_be, param, param, must_be);
}

/* Numbers that are passed on to the provider. */
struct number_rule {
    const char *name;
    double min, max;
    const char *must_be;
    size_t offset; /* of the double in struct llm_params */
};

static const struct number_rule number_rules[] = {
    {"temperature", 0, 2, "a number from 0 to 2", offsetof(struct llm_params, temperature)},
    {"top_p", 0, 1, "a number from 0 to 1", offsetof(struct llm_params, top_p)},
    {"presence_penalty", -2, 2, "a number from -2 to 2", offsetof(struct llm_params, presence_penalty)},
    {"frequency_penalty", -2, 2, "a number from -2 to 2", offsetof(struct llm_params, frequency_penalty)},
};

static bool parse_numbers(json_object *body, struct llm_params *p, struct fault *f)
{
    for (size_t i = 0; i < sizeof number_rules / sizeof *number_rules; i++) {
        const struct number_rule *rule = &number_rules[i];
        double *out = (double *)(void *)((char *)p + rule->offset);
        json_object *v = json_get(body, rule->name);
        *out = NAN;
        if (!v)
            continue;
        *out = json_object_get_double(v);
        bool number = json_object_is_type(v, json_type_double) || json_object_is_type(v, json_type_int);
        if (!number || *out < rule->min || *out > rule->max)
            return bad(f, rule->name, rule->must_be);
    }
    return true;
}

static bool positive_int(json_object *body, const char *name, int64_t *out, struct fault *f)
{
    json_object *v = json_get(body, name);
    if (!v)
        return true;
    if (!json_object_is_type(v, json_type_int) || json_object_get_int64(v) < 1)
        return bad(f, name, "a positive integer");
    int64_t n = json_object_get_int64(v);
    *out = *out > 0 && *out < n ? *out : n;
    return true;
}

static bool parse_stop(json_object *body, struct llm_params *p, struct fault *f)
{
    json_object *v = json_get(body, "stop");
    if (!v)
        return true;
    bool ok = json_object_is_type(v, json_type_string);
    if (json_object_is_type(v, json_type_array)) {
        size_t n = json_object_array_length(v);
        ok = n >= 1 && n <= STOP_MAX;
        for (size_t i = 0; ok && i < n; i++)
            ok = json_object_is_type(json_object_array_get_idx(v, i), json_type_string);
    }
    p->stop = v;
    return ok ? true : bad(f, "stop", "a string or 1 to 4 strings");
}

static bool one_of(const char *s, const char *const *list)
{
    for (; s && *list; list++)
        if (strcmp(s, *list) == 0)
            return true;
    return false;
}

static bool parse_params(json_object *body, struct llm_params *p, struct fault *f)
{
    static const char *const efforts[] = {"none", "minimal", "low", "medium", "high", "xhigh", NULL};
    static const char *const formats[] = {"text", "json_object", "json_schema", NULL};
    p->parallel_tool_calls = -1;
    if (!parse_numbers(body, p, f) || !positive_int(body, "max_tokens", &p->max_tokens, f) ||
        !positive_int(body, "max_completion_tokens", &p->max_tokens, f) || !parse_stop(body, p, f))
        return false;
    json_object *v = json_get(body, "seed");
    p->has_seed = v != NULL;
    p->seed = v ? json_object_get_int64(v) : 0;
    if (v && !json_object_is_type(v, json_type_int))
        return bad(f, "seed", "an integer");
    v = json_get(body, "n");
    if (v && (!json_object_is_type(v, json_type_int) || json_object_get_int64(v) != 1))
        return fault_set(f, FAULT_INVALID, MSG_n_must_be_one, "n", NULL, NULL);
    p->response_format = json_get(body, "response_format");
    if (p->response_format && (!json_object_is_type(p->response_format, json_type_object) ||
                               !one_of(json_str(p->response_format, "type"), formats)))
        return bad(f, "response_format", "an object whose type is text, json_object or json_schema");
    p->reasoning_effort = json_str(body, "reasoning_effort");
    if (json_get(body, "reasoning_effort") && !one_of(p->reasoning_effort, efforts))
        return bad(f, "reasoning_effort", "none, minimal, low, medium, high or xhigh");
    return true;
}

static bool tool_name_valid(const char *s)
{
    size_t n = s ? strlen(s) : 0;
    if (n < 1 || n > TOOL_NAME_MAX)
        return false;
    return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == n;
}

static bool parse_tool(struct request *req, json_object *v, size_t i, struct llm_tool *out, struct fault *f)
{
    json_object *fn = json_get(v, "function");
    const char *type = json_str(v, "type");
    const char *param = arena_printf(req->arena, "tools[%zu]", i);
    if (!fn || !json_object_is_type(fn, json_type_object) || !type || strcmp(type, "function") != 0)
        return bad(f, param, "an object of type function");
    out->name = json_str(fn, "name");
    if (!tool_name_valid(out->name))
        return bad(f, arena_printf(req->arena, "%s.function.name", param), "1 to 64 of A-Z a-z 0-9 _ -");
    json_object *schema = json_get(fn, "parameters");
    if (schema && !json_object_is_type(schema, json_type_object))
        return bad(f, arena_printf(req->arena, "%s.function.parameters", param), "an object");
    out->description = json_str(fn, "description");
    if (!out->description)
        out->description = "";
    out->parameters = schema && json_object_object_length(schema) ? json_object_to_json_string_ext(schema, JSON_C_TO_STRING_PLAIN)
                                                                  : "{\"type\":\"object\",\"properties\":{}}";
    return true;
}

static bool tool_choice_valid(json_object *v)
{
    static const char *const modes[] = {"none", "auto", "required", NULL};
    if (json_object_is_type(v, json_type_string))
        return one_of(json_object_get_string(v), modes);
    const char *type = json_object_is_type(v, json_type_object) ? json_str(v, "type") : NULL;
    json_object *fn = type && strcmp(type, "function") == 0 ? json_get(v, "function") : NULL;
    return type && (strcmp(type, "function") != 0 || (json_object_is_type(fn, json_type_object) && json_str(fn, "name")));
}

static bool parse_tools(struct request *req, struct completion *c, struct fault *f)
{
    json_object *legacy = json_get(req->body, "functions");
    if (legacy && (!json_object_is_type(legacy, json_type_array) || json_object_array_length(legacy)))
        return fault_set(f, FAULT_INVALID, MSG_tools_not_supported, "functions", NULL, NULL);
    json_object *v = json_get(req->body, "tools");
    if (!v)
        return true;
    if (!json_object_is_type(v, json_type_array) || json_object_array_length(v) > TOOLS_MAX)
        return bad(f, "tools", "an array of at most 128 tools");
    size_t n = json_object_array_length(v);
    struct llm_tool *tools = ARENA_ARRAY(req->arena, struct llm_tool, n);
    for (size_t i = 0; i < n; i++) {
        json_object *tool = json_object_array_get_idx(v, i);
        if (!json_object_is_type(tool, json_type_object))
            return bad(f, arena_printf(req->arena, "tools[%zu]", i), "an object of type function");
        if (!parse_tool(req, tool, i, &tools[i], f))
            return false;
        for (size_t k = 0; k < i; k++)
            if (strcmp(tools[k].name, tools[i].name) == 0)
                return fault_set(f, FAULT_INVALID, MSG_tool_name_collision, "tools", tools[i].name, NULL);
    }
    c->tools = tools;
    c->tool_count = n;
    if (!n)
        return true;
    json_object *choice = json_get(req->body, "tool_choice");
    if (choice && !tool_choice_valid(choice))
        return bad(f, "tool_choice", "none, auto, required or an object that names a function");
    c->params.tool_choice = choice;
    json_object *parallel = json_get(req->body, "parallel_tool_calls");
    if (parallel && !json_object_is_type(parallel, json_type_boolean))
        return bad(f, "parallel_tool_calls", "true or false");
    if (parallel)
        c->params.parallel_tool_calls = json_object_get_boolean(parallel);
    return true;
}

/* Text of one message: a string, an array of parts, or nothing. */
static bool content_text(struct request *req, json_object *m, size_t i, const char **out, struct fault *f)
{
    json_object *v = json_get(m, "content");
    *out = "";
    if (!v)
        return true;
    if (json_object_is_type(v, json_type_string)) {
        *out = json_object_get_string(v);
        return true;
    }
    if (!json_object_is_type(v, json_type_array))
        return bad(f, arena_printf(req->arena, "messages[%zu].content", i), "a string or an array of parts");
    struct buf *text = buf_new(req->arena, req->raw_len); /* in the body more stands around each part */
    for (size_t j = 0; j < json_object_array_length(v); j++) {
        json_object *part = json_object_array_get_idx(v, j);
        const char *type = json_object_is_type(part, json_type_object) ? json_str(part, "type") : NULL;
        const char *s = type && strcmp(type, "text") == 0 ? json_str(part, "text") : NULL;
        if (!s)
            return fault_set(f, FAULT_INVALID, MSG_content_part_type,
                             arena_printf(req->arena, "messages[%zu].content[%zu].type", i, j), type ? type : "", NULL);
        if (text->len)
            buf_addc(text, '\n');
        buf_adds(text, s);
    }
    *out = buf_str(text);
    return true;
}

struct parsed {
    const char *role, *text, *tool_call_id;
};

static bool parse_message(struct request *req, json_object *m, size_t i, struct parsed *out, struct fault *f)
{
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool", "function", NULL};
    if (!json_object_is_type(m, json_type_object))
        return bad(f, arena_printf(req->arena, "messages[%zu]", i), "an object");
    out->role = json_str(m, "role");
    if (!one_of(out->role, roles))
        return bad(f, arena_printf(req->arena, "messages[%zu].role", i),
                   "system, developer, user, assistant, tool or function");
    out->tool_call_id = json_str(m, "tool_call_id");
    if (strcmp(out->role, "tool") == 0 && !out->tool_call_id)
        return fault_set(f, FAULT_INVALID, MSG_required, arena_printf(req->arena, "messages[%zu].tool_call_id", i),
                         "tool_call_id", NULL);
    return content_text(req, m, i, &out->text, f);
}

static bool is(const struct parsed *m, const char *role)
{
    return strcmp(m->role, role) == 0;
}

/* The conversation ends with answers to tool calls: they are the input. */
static void take_tool_results(struct request *req, struct completion *c, const struct parsed *m, size_t n)
{
    size_t first = n;
    while (first && is(&m[first - 1], "tool"))
        first--;
    c->tool_results = ARENA_ARRAY(req->arena, struct llm_message, n - first);
    for (size_t i = first; i < n; i++)
        c->tool_results[c->tool_result_count++] =
            (struct llm_message){.role = LLM_TOOL, .text = m[i].text, .tool_call_id = m[i].tool_call_id};
    c->input = "";
}

static bool blank(const char *s)
{
    return s[strspn(s, " \t\r\n")] == '\0';
}

/* Contract 03 §1.6: the last user message is the input; texts before it are context of this run. */
static void take_conversation(struct request *req, struct completion *c, const struct parsed *m, size_t n)
{
    size_t last = n;
    while (last && !is(&m[last - 1], "user"))
        last--;
    if (!last || blank(m[last - 1].text))
        return;
    c->input = m[last - 1].text;
    c->context = ARENA_ARRAY(req->arena, struct llm_message, last);
    for (size_t i = 0; i + 1 < last; i++) {
        bool user = is(&m[i], "user");
        if ((user || is(&m[i], "assistant")) && !blank(m[i].text))
            c->context[c->context_count++] =
                (struct llm_message){.role = user ? LLM_USER : LLM_ASSISTANT, .text = m[i].text};
    }
}

static bool parse_messages(struct request *req, struct completion *c, struct fault *f)
{
    json_object *list = json_get(req->body, "messages");
    if (list && !json_object_is_type(list, json_type_array))
        return bad(f, "messages", "an array");
    size_t n = list ? json_object_array_length(list) : 0;
    if (!n)
        return fault_set(f, FAULT_INVALID, MSG_messages_required, "messages", NULL, NULL);
    struct parsed *m = ARENA_ARRAY(req->arena, struct parsed, n);
    struct buf *system = buf_new(req->arena, req->raw_len);
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        if (!parse_message(req, json_object_array_get_idx(list, i), i, &m[i], f))
            return false;
        length += strlen(m[i].text);
        if (length > TEXT_MAX)
            return bad(f, "messages", "a list with at most 16 MiB of text");
        if ((is(&m[i], "system") || is(&m[i], "developer")) && *m[i].text) {
            buf_adds(system, system->len ? "\n\n" : "");
            buf_adds(system, m[i].text);
        }
    }
    c->system = system->len ? buf_str(system) : NULL;
    if (is(&m[n - 1], "tool")) {
        take_tool_results(req, c, m, n);
        return true;
    }
    take_conversation(req, c, m, n);
    return true;
}

static bool flag(json_object *o, const char *name, const char *param, bool *out, struct fault *f)
{
    json_object *v = json_get(o, name);
    if (v && !json_object_is_type(v, json_type_boolean))
        return bad(f, param, "true or false");
    *out = v && json_object_get_boolean(v);
    return true;
}

/* The header wins over the body. */
static bool parse_session(struct request *req, struct completion *c, struct fault *f)
{
    json_object *metadata = json_get(req->body, "metadata");
    json_object *key = json_object_is_type(metadata, json_type_object) ? json_get(metadata, "session_key") : NULL;
    if (key && !json_object_is_type(key, json_type_string))
        return bad(f, "metadata.session_key", "a string");
    c->session = req_header(req, "X-GoClaw-Session-Key");
    c->session_param = "X-GoClaw-Session-Key";
    if (!c->session && key) {
        c->session = json_object_get_string(key);
        c->session_param = "metadata.session_key";
    }
    if (c->session && !*c->session)
        c->session = NULL;
    return true;
}

static bool parse_top(struct request *req, struct completion *c, struct fault *f)
{
    json_object *body = req->body, *options = json_get(body, "stream_options");
    c->model = json_str(body, "model");
    /* It is echoed in every chunk of a stream. */
    if (json_get(body, "model") && (!c->model || strlen(c->model) > MODEL_MAX))
        return bad(f, "model", "a string of at most 255 bytes");
    if (!flag(body, "stream", "stream", &c->stream, f))
        return false;
    if (options && !json_object_is_type(options, json_type_object))
        return bad(f, "stream_options", "an object");
    if (options && !flag(options, "include_usage", "stream_options.include_usage", &c->include_usage, f))
        return false;
    c->user = json_str(body, "user");
    if (json_get(body, "user") && !c->user)
        return bad(f, "user", "a string");
    if (c->user && !*c->user)
        c->user = NULL;
    if (c->user && !utf8_user_id_valid(c->user, strlen(c->user)))
        return fault_set(f, FAULT_INVALID, MSG_invalid_user_id, "user", NULL, NULL);
    return parse_session(req, c, f);
}

bool completion_parse(struct request *req, struct completion *c, struct fault *f)
{
    return parse_messages(req, c, f) && parse_top(req, c, f) && parse_params(req->body, &c->params, f) &&
           parse_tools(req, c, f);
}

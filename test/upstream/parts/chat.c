#include "test/upstream/parts/chat.h"

#define DEFAULT_MODEL "upstream-small"

static const char *string_of(json_object *o, const char *key)
{
    json_object *v = NULL;
    return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_string)
               ? json_object_get_string(v)
               : NULL;
}

static bool flag_of(json_object *o, const char *key)
{
    json_object *v = NULL;
    return json_object_object_get_ex(o, key, &v) && json_object_get_boolean(v);
}

static json_object *array_of(json_object *o, const char *key)
{
    json_object *v = NULL;
    return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_array) ? v : NULL;
}

static bool text_is(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

/* A message's content, a string or an array of parts, as text; tool results inside parts included. */
static void content_text(json_object *content, struct bytes *out)
{
    if (json_object_is_type(content, json_type_string)) {
        bytes_add(out, json_object_get_string(content), (size_t)json_object_get_string_len(content));
        return;
    }
    size_t n = json_object_is_type(content, json_type_array) ? json_object_array_length(content) : 0;
    for (size_t i = 0; i < n; i++) {
        json_object *part = json_object_array_get_idx(content, i);
        json_object *inner = NULL;
        const char *text = string_of(part, "text");
        if (text) {
            bytes_text(out, text);
        } else if (json_object_object_get_ex(part, "content", &inner)) {
            content_text(inner, out);
        }
    }
}

static bool has_part(json_object *message, const char *type)
{
    json_object *content = array_of(message, "content");
    size_t n = content ? json_object_array_length(content) : 0;
    for (size_t i = 0; i < n; i++) {
        if (text_is(string_of(json_object_array_get_idx(content, i), "type"), type)) {
            return true;
        }
    }
    return false;
}

static bool is_tool_result(json_object *message)
{
    return text_is(string_of(message, "role"), "tool") || has_part(message, "tool_result");
}

static void find_directives(struct chat *c, const char *text)
{
    static const char mark[] = "@upstream ";
    const char *at = text;
    for (const char *next; (next = strstr(at, mark)) != NULL;) {
        at = next + sizeof mark - 1;
        c->directives = at;
        c->directives_len = strcspn(at, " \r\n");
    }
}

static void directives_of(struct chat *c, json_object *message)
{
    json_object *content = NULL;
    json_object_object_get_ex(message, "content", &content);
    if (json_object_is_type(content, json_type_string)) {
        find_directives(c, json_object_get_string(content));
    }
    size_t n = json_object_is_type(content, json_type_array) ? json_object_array_length(content) : 0;
    for (size_t i = 0; i < n; i++) {
        const char *text = string_of(json_object_array_get_idx(content, i), "text");
        if (text) {
            find_directives(c, text);
        }
    }
}

bool chat_read(struct chat *c, const char *body, size_t n)
{
    *c = (struct chat){0};
    json_tokener *tokener = json_tokener_new_ex(128);
    if (!tokener || n > INT32_MAX) {
        abort();
    }
    c->root = json_tokener_parse_ex(tokener, body, (int)n);
    json_tokener_free(tokener);
    json_object *messages = array_of(c->root, "messages");
    if (!messages) {
        return false;
    }
    c->model = string_of(c->root, "model");
    c->model = c->model ? c->model : DEFAULT_MODEL;
    c->stream = flag_of(c->root, "stream");
    json_object *options = NULL;
    c->include_usage = json_object_object_get_ex(c->root, "stream_options", &options) &&
                       flag_of(options, "include_usage");
    size_t count = json_object_array_length(messages);
    c->tool_results = count > 0 && is_tool_result(json_object_array_get_idx(messages, count - 1));
    json_object *last_user = NULL;
    for (size_t i = 0; i < count; i++) {
        json_object *message = json_object_array_get_idx(messages, i);
        const char *role = string_of(message, "role");
        c->turns += text_is(role, "assistant");
        if (text_is(role, "user") && !is_tool_result(message)) {
            last_user = message;
        }
    }
    directives_of(c, last_user);
    return true;
}

bool chat_skim(struct chat *c, const char *body, size_t n)
{
    static const char *const marks[] = {"@upstream ", "\"stream\":true", "\"stream\": true", "\"tool_call_id\"",
                                        "\"tool_result\""};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (memmem(body, n, marks[i], strlen(marks[i]))) {
            return false;
        }
    }
    *c = (struct chat){.model = DEFAULT_MODEL};
    return memmem(body, n, "\"messages\"", 10) != NULL;
}

void chat_results(const struct chat *c, struct bytes *out)
{
    json_object *messages = array_of(c->root, "messages");
    size_t count = json_object_array_length(messages);
    size_t first = count;
    while (first > 0 && is_tool_result(json_object_array_get_idx(messages, first - 1))) {
        first--;
    }
    for (size_t i = first; i < count; i++) {
        json_object *content = NULL;
        json_object_object_get_ex(json_object_array_get_idx(messages, i), "content", &content);
        bytes_text(out, i > first ? "; " : "");
        content_text(content, out);
    }
}

static void describe_message(json_object *message, struct bytes *out)
{
    struct bytes text = {0};
    json_object *content = NULL;
    json_object_object_get_ex(message, "content", &content);
    content_text(content, &text);
    bytes_text(out, "{\"role\":");
    bytes_json(out, string_of(message, "role"));
    bytes_text(out, ",\"text\":\"");
    bytes_escape(out, text.p, text.len);
    bytes_text(out, "\"");
    json_object *calls = array_of(message, "tool_calls");
    if (calls) {
        bytes_format(out, ",\"tool_calls\":%zu", json_object_array_length(calls));
    }
    bytes_text(out, "}");
    bytes_free(&text);
}

void chat_describe(const struct chat *c, struct bytes *out)
{
    json_object *messages = array_of(c->root, "messages");
    json_object *tools = array_of(c->root, "tools");
    json_object *system = NULL;
    bytes_text(out, "{\"model\":");
    bytes_json(out, c->model);
    if (json_object_object_get_ex(c->root, "system", &system)) {
        struct bytes text = {0};
        content_text(system, &text);
        bytes_text(out, ",\"system\":\"");
        bytes_escape(out, text.p, text.len);
        bytes_text(out, "\"");
        bytes_free(&text);
    }
    bytes_text(out, ",\"messages\":[");
    for (size_t i = 0; i < json_object_array_length(messages); i++) {
        bytes_text(out, i ? "," : "");
        describe_message(json_object_array_get_idx(messages, i), out);
    }
    bytes_text(out, "],\"tools\":[");
    for (size_t i = 0; tools && i < json_object_array_length(tools); i++) {
        json_object *tool = json_object_array_get_idx(tools, i);
        json_object *function = NULL;
        bytes_text(out, i ? "," : "");
        bytes_json(out, string_of(json_object_object_get_ex(tool, "function", &function) ? function : tool, "name"));
    }
    bytes_text(out, "]}");
}

void chat_free(struct chat *c)
{
    json_object_put(c->root);
    *c = (struct chat){0};
}

#include "llm/openai.h"

enum {
    BODY_MAX = 16 << 20,
    EVENT_MAX = 4 << 20,
    ERROR_BODY_MAX = 64 << 10,
    RAW_MAX = 4096,
};

void openai_reader_init(struct openai_reader *rd, struct arena *a, struct reply *reply, struct wire_result *result,
                        int status, const char *content_type)
{
    *rd = (struct openai_reader){.arena = a, .reply = reply, .result = result, .status = status};
    rd->content_type = content_type;
    rd->accepted = status >= 200 && status < 300;
    buf_init(&rd->body, rd->accepted ? BODY_MAX : ERROR_BODY_MAX);
    sse_init(&rd->sse, EVENT_MAX);
    *result = (struct wire_result){.status = status, .retry_after_ms = -1, .reason = "", .raw = ""};
}

void openai_reader_release(struct openai_reader *rd)
{
    upstream_json_release(&rd->json);
    buf_release(&rd->body);
    sse_release(&rd->sse);
}

static bool fail(struct openai_reader *rd, int status, bool transient, const char *reason)
{
    rd->failed = true;
    rd->result->status = status;
    rd->result->transient = transient;
    rd->result->reason = arena_strdup(rd->arena, reason);
    return false;
}

static void keep_raw(struct openai_reader *rd, const char *text, size_t n)
{
    rd->result->raw = arena_strndup(rd->arena, text, n < RAW_MAX ? n : RAW_MAX);
}

/* --- pieces of an answer --- */

typedef bool reply_fn(struct reply *r, const char *s, size_t n);

static bool take_string(struct openai_reader *rd, const struct json_node *value, reply_fn *to)
{
    size_t n;
    const char *s = upstream_json_text(&rd->json, value, &n);
    return n == 0 || to(rd->reply, s, n);
}

/* Content is a string, or parts of {type:"text",text} and {type:"thinking",thinking:[parts]}. */
static bool take_content(struct openai_reader *rd, const struct json_node *value, reply_fn *to)
{
    if (json_node_is(value, JSON_STRING))
        return take_string(rd, value, to);
    if (!json_node_is(value, JSON_ARRAY))
        return true;
    for (const struct json_node *part = value->first; part; part = part->next) {
        const struct json_node *text = json_node_get(part, "text");
        const struct json_node *thinking = json_node_get(part, "thinking");
        if (json_node_is(text, JSON_STRING) && !take_string(rd, text, to))
            return false;
        if (thinking && to == reply_text && !take_content(rd, thinking, reply_thinking))
            return false;
    }
    return true;
}

static bool take_tool_call(struct openai_reader *rd, const struct json_node *call, int64_t index)
{
    const struct json_node *function = json_node_get(call, "function");
    const struct json_node *arguments = json_node_get(function, "arguments");
    const char *text = NULL;
    size_t n = 0;
    if (json_node_is(arguments, JSON_STRING)) {
        text = upstream_json_text(&rd->json, arguments, &n);
    } else if (json_node_is(arguments, JSON_OBJECT)) {
        text = arguments->text;
        n = arguments->len;
    }
    return reply_tool_call(rd->reply, index, json_node_str(call, "id"), json_node_str(function, "name"), text, n);
}

static bool take_tool_calls(struct openai_reader *rd, const struct json_node *calls, bool whole)
{
    if (!json_node_is(calls, JSON_ARRAY))
        return true;
    int64_t place = 0;
    for (const struct json_node *call = calls->first; call; call = call->next, place++) {
        /* The calls of a plain answer are whole and stand in order; an index there means nothing. */
        int64_t index = whole ? place : json_node_int(call, "index", -1);
        if (json_node_is(call, JSON_OBJECT) && !take_tool_call(rd, call, index))
            return false;
    }
    return true;
}

static bool take_message(struct openai_reader *rd, const struct json_node *m, bool whole)
{
    const struct json_node *thinking = json_node_get(m, "reasoning_content");
    if (!thinking)
        thinking = json_node_get(m, "reasoning");
    const struct json_node *content = json_node_get(m, "content");
    if (!content)
        content = json_node_get(m, "refusal");
    return take_content(rd, thinking, reply_thinking) && take_content(rd, content, reply_text) &&
           take_tool_calls(rd, json_node_get(m, "tool_calls"), whole);
}

static void take_finish(struct reply *r, const char *why)
{
    static const struct {
        const char *word;
        enum llm_finish finish;
    } words[] = {
        {"length", LLM_LENGTH},           {"max_tokens", LLM_LENGTH},       {"model_length", LLM_LENGTH},
        {"tool_calls", LLM_TOOL_CALLS},   {"function_call", LLM_TOOL_CALLS}, {"content_filter", LLM_CONTENT_FILTER},
    };
    if (!why || !*why)
        return;
    r->finished = true;
    r->finish = LLM_STOP;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(words[i].word, why) == 0)
            r->finish = words[i].finish;
}

static int64_t count(const struct json_node *o, const char *key)
{
    int64_t v = json_node_int(o, key, 0);
    return v > 0 && v <= INT32_MAX ? v : 0;
}

static int64_t first_count(int64_t a, int64_t b)
{
    return a > 0 ? a : b;
}

static void take_usage(struct reply *r, const struct json_node *u)
{
    if (!json_node_is(u, JSON_OBJECT))
        return;
    const struct json_node *prompt = json_node_get(u, "prompt_tokens_details");
    const struct json_node *completion = json_node_get(u, "completion_tokens_details");
    r->usage = (struct llm_usage){
        .prompt_tokens = count(u, "prompt_tokens"),
        .completion_tokens = count(u, "completion_tokens"),
        .total_tokens = count(u, "total_tokens"),
        .cached_tokens = first_count(count(prompt, "cached_tokens"), count(u, "prompt_cache_hit_tokens")),
        .cache_creation_tokens =
            first_count(count(prompt, "cache_creation_tokens"), count(u, "cache_creation_input_tokens")),
        .reasoning_tokens = count(completion, "reasoning_tokens"),
    };
    if (r->usage.total_tokens == 0)
        r->usage.total_tokens = r->usage.prompt_tokens + r->usage.completion_tokens;
}

static const struct json_node *first_choice(const struct json_node *root)
{
    const struct json_node *choices = json_node_get(root, "choices");
    if (!json_node_is(choices, JSON_ARRAY))
        return NULL;
    for (const struct json_node *choice = choices->first; choice; choice = choice->next)
        if (json_node_is(choice, JSON_OBJECT) && json_node_int(choice, "index", 0) == 0)
            return choice;
    return NULL;
}

static bool is_error(const struct json_node *error)
{
    return json_node_is(error, JSON_OBJECT) || (json_node_is(error, JSON_STRING) && error->len > 0);
}

static bool fail_in_band(struct openai_reader *rd, const struct json_node *o)
{
    const char *text = upstream_error_text(o);
    int status = upstream_error_status(o);
    if (status == 400)
        rd->result->max_tokens = wire_max_tokens_hint(text ? text : "");
    return fail(rd, status, wire_status_transient(status), text ? text : "the upstream reported an error");
}

/* One object of a stream, or a whole plain answer. */
static bool take_object(struct openai_reader *rd, const struct json_node *root, bool whole)
{
    const struct json_node *choice = first_choice(root);
    if (is_error(json_node_get(root, "error")))
        return fail_in_band(rd, root);
    if (is_error(json_node_get(choice, "error")))
        return fail_in_band(rd, choice);
    const struct json_node *message = json_node_get(choice, whole ? "message" : "delta");
    if (!message)
        message = json_node_get(choice, whole ? "delta" : "message");
    if (whole && !message) {
        const char *text = upstream_error_text(root);
        return fail(rd, 502, false, text ? text : "the answer holds no choices");
    }
    if (message && !take_message(rd, message, whole))
        return fail(rd, 502, false, "the answer is larger than 8 MiB or holds more than 128 tool calls");
    take_finish(rd->reply, json_node_str(choice, "finish_reason"));
    const struct json_node *usage = json_node_get(root, "usage");
    take_usage(rd->reply, usage ? usage : json_node_get(json_node_get(root, "x_groq"), "usage"));
    return true;
}

static bool take_text(struct openai_reader *rd, const char *text, size_t len, bool whole, bool is_error_event)
{
    upstream_json_read(&rd->json, text, len);
    const struct json_node *root = rd->json.root;
    if (!json_node_is(root, JSON_OBJECT))
        return !whole || fail(rd, 502, true, "the answer is not valid JSON");
    bool ok = is_error_event ? fail_in_band(rd, root) : take_object(rd, root, whole);
    if (!ok)
        keep_raw(rd, text, len);
    return ok;
}

static bool on_event(void *ctx, const struct sse_event *e)
{
    struct openai_reader *rd = ctx;
    rd->events++;
    if (rd->done || e->len == 0)
        return true;
    if (strcmp(e->data, "[DONE]") == 0) {
        rd->done = true;
        return true;
    }
    return take_text(rd, e->data, e->len, false, strcmp(e->name, "error") == 0);
}

/* --- the body as bytes --- */

/* The first byte that is neither blank nor part of a BOM tells the forms apart, whatever the headers claim. */
static enum openai_form form_of(const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strchr(" \t\r\n\xEF\xBB\xBF", bytes[i]) && bytes[i])
            continue;
        if (bytes[i] == '{')
            return OPENAI_JSON;
        return bytes[i] && strchr("deir:", bytes[i]) ? OPENAI_EVENTS : OPENAI_ALIEN;
    }
    return OPENAI_UNDECIDED;
}

static bool feed_events(struct openai_reader *rd, const char *bytes, size_t n)
{
    if (sse_feed(&rd->sse, bytes, n, on_event, rd))
        return true;
    return rd->failed ? false : fail(rd, 502, false, "one event of the stream is larger than 4 MiB");
}

bool openai_reader_feed(struct openai_reader *rd, const char *bytes, size_t n)
{
    if (rd->failed)
        return false;
    if (rd->form == OPENAI_UNDECIDED && rd->accepted)
        rd->form = form_of(bytes, n);
    bool ok = true;
    if (rd->form == OPENAI_EVENTS) {
        ok = feed_events(rd, bytes, n);
    } else if (!rd->accepted || rd->form == OPENAI_ALIEN) {
        size_t room = ERROR_BODY_MAX - rd->body.len;
        buf_add(&rd->body, bytes, n < room ? n : room);
        ok = n < room;
    } else if (rd->form == OPENAI_JSON) {
        ok = buf_add(&rd->body, bytes, n) || fail(rd, 502, false, "the answer is larger than 16 MiB");
    }
    return ok;
}

void openai_reader_flush(struct openai_reader *rd)
{
    reply_flush(rd->reply);
}

/* The body of an answer that is not 2xx. Some send it framed as an event, some as an array, some as a page. */
static void finish_error(struct openai_reader *rd)
{
    const char *text = buf_str(&rd->body), *brace = strpbrk(text, "{[");
    struct upstream_json *j = &rd->json;
    keep_raw(rd, text, rd->body.len);
    j->root = NULL;
    if (brace && text[strspn(text, " \t\r\n")] != '<') {
        upstream_json_read(j, brace, rd->body.len - (size_t)(brace - text));
        if (!j->root)
            upstream_json_read(j, brace, strcspn(brace, "\r\n"));
    }
    const char *message = upstream_error_text(j->root);
    const char *said = message ? message : brace || strchr(text, '<') ? "" : text;
    bool redirect = rd->status >= 300 && rd->status < 400;
    fail(rd, rd->status, wire_status_transient(rd->status),
         arena_printf(rd->arena, "HTTP %d%s%s", rd->status,
                      *said ? ": " : redirect ? ": redirects are not followed" : "", said));
    rd->result->max_tokens = rd->status == 400 || rd->status == 422 ? wire_max_tokens_hint(text) : 0;
}

static void finish_alien(struct openai_reader *rd)
{
    keep_raw(rd, buf_str(&rd->body), rd->body.len);
    fail(rd, rd->status, false,
         arena_printf(rd->arena, "the answer is %s instead of JSON; is the base URL right?",
                      rd->content_type && *rd->content_type ? rd->content_type : "something else"));
    rd->result->blocked = true;
}

static void finish_events(struct openai_reader *rd, const char *network_error)
{
    if (!sse_finish(&rd->sse, on_event, rd)) {
        if (!rd->failed)
            fail(rd, 502, false, "one event of the stream is larger than 4 MiB");
        return;
    }
    rd->result->ok = rd->done || rd->reply->finished;
    if (rd->result->ok)
        return;
    const char *why = !network_error    ? "stream truncated"
                      : rd->events == 0 ? network_error
                                        : arena_printf(rd->arena, "stream truncated: %s", network_error);
    fail(rd, 0, true, why);
}

/* Blanks and a BOM may stand before the object. */
static void finish_json(struct openai_reader *rd)
{
    size_t skip = strcspn(buf_str(&rd->body), "{");
    rd->result->ok = take_text(rd, rd->body.data + skip, rd->body.len - skip, true, false);
}

void openai_reader_finish(struct openai_reader *rd, const char *network_error)
{
    if (rd->failed)
        return;
    if (rd->form == OPENAI_EVENTS)
        finish_events(rd, network_error);
    else if (!rd->accepted && rd->status > 0)
        finish_error(rd);
    else if (network_error)
        fail(rd, 0, true, network_error);
    else if (rd->form == OPENAI_ALIEN)
        finish_alien(rd);
    else if (rd->body.len == 0)
        fail(rd, 0, true, "the answer is empty");
    else
        finish_json(rd);
    reply_flush(rd->reply);
}

#include "llm/openai.h"

#include "llm/upstream_json.h"

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

struct source {
    struct openai_reader *rd;
    bool repaired;
    struct buf scratch;
};

typedef bool reply_fn(struct reply *r, const char *s, size_t n);

static bool take_string(struct source *src, json_object *value, reply_fn *to)
{
    size_t n;
    const char *s = upstream_json_text(value, src->repaired, &src->scratch, &n);
    return n == 0 || to(src->rd->reply, s, n);
}

/* Content is a string, or parts of {type:"text",text} and {type:"thinking",thinking:[parts]}. */
static bool take_content(struct source *src, json_object *value, reply_fn *to)
{
    if (json_object_is_type(value, json_type_string))
        return take_string(src, value, to);
    if (!json_object_is_type(value, json_type_array))
        return true;
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        json_object *part = json_object_array_get_idx(value, i);
        if (!json_object_is_type(part, json_type_object))
            continue;
        json_object *text = json_get(part, "text");
        json_object *thinking = json_get(part, "thinking");
        if (json_object_is_type(text, json_type_string) && !take_string(src, text, to))
            return false;
        if (thinking && to == reply_text && !take_content(src, thinking, reply_thinking))
            return false;
    }
    return true;
}

static bool take_tool_call(struct source *src, json_object *call)
{
    json_object *function = json_get(call, "function");
    json_object *arguments = json_get(function, "arguments");
    const char *text = NULL;
    size_t n = 0;
    if (json_object_is_type(arguments, json_type_string)) {
        text = upstream_json_text(arguments, src->repaired, &src->scratch, &n);
    } else if (json_object_is_type(arguments, json_type_object)) {
        text = json_object_to_json_string_ext(arguments, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        n = strlen(text);
    }
    return reply_tool_call(src->rd->reply, json_int(call, "index", -1), json_str(call, "id"),
                           json_str(function, "name"), text, n);
}

static bool take_tool_calls(struct source *src, json_object *calls, bool whole)
{
    if (!json_object_is_type(calls, json_type_array))
        return true;
    for (size_t i = 0; i < json_object_array_length(calls); i++) {
        json_object *call = json_object_array_get_idx(calls, i);
        if (!json_object_is_type(call, json_type_object))
            continue;
        /* The calls of a plain answer are whole and stand in order; an index there means nothing. */
        if (whole)
            json_object_object_add(call, "index", json_object_new_int64((int64_t)i));
        if (!take_tool_call(src, call))
            return false;
    }
    return true;
}

static bool take_message(struct source *src, json_object *m, bool whole)
{
    json_object *thinking = json_get(m, "reasoning_content");
    if (!thinking)
        thinking = json_get(m, "reasoning");
    json_object *content = json_get(m, "content");
    if (!content)
        content = json_get(m, "refusal");
    return take_content(src, thinking, reply_thinking) && take_content(src, content, reply_text) &&
           take_tool_calls(src, json_get(m, "tool_calls"), whole);
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

static int64_t count(json_object *o, const char *key)
{
    int64_t v = o ? json_int(o, key, 0) : 0;
    return v > 0 && v <= INT32_MAX ? v : 0;
}

static int64_t first_count(int64_t a, int64_t b)
{
    return a > 0 ? a : b;
}

static void take_usage(struct reply *r, json_object *u)
{
    if (!json_object_is_type(u, json_type_object))
        return;
    json_object *prompt = json_get(u, "prompt_tokens_details");
    json_object *completion = json_get(u, "completion_tokens_details");
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

static json_object *first_choice(json_object *root)
{
    json_object *choices = json_get(root, "choices");
    if (!json_object_is_type(choices, json_type_array))
        return NULL;
    for (size_t i = 0; i < json_object_array_length(choices); i++) {
        json_object *choice = json_object_array_get_idx(choices, i);
        if (json_object_is_type(choice, json_type_object) && json_int(choice, "index", 0) == 0)
            return choice;
    }
    return NULL;
}

static bool is_error(json_object *error)
{
    return json_object_is_type(error, json_type_object) ||
           (json_object_is_type(error, json_type_string) && json_object_get_string_len(error) > 0);
}

static bool fail_in_band(struct openai_reader *rd, json_object *o)
{
    const char *text = upstream_error_text(o);
    int status = upstream_error_status(o);
    if (status == 400)
        rd->result->max_tokens = wire_max_tokens_hint(text ? text : "");
    return fail(rd, status, wire_status_transient(status), text ? text : "the upstream reported an error");
}

/* One object of a stream, or a whole plain answer. */
static bool take_object(struct source *src, json_object *root, bool whole)
{
    struct openai_reader *rd = src->rd;
    json_object *choice = first_choice(root);
    if (is_error(json_get(root, "error")))
        return fail_in_band(rd, root);
    if (is_error(json_get(choice, "error")))
        return fail_in_band(rd, choice);
    json_object *message = json_get(choice, whole ? "message" : "delta");
    if (!message)
        message = json_get(choice, whole ? "delta" : "message");
    if (whole && !message) {
        const char *text = upstream_error_text(root);
        return fail(rd, 502, false, text ? text : "the answer holds no choices");
    }
    if (message && !take_message(src, message, whole))
        return fail(rd, 502, false, "the answer is larger than 8 MiB or holds more than 128 tool calls");
    take_finish(rd->reply, json_str(choice, "finish_reason"));
    json_object *usage = json_get(root, "usage");
    take_usage(rd->reply, usage ? usage : json_get(json_get(root, "x_groq"), "usage"));
    return true;
}

static bool take_text(struct openai_reader *rd, const char *text, size_t len, bool whole, bool is_error_event)
{
    struct upstream_json j = upstream_json_parse(text, len);
    if (!json_object_is_type(j.root, json_type_object)) {
        json_object_put(j.root);
        return !whole || fail(rd, 502, true, "the answer is not valid JSON");
    }
    struct source src = {.rd = rd, .repaired = j.repaired, .scratch = BUF_INIT(len + 1)};
    bool ok = is_error_event ? fail_in_band(rd, j.root) : take_object(&src, j.root, whole);
    if (!ok)
        keep_raw(rd, text, len);
    buf_release(&src.scratch);
    json_object_put(j.root);
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
    struct upstream_json j = {0};
    keep_raw(rd, text, rd->body.len);
    if (brace && text[strspn(text, " \t\r\n")] != '<') {
        j = upstream_json_parse(brace, rd->body.len - (size_t)(brace - text));
        if (!j.root)
            j = upstream_json_parse(brace, strcspn(brace, "\r\n"));
    }
    const char *message = upstream_error_text(j.root);
    const char *said = message ? message : brace || strchr(text, '<') ? "" : text;
    bool redirect = rd->status >= 300 && rd->status < 400;
    fail(rd, rd->status, wire_status_transient(rd->status),
         arena_printf(rd->arena, "HTTP %d%s%s", rd->status,
                      *said ? ": " : redirect ? ": redirects are not followed" : "", said));
    rd->result->max_tokens = rd->status == 400 || rd->status == 422 ? wire_max_tokens_hint(text) : 0;
    json_object_put(j.root);
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

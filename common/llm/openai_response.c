#include "llm/openai.h"

/* Content is a string, or parts of {type:"text",text} and {type:"thinking",thinking:[parts]}. */
static bool take_content(struct reader *rd, const struct json_node *value, reply_fn *to)
{
    if (json_node_is(value, JSON_STRING))
        return reader_text(rd, value, to);
    if (!json_node_is(value, JSON_ARRAY))
        return true;
    for (const struct json_node *part = value->first; part; part = part->next) {
        const struct json_node *text = json_node_get(part, "text");
        const struct json_node *thinking = json_node_get(part, "thinking");
        if (json_node_is(text, JSON_STRING) && !reader_text(rd, text, to))
            return false;
        if (thinking && to == reply_text && !take_content(rd, thinking, reply_thinking))
            return false;
    }
    return true;
}

/* Gemini's, of what was thought before the call. */
static bool take_signature(struct reader *rd, const struct json_node *call, int64_t index)
{
    const struct json_node *google = json_node_get(json_node_get(call, "extra_content"), "google");
    const struct json_node *signature = json_node_get(google, "thought_signature");
    return !json_node_is(signature, JSON_STRING) ||
           reply_call_signature(rd->reply, index, signature->text, signature->len);
}

static bool take_tool_call(struct reader *rd, const struct json_node *call, int64_t index)
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
    return reply_tool_call(rd->reply, index, json_node_str(call, "id"), json_node_str(function, "name"), text, n) &&
           take_signature(rd, call, index);
}

static bool take_tool_calls(struct reader *rd, const struct json_node *calls, bool whole)
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

static bool take_message(struct reader *rd, const struct json_node *m, bool whole)
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

/* Words by which a stream says that it ends because something broke. */
static bool is_broken(const char *why)
{
    static const char *const words[] = {"error", "insufficient_system_resource"};
    for (size_t i = 0; why && i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(words[i], why) == 0)
            return true;
    return false;
}

static int64_t first_count(int64_t a, int64_t b)
{
    return a > 0 ? a : b;
}

/* An object without counts says nothing: some send it with every chunk, also after the one that counts. */
static void take_usage(struct reply *r, const struct json_node *u)
{
    if (!json_node_get(u, "prompt_tokens") && !json_node_get(u, "completion_tokens") && !json_node_get(u, "total_tokens"))
        return;
    const struct json_node *prompt = json_node_get(u, "prompt_tokens_details");
    const struct json_node *completion = json_node_get(u, "completion_tokens_details");
    r->usage = (struct llm_usage){
        .prompt_tokens = reader_count(u, "prompt_tokens"),
        .completion_tokens = reader_count(u, "completion_tokens"),
        .total_tokens = reader_count(u, "total_tokens"),
        .cached_tokens = first_count(reader_count(prompt, "cached_tokens"), reader_count(u, "prompt_cache_hit_tokens")),
        .cache_creation_tokens =
            first_count(reader_count(prompt, "cache_creation_tokens"), reader_count(u, "cache_creation_input_tokens")),
        .reasoning_tokens = reader_count(completion, "reasoning_tokens"),
    };
    if (r->usage.total_tokens == 0)
        r->usage.total_tokens = r->usage.prompt_tokens + r->usage.completion_tokens;
}

/* Kimi puts it into the choice, Groq into a member of its own. */
static const struct json_node *usage_of(const struct json_node *root, const struct json_node *choice)
{
    const struct json_node *usage = json_node_get(root, "usage");
    if (!usage)
        usage = json_node_get(choice, "usage");
    return usage ? usage : json_node_get(json_node_get(root, "x_groq"), "usage");
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

/* Nothing came yet. Some end a stream with the whole message once more. */
static bool is_untouched(const struct reply *r)
{
    return r->text.all.len + r->text.held_len + r->thinking.all.len + r->thinking.held_len + r->call_count == 0;
}

/* One object of a stream, or a whole plain answer. */
static bool take_object(struct reader *rd, const struct json_node *root, bool whole)
{
    const struct json_node *choice = first_choice(root);
    if (is_error(json_node_get(root, "error")) || upstream_is_base_error(root))
        return reader_fail_in_band(rd, root);
    if (is_error(json_node_get(choice, "error")))
        return reader_fail_in_band(rd, choice);
    const char *why = json_node_str(choice, "finish_reason");
    const struct json_node *message = json_node_get(choice, whole ? "message" : "delta");
    if (!message && (whole || is_untouched(rd->reply)))
        message = json_node_get(choice, whole ? "delta" : "message");
    if (whole && !message) {
        const char *text = upstream_error_text(root);
        return reader_fail(rd, 502, false, text ? text : "the answer holds no choices");
    }
    if (message && !take_message(rd, message, whole))
        return reader_fail_size(rd);
    if (is_broken(why))
        return reader_fail(rd, 502, true, arena_printf(rd->arena, "the model stopped with the reason \"%s\"", why));
    take_finish(rd->reply, why);
    take_usage(rd->reply, usage_of(root, choice));
    return true;
}

static bool take(struct reader *rd, const struct json_node *root, const char *event)
{
    if (event && strcmp(event, "error") == 0)
        return reader_fail_in_band(rd, root);
    return take_object(rd, root, !event);
}

const struct dialect openai_dialect = {.take = take, .end = "[DONE]"};

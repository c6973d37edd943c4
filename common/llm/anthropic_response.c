/* Answers of the messages API: content blocks, whole or as events. */
#include "llm/anthropic.h"

#include "base/utf8.h"

enum { CHARS_PER_TOKEN = 4 };

/* ---- content ---- */

static bool take_text(struct reader *rd, const struct json_node *block, int64_t index)
{
    (void)index;
    return reader_text(rd, json_node_get(block, "text"), reply_text);
}

static bool take_thinking(struct reader *rd, const struct json_node *block, int64_t index)
{
    (void)index;
    return reader_text(rd, json_node_get(block, "thinking"), reply_thinking) &&
           reader_text(rd, json_node_get(block, "signature"), reply_signature);
}

static bool take_redacted(struct reader *rd, const struct json_node *block, int64_t index)
{
    (void)index;
    return reader_text(rd, json_node_get(block, "data"), reply_signature);
}

/* A stream opens a call with an empty input and brings it in pieces. */
static bool take_call(struct reader *rd, const struct json_node *block, int64_t index)
{
    const struct json_node *input = json_node_get(block, "input");
    bool filled = json_node_is(input, JSON_OBJECT) && input->first;
    return reply_tool_call(rd->reply, index, json_node_str(block, "id"), json_node_str(block, "name"),
                           filled ? input->text : NULL, filled ? input->len : 0);
}

/* A block of a plain answer, or as a stream opens it. Kinds that we did not ask for are passed over. */
static bool take_block(struct reader *rd, const struct json_node *block, int64_t index)
{
    static const struct {
        const char *type;
        enum llm_block_kind kind;
        bool (*take)(struct reader *rd, const struct json_node *block, int64_t index);
    } kinds[] = {
        {"text", LLM_BLOCK_TEXT, take_text},
        {"thinking", LLM_BLOCK_THINKING, take_thinking},
        {"redacted_thinking", LLM_BLOCK_REDACTED, take_redacted},
        {"tool_use", LLM_BLOCK_CALL, take_call},
    };
    const char *type = json_node_str(block, "type");
    for (size_t i = 0; type && i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].type, type) == 0)
            return (reply_block_open(rd->reply, index, kinds[i].kind) && kinds[i].take(rd, block, index)) ||
                   reader_fail_size(rd);
    return true;
}

/* ---- the end ---- */

static void take_stop(struct reply *r, const struct json_node *o)
{
    const char *why = json_node_str(o, "stop_reason");
    if (!why || !*why)
        return;
    r->finished = true;
    bool cut = strcmp(why, "max_tokens") == 0 || strcmp(why, "model_context_window_exceeded") == 0;
    r->finish = strcmp(why, "tool_use") == 0 ? LLM_TOOL_CALLS : cut ? LLM_LENGTH : LLM_STOP;
}

static int64_t newer(int64_t now, int64_t before)
{
    return now > 0 ? now : before;
}

/* Counts come in two parts in a stream, and what comes later is the truth. input_tokens are those beside the cache. */
static void take_usage(struct reply *r, const struct json_node *o)
{
    const struct json_node *u = json_node_get(o, "usage");
    struct llm_usage *sum = &r->usage;
    if (!json_node_is(u, JSON_OBJECT))
        return;
    int64_t fresh = sum->prompt_tokens - sum->cached_tokens - sum->cache_creation_tokens;
    fresh = newer(reader_count(u, "input_tokens"), fresh);
    sum->cached_tokens = newer(reader_count(u, "cache_read_input_tokens"), sum->cached_tokens);
    sum->cache_creation_tokens = newer(reader_count(u, "cache_creation_input_tokens"), sum->cache_creation_tokens);
    sum->prompt_tokens = fresh + sum->cached_tokens + sum->cache_creation_tokens;
    sum->completion_tokens = newer(reader_count(u, "output_tokens"), sum->completion_tokens);
    sum->total_tokens = sum->prompt_tokens + sum->completion_tokens;
    sum->reasoning_tokens = (int64_t)utf8_count(buf_str(&r->thinking.all), r->thinking.all.len) / CHARS_PER_TOKEN;
}

/* ---- events ---- */

static bool on_message_start(struct reader *rd, const struct json_node *e)
{
    take_usage(rd->reply, json_node_get(e, "message"));
    return true;
}

static bool on_block_start(struct reader *rd, const struct json_node *e)
{
    return take_block(rd, json_node_get(e, "content_block"), json_node_int(e, "index", -1));
}

static bool on_block_delta(struct reader *rd, const struct json_node *e)
{
    const struct json_node *delta = json_node_get(e, "delta"), *piece = json_node_get(delta, "partial_json");
    int64_t index = json_node_int(e, "index", -1);
    bool ok = take_text(rd, delta, index) && take_thinking(rd, delta, index);
    if (ok && json_node_is(piece, JSON_STRING) && reply_block_is(rd->reply, index, LLM_BLOCK_CALL)) {
        size_t n;
        const char *s = upstream_json_text(&rd->json, piece, &n);
        ok = reply_tool_call(rd->reply, index, NULL, NULL, s, n);
    }
    return ok || reader_fail_size(rd);
}

static bool on_message_delta(struct reader *rd, const struct json_node *e)
{
    take_stop(rd->reply, json_node_get(e, "delta"));
    take_usage(rd->reply, e);
    return true;
}

static bool on_message_stop(struct reader *rd, const struct json_node *e)
{
    (void)e;
    rd->done = true;
    return true;
}

/* It keeps the line alive and says nothing of the model: the stall clock goes on. */
static bool on_ping(struct reader *rd, const struct json_node *e)
{
    (void)e;
    rd->events--;
    return true;
}

static bool take_event(struct reader *rd, const struct json_node *e, const char *type)
{
    static const struct {
        const char *type;
        bool (*take)(struct reader *rd, const struct json_node *e);
    } events[] = {
        {"content_block_delta", on_block_delta}, {"content_block_start", on_block_start},
        {"message_start", on_message_start},     {"message_delta", on_message_delta},
        {"message_stop", on_message_stop},       {"ping", on_ping},
    };
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        if (strcmp(events[i].type, type) == 0)
            return events[i].take(rd, e);
    return true;
}

static bool take_whole(struct reader *rd, const struct json_node *root)
{
    const struct json_node *content = json_node_get(root, "content");
    if (!json_node_is(content, JSON_ARRAY)) {
        const char *text = upstream_error_text(root);
        return reader_fail(rd, 502, false, text ? text : "the answer holds no content");
    }
    int64_t index = 0;
    for (const struct json_node *block = content->first; block; block = block->next)
        if (!take_block(rd, block, index++))
            return false;
    take_stop(rd->reply, root);
    take_usage(rd->reply, root);
    return true;
}

static bool take(struct reader *rd, const struct json_node *root, const char *event)
{
    const char *type = json_node_str(root, "type");
    if (!type)
        type = event ? event : "";
    if (strcmp(type, "error") == 0 || json_node_is(json_node_get(root, "error"), JSON_OBJECT))
        return reader_fail_in_band(rd, root);
    return event ? take_event(rd, root, type) : take_whole(rd, root);
}

const struct dialect anthropic_dialect = {.take = take};

#include "test/upstream/parts/dialect.h"

static const char *stop_reason(const struct answer *a)
{
    static const struct {
        const char *openai, *anthropic;
    } names[] = {{"stop", "end_turn"}, {"length", "max_tokens"}, {"tool_calls", "tool_use"}};
    const char *finish = a->script.finish ? a->script.finish : a->calls ? "tool_calls" : "stop";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i].openai, finish) == 0) {
            return names[i].anthropic;
        }
    }
    return finish;
}

static void usage_object(const struct answer *a, struct bytes *out, long output)
{
    bytes_format(out,
                 "{\"input_tokens\":%ld,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":%ld,"
                 "\"output_tokens\":%ld}",
                 a->usage_in, a->usage_cached, output);
}

static void message_begin(const struct answer *a, struct bytes *out)
{
    bytes_format(out, "{\"id\":\"msg_%lu\",\"type\":\"message\",\"role\":\"assistant\",\"model\":", a->id);
    bytes_json(out, a->model);
    bytes_text(out, ",\"content\":[");
}

static void stream_open(const struct answer *a, struct bytes *out)
{
    answer_event_begin(a, out, "message_start");
    bytes_text(out, "{\"type\":\"message_start\",\"message\":");
    message_begin(a, out);
    bytes_text(out, "],\"stop_reason\":null,\"stop_sequence\":null");
    if (!a->script.nousage) {
        bytes_text(out, ",\"usage\":");
        usage_object(a, out, 1);
    }
    bytes_text(out, "}}");
    answer_event_end(a, out);
}

static void call_begin(const struct answer *a, struct bytes *out, long index)
{
    bytes_format(out, "{\"type\":\"tool_use\",\"id\":\"toolu_%d_%ld\",\"name\":", a->turns + 1, index + 1);
    bytes_json(out, a->script.tool);
    bytes_text(out, ",\"input\":");
}

static void block_start(const struct answer *a, struct bytes *out)
{
    enum answer_block kind = answer_block_at(a, a->block);
    answer_event_begin(a, out, "content_block_start");
    bytes_format(out, "{\"type\":\"content_block_start\",\"index\":%zu,\"content_block\":", a->block);
    if (kind == BLOCK_TOOL) {
        call_begin(a, out, answer_call_index(a, a->block));
        bytes_text(out, "{}}}");
    } else if (kind == BLOCK_REASONING) {
        bytes_text(out, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}");
    } else {
        bytes_text(out, "{\"type\":\"text\",\"text\":\"\"}}");
    }
    answer_event_end(a, out);
    if (a->block == 0) {
        answer_event_begin(a, out, "ping");
        bytes_text(out, "{\"type\":\"ping\"}");
        answer_event_end(a, out);
    }
}

static void delta_begin(const struct answer *a, struct bytes *out, const char *rest)
{
    answer_event_begin(a, out, "content_block_delta");
    bytes_format(out, "{\"type\":\"content_block_delta\",\"index\":%zu,\"delta\":%s\"", a->block, rest);
}

static void delta_end(const struct answer *a, struct bytes *out)
{
    bytes_text(out, "\"}}");
    answer_event_end(a, out);
}

static void block_delta(const struct answer *a, struct bytes *out, const char *p, size_t n)
{
    static const char *const openings[] = {
        [BLOCK_REASONING] = "{\"type\":\"thinking_delta\",\"thinking\":",
        [BLOCK_TEXT] = "{\"type\":\"text_delta\",\"text\":",
        [BLOCK_TOOL] = "{\"type\":\"input_json_delta\",\"partial_json\":",
    };
    delta_begin(a, out, openings[answer_block_at(a, a->block)]);
    bytes_escape(out, p, n);
    delta_end(a, out);
}

static void block_stop(const struct answer *a, struct bytes *out)
{
    if (answer_block_at(a, a->block) == BLOCK_REASONING) {
        delta_begin(a, out, "{\"type\":\"signature_delta\",\"signature\":");
        bytes_text(out, "c2lnbmF0dXJl");
        delta_end(a, out);
    }
    answer_event_begin(a, out, "content_block_stop");
    bytes_format(out, "{\"type\":\"content_block_stop\",\"index\":%zu}", a->block);
    answer_event_end(a, out);
}

static void stream_finish(const struct answer *a, struct bytes *out)
{
    answer_event_begin(a, out, "message_delta");
    bytes_text(out, "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":");
    bytes_json(out, stop_reason(a));
    bytes_text(out, ",\"stop_sequence\":null}");
    if (!a->script.nousage) {
        bytes_format(out, ",\"usage\":{\"output_tokens\":%ld}", a->usage_out);
    }
    bytes_text(out, "}");
    answer_event_end(a, out);
}

/* Usage travels in message_start and message_delta. */
static void stream_usage(const struct answer *a, struct bytes *out)
{
    (void)a;
    (void)out;
}

static void stream_done(const struct answer *a, struct bytes *out)
{
    answer_event_begin(a, out, "message_stop");
    bytes_text(out, "{\"type\":\"message_stop\"}");
    answer_event_end(a, out);
}

static void big_begin(const struct answer *a, struct bytes *out)
{
    if (a->stream) {
        delta_begin(a, out, "{\"type\":\"text_delta\",\"text\":");
    } else {
        message_begin(a, out);
        bytes_text(out, "{\"type\":\"text\",\"text\":\"");
    }
}

static void big_end(const struct answer *a, struct bytes *out)
{
    if (a->stream) {
        delta_end(a, out);
    } else {
        bytes_text(out, "\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":");
        usage_object(a, out, a->usage_out);
        bytes_text(out, "}");
    }
}

static void whole_block(const struct answer *a, struct bytes *out, size_t block)
{
    switch (answer_block_at(a, block)) {
    case BLOCK_REASONING:
        bytes_text(out, "{\"type\":\"thinking\",\"thinking\":");
        bytes_json(out, a->script.reasoning);
        bytes_text(out, ",\"signature\":\"c2lnbmF0dXJl\"}");
        break;
    case BLOCK_TOOL:
        call_begin(a, out, answer_call_index(a, block));
        bytes_text(out, answer_args(a));
        bytes_text(out, "}");
        break;
    default:
        bytes_text(out, "{\"type\":\"text\",\"text\":\"");
        answer_text_json(a, out);
        bytes_text(out, "\"}");
    }
}

static void whole(const struct answer *a, struct bytes *out)
{
    message_begin(a, out);
    for (size_t i = 0; answer_block_at(a, i) != BLOCK_NONE; i++) {
        bytes_text(out, i ? "," : "");
        whole_block(a, out, i);
    }
    bytes_text(out, "],\"stop_reason\":");
    bytes_json(out, a->script.nofinish ? NULL : stop_reason(a));
    bytes_text(out, ",\"stop_sequence\":null");
    if (!a->script.nousage) {
        bytes_text(out, ",\"usage\":");
        usage_object(a, out, a->usage_out);
    }
    bytes_text(out, "}");
}

static void error(const struct answer *a, struct bytes *out, long status, const char *message)
{
    (void)a;
    static const struct {
        long status;
        const char *type;
    } kinds[] = {{400, "invalid_request_error"}, {401, "authentication_error"}, {403, "permission_error"},
                 {404, "not_found_error"},       {413, "request_too_large"},    {429, "rate_limit_error"},
                 {200, "overloaded_error"},      {529, "overloaded_error"}};
    const char *type = status < 500 ? "invalid_request_error" : "api_error";
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        type = kinds[i].status == status ? kinds[i].type : type;
    }
    bytes_format(out, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":", type);
    bytes_json(out, message);
    bytes_text(out, "}}");
}

const struct dialect dialect_anthropic = {
    .open = stream_open,
    .block_start = block_start,
    .delta = block_delta,
    .block_stop = block_stop,
    .finish = stream_finish,
    .usage = stream_usage,
    .done = stream_done,
    .big_begin = big_begin,
    .big_end = big_end,
    .error = error,
    .whole = whole,
    .error_event = "error",
};

#include "test/upstream/parts/dialect.h"

#define CREATED "1700000000"

static const char *finish_reason(const struct answer *a)
{
    if (a->script.finish) {
        return a->script.finish;
    }
    return a->calls ? "tool_calls" : "stop";
}

static void usage_object(const struct answer *a, struct bytes *out)
{
    bytes_format(out,
                 "{\"prompt_tokens\":%ld,\"completion_tokens\":%ld,\"total_tokens\":%ld,"
                 "\"prompt_tokens_details\":{\"cached_tokens\":%ld}}",
                 a->usage_in, a->usage_out, a->usage_in + a->usage_out, a->usage_cached);
}

static void chunk_begin(const struct answer *a, struct bytes *out)
{
    answer_event_begin(a, out, NULL);
    bytes_format(out, "{\"id\":\"chatcmpl-%lu\",\"object\":\"chat.completion.chunk\",\"created\":" CREATED, a->id);
    bytes_text(out, ",\"model\":");
    bytes_json(out, a->model);
    bytes_text(out, ",\"choices\":[");
}

static void delta_begin(const struct answer *a, struct bytes *out)
{
    chunk_begin(a, out);
    bytes_text(out, "{\"index\":0,\"delta\":{");
}

static void delta_end(const struct answer *a, struct bytes *out)
{
    bytes_text(out, "},\"finish_reason\":null}]");
    bytes_text(out, a->include_usage ? ",\"usage\":null}" : "}");
    answer_event_end(a, out);
}

static void stream_open(const struct answer *a, struct bytes *out)
{
    delta_begin(a, out);
    bytes_text(out, "\"role\":\"assistant\",\"content\":\"\"");
    delta_end(a, out);
}

static void call_object(const struct answer *a, struct bytes *out, long index, const char *args, size_t n)
{
    bytes_format(out, "\"id\":\"call_%d_%ld\",\"type\":\"function\",\"function\":{\"name\":", a->turns + 1, index + 1);
    bytes_json(out, a->script.tool);
    bytes_text(out, ",\"arguments\":\"");
    bytes_escape(out, args, n);
    bytes_text(out, "\"}");
    if (a->script.signature && index == 0) {
        bytes_text(out, ",\"extra_content\":{\"google\":{\"thought_signature\":");
        bytes_json(out, a->script.signature);
        bytes_text(out, "}}");
    }
    bytes_text(out, "}");
}

/* Fragmented calls announce themselves first; whole calls come in one delta. */
static void block_start(const struct answer *a, struct bytes *out)
{
    if (answer_block_at(a, a->block) == BLOCK_TOOL && a->script.fragment) {
        long index = answer_call_index(a, a->block);
        delta_begin(a, out);
        bytes_format(out, "\"tool_calls\":[{\"index\":%ld,", index);
        call_object(a, out, index, "", 0);
        bytes_text(out, "]");
        delta_end(a, out);
    }
}

static void block_delta(const struct answer *a, struct bytes *out, const char *p, size_t n)
{
    enum answer_block kind = answer_block_at(a, a->block);
    delta_begin(a, out);
    if (kind == BLOCK_TOOL) {
        long index = answer_call_index(a, a->block);
        bytes_format(out, "\"tool_calls\":[{\"index\":%ld,", index);
        if (a->script.fragment) {
            bytes_text(out, "\"function\":{\"arguments\":\"");
            bytes_escape(out, p, n);
            bytes_text(out, "\"}}");
        } else {
            call_object(a, out, index, p, n);
        }
        bytes_text(out, "]");
    } else {
        bytes_text(out, kind == BLOCK_REASONING ? "\"reasoning_content\":\"" : "\"content\":\"");
        bytes_escape(out, p, n);
        bytes_text(out, "\"");
    }
    delta_end(a, out);
}

static void block_stop(const struct answer *a, struct bytes *out)
{
    (void)a;
    (void)out;
}

static void stream_finish(const struct answer *a, struct bytes *out)
{
    chunk_begin(a, out);
    bytes_text(out, "{\"index\":0,\"delta\":{},\"finish_reason\":");
    bytes_json(out, finish_reason(a));
    bytes_text(out, a->include_usage ? "}],\"usage\":null}" : "}]}");
    answer_event_end(a, out);
}

static void stream_usage(const struct answer *a, struct bytes *out)
{
    if (a->include_usage && !a->script.nousage) {
        chunk_begin(a, out);
        bytes_text(out, "],\"usage\":");
        usage_object(a, out);
        bytes_text(out, "}");
        answer_event_end(a, out);
    }
}

static void stream_done(const struct answer *a, struct bytes *out)
{
    answer_event_begin(a, out, NULL);
    bytes_text(out, "[DONE]");
    answer_event_end(a, out);
}

static void whole_begin(const struct answer *a, struct bytes *out)
{
    bytes_format(out, "{\"id\":\"chatcmpl-%lu\",\"object\":\"chat.completion\",\"created\":" CREATED, a->id);
    bytes_text(out, ",\"model\":");
    bytes_json(out, a->model);
    bytes_text(out, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
}

static void big_begin(const struct answer *a, struct bytes *out)
{
    if (a->stream) {
        delta_begin(a, out);
        bytes_text(out, "\"content\":\"");
    } else {
        whole_begin(a, out);
        bytes_text(out, "\"");
    }
}

static void big_end(const struct answer *a, struct bytes *out)
{
    bytes_text(out, "\"");
    if (a->stream) {
        delta_end(a, out);
    } else {
        bytes_text(out, "},\"finish_reason\":\"stop\"}]}");
    }
}

static void whole_calls(const struct answer *a, struct bytes *out)
{
    bytes_text(out, ",\"tool_calls\":[");
    for (long i = 0; i < a->calls; i++) {
        bytes_text(out, i ? ",{" : "{");
        call_object(a, out, i, answer_args(a), strlen(answer_args(a)));
    }
    bytes_text(out, "]");
}

static void whole(const struct answer *a, struct bytes *out)
{
    whole_begin(a, out);
    if (a->calls && a->text && !a->text[0]) {
        bytes_text(out, "null");
    } else {
        bytes_text(out, "\"");
        answer_text_json(a, out);
        bytes_text(out, "\"");
    }
    if (a->script.reasoning) {
        bytes_text(out, ",\"reasoning_content\":");
        bytes_json(out, a->script.reasoning);
    }
    if (a->calls) {
        whole_calls(a, out);
    }
    bytes_text(out, "},\"finish_reason\":");
    bytes_json(out, a->script.nofinish ? NULL : finish_reason(a));
    bytes_text(out, "}]");
    if (!a->script.nousage) {
        bytes_text(out, ",\"usage\":");
        usage_object(a, out);
    }
    bytes_text(out, "}");
}

static void error(const struct answer *a, struct bytes *out, long status, const char *message)
{
    (void)a;
    static const struct {
        long status;
        const char *type, *code;
    } kinds[] = {{401, "authentication_error", "invalid_api_key"},
                 {403, "permission_error", "forbidden"},
                 {404, "invalid_request_error", "model_not_found"},
                 {429, "rate_limit_error", "rate_limit_exceeded"}};
    const char *type = status < 500 && status != 200 ? "invalid_request_error" : "server_error";
    const char *code = type;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].status == status) {
            type = kinds[i].type;
            code = kinds[i].code;
        }
    }
    bytes_text(out, "{\"error\":{\"message\":");
    bytes_json(out, message);
    bytes_format(out, ",\"type\":\"%s\",\"param\":null,\"code\":\"%s\"}}", type, code);
}

const struct dialect dialect_openai = {
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
};

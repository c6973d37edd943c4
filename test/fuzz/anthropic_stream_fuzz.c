/* Answers of the Anthropic protocol; whatever they hold can be sent back as the next request. */
#include "stream.h"

#include <math.h>

#include "llm/anthropic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void send_back(struct arena *a, const struct llm_answer *answer)
{
    struct llm_message messages[] = {
        {.role = LLM_ASSISTANT,
         .text = answer->text,
         .tool_calls = answer->tool_calls,
         .tool_call_count = answer->tool_call_count,
         .blocks = answer->blocks,
         .block_count = answer->block_count},
        {.role = LLM_TOOL, .text = answer->thinking, .tool_call_id = answer->text},
    };
    struct llm_request r = {.messages = messages, .message_count = 2, .params = LLM_PARAMS_NONE};
    r.params.reasoning_effort = "low";
    struct wire_call call = {.arena = a, .request = &r, .model = answer->text};
    struct anthropic_plan plan;
    struct buf *out = buf_new(a, EXCHANGE_REQUEST_MAX);
    struct json_fault fault;
    anthropic_plan(&call, &plan);
    if (!anthropic_request(out, &plan, &call))
        abort();
    /* Arguments as deep as the gate allows are too deep for it inside a request. */
    if (!json_gate(out->data, out->len, 0, &fault) && strcmp(fault.reason, "nested too deeply") != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct arena *a = arena_new();
    struct llm_answer answer = stream_check(&anthropic_dialect, a, data, size);
    send_back(a, &answer);
    arena_free(a);
    return 0;
}

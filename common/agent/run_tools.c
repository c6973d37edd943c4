/* The tool calls of one answer (contract 03 §3.7, §3.8): the gateway's own are run, the client's are handed on. */
#include "agent/run_parts.h"
#include "agent/text.h"
#include "tool/tool.h"

enum { PREVIEW = 500, TOOL_ERROR_PREVIEW = 200, CALL_ID_MAX = 40 };

/* Fit for everybody, and of no earlier call. */
static bool id_is_good(const struct run *r, const char *id)
{
    size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    if (n == 0 || n > CALL_ID_MAX || id[n])
        return false;
    for (size_t i = 0; i < r->message_count; i++)
        for (size_t k = 0; k < r->messages[i].tool_call_count; k++)
            if (strcmp(r->messages[i].tool_calls[k].id, id) == 0)
                return false;
    return true;
}

/* Ids handed on are unique in the whole transcript (03 §5.6); those of a turn that goes back as it was are kept. */
static const char *call_id(struct run *r, int iteration, const struct llm_answer *answer, size_t index)
{
    const char *original = answer->tool_calls[index].id;
    if (answer->block_count > 0 && id_is_good(r, original))
        return original;
    char hex[SHA256_HEX_SIZE];
    const char *text = arena_printf(r->arena, "%s\n%s\n%d\n%zu", original, r->id, iteration, index);
    sha256_hex(text, strlen(text), hex);
    return arena_printf(r->arena, "call_%.35s", hex);
}

static struct tool_result run_tool(struct run *r, const struct tool *tool, const struct llm_tool_call *call)
{
    int64_t budget = r->engine->config->max_tool_calls;
    if (budget > 0 && r->tool_calls > budget)
        return (struct tool_result){"The tool budget of this run is used up. Answer now with what you have.", true};
    if (!tool)
        return (struct tool_result){arena_printf(r->arena, "There is no tool named %s.", call->name), true};
    struct json_fault jf;
    json_object *args = call->malformed ? NULL : json_parse(r->arena, call->arguments, strlen(call->arguments), 0, &jf);
    if (!args || !json_object_is_type(args, json_type_object))
        return (struct tool_result){"The arguments were not a JSON object; they may have been cut off. Try again.", true};
    struct tool_env env = {
        .arena = r->arena,
        .cancel = &r->cancel,
        .tenant_id = r->in->tenant_id,
        .user_id = r->in->user,
        .agent_id = r->in->agent->id,
        .session_key = r->session_key,
        .workspace = r->workspace,
    };
    struct tool_result res = tool->run(&env, args);
    res.text = text_tool_result(r->arena, res.text);
    return res;
}

static void give_result(struct run *r, const struct llm_tool_call *call, struct tool_result res)
{
    struct llm_message m = {.role = LLM_TOOL,
                            .text = res.text,
                            .tool_call_id = call->id,
                            .tool_name = call->name,
                            .is_error = res.is_error};
    run_push(r, &m);
    record_message(r, &m, NULL);
}

/* Runs one and says what it looks like beside those before. */
static enum loop_verdict execute(struct run *r, const struct llm_tool_call *call, const char **note)
{
    const struct tool *tool = tool_find(call->name);
    r->tool_calls++;
    struct span *span = record_span(r, "tool_call", call->name);
    span->tool_name = call->name;
    span->tool_call_id = call->id;
    span->input_preview = text_preview(r->arena, call->arguments, PREVIEW);
    struct tool_result res = run_tool(r, tool, call);
    span->output_preview = text_preview(r->arena, res.text, PREVIEW);
    record_span_end(r, span, res.is_error ? "error" : "completed",
                    res.is_error ? text_preview(r->arena, res.text, TOOL_ERROR_PREVIEW) : NULL);
    give_result(r, call, res);
    if (!r->loops)
        r->loops = ARENA_NEW(r->arena, struct loop_guard);
    return loop_guard_add(r->loops, r->arena, call->name, tool, call->arguments, res.text, note);
}

static bool is_client_tool(struct run *r, const char *name)
{
    for (size_t i = r->own_tool_count; i < r->tool_count; i++)
        if (strcmp(r->tools[i].name, name) == 0)
            return true;
    return false;
}

void tools_run(struct run *r, int iteration, const struct llm_answer *answer, struct tools_outcome *out)
{
    size_t n = answer->tool_call_count;
    struct llm_tool_call *calls = ARENA_ARRAY(r->arena, struct llm_tool_call, n);
    struct llm_tool_call *client = ARENA_ARRAY(r->arena, struct llm_tool_call, n);
    for (size_t i = 0; i < n; i++) {
        calls[i] = answer->tool_calls[i];
        calls[i].id = call_id(r, iteration, answer, i);
    }
    struct llm_message m = {.role = LLM_ASSISTANT,
                            .text = answer->text,
                            .tool_calls = calls,
                            .tool_call_count = n,
                            .blocks = answer->blocks,
                            .block_count = answer->block_count};
    run_push(r, &m);
    record_message(r, &m, answer->thinking);
    *out = (struct tools_outcome){.client = client};
    engine_phase(r->engine, &r->live, "tool_exec");
    for (size_t i = 0; i < n; i++) {
        if (is_client_tool(r, calls[i].name))
            client[out->client_count++] = calls[i];
        else if (out->looping)
            give_result(r, &calls[i], (struct tool_result){"Not executed: the run was stopped.", true});
        else if (cancel_check(&r->cancel) == CANCEL_NONE && execute(r, &calls[i], &out->note) == LOOP_STOP)
            out->looping = calls[i].name;
    }
    engine_phase(r->engine, &r->live, "thinking");
}

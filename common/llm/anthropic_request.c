/* Requests of the messages API. */
#include "llm/anthropic.h"

#include <math.h>

#include "llm/schema.h"

/* Versions of opus and sonnet. */
enum { NO_TEMPERATURE_SINCE = 406, NO_TOP_P_SINCE = 407, NO_BUDGET_SINCE = 407 };

#define TOP_P_MIN_THINKING 0.95

/* ---- system and tools ---- */

static void write_cache_mark(struct jsonw *w)
{
    jw_kobj(w, "cache_control");
    jw_kstr(w, "type", "ephemeral");
    jw_obj_end(w);
}

/* The texts in front of the conversation stay the same while it grows: what ends with the last of them is cached. */
static void write_system(struct jsonw *w, const struct llm_request *r)
{
    size_t leading = 0, stable = r->message_count, any = 0;
    while (leading < r->message_count && r->messages[leading].role == LLM_SYSTEM)
        leading++;
    for (size_t i = 0; i < leading; i++)
        if (!anthropic_blank(r->messages[i].text))
            stable = i;
    for (size_t i = 0; i < r->message_count; i++) {
        const struct llm_message *m = &r->messages[i];
        if (m->role != LLM_SYSTEM || anthropic_blank(m->text))
            continue;
        if (any++ == 0)
            jw_karr(w, "system");
        jw_obj(w);
        jw_kstr(w, "type", "text");
        jw_kstr(w, "text", m->text);
        if (i == stable)
            write_cache_mark(w);
        jw_obj_end(w);
    }
    if (any > 0)
        jw_arr_end(w);
}

static void write_tool(struct jsonw *w, const struct llm_tool *tool, bool last)
{
    jw_obj(w);
    jw_kstr(w, "name", tool->name);
    jw_kopt(w, "description", tool->description);
    jw_key(w, "input_schema");
    schema_write(w, tool, SCHEMA_ANY);
    if (last)
        write_cache_mark(w);
    jw_obj_end(w);
}

static void write_choice(struct jsonw *w, const struct llm_params *p)
{
    const char *name, *type = anthropic_choice(p, &name);
    bool one_at_a_time = p->parallel_tool_calls == 0 && strcmp(type, "none") != 0;
    if (!p->tool_choice && !one_at_a_time)
        return;
    jw_kobj(w, "tool_choice");
    jw_kstr(w, "type", type);
    jw_kopt(w, "name", name);
    if (one_at_a_time)
        jw_kbool(w, "disable_parallel_tool_use", true);
    jw_obj_end(w);
}

/* A conversation that holds tool calls is refused when there are no tools at all, so one is named that cannot be
 * called. */
static void write_no_tools(struct jsonw *w, const struct llm_request *r)
{
    static const struct llm_tool none = {"no_tool", "Not available.", "{\"type\":\"object\",\"properties\":{}}", true};
    size_t i = 0;
    while (i < r->message_count && r->messages[i].tool_call_count == 0)
        i++;
    if (i == r->message_count)
        return;
    jw_karr(w, "tools");
    write_tool(w, &none, false);
    jw_arr_end(w);
    jw_kobj(w, "tool_choice");
    jw_kstr(w, "type", "none");
    jw_obj_end(w);
}

static void write_tools(struct jsonw *w, const struct llm_request *r)
{
    if (r->tool_count == 0) {
        write_no_tools(w, r);
        return;
    }
    jw_karr(w, "tools");
    for (size_t i = 0; i < r->tool_count; i++)
        write_tool(w, &r->tools[i], i + 1 == r->tool_count);
    jw_arr_end(w);
    write_choice(w, &r->params);
}

/* ---- parameters ---- */

static size_t write_stop(struct jsonw *w, json_object *stop, size_t written)
{
    const char *text = json_object_is_type(stop, json_type_string) ? json_object_get_string(stop) : NULL;
    if (anthropic_blank(text))
        return written;
    if (written == 0)
        jw_karr(w, "stop_sequences");
    jw_str(w, text);
    return written + 1;
}

static void write_stops(struct jsonw *w, json_object *stop)
{
    size_t written = 0;
    if (json_object_is_type(stop, json_type_array))
        for (size_t i = 0; i < json_object_array_length(stop); i++)
            written = write_stop(w, json_object_array_get_idx(stop, i), written);
    else
        written = write_stop(w, stop, written);
    if (written > 0)
        jw_arr_end(w);
}

static void write_thinking(struct jsonw *w, const struct anthropic_plan *plan)
{
    bool adaptive = plan->version >= NO_BUDGET_SINCE;
    jw_kobj(w, "thinking");
    jw_kstr(w, "type", adaptive ? "adaptive" : "enabled");
    if (adaptive)
        jw_kstr(w, "display", "summarized");
    else
        jw_kint(w, "budget_tokens", plan->budget);
    jw_obj_end(w);
    if (!adaptive)
        return;
    jw_kobj(w, "output_config");
    jw_kstr(w, "effort", plan->effort);
    jw_obj_end(w);
}

/* Thinking rules out a temperature and a low top_p; newer models take only one of the two, and a top_p was asked for
 * while a temperature may be a default. The newest take neither. */
static void write_params(struct jsonw *w, const struct anthropic_plan *plan, const struct llm_params *p)
{
    bool thinks = plan->budget > 0;
    bool has_top_p = plan->version < NO_TOP_P_SINCE && !isnan(p->top_p) && (!thinks || p->top_p >= TOP_P_MIN_THINKING);
    if (thinks)
        write_thinking(w, plan);
    if (has_top_p)
        jw_knum(w, "top_p", p->top_p);
    else if (!isnan(p->temperature) && !thinks && plan->version < NO_TEMPERATURE_SINCE)
        jw_knum(w, "temperature", p->temperature < 1 ? p->temperature : 1);
    write_stops(w, p->stop);
}

bool anthropic_request(struct buf *out, const struct anthropic_plan *plan, const struct wire_call *call)
{
    const struct llm_request *r = call->request;
    struct jsonw w;
    jw_init(&w, out);
    jw_obj(&w);
    jw_kstr(&w, "model", plan->model);
    jw_kint(&w, "max_tokens", plan->max_tokens);
    write_system(&w, r);
    anthropic_messages(&w, r);
    jw_kbool(&w, "stream", r->stream);
    write_tools(&w, r);
    write_params(&w, plan, &r->params);
    jw_obj_end(&w);
    return !out->failed;
}

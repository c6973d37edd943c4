/* What a call of the model cost: into the run's sums and into its span. */
#include "agent/cost.h"
#include "agent/run_parts.h"
#include "agent/text.h"
#include "base/jsonw.h"

enum { PREVIEW = 500 };

static void usage_sum(struct llm_usage *sum, const struct llm_usage *u)
{
    sum->prompt_tokens += u->prompt_tokens;
    sum->completion_tokens += u->completion_tokens;
    sum->total_tokens += u->total_tokens;
    sum->cached_tokens += u->cached_tokens;
    sum->cache_creation_tokens += u->cache_creation_tokens;
    sum->reasoning_tokens += u->reasoning_tokens;
}

static const char *span_usage(struct run *r, const struct llm_usage *u)
{
    if (u->cached_tokens <= 0 && u->cache_creation_tokens <= 0 && u->reasoning_tokens <= 0)
        return NULL;
    struct buf *b = buf_new(r->arena, 4096);
    struct jsonw w;
    jw_init(&w, b);
    jw_obj(&w);
    if (u->cache_creation_tokens > 0)
        jw_kint(&w, "cache_creation_tokens", u->cache_creation_tokens);
    if (u->cached_tokens > 0)
        jw_kint(&w, "cache_read_tokens", u->cached_tokens);
    if (u->reasoning_tokens > 0)
        jw_kint(&w, "thinking_tokens", u->reasoning_tokens);
    jw_obj_end(&w);
    return buf_str(b);
}

void record_model_call(struct run *r, struct run_result *result, struct span *span, const struct llm_answer *answer,
                       const char *error)
{
    const struct llm_usage *u = &answer->usage;
    r->llm_calls++;
    usage_sum(&result->usage, u);
    span->provider = r->provider.name;
    span->model = r->model;
    span->input_tokens = u->prompt_tokens;
    span->output_tokens = u->completion_tokens;
    span->cost = cost_of(r->arena, r->engine->config, r->provider.name, r->model, u);
    if (span->cost >= 0)
        r->cost = (r->cost > 0 ? r->cost : 0) + span->cost;
    span->finish_reason = error ? NULL : llm_finish_name(answer->finish);
    span->output_preview = text_preview(r->arena, answer->text ? answer->text : "", PREVIEW);
    span->metadata = span_usage(r, u);
    record_span_end(r, span, error ? "error" : "completed", error);
}

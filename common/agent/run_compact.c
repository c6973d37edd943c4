/* A run whose conversation grows too large for the model goes on with a summary of its beginning (contract 03 §3.6,
 * §3.11). Only what the model sees becomes shorter; what is stored stays whole. */
#include "agent/compact.h"
#include "agent/history.h"
#include "agent/run_parts.h"
#include "agent/text.h"
#include "base/clock.h"
#include "base/log.h"

enum { CALL_MS = 30000, PREVIEW = 500, REQUEST_BYTES = 8000, TRIES = 2, CHARS_PER_TOKEN = 2 };

#define TAIL_SHARE 0.3

/* The summary has a deadline of its own, and ends with the run. */
struct asking {
    struct run *run;
    struct cancel cancel;
};

static void on_tick(void *ctx)
{
    struct asking *asking = ctx;
    const struct run_events *ev = asking->run->in->events;
    if (!asking->run->engine->pool)
        engine_marks(asking->run->engine);
    if (ev && ev->tick)
        ev->tick(ev->ctx);
    enum cancel_reason why = cancel_check(&asking->run->cancel);
    if (why != CANCEL_NONE)
        cancel_fire(&asking->cancel, why);
}

/* Tests shorten the clock. */
static int64_t call_ms(void)
{
    const char *text = getenv("CLAWGATE_COMPACT_CALL_MS");
    int64_t ms = text ? strtoll(text, NULL, 10) : 0;
    return ms > 0 ? ms : CALL_MS;
}

static const char *ask_once(struct run *r, struct run_result *result, const struct compact_job *job, bool *overflow)
{
    struct asking asking = {.run = r};
    struct llm_sink sink = {.tick = on_tick, .ctx = &asking};
    struct llm_answer answer;
    const char *error = NULL;
    int64_t ms = call_ms(), left = cancel_time_left(&r->cancel);
    cancel_init(&asking.cancel, clock_mono_ms() + (ms < left ? ms : left));
    struct span *span =
        record_span(r, "llm_call", arena_printf(r->arena, "%s/%s compaction", r->provider.name, r->model));
    const char *summary =
        compact_ask(r->arena, &r->provider, r->model, job, &sink, &asking.cancel, &answer, &error);
    cancel_release(&asking.cancel);
    record_model_call(r, result, span, &answer, summary != NULL ? NULL : error);
    *overflow = answer.context_overflow;
    return summary;
}

static const char *ask(struct run *r, struct run_result *result, const struct llm_message *m, size_t n, size_t chars)
{
    struct compact_job job = {"", m, n, chars};
    if (strcmp(r->provider.type, "offline") == 0)
        return compact_without_model(r->arena, &job);
    const char *summary = NULL;
    bool overflow = true;
    for (int i = 0; i < TRIES && !summary && overflow; i++, job.max_chars /= 4)
        summary = ask_once(r, result, &job, &overflow);
    return summary;
}

/* What the user asked for must not depend on the summary. */
static const char *summary_text(struct run *r, const char *summary, bool request_gone)
{
    if (!request_gone || !*r->in->text)
        return arena_printf(r->arena, "%s\n%s", summary_opening, summary);
    return arena_printf(r->arena, "%s\n%s\n\nWhat you are asked to do now:\n%s", summary_opening, summary,
                        text_preview(r->arena, r->in->text, REQUEST_BYTES));
}

/* The system message, the summary, the rest. */
static void rebuild(struct run *r, size_t first, size_t head, const char *summary)
{
    const struct llm_message *old = r->messages, *tail = old + first + head;
    size_t left = r->message_count - first - head;
    bool request_gone = first + head >= r->setup_count;
    r->messages = NULL;
    r->message_count = r->message_cap = 0;
    for (size_t i = 0; i < first; i++)
        run_push(r, &old[i]);
    run_push(r, &(struct llm_message){.role = LLM_USER, .text = summary_text(r, summary, request_gone)});
    if (left > 0 && tail->role == LLM_USER)
        run_push(r, &(struct llm_message){.role = LLM_ASSISTANT, .text = summary_answer});
    r->setup_count = request_gone ? r->message_count : r->setup_count + r->message_count - first - head;
    for (size_t i = 0; i < left; i++)
        run_push(r, &tail[i]);
    r->measured_count = 0;
}

/* *tried: it was worth a try. */
static bool compact(struct run *r, struct run_result *result, const struct compact_rules *rules, size_t chars,
                    bool *tried)
{
    size_t first = r->message_count > 0 && r->messages[0].role == LLM_SYSTEM ? 1 : 0;
    size_t n = r->message_count - first;
    size_t share = (size_t)((double)n * TAIL_SHARE + 0.999), keep = (size_t)rules->keep_last;
    size_t head = compact_split(r->messages + first, n, keep > share ? keep : share);
    *tried = head > 0;
    if (head == 0)
        return false;
    engine_phase(r->engine, &r->live, "compacting");
    const char *summary = ask(r, result, r->messages + first, head, chars);
    engine_phase(r->engine, &r->live, "thinking");
    if (!summary) {
        log_event(LOG_WARN, 5110, "run.compaction_failed", LOG_S, "run_id", r->id, LOG_I, "messages", (int64_t)n,
                  LOG_END);
        return false;
    }
    rebuild(r, first, head, summary);
    r->compacted = true;
    log_event(LOG_INFO, 0, "run.compacted", LOG_S, "run_id", r->id, LOG_I, "from", (int64_t)(n + first), LOG_I, "to",
              (int64_t)r->message_count, LOG_END);
    return true;
}

/* What the provider counted, and an estimate of what came since (03 §3.5). */
static int64_t tokens_now(const struct run *r)
{
    size_t known = r->measured_count;
    int64_t counted = known > 0 ? r->last_prompt_tokens : 0;
    return counted + history_estimate_tokens(r->messages + known, r->message_count - known);
}

void compact_when_full(struct run *r, struct run_result *result)
{
    int64_t window = r->in->agent->context_window;
    if (r->compaction_tried || window <= 0)
        return;
    struct compact_rules rules = compact_rules_of(r->arena, r->engine->config, r->in->agent->compaction_config);
    if (compact_is_full(&rules, window, tokens_now(r)))
        compact(r, result, &rules, (size_t)window * CHARS_PER_TOKEN, &r->compaction_tried);
}

bool compact_after_overflow(struct run *r, struct run_result *result)
{
    if (r->overflowed)
        return false;
    r->overflowed = true;
    size_t chars = 0;
    for (size_t i = 0; i < r->message_count; i++)
        chars += strlen(r->messages[i].text ? r->messages[i].text : "");
    struct compact_rules rules = compact_rules_of(r->arena, r->engine->config, r->in->agent->compaction_config);
    bool tried, shorter = compact(r, result, &rules, chars / 2, &tried);
    return history_shorten_results(r->arena, r->messages, r->message_count) || shorter;
}

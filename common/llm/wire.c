#include "llm/wire.h"

enum { TICK_MS = 500, ANSWER_MIN = 1024 };

bool wire_pause(const struct wire_call *call, int64_t ms)
{
    while (ms > 0) {
        int64_t part = ms < TICK_MS ? ms : TICK_MS;
        if (!cancel_sleep(call->cancel, part))
            return false;
        if (call->sink && call->sink->tick)
            call->sink->tick(call->sink->ctx);
        ms -= part;
    }
    return cancel_check(call->cancel) == CANCEL_NONE;
}

bool wire_status_transient(int status)
{
    static const int statuses[] = {408, 429, 500, 502, 503, 504, 529};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        if (statuses[i] == status)
            return true;
    return false;
}

bool wire_is_overflow(const char *text)
{
    static const char *const signs[] = {
        "context_length_exceeded", "maximum context length", "context window",   "context length exceeded",
        "prompt is too long",      "input is too long",      "exceeds the context", "too many tokens in the prompt",
        "exceed context limit",    "exceeds the maximum number of tokens", "exceeds the available context",
        "maximum prompt length",   "exceeded model token limit",
    };
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
        if (strcasestr(text, signs[i]))
            return true;
    return false;
}

int64_t wire_max_tokens(const struct wire_call *call, int64_t wanted)
{
    int64_t limit = call->max_tokens_limit;
    return limit > 0 && (wanted <= 0 || wanted > limit) ? limit : wanted;
}

static int64_t number_at(const char *digits)
{
    int64_t value = 0;
    for (const char *c = digits; *c >= '0' && *c <= '9' && value < INT32_MAX; c++)
        value = value * 10 + (*c - '0');
    return value < INT32_MAX ? value : 0;
}

static int64_t number_behind(const char *text, const char *words)
{
    const char *at = strstr(text, words);
    return at ? number_at(at + strlen(words)) : 0;
}

static int64_t number_before(const char *text, const char *words)
{
    const char *end = strstr(text, words), *at = end;
    while (at && at > text && at[-1] >= '0' && at[-1] <= '9')
        at--;
    return at != end ? number_at(at) : 0;
}

/* vLLM and its kin count the answer as part of the context and refuse what does not fit into it: what the prompt leaves
 * of it. 0 when that is hardly anything: then it is the prompt that must become shorter. */
static int64_t context_left(const char *text)
{
    int64_t context = number_behind(text, "maximum context length is ");
    int64_t prompt = number_before(text, " in the messages");
    if (prompt == 0)
        prompt = number_behind(text, "your request has ");
    return prompt > 0 && context - prompt >= ANSWER_MIN ? context - prompt : 0;
}

int64_t wire_max_tokens_hint(const char *text)
{
    static const char *const limits[] = {"at most ", "[1, ", "less than or equal to `", "less than or equal to "};
    static const char above[] = " > ";
    const char *excess = strstr(text, above);
    bool named = strstr(text, "max_tokens") || strstr(text, "max_completion_tokens");
    for (size_t i = 0; named && i < sizeof(limits) / sizeof(limits[0]); i++) {
        const char *limit = strcasestr(text, limits[i]);
        if (limit)
            return number_at(limit + strlen(limits[i]));
    }
    if (named && excess && strstr(excess, "maximum allowed"))
        return number_at(excess + strlen(above));
    return context_left(text);
}

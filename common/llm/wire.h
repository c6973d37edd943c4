/* What one attempt at an upstream brought, whatever its protocol (private to this room). */
#ifndef CLAWGATE_LLM_WIRE_H
#define CLAWGATE_LLM_WIRE_H

#include "llm/llm.h"
#include "llm/reply.h"

struct wire_result {
    bool ok;
    bool cancelled;         /* the run was cancelled: nobody's fault */
    bool blocked;           /* our own rule or the provider's configuration refused the call */
    bool transient;         /* another attempt may help */
    int status;             /* HTTP status, or the one that an error inside a 200 stands for; 0 = none */
    int64_t retry_after_ms; /* -1 = the upstream named none */
    int64_t max_tokens;     /* the upstream said how many it allows at most; 0 = it did not */
    const char *reason;     /* one line, not scrubbed; "" when ok */
    const char *raw;        /* the upstream's own words, not scrubbed; "" when none */
};

/* One attempt: request, answer and where it is to go. */
struct wire_call {
    struct arena *arena;
    const struct llm_provider *provider;
    const struct llm_request *request;
    const char *model;
    int64_t max_tokens;       /* wanted; <= 0 = not said */
    int64_t max_tokens_limit; /* the upstream named it in an earlier attempt; 0 = it did not */
    const struct llm_sink *sink;
    struct cancel *cancel;
    struct reply *reply;
};

void anthropic_try(const struct wire_call *call, struct wire_result *result);
void openai_try(const struct wire_call *call, struct wire_result *result);
void offline_try(const struct wire_call *call, struct wire_result *result);

/* Sleeps and calls the sink's tick meanwhile; false as soon as the run is cancelled. */
bool wire_pause(const struct wire_call *call, int64_t ms);
/* 408, 429, 500, 502, 503, 504, 529 (contract 03 §5.4). */
bool wire_status_transient(int status);
/* Texts by which upstreams say that the conversation is too long. */
bool wire_is_overflow(const char *text);
/* What is wanted, or as much of it as the upstream allows. */
int64_t wire_max_tokens(const struct wire_call *call, int64_t wanted);
/* "max_tokens too large … at most N", "max_tokens … [1, N]", "max_tokens: M > N, which is the maximum allowed …": N. "maximum context length is
 * C tokens … P in the messages": C - P, where that is worth it. Else 0. */
int64_t wire_max_tokens_hint(const char *text);

#endif

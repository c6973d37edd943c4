/* A chat completion request, parsed (contract 03 §1.2, §1.6, §1.7). */
#ifndef CLAWGATE_CHAT_COMPLETION_H
#define CLAWGATE_CHAT_COMPLETION_H

#include "chat/chat.h"

struct completion {
    const char *model;   /* as sent, NULL when absent */
    const char *user;    /* body `user`, NULL when absent */
    const char *session; /* header or metadata.session_key, NULL when absent */
    const char *session_param; /* which of the two */
    bool stream, include_usage;
    struct llm_params params;
    const struct llm_tool *tools;
    size_t tool_count;

    const char *input;   /* text of the last user message; "" with tool results; NULL: there is none (step 13) */
    struct llm_message *tool_results;
    size_t tool_result_count;
    struct llm_message *context; /* user/assistant texts before the input */
    size_t context_count;
    const char *system;  /* system and developer texts joined, NULL when none */
};

/* Steps 10 and 11 of contract 03 §1.3. */
bool completion_parse(struct request *req, struct completion *c, struct fault *f);
/* session_ref.c: which session, or the prefix of a new one (03 §1.6); in->user is set. */
bool session_choose(struct request *req, const struct completion *c, const struct agent *agent, struct run_input *in,
                    struct fault *f);
/* A session key as a header value: ASCII, and ready for the path /v1/sessions/{key}. */
const char *session_key_encode(struct arena *a, const char *key);

#endif

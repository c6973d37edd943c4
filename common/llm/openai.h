/* The OpenAI-compatible protocol without a network (private to this room): contract 03 §5.2 and §5.3. */
#ifndef CLAWGATE_LLM_OPENAI_H
#define CLAWGATE_LLM_OPENAI_H

#include "llm/exchange.h"

/* Where a request goes and what that host wants to be different. */
struct openai_target {
    const char *url; /* of chat completions */
    bool native;     /* api.openai.com */
    bool gemini;
    bool xai;
    bool mistral;
    bool together;
    bool thoughts; /* DeepSeek and Kimi: what the model said must come with what it thought */
    bool streams; /* false when this provider cannot stream what is asked for */
};

void openai_target(struct arena *a, const struct llm_provider *p, const struct upstream_base *base,
                   const struct llm_request *r, struct openai_target *t);
/* The header line that carries the key to that host; NULL when there is none to send. */
const char *openai_key_header(struct arena *a, const struct llm_provider *p, const char *host);
/* The request body. false when it is larger than out may hold. */
bool openai_request(struct buf *out, const struct openai_target *t, const struct wire_call *call);

/* Answers of chat completions. */
extern const struct dialect openai_dialect;

#endif

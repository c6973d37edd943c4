/* One attempt at an upstream over HTTP, whatever its dialect (private to this room). */
#ifndef CLAWGATE_LLM_EXCHANGE_H
#define CLAWGATE_LLM_EXCHANGE_H

#include "llm/reader.h"

enum { EXCHANGE_REQUEST_MAX = 64 << 20 };

/* A provider's base URL, taken apart. */
struct upstream_base {
    const char *root;  /* without trailing slashes; with /v1 where Anthropic's host stands alone */
    const char *query; /* "?…", or "" */
    char host[256];
};

/* false when the provider has no usable base URL. */
bool upstream_base(struct arena *a, const struct llm_provider *p, struct upstream_base *b);
/* May this provider reach private addresses at url? Ollama always may on this machine (contract 04 §0.1). */
bool upstream_private_allowed(const struct llm_provider *p, const char *url);

struct exchange {
    const char *url;
    const char *const *headers; /* NULL-terminated, without those that every request has */
    const struct buf *body;
    bool streams;
    const struct dialect *dialect;
};

/* Sends the request and reads the answer into call->reply. A body that outgrew its limit is not sent. */
void exchange_run(const struct wire_call *call, const struct exchange *x, struct wire_result *result);
/* Nothing was sent: the provider's configuration does not allow it. */
void exchange_refuse(struct wire_result *result, const char *why);

#endif

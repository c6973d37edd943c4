/* The Anthropic protocol without a network (private to this room): contract 03 §5.5. */
#ifndef CLAWGATE_LLM_ANTHROPIC_H
#define CLAWGATE_LLM_ANTHROPIC_H

#include "base/jsonw.h"
#include "llm/exchange.h"

/* What a request asks for, decided before it is written: its headers depend on it. */
struct anthropic_plan {
    const char *model;  /* aliases resolved */
    int version;        /* of opus and sonnet: 406 is 4.6; 0 = another model */
    const char *effort; /* to think with, when there is a budget */
    int64_t max_tokens; /* > 0 */
    int64_t budget;     /* tokens to think with; 0 = no thinking */
};

void anthropic_plan(const struct wire_call *call, struct anthropic_plan *plan);
/* The API's word for a tool choice; *name is the tool's when one is named, else NULL. */
const char *anthropic_choice(const struct llm_params *p, const char **name);
/* The member "messages": sides alternate, the user begins and ends. */
void anthropic_messages(struct jsonw *w, const struct llm_request *r);
/* Does the API refuse this text as empty? */
bool anthropic_blank(const char *s);
/* The request body. false when it is larger than out may hold. */
bool anthropic_request(struct buf *out, const struct anthropic_plan *plan, const struct wire_call *call);

enum { ANTHROPIC_HEADERS = 3 };
/* The header lines of version, key and betas, NULL behind them. */
void anthropic_headers(struct arena *a, const struct llm_provider *p, bool thinks,
                       const char *headers[ANTHROPIC_HEADERS + 1]);

/* Answers of the messages API. */
extern const struct dialect anthropic_dialect;

#endif

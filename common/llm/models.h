/* Which models a provider offers (contract 04 §1.5): a list of ours, or one question to the upstream. */
#ifndef CLAWGATE_LLM_MODELS_H
#define CLAWGATE_LLM_MODELS_H

#include "llm/llm.h"

struct llm_model {
    const char *id;
    const char *name; /* for people; NULL when there is none beside the id */
};

struct llm_model_list {
    const struct llm_model *items; /* in the upstream's order */
    size_t count;
    int status;      /* HTTP status of the upstream's answer, 0 when nobody was asked or none came */
    const char *why; /* when the list could not be had: one scrubbed line of at most 500 characters */
};

/* The models of p, in the given arena. Types with a list of ours need no network, key or base URL. false: the list
 * could not be had, out->why says why (not when `c` was fired: then cancel_check(c) does). An answer is at most
 * 4 MiB. Blocks; thread-safe. */
bool llm_models(struct arena *a, const struct llm_provider *p, struct cancel *c, struct llm_model_list *out);
/* Ours for this type, NULL-terminated; NULL when the upstream is asked. */
const char *const *llm_models_fixed(const char *type);
/* Reads an upstream's answer: OpenAI's, Anthropic's, Gemini's or Ollama's list. false when it is none; then out->why
 * is the message of the error it holds, not scrubbed, or a short reason. Pure. */
bool llm_models_read(struct arena *a, const char *text, size_t len, struct llm_model_list *out);
/* Does a model of this id make images or video? It cannot be tried with a chat. */
bool llm_model_is_media(const char *id);

#endif

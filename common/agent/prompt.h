/* The system prompt (contract 02 §10, 03 §3.4): sections in a fixed order, empty ones vanish. Pure. */
#ifndef CLAWGATE_AGENT_PROMPT_H
#define CLAWGATE_AGENT_PROMPT_H

#include <stddef.h>

#include "base/arena.h"
#include "base/config.h"
#include "llm/llm.h"
#include "store/agents.h"

struct context_file {
    const char *name, *content;
};

struct prompt_input {
    const struct config *config;
    const struct agent *agent;
    const char *channel;    /* "http" */
    const char *session_key;
    const char *user;       /* NULL when none */
    const char *workspace;  /* directory of the run */
    const struct llm_tool *tools;
    size_t tool_count;
    const struct context_file *files;
    size_t file_count;
    const char *extra;      /* system texts of the request, NULL when none */
    int64_t now_ms;         /* wall clock; only its date is used */
};

char *prompt_build(struct arena *a, const struct prompt_input *in);
/* Contract 02 §8.7: one file cut to max bytes, head 70 %, tail 20 %, a marker between. */
char *prompt_shorten(struct arena *a, const char *name, const char *content, size_t max);

#endif

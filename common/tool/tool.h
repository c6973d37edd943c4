/* The registry of tools the gateway itself runs (contract 03 §3.7, §4). A table; one row a tool. */
#ifndef CLAWGATE_TOOL_TOOL_H
#define CLAWGATE_TOOL_TOOL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/cancel.h"
#include "base/json.h"

/* Where a tool runs: on whose behalf, where, and what can stop it. */
struct tool_env {
    struct arena *arena;
    struct cancel *cancel;
    const char *tenant_id, *user_id, *agent_id, *session_key, *workspace;
};

struct tool_result {
    const char *text; /* what the model sees */
    bool is_error;
};

struct tool {
    const char *name;
    const char *summary;     /* one line for the prompt */
    const char *description; /* for the model */
    const char *parameters;  /* JSON Schema as text */
    bool read_only;          /* may run beside others, 03 §3.7; many in a row look like a loop, 03 §3.8 */
    bool changes;            /* does something that lasts: such a row ends. Neither: it goes on (exec, MCP, waiting) */
    struct tool_result (*run)(const struct tool_env *env, json_object *args);
};

const struct tool *tool_find(const char *name);
const struct tool *tool_table(size_t *count);

#endif

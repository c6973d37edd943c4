/* The bodies of the built-in tools, named by the registry's table and by nobody else. */
#ifndef CLAWGATE_TOOL_TOOLS_H
#define CLAWGATE_TOOL_TOOLS_H

#include "tool/tool.h"

struct tool_result datetime_run(const struct tool_env *env, json_object *args);

#endif

/* agents: who answers (contract 02 §2 to §4), and who else may use them (§7). */
#include "agents/files.h"
#include "agents/persona.h"
#include "agents/rules.h"
#include "agents/sharing.h"
#include "web/service.h"

#define N(a) (sizeof(a) / sizeof *(a))

enum { OBJECT_MAX = AGENT_OBJECT_MAX };

static const struct field agent_fields[] = {
    FIELD_ROW_ID,
    FIELD_ROW_TENANT,
    {.name = "agent_key", .kind = FIELD_SLUG, .flags = FIELD_REQUIRED, .max = 100, .check = agent_key_check,
     .doc = "Unique in the tenant; made from display_name when left out"},
    {.name = "display_name", .kind = FIELD_TEXT, .flags = FIELD_OMIT, .max = 255, .doc = "For people"},
    {.name = "frontmatter", .kind = FIELD_TEXT, .flags = FIELD_OMIT, .max = 2000,
     .doc = "What the agent is good at, for those who choose one"},
    {.name = "owner_id", .kind = FIELD_TEXT, .flags = FIELD_CALLER, .doc = "The user who made it and may change it"},
    {.name = "provider", .kind = FIELD_TEXT, .max = 50, .doc = "Name of a provider; agents.defaults.provider at first"},
    {.name = "model", .kind = FIELD_TEXT, .max = 200, .doc = "Model of the provider; agents.defaults.model at first"},
    {.name = "context_window", .kind = FIELD_INTEGER, .flags = FIELD_LOW_IS_PRESET_ON_CREATE | FIELD_NO_NULL, .min = 1,
     .max = CONFIG_CONTEXT_MAX, .preset = "200000", .doc = "Tokens the model can read"},
    {.name = "max_tool_iterations", .kind = FIELD_INTEGER, .flags = FIELD_LOW_IS_PRESET_ON_CREATE | FIELD_NO_NULL,
     .min = 1, .max = 1000, .preset = "30", .doc = "Rounds of tool calls a run may take"},
    {.name = "workspace", .kind = FIELD_TEXT, .flags = FIELD_BYTES, .max = 4096,
     .doc = "Directory of its files; <agents.defaults.workspace>/<agent_key> when empty"},
    {.name = "restrict_to_workspace", .kind = FIELD_BOOL, .flags = FIELD_READ_ONLY, .preset = "true",
     .doc = "File tools stay in the workspace, always"},
    {.name = "agent_type", .kind = FIELD_ENUM, .flags = FIELD_NO_NULL, .values = "open|predefined", .preset = "open",
     .doc = "open: every user has a persona file set of his own; predefined: all share one"},
    {.name = "is_default", .kind = FIELD_BOOL, .flags = FIELD_ADMIN, .preset = "false",
     .doc = "Answers those who name no agent, and everybody may use it; one agent a tenant"},
    {.name = "status", .kind = FIELD_ENUM, .flags = FIELD_NO_NULL, .values = "active|inactive|summoning|summon_failed",
     .preset = "active", .doc = "Only active agents run; active and inactive can be set"},
    {.name = "summon_error", .kind = FIELD_TEXT, .flags = FIELD_READ_ONLY | FIELD_NULLABLE | FIELD_OMIT,
     .doc = "Why its persona could not be written"},
    {.name = "budget_monthly_cents", .kind = FIELD_INTEGER, .flags = FIELD_NULLABLE | FIELD_OMIT,
     .max = INT64_C(9007199254740991), .aliases = "monthly_cents", .doc = "Limit of a month; null and 0 are none"},
    {.name = "tools_config", .kind = FIELD_OBJECT, .max = OBJECT_MAX, .doc = "Which tools it may use"},
    {.name = "other_config", .kind = FIELD_OBJECT, .max = OBJECT_MAX,
     .doc = "Everything without a field; description is what its persona is written from"},
    {.name = "sandbox_config", .kind = FIELD_OBJECT, .flags = FIELD_NULLABLE | FIELD_OMIT, .max = OBJECT_MAX,
     .doc = "Tighter limits for its commands"},
    {.name = "subagents_config", .kind = FIELD_OBJECT, .flags = FIELD_NULLABLE | FIELD_OMIT, .max = OBJECT_MAX,
     .doc = "Limits of the agents it may start"},
    {.name = "memory_config", .kind = FIELD_OBJECT, .flags = FIELD_NULLABLE | FIELD_OMIT, .max = OBJECT_MAX,
     .preset = "{\"enabled\":true}", .doc = "What it remembers; null takes the gateway's settings"},
    {.name = "compaction_config", .kind = FIELD_OBJECT, .flags = FIELD_NULLABLE | FIELD_OMIT, .max = OBJECT_MAX,
     .preset = "{}", .doc = "When long conversations are summed up: maxHistoryShare, minMessages, keepLastMessages"},
    {.name = "context_pruning", .kind = FIELD_OBJECT, .flags = FIELD_NULLABLE | FIELD_OMIT, .max = OBJECT_MAX,
     .doc = "How old tool results are shortened"},
    FIELD_ROW_CREATED,
    FIELD_ROW_UPDATED,
};

static const struct field agent_inputs[] = {
    {.name = "description", .kind = FIELD_TEXT, .doc = "Goes to other_config.description when that is not given"},
    {.name = "agent_description", .kind = FIELD_TEXT, .doc = "The same, and before it"},
};

const struct resource agents = {
    .name = "Agent",
    .noun = "agent",
    .audit = "agent",
    .list_key = "agents",
    .table = "agents",
    .doc = "An assistant with a model, a persona and tools",
    .made = RESOURCE_MADE,
    .fields = agent_fields,
    .field_count = N(agent_fields),
    .inputs = agent_inputs,
    .input_count = N(agent_inputs),
    .unique = "agent_key",
    .order = "created_at DESC",
    .keep_lists = true,
    .put_answer = PUT_OK_TRUE,
    .delete_answer = DELETE_OK_TRUE,
    .generation = "agents",
    .slug_column = "agent_key",
    .live_rows = "t.deleted_at IS NULL",
    .rule = ROWS_OF_USER,
    .visible_sql = "t.owner_id = ?2 OR t.is_default = 1"
                   " OR EXISTS (SELECT 1 FROM agent_shares s WHERE s.agent_id = t.id AND s.user_id = ?2)",
    .writable_sql = "t.owner_id = ?2",
    .input = agent_input,
    .before_write = agent_check,
    .after_write = agent_follow,
};

static const struct field share_fields[] = {
    FIELD_ROW_ID,
    {.name = "agent_id", .kind = FIELD_UUID, .flags = FIELD_READ_ONLY, .doc = "The agent"},
    {.name = "user_id", .kind = FIELD_USER, .flags = FIELD_REQUIRED, .doc = "Who may use it"},
    {.name = "role", .kind = FIELD_TEXT, .max = 20, .preset = "user", .allowed = "a-z_-",
     .doc = "For information: every role may read and run"},
    {.name = "granted_by", .kind = FIELD_TEXT, .flags = FIELD_CALLER, .preset = "system", .doc = "Who shared it last"},
    FIELD_ROW_CREATED,
    FIELD_ROW_UPDATED,
};

const struct resource shares = {
    .name = "AgentShare",
    .noun = "share",
    .list_key = "shares",
    .table = "agent_shares",
    .doc = "One user who may use an agent",
    .made = RESOURCE_MADE,
    .fields = share_fields,
    .field_count = N(share_fields),
    .order = "created_at",
    .parent_column = "agent_id",
    .key_column = "user_id",
    .open = agent_open,
};

#define SHARING(path, flags)                                                                                          \
    {METHOD_GET, path, ROLE_VIEWER, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, resource_list, "Agents",                       \
     "List whom an agent is shared with", flags, &shares},                                                            \
    {METHOD_POST, path, ROLE_OPERATOR, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, share_grant, "Agents",                      \
     "Share an agent with a user", ROUTE_LATE_BODY | (flags), &shares},                                               \
    {METHOD_DELETE, path "/{userID}", ROLE_OPERATOR, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, share_revoke, "Agents",       \
     "Stop sharing an agent with a user", ROUTE_NO_BODY | (flags), &shares}

static const struct route routes[] = {
    {METHOD_GET, "/v1/agents", ROLE_VIEWER, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, resource_list, "Agents",
     "List the agents the caller may use", 0, &agents},
    {METHOD_POST, "/v1/agents", ROLE_OPERATOR, USER_REQUIRED, BODY_DEFAULT, resource_create, "Agents",
     "Create an agent", 0, &agents},
    {METHOD_GET, "/v1/agents/{id}", ROLE_VIEWER, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, resource_get, "Agents",
     "Get an agent by id or key", 0, &agents},
    {METHOD_PUT, "/v1/agents/{id}", ROLE_OPERATOR, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, resource_update, "Agents",
     "Change an agent", ROUTE_LATE_BODY, &agents},
    {METHOD_DELETE, "/v1/agents/{id}", ROLE_OPERATOR, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, resource_delete, "Agents",
     "Delete an agent with its sessions, files and grants", ROUTE_NO_BODY, &agents},
    {METHOD_POST, "/v1/agents/{id}/regenerate", ROLE_OPERATOR, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, persona_regenerate,
     "Agents", "Have the persona of an agent rewritten", ROUTE_LATE_BODY, &agents},
    {METHOD_POST, "/v1/agents/{id}/resummon", ROLE_OPERATOR, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, persona_resummon,
     "Agents", "Have the persona of an agent written from its description", ROUTE_NO_BODY, &agents},
    {METHOD_GET, "/v1/agents/{id}/files", ROLE_VIEWER, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, resource_list, "Agents",
     "List the context files of an agent", 0, &context_files},
    {METHOD_GET, "/v1/agents/{id}/files/{name}", ROLE_VIEWER, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, resource_get, "Agents",
     "Read a context file of an agent", 0, &context_file},
    {METHOD_PUT, "/v1/agents/{id}/files/{name}", ROLE_OPERATOR, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, context_file_write,
     "Agents", "Write a context file of an agent", ROUTE_LATE_BODY, &context_file},
    SHARING("/v1/agents/{id}/sharing", 0),
    SHARING("/v1/agents/{id}/shares", ROUTE_ALIAS),
};

int main(int argc, char **argv)
{
    static const struct program program = {"agents", routes, N(routes), PROGRAM_PREFORK, NULL, NULL, NULL, NULL};
    return service_main(&program, argc, argv);
}

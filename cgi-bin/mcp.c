/* mcp: the servers whose tools agents may use (contract 04 §3.1, §3.2). Nothing here connects: chat does that. */
#include "mcp/rules.h"
#include "web/resource.h"
#include "web/service.h"

#define N(a) (sizeof(a) / sizeof *(a))

static const struct field server_fields[] = {
    FIELD_ROW_ID,
    {.name = "name", .kind = FIELD_SLUG, .flags = FIELD_REQUIRED, .max = 50,
     .doc = "Unique in the tenant; part of the names of its tools"},
    {.name = "display_name", .kind = FIELD_TEXT, .flags = FIELD_OMIT, .max = 255, .doc = "For people"},
    {.name = "transport", .kind = FIELD_ENUM, .flags = FIELD_REQUIRED,
     .values = "stdio|sse|streamable-http|streamable_http=streamable-http|http=streamable-http",
     .doc = "How the gateway speaks to the server"},
    {.name = "command", .kind = FIELD_TEXT, .flags = FIELD_OMIT | FIELD_BYTES | FIELD_TRIM, .max = 4096,
     .doc = "stdio: the program, or a whole command line, which is taken apart"},
    {.name = "args", .kind = FIELD_TEXTS, .max = MCP_ARGS_MAX, .item_max = 4096, .doc = "stdio: arguments of the program"},
    {.name = "url", .kind = FIELD_TEXT, .flags = FIELD_BYTES | FIELD_TRIM, .max = 2048,
     .doc = "sse and streamable-http: where the server is"},
    {.name = "headers", .kind = FIELD_SECRET_MAP, .max = 64, .item_max = 32768, .check = mcp_headers_check,
     .doc = "HTTP headers sent to the server; a value env:NAME is read from the gateway's environment"},
    {.name = "env", .kind = FIELD_SECRET_MAP, .max = 64, .item_max = 32768, .check = mcp_env_check,
     .doc = "stdio: variables of the program; a value env:NAME is read from the gateway's environment"},
    {.name = "api_key", .kind = FIELD_SECRET, .max = 8192,
     .doc = "Sent as a bearer token unless headers say otherwise"},
    {.name = "tool_prefix", .kind = FIELD_TEXT, .max = 50, .allowed = "a-z0-9_",
     .doc = "Stands before the names of its tools"},
    {.name = "timeout_sec", .kind = FIELD_INTEGER, .flags = FIELD_LOW_IS_PRESET, .min = 1, .max = 600, .preset = "60",
     .aliases = "timeout_seconds", .doc = "Longest tool call in seconds; 0 and less mean the default"},
    {.name = "settings", .kind = FIELD_OBJECT, .max = 65536, .doc = "Further settings, kept as they are"},
    {.name = "enabled", .kind = FIELD_BOOL, .preset = "true", .doc = "Whether agents may use it"},
    {.name = "created_by", .kind = FIELD_TEXT, .flags = FIELD_CALLER, .preset = "system", .doc = "Who made it"},
    {.name = "agent_count", .kind = FIELD_INTEGER,
     .sql = "(SELECT COUNT(*) FROM mcp_agent_grants g WHERE g.tenant_id = t.tenant_id AND g.server_id = t.id)",
     .doc = "How many agents it is granted to"},
    FIELD_ROW_CREATED,
    FIELD_ROW_UPDATED,
};

static const struct resource servers = {
    .name = "McpServer",
    .noun = "MCP server",
    .audit = "mcp_server",
    .list_key = "servers",
    .table = "mcp_servers",
    .doc = "A server whose tools agents may use",
    .made = RESOURCE_MADE,
    .fields = server_fields,
    .field_count = N(server_fields),
    .unique = "name",
    .order = "name",
    .put_answer = PUT_STATUS_UPDATED,
    .delete_answer = DELETE_STATUS_ID,
    .generation = "mcp",
    .before_write = mcp_server_check,
};

static const struct route routes[] = {
    {METHOD_GET, "/v1/mcp/servers", ROLE_VIEWER, USER_UNUSED, BODY_DEFAULT, resource_list, "MCP Servers",
     "List MCP servers", 0, &servers},
    {METHOD_POST, "/v1/mcp/servers", ROLE_ADMIN, USER_UNUSED, BODY_DEFAULT, resource_create, "MCP Servers",
     "Add an MCP server", 0, &servers},
    {METHOD_GET, "/v1/mcp/servers/{id}", ROLE_VIEWER, USER_UNUSED, BODY_DEFAULT, resource_get, "MCP Servers",
     "Get an MCP server", 0, &servers},
    {METHOD_PUT, "/v1/mcp/servers/{id}", ROLE_ADMIN, USER_UNUSED, BODY_DEFAULT, resource_update, "MCP Servers",
     "Change an MCP server", ROUTE_LATE_BODY, &servers},
    {METHOD_DELETE, "/v1/mcp/servers/{id}", ROLE_ADMIN, USER_UNUSED, BODY_DEFAULT, resource_delete, "MCP Servers",
     "Delete an MCP server and its grants", ROUTE_NO_BODY, &servers},
};

int main(int argc, char **argv)
{
    static const struct program program = {"mcp", routes, N(routes), PROGRAM_PREFORK, NULL, NULL, NULL, NULL, NULL};
    return service_main(&program, argc, argv);
}

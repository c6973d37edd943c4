/* What an MCP server's record may say (contract 04 §3.1): commands, header and variable names, URLs. */
#ifndef CLAWGATE_CGI_MCP_RULES_H
#define CLAWGATE_CGI_MCP_RULES_H

#include "web/resource.h"

enum { MCP_ARGS_MAX = 64 };

/* Checks of single fields. */
bool mcp_headers_check(struct edit *e, const struct field *f, struct db_value *v, json_object *in);
bool mcp_env_check(struct edit *e, const struct field *f, struct db_value *v, json_object *in);

/* The merged record: what its transport needs, the command line (one that was typed as a whole is taken apart), the
 * URL. Judged when one of these changes. */
bool mcp_server_check(struct edit *e);

#endif

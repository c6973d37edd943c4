#include "mcp/rules.h"

#include <ctype.h>
#include <strings.h>

#include "base/log.h"
#include "llm/ssrf.h"

static bool refuse(struct edit *e, const char *field, const char *must_be)
{
    return edit_refuse(e, FAULT_INVALID, MSG_must_be, field, field, must_be);
}

static bool one_of(const char *s, size_t n, const char *list)
{
    for (size_t len; *list != '\0'; list += len + (list[len] == ' ')) {
        len = strcspn(list, " ");
        if (len == n && memcmp(list, s, n) == 0)
            return true;
    }
    return false;
}

/* ---- headers and variables ---- */

/* env:NAME stands for a variable of the gateway; only these may be named. */
static bool value_allowed(const char *value)
{
    static const char names[] = "HOME USER PATH SHELL LANG LC_ALL TZ TERM NODE_ENV ENVIRONMENT LOG_LEVEL DEBUG";
    if (strpbrk(value, "\r\n") != NULL)
        return false;
    return strncmp(value, "env:", 4) != 0 || one_of(value + 4, strlen(value + 4), names);
}

static bool values_check(struct edit *e, const struct field *f, json_object *map)
{
    json_object_object_foreach(map, name, value)
    {
        if (value_allowed(json_object_get_string(value)))
            continue;
        const char *which = arena_printf(e->req->arena, "%s.%s", f->name, name);
        return edit_refuse(e, FAULT_INVALID, MSG_must_be, f->name, which, "one line, or env: and a permitted name");
    }
    return true;
}

/* RFC 7230 tokens; what the transport writes itself cannot be set. */
static bool header_name_allowed(const char *name)
{
    static const char token[] = "!#$%&'*+-.^_`|~";
    static const char *const ours[] = {"Host",   "Content-Length", "Content-Type",
                                       "Accept", "Mcp-Session-Id", "MCP-Protocol-Version"};
    for (const char *c = name; *c != '\0'; c++)
        if (!isascii((unsigned char)*c) || (!isalnum((unsigned char)*c) && strchr(token, *c) == NULL))
            return false;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strcasecmp(name, ours[i]) == 0)
            return false;
    return *name != '\0';
}

bool mcp_headers_check(struct edit *e, const struct field *f, struct db_value *v, json_object *in)
{
    (void)v;
    json_object_object_foreach(in, name, value)
    {
        (void)value;
        if (!header_name_allowed(name))
            return edit_refuse(e, FAULT_INVALID, MSG_not_supported, f->name,
                               arena_printf(e->req->arena, "%s.%s", f->name, name), NULL);
    }
    return values_check(e, f, in);
}

static bool variable_name_allowed(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || isdigit((unsigned char)name[0]) || strncmp(name, "GOCLAW_", 7) == 0)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isascii((unsigned char)name[i]) || (!isalnum((unsigned char)name[i]) && name[i] != '_'))
            return false;
    static const char *const refused[] = {"LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "ENV", "IFS"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strcmp(name, refused[i]) == 0)
            return false;
    return true;
}

bool mcp_env_check(struct edit *e, const struct field *f, struct db_value *v, json_object *in)
{
    (void)v;
    json_object_object_foreach(in, name, value)
    {
        (void)value;
        if (!variable_name_allowed(name))
            return edit_refuse(e, FAULT_INVALID, MSG_not_supported, f->name,
                               arena_printf(e->req->arena, "%s.%s", f->name, name), NULL);
    }
    return values_check(e, f, in);
}

/* ---- command lines ---- */

/* A line typed as a whole, taken apart as a shell would: quotes and backslashes, nothing else. NULL when a quote is
 * left open. */
static json_object *line_split(struct arena *a, const char *line)
{
    json_object *words = json_parse(a, "[]", 2, 0, NULL);
    struct buf *word = buf_new(a, 64 * 1024);
    char quote = '\0';
    bool open = false; /* a word has begun */
    for (const char *c = line;; c++) {
        bool end = quote == '\0' && (*c == ' ' || *c == '\t' || *c == '\0');
        if (end && open) {
            json_object_array_add(words, json_object_new_string(buf_str(word)));
            buf_clear(word);
        }
        open = open && !end;
        if (*c == '\0')
            return quote == '\0' ? words : NULL;
        if (end)
            continue;
        open = true;
        if (*c == quote) {
            quote = '\0';
        } else if (quote == '\0' && (*c == '\'' || *c == '"')) {
            quote = *c;
        } else {
            if (*c == '\\' && quote != '\'' && c[1] != '\0')
                c++;
            buf_addc(word, *c);
        }
    }
}

static bool line_take_apart(struct edit *e)
{
    const char *command = edit_text(e, "command");
    bool whole = strchr(command, ' ') != NULL && edit_given(e, "command") &&
                 (!edit_given(e, "args") || strcmp(edit_text(e, "args"), "[]") == 0);
    if (!whole)
        return true;
    json_object *words = line_split(e->req->arena, command);
    if (words == NULL || json_object_array_length(words) == 0)
        return refuse(e, "command", "a command whose quotes are closed");
    if (json_object_array_length(words) > 1 + MCP_ARGS_MAX)
        return edit_refuse(e, FAULT_INVALID, MSG_too_many, "args", "args",
                           arena_printf(e->req->arena, "%d", MCP_ARGS_MAX));
    const char *program = json_object_get_string(json_object_array_get_idx(words, 0));
    edit_set_text(e, "command", arena_strdup(e->req->arena, program)); /* words lets go of it */
    json_object_array_del_idx(words, 0, 1);
    edit_set_json(e, "args", words);
    return true;
}

#define NODE_FLAGS "--eval --print --require --import"
#define NODE_TAKES "--title --conditions --input-type --env-file --loader --experimental-loader --icu-data-dir"
#define NPM_TAKES "--package --workspace --prefix --cache --userconfig --loglevel"

/* Programs that run servers, and their flags that run code given on the command line. */
static const struct runtime {
    const char *names;
    const char *flags;   /* long forms and words */
    const char *letters; /* short forms */
    const char *takes;   /* letters and … */
    const char *takes_long; /* … long forms whose value is the next argument */
    const char *ends;    /* letters that name the program: what follows belongs to it */
    const char *words;   /* that stand before the program and its flags */
} runtimes[] = {
    {"node", NODE_FLAGS, "epr", "C", NODE_TAKES, "", ""},
    {"bun", NODE_FLAGS, "epr", "C", NODE_TAKES, "", "run x"},
    {"deno", NODE_FLAGS, "epr", "C", NODE_TAKES, "", "repl"},
    {"npx", "--call", "c", "pw", NPM_TAKES, "", ""},
    {"npm", "--call", "c", "pw", NPM_TAKES, "", "exec x"},
    {"python python2 python3", "", "c", "WXQ", "--check-hash-based-pycs", "m", ""},
    {"ruby php", "", "er", "IEKCdcz", "", "f", ""},
    {"go cargo java dotnet uvx uv pipx", "", "", "", "", "", ""},
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static const struct runtime *runtime_of(const char *name)
{
    for (size_t i = 0; i < sizeof runtimes / sizeof *runtimes; i++)
        if (one_of(name, strlen(name), runtimes[i].names))
            return &runtimes[i];
    return NULL;
}

enum judged { RUNS_CODE, HARMLESS, VALUE_FOLLOWS, PROGRAM_NAMED };

/* A cluster such as -Bc runs code as -c does. */
static enum judged letters_judge(const struct runtime *r, const char *arg)
{
    for (const char *c = arg + 1; *c != '\0'; c++) {
        if (strchr(r->letters, *c) != NULL)
            return RUNS_CODE;
        if (strchr(r->ends, *c) != NULL)
            return PROGRAM_NAMED;
        if (strchr(r->takes, *c) != NULL)
            return c[1] == '\0' ? VALUE_FOLLOWS : HARMLESS;
    }
    return HARMLESS;
}

static enum judged arg_judge(const struct runtime *r, const char *program, const char *arg)
{
    if (strcmp(program, "deno") == 0 && strcmp(arg, "eval") == 0)
        return RUNS_CODE;
    if (one_of(arg, strlen(arg), r->words))
        return HARMLESS;
    if (arg[0] != '-' || arg[1] == '\0' || strcmp(arg, "--") == 0)
        return PROGRAM_NAMED;
    if (arg[1] != '-')
        return letters_judge(r, arg);
    if (one_of(arg, strcspn(arg, "="), r->flags))
        return RUNS_CODE;
    return one_of(arg, strlen(arg), r->takes_long) ? VALUE_FOLLOWS : HARMLESS;
}

/* Only what stands before the script's or package's name is judged: the rest belongs to the server. */
static const char *code_flag(const struct runtime *r, const char *program, json_object *args)
{
    for (size_t i = 0; i < json_object_array_length(args); i++) {
        const char *arg = json_object_get_string(json_object_array_get_idx(args, i));
        enum judged judged = arg_judge(r, program, arg);
        if (judged == RUNS_CODE)
            return arg;
        if (judged == PROGRAM_NAMED)
            return NULL;
        if (judged == VALUE_FOLLOWS)
            i++;
    }
    return NULL;
}

static bool has_parent_part(const char *path)
{
    for (const char *p = path; (p = strstr(p, "..")) != NULL; p += 2)
        if ((p == path || p[-1] == '/') && (p[2] == '/' || p[2] == '\0'))
            return true;
    return false;
}

static bool command_allowed(struct edit *e, const char *command)
{
    const char *name = base_name(command);
    bool runtime = runtime_of(name) != NULL;
    bool master_admin = strcmp(e->req->who.tenant_id, MASTER_TENANT_ID) == 0 && e->req->who.role >= ROLE_ADMIN;
    if (strpbrk(command, "\r\n|&;<>()$`\"'\\*?[]{}!~#") != NULL)
        return refuse(e, "command", "a program without shell characters");
    if (has_parent_part(command))
        return refuse(e, "command", "a path without ..");
    if (command[0] == '/' ? runtime || (master_admin && *name != '\0') : runtime && name == command)
        return true;
    return refuse(e, "command", "a known runtime, or a full path where that is allowed");
}

static bool command_check(struct edit *e)
{
    if (!line_take_apart(e))
        return false;
    const char *command = edit_text(e, "command");
    if (*command == '\0')
        return edit_refuse(e, FAULT_INVALID, MSG_required, "command", "command", NULL);
    if (!command_allowed(e, command))
        return false;
    const struct runtime *r = runtime_of(base_name(command));
    const char *flag = r != NULL ? code_flag(r, base_name(command), edit_json(e, "args")) : NULL;
    return flag == NULL || edit_refuse(e, FAULT_INVALID, MSG_not_supported, "args", flag, NULL);
}

static bool command_judge(struct edit *e)
{
    if (command_check(e))
        return true;
    log_event(LOG_WARN, 3211, "security.mcp_command_refused", LOG_S, "request_id", e->req->id, LOG_S, "tenant",
              e->req->who.tenant_id, LOG_S, "field", e->change.fault.param, LOG_END);
    return false;
}

/* ---- the whole record ---- */

static bool url_check(struct edit *e, bool needed)
{
    const char *url = edit_text(e, "url"), *why;
    int64_t set = e->req->gw->config->allow_private_mcp_urls;
    bool private_allowed = set == TRI_UNSET ? strcmp(e->req->who.tenant_id, MASTER_TENANT_ID) == 0 : set == TRI_YES;
    if (*url == '\0')
        return !needed || edit_refuse(e, FAULT_INVALID, MSG_required, "url", "url", NULL);
    return outbound_url_check(url, private_allowed, &why) ||
           edit_refuse(e, FAULT_INVALID, MSG_invalid_request, "url", why, NULL);
}

bool mcp_server_check(struct edit *e)
{
    if (e->action == EDIT_DELETE)
        return true;
    bool stdio = strcmp(edit_text(e, "transport"), "stdio") == 0;
    bool touched = edit_changed(e, "transport") || edit_changed(e, "command") || edit_changed(e, "args") ||
                   edit_changed(e, "url");
    return !touched || ((!stdio || command_judge(e)) && url_check(e, !stdio));
}

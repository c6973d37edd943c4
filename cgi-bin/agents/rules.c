#include "agents/rules.h"

#include <ctype.h>

#include "agents/persona.h"
#include "store/agents.h"

enum { MADE_KEY_MAX = 64 };

static const char reserved_word[] = "neither an id nor a reserved word";

/* ---- the key ---- */

bool agent_key_check(struct edit *e, const struct field *f, struct db_value *v, json_object *in)
{
    static const char *const reserved[] = {"links", "import", "sync-workspace"};
    (void)in;
    bool taken = uuid_parse(v->text, NULL);
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        taken = taken || strcmp(v->text, reserved[i]) == 0;
    return !taken || edit_refuse(e, FAULT_INVALID, MSG_must_be, f->name, f->name, reserved_word);
}

/* "My Agent 2!" becomes "my-agent-2"; "" when nothing is left. */
static const char *key_of(struct arena *a, const char *name)
{
    char key[MADE_KEY_MAX + 1];
    size_t n = 0;
    bool gap = false;
    for (; *name != '\0' && n < MADE_KEY_MAX; name++) {
        if (!isascii((unsigned char)*name) || !isalnum((unsigned char)*name)) {
            gap = n > 0;
            continue;
        }
        if (gap && n + 1 < MADE_KEY_MAX)
            key[n++] = '-';
        else if (gap)
            break;
        gap = false;
        key[n++] = (char)tolower((unsigned char)*name);
    }
    return arena_strndup(a, key, n);
}

/* ---- the body ---- */

static bool text_missing(json_object *body, const char *name)
{
    json_object *v = json_get(body, name);
    return v == NULL || (json_object_is_type(v, json_type_string) && json_object_get_string_len(v) == 0);
}

static void fill_text(json_object *body, const char *name, const char *text)
{
    if (text_missing(body, name))
        json_object_object_add(body, name, json_object_new_string(text));
}

static void fill_int(json_object *body, const char *name, int64_t n)
{
    json_object *v = json_get(body, name);
    if (v == NULL || (json_object_is_type(v, json_type_int) && json_object_get_int64(v) <= 0))
        json_object_object_add(body, name, json_object_new_int64(n));
}

static void defaults_fill(struct edit *e)
{
    const struct config *config = e->req->gw->config;
    const char *name = json_str(e->body, "display_name");
    if (name != NULL)
        fill_text(e->body, "agent_key", key_of(e->req->arena, name));
    fill_text(e->body, "provider", config->default_provider);
    fill_text(e->body, "model", config->default_model);
    fill_text(e->body, "agent_type", config->agent_type);
    fill_int(e->body, "context_window", config->context_window);
    fill_int(e->body, "max_tool_iterations", config->max_tool_iterations);
}

bool agent_input(struct edit *e)
{
    if (e->action == EDIT_CREATE)
        defaults_fill(e);
    return true;
}

/* ---- the merged record ---- */

/* What the body says under the names other clients use; NULL when it is empty. */
static const char *description_given(const struct edit *e)
{
    static const char *const names[] = {"agent_description", "description"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *text = json_str(e->body, names[i]);
        if (text != NULL && *text != '\0')
            return text;
    }
    return NULL;
}

/* other_config.description is its only home; one that stands there in the body wins. */
static bool description_keep(struct edit *e)
{
    const char *text = description_given(e);
    json_object *other = edit_json(e, "other_config");
    const char *own = edit_given(e, "other_config") ? json_str(other, "description") : NULL;
    if (text == NULL || (own != NULL && *own != '\0'))
        return true;
    json_object_object_add(other, "description", json_object_new_string(text));
    edit_set_json(e, "other_config", other);
    return strlen(edit_text(e, "other_config")) <= AGENT_OBJECT_MAX ||
           edit_refuse(e, FAULT_INVALID, MSG_too_long, "other_config", "other_config", "65536 bytes");
}

/* The other two states are the business of the jobs that write personas. */
static bool status_check(struct edit *e)
{
    const char *status = edit_text(e, "status");
    return !edit_changed(e, "status") || strcmp(status, "active") == 0 || strcmp(status, "inactive") == 0 ||
           edit_refuse(e, FAULT_INVALID, MSG_must_be_one_of, "status", "status", "active, inactive");
}

/* ---- the workspace ---- */

/* Contract 01 §5.2: the master tenant has the configured directory, the others have theirs below it. */
static const char *tenant_workspace(struct request *req)
{
    const char *base = req->gw->config->workspace, *slug = req->who.tenant_slug;
    if (strcmp(req->who.tenant_id, MASTER_TENANT_ID) == 0)
        return base;
    bool usable = slug != NULL && slug_valid(slug);
    return arena_printf(req->arena, "%s/tenants/%s", base, usable ? slug : req->who.tenant_id);
}

/* Both as config_path_plain writes them. */
static bool is_below(const char *path, const char *directory)
{
    size_t n = strlen(directory);
    return strncmp(path, directory, n) == 0 && path[n] == '/';
}

static bool is_in(const char *path, const char *directory)
{
    return strcmp(path, directory) == 0 || is_below(path, directory);
}

/* Neither where the other tenants' directories are, nor where the gateway keeps its own data. */
static bool workspace_free(struct request *req, const char *path)
{
    const struct config *config = req->gw->config;
    const char *tenants = arena_printf(req->arena, "%s/tenants", config->workspace);
    bool master = strcmp(req->who.tenant_id, MASTER_TENANT_ID) == 0;
    return !(master && is_in(path, tenants)) && !is_in(path, config->data_dir);
}

static bool has_dot_part(const char *path)
{
    for (size_t n; *path != '\0'; path += n + (path[n] == '/')) {
        n = strcspn(path, "/");
        if ((n == 1 || n == 2) && strncmp(path, "..", n) == 0)
            return true;
    }
    return false;
}

/* Any directory of the machine is for those who run it: admins of the master tenant. Everybody else stays below the
 * tenant's own directory, and the master tenant's users out of those of the other tenants. */
static bool workspace_allowed(struct request *req, const char *given)
{
    const char *path = config_path_plain(req->arena, given);
    bool master = strcmp(req->who.tenant_id, MASTER_TENANT_ID) == 0;
    if (path[0] != '/' || has_dot_part(path))
        return false;
    if (req->who.role == ROLE_OWNER || (master && req->who.role >= ROLE_ADMIN))
        return true;
    return is_below(path, tenant_workspace(req)) && workspace_free(req, path);
}

static bool workspace_check(struct edit *e)
{
    const char *path = edit_text(e, "workspace");
    if (*path == '\0') {
        const char *key = edit_text(e, "agent_key");
        const char *own = arena_printf(e->req->arena, "%s/%s", tenant_workspace(e->req), key);
        edit_set_text(e, "workspace", own);
        return workspace_free(e->req, own) ||
               edit_refuse(e, FAULT_INVALID, MSG_must_be, "agent_key", "agent_key", reserved_word);
    }
    return !edit_changed(e, "workspace") || workspace_allowed(e->req, path) ||
           edit_refuse(e, FAULT_INVALID, MSG_must_be, "workspace", "workspace",
                       "an absolute path without . and .., in the tenant's workspace unless an admin sets it");
}

bool agent_check(struct edit *e)
{
    if (e->action == EDIT_DELETE)
        return true;
    edit_set_int(e, "restrict_to_workspace", 1); /* rows made elsewhere may say otherwise */
    return description_keep(e) && status_check(e) && workspace_check(e) && persona_begin(e);
}

static bool default_follow(struct edit *e)
{
    if (edit_int(e, "is_default") == 0 || !edit_changed(e, "is_default"))
        return true;
    enum db_rc rc = agent_only_default(e->db, e->req->who.tenant_id, e->id);
    return rc == DB_OK || edit_failed(e, rc);
}

bool agent_follow(struct edit *e)
{
    return default_follow(e) && persona_follow(e);
}

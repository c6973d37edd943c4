#include "providers/rules.h"

#include <ctype.h>

#include "base/id.h"
#include "llm/ssrf.h"
#include "store/agents.h"

static bool refuse(struct edit *e, const char *field, const char *must_be)
{
    return edit_refuse(e, FAULT_INVALID, MSG_must_be, field, field, must_be);
}

static bool is(const char *type, const char *name)
{
    return strcmp(type, name) == 0;
}

/* ---- the address ---- */

static bool private_allowed(const struct edit *e)
{
    int64_t set = e->req->gw->config->allow_private_provider_urls;
    return set == TRI_UNSET ? strcmp(e->req->who.tenant_id, MASTER_TENANT_ID) == 0 : set == TRI_YES;
}

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), t = strlen(tail);
    return n >= t && strcmp(s + n - t, tail) == 0;
}

/* Without trailing slashes; /v1 where users of that type tend to leave it out. */
static const char *normalise(struct edit *e, const char *type, const char *url)
{
    char *base = arena_strdup(e->req->arena, url);
    for (size_t n = strlen(base); n && base[n - 1] == '/'; n--)
        base[n - 1] = '\0';
    bool ollama = is(type, "ollama") || is(type, "ollama_cloud");
    bool anthropic = strncmp(type, "anthropic_", 10) == 0;
    const char *host = strstr(base, "://");
    bool bare = host && strchr(host + 3, '/') == NULL;
    if ((ollama && !ends_with(base, "/v1")) || (anthropic && bare))
        return arena_printf(e->req->arena, "%s/v1", base);
    return base;
}

/* claude_cli and acp start a program: a known bare name, or an absolute path. */
static bool command_allowed(const char *type, const char *command)
{
    static const char *const names[] = {"claude", "codex", "gemini"};
    if (*command == '/')
        return strstr(command, "..") == NULL;
    size_t known = is(type, "acp") ? sizeof names / sizeof *names : 1;
    for (size_t i = 0; i < known; i++)
        if (is(command, names[i]))
            return true;
    return false;
}

static bool check_address(struct edit *e, const char *type)
{
    const char *base = edit_text(e, "api_base"), *why = NULL;
    if (is(type, "offline")) {
        if (*base)
            return refuse(e, "api_base", "empty for the offline model");
        return *edit_text(e, "api_key") ? refuse(e, "api_key", "empty for the offline model") : true;
    }
    if (!*base)
        return true;
    if (is(type, "claude_cli") || is(type, "acp"))
        return command_allowed(type, base) ? true : refuse(e, "api_base", "a permitted program or an absolute path");
    if (!edit_changed(e, "api_base") && !edit_changed(e, "provider_type"))
        return true;
    base = normalise(e, type, base);
    bool allowed = private_allowed(e) || (is(type, "ollama") && outbound_url_is_loopback(base));
    if (!outbound_url_check(base, allowed, &why))
        return edit_refuse(e, FAULT_INVALID, MSG_invalid_request, "api_base", why, NULL);
    edit_set_text(e, "api_base", base);
    return true;
}

/* ---- settings ---- */

/* default_model at the top level is what clients send; its home is settings. */
static bool take_default_model(struct edit *e)
{
    json_object *model = json_get(e->body, "default_model");
    if (!model)
        return true;
    json_object *settings = edit_json(e, "settings");
    json_object_object_add(settings, "default_model", json_object_get(model));
    edit_set_json(e, "settings", settings);
    return strlen(edit_text(e, "settings")) <= PROVIDER_SETTINGS_MAX ||
           edit_refuse(e, FAULT_INVALID, MSG_too_long, "default_model", "settings",
                       arena_printf(e->req->arena, "%d bytes", PROVIDER_SETTINGS_MAX));
}

static bool check_settings(struct edit *e)
{
    json_object *settings = edit_json(e, "settings");
    json_object *model = json_get(settings, "default_model");
    if (model && !json_object_is_type(model, json_type_string))
        return edit_refuse(e, FAULT_INVALID, MSG_must_be_string, "settings", "settings.default_model", NULL);
    json_object *embedding = json_get(settings, "embedding");
    if (embedding && json_num(embedding, "dimensions", 0) < 0)
        return refuse(e, "settings", "an object whose embedding.dimensions is not negative");
    return true;
}

/* At most one local command-line provider a tenant. */
static bool check_single(struct edit *e, const char *type)
{
    bool taken = false;
    if (!is(type, "claude_cli") || !edit_changed(e, "provider_type"))
        return true;
    enum db_rc rc = provider_type_taken(e->db, e->req->who.tenant_id, type, e->id, &taken);
    if (rc != DB_OK)
        return edit_failed(e, rc);
    return taken ? edit_refuse(e, FAULT_EXISTS, MSG_already_exists, "provider_type", "provider", type) : true;
}

bool provider_check(struct edit *e)
{
    if (e->action == EDIT_DELETE)
        return true;
    const char *type = edit_text(e, "provider_type");
    return take_default_model(e) && check_settings(e) && check_address(e, type) && check_single(e, type);
}

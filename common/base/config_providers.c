#include "base/config_providers.h"

#include <ctype.h>

#include "base/log.h"

enum { TEXT_MAX = 8192, ENV_NAME_MAX = 64 };

static const struct known {
    const char *name, *type;
    const char *base_env; /* NULL = none */
    bool keyless;         /* an address is enough */
} known[] = {
    {"anthropic", "anthropic_native", "GOCLAW_ANTHROPIC_BASE_URL", false},
    {"bailian", "bailian", NULL, false},
    {"cohere", "cohere", NULL, false},
    {"dashscope", "dashscope", NULL, false},
    {"deepseek", "deepseek", NULL, false},
    {"gemini", "gemini_native", NULL, false},
    {"groq", "groq", NULL, false},
    {"minimax", "minimax_native", NULL, false},
    {"mistral", "mistral", NULL, false},
    {"ollama", "ollama", "GOCLAW_OLLAMA_HOST", true},
    {"ollama_cloud", "ollama_cloud", NULL, false},
    {"openai", "openai_compat", "GOCLAW_OPENAI_BASE_URL", false},
    {"openrouter", "openrouter", NULL, false},
    {"perplexity", "perplexity", NULL, false},
    {"xai", "xai", NULL, false},
    {"zai", "zai", NULL, false},
    {"zai_coding", "zai_coding", NULL, false},
};
enum { KNOWN = sizeof known / sizeof *known };

static const struct known *known_find(const char *name)
{
    for (size_t i = 0; i < KNOWN; i++)
        if (strcmp(known[i].name, name) == 0)
            return &known[i];
    return NULL;
}

/* ---- the file ---- */

static bool refuse(char *why, size_t size, const char *name, const char *what)
{
    snprintf(why, size, "%s must be %s", name, what);
    return false;
}

static void unknown_tell(const char *name, const char *member)
{
    log_event(LOG_WARN, 1103, "config.unknown_provider", LOG_S, "key", name, LOG_S, "member", member, LOG_END);
}

static bool entry_valid(const char *name, json_object *entry, char *why, size_t size)
{
    if (!json_object_is_type(entry, json_type_object))
        return refuse(why, size, name, "an object");
    json_object_object_foreach(entry, key, value) {
        if (strcmp(key, "api_key") != 0 && strcmp(key, "api_base") != 0)
            unknown_tell(name, key);
        else if (value != NULL && (!json_object_is_type(value, json_type_string) ||
                                   json_object_get_string_len(value) > TEXT_MAX))
            return refuse(why, size, name, "an object of texts of at most 8192 bytes");
    }
    return true;
}

static bool file_valid(json_object *file, char *why, size_t size)
{
    if (file == NULL)
        return true;
    if (!json_object_is_type(file, json_type_object))
        return refuse(why, size, "providers", "an object");
    json_object_object_foreach(file, name, entry) {
        if (known_find(name) == NULL)
            unknown_tell("providers", name);
        else if (entry != NULL && !entry_valid(name, entry, why, size))
            return false;
    }
    return true;
}

/* ---- one provider ---- */

static const char *from_env(const char *name)
{
    const char *text = name != NULL ? getenv(name) : NULL;
    return text != NULL && *text != '\0' ? text : NULL;
}

/* GOCLAW_ZAI_CODING_API_KEY */
static const char *key_from_env(const char *provider)
{
    char name[ENV_NAME_MAX];
    snprintf(name, sizeof name, "GOCLAW_%s_API_KEY", provider);
    for (char *p = name; *p != '\0'; p++)
        *p = (char)toupper((unsigned char)*p);
    return from_env(name);
}

static const char *either(const char *first, const char *second)
{
    return first != NULL ? first : second != NULL ? second : "";
}

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), t = strlen(tail);
    return n >= t && strcmp(s + n - t, tail) == 0;
}

/* As a stored provider's: without slashes at the end, /v1 where it tends to be left out. NULL: no address. */
static const char *base_normal(struct arena *a, const char *type, const char *base)
{
    size_t scheme = strncmp(base, "https://", 8) == 0 ? 8 : strncmp(base, "http://", 7) == 0 ? 7 : 0;
    size_t n = strlen(base);
    while (n > scheme && base[n - 1] == '/')
        n--;
    if (n > 0 && (scheme == 0 || n == scheme || strpbrk(base, " \t\r\n") != NULL))
        return NULL;
    char *text = arena_strndup(a, base, n);
    bool bare = n > 0 && strchr(text + scheme, '/') == NULL;
    bool ollama = n > 0 && strncmp(type, "ollama", 6) == 0 && !ends_with(text, "/v1");
    return ollama || (bare && strcmp(type, "anthropic_native") == 0) ? arena_printf(a, "%s/v1", text) : text;
}

/* From the name, in the name space of DNS names; the same on every machine. */
static void id_make(const char *name, char out[UUID_SIZE])
{
    static const unsigned char dns[16] = {0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1,
                                          0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8};
    uuid_of_name(dns, name, out);
}

bool config_providers_load(struct config *c, struct arena *a, json_object *file, char *why, size_t size)
{
    struct config_provider *list = ARENA_ARRAY(a, struct config_provider, KNOWN);
    size_t n = 0;
    if (!file_valid(file, why, size))
        return false;
    for (size_t i = 0; i < KNOWN; i++) {
        const struct known *k = &known[i];
        json_object *entry = json_get(file, k->name);
        const char *key = either(key_from_env(k->name), json_str(entry, "api_key"));
        const char *base = base_normal(a, k->type, either(from_env(k->base_env), json_str(entry, "api_base")));
        if (base == NULL)
            return refuse(why, size, k->name, "at an http or https address");
        if (*key == '\0' && *base == '\0')
            continue;
        struct config_provider *p = &list[n++];
        *p = (struct config_provider){.name = k->name, .type = k->type, .api_base = base, .api_key = arena_strdup(a, key)};
        p->usable = *key != '\0' || k->keyless;
        id_make(k->name, p->id);
    }
    c->providers = list;
    c->provider_count = n;
    return true;
}

/* ---- looking ---- */

const struct config_provider *config_provider_find(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->provider_count; i++)
        if (c->providers[i].usable && strcmp(c->providers[i].name, name) == 0)
            return &c->providers[i];
    return NULL;
}

const struct config_provider *config_provider_by_id(const struct config *c, const char *id)
{
    for (size_t i = 0; i < c->provider_count; i++)
        if (c->providers[i].usable && strcmp(c->providers[i].id, id) == 0)
            return &c->providers[i];
    return NULL;
}

const char *config_provider_base(const struct config *c, const char *type)
{
    for (size_t i = 0; i < c->provider_count; i++)
        if (strcmp(c->providers[i].type, type) == 0 && *c->providers[i].api_base != '\0')
            return c->providers[i].api_base;
    return NULL;
}

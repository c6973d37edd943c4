#include "base/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/config_keys.h"
#include "base/config_providers.h"
#include "base/log.h"
#include "base/utf8.h"

enum { FILE_MAX = 1 << 20, WHY_SIZE = 160, PATH_SIZE = 4096 };

/* What is being read, and where the reason of a refusal goes. */
struct load {
    struct arena *arena;
    struct config *c;
    bool in_file[CONFIG_KEYS_MAX];
    json_object *providers; /* of the file, NULL = absent */
    char *err;
    size_t errsize;
};

/* struct config first: config_free finds the arena through it. */
struct loaded {
    struct config config;
    struct arena *arena;
};

static bool fail(struct load *l, const char *name, const char *why)
{
    snprintf(l->err, l->errsize, "%s: %s", name, why);
    return false;
}

static bool is_checkout(void)
{
    static const char mark[] = "# Clawgate";
    char head[sizeof mark] = "";
    int fd = open("Makefile", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, head, sizeof mark - 1);
    close(fd);
    return n == (ssize_t)sizeof mark - 1 && memcmp(head, mark, sizeof mark - 1) == 0;
}

/* NULL when unset or empty. */
static const char *env_get(const char *name)
{
    const char *v = name ? getenv(name) : NULL;
    return v && *v ? v : NULL;
}

static const char *path_absolute(struct arena *a, const char *path)
{
    char cwd[PATH_SIZE];
    if (*path == '/' || !getcwd(cwd, sizeof cwd))
        return arena_strdup(a, path);
    while (path[0] == '.' && path[1] == '/')
        path += 2;
    return arena_printf(a, "%s/%s", cwd, path);
}

static void find_home(struct load *l, const char *home)
{
    if (!home || !*home)
        home = env_get("CLAWGATE_HOME");
    if (!home)
        home = is_checkout() ? "./var" : "/var/lib/clawgate";
    l->c->home = config_path_plain(l->arena, path_absolute(l->arena, home));
    const char *file = env_get("GOCLAW_CONFIG");
    l->c->file = file ? path_absolute(l->arena, file) : arena_printf(l->arena, "%s/config.json", l->c->home);
}

/* The whole file, NUL-terminated; *text stays NULL when there is none. */
static bool read_file(struct load *l, char **text, size_t *len, mode_t *mode)
{
    int fd = open(l->c->file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? true : fail(l, l->c->file, strerror(errno));
    struct stat st;
    bool ok = fstat(fd, &st) == 0;
    if (ok && (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX)) {
        close(fd);
        return fail(l, l->c->file, "not a file of at most 1 MiB");
    }
    size_t size = ok ? (size_t)st.st_size : 0;
    char *p = arena_alloc(l->arena, size + 1);
    size_t done = 0;
    while (ok && done < size) {
        ssize_t n = read(fd, p + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        ok = n >= 0;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    int why = errno;
    close(fd);
    if (!ok)
        return fail(l, l->c->file, strerror(why));
    *text = p;
    *len = done;
    *mode = st.st_mode;
    return true;
}

/* Keys and sections of features that come later; nobody is to be warned about them. */
static bool is_later_key(const char *path)
{
    static const char *const later[] = {
        "agents.list", "tools", "sessions", "skills", "gateway.quota", "gateway.public_url",
        "gateway.file_token_ttl", "gateway.inbound_debounce_ms", "agents.defaults.memory",
        "agents.defaults.compaction.reserveTokensFloor", "agents.defaults.compaction.memoryFlush",
        "agents.defaults.restrict_to_workspace",
    };
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        if (strcmp(path, later[i]) == 0)
            return true;
    return false;
}

static bool is_section(const char *path)
{
    size_t count, n = strlen(path);
    const struct config_key *keys = config_key_table(&count);
    for (size_t i = 0; i < count; i++)
        if (keys[i].path && strncmp(keys[i].path, path, n) == 0 && keys[i].path[n] == '.')
            return true;
    return false;
}

static const struct config_key *key_find(const char *path, size_t *index)
{
    size_t count;
    const struct config_key *keys = config_key_table(&count);
    for (size_t i = 0; i < count; i++) {
        if (keys[i].path && strcmp(keys[i].path, path) == 0) {
            *index = i;
            return &keys[i];
        }
    }
    return NULL;
}

static bool apply_section(struct load *l, const char *prefix, json_object *section);

/* A member with the value null counts as absent. */
static bool apply_member(struct load *l, const char *path, json_object *value)
{
    size_t i;
    const struct config_key *key = key_find(path, &i);
    char why[WHY_SIZE];
    if (key && value) {
        l->in_file[i] = true;
        return config_set_json(l->c, l->arena, key, value, why, sizeof why) || fail(l, path, why);
    }
    if (strcmp(path, "providers") == 0) {
        l->providers = value;
        return true;
    }
    if (key || is_later_key(path))
        return true;
    if (is_section(path)) {
        if (value && !json_object_is_type(value, json_type_object))
            return fail(l, path, "must be an object");
        return !value || apply_section(l, arena_printf(l->arena, "%s.", path), value);
    }
    log_event(LOG_WARN, 1101, "config.unknown_key", LOG_S, "key", path, LOG_S, "path", l->c->file, LOG_END);
    return true;
}

static bool apply_section(struct load *l, const char *prefix, json_object *section)
{
    json_object_object_foreach(section, name, value) {
        if (!apply_member(l, arena_printf(l->arena, "%s%s", prefix, name), value))
            return false;
    }
    return true;
}

static void put_json(void *root)
{
    json_object_put(root);
}

static bool apply_file(struct load *l)
{
    char *text = NULL;
    size_t len = 0;
    mode_t mode = 0;
    if (!read_file(l, &text, &len, &mode))
        return false;
    if (!text)
        return true;
    json_strip_comments(text, len);
    struct json_fault fault = {0};
    json_object *root = json_parse_owned(text, len, 0, &fault);
    if (!root) {
        size_t line = 1;
        for (size_t i = 0; i < fault.offset && i < len; i++)
            line += text[i] == '\n';
        return fail(l, l->c->file, arena_printf(l->arena, "line %zu: %s", line, fault.reason));
    }
    arena_defer(l->arena, put_json, root);
    if (!json_object_is_type(root, json_type_object))
        return fail(l, l->c->file, "must hold a JSON object");
    if (!apply_section(l, "", root))
        return false;
    if ((*l->c->token || l->providers) && (mode & 044))
        log_event(LOG_WARN, 1102, "config.token_readable_by_others", LOG_S, "path", l->c->file, LOG_END);
    return true;
}

static bool apply_presets(struct load *l)
{
    size_t count;
    const struct config_key *keys = config_key_table(&count);
    char why[WHY_SIZE];
    for (size_t i = 0; i < count; i++)
        if (keys[i].preset && !config_set_text(l->c, l->arena, &keys[i], keys[i].preset, why, sizeof why))
            return fail(l, keys[i].path ? keys[i].path : keys[i].env, why);
    return true;
}

static bool apply_environment(struct load *l)
{
    size_t count;
    const struct config_key *keys = config_key_table(&count);
    char why[WHY_SIZE];
    for (size_t i = 0; i < count; i++) {
        const char *value = env_get(keys[i].env);
        if (!value || (keys[i].env_is_fallback && l->in_file[i]))
            continue;
        if (!config_set_text(l->c, l->arena, &keys[i], value, why, sizeof why))
            return fail(l, keys[i].env, why);
    }
    return true;
}

/* The directory and its missing parents, for the owner alone. */
static bool make_dirs(struct load *l, const char *path)
{
    char *p = arena_strdup(l->arena, path);
    for (char *slash = p + 1;; slash++) {
        slash += strcspn(slash, "/");
        char was = *slash;
        *slash = 0;
        if (mkdir(p, 0700) != 0) {
            int why = errno;
            struct stat st;
            if (stat(p, &st) != 0 || !S_ISDIR(st.st_mode))
                return fail(l, "data_dir", arena_printf(l->arena, "cannot create %s: %s", p, strerror(why)));
        }
        if (was == 0)
            return true;
        *slash = was;
    }
}

bool config_token_sendable(const char *token)
{
    size_t n = strlen(token);
    bool outer = n > 0 && (token[0] == ' ' || token[n - 1] == ' ');
    for (const char *c = token; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return false;
    return !outer && utf8_valid(token, n);
}

static bool load_all(struct load *l, const char *home)
{
    find_home(l, home);
    char why[WHY_SIZE];
    if (!apply_presets(l) || !apply_file(l) || !apply_environment(l))
        return false;
    if (!config_token_sendable(l->c->token))
        return fail(l, "gateway.token", CONFIG_TOKEN_RULE);
    if (!config_providers_load(l->c, l->arena, l->providers, why, sizeof why))
        return fail(l, "providers", why);
    if (!l->c->sqlite_path)
        l->c->sqlite_path = arena_printf(l->arena, "%s/goclaw.db", l->c->data_dir);
    return make_dirs(l, l->c->data_dir) &&
           crypto_keys_load(&l->c->keys, env_get("GOCLAW_ENCRYPTION_KEY"), l->c->data_dir, l->err, l->errsize);
}

const struct config *config_load(const char *home, char *err, unsigned errsize)
{
    struct arena *arena = arena_new();
    struct loaded *loaded = ARENA_NEW(arena, struct loaded);
    loaded->arena = arena;
    struct load l = {.arena = arena, .c = &loaded->config, .err = err, .errsize = errsize};
    if (load_all(&l, home))
        return &loaded->config;
    arena_free(arena);
    return NULL;
}

void config_free(const struct config *c)
{
    if (c)
        arena_free(((const struct loaded *)c)->arena);
}

bool config_is_loopback(const char *host)
{
    unsigned char raw[16];
    if (inet_pton(AF_INET, host, raw) == 1)
        return raw[0] == 127;
    return strcmp(host, "::1") == 0 || strcmp(host, "[::1]") == 0 || strcasecmp(host, "localhost") == 0;
}

void config_host_text(const char *host, char *out, size_t size)
{
    if (strchr(host, ':') && host[0] != '[')
        snprintf(out, size, "[%s]", host);
    else
        snprintf(out, size, "%s", host);
}

bool config_token_missing(const struct config *c)
{
    return !*c->token && !c->allow_insecure_no_auth && !config_is_loopback(c->host);
}

bool config_is_owner_id(const struct config *c, const char *user_id)
{
    if (!c->owner_ids[0])
        return strcmp(user_id, "system") == 0;
    for (size_t i = 0; c->owner_ids[i]; i++)
        if (strcmp(c->owner_ids[i], user_id) == 0)
            return true;
    return false;
}

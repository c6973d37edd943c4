/* clawgate-admin: what the clawgate script cannot do in shell, because JSON or the database must be read.
 *
 * It works on the home directly, with or without a running gateway, and prints plain lines.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/complain.h"
#include "base/config.h"
#include "base/id.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "base/utf8.h"
#include "llm/llm.h"
#include "llm/ssrf.h"
#include "store/agents.h"
#include "store/keys.h"
#include "store/secrets.h"
#include "store/tenants.h"
#include "store/writer.h"
#include "tools/clawgate-admin/options.h"

enum { TOKEN_MAX = 4096 }; /* of gateway.token */

/* What a command works with. */
struct admin {
    struct arena *a;
    struct options o;
    const struct config *config;
    struct db *db;
};

/* ---- init ---- */

static bool make_dir(const char *path)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return true;
    complain("%s: %s", path, strerror(errno));
    return false;
}

static bool port_valid(const char *s)
{
    size_t digits = strspn(s, "0123456789");
    return *s != '0' && digits >= 1 && digits <= 5 && s[digits] == '\0' && strtol(s, NULL, 10) <= 65535;
}

static const char *config_text(struct admin *ad)
{
    unsigned char raw[24];
    char token[2 * sizeof raw + 1];
    struct buf *b = buf_new(ad->a, 65536);
    struct jsonw w;
    random_bytes(raw, sizeof raw);
    hex_encode(raw, sizeof raw, token);
    buf_adds(b, "// Settings of this Clawgate. Comments are fine; docs/configuration.md lists every key.\n{\n  \"gateway\": {");
    buf_adds(b, "\"host\": \"127.0.0.1\", \"port\": ");
    buf_adds(b, ad->o.port ? ad->o.port : "18790");
    buf_adds(b, ", \"token\": ");
    jw_init(&w, b);
    jw_str(&w, ad->o.token ? ad->o.token : token);
    buf_adds(b, "},\n  \"agents\": {\"defaults\": {\"provider\": \"offline\", \"model\": \"offline\"}}\n}\n");
    return b->failed ? NULL : buf_str(b);
}

/* Complete under another name, then link(2): nobody reads half of it, and of two at a time the second keeps the first
 * one's. *fresh tells whether it is ours. */
static bool config_write(struct admin *ad, const char *path, bool *fresh)
{
    const char *text = config_text(ad);
    char *temp = arena_printf(ad->a, "%s.XXXXXX", path);
    int fd = text ? mkostemp(temp, O_CLOEXEC) : -1;
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fsync(fd) == 0;
    *fresh = ok && link(temp, path) == 0;
    ok = *fresh || (ok && errno == EEXIST);
    if (!ok)
        complain("%s: %s", path, strerror(errno));
    if (fd >= 0) {
        close(fd);
        unlink(temp);
    }
    return ok;
}

static enum db_rc seed_job(struct db *db, void *arg)
{
    struct admin *ad = arg;
    struct provider offline = {.name = "offline", .provider_type = "offline", .api_base = "", .api_key = "",
                               .settings = "{}", .enabled = true};
    struct provider have;
    struct agent agent;
    enum db_rc rc = provider_find(db, ad->a, MASTER_TENANT_ID, "offline", &have);
    if (rc == DB_OK)
        rc = provider_put(db, ad->a, MASTER_TENANT_ID, &offline);
    if (rc != DB_OK && rc != DB_ROW)
        return rc;
    rc = agent_default(db, ad->a, MASTER_TENANT_ID, &agent);
    if (rc != DB_OK)
        return rc == DB_ROW ? DB_OK : rc;
    const char *id;
    return agent_create(db, ad->a,
                        &(struct agent){.tenant_id = MASTER_TENANT_ID, .agent_key = "default", .display_name = "Default",
                                        .owner_id = "system", .provider = "offline", .model = "offline",
                                        .agent_type = "open", .status = "active", .context_window = 200000,
                                        .max_tool_iterations = 30, .is_default = true, .other_config = "{}",
                                        .tools_config = "{}",
                                        .workspace = arena_printf(ad->a, "%s/default", ad->config->workspace)},
                        &id);
}

static int cmd_init(struct admin *ad)
{
    char dir[PATH_MAX], err[512] = "";
    static const char *const subdirs[] = {"run", "log", "htdocs", "workspace"};
    if (!ad->o.home)
        return complain("init needs --home");
    if (ad->o.port && !port_valid(ad->o.port))
        return complain("--port must be a number from 1 to 65535");
    if (ad->o.token && !*ad->o.token)
        return complain("--token is empty, and without a token everybody is admin; leave it out to have one made");
    if (!option_fits("--token", ad->o.token, TOKEN_MAX, OPTION_BYTES))
        return 1;
    if (ad->o.token && !config_token_sendable(ad->o.token))
        return complain("--token " CONFIG_TOKEN_RULE);
    if (!make_dir(ad->o.home))
        return 1;
    for (size_t i = 0; i < sizeof subdirs / sizeof *subdirs; i++) {
        snprintf(dir, sizeof dir, "%s/%s", ad->o.home, subdirs[i]);
        if (!make_dir(dir))
            return 1;
    }
    snprintf(dir, sizeof dir, "%s/config.json", ad->o.home);
    bool fresh = access(dir, F_OK) != 0;
    if (fresh && !config_write(ad, dir, &fresh))
        return 1;
    ad->config = config_load(ad->o.home, err, sizeof err);
    if (!ad->config)
        return complain("%s", err);
    if (!fresh && ((ad->o.token && strcmp(ad->o.token, ad->config->token) != 0) ||
                   (ad->o.port && strtol(ad->o.port, NULL, 10) != ad->config->port)))
        return complain("%s exists with other values; edit it to change token or port", dir);
    ad->db = db_open(ad->config->sqlite_path, DB_CREATE, err, sizeof err);
    if (!ad->db)
        return complain("%s", err);
    if (writer_run(NULL, ad->db, seed_job, ad) != DB_OK)
        return complain("%s could not be written", ad->config->sqlite_path);
    printf("%s %s\n", fresh ? "created" : "kept", ad->config->home);
    return 0;
}

/* ---- keys ---- */

/* The tenant's id, NULL after a message; *dir (may be NULL) gets the part its files have in the workspace. */
static const char *tenant_named(struct admin *ad, const char **dir)
{
    struct tenant t;
    const char *none = "";
    dir = dir ? dir : &none;
    *dir = "";
    if (!ad->o.tenant)
        return MASTER_TENANT_ID;
    if (tenant_find(ad->db, ad->a, ad->o.tenant, &t) != DB_ROW) {
        complain("there is no tenant %s", ad->o.tenant);
        return NULL;
    }
    if (strcmp(t.id, MASTER_TENANT_ID) != 0)
        *dir = arena_printf(ad->a, "/tenants/%s", t.slug);
    return t.id;
}

static const char *tenant_of(struct admin *ad)
{
    return tenant_named(ad, NULL);
}

struct key_args {
    struct admin *ad;
    const char *scopes, *tenant_id, *expires_at, *id;
    char text[API_KEY_SIZE];
};

static enum db_rc key_job(struct db *db, void *arg)
{
    struct key_args *k = arg;
    return key_create(db, k->ad->a, k->ad->o.name, k->scopes, k->tenant_id, k->ad->o.owner, "system", k->expires_at,
                      k->text, &k->id);
}

static int cmd_key_create(struct admin *ad)
{
    struct key_args k = {.ad = ad};
    const char *unknown;
    char expires[TIME_TEXT_SIZE];
    if (!ad->o.name || !ad->o.scopes)
        return complain("key create needs --name and --scopes (admin, write, read, approvals, pairing)");
    if (!option_fits("--name", ad->o.name, 100, OPTION_FILLED))
        return 1;
    if (ad->o.owner && !utf8_user_id_valid(ad->o.owner, strlen(ad->o.owner)))
        return complain("--owner is no valid user id");
    k.scopes = key_scopes(ad->a, ad->o.scopes, &unknown);
    if (!k.scopes)
        return unknown ? complain("unknown scope %s", unknown) : complain("--scopes names none");
    bool system_level = ad->o.tenant && strcmp(ad->o.tenant, "-") == 0;
    k.tenant_id = system_level ? NULL : tenant_of(ad);
    if (!k.tenant_id && !system_level)
        return 1;
    if (ad->o.expires_in) {
        char *end;
        long long seconds = strtoll(ad->o.expires_in, &end, 10);
        if (*end || seconds < 1 || seconds > 315360000)
            return complain("--expires-in must be 1 to 315360000 seconds");
        time_format(clock_ms() + seconds * 1000, expires);
        k.expires_at = expires;
    }
    if (writer_run(NULL, ad->db, key_job, &k) != DB_OK)
        return complain("the key could not be stored");
    printf("%s\n", k.text);
    return 0;
}

static enum db_rc revoke_job(struct db *db, void *arg)
{
    return key_revoke(db, arg);
}

static int cmd_key_revoke(struct admin *ad)
{
    char id[UUID_SIZE];
    struct api_key key;
    char hash[SHA256_HEX_SIZE];
    const char *what = ad->o.word;
    bool revoked;
    if (!what)
        return complain("key revoke needs the key or its id");
    if (uuid_parse(what, id)) {
        if (key_look(ad->db, id, NULL, &revoked) != DB_ROW)
            return complain("there is no such key");
    } else {
        sha256_hex(what, strlen(what), hash);
        if (key_find(ad->db, ad->a, hash, &key) != DB_ROW)
            return complain("no such live key");
        snprintf(id, sizeof id, "%s", key.id);
    }
    if (writer_run(NULL, ad->db, revoke_job, id) != DB_OK)
        return complain("the key could not be revoked");
    printf("revoked %s\n", id);
    return 0;
}

/* Absent values are dashes, so that columns can be cut. */
static const char *or_dash(const char *s)
{
    return s != NULL && *s != '\0' ? s : "-";
}

/* In its column of one line: whoever chose the text commands no terminal. */
static const char *plain(struct arena *a, const char *s)
{
    struct buf *b = buf_new(a, 64 * 1024);
    for (; *s != '\0'; s++) {
        bool high = (unsigned char)s[0] == 0xc2 && (unsigned char)s[1] >= 0x80 && (unsigned char)s[1] < 0xa0;
        bool control = high || (unsigned char)*s < 0x20 || *s == 0x7f;
        buf_addc(b, control ? '?' : *s);
        s += high;
    }
    return buf_str(b);
}

static void key_print(void *ctx, const struct key_line *k)
{
    struct admin *ad = ctx;
    printf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k->id, k->prefix, k->revoked ? "revoked" : "live", or_dash(k->tenant),
           or_dash(k->owner_id), or_dash(k->expires_at), k->scopes, plain(ad->a, k->name));
}

static int cmd_key_list(struct admin *ad)
{
    return key_each(ad->db, key_print, ad) == DB_OK ? 0 : complain("the keys could not be read");
}

/* ---- tenants ---- */

static enum db_rc tenant_job(struct db *db, void *arg)
{
    struct admin *ad = arg;
    const char *slug = ad->o.word, *id;
    enum db_rc rc = tenant_create(db, ad->a, ad->o.name ? ad->o.name : slug, slug, &id);
    if (rc != DB_OK)
        return rc;
    return tenant_dir_make(ad->a, ad->config->workspace, ad->config->data_dir, slug) == TENANT_DIR_MADE ? DB_OK : DB_FULL;
}

static int cmd_tenant_create(struct admin *ad)
{
    const char *slug = ad->o.word;
    if (!slug || !tenant_slug_valid(slug))
        return complain("tenant create SLUG: lower-case letters, digits and dashes, at most 100");
    if (!option_fits("--name", ad->o.name, 255, OPTION_FILLED))
        return 1;
    switch (writer_run(NULL, ad->db, tenant_job, ad)) {
    case DB_OK:
        printf("tenant %s\n", slug);
        return 0;
    case DB_CONSTRAINT:
        return complain("there is a tenant %s already", slug);
    case DB_FULL:
        return complain("%s/tenants/%s cannot be made, or holds files of an earlier tenant", ad->config->workspace, slug);
    default:
        return complain("the tenant could not be stored");
    }
}

static void tenant_print(void *ctx, const char *id, const char *slug, const char *status, const char *name)
{
    struct admin *ad = ctx;
    printf("%s\t%s\t%s\t%s\n", id, slug, status, plain(ad->a, name));
}

static int cmd_tenant_list(struct admin *ad)
{
    return tenant_each(ad->db, tenant_print, ad) == DB_OK ? 0 : complain("the tenants could not be read");
}

/* ---- providers and agents ---- */

struct put {
    struct admin *ad;
    const char *tenant_id;
    struct provider provider;
    struct agent agent;
};

/* NULL when the settings cannot be read. */
static const char *settings_with_model(struct arena *a, const char *settings, const char *model)
{
    struct json_fault jf;
    json_object *o = json_parse(a, settings, strlen(settings), 0, &jf);
    struct buf *b = buf_new(a, 128 << 10);
    struct jsonw w;
    if (!json_object_is_type(o, json_type_object))
        return NULL;
    json_object_object_add(o, "default_model", json_object_new_string(model));
    jw_init(&w, b);
    jw_json(&w, o);
    return b->failed ? NULL : buf_str(b);
}

/* What the command line leaves out stays as it is. Encrypted inside the transaction: a change of the key then sees the
 * row, or this sees the new key. */
static enum db_rc provider_job(struct db *db, void *arg)
{
    struct put *p = arg;
    const struct options *o = &p->ad->o;
    struct provider *to = &p->provider, was;
    enum db_rc rc = provider_find(db, p->ad->a, p->tenant_id, to->name, &was);
    if (rc != DB_ROW && rc != DB_OK)
        return rc;
    if (rc == DB_ROW) {
        to->enabled = was.enabled;
        to->provider_type = o->type ? o->type : was.provider_type;
        to->api_base = o->base_url ? to->api_base : was.api_base;
        to->settings = o->model ? settings_with_model(p->ad->a, was.settings, o->model) : was.settings;
    }
    to->api_key = rc == DB_ROW && !o->api_key
                      ? was.api_key
                      : crypto_encrypt(p->ad->a, &p->ad->config->keys, o->api_key ? o->api_key : "");
    return to->api_key && to->settings ? provider_put(db, p->ad->a, p->tenant_id, to) : DB_ERROR;
}

static int cmd_provider_set(struct admin *ad)
{
    struct put p = {.ad = ad, .tenant_id = tenant_of(ad)};
    const char *why = NULL, *name = ad->o.word, *type = ad->o.type ? ad->o.type : "openai_compat";
    if (!p.tenant_id)
        return 1;
    if (!name || !slug_valid(name) || strlen(name) > 50)
        return complain("provider set NAME: lower-case letters, digits and dashes, at most 50");
    if (!llm_type_find(type))
        return complain("unknown provider type %s", type);
    if (!option_fits("--base-url", ad->o.base_url, 2048, OPTION_BYTES) ||
        !option_fits("--api-key", ad->o.api_key, 8192, OPTION_BYTES))
        return 1;
    if (ad->o.base_url && *ad->o.base_url && !outbound_url_check(ad->o.base_url, true, &why))
        return complain("--base-url: %s", why);
    char *base = arena_strdup(ad->a, ad->o.base_url ? ad->o.base_url : "");
    while (*base && base[strlen(base) - 1] == '/')
        base[strlen(base) - 1] = '\0';
    p.provider = (struct provider){.name = name, .provider_type = type, .api_base = base, .enabled = true,
                                   .settings = ad->o.model ? settings_with_model(ad->a, "{}", ad->o.model) : "{}"};
    if (writer_run(NULL, ad->db, provider_job, &p) != DB_OK)
        return complain("the provider could not be stored");
    printf("provider %s: %s %s\n", name, p.provider.provider_type, p.provider.api_base);
    return 0;
}

static enum db_rc agent_job(struct db *db, void *arg)
{
    struct put *p = arg;
    const char *id;
    return agent_create(db, p->ad->a, &p->agent, &id);
}

static int cmd_agent_create(struct admin *ad)
{
    static const char *const reserved[] = {"links", "import", "sync-workspace"};
    const char *key = ad->o.word, *dir;
    struct put p = {.ad = ad, .tenant_id = tenant_named(ad, &dir)};
    if (!p.tenant_id)
        return 1;
    if (!key || !slug_valid(key) || uuid_parse(key, NULL))
        return complain("agent create KEY: lower-case letters, digits and dashes, at most 100");
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (strcmp(key, reserved[i]) == 0)
            return complain("%s is reserved", key);
    if (!*dir && strcmp(key, "tenants") == 0)
        return complain("%s is where the other tenants' files are", key);
    if (ad->o.user && !utf8_user_id_valid(ad->o.user, strlen(ad->o.user)))
        return complain("--user is no valid user id");
    if (!option_fits("--display-name", ad->o.display_name, 255, OPTION_TEXT) ||
        !option_fits("--provider", ad->o.provider, 50, OPTION_TEXT) ||
        !option_fits("--model", ad->o.model, 200, OPTION_TEXT))
        return 1;
    bool is_default = ad->o.is_default && strcmp(ad->o.is_default, "yes") == 0;
    if (ad->o.is_default && !is_default && strcmp(ad->o.is_default, "no") != 0)
        return complain("--default must be yes or no");
    p.agent = (struct agent){.tenant_id = p.tenant_id,
                             .agent_key = key,
                             .display_name = ad->o.display_name ? ad->o.display_name : "",
                             .owner_id = ad->o.user ? ad->o.user : "system",
                             .provider = ad->o.provider ? ad->o.provider : ad->config->default_provider,
                             .model = ad->o.model ? ad->o.model : "",
                             .agent_type = "open",
                             .status = "active",
                             .workspace = arena_printf(ad->a, "%s%s/%s", ad->config->workspace, dir, key),
                             .context_window = ad->config->context_window,
                             .max_tool_iterations = ad->config->max_tool_iterations,
                             .is_default = is_default,
                             .other_config = "{}",
                             .tools_config = "{}"};
    enum db_rc rc = writer_run(NULL, ad->db, agent_job, &p);
    if (rc == DB_CONSTRAINT)
        return complain("there is an agent %s already", key);
    if (rc != DB_OK)
        return complain("the agent could not be stored");
    printf("agent %s: %s %s\n", key, p.agent.provider, p.agent.model);
    return 0;
}

/* ---- secrets ---- */

static void secret_lost(void *ctx, const char *table, const char *column, const char *id)
{
    (void)ctx;
    fprintf(stderr, "clawgate: %s.%s of %s cannot be decrypted with any key at hand and stays as it is\n", table,
            column, id);
}

static int cmd_secrets_status(struct admin *ad)
{
    struct secrets_count counts[SECRET_COLUMNS];
    if (secrets_count(ad->db, &ad->config->keys, counts, secret_lost, NULL) != DB_OK)
        return complain("the secrets could not be read");
    printf("column\tcurrent\told\tplain\tlost\n");
    for (size_t i = 0; i < SECRET_COLUMNS; i++) {
        const int64_t *n = counts[i].n;
        printf("%s.%s\t%lld\t%lld\t%lld\t%lld\n", counts[i].table, counts[i].column, (long long)n[SECRET_CURRENT],
               (long long)n[SECRET_OLD], (long long)n[SECRET_PLAIN], (long long)n[SECRET_LOST]);
    }
    return 0;
}

static int cmd_secrets_rotate(struct admin *ad)
{
    struct crypto_rotation r;
    struct secrets_count counts[SECRET_COLUMNS];
    char err[512] = "";
    if (!crypto_rotation_begin(&r, &ad->config->keys, err, sizeof err))
        return complain("%s", err);
    if (r.resumed)
        puts("an earlier rotation was interrupted; finishing it");
    bool done = secrets_rewrite(ad->db, &r.keys, counts, secret_lost, NULL) == DB_OK;
    if (!crypto_rotation_end(&r, done, err, sizeof err))
        return complain("%s; run secrets rotate again", err);
    if (!done)
        return complain("the database could not be rewritten; nothing is lost, run secrets rotate again");
    int64_t n[SECRET_STATES] = {0};
    for (size_t i = 0; i < SECRET_COLUMNS; i++)
        for (size_t k = 0; k < SECRET_STATES; k++)
            n[k] += counts[i].n[k];
    printf("%lld encrypted anew, %lld had the new key already, %lld cannot be decrypted\n",
           (long long)(n[SECRET_OLD] + n[SECRET_PLAIN]), (long long)n[SECRET_CURRENT], (long long)n[SECRET_LOST]);
    if (r.keys.from_env)
        puts("the key is GOCLAW_ENCRYPTION_KEY; encryption.key is not needed any more");
    return 0;
}

/* ---- what the shell asks ---- */

/* Where the gateway of this home is called from the same machine. */
static void address_print(const struct config *c)
{
    static const struct {
        const char *every, *own;
    } rows[] = {{"0.0.0.0", "127.0.0.1"}, {"[::]", "[::1]"}};
    char host[300];
    config_host_text(c->host, host, sizeof host);
    const char *own = host;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(host, rows[i].every) == 0)
            own = rows[i].own;
    printf("%s://%s:%lld\n", c->tls_cert ? "https" : "http", own, (long long)c->port);
}

static int cmd_setting(struct admin *ad)
{
    const char *what = ad->o.word ? ad->o.word : "";
    const struct config *c = ad->config;
    if (strcmp(what, "token") == 0)
        puts(c->token);
    else if (strcmp(what, "address") == 0)
        address_print(c);
    else if (strcmp(what, "home") == 0)
        puts(c->home);
    else if (strcmp(what, "database") == 0)
        puts(c->sqlite_path);
    else
        return complain("setting: token, address, home or database");
    return 0;
}

static int cmd_check(struct admin *ad)
{
    printf("config ok: %s\n", ad->config->file);
    return db_ping(ad->db) ? 0 : complain("the database does not answer");
}

struct command {
    const char *name;
    bool needs_config, needs_db;
    int (*run)(struct admin *ad);
    const char *takes; /* see options_parse */
};

static const struct command commands[] = {
    {"init", false, false, cmd_init, "--port --token"},
    {"key-create", true, true, cmd_key_create, "--name --scopes --tenant --owner --expires-in"},
    {"key-revoke", true, true, cmd_key_revoke, "WORD"},
    {"key-list", true, true, cmd_key_list, ""},
    {"tenant-create", true, true, cmd_tenant_create, "WORD --name"},
    {"tenant-list", true, true, cmd_tenant_list, ""},
    {"provider-set", true, true, cmd_provider_set, "WORD --type --base-url --api-key --model --tenant"},
    {"agent-create", true, true, cmd_agent_create,
     "WORD --provider --model --user --display-name --default --tenant"},
    {"secrets-rotate", true, true, cmd_secrets_rotate, ""},
    {"secrets-status", true, true, cmd_secrets_status, ""},
    {"setting", true, false, cmd_setting, "WORD"},
    {"check", true, true, cmd_check, ""},
};

static int run(struct admin *ad, const struct command *c)
{
    char err[512] = "";
    if (c->needs_config && !(ad->config = config_load(ad->o.home, err, sizeof err)))
        return complain("%s", err);
    if (c->needs_db && !(ad->db = db_open(ad->config->sqlite_path, DB_READWRITE, err, sizeof err)))
        return complain("%s", err);
    return c->run(ad);
}

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    return NULL;
}

int main(int argc, char **argv)
{
    struct admin ad = {.a = arena_new()};
    const struct command *c = command_find(argc > 1 ? argv[1] : "");
    int rc = 2;
    log_init("admin", LOG_WARN);
    if (c == NULL)
        complain("there is no such command; see clawgate help");
    else if (options_parse(&ad.o, c->takes, argc - 2, argv + 2))
        rc = run(&ad, c);
    if (ad.db)
        db_close(ad.db);
    config_free(ad.config);
    arena_free(ad.a);
    return rc;
}

#include "base/config_keys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <strings.h>

enum { LIST_MAX = 1000 };

#define AT(member) offsetof(struct config, member)
#define DEFAULTS   "agents.defaults."
#define MILLIARD   1000000000

static const struct config_key table[] = {
    {"gateway.host", "GOCLAW_HOST", false, KIND_TEXT, AT(host), "0.0.0.0", 1, 255, NULL},
    {"gateway.port", "GOCLAW_PORT", false, KIND_INT, AT(port), "18790", 1, 65535, NULL},
    {"gateway.token", "GOCLAW_GATEWAY_TOKEN", false, KIND_TEXT, AT(token), "", 0, 4096, NULL},
    {"gateway.owner_ids", "GOCLAW_OWNER_IDS", false, KIND_LIST, AT(owner_ids), "", 0, 0, NULL},
    {"gateway.allowed_origins", "GOCLAW_ALLOWED_ORIGINS", false, KIND_LIST, AT(allowed_origins), "", 0, 0, NULL},
    {"gateway.trusted_proxies", NULL, false, KIND_NETS, AT(trusted_proxies), "", 0, 0, NULL},
    {"gateway.rate_limit_rpm", NULL, false, KIND_INT_OFF, AT(rate_limit_rpm), "0", INT64_MIN, 1000000, NULL},
    {"gateway.rate_limit_scope", NULL, false, KIND_CHOICE, AT(rate_limit_scope), "all", 0, 0, "all|runs"},
    {"gateway.metrics_public", NULL, false, KIND_BOOL, AT(metrics_public), "false", 0, 0, NULL},
    {"gateway.tls_cert", "GOCLAW_TLS_CERT", false, KIND_PATH, AT(tls_cert), NULL, 0, 0, NULL},
    {"gateway.tls_key", "GOCLAW_TLS_KEY", false, KIND_PATH, AT(tls_key), NULL, 0, 0, NULL},
    {"gateway.list_payload_alias", NULL, false, KIND_BOOL, AT(list_payload_alias), "false", 0, 0, NULL},
    {"gateway.max_body_bytes", NULL, false, KIND_INT, AT(max_body_bytes), "10485760", 1024, 52428800, NULL},
    {"gateway.stream_intermediate", NULL, false, KIND_BOOL, AT(stream_intermediate), "true", 0, 0, NULL},
    {"gateway.max_message_chars", NULL, false, KIND_INT_OFF, AT(max_message_chars), "32000", INT64_MIN, 10000000, NULL},
    {"gateway.injection_action", NULL, false, KIND_ENUM, AT(injection_action), "warn", 0, 0, "off|log|warn|block"},
    {"gateway.max_concurrent_runs", "GOCLAW_LANE_MAIN", false, KIND_INT, AT(max_concurrent_runs), "1000", 1, 100000,
     NULL},
    {"gateway.database_wait_ms", NULL, false, KIND_INT, AT(database_wait_ms), "5000", 100, 60000, NULL},
    {"gateway.drain_seconds", NULL, false, KIND_INT, AT(drain_seconds), "5", 0, 600, NULL},
    {"gateway.prefork_max", NULL, false, KIND_INT, AT(prefork_max), "4", 1, 64, NULL},
    {"gateway.prefork_requests", NULL, false, KIND_INT, AT(prefork_requests), "10000", 1, MILLIARD, NULL},
    {"gateway.prefork_idle_seconds", NULL, false, KIND_INT, AT(prefork_idle_seconds), "30", 1, 3600, NULL},
    {"data_dir", "GOCLAW_DATA_DIR", false, KIND_PATH, AT(data_dir), "data", 0, 0, NULL},
    {NULL, "GOCLAW_SQLITE_PATH", false, KIND_PATH, AT(sqlite_path), NULL, 0, 0, NULL},
    {DEFAULTS "workspace", "GOCLAW_WORKSPACE", false, KIND_PATH, AT(workspace), "workspace", 0, 0, NULL},
    {DEFAULTS "provider", "GOCLAW_PROVIDER", true, KIND_TEXT, AT(default_provider), "anthropic", 0, 50, NULL},
    {DEFAULTS "model", "GOCLAW_MODEL", true, KIND_TEXT, AT(default_model), "claude-sonnet-4-5-20250929", 0, 200, NULL},
    {DEFAULTS "max_tokens", NULL, false, KIND_INT, AT(max_tokens), "8192", 1, 10000000, NULL},
    {DEFAULTS "temperature", NULL, false, KIND_NUMBER, AT(temperature), "0.7", 0, 2, NULL},
    {DEFAULTS "max_tool_iterations", NULL, false, KIND_INT, AT(max_tool_iterations), "30", 1, 1000, NULL},
    {DEFAULTS "max_tool_calls", NULL, false, KIND_INT, AT(max_tool_calls), "0", 0, 100000, NULL},
    {DEFAULTS "context_window", NULL, false, KIND_INT, AT(context_window), "200000", 1000, CONFIG_CONTEXT_MAX, NULL},
    {DEFAULTS "agent_type", NULL, false, KIND_CHOICE, AT(agent_type), "open", 0, 0, "open|predefined"},
    {DEFAULTS "bootstrapMaxChars", NULL, false, KIND_INT, AT(bootstrap_max_chars), "20000", 1, 10000000, NULL},
    {DEFAULTS "bootstrapTotalMaxChars", NULL, false, KIND_INT, AT(bootstrap_total_max_chars), "24000", 1, 10000000,
     NULL},
    {DEFAULTS "compaction.maxHistoryShare", NULL, false, KIND_NUMBER, AT(compaction_share), "0.75", 0, 1, NULL},
    {DEFAULTS "compaction.minMessages", NULL, false, KIND_INT, AT(compaction_min_messages), "200", 1, 1000000, NULL},
    {DEFAULTS "compaction.keepLastMessages", NULL, false, KIND_INT, AT(compaction_keep_last), "4", 1, 1000, NULL},
    {DEFAULTS "run_timeout_sec", NULL, false, KIND_INT, AT(run_timeout_sec), "540", 5, 3600, NULL},
    {"telemetry.model_pricing", NULL, false, KIND_PRICES, AT(model_pricing), NULL, 0, 0, NULL},
    {"telemetry.retention_days", NULL, false, KIND_INT, AT(retention_days), "30", 0, 36500, NULL},
    {NULL, "GOCLAW_ALLOW_INSECURE_NO_AUTH", false, KIND_BOOL, AT(allow_insecure_no_auth), "false", 0, 0, NULL},
    {NULL, "GOCLAW_ALLOW_PRIVATE_PROVIDER_URLS", false, KIND_TRISTATE, AT(allow_private_provider_urls), NULL, 0, 0,
     NULL},
    {NULL, "GOCLAW_ALLOW_PRIVATE_MCP_URLS", false, KIND_TRISTATE, AT(allow_private_mcp_urls), NULL, 0, 0, NULL},
    {NULL, "GOCLAW_LOG_LEVEL", false, KIND_ENUM, AT(log_level), "info", 0, 0, "debug|info|warn|error"},
    {NULL, "GOCLAW_TRACE_VERBOSE", false, KIND_BOOL, AT(trace_verbose), "false", 0, 0, NULL},
};

_Static_assert(sizeof table / sizeof *table <= CONFIG_KEYS_MAX, "raise CONFIG_KEYS_MAX");

const struct config_key *config_key_table(size_t *count)
{
    *count = sizeof table / sizeof *table;
    return table;
}

static void *member(struct config *c, const struct config_key *k)
{
    return (char *)c + k->offset;
}

static bool refuse(char *why, size_t size, const char *what)
{
    snprintf(why, size, "must be %s", what);
    return false;
}

static bool set_int(struct config *c, const struct config_key *k, int64_t v, char *why, size_t size)
{
    if (v < k->min || v > k->max) {
        if (k->kind == KIND_INT_OFF)
            snprintf(why, size, "must be at most %" PRId64, k->max);
        else
            snprintf(why, size, "must be from %" PRId64 " to %" PRId64, k->min, k->max);
        return false;
    }
    if (k->kind == KIND_INT_OFF && v <= 0)
        v = strtoll(k->preset, NULL, 10);
    *(int64_t *)member(c, k) = v;
    return true;
}

static bool set_number(struct config *c, const struct config_key *k, double v, char *why, size_t size)
{
    if (!isfinite(v) || v < (double)k->min || v > (double)k->max) {
        snprintf(why, size, "must be from %" PRId64 " to %" PRId64, k->min, k->max);
        return false;
    }
    *(double *)member(c, k) = v;
    return true;
}

static void set_bool(struct config *c, const struct config_key *k, bool v)
{
    if (k->kind == KIND_TRISTATE)
        *(int64_t *)member(c, k) = v ? TRI_YES : TRI_NO;
    else
        *(bool *)member(c, k) = v;
}

/* Position of s among "one|two|three", -1 when it is none of them. */
static int word_index(const char *words, const char *s, bool any_case)
{
    size_t len = strlen(s);
    for (int i = 0; *words; i++) {
        size_t n = strcspn(words, "|");
        if (n == len && (any_case ? strncasecmp(words, s, n) : strncmp(words, s, n)) == 0)
            return i;
        words += n + (words[n] == '|');
    }
    return -1;
}

static bool set_word(struct config *c, struct arena *a, const struct config_key *k, const char *s, char *why,
                     size_t size)
{
    int i = word_index(k->words, s, false);
    if (i < 0) {
        snprintf(why, size, "must be one of %s", k->words);
        return false;
    }
    if (k->kind == KIND_ENUM)
        *(int64_t *)member(c, k) = i;
    else
        *(const char **)member(c, k) = arena_strdup(a, s);
    return true;
}

static bool set_text(struct config *c, struct arena *a, const struct config_key *k, const char *s, char *why,
                     size_t size)
{
    int64_t n = (int64_t)strlen(s);
    if (n < k->min || n > k->max) {
        snprintf(why, size, "must be a text of %" PRId64 " to %" PRId64 " bytes", k->min, k->max);
        return false;
    }
    *(const char **)member(c, k) = arena_strdup(a, s);
    return true;
}

const char *config_path_plain(struct arena *a, const char *path)
{
    char *out = arena_strdup(a, path);
    size_t n = 0;
    for (const char *p = path; *p; p++)
        if (*p != '/' || p[1] != '/')
            out[n++] = *p;
    if (n > 1 && out[n - 1] == '/')
        n--;
    out[n] = 0;
    return out;
}

static bool set_path(struct config *c, struct arena *a, const struct config_key *k, const char *s, char *why,
                     size_t size)
{
    if (!*s)
        return refuse(why, size, "a path");
    const char *path;
    if (s[0] == '~' && (s[1] == '/' || s[1] == 0))
        path = arena_printf(a, "%s%s", c->home, s + 1);
    else if (s[0] == '/')
        path = arena_strdup(a, s);
    else
        path = arena_printf(a, "%s/%s", c->home, s);
    *(const char **)member(c, k) = config_path_plain(a, path);
    return true;
}

/* "10.0.0.0/8", "::1", "192.168.1.1" */
static bool net_valid(const char *s)
{
    char address[INET6_ADDRSTRLEN];
    unsigned char raw[16];
    size_t n = strcspn(s, "/");
    if (n >= sizeof address)
        return false;
    memcpy(address, s, n);
    address[n] = 0;
    long bits_max = inet_pton(AF_INET, address, raw) == 1 ? 32 : inet_pton(AF_INET6, address, raw) == 1 ? 128 : -1;
    if (bits_max < 0 || !s[n])
        return bits_max >= 0;
    const char *digits = s + n + 1;
    size_t len = strspn(digits, "0123456789");
    return len > 0 && len <= 3 && !digits[len] && strtol(digits, NULL, 10) <= bits_max;
}

static bool entry_valid(const struct config_key *k, const char *s)
{
    return *s && (k->kind != KIND_NETS || net_valid(s));
}

static bool refuse_list(const struct config_key *k, char *why, size_t size)
{
    return refuse(why, size, k->kind == KIND_NETS ? "a list of addresses or networks" : "a list of texts, none empty");
}

/* Blanks around an entry do not count; empty entries are left out. */
static bool list_from_text(struct config *c, struct arena *a, const struct config_key *k, const char *s, char *why,
                           size_t size)
{
    size_t most = 1, n = 0;
    for (const char *p = s; *p; p++)
        most += *p == ',';
    const char **list = ARENA_ARRAY(a, const char *, most + 1);
    while (*s) {
        size_t len = strcspn(s, ",");
        const char *from = s + strspn(s, " \t");
        const char *to = s + len;
        while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
            to--;
        if (from < to) {
            list[n] = arena_strndup(a, from, (size_t)(to - from));
            if (!entry_valid(k, list[n++]))
                return refuse_list(k, why, size);
        }
        s += len + (s[len] == ',');
    }
    *(const char *const **)member(c, k) = list;
    return true;
}

static bool list_from_json(struct config *c, struct arena *a, const struct config_key *k, json_object *v, char *why,
                           size_t size)
{
    if (!json_object_is_type(v, json_type_array) || json_object_array_length(v) > LIST_MAX)
        return refuse_list(k, why, size);
    size_t n = json_object_array_length(v);
    const char **list = ARENA_ARRAY(a, const char *, n + 1);
    for (size_t i = 0; i < n; i++) {
        json_object *entry = json_object_array_get_idx(v, i);
        if (!json_object_is_type(entry, json_type_string) || !entry_valid(k, json_object_get_string(entry)))
            return refuse_list(k, why, size);
        list[i] = arena_strdup(a, json_object_get_string(entry));
    }
    *(const char *const **)member(c, k) = list;
    return true;
}

static bool is_number(json_object *v)
{
    return json_object_is_type(v, json_type_int) || json_object_is_type(v, json_type_double);
}

static bool price_valid(json_object *price)
{
    if (!json_object_is_type(price, json_type_object))
        return false;
    json_object_object_foreach(price, name, value) {
        if (!*name || !is_number(value) || json_object_get_double(value) < 0)
            return false;
    }
    return true;
}

static bool set_prices(struct config *c, const struct config_key *k, json_object *v, char *why, size_t size)
{
    bool ok = json_object_is_type(v, json_type_object);
    if (ok) {
        json_object_object_foreach(v, model, price) {
            ok = ok && *model && price_valid(price);
        }
    }
    if (!ok)
        return refuse(why, size, "an object of models, each an object of prices that are not negative");
    *(json_object **)member(c, k) = v;
    return true;
}

bool config_set_text(struct config *c, struct arena *a, const struct config_key *k, const char *text, char *why,
                     size_t size)
{
    char *end;
    int word;
    errno = 0;
    switch (k->kind) {
    case KIND_TEXT:
        return set_text(c, a, k, text, why, size);
    case KIND_PATH:
        return set_path(c, a, k, text, why, size);
    case KIND_INT:
    case KIND_INT_OFF: {
        int64_t v = strtoll(text, &end, 10);
        if (end == text || *end || errno)
            return refuse(why, size, "an integer");
        return set_int(c, k, v, why, size);
    }
    case KIND_NUMBER: {
        double v = strtod(text, &end);
        if (end == text || *end || errno)
            return refuse(why, size, "a number");
        return set_number(c, k, v, why, size);
    }
    case KIND_BOOL:
    case KIND_TRISTATE:
        word = word_index("1|true|yes|on|0|false|no|off", text, true);
        if (word < 0)
            return refuse(why, size, "true or false");
        set_bool(c, k, word < 4);
        return true;
    case KIND_CHOICE:
    case KIND_ENUM:
        return set_word(c, a, k, text, why, size);
    case KIND_LIST:
    case KIND_NETS:
        return list_from_text(c, a, k, text, why, size);
    case KIND_PRICES:
        break;
    }
    return refuse(why, size, "set in the file");
}

bool config_set_json(struct config *c, struct arena *a, const struct config_key *k, json_object *value, char *why,
                     size_t size)
{
    switch (k->kind) {
    case KIND_INT:
    case KIND_INT_OFF:
        if (!json_object_is_type(value, json_type_int))
            return refuse(why, size, "an integer");
        return set_int(c, k, json_object_get_int64(value), why, size);
    case KIND_NUMBER:
        if (!is_number(value))
            return refuse(why, size, "a number");
        return set_number(c, k, json_object_get_double(value), why, size);
    case KIND_BOOL:
    case KIND_TRISTATE:
        if (!json_object_is_type(value, json_type_boolean))
            return refuse(why, size, "true or false");
        set_bool(c, k, json_object_get_boolean(value));
        return true;
    case KIND_LIST:
    case KIND_NETS:
        return list_from_json(c, a, k, value, why, size);
    case KIND_PRICES:
        return set_prices(c, k, value, why, size);
    case KIND_TEXT:
    case KIND_PATH:
    case KIND_CHOICE:
    case KIND_ENUM:
        break;
    }
    if (!json_object_is_type(value, json_type_string))
        return refuse(why, size, "a text");
    return config_set_text(c, a, k, json_object_get_string(value), why, size);
}

/* Settings (contract 01 §10): one table of keys, read once at start.
 *
 * Order: built-in default, then <home>/config.json (JSON with comments), then
 * the environment. A wrong value is a start-up error that names the key; an
 * unknown key is a warning. All strings live in the config's own arena.
 */
#ifndef CLAWGATE_BASE_CONFIG_H
#define CLAWGATE_BASE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/crypto.h"
#include "base/json.h"

enum injection_action { INJECTION_OFF, INJECTION_LOG, INJECTION_WARN, INJECTION_BLOCK };
enum tristate { TRI_UNSET, TRI_NO, TRI_YES };

/* Runs that wait for a slot or their session's turn, beyond max_concurrent_runs. Not a setting: the queue refuses one
 * more, and the threaded worker has this many threads for them. */
enum { CONFIG_RUNS_WAITING_MAX = 256 };

/* The largest context_window of an agent, and so of the preset for agents. */
enum { CONFIG_CONTEXT_MAX = 10000000 };

struct config {
    const char *home; /* absolute */
    const char *file; /* the config file's path, whether it exists or not */

    const char *host;
    int64_t port;
    const char *token;              /* "" = none configured */
    const char *const *owner_ids;   /* NULL-terminated; empty = only "system" */
    const char *const *allowed_origins;
    const char *const *trusted_proxies;
    int64_t rate_limit_rpm;
    const char *rate_limit_scope;   /* "all" or "runs" */
    bool metrics_public;            /* GET /metrics without a token */
    const char *tls_cert;           /* NULL: plain HTTP */
    const char *tls_key;            /* NULL: the key stands in tls_cert */
    bool list_payload_alias;
    int64_t max_body_bytes;         /* chat/completions and responses */
    bool stream_intermediate;
    int64_t max_message_chars;
    int64_t injection_action;       /* enum injection_action */
    int64_t max_concurrent_runs;
    int64_t database_wait_ms;       /* for another process' transaction, before a write gives up */
    int64_t drain_seconds;          /* how long runs may go on after a stop was asked for */

    const char *data_dir;
    const char *sqlite_path;
    const char *workspace;
    const struct config_provider *providers; /* base/config_providers.h */
    size_t provider_count;
    const char *default_provider;
    const char *default_model;
    int64_t max_tokens;
    double temperature;
    int64_t max_tool_iterations;
    int64_t max_tool_calls;         /* 0 = unlimited */
    int64_t context_window;
    const char *agent_type;
    int64_t bootstrap_max_chars;
    int64_t bootstrap_total_max_chars;
    double compaction_share;        /* of the context window */
    int64_t compaction_min_messages;
    int64_t compaction_keep_last;
    int64_t run_timeout_sec;

    json_object *model_pricing;     /* object or NULL */
    int64_t retention_days;

    bool allow_insecure_no_auth;
    int64_t allow_private_provider_urls; /* enum tristate */
    int64_t allow_private_mcp_urls;      /* enum tristate */
    int64_t log_level;                   /* enum log_level */
    bool trace_verbose;

    int64_t prefork_max;            /* CRUD families: most workers of one program */
    int64_t prefork_requests;       /* a worker retires after so many requests */
    int64_t prefork_idle_seconds;   /* surplus workers leave after so long without work */

    struct crypto_keys keys;
};

/* The host as it stands in URLs and for the front server: an IPv6 address in brackets. */
void config_host_text(const char *host, char *out, size_t size);

/* Can a client send it as it is? Blanks at its ends get lost, and control characters stand in no header. */
#define CONFIG_TOKEN_RULE "must be one line of UTF-8 without blanks at its ends"
bool config_token_sendable(const char *token);

/* home NULL: CLAWGATE_HOME, else "./var" beside a Makefile of ours, else /var/lib/clawgate.
 * The file is GOCLAW_CONFIG or <home>/config.json. Makes data_dir and the encryption key when they are missing.
 * Returns NULL with a one-line reason in err. The result lives until the process ends. */
const struct config *config_load(const char *home, char *err, unsigned errsize);
/* For tools and tests that load more than once. NULL is fine. */
void config_free(const struct config *c);
/* Empty token on an address that is not loopback, contract 01 §1.5. */
bool config_token_missing(const struct config *c);
/* A path without doubled slashes and without one at the end, as the directories of the settings are written: what stands
 * below one of them is told by its text. */
const char *config_path_plain(struct arena *a, const char *path);
/* 127.0.0.0/8, ::1 (with brackets or without) or localhost. */
bool config_is_loopback(const char *host);
bool config_is_owner_id(const struct config *c, const char *user_id);

#endif

/* Agents and providers as a run needs them (contract 02 §2.4, §3; 04 §1.4), and the changes to agents that are more
 * than one row (02 §3.1, §7). */
#ifndef CLAWGATE_STORE_AGENTS_H
#define CLAWGATE_STORE_AGENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "store/db.h"

struct agent {
    const char *id, *tenant_id, *agent_key, *display_name, *owner_id;
    const char *provider, *model; /* "" when unset */
    const char *agent_type, *status, *workspace;
    int64_t context_window, max_tool_iterations;
    bool is_default;
    int64_t budget_monthly_cents; /* 0 = unlimited */
    const char *other_config;     /* JSON object text */
    const char *tools_config;     /* JSON object text */
    const char *compaction_config; /* JSON object text or NULL */
    const char *created_at;
};
/* By canonical UUID, else by agent_key, inside the tenant. DB_ROW found, DB_OK not. */
enum db_rc agent_find(struct db *db, struct arena *a, const char *tenant_id, const char *ref, struct agent *out);
/* The agent keyed "default", else the one flagged is_default. */
enum db_rc agent_default(struct db *db, struct arena *a, const char *tenant_id, struct agent *out);
/* Contract 02 §2.4: DB_ROW when `user` owns it, it is shared with him, or it is a default agent. */
enum db_rc agent_accessible(struct db *db, const struct agent *agent, const char *user);
/* Active agents the user may run, by agent_key; user NULL = all of the tenant. Calls each for every one. */
enum db_rc agent_each_active(struct db *db, struct arena *a, const char *tenant_id, const char *user,
                             void (*each)(void *ctx, const char *agent_key, const char *created_at), void *ctx);
/* Creates one; NULL and 0 give the defaults of the schema. DB_CONSTRAINT when the key is taken. With is_default inside
 * a transaction, because the flag is taken from the others. */
enum db_rc agent_create(struct db *db, struct arena *a, const struct agent *in, const char **id);

/* Takes is_default from every other agent of the tenant; inside the transaction that gives it to this one. */
enum db_rc agent_only_default(struct db *db, const char *tenant_id, const char *id);

/* A grant for one user; granting again replaces role and granted_by. */
struct agent_share {
    const char *tenant_id, *agent_id, *user_id, *role, *granted_by;
};
enum db_rc agent_share_put(struct db *db, const struct agent_share *in);
/* DB_ROW when there was one, DB_OK when not. */
enum db_rc agent_share_drop(struct db *db, const char *tenant_id, const char *agent_id, const char *user);

struct provider {
    const char *id, *name, *provider_type, *api_base, *api_key; /* api_key as stored (maybe encrypted), "" when none */
    const char *settings; /* JSON object text */
    bool enabled;
    bool host_managed;    /* of the config file: no row */
};
enum db_rc provider_find(struct db *db, struct arena *a, const char *tenant_id, const char *name, struct provider *out);
/* By canonical UUID. DB_ROW found, DB_OK not. */
enum db_rc provider_by_id(struct db *db, struct arena *a, const char *tenant_id, const char *id, struct provider *out);
/* All by name. */
enum db_rc providers_names(struct db *db, struct arena *a, const char *tenant_id,
                           void (*each)(void *ctx, const char *id, const char *name), void *ctx);
/* Every enabled one, the oldest first. */
enum db_rc providers_each(struct db *db, struct arena *a, const char *tenant_id,
                          void (*each)(void *ctx, const struct provider *p), void *ctx);
/* Inserts or replaces by name (tools/clawgate provider set). */
enum db_rc provider_put(struct db *db, struct arena *a, const char *tenant_id, const struct provider *in);

/* Has the tenant another provider of that type? except (may be NULL) is not counted. */
enum db_rc provider_type_taken(struct db *db, const char *tenant_id, const char *type, const char *except, bool *taken);

/* Agent-level and per-user context files that reach the prompt (contract 02 §8.6) in its order, name and content,
 * empty ones left out. user NULL = agent-level ones. */
enum db_rc context_files_each(struct db *db, struct arena *a, const struct agent *agent, const char *user,
                              void (*each)(void *ctx, const char *name, const char *content), void *ctx);
/* Cents this agent spent in the UTC month of month_start (RFC 3339); kept by usage_add, whatever retention does. */
enum db_rc agent_spent_cents(struct db *db, const char *tenant_id, const char *agent_id, const char *month_start,
                             int64_t *cents);

#endif

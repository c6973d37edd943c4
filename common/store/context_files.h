/* The context files of agents and of their users, one by one (contract 02 §3.4, §6.6, §8). Which of them reach a
 * prompt is context_files_each (store/agents.h). Writers are called inside a transaction. */
#ifndef CLAWGATE_STORE_CONTEXT_FILES_H
#define CLAWGATE_STORE_CONTEXT_FILES_H

#include "base/arena.h"
#include "store/db.h"

/* An agent-level file. DB_ROW found, DB_OK not. */
enum db_rc context_file_read(struct db *db, struct arena *a, const char *tenant_id, const char *agent_id,
                             const char *name, const char **content);
/* Writes it, whether it was there or not. */
enum db_rc context_file_put(struct db *db, const char *tenant_id, const char *agent_id, const char *name,
                            const char *content);
/* Writes it only where there is none, or an empty one. */
enum db_rc context_file_seed(struct db *db, const char *tenant_id, const char *agent_id, const char *name,
                             const char *content);
/* Every user's own file of that name, as `edit` changes it; NULL leaves it as it is. */
enum db_rc context_files_edit(struct db *db, struct arena *a, const char *tenant_id, const char *agent_id,
                              const char *name, const char *(*edit)(void *ctx, const char *content), void *ctx);

#endif

/* The status of an agent while its persona is written (contract 02 §3.5). Both are called inside a transaction. */
#ifndef CLAWGATE_STORE_SUMMONING_H
#define CLAWGATE_STORE_SUMMONING_H

#include "base/arena.h"
#include "store/db.h"

/* The kind of its jobs. payload: {"regenerate":bool,"before":STATUS,"prompt":TEXT or absent}. */
#define JOB_SUMMON "agent.summon"

/* From any other status to summoning, the error of the last time is gone; *before is what it was. DB_ROW: done,
 * DB_OK: it is summoning already, or there is no such agent. */
enum db_rc summoning_enter(struct db *db, struct arena *a, const char *tenant_id, const char *agent_id,
                           const char **before);

struct summoning_end {
    const char *status;        /* taken only when it is still summoning */
    const char *error;         /* NULL = none */
    const char *frontmatter;   /* NULL = as it is */
    const char *frontmatter_if_empty;
    const char *display_name_if_empty;
};
enum db_rc summoning_leave(struct db *db, const char *tenant_id, const char *agent_id,
                           const struct summoning_end *end);

#endif

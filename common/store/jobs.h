/* Durable background work: rows of `jobs`, added in the transaction of the change that wants them, worked off by
 * whoever claims them.
 *
 * A claim is good until its lease runs out or its worker is gone; then the job is free again. Every later step names
 * the claim, so whoever lost it changes nothing. All but jobs_due are called inside a transaction.
 */
#ifndef CLAWGATE_STORE_JOBS_H
#define CLAWGATE_STORE_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "store/db.h"

struct job {
    const char *id, *tenant_id, *kind, *entity_id;
    const char *payload;  /* JSON object text */
    int64_t attempts;     /* claims so far; the number of the claim once it is ours */
    bool running;
    int64_t worker;       /* of the last claim */
    const char *leased_until;
};

/* Now due, instead of the one before of the same tenant, kind and entity, whatever became of that. */
enum db_rc job_add(struct db *db, const char *tenant_id, const char *kind, const char *entity_id,
                   const char *payload);
/* The same, unless one of the same tenant, kind and entity waits or is worked off. */
enum db_rc job_want(struct db *db, const char *tenant_id, const char *kind, const char *entity_id,
                    const char *payload);
/* The entity is gone. */
enum db_rc jobs_forget(struct db *db, const char *tenant_id, const char *kind, const char *entity_id);
/* Queued jobs whose time has come, and running ones, oldest first. */
enum db_rc jobs_due(struct db *db, struct arena *a, const char *kind, const char *now, int64_t limit,
                    void (*each)(void *ctx, const struct job *j), void *ctx);
/* DB_ROW: it is ours, and the job's attempts are one more. DB_OK: somebody else was faster. */
enum db_rc job_claim(struct db *db, const struct job *j, int64_t worker, const char *leased_until);
/* Is the claim still good? DB_ROW yes, DB_OK no. */
enum db_rc job_held(struct db *db, const struct job *j);
/* The claim's end: done, or failed with a reason. DB_ROW done so, DB_OK: it was not ours any more. */
enum db_rc job_end(struct db *db, const struct job *j, const char *error);
/* The claim's end when nobody will ask what became of it: the row goes. Returns as job_end. */
enum db_rc job_drop(struct db *db, const struct job *j);
/* Back to the queue as if it had not been claimed. */
enum db_rc job_return(struct db *db, const struct job *j);

#endif

/* Marks on runs that shall stop (contract 03 §6.5): made by a process that does not own the run, seen by its owner,
 * which looks once a second. A run nobody marks costs nothing.
 *
 * The functions that write are called inside a transaction. A mark outlives its run by a minute or so, until the next
 * pruning; it names a run id that never comes again.
 */
#ifndef CLAWGATE_STORE_CANCELS_H
#define CLAWGATE_STORE_CANCELS_H

#include <stdint.h>

#include "store/db.h"

/* Marks a run, if its row says running. */
enum db_rc cancel_mark_run(struct db *db, const char *tenant_id, const char *run_id);
/* Marks every run of a session, those that wait for their turn included. */
enum db_rc cancel_mark_session(struct db *db, const char *tenant_id, const char *session_key);
/* Marks a run whose session was deleted or reset before its row was written; session_id is what it was when it began. */
enum db_rc cancel_mark_orphan(struct db *db, const char *tenant_id, const char *run_id, const char *session_key,
                              const char *session_id);
/* Calls each for every marked run of a worker. */
enum db_rc cancel_marks_each(struct db *db, int64_t worker,
                             void (*each)(void *ctx, const char *tenant_id, const char *run_id), void *ctx);
/* Forgets the marks of runs that are over. */
enum db_rc cancel_marks_prune(struct db *db, int64_t *count);

#endif

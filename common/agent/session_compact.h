/* Summing up a session in the background (contract 03 §3.11).
 *
 * A run that leaves a session too long adds a job (store/jobs.h, kind JOB_COMPACT, entity: the session's id) in the
 * transaction that stores its end. Worked off, all messages but the last few, and the summary before, become a new
 * summary, and the session's context begins behind them. Messages stay; what runs add meanwhile is never touched. A
 * session with a run going on is left alone: that run asks again at its end. What the model's calls cost stands in a
 * trace of its own, with the tag `compaction`.
 */
#ifndef CLAWGATE_AGENT_SESSION_COMPACT_H
#define CLAWGATE_AGENT_SESSION_COMPACT_H

#include "agent/engine.h"
#include "store/jobs.h"

/* payload: {"session_key":TEXT,"overflow":bool}; overflow: a model refused the conversation as too long. */
#define JOB_COMPACT "session.compact"

/* How long a claim is good. */
enum { COMPACT_LEASE_MS = 300000 };

struct run;

/* session_compact_due.c */
/* Did this run, which is over, leave its session too long? */
bool session_compact_due(const struct run *r);
/* Inside the transaction of its end; the session as it was written to. */
enum db_rc session_compact_want(struct db *db, struct run *r, const char *session_id, const char *session_key);

/* Works the claimed job off; blocks. */
void session_compact(struct engine *e, const struct job *j);
/* A job that was claimed too often: it is dropped. */
void session_compact_give_up(struct engine *e, const struct job *j);

#endif

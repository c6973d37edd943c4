/* Writing an agent's persona by a model call in the background (contract 02 §9).
 *
 * A job (store/jobs.h, kind JOB_SUMMON) says what is wanted. summon_run works it off: one conversation without tools,
 * without a session. However it ends, the agent leaves the status `summoning`, unless the process is stopping: then
 * the job goes back to the queue.
 */
#ifndef CLAWGATE_AGENT_SUMMON_H
#define CLAWGATE_AGENT_SUMMON_H

#include "agent/engine.h"
#include "store/jobs.h"

/* How long a claim is good; a job that takes longer is claimed again by others. */
enum { SUMMON_LEASE_MS = 660000 };

/* Works the claimed job off; blocks. */
void summon_run(struct engine *e, const struct job *j);
/* A job that was claimed too often: it fails. */
void summon_give_up(struct engine *e, const struct job *j);

#endif

/* The run engine's process-wide part: what runs share, and the list of runs in flight.
 *
 * It knows nothing of HTTP. A run enters the list when it is admitted and
 * leaves it after its rows are committed, so the list is the truth about what
 * this process is doing now; everything else is read from the database.
 */
#ifndef CLAWGATE_AGENT_ENGINE_H
#define CLAWGATE_AGENT_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/locks.h"
#include "agent/queue.h"
#include "base/cancel.h"
#include "base/config.h"
#include "base/id.h"
#include "store/memo.h"
#include "store/pool.h"
#include "store/writer.h"

/* A run as others see it; embedded in struct run. Strings live as long as the run. */
struct live_run {
    struct live_run *next, **prev;
    const char *id, *tenant_id, *session_key, *agent_id, *agent_key, *user_id;
    const char *answer_scope, *body_hash; /* for repeated requests, NULL when not kept */
    const char *phase;                    /* static text: "queued", "thinking", "compacting", "tool_exec", "saving" */
    struct cancel *cancel;
};

struct engine {
    const struct config *config;
    struct db *db;         /* plain CGI: the one connection */
    struct db_pool *pool;  /* threaded: lends connections */
    struct writer *writer; /* threaded: NULL otherwise */
    struct memo *memo;     /* agents, providers and files as many runs need them; NULL: not kept */
    uint32_t next_tail;    /* engine_run_id */
    struct locks *locks;
    struct queue *queue;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    struct live_run *runs;
    size_t count;
    bool draining;
    bool unsaved; /* the end of a run could not be stored: its row may say `running` although it is over */
    int64_t tenants_seen; /* generation counter of tenants at the last look */
    atomic_int sweeps;    /* handed to the writer and not done */
    atomic_bool pruning;  /* the same */
    atomic_bool more;     /* the last pruning did not get to the end */
};

/* Opens the lock file, marks runs of dead processes as interrupted. NULL with a reason in err. */
struct engine *engine_start(const struct config *config, struct db *db, struct db_pool *pool, struct writer *writer,
                            struct memo *memo, char *err, size_t errsize);
void engine_stop(struct engine *e);

/* A new UUIDv7 whose last 8 digits, which name new sessions, count up in this process from a random start: sessions
 * that are made one after the other lie beside each other in every index, and share the pages that are written. */
void engine_run_id(struct engine *e, char out[UUID_SIZE]);

/* A connection for a moment, wherever it comes from. */
struct db *engine_db(struct engine *e);
void engine_db_done(struct engine *e, struct db *db);

/* false when the process is stopping. */
bool engine_add(struct engine *e, struct live_run *r);
void engine_remove(struct engine *e, struct live_run *r);
void engine_phase(struct engine *e, struct live_run *r, const char *phase);
void engine_note_unsaved(struct engine *e); /* for the sweep */

/* From now on nothing is admitted. hurry: every run is cancelled with CANCEL_SHUTDOWN. */
void engine_drain(struct engine *e, bool hurry);
bool engine_draining(struct engine *e);
bool engine_busy(struct engine *e); /* runs are in flight */

enum engine_cancel_rc { ENGINE_CANCEL_UNKNOWN, ENGINE_CANCEL_FIRED };
/* Whether the caller may cancel it is the caller's business. Waits up to wait_ms for the run to end. */
enum engine_cancel_rc engine_cancel(struct engine *e, const char *tenant_id, const char *run_id, int64_t wait_ms);
/* Copies the phase of a live run into out ("" when it is not live here). */
void engine_phase_of(struct engine *e, const char *tenant_id, const char *run_id, char *out, size_t size);
/* Is a run for the same caller and body in flight? */
bool engine_has_body(struct engine *e, const char *answer_scope, const char *body_hash);

/* What follows is for a tick: it reads, and what it writes is left to the writer without waiting for it. */

/* Marks `running` rows whose process is gone: status error, "interrupted" (contract 06 §5.5). After an end that could
 * not be stored, also rows of this process that are older than any run can be. */
void engine_sweep(struct engine *e);
/* Cancels runs whose tenant was deleted or is not active any more; cheap while no tenant changes. */
void engine_tenants(struct engine *e);
/* marks.c. Cancels runs of this process that another one marked (store/cancels.h). Threaded: from the tick. Plain
 * CGI: by the run itself, while it waits and between its steps. */
void engine_marks(struct engine *e);
/* Retention of traces and kept answers; a bounded amount of work a call. */
void engine_prune(struct engine *e);
/* The last call had too much to do: whoever writes faster than one call a minute deletes must call again soon. */
bool engine_prune_more(struct engine *e);
/* Plain CGI, after the answer: prunes when no process of the home did in the last ten minutes. */
void engine_prune_due(struct engine *e);

#endif

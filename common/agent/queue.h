/* Who may run now: the main lane's slots, and one run per session in the order of arrival (contract 03 §3.3).
 *
 * Guarantees:
 *  1. At most one run of a session at a time, in this process by a queue, across
 *     processes by the lock file.
 *  2. Runs of one session start in the order in which they called queue_enter.
 *  3. At most QUEUE_CAP runs of a session wait for their turn; one more is refused at once.
 *  4. Who waits for his session's turn holds no slot; slots are given in the order of asking, and nobody waits
 *     longer than QUEUE_SLOT_WAIT_MS for one.
 *  5. A wait ends early when the run is cancelled or its deadline passes.
 *  6. No more than CONFIG_RUNS_WAITING_MAX runs wait, for whatever; one more is refused at once. Each holds a thread,
 *     and threads must be left for those who cancel runs or ask how the process is.
 */
#ifndef CLAWGATE_AGENT_QUEUE_H
#define CLAWGATE_AGENT_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/locks.h"
#include "base/cancel.h"

enum { QUEUE_CAP = 10, QUEUE_SLOT_WAIT_MS = 30000 };

enum queue_rc { QUEUE_ENTERED, QUEUE_FULL, QUEUE_NO_SLOT, QUEUE_CANCELLED };

struct queue;

struct queue *queue_new(size_t slots, struct locks *locks);
void queue_free(struct queue *q);
/* Takes the session's turn, then a slot. session_key NULL: the session is new and known to this run alone, or it was
 * claimed; only a slot is taken. tick (may be NULL) is called about once a second while waiting. */
enum queue_rc queue_enter(struct queue *q, const char *tenant_id, const char *session_key, struct cancel *c,
                          void (*tick)(void *ctx), void *ctx);
void queue_leave(struct queue *q, const char *tenant_id, const char *session_key);
/* The session's turn alone, without a slot: false at once when somebody has it. */
bool queue_claim(struct queue *q, const char *tenant_id, const char *session_key);
void queue_unclaim(struct queue *q, const char *tenant_id, const char *session_key);

#endif

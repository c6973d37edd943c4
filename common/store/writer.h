/* Group commit on a single writing connection, and the checkpointer.
 *
 * Who comes with a job while nobody writes commits it himself, and what is queued before it. A thread in the
 * background commits what came meanwhile, as long as somebody waits, and posted jobs that nobody came for.
 *
 * Guarantees:
 *  1. writer_run returns DB_OK only after the job's rows were committed with
 *     synchronous=FULL: what is acknowledged is durable.
 *  2. Up to 256 jobs waiting at one moment share one transaction; jobs run in the order
 *     they were handed in. When a job fails the group is rolled back and each job
 *     is tried again in a transaction of its own, so one bad job harms no other.
 *  3. A job may therefore run twice; it must only touch the database and its own
 *     argument, and must give the same rows again. A job whose failing is an everyday
 *     outcome (a claim somebody else has) should note it in its argument and return
 *     DB_OK: DB_CONSTRAINT of one statement leaves the transaction whole. It may run on
 *     any thread: on a small stack, and nothing thread-local is its own.
 *  4. writer_post does not wait. A posted job alone may lie for up to 20 ms so that it
 *     can share the commit of a job somebody waits for. Its order is kept.
 *  5. Checkpoints happen in a thread of their own; above 32 MB of WAL one is forced.
 *  6. A full or failing disk is DB_FULL for whoever waits; the writer goes on when
 *     there is space again.
 *
 * Without writer_start (prefork workers, plain CGI) writer_run and writer_post
 * run the job at once in a transaction on the given connection.
 */
#ifndef CLAWGATE_STORE_WRITER_H
#define CLAWGATE_STORE_WRITER_H

#include <stdbool.h>
#include <stddef.h>

#include "store/db.h"

typedef enum db_rc write_fn(struct db *db, void *arg);

struct writer;

/* Opens the writing connection, starts the background thread and the checkpointer. NULL with a reason in err. */
struct writer *writer_start(const char *path, char *err, size_t errsize);
/* Commits everything handed in, then stops both threads. */
void writer_stop(struct writer *w);

/* w NULL: at once on `db`. Otherwise db is not used and may be NULL. */
enum db_rc writer_run(struct writer *w, struct db *db, write_fn *fn, void *arg);
/* free_arg(arg) is called when the job is done, whatever came of it. A failure is logged (event 2301). */
void writer_post(struct writer *w, struct db *db, write_fn *fn, void *arg, void (*free_arg)(void *));
/* Jobs waiting now, for /ready and status. */
size_t writer_backlog(struct writer *w);

#endif

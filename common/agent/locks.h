/* Locks that outlive nobody: byte ranges of one file, held by open-file-description locks, so that the
 * kernel releases them when their process dies, kill -9 included.
 *
 * Two uses: the number of a live process (who owns a `running` row?), and the
 * one-run-per-session rule between two generations of chat, or between plain
 * CGI processes. Inside one process the session queue (queue.h) keeps order.
 */
#ifndef CLAWGATE_AGENT_LOCKS_H
#define CLAWGATE_AGENT_LOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct locks;

/* Opens (creates) {data_dir}/run.lock. NULL with a reason in err. */
struct locks *locks_open(const char *data_dir, char *err, size_t errsize);
void locks_close(struct locks *l);
/* This process's number, drawn and locked at locks_open; > 0, fits 53 bits. */
int64_t locks_worker(const struct locks *l);
/* Does the process of that number still live? */
bool locks_worker_alive(struct locks *l, int64_t worker);
/* Takes the session's range; false at once when another process has it. */
bool locks_session_try(struct locks *l, const char *tenant_id, const char *session_key);
void locks_session_release(struct locks *l, const char *tenant_id, const char *session_key);

/* Is something due that the processes of a home do once every so many ms? true for the first that asks; the file's
 * time of modification remembers it. */
bool locks_due(struct locks *l, int64_t every_ms);

#endif

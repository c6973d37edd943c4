/* What a program's supervisor and its workers share. Private to common/web.
 *
 * Files: service.c finds out how the program was started, supervisor.c forks and watches, worker.c is a
 * prefork worker and what both kinds of workers need, threads.c is the worker of a threaded program.
 */
#ifndef CLAWGATE_WEB_PROCESS_H
#define CLAWGATE_WEB_PROCESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "web/request.h"
#include "web/service.h"

enum slot_state { SLOT_FREE, SLOT_STARTING, SLOT_IDLE, SLOT_BUSY };

/* The scoreboard, in memory shared by a supervisor and the workers it forked. */
struct board {
    atomic_int notice_wanted; /* the supervisor sleeps and wants to know when the last idle worker gets busy */
    atomic_int peak;          /* most workers busy at one time since the supervisor last looked */
    int count;
    atomic_int slots[];       /* enum slot_state, one a worker */
};

struct worker_place {
    const struct program *program;
    const struct config *config;
    struct board *board;
    int slot;
    int notice_fd; /* eventfd of the supervisor, not blocking */
};

/* The supervisor's main loop over the listening socket at fd 0. Returns the process's exit code, in the
 * supervisor and in each worker it forked. path: what SIGHUP executes. */
int supervisor_run(const struct program *program, const struct config *config, const char *path, char **argv);

/* A worker's whole life; the exit code of its process. Signals TERM, USR1 and USR2 are blocked on entry. */
int worker_run(const struct worker_place *place);
int threads_run(const struct worker_place *place);

/* Writes the worker's state; wakes the supervisor when it is ready or when nobody is idle any more. */
void worker_mark(const struct worker_place *place, enum slot_state state);
/* /dev/null takes the place of fd 0, so that no accept begins any more. Fit for a signal handler. */
void socket_let_go(void);
/* Opens what socket_let_go needs; before it may be called. */
bool socket_hold(void);
/* What accept4 said: true to try again (after a pause when the machine is short of something). */
bool accept_may_retry(int err);
/* Handler that does nothing, without SA_RESTART. */
void signal_interrupts(int sig, void (*handler)(int));

/* One request in a plain CGI process. */
int cgi_run(const struct program *program, const struct config *config);

#endif

/* One service loop for every program: prefork workers, threads, plain CGI.
 *
 * service_main is the whole main() of a program. It looks at how it was started:
 *   --describe                     prints routes as JSON and ends
 *   GATEWAY_INTERFACE in the environment and fd 0 no socket: one plain CGI request
 *   otherwise fd 0 is a listening socket: it becomes the program's supervisor.
 *
 * Supervisor guarantees:
 *  1. It only holds the socket; the first worker is forked when the socket becomes
 *     readable (a THREADED program's worker at once).
 *  2. A crashed worker is replaced at once; the socket never closes, so waiting
 *     requests are served by the next worker.
 *  3. Workers die with it (PDEATHSIG, checked against getppid), it dies with whoever
 *     started it when CLAWGATE_SUPERVISED is set.
 *  4. SIGTERM: workers finish what they have, then all end. SIGHUP: the new binary is
 *     exec'ed over the same socket; old workers finish what they have.
 *     With CLAWGATE_ON_DEMAND set (the starter watches the socket) a prefork supervisor ends with 0 once its
 *     last worker left for want of work.
 *  5. Signal handlers are installed before FCGX_Init, which otherwise takes SIGTERM.
 */
#ifndef CLAWGATE_WEB_SERVICE_H
#define CLAWGATE_WEB_SERVICE_H

#include "web/request.h"

enum program_model { PROGRAM_PREFORK, PROGRAM_THREADED };

struct program {
    const char *name;
    const struct route *routes;
    size_t route_count;
    enum program_model model;
    /* In the worker, before the first request; may set gw->state. false with a reason: the worker ends. */
    bool (*start)(struct gateway *gw, char *err, size_t errsize);
    /* Threaded: a stop was asked for; called once from the main thread, must not block. `hurry` is set
     * when the drain time is over: end every run now. */
    void (*drain)(struct gateway *gw, bool hurry);
    /* About once a second in the worker's main thread (threaded programs only). */
    void (*tick)(struct gateway *gw);
    /* After the last request. */
    void (*stop)(struct gateway *gw);
    /* Threaded: is work in flight? While there is, a stopping worker goes on accepting, to say 503. */
    bool (*busy)(struct gateway *gw);
};

int service_main(const struct program *program, int argc, char **argv);

#endif

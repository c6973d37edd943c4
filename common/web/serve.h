/* One request through the house: the order of checks of contract 01 §0, then the handler, then the log line. */
#ifndef CLAWGATE_WEB_SERVE_H
#define CLAWGATE_WEB_SERVE_H

#include "base/arena.h"
#include "web/request.h"
#include "web/transport.h"

/* Serves exactly one request on the transport; the caller clears the arena afterwards. */
void serve_request(const struct gateway *gw, struct transport *t, struct arena *arena);
struct program;
/* Start-up check of its routes and resources; false with a reason in err. */
bool program_check(const struct program *program, char *err, size_t errsize);
/* --describe: name, model, routes (method, path, role, user, tag, summary, body_max, alias, and for resources their
 * name and the operation) and the schemas of the resources, as JSON on stdout. */
int describe_program(const struct program *program);

#endif

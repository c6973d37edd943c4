/* What clawgate-serve holds on to: the home's lock, the programs' sockets, the address others call. Each function says
 * itself what is wrong. */
#ifndef CLAWGATE_SERVE_PLACE_H
#define CLAWGATE_SERVE_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FRONT_BACKLOG = 4096, FRONT_HOST_SIZE = 300 };

/* "a/b"; false when it does not fit. */
bool path_join(char *out, size_t size, const char *a, const char *b);

/* The descriptor of <home>/serve.lock, -1 with errno. Ends the process with 3 when another one serves the home. */
int home_lock(const char *home);

/* A listening socket NAME.sock, -1 after a message. */
int socket_listen(const char *run_dir, const char *name);

/* Can the front server listen there? It would only say so in its log, and be started again and again. */
bool address_check(const char *host, int64_t port);

#endif

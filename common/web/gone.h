/* The watcher: one thread with an epoll set over the FastCGI sockets of runs in flight; fires
 * CANCEL_CLIENT_GONE the moment the front server passes on that a client has left (03 §1.11). A run is put there
 * when it is 20 to 40 ms old: shorter ones cost nothing. */
#ifndef CLAWGATE_WEB_GONE_H
#define CLAWGATE_WEB_GONE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cancel.h"

struct gone_watcher;

struct gone_watcher *gone_start(char *err, size_t errsize);
void gone_stop(struct gone_watcher *w);
/* fd -1 is ignored. The entry must be removed before fd is closed or c released; after gone_remove
 * returns, the watcher does not touch c any more. */
bool gone_add(struct gone_watcher *w, int fd, struct cancel *c);
void gone_remove(struct gone_watcher *w, int fd);

#endif

/* Bytes between the front server and a request: FastCGI or plain CGI behind one interface.
 *
 * Private to common/web. Guarantees: a write after the client left returns
 * false and does no harm; nothing is written before the first transport_write.
 */
#ifndef CLAWGATE_WEB_TRANSPORT_H
#define CLAWGATE_WEB_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

struct transport;

/* FastCGI on a connection that was accepted by the caller (blocking socket). Reads the request's
 * parameters; NULL when the peer sent nonsense or left (fd is closed then). One transport per
 * thread may be reused: pass the previous one, or NULL; after a NULL result it is still the caller's. */
struct transport *transport_fastcgi(struct transport *reuse, int fd);
/* The environment, fd 0 and fd 1 of a plain CGI process. */
struct transport *transport_cgi(void);
/* Ends the request (end record, close); the object stays for reuse. */
void transport_finish(struct transport *t);
void transport_free(struct transport *t);

/* All parameters, "NAME=value", NULL-terminated. */
char *const *transport_env(const struct transport *t);
const char *transport_param(const struct transport *t, const char *name); /* NULL when absent */
/* Request body: bytes read, 0 at the end, -1 on error. */
long transport_read(struct transport *t, void *p, size_t n);
/* Collected and sent when large or flushed. false once the client is gone; so is one that took nothing for 30 s. */
bool transport_write(struct transport *t, const void *p, size_t n);
/* Waits until everything has left. */
bool transport_flush(struct transport *t);
/* Sends what can leave without waiting. What a slow client does not take stays, up to 1 MiB; then a write waits. */
bool transport_push(struct transport *t);
/* Nothing more will be written: what waits leaves together with the end of the request. The parameters stay. */
void transport_end(struct transport *t);
/* The socket whose hang-up means that the client left; -1 for CGI. */
int transport_fd(const struct transport *t);

#endif

/* Who is at the other end (contract 01 §4.4). Private to common/web; pure. */
#ifndef CLAWGATE_WEB_CLIENT_IP_H
#define CLAWGATE_WEB_CLIENT_IP_H

struct arena;

/* The peer's address, or, when the peer is a trusted proxy, the right-most address of X-Forwarded-For that is not
 * itself trusted. trusted: CIDR list, NULL-terminated, may be NULL. Without a port; "" when the peer is unknown. */
const char *client_ip_find(struct arena *a, const char *peer, const char *forwarded_for, const char *const *trusted);

#endif

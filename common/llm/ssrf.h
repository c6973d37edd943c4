/* Outbound address policy (contract 04 §0.1, 03 §4.6): one judgement for save, test and connect. */
#ifndef CLAWGATE_LLM_SSRF_H
#define CLAWGATE_LLM_SSRF_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum address_class { ADDRESS_PUBLIC, ADDRESS_PRIVATE, ADDRESS_NEVER };

/* The whole IANA special-purpose table; IPv4-mapped, 64:ff9b::/96 and 6to4 are judged as the IPv4 inside. */
enum address_class address_class(const struct sockaddr *sa);
/* Literal addresses (also in brackets, also decimal, octal and hexadecimal IPv4) and reserved names;
 * ADDRESS_PUBLIC for other names (they are judged when connecting). */
enum address_class host_class(const char *host);

/* A URL as an administrator writes it: http or https, a host, no user info, no fragment, at most 2048 bytes.
 * false leaves a short English reason in *why (static text). */
bool outbound_url_check(const char *url, bool private_allowed, const char **why);
/* The host of a URL that passes the form rules above, without brackets, lower case. false for any other URL. */
bool outbound_url_host(const char *url, char *host, size_t size);
/* localhost, 127.0.0.0/8, ::1 or host.docker.internal: what a provider of type ollama may always use. */
bool outbound_url_is_loopback(const char *url);

#endif

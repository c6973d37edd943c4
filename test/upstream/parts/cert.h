/* A throw-away certificate authority and a server certificate for localhost. */
#ifndef UPSTREAM_CERT_H
#define UPSTREAM_CERT_H

#include <stdbool.h>

/* Writes ca.pem, cert.pem and key.pem into an existing directory. */
bool cert_make(const char *directory);

#endif

/* Identifiers: UUIDv7 (contract 01 §12.1), slugs, hex, random bytes. */
#ifndef CLAWGATE_BASE_ID_H
#define CLAWGATE_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>

enum { UUID_LEN = 36, UUID_SIZE = 37 };

#define MASTER_TENANT_ID "0193a5b0-7000-7000-8000-000000000001"

/* A new UUIDv7, lower case; never smaller than the one before in this process, whatever the clock does. */
void uuid_new(char out[UUID_SIZE]);
/* Canonical 8-4-4-4-12 form in any case; lower-cased into out (may be NULL). */
bool uuid_parse(const char *s, char out[UUID_SIZE]);
/* Version 5: of a name (at most UUID_NAME_MAX bytes count) in a name space, always the same. */
enum { UUID_NAME_MAX = 255 };
void uuid_of_name(const unsigned char space[16], const char *name, char out[UUID_SIZE]);
/* The 32 hex digits without dashes. */
void uuid_hex(const char *uuid, char out[33]);
/* Contract 01 §12.1: [a-z0-9] with inner dashes, 1..100. */
bool slug_valid(const char *s);

/* From getrandom; ends the process when the kernel has none (event 1002). */
void random_bytes(void *out, size_t n);
/* 2n lower-case digits and a NUL. */
void hex_encode(const unsigned char *in, size_t n, char *out);
bool hex_decode(const char *in, size_t hexlen, unsigned char *out);

#endif

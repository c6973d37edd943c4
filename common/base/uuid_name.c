/* UUIDs made of names (RFC 4122 version 5); apart from id.c because few programs need SHA-1. */
#include <openssl/sha.h>
#include <string.h>

#include "base/id.h"

void uuid_of_name(const unsigned char space[16], const char *name, char out[UUID_SIZE])
{
    unsigned char text[16 + UUID_NAME_MAX], digest[SHA_DIGEST_LENGTH];
    size_t n = strlen(name) < UUID_NAME_MAX ? strlen(name) : UUID_NAME_MAX;
    memcpy(text, space, 16);
    memcpy(text + 16, name, n);
    SHA1(text, 16 + n, digest);
    digest[6] = (unsigned char)((digest[6] & 0x0f) | 0x50);
    digest[8] = (unsigned char)((digest[8] & 0x3f) | 0x80);
    char hex[33];
    hex_encode(digest, 16, hex);
    for (size_t i = 0, at = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            out[at++] = '-';
        out[at++] = hex[i];
        out[at] = '\0';
    }
}

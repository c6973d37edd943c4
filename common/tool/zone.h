/* Offsets of IANA time zones, read from the system's zone files; no environment, no global state. */
#ifndef CLAWGATE_TOOL_ZONE_H
#define CLAWGATE_TOOL_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ZONE_NAME_MAX = 64 };

/* Seconds east of UTC at that moment. false for a name that is not a zone's, or unknown here. */
bool zone_offset(const char *name, int64_t unix_seconds, int32_t *offset);
/* The same from the bytes of a TZif file (RFC 8536). Pure. */
bool zone_offset_in(const unsigned char *file, size_t n, int64_t unix_seconds, int32_t *offset);
/* The same from a POSIX TZ rule such as CET-1CEST,M3.5.0,M10.5.0/3. Pure. */
bool zone_offset_by_rule(const char *rule, int64_t unix_seconds, int32_t *offset);

#endif

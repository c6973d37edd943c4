/* Time: wall clock as milliseconds since 1970 UTC, monotonic milliseconds, RFC 3339. */
#ifndef CLAWGATE_BASE_CLOCK_H
#define CLAWGATE_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum { TIME_TEXT_SIZE = 25 }; /* YYYY-MM-DDTHH:MM:SS.mmmZ and NUL */

int64_t clock_ms(void);      /* wall clock */
int64_t clock_mono_ms(void); /* never goes back; for durations and deadlines */
/* Contract 01 §12.3, fixed width. */
void time_format(int64_t ms, char out[TIME_TEXT_SIZE]);
/* Any RFC 3339 offset, or a date alone (midnight UTC). false when malformed. */
bool time_parse(const char *s, int64_t *ms);

#endif

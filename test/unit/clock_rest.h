/* In place of the rest of clock.c, for a test that has a clock_mono_ms of its own. Included after it, once. */
#ifndef CLAWGATE_TEST_CLOCK_REST_H
#define CLAWGATE_TEST_CLOCK_REST_H

#include <stdio.h>

#include "base/clock.h"

int64_t clock_ms(void)
{
    return clock_mono_ms();
}

void time_format(int64_t ms, char out[TIME_TEXT_SIZE])
{
    snprintf(out, TIME_TEXT_SIZE, "%lld", (long long)ms);
}

bool time_parse(const char *text, int64_t *ms)
{
    (void)text;
    *ms = 0;
    return false;
}

#endif

/* How long something may take on this build: a sanitizer makes all slower, and CLAWGATE_TEST_SLOWER says how much. */
#ifndef CLAWGATE_TEST_SLOWER_H
#define CLAWGATE_TEST_SLOWER_H

#include <stdint.h>
#include <stdlib.h>

static inline int64_t slower(int64_t ms)
{
    const char *text = getenv("CLAWGATE_TEST_SLOWER");
    long times = text ? strtol(text, NULL, 10) : 1;
    return ms * (times > 1 ? times : 1);
}

#endif

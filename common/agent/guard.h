/* The input guard (contract 03 §3.12): finds phrases that try to talk a model out of its instructions. */
#ifndef CLAWGATE_AGENT_GUARD_H
#define CLAWGATE_AGENT_GUARD_H

#include "base/arena.h"

/* Names of the patterns that match, joined by ", "; NULL when none does. Thread-safe; bounded work. */
const char *guard_scan(struct arena *a, const char *text);

#endif

/* Does a run turn in circles (contract 03 §3.8)? Pure; looks at the tool calls of one run, one after the other.
 *
 * A call is its tool and its arguments, whatever the order of their keys; calls and results are compared by SHA-256.
 * Repetitions are counted over the last LOOP_CALLS calls. A streak of reads is counted from the last tool that changed
 * something (tool.h: `changes`); tools that neither change nor only read leave it as it is.
 */
#ifndef CLAWGATE_AGENT_LOOP_GUARD_H
#define CLAWGATE_AGENT_LOOP_GUARD_H

#include "base/arena.h"
#include "base/crypto.h"
#include "tool/tool.h"

enum { LOOP_CALLS = 30, LOOP_STREAK_MAX = 36 };

struct loop_call {
    bool changes;
    unsigned char tool[SHA256_SIZE], call[SHA256_SIZE], result[SHA256_SIZE];
};

/* All zero at the run's beginning. */
struct loop_guard {
    struct loop_call calls[LOOP_CALLS]; /* a ring: the n-th call, from 0, stands at n % LOOP_CALLS */
    size_t count;
    unsigned char reads[LOOP_STREAK_MAX][SHA256_SIZE]; /* the streak, its first calls when it is longer */
    size_t streak, unique; /* of the streak: length, different calls */
    bool reading;          /* the last call belongs to it */
    unsigned warned;       /* bit per detector */
};

enum loop_verdict { LOOP_FINE, LOOP_WARN, LOOP_STOP };

/* After a call. tool: its row, NULL when there is no such tool. *note, with LOOP_WARN: what the model is told. */
enum loop_verdict loop_guard_add(struct loop_guard *g, struct arena *a, const char *name, const struct tool *tool,
                                 const char *arguments, const char *result, const char **note);

#endif

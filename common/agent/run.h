/* One agent run: from a message to an answer, and everything it leaves behind (contract 03 §3, §8).
 *
 * Guarantees:
 *  1. The caller learns the one outcome from the result of run_execute, after everything the run wrote was
 *     committed; no event tells it. That is one transaction at its end, but for messages: those of every five rounds
 *     of tool calls are stored when they are over, so that a crash takes no more than that from a long run.
 *  2. A run that was admitted ends as exactly one of completed, error, cancelled, and its
 *     trace says so, also when the client has left.
 *  3. The user's message is stored once, also when the run fails.
 *  4. No database connection is held while a model or a tool is waited for.
 */
#ifndef CLAWGATE_AGENT_RUN_H
#define CLAWGATE_AGENT_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/engine.h"
#include "agent/loop_guard.h"
#include "base/arena.h"
#include "base/cancel.h"
#include "base/fault.h"
#include "llm/llm.h"
#include "store/agents.h"
#include "store/runs.h"
#include "store/sessions.h"

/* Live output. All calls come from the run's thread. Any may be NULL. */
struct run_events {
    void (*text)(void *ctx, const char *s, size_t n); /* filtered, whole characters */
    void (*flush)(void *ctx);                         /* after all text of one upstream read */
    void (*tick)(void *ctx);                          /* about once a second while waiting */
    void *ctx;
};

/* What a caller asks for. Strings must outlive the run. */
struct run_input {
    const char *tenant_id;
    const struct agent *agent;
    const char *user;          /* recorded user, never NULL for http */
    bool may_use_any_session;  /* admins: sessions of other users too */
    const char *channel;       /* "http", "wake" */
    const char *session_key;   /* NULL: a new session named after session_prefix */
    const char *session_prefix;/* "agent:<key>:http-<user>-"; the run's last 8 hex digits are appended */

    const char *text;                        /* the user's message, "" with tool results */
    const struct llm_message *tool_results;  /* answers to client tool calls */
    size_t tool_result_count;
    const struct llm_message *context;       /* run-local history of the request, not stored */
    size_t context_count;
    const char *extra_system;                /* NULL when none */

    const struct llm_tool *client_tools;
    size_t client_tool_count;
    struct llm_params params;
    enum locale locale;                      /* of what the run says in words of its own */
    bool stream;                             /* ask the upstream for a stream */
    const struct run_events *events;         /* NULL when nobody listens */

    const char *answer_scope, *answer_key, *body_hash; /* kept answer, NULL when not wanted */
};

enum run_status { RUN_COMPLETED, RUN_ERROR, RUN_CANCELLED };

struct run_result {
    enum run_status status;
    enum cancel_reason cancelled;  /* why, when RUN_CANCELLED */
    struct fault fault;            /* RUN_ERROR, and RUN_CANCELLED for those who still listen */
    const char *content;           /* sanitised final text, "" for a silent reply; never NULL */
    enum llm_finish finish;
    const struct llm_tool_call *tool_calls; /* client tool calls the run ended with */
    size_t tool_call_count;
    struct llm_usage usage;        /* sums over all model calls */
};

struct run {
    struct live_run live;
    struct engine *engine;
    struct arena *arena;
    const struct run_input *in;
    struct cancel cancel;
    char id[UUID_SIZE];
    char hex[33];
    char trace_id[UUID_SIZE];
    const char *session_key;
    const char *workspace;   /* of this agent and user; made when a tool first needs it */
    bool new_session;
    bool key_open;          /* its key may still become the long one */
    bool admitted;
    bool turn;              /* it has the turn of session_key */
    int64_t started_ms;      /* wall clock */
    int64_t started_mono;

    struct llm_provider provider;
    const char *model;
    const char *session_id;  /* as it was when the run was admitted, or was made by it; NULL: there is none yet */
    int64_t context_start;

    const struct llm_tool *tools; /* own and client tools, own first */
    size_t tool_count, own_tool_count;

    struct llm_message *messages; /* what the model sees, system first */
    size_t message_count, message_cap;
    const struct llm_message *context;  /* of a session that was there: messages as they were before the first call */
    size_t context_count, context_rows; /* with system message and request; stored rows they were made of */
    size_t setup_rows;       /* of `rows`: the request's */
    size_t setup_count;      /* of them, there before the first call; the request is the last */
    size_t measured_count;   /* of them, counted in last_prompt_tokens; 0 = unknown */
    bool compaction_tried, compacted, overflowed; /* run_compact.c */
    struct message *rows;    /* what will be stored */
    size_t row_count, row_cap;
    size_t saved;            /* of them, stored already: run_checkpoint.c */
    struct span *spans;
    size_t span_count, span_cap;

    struct running *running; /* the row that says `running`, run_record.c */
    int64_t llm_calls, tool_calls;
    struct loop_guard *loops; /* NULL before the first tool call */
    const char *tags;        /* of the trace, JSON array text or NULL */
    int64_t last_prompt_tokens;
    double cost;             /* negative = no price known */
    /* What a kept answer shall hold; set by the caller's `keep` before the rows are written. */
    const char *kept_json;
    int64_t kept_status;
    void (*keep)(struct run *r, const struct run_result *result, void *ctx);
    void *keep_ctx;
};

/* Makes the run and its id; nothing is stored or locked yet. */
struct run *run_new(struct engine *e, struct arena *a, const struct run_input *in);
/* Step 15 and 16 of contract 03 §1.3: agent active, session owner, provider usable, budget, slot, the session's
 * turn. Queues the `running` row. false with *fault: nothing happened. */
bool run_admit(struct run *r, struct fault *fault);
/* The run itself. Call once after run_admit; afterwards the run is over and its rows are durable
 * (or result->fault says why not). */
void run_execute(struct run *r, struct run_result *result);
/* Always last, also when run_admit said no. */
void run_release(struct run *r);

#endif

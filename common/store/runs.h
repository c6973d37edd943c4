/* What a run leaves behind: trace, spans, usage, stored answers (contract 03 §8, 06 §5).
 *
 * The functions that write are called inside a transaction (writer jobs).
 */
#ifndef CLAWGATE_STORE_RUNS_H
#define CLAWGATE_STORE_RUNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "store/db.h"

/* The run as a whole; it is also the root of its spans, under the same id. */
struct trace {
    const char *id, *tenant_id, *run_id, *session_key, *user_id, *channel, *agent_id, *agent_key, *name;
    const char *input_preview, *output_preview, *status, *error;
    const char *model, *provider;      /* NULL while running */
    const char *start_time, *end_time; /* end_time NULL while running */
    int64_t duration_ms;
    int64_t span_count, llm_call_count, tool_call_count, input_tokens, output_tokens;
    double cost;
    const char *metadata, *tags; /* JSON text or NULL */
    int64_t worker;              /* number of the process that owns it while running */
};

struct span {
    const char *id, *trace_id, *parent_span_id, *tenant_id, *agent_id;
    const char *type, *name, *status, *error, *model, *provider, *finish_reason;
    const char *tool_name, *tool_call_id, *input_preview, *output_preview, *metadata;
    const char *start_time, *end_time;
    int64_t duration_ms, input_tokens, output_tokens;
    double cost; /* negative = unknown */
};

struct usage_delta {
    const char *tenant_id, *bucket_hour, *agent_id, *user_id, *channel, *provider, *model;
    int64_t requests, errors, llm_calls, tool_calls, input_tokens, output_tokens, cache_read_tokens,
        cache_create_tokens, thinking_tokens, duration_ms;
    double cost;
};

enum db_rc trace_insert(struct db *db, const struct trace *t);
/* Inserts the row or, when it is there (running), finishes it. */
enum db_rc trace_finish(struct db *db, const struct trace *t);
enum db_rc span_insert(struct db *db, const struct span *s);
/* x = x + ?. Inside a transaction equal keys are added up and written once, before its commit; until then the strings
 * must live. */
enum db_rc usage_add(struct db *db, const struct usage_delta *u);

/* Marks the running traces of one worker that began before a time ("~": all of them): status error, text
 * "interrupted". *count rows. */
enum db_rc traces_interrupt(struct db *db, int64_t worker, const char *before, const char *now, int64_t *count);
/* Workers that own running traces. */
enum db_rc traces_running_workers(struct db *db, int64_t *workers, size_t max, size_t *count);

struct run_row {
    const char *id, *agent_id, *agent_key, *session_key, *user_id, *status, *started_at, *ended_at, *error, *tenant_id;
};
/* Runs, newest first. user NULL = everybody; before = run id or NULL. */
enum db_rc run_list(struct db *db, struct arena *a, const char *tenant_id, const char *user, const char *status,
                    const char *before, int64_t limit, int64_t offset, struct run_row **out, size_t *count,
                    int64_t *total, bool *total_capped);
enum db_rc run_find(struct db *db, struct arena *a, const char *tenant_id, const char *run_id, struct run_row *out);

/* A kept answer of a run endpoint (contract 01 §12.18, 03 §1.10). */
struct kept_answer {
    const char *scope;      /* caller and path, see chat */
    const char *key;        /* Idempotency-Key, or "sdk:" + body hash */
    const char *body_hash;
    const char *run_id;
    const char *state;      /* running, done, failed, gone */
    int64_t status;         /* HTTP status of the answer */
    const char *answer;     /* JSON of the non-streamed answer or of the error envelope */
    const char *created_at;
    int64_t worker;
};
enum db_rc answer_find(struct db *db, struct arena *a, const char *scope, const char *key, struct kept_answer *out);
/* Claims the key: DB_OK claimed, DB_CONSTRAINT somebody has it. */
enum db_rc answer_claim(struct db *db, const struct kept_answer *k);
/* Keeps the answer, whether the key was claimed before or not. */
enum db_rc answer_finish(struct db *db, const struct kept_answer *k);
/* Forgets the row of that very run; a claim somebody made meanwhile stays. */
enum db_rc answer_drop(struct db *db, const char *scope, const char *key, const char *run_id);
/* Deletes answers older than the given time (RFC 3339), at most `max`. */
enum db_rc answers_prune(struct db *db, const char *before, int64_t max, int64_t *count);
/* Deletes traces (and their spans) older than the given time, at most `max` traces. */
enum db_rc traces_prune(struct db *db, const char *before, int64_t max, int64_t *count);

#endif

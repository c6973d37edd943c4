/* Rooms behind run.h: set-up, the iteration loop, and what is written. Private to common/agent. */
#ifndef CLAWGATE_AGENT_RUN_PARTS_H
#define CLAWGATE_AGENT_RUN_PARTS_H

#include "agent/run.h"

/* run_setup.c: provider and model (step 15 of 03 §1.3), tools, and the messages the model will see. */
bool setup_provider(struct run *r, struct fault *f);
bool setup_tools(struct run *r, struct fault *f);
bool setup_messages(struct run *r, struct fault *f);

/* run_loop.c: iterations until an answer, a fault or a cancellation. Fills content, finish, tool_calls, usage. */
bool loop_run(struct run *r, struct run_result *result);

/* What stands before a summary in the transcript, and what answers it. */
extern const char summary_opening[], summary_answer[];

/* run_compact.c: what the model sees becomes shorter. The first: once a run, when the window is full. The second: once,
 * after the model was told too much; true when it is worth another try. */
void compact_when_full(struct run *r, struct run_result *result);
bool compact_after_overflow(struct run *r, struct run_result *result);

/* run_tools.c: the calls of one answer, with their results in the transcript. */
struct tools_outcome {
    const struct llm_tool_call *client; /* left for the client */
    size_t client_count;
    const char *note;    /* what to tell the model about them, NULL = nothing */
    const char *looping; /* the tool with which the run turns in circles: it ends here */
};
void tools_run(struct run *r, int iteration, const struct llm_answer *answer, struct tools_outcome *out);

/* run_record.c: rows and spans gathered while the run goes on, written in one transaction at its end. */
void record_message(struct run *r, const struct llm_message *m, const char *thinking);
struct span *record_span(struct run *r, const char *type, const char *name);
void record_span_end(struct run *r, struct span *s, const char *status, const char *error);
/* run_usage.c: a model's call is over: its usage counts, its span ends. error NULL: it answered. */
void record_model_call(struct run *r, struct run_result *result, struct span *span, const struct llm_answer *answer,
                       const char *error);
/* The row that makes the run visible, and lets others stop it. It is not waited for. */
void record_running(struct run *r);
/* From a tick: when it was lost, it is written again. */
void record_running_again(struct run *r);
void record_running_release(struct run *r);
enum db_rc record_finish(struct run *r, struct run_result *result);
/* What the session is told by either write, without counters. */
struct session_write record_session(struct run *r);
/* A run whose tenant was deleted meanwhile writes nothing any more. Inside the transaction. */
bool record_tenant_gone(struct db *db, const struct run *r);
/* A run that was never admitted: only its trace ends. */
void record_refused(struct run *r, const struct run_result *result);

/* run_checkpoint.c: what was recorded so far is stored now. Between two rounds only: no call without its result. */
void record_checkpoint(struct run *r);

/* A stored JSON object, parsed; NULL when it is empty or malformed. */
json_object *run_json(struct run *r, const char *text);
/* Appends to what the model sees. */
void run_push(struct run *r, const struct llm_message *m);
/* May this run go on in that session? Its user and agent must be the run's. */
bool run_session_fits(struct run *r, const struct session *s, struct fault *f);
/* The key a new session gets when its usual one is taken (03 §1.6), and taking it. */
const char *run_long_key(struct run *r);
void run_use_key(struct run *r, const char *key);
bool fault_from_db(struct fault *f, enum db_rc rc);
/* Why a fired token ended the run, as the fault for whoever still listens. */
void fault_from_cancel(struct run *r, enum cancel_reason why, struct fault *f);

#endif

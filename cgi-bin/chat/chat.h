/* What the handlers of the chat program share. */
#ifndef CLAWGATE_CHAT_H
#define CLAWGATE_CHAT_H

#include <stdbool.h>

#include "agent/engine.h"
#include "agent/run.h"
#include "web/gone.h"
#include "web/request.h"

struct errands;

struct chat {
    struct engine *engine;
    struct errands *errands;   /* NULL in a plain CGI process */
    struct gone_watcher *gone; /* NULL in a plain CGI process */
};

struct chat *chat_of(struct request *req);

/* agent_ref.c: contract 03 §1.4. selector: text and the parameter it came from; NULL text = the default agent. */
struct agent_ref {
    const char *text;
    const char *param;
};
struct agent_ref agent_ref_from(struct request *req, const char *model);
/* Finds the agent and checks access for `user` (NULL: unknown). */
bool agent_resolve(struct request *req, const struct agent_ref *ref, const char *user, struct agent *out,
                   struct fault *f);
/* The user whose access counts: the effective user, below admin also the one named in the body (01 §2.3). */
const char *access_user(struct request *req, const char *body_user);
/* The user a run is recorded under, never NULL (03 §1.5). */
const char *recorded_user(struct request *req, const char *body_user);

/* answers.c: repeated requests (03 §1.10, 01 §12.18). */
struct kept {
    const char *scope, *key, *body_hash; /* NULL when this request is not kept */
    bool claim;                          /* an explicit Idempotency-Key: claimed before the run */
    bool repeated;                       /* the caller says that this is a retry */
    const char *run_id;                  /* KEPT_REPLAY: the run that gave the answer */
};
enum kept_rc { KEPT_NEW, KEPT_REPLAY, KEPT_FAULT };
/* Looks the request up. KEPT_REPLAY fills *answer and *status. */
enum kept_rc kept_lookup(struct request *req, struct kept *k, const char **answer, int *status, struct fault *f);
/* Just before the run: false when somebody else was faster. */
bool kept_claim(struct request *req, const struct kept *k, const char *run_id, struct fault *f);
/* Forgets the claim of that run, if it is still the one that is kept. */
void kept_drop(struct request *req, const struct kept *k, const char *run_id);

/* errands.c: work in the background. */
struct errands *errands_new(struct engine *e);
/* Begins what is due; about once a second. */
void errands_tick(struct errands *s);
/* Interrupts what is going on and waits for it. NULL is fine. */
void errands_stop(struct errands *s);
/* Plain CGI: works off what is due. */
void errands_now(struct engine *e);

reply chat_completions(struct request *req);
reply models_list(struct request *req);
reply models_get(struct request *req);
reply runs_list(struct request *req);
reply runs_get(struct request *req);
reply runs_cancel(struct request *req);
reply provider_verify(struct request *req);
reply provider_models(struct request *req);
reply ready(struct request *req);

#endif

/* What can go wrong, as data: kind (status, code, retryability), message of the catalogue, parameters.
 *
 * Code below the web floor fills a struct fault; the web floor turns it into
 * the one envelope (contract 01 §3.2) in the caller's language.
 */
#ifndef CLAWGATE_BASE_FAULT_H
#define CLAWGATE_BASE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/messages.h"

struct arena;

enum fault_kind {
    FAULT_NONE,
    FAULT_UNAUTHENTICATED, /* 401 UNAUTHORIZED */
    FAULT_FORBIDDEN,       /* 403 UNAUTHORIZED */
    FAULT_INVALID,         /* 400 INVALID_REQUEST */
    FAULT_METHOD,          /* 405 INVALID_REQUEST */
    FAULT_TOO_LARGE,       /* 413 INVALID_REQUEST */
    FAULT_NOT_FOUND,       /* 404 NOT_FOUND */
    FAULT_EXISTS,          /* 409 ALREADY_EXISTS */
    FAULT_STATE,           /* 409 FAILED_PRECONDITION */
    FAULT_PROTECTED,       /* 403 FAILED_PRECONDITION */
    FAULT_IF_MATCH,        /* 412 FAILED_PRECONDITION */
    FAULT_RATE,            /* 429 RESOURCE_EXHAUSTED */
    FAULT_UNAVAILABLE,     /* 503 UNAVAILABLE */
    FAULT_NOT_BUILT,       /* 503 UNAVAILABLE, not retryable */
    FAULT_TIMEOUT,         /* 504 AGENT_TIMEOUT */
    FAULT_INTERNAL,        /* 500 INTERNAL */
    FAULT_KINDS
};

struct fault_info {
    int status;
    const char *code;
    bool retryable;
    int retry_after_ms;
};

struct fault {
    enum fault_kind kind;
    enum message_id message;
    const char *args[3];   /* positional parameters of the message, NULL when unused */
    const char *param;     /* offending field, query or header; NULL writes null */
    int retry_after_ms;    /* 0 = the kind's own */
    const char *details;   /* a JSON object as text, or NULL */
};

/* Contract 01 §3.3. */
const struct fault_info *fault_info(enum fault_kind kind);
/* OpenAI's error class by HTTP status, contract 03 §1.10. */
const char *fault_type(int status);
/* Fills *f (details and retry_after_ms cleared); strings are not copied. Returns false, for `return fault_set(...)`. */
bool fault_set(struct fault *f, enum fault_kind kind, enum message_id message, const char *param, const char *arg0,
               const char *arg1);

#endif

#include "base/fault.h"

#include <stddef.h>

#define UNAUTHORIZED        "UNAUTHORIZED"
#define INVALID_REQUEST     "INVALID_REQUEST"
#define FAILED_PRECONDITION "FAILED_PRECONDITION"
#define INTERNAL            "INTERNAL"

static const struct fault_info table[FAULT_KINDS] = {
    /* A fault nobody filled is a bug of ours and reads as one. */
    [FAULT_NONE] = {500, INTERNAL, false, 0},
    [FAULT_UNAUTHENTICATED] = {401, UNAUTHORIZED, false, 0},
    [FAULT_FORBIDDEN] = {403, UNAUTHORIZED, false, 0},
    [FAULT_INVALID] = {400, INVALID_REQUEST, false, 0},
    [FAULT_METHOD] = {405, INVALID_REQUEST, false, 0},
    [FAULT_TOO_LARGE] = {413, INVALID_REQUEST, false, 0},
    [FAULT_NOT_FOUND] = {404, "NOT_FOUND", false, 0},
    [FAULT_EXISTS] = {409, "ALREADY_EXISTS", false, 0},
    [FAULT_STATE] = {409, FAILED_PRECONDITION, false, 0},
    [FAULT_PROTECTED] = {403, FAILED_PRECONDITION, false, 0},
    [FAULT_IF_MATCH] = {412, FAILED_PRECONDITION, false, 0},
    [FAULT_RATE] = {429, "RESOURCE_EXHAUSTED", true, 60000},
    [FAULT_UNAVAILABLE] = {503, "UNAVAILABLE", true, 5000},
    [FAULT_NOT_BUILT] = {503, "UNAVAILABLE", false, 0},
    [FAULT_TIMEOUT] = {504, "AGENT_TIMEOUT", true, 5000},
    [FAULT_INTERNAL] = {500, INTERNAL, false, 0},
};

const struct fault_info *fault_info(enum fault_kind kind)
{
    return &table[(unsigned)kind < FAULT_KINDS ? kind : FAULT_INTERNAL];
}

const char *fault_type(int status)
{
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 429:
        return "rate_limit_error";
    default:
        return status >= 500 ? "server_error" : "invalid_request_error";
    }
}

bool fault_set(struct fault *f, enum fault_kind kind, enum message_id message, const char *param, const char *arg0,
               const char *arg1)
{
    *f = (struct fault){.kind = kind, .message = message, .args = {arg0, arg1, NULL}, .param = param};
    return false;
}

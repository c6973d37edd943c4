/* The parameters of a request by name. Private to common/web. */
#ifndef CLAWGATE_WEB_PARAMS_H
#define CLAWGATE_WEB_PARAMS_H

#include <stddef.h>

struct arena;

struct params {
    const char **slots; /* "NAME=value"; open addressing */
    size_t mask;
    const char *doubled; /* the HTTP name of a parameter that is there twice, NULL when there is none. Front servers
                            turn both "X-GoClaw-User-Id" and "X_GoClaw_User_Id" into HTTP_X_GOCLAW_USER_ID: which of
                            them counts must not be guessed */
};

/* env: NULL-terminated, "NAME=value"; stays where it is. */
void params_index(struct params *p, struct arena *a, char *const *env);
/* NULL when absent. */
const char *params_get(const struct params *p, const char *name);

#endif

/* From the front server's parameters to a struct request. Private to common/web. */
#ifndef CLAWGATE_WEB_INTAKE_H
#define CLAWGATE_WEB_INTAKE_H

#include "web/request.h"

/* Method, target, request id, locale, client address, an empty answer. Nothing is checked yet. */
struct request *request_new(const struct gateway *gw, struct transport *t, struct arena *arena);

/* The HTTP name of a parameter that is there twice, NULL when there is none. Front servers turn both
 * "X-GoClaw-User-Id" and "X_GoClaw_User_Id" into HTTP_X_GOCLAW_USER_ID: which of them counts must not be guessed. */
const char *env_collision(struct arena *a, char *const *env);

#endif

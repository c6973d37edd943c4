/* From the front server's parameters to a struct request. Private to common/web. */
#ifndef CLAWGATE_WEB_INTAKE_H
#define CLAWGATE_WEB_INTAKE_H

#include "web/request.h"

/* Method, target, request id, locale, client address, an empty answer. Nothing is checked yet. */
struct request *request_new(const struct gateway *gw, struct transport *t, struct arena *arena);

#endif

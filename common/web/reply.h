/* The head of an answer. Private to common/web: the plain replies and the event stream share it. */
#ifndef CLAWGATE_WEB_REPLY_H
#define CLAWGATE_WEB_REPLY_H

#include "web/request.h"

/* Sends status and headers, the blank line included: contract 01 §2.2, CORS (§2.8), X-Request-Id and everything
 * set by reply_header, which beats a default of the same name. content_type NULL writes none, length -1 no
 * Content-Length. Sets status and answered; false once the client is gone or when the head was sent before. */
bool reply_head(struct request *req, int status, const char *content_type, int64_t length);

/* What a failed store call means to the client: busy and full are 503, the rest 500. Logs it (event 3101). */
void fault_db(struct request *req, enum db_rc rc, struct fault *f);

/* The CORS headers of an answer; with `preflight` those of a preflight answer. */
void cors_headers(struct request *req, struct buf *head, bool preflight);
/* Does it come from a page of another origin that is not allowed? Requests without Origin come from no page. */
bool cors_foreign(const struct request *req);

#endif

/* What reading and editing a session share. */
#ifndef CLAWGATE_SESSIONS_SESSION_H
#define CLAWGATE_SESSIONS_SESSION_H

#include "store/sessions.h"
#include "web/request.h"

/* The members of a list item (contract 03 §6.3). */
void session_write(struct jsonw *w, const struct session *s);
/* The session of the path. Existence first, then ownership: missing is 404, somebody else's 403 (03 §6.5). */
bool session_open(struct request *req, struct db *db, struct session *s, struct fault *f);
/* Contract 01 §12.14: changes with whatever a run or an edit changes. */
const char *session_etag(struct arena *a, const struct session *s);

/* edits.c: contract 03 §6.4, §6.5. */
reply session_patch(struct request *req);
reply session_reset_post(struct request *req);
reply session_remove(struct request *req);

#endif

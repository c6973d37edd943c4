/* Which requests the rate limit counts, and for whom (contract 01 §4). Private to common/web. */
#ifndef CLAWGATE_WEB_LIMIT_H
#define CLAWGATE_WEB_LIMIT_H

#include "web/request.h"

/* Step 6 of contract 01 §0, once principal and tenant are known. false with *f: 429. */
bool limit_request(struct request *req, struct fault *f);
/* Authentication failed with *f: guessing costs a token of the address, and *f becomes 429 when it has none. */
void limit_failed_auth(struct request *req, struct fault *f);

#endif

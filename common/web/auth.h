/* From headers to a principal (contract 01 §1, §2.3, §5.3).
 *
 * Guarantees:
 *  1. Secrets are compared by secret_equal alone, or found by their SHA-256.
 *  2. Every failure is 401 with the same body: unknown, expired and revoked keys
 *     cannot be told apart.
 *  3. Revocation, expiry and every change of a tenant count from the next request on, in every process: keys and
 *     tenants that were found are kept only while store/fresh.h says so, and expiry is looked at each time.
 *     Memberships, and what was not found, are never kept.
 *  4. The tenant comes from the credential, or from the header where the
 *     credential may choose; a name that does not exist never falls back.
 */
#ifndef CLAWGATE_WEB_AUTH_H
#define CLAWGATE_WEB_AUTH_H

#include "web/request.h"

/* Authentication and tenant (steps 4 and 5 of contract 01 §0). false leaves the answer in *f. */
bool auth_principal(struct request *req, struct db *db, struct fault *f);
/* Role and user header (steps 7 and 8). */
bool auth_authorize(struct request *req, const struct route *route, struct fault *f);
/* After the answer: writes last_used_at of the API key where it is due (at most once a minute per key). */
void auth_note_use(struct request *req);

#endif

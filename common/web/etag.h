/* If-Match (contract 01 §12.14). */
#ifndef CLAWGATE_WEB_ETAG_H
#define CLAWGATE_WEB_ETAG_H

#include <stdbool.h>

/* Does a header value (a list of strong ETags, or *; NULL: none was sent) let a record with this ETag be changed? */
bool etag_allows(const char *if_match, const char *etag);

#endif

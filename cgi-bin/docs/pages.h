/* The API document and its page (contract 01 §9.2, §9.3): files that the build made. */
#ifndef CLAWGATE_CGI_DOCS_PAGES_H
#define CLAWGATE_CGI_DOCS_PAGES_H

#include "web/request.h"

/* They stand in CLAWGATE_SHARE, or, when that is not set, in the directory above the program's own: openapi.json and
 * docs-assets/. That fits the build tree, an installed one, and plain CGI from either. */
reply docs_document(struct request *req);
/* The interactive page, the static reference where that was not built. */
reply docs_page(struct request *req);
/* A file of the page, from a fixed list of names. */
reply docs_asset(struct request *req);

#endif

/* What every list shares: paging members, and the `payload` alias of contract 01 §12.4. */
#ifndef CLAWGATE_WEB_QUERY_H
#define CLAWGATE_WEB_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "web/request.h"

/* Writes total (with total_capped beyond 10,000), limit and offset. */
void query_page_end(struct request *req, int64_t total, bool capped, int64_t limit, int64_t offset);

#endif

#include "web/query.h"

void query_page_end(struct request *req, int64_t total, bool capped, int64_t limit, int64_t offset)
{
    jw_kint(&req->w, "total", total);
    if (capped)
        jw_kbool(&req->w, "total_capped", true);
    jw_kint(&req->w, "limit", limit);
    jw_kint(&req->w, "offset", offset);
}

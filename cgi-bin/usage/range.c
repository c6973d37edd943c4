#include "usage/range.h"

#include "base/clock.h"

enum { DATE_LEN = 10, DAY_MS = 86400000 };

static bool time_read(struct request *req, const char *name, int64_t of_a_date, const char **out, struct fault *f)
{
    const char *text = req_query(req, name);
    int64_t ms;
    *out = NULL;
    if (text == NULL)
        return true;
    if (!time_parse(text, &ms))
        return fault_set(f, FAULT_INVALID, MSG_must_be, name, name, "an RFC 3339 time or YYYY-MM-DD");
    char *normal = arena_alloc(req->arena, TIME_TEXT_SIZE);
    time_format(strlen(text) == DATE_LEN ? ms + of_a_date : ms, normal);
    *out = normal;
    return true;
}

bool range_read(struct request *req, struct range *out, struct fault *f)
{
    return time_read(req, "from", 0, &out->from, f) && time_read(req, "to", DAY_MS, &out->to, f);
}

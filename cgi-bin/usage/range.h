/* The query parameters `from` and `to`: from <= time < to. Any RFC 3339 time, or a date; a date alone as `to` means
 * the end of that day, so that from=D&to=D is one day (contract 01 §12.3, 06). */
#ifndef CLAWGATE_USAGE_RANGE_H
#define CLAWGATE_USAGE_RANGE_H

#include "web/request.h"

struct range {
    const char *from, *to; /* as stored times are written; NULL = open */
};

/* false with a fault when one of them is no time. */
bool range_read(struct request *req, struct range *out, struct fault *f);

/* The same as filters of a resource; its `open` hook refuses what range_read refuses. */
#define RANGE_FILTERS(column_)                                                                                      \
    {.query = "from", .kind = FIELD_TIME, .doc = "At this time or later; a date is its midnight UTC",               \
     .sql = "t." column_ " >= strftime('%Y-%m-%dT%H:%M:%fZ', upper({}))"},                                          \
    {.query = "to", .kind = FIELD_TIME, .doc = "Before this time; a date is the end of that day UTC",               \
     .sql = "t." column_ " < CASE WHEN length({}) = 10 THEN strftime('%Y-%m-%dT%H:%M:%fZ', {}, '+1 day')"           \
            " ELSE strftime('%Y-%m-%dT%H:%M:%fZ', upper({})) END"}

#endif

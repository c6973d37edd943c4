/* The audit log as it is read (contract 01 §8.1, §14). */
#ifndef CLAWGATE_USAGE_ACTIVITY_H
#define CLAWGATE_USAGE_ACTIVITY_H

#include "web/resource.h"

extern const struct resource activity_entries;

reply activity_aggregate_get(struct request *req);

#endif

/* usage: what happened (contract 01 §8.1, §14): the audit log and its totals. Nothing here writes. */
#include "usage/activity.h"
#include "web/service.h"

#define N(a) (sizeof(a) / sizeof *(a))

static const struct route routes[] = {
    {METHOD_GET, "/v1/activity", ROLE_VIEWER, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, resource_list, "Activity",
     "List who changed what, the newest first", 0, &activity_entries},
    {METHOD_GET, "/v1/activity/aggregate", ROLE_VIEWER, USER_ADMIN_MAY_OMIT, BODY_DEFAULT, activity_aggregate_get,
     "Activity", "Count activity by action, actor or kind of entity", 0},
};

int main(int argc, char **argv)
{
    static const struct program program = {"usage", routes, N(routes), PROGRAM_PREFORK, NULL, NULL, NULL, NULL, NULL};
    return service_main(&program, argc, argv);
}

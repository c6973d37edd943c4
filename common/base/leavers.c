#include "base/leavers.h"

struct leavers leavers_add(struct leavers *l)
{
    struct leavers before = *l;
    *l = (struct leavers){pthread_self(), true};
    return before;
}

void leavers_join(struct leavers left)
{
    if (left.any)
        pthread_join(left.last, NULL);
}

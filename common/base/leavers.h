/* Threads that leave a crowd by themselves, and are joined all the same.
 *
 * A detached thread says that it is done while it still has steps to make: libraries free then what they keep for each
 * thread. A process that ends meanwhile pulls their ground away. Here whoever leaves joins the one that left before,
 * and who waits for all joins the last: nothing of a thread is left once leavers_join has returned, and at most one
 * stack waits to be freed.
 */
#ifndef CLAWGATE_BASE_LEAVERS_H
#define CLAWGATE_BASE_LEAVERS_H

#include <pthread.h>
#include <stdbool.h>

/* All zero: nobody has left. The owner's lock guards it. */
struct leavers {
    pthread_t last;
    bool any;
};

/* The calling thread leaves, with the owner's lock held. What it returns belongs to the caller, who gives it to
 * leavers_join after unlocking, as the last thing he does: he touches nothing of the owner's any more. */
struct leavers leavers_add(struct leavers *l);

/* Waits for the thread, if there is one, and for all that left before it. */
void leavers_join(struct leavers left);

#endif

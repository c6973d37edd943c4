/* Copies of configuration that many requests need, kept while they are fresh (store/fresh.h).
 *
 * A value is built once in an arena of its own and never changed; it is pinned by the arenas of those who use it
 * and freed with the last of them. Any number of threads may use one memo.
 */
#ifndef CLAWGATE_STORE_MEMO_H
#define CLAWGATE_STORE_MEMO_H

#include "base/arena.h"
#include "store/db.h"
#include "store/fresh.h"

struct memo;
/* At most `max` values; when there are more, all are forgotten. fresh NULL: nothing is kept. NULL without memory. */
struct memo *memo_new(const struct fresh *fresh, size_t max);
void memo_free(struct memo *m);

/* Reads the value into `a`, everything it points to too. What is not DB_ROW is not kept. */
typedef enum db_rc memo_build(void *ctx, struct arena *a, void **value);

/* The value of this key, built when there is no fresh copy; it lives as long as `pin`. key: bytes that say all that
 * `build` depends on but the database. m NULL: built in `pin`. */
enum db_rc memo_get(struct memo *m, struct arena *pin, const char *key, size_t key_len, memo_build *build, void *ctx,
                    void **value);

#endif

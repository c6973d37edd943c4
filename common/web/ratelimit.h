/* Token buckets shared by all processes of a home (contract 01 §4).
 *
 * A bucket holds RATELIMIT_BURST tokens, starts full and gets rpm tokens a minute. It is kept as one number: the
 * moment when it will be full again. A full bucket says the same as none at all, so an entry whose moment is over
 * is a free entry, and nothing has to be cleaned up: with the least rate a bucket is full after 5 minutes.
 *
 * Guarantees:
 *  1. Exact, whoever asks at the same time: threads and processes take turns on one of RATELIMIT_SETS locks.
 *  2. A process that is killed while it holds a lock stops nobody; at worst one bucket is off by a token.
 *  3. The table never grows. When all entries of a set are in use the one with the most tokens is given away, so
 *     nobody gets rid of an empty bucket by filling the table.
 *  4. The wall clock does not matter; time during which the machine slept counts.
 */
#ifndef CLAWGATE_WEB_RATELIMIT_H
#define CLAWGATE_WEB_RATELIMIT_H

#include <stdbool.h>
#include <stdint.h>

enum { RATELIMIT_BURST = 5, RATELIMIT_SETS = 4096, RATELIMIT_WAYS = 16 };

struct ratelimit;

/* <home>/run/ratelimit.shm. NULL when rpm <= 0: there is no limit. */
struct ratelimit *ratelimit_open(const char *home, int64_t rpm);
void ratelimit_free(struct ratelimit *r);
/* Takes a token from the key's bucket; false when it has none, and then nothing changes. r NULL: true. */
bool ratelimit_take(struct ratelimit *r, const char *key);
/* The same at a moment of CLOCK_BOOTTIME, for tests. */
bool ratelimit_take_at(struct ratelimit *r, const char *key, int64_t now_ns);

#endif

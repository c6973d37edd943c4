/* Whether something read from the database earlier may still be used without reading again.
 *
 * A file beside the database (<database>-fresh, one page, mapped by every connection) holds one counter that every
 * process moves when it changes configuration: any table but those that runs write. Connections do that by
 * themselves (db.c), nobody has to remember it.
 *
 * Guarantees:
 *  1. A change counts from the next request on, in every process: the counter moves after the commit and before
 *     anybody is told of it, and once more before the commit, so that what was read meanwhile is not kept either.
 *  2. What was read is used for FRESH_MAX_MS at most, whatever the counter says: changes made with other tools, or
 *     by a process that was killed between the commit and the counter, are seen then.
 *  3. Without the file nothing is ever fresh.
 *
 * Use: take a stamp, then read, keep both; later fresh_holds tells whether the copy may be used.
 */
#ifndef CLAWGATE_STORE_FRESH_H
#define CLAWGATE_STORE_FRESH_H

#include <stdbool.h>
#include <stdint.h>

enum { FRESH_MAX_MS = 1000 };

struct fresh;
/* The database must exist. NULL when there is no file and none can be made. */
struct fresh *fresh_open(const char *database);
void fresh_close(struct fresh *f);

/* All zeros holds never. */
struct fresh_stamp {
    uint64_t count;
    int64_t at; /* clock_mono_ms */
};
struct fresh_stamp fresh_stamp(const struct fresh *f);
bool fresh_holds(const struct fresh *f, const struct fresh_stamp *s);
/* For writers (db.c). */
void fresh_raise(struct fresh *f);

#endif

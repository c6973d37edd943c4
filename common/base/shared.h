/* A small file in the run directory that all processes of a home map: what they count together and may lose.
 *
 * Guarantees:
 *  1. Whoever comes first makes it, and nobody sees it half made: making and looking happen under a lock on the
 *     directory, which the kernel takes back from a process that was killed.
 *  2. Its disk space is reserved, so a full disk cannot end a process that writes to it.
 *  3. A file of another layout, owner or boot is replaced, never changed: who has it mapped keeps it.
 *  4. Without a file (no directory, full disk) the memory is this process's own; logged as event 3601.
 */
#ifndef CLAWGATE_BASE_SHARED_H
#define CLAWGATE_BASE_SHARED_H

#include <stdbool.h>
#include <stddef.h>

/* Called with the lock held; again, with other memory, when the file could not be kept. fresh: the memory is all
 * zeros and this caller is the first. fd is closed afterwards; -1 when the memory is this process's own. */
typedef void shared_attach(void *memory, bool fresh, int fd, void *ctx);

/* <home>/run/<name>. layout: text of at most 63 bytes that names the meaning of the bytes; another text, another
 * file. The memory is aligned to 64 bytes and stays until the process ends. NULL when there is no memory at all. */
void *shared_map(const char *home, const char *name, const char *layout, size_t size, shared_attach *attach, void *ctx);

#endif

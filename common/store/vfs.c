/* The write-ahead log in large writes.
 *
 * SQLite writes a commit as two small writes a page. Here they gather in a buffer and go to the system in one, when
 * the log is synchronized, which with synchronous=FULL happens in every commit before anybody is told of it.
 *
 * Guarantees:
 *  1. Nothing is published before it is in the file: SQLite moves the end of the log (in the shared index) only after
 *     xSync, and xSync, xRead, xTruncate and xFileSize write out first. Only when it fills up a sector it writes after
 *     that sync; it does not where a write leaves its neighbours alone when the power fails, and elsewhere nothing is
 *     gathered.
 *  2. Nothing of a failed commit is written later, when the place in the log may be somebody else's: connections run
 *     with cache_spill=OFF, so the log is written in commits alone and in order, each ends with a sync, and whatever
 *     fails empties the buffer. A write that does not follow on the buffered ones drops them.
 *
 * Every other file is the default VFS's.
 */
#include <stdlib.h>
#include <string.h>

#include "store/internal.h"

enum { GATHER_MAX = 120 * 1024 }; /* the default VFS takes less than 128 kB at once */

struct log_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
    char *gathered;     /* GATHER_MAX bytes, or NULL before the first write */
    size_t len;
    sqlite3_int64 at;   /* where they belong */
};

static sqlite3_vfs *default_vfs;

static struct log_file *of(sqlite3_file *f)
{
    return (struct log_file *)f;
}

static int write_out(struct log_file *f)
{
    size_t n = f->len;
    f->len = 0;
    return n ? f->real->pMethods->xWrite(f->real, f->gathered, (int)n, f->at) : SQLITE_OK;
}

static int log_close(sqlite3_file *file)
{
    struct log_file *f = of(file);
    free(f->gathered);
    return f->real->pMethods->xClose(f->real);
}

static int log_read(sqlite3_file *file, void *p, int n, sqlite3_int64 at)
{
    struct log_file *f = of(file);
    int rc = write_out(f);
    return rc == SQLITE_OK ? f->real->pMethods->xRead(f->real, p, n, at) : rc;
}

static int log_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 at)
{
    struct log_file *f = of(file);
    if (f->len && at != f->at + (sqlite3_int64)f->len)
        f->len = 0;
    if (!f->gathered)
        f->gathered = malloc(GATHER_MAX);
    if (f->len + (size_t)n > GATHER_MAX) {
        int rc = write_out(f);
        if (rc != SQLITE_OK)
            return rc;
    }
    if (!f->gathered || n > GATHER_MAX)
        return f->real->pMethods->xWrite(f->real, p, n, at);
    if (f->len == 0)
        f->at = at;
    memcpy(f->gathered + f->len, p, (size_t)n);
    f->len += (size_t)n;
    return SQLITE_OK;
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct log_file *f = of(file);
    int rc = write_out(f);
    return rc == SQLITE_OK ? f->real->pMethods->xTruncate(f->real, size) : rc;
}

static int log_sync(sqlite3_file *file, int flags)
{
    struct log_file *f = of(file);
    int rc = write_out(f);
    return rc == SQLITE_OK ? f->real->pMethods->xSync(f->real, flags) : rc;
}

static int log_size(sqlite3_file *file, sqlite3_int64 *size)
{
    struct log_file *f = of(file);
    int rc = write_out(f);
    return rc == SQLITE_OK ? f->real->pMethods->xFileSize(f->real, size) : rc;
}

static int log_lock(sqlite3_file *file, int level)
{
    return of(file)->real->pMethods->xLock(of(file)->real, level);
}

static int log_unlock(sqlite3_file *file, int level)
{
    return of(file)->real->pMethods->xUnlock(of(file)->real, level);
}

static int log_reserved(sqlite3_file *file, int *out)
{
    return of(file)->real->pMethods->xCheckReservedLock(of(file)->real, out);
}

static int log_control(sqlite3_file *file, int op, void *arg)
{
    return of(file)->real->pMethods->xFileControl(of(file)->real, op, arg);
}

static int log_sector(sqlite3_file *file)
{
    return of(file)->real->pMethods->xSectorSize(of(file)->real);
}

static int log_device(sqlite3_file *file)
{
    return of(file)->real->pMethods->xDeviceCharacteristics(of(file)->real);
}

static const sqlite3_io_methods log_methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_reserved,
    .xFileControl = log_control,
    .xSectorSize = log_sector,
    .xDeviceCharacteristics = log_device,
};

/* Does SQLite sync after the last write of a commit? The database file says what it takes the disk for. */
static bool ends_with_sync(const char *log_name)
{
    sqlite3_file *db = sqlite3_database_file_object(log_name);
    return db->pMethods && db->pMethods->xDeviceCharacteristics(db) & SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int vfs_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    (void)vfs;
    if (!(flags & SQLITE_OPEN_WAL) || !ends_with_sync(name))
        return default_vfs->xOpen(default_vfs, name, file, flags, out);
    struct log_file *f = of(file);
    *f = (struct log_file){.real = (sqlite3_file *)(f + 1)};
    int rc = default_vfs->xOpen(default_vfs, name, f->real, flags, out);
    if (rc == SQLITE_OK)
        f->base.pMethods = &log_methods;
    return rc;
}

const char *vfs_register(void)
{
    static sqlite3_vfs ours;
    default_vfs = sqlite3_vfs_find(NULL);
    if (!default_vfs)
        return NULL;
    ours = *default_vfs; /* its functions find their file alone, except xOpen */
    ours.pNext = NULL;
    ours.zName = "clawgate";
    ours.szOsFile = (int)sizeof(struct log_file) + default_vfs->szOsFile;
    ours.xOpen = vfs_file;
    return sqlite3_vfs_register(&ours, 0) == SQLITE_OK ? ours.zName : NULL;
}

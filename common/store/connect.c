#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "store/internal.h"

enum { AUTOCHECKPOINT_PAGES = 1000 };

static int patience_ms = 5000, hurry_ms = 250;
static const char *vfs_name;

/* Somebody of this process waited in vain for so long that nobody else shall do it all again: until then (monotonic
 * ms) the others wait as if in a hurry. */
static _Atomic int64_t hopeless_until;

void db_patience(int ms)
{
    patience_ms = ms;
}

void connect_hurry(sqlite3 *h, bool hurry)
{
    sqlite3_busy_handler(h, connect_busy_wait, hurry ? &hurry_ms : &patience_ms);
}

void connect_lock_came(void)
{
    if (atomic_load_explicit(&hopeless_until, memory_order_relaxed) != 0)
        atomic_store(&hopeless_until, 0);
}

/* Before the first connection. Without statistics SQLite's allocator takes no process-wide lock. */
static void library_setup(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    vfs_name = vfs_register();
}

/* SQLite's own handler backs off to 100 ms and lets a writer starve for seconds beside a busy one; short random
 * sleeps give everybody the same chance at each gap. */
int connect_busy_wait(void *patience, int tries)
{
    const int *give_up_ms = patience;
    bool patient = patience == &patience_ms;
    static _Thread_local int64_t since;
    static _Thread_local uint32_t seed;
    int64_t now = clock_mono_ms();
    if (tries == 0) {
        since = now;
        seed ^= (uint32_t)now ^ (uint32_t)(uintptr_t)&since;
    } else if (now - since >= *give_up_ms) {
        if (patient)
            atomic_store(&hopeless_until, now + *give_up_ms);
        return 0;
    } else if (patient && now - since >= hurry_ms && now < atomic_load(&hopeless_until)) {
        atomic_store(&hopeless_until, now + *give_up_ms);
        return 0;
    }
    seed = seed * 1664525u + 1013904223u;
    struct timespec nap = {.tv_nsec = (300 + (long)((seed >> 8) % 400u)) * 1000};
    nanosleep(&nap, NULL);
    return 1;
}

static int after_commit(void *unused, sqlite3 *h, const char *name, int pages)
{
    (void)unused;
    if (pages >= AUTOCHECKPOINT_PAGES && !checkpointer_running())
        sqlite3_wal_checkpoint_v2(h, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return SQLITE_OK;
}

static bool use_wal(sqlite3 *h)
{
    /* The busy handler is not asked when the mode changes, so a second process that creates the same database
     * waits here. */
    for (int tries = 0;; tries++) {
        sqlite3_stmt *st;
        if (sqlite3_prepare_v2(h, "PRAGMA journal_mode=WAL", -1, &st, NULL) != SQLITE_OK)
            return false;
        int rc = sqlite3_step(st);
        bool wal = rc == SQLITE_ROW && sqlite3_stricmp((const char *)sqlite3_column_text(st, 0), "wal") == 0;
        sqlite3_finalize(st);
        if (wal)
            return true;
        if ((rc & 0xff) != SQLITE_BUSY || !connect_busy_wait(&patience_ms, tries))
            return false;
    }
}

static bool settings(sqlite3 *h)
{
    sqlite3_db_config(h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(h, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(h, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_wal_hook(h, after_commit, NULL);
    return use_wal(h) &&
           sqlite3_exec(h,
                        "PRAGMA synchronous=FULL;"
                        "PRAGMA foreign_keys=ON;"
                        "PRAGMA trusted_schema=OFF;"
                        "PRAGMA cache_size=-256;"
                        "PRAGMA mmap_size=0;"
                        "PRAGMA temp_store=MEMORY;"
                        "PRAGMA journal_size_limit=67108864;",
                        NULL, NULL, NULL) == SQLITE_OK;
}

/* What vfs.c stands on. Transactions are small here; elsewhere one that deletes gigabytes must be able to spill. */
static bool keeps_changes(sqlite3 *h)
{
    return sqlite3_exec(h, "PRAGMA cache_spill=OFF", NULL, NULL, NULL) == SQLITE_OK;
}

/* Readable by the owner only: it holds conversations. Only a file that was made here is closed here, because
 * closing a database file drops the locks this process has on it. */
static void make_private(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
}

sqlite3 *connect_open(const char *path, enum db_mode mode, char *err, size_t errsize)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, library_setup);
    if (mode == DB_CREATE)
        make_private(path);

    sqlite3 *h = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(path, &h, flags, mode == DB_WRITER ? vfs_name : NULL) != SQLITE_OK) {
        snprintf(err, errsize, "%s: %s", path, h ? sqlite3_errmsg(h) : "out of memory");
        sqlite3_close(h);
        return NULL;
    }
    connect_hurry(h, false);

    int known = db_schema_version();
    int version = schema_read_version(h);
    char why[200] = "";
    if (version < 0)
        snprintf(why, sizeof why, "%s", sqlite3_errmsg(h));
    else if (version > known)
        snprintf(why, sizeof why,
                 "the database has version %d, this program knows versions up to %d: install the newer release",
                 version, known);
    else if (mode != DB_CREATE && version < known)
        snprintf(why, sizeof why, "the database has version %d, this program needs %d: run clawgate init", version,
                 known);
    else if (!settings(h) || (mode == DB_WRITER && !keeps_changes(h)))
        snprintf(why, sizeof why, "%s", sqlite3_errmsg(h));
    else if (mode != DB_CREATE || schema_bring_up(h, schema_embedded(), why, sizeof why))
        return h;

    snprintf(err, errsize, "%s: %s", path, why);
    sqlite3_close(h);
    return NULL;
}

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "store/internal.h"

/* embed.S */
extern const char clawgate_schema_sql[];
extern const char clawgate_migrations[];
extern const char clawgate_migrations_end[];

enum { MAX_STEPS = 256 };

static const char *embedded_steps[MAX_STEPS];
static struct schema embedded = {.steps = embedded_steps};
static pthread_once_t embedded_once = PTHREAD_ONCE_INIT;

static void embedded_find(void)
{
    embedded.create = clawgate_schema_sql;
    const char *p = clawgate_migrations;
    while (p < clawgate_migrations_end && embedded.step_count < MAX_STEPS) {
        embedded_steps[embedded.step_count++] = p;
        p += strlen(p) + 1;
    }
}

const struct schema *schema_embedded(void)
{
    pthread_once(&embedded_once, embedded_find);
    return &embedded;
}

int schema_version(const struct schema *s)
{
    return (int)s->step_count + 1;
}

int db_schema_version(void)
{
    return schema_version(schema_embedded());
}

static int read_number(sqlite3 *h, const char *pragma)
{
    sqlite3_stmt *st;
    int n = -1;
    if (sqlite3_prepare_v2(h, pragma, -1, &st, NULL) != SQLITE_OK)
        return -1;
    if (sqlite3_step(st) == SQLITE_ROW)
        n = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return n;
}

int schema_read_version(sqlite3 *h)
{
    return read_number(h, "PRAGMA user_version");
}

static bool references_hold(sqlite3 *h)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(h, "PRAGMA foreign_key_check", -1, &st, NULL) != SQLITE_OK)
        return false;
    int rc = sqlite3_step(st);
    sqlite3_finalize(st);
    return rc == SQLITE_DONE;
}

/* One text in one transaction. *version is what the database has, read again under the lock, because another
 * process may have been faster. */
static bool apply(sqlite3 *h, const struct schema *s, int *version, char *err, size_t errsize)
{
    if (sqlite3_exec(h, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
        snprintf(err, errsize, "the database is locked: %s", sqlite3_errmsg(h));
        return false;
    }
    *version = schema_read_version(h);
    if (*version < 0 || *version >= schema_version(s)) {
        sqlite3_exec(h, "ROLLBACK", NULL, NULL, NULL);
        return *version >= 0;
    }
    const char *text = *version == 0 ? s->create : s->steps[*version - 1];
    int target = *version == 0 ? schema_version(s) : *version + 1;
    const char *why = NULL;
    if (sqlite3_exec(h, text, NULL, NULL, NULL) != SQLITE_OK)
        why = sqlite3_errmsg(h);
    else if (schema_read_version(h) != target)
        why = "it does not end with the right PRAGMA user_version";
    else if (!references_hold(h))
        why = "it leaves references to rows that do not exist";
    else if (sqlite3_exec(h, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        why = sqlite3_errmsg(h);
    if (why) {
        snprintf(err, errsize, "cannot bring the database from version %d to %d: %s", *version, target, why);
        if (!sqlite3_get_autocommit(h))
            sqlite3_exec(h, "ROLLBACK", NULL, NULL, NULL);
        return false;
    }
    log_event(LOG_INFO, 0, "db.migrated", LOG_I, "from", (int64_t)*version, LOG_I, "to", (int64_t)target, LOG_END);
    *version = target;
    return true;
}

bool schema_bring_up(sqlite3 *h, const struct schema *s, char *err, size_t errsize)
{
    int version = schema_read_version(h);
    if (version == schema_version(s))
        return true;
    /* A step may rebuild a table that others refer to; apply() checks the references itself. */
    sqlite3_exec(h, "PRAGMA foreign_keys=OFF", NULL, NULL, NULL);
    bool ok = true;
    while (ok && version < schema_version(s))
        ok = apply(h, s, &version, err, errsize);
    sqlite3_exec(h, "PRAGMA foreign_keys=ON", NULL, NULL, NULL);
    if (ok && version > schema_version(s)) {
        snprintf(err, errsize, "the database has version %d, this program knows %d", version, schema_version(s));
        return false;
    }
    return ok;
}

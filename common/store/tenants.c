#include "store/tenants.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"

/* ---- slugs ---- */

bool tenant_slug_from(const char *name, char out[TENANT_SLUG_SIZE])
{
    size_t n = 0;
    for (const char *c = name; *c != '\0' && n < TENANT_SLUG_SIZE - 1; c++) {
        bool upper = *c >= 'A' && *c <= 'Z';
        if (upper || (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9'))
            out[n++] = upper ? (char)(*c - 'A' + 'a') : *c;
        else if (n > 0 && out[n - 1] != '-')
            out[n++] = '-';
    }
    while (n > 0 && out[n - 1] == '-')
        n--;
    out[n] = '\0';
    return n > 0;
}

bool tenant_slug_valid(const char *slug)
{
    return slug_valid(slug) && !uuid_parse(slug, NULL);
}

/* ---- rows ---- */

enum db_rc tenant_create(struct db *db, struct arena *a, const char *name, const char *slug, const char **id)
{
    SQL(insert, "INSERT INTO tenants (id, name, slug, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4)");
    char now[TIME_TEXT_SIZE];
    time_format(clock_ms(), now);
    char *fresh = arena_alloc(a, UUID_SIZE);
    uuid_new(fresh);
    *id = fresh;
    return db_exec(db, &insert, "tttt", fresh, name, slug, now);
}

enum db_rc tenant_each(struct db *db, void (*each)(void *ctx, const char *id, const char *slug, const char *status,
                                                   const char *name),
                       void *ctx)
{
    SQL(all, "SELECT id, slug, status, name FROM tenants ORDER BY created_at, id");
    struct db_stmt *s = db_query(db, &all, "");
    enum db_rc rc;
    while ((rc = db_next(s)) == DB_ROW)
        each(ctx, db_peek(s, 0, NULL), db_peek(s, 1, NULL), db_peek(s, 2, NULL), db_peek(s, 3, NULL));
    return rc;
}

enum db_rc tenant_rows_delete(struct db *db, const char *tenant_id)
{
    /* Tables without a foreign key to the tenant. Spans go by their traces, answers by the start of their scope:
     * each statement has an index. */
    static struct sql parts[] = {
        {.text = "DELETE FROM spans WHERE trace_id IN (SELECT id FROM traces WHERE tenant_id = ?1)"},
        {.text = "DELETE FROM traces WHERE tenant_id = ?1"},
        {.text = "DELETE FROM usage_hourly WHERE tenant_id = ?1"},
        {.text = "DELETE FROM agent_monthly_cost WHERE tenant_id = ?1"},
        {.text = "DELETE FROM kept_answers WHERE scope >= ?1 || '|' AND scope < ?1 || '}'"},
        {.text = "DELETE FROM activity_logs WHERE tenant_id = ?1"},
        {.text = "DELETE FROM jobs WHERE tenant_id = ?1"},
        {.text = "DELETE FROM run_cancels WHERE tenant_id = ?1"}, /* never more than a few */
    };
    SQL(reload, "UPDATE generations SET n = n + 1");
    enum db_rc rc = DB_OK;
    for (size_t i = 0; rc == DB_OK && i < sizeof parts / sizeof *parts; i++)
        rc = db_exec(db, &parts[i], "t", tenant_id);
    return rc == DB_OK ? db_exec(db, &reload, "") : rc;
}

enum db_rc tenant_member_take(struct db *db, struct arena *a, const char *tenant_id, const char *user_id,
                              struct membership *out)
{
    SQL(take, "DELETE FROM tenant_users WHERE tenant_id = ?1 AND user_id = ?2 RETURNING id, created_at");
    struct db_stmt *s = db_query(db, &take, "tt", tenant_id, user_id);
    enum db_rc rc = db_next(s);
    if (rc != DB_ROW)
        return rc;
    *out = (struct membership){.id = db_text(s, 0, a), .created_at = db_text(s, 1, a)};
    rc = db_next(s);
    return rc == DB_OK ? DB_ROW : rc;
}

enum db_rc tenant_member_since(struct db *db, const struct membership *m)
{
    SQL(since, "UPDATE tenant_users SET created_at = ?2 WHERE id = ?1");
    return db_exec(db, &since, "tt", m->id, m->created_at);
}

/* ---- directories ---- */

/* Root makes it for whoever owns the one it stands in, or beside: the gateway must be able to work there. */
static bool dir_make(const char *path, const char *like)
{
    struct stat st;
    return mkdir(path, 0700) == 0 &&
           (geteuid() != 0 || (stat(like, &st) == 0 && lchown(path, st.st_uid, st.st_gid) == 0));
}

static bool dir_there(const char *path, const char *like)
{
    return dir_make(path, like) || errno == EEXIST;
}

/* An empty directory is nobody's. */
static bool dir_free(const char *path)
{
    return rmdir(path) == 0 || errno == ENOENT;
}

enum tenant_dir tenant_dir_make(struct arena *a, const char *workspace, const char *data_dir, const char *slug)
{
    const char *all = arena_printf(a, "%s/tenants", workspace), *own = arena_printf(a, "%s/%s", all, slug);
    if (!dir_free(own) || !dir_free(arena_printf(a, "%s/tenants/%s", data_dir, slug)))
        return errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR ? TENANT_DIR_USED : TENANT_DIR_FAILED;
    bool made = dir_there(workspace, data_dir) && dir_there(all, workspace) && dir_make(own, workspace);
    return made ? TENANT_DIR_MADE : TENANT_DIR_FAILED;
}

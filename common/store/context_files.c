#include "store/context_files.h"

#include "base/clock.h"
#include "base/id.h"

enum db_rc context_file_read(struct db *db, struct arena *a, const char *tenant_id, const char *agent_id,
                             const char *name, const char **content)
{
    SQL(find, "SELECT content FROM agent_context_files WHERE agent_id = ?1 AND file_name = ?2 AND tenant_id = ?3");
    struct db_stmt *s = db_query(db, &find, "ttt", agent_id, name, tenant_id);
    enum db_rc rc = db_next(s);
    if (rc != DB_ROW)
        return rc;
    *content = db_text(s, 0, a);
    db_reset(s);
    return DB_ROW;
}

static enum db_rc write_row(struct db *db, struct sql *sql, const char *tenant_id, const char *agent_id,
                            const char *name, const char *content)
{
    char id[UUID_SIZE], now[TIME_TEXT_SIZE];
    uuid_new(id);
    time_format(clock_ms(), now);
    return db_exec(db, sql, "tttttt", id, tenant_id, agent_id, name, content, now);
}

#define UPSERT \
    "INSERT INTO agent_context_files (id, tenant_id, agent_id, file_name, content, created_at, updated_at)" \
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) ON CONFLICT (agent_id, file_name) DO UPDATE" \
    " SET content = excluded.content, updated_at = excluded.updated_at"

enum db_rc context_file_put(struct db *db, const char *tenant_id, const char *agent_id, const char *name,
                            const char *content)
{
    SQL(put, UPSERT);
    return write_row(db, &put, tenant_id, agent_id, name, content);
}

enum db_rc context_file_seed(struct db *db, const char *tenant_id, const char *agent_id, const char *name,
                             const char *content)
{
    SQL(seed, UPSERT " WHERE agent_context_files.content = ''");
    return write_row(db, &seed, tenant_id, agent_id, name, content);
}

struct user_file {
    const char *id, *content;
    struct user_file *next;
};

enum db_rc context_files_edit(struct db *db, struct arena *a, const char *tenant_id, const char *agent_id,
                              const char *name, const char *(*edit)(void *ctx, const char *content), void *ctx)
{
    SQL(find, "SELECT id, content FROM user_context_files"
              " WHERE agent_id = ?1 AND file_name = ?2 AND tenant_id = ?3 AND content <> ''");
    SQL(write, "UPDATE user_context_files SET content = ?2, updated_at = ?3 WHERE id = ?1 AND tenant_id = ?4");
    struct user_file *list = NULL;
    struct db_stmt *s = db_query(db, &find, "ttt", agent_id, name, tenant_id);
    enum db_rc rc;
    while ((rc = db_next(s)) == DB_ROW) {
        struct user_file *f = ARENA_NEW(a, struct user_file);
        *f = (struct user_file){db_text(s, 0, a), db_text(s, 1, a), list};
        list = f;
    }
    char now[TIME_TEXT_SIZE];
    time_format(clock_ms(), now);
    for (; rc == DB_OK && list != NULL; list = list->next) {
        const char *content = edit(ctx, list->content);
        if (content != NULL)
            rc = db_exec(db, &write, "tttt", list->id, content, now, tenant_id);
    }
    return rc;
}

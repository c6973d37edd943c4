#include "store/secrets.h"

#include <string.h>

#include "base/arena.h"
#include "base/id.h"
#include "store/internal.h"
#include "store/writer.h"

enum { BATCH = 100 };

struct secret_column {
    const char *table, *column;
    bool map; /* the token stands there as a JSON string; {} is empty */
    struct sql read, write;
};

#define COLUMN(table_, column_, map_)                                                                               \
    {                                                                                                               \
        .table = table_, .column = column_, .map = map_,                                                            \
        .read = {.text = "SELECT id, " column_ " FROM " table_ " WHERE id > ?1 AND " column_                        \
                         " NOT IN ('', '{}') ORDER BY id LIMIT ?2"},                                                \
        .write = {.text = "UPDATE " table_ " SET " column_ " = ?2 WHERE id = ?1"},                                  \
    }

static struct secret_column columns[SECRET_COLUMNS] = {
    COLUMN("llm_providers", "api_key", false),
    COLUMN("mcp_servers", "api_key", false),
    COLUMN("mcp_servers", "headers", true),
    COLUMN("mcp_servers", "env", true),
};

struct walk {
    const struct crypto_keys *keys;
    bool rewrite;
    struct secrets_count *counts;
    void (*lost)(void *ctx, const char *table, const char *column, const char *id);
    void *ctx;
};

struct secret_row {
    const char *id, *stored;
};

static const char *unquoted(struct arena *a, const char *stored)
{
    size_t n = strlen(stored);
    return n >= 2 && stored[0] == '"' && stored[n - 1] == '"' ? arena_strndup(a, stored + 1, n - 2) : stored;
}

static enum secret_state judge(struct arena *a, const struct crypto_keys *keys, const char *token, const char **plain)
{
    struct crypto_keys primary = {0};
    memcpy(primary.primary, keys->primary, sizeof primary.primary);
    *plain = crypto_decrypt(a, &primary, token);
    if (*plain != NULL)
        return strcmp(*plain, token) == 0 ? SECRET_PLAIN : SECRET_CURRENT;
    *plain = crypto_decrypt(a, keys, token);
    return *plain != NULL ? SECRET_OLD : SECRET_LOST;
}

static enum db_rc row_visit(struct walk *w, struct db *db, struct arena *a, size_t i, const struct secret_row *row)
{
    struct secret_column *c = &columns[i];
    const char *plain;
    enum secret_state state = judge(a, w->keys, c->map ? unquoted(a, row->stored) : row->stored, &plain);
    w->counts[i].n[state]++;
    if (state == SECRET_LOST && w->lost != NULL)
        w->lost(w->ctx, c->table, c->column, row->id);
    if (!w->rewrite || (state != SECRET_OLD && state != SECRET_PLAIN))
        return DB_OK;
    const char *token = crypto_encrypt(a, w->keys, plain);
    if (token == NULL)
        return DB_ERROR;
    return db_exec(db, &c->write, "tt", row->id, c->map ? arena_printf(a, "\"%s\"", token) : token);
}

/* The next rows after `last` into the arena; a statement that reads is never open while one writes. */
static enum db_rc batch_read(struct db *db, struct arena *a, struct secret_column *c, const char *last,
                             struct secret_row rows[BATCH], size_t *n)
{
    struct db_stmt *s = db_query(db, &c->read, "ti", last, (int64_t)BATCH);
    enum db_rc rc;
    for (*n = 0; (rc = db_next(s)) == DB_ROW; ++*n)
        rows[*n] = (struct secret_row){db_text(s, 0, a), db_text(s, 1, a)};
    return rc;
}

static enum db_rc column_visit(struct walk *w, struct db *db, size_t i)
{
    struct secret_row rows[BATCH];
    struct arena *a = arena_new();
    char last[UUID_SIZE] = "";
    size_t n = 0;
    enum db_rc rc;
    do {
        rc = batch_read(db, a, &columns[i], last, rows, &n);
        for (size_t k = 0; k < n && rc == DB_OK; k++)
            rc = row_visit(w, db, a, i, &rows[k]);
        if (n > 0)
            snprintf(last, sizeof last, "%s", rows[n - 1].id);
        arena_clear(a);
    } while (rc == DB_OK && n == BATCH);
    arena_free(a);
    return rc;
}

static enum db_rc walk(struct db *db, void *arg)
{
    struct walk *w = arg;
    enum db_rc rc = DB_OK;
    for (size_t i = 0; i < SECRET_COLUMNS && rc == DB_OK; i++) {
        w->counts[i] = (struct secrets_count){.table = columns[i].table, .column = columns[i].column};
        rc = column_visit(w, db, i);
    }
    return rc;
}

enum db_rc secrets_count(struct db *db, const struct crypto_keys *keys, struct secrets_count counts[SECRET_COLUMNS],
                         void (*lost)(void *ctx, const char *table, const char *column, const char *id), void *ctx)
{
    return walk(db, &(struct walk){keys, false, counts, lost, ctx});
}

enum db_rc secrets_rewrite(struct db *db, const struct crypto_keys *keys, struct secrets_count counts[SECRET_COLUMNS],
                           void (*lost)(void *ctx, const char *table, const char *column, const char *id), void *ctx)
{
    SQL(overwrite, "PRAGMA secure_delete = ON"); /* what the old key encrypted does not stay in free pages */
    enum db_rc rc = db_exec(db, &overwrite, "");
    return rc == DB_OK ? writer_run(NULL, db, walk, &(struct walk){keys, true, counts, lost, ctx}) : rc;
}

#include "base/clock.h"
#include "base/id.h"
#include "store/agents.h"

#define SELECT_PROVIDER "SELECT id, name, provider_type, api_base, api_key, settings, enabled FROM llm_providers"

/* The current row. */
static void read_row(struct db_stmt *s, struct arena *a, struct provider *out)
{
    *out = (struct provider){
        .id = db_text(s, 0, a),
        .name = db_text(s, 1, a),
        .provider_type = db_text(s, 2, a),
        .api_base = db_text(s, 3, a),
        .api_key = db_text(s, 4, a),
        .settings = db_text(s, 5, a),
        .enabled = db_int(s, 6) != 0,
    };
}

static enum db_rc read_one(struct db_stmt *s, struct arena *a, struct provider *out)
{
    enum db_rc rc = db_next(s);
    if (rc == DB_ROW)
        read_row(s, a, out);
    db_reset(s);
    return rc;
}

enum db_rc provider_find(struct db *db, struct arena *a, const char *tenant_id, const char *name, struct provider *out)
{
    SQL(find, SELECT_PROVIDER " WHERE tenant_id = ?1 AND name = ?2");
    return read_one(db_query(db, &find, "tt", tenant_id, name), a, out);
}

enum db_rc provider_by_id(struct db *db, struct arena *a, const char *tenant_id, const char *id, struct provider *out)
{
    SQL(find, SELECT_PROVIDER " WHERE tenant_id = ?1 AND id = ?2");
    return read_one(db_query(db, &find, "tt", tenant_id, id), a, out);
}

enum db_rc providers_each(struct db *db, struct arena *a, const char *tenant_id,
                          void (*each)(void *ctx, const struct provider *p), void *ctx)
{
    SQL(all, SELECT_PROVIDER " WHERE tenant_id = ?1 AND enabled = 1 ORDER BY created_at, id");
    struct db_stmt *s = db_query(db, &all, "t", tenant_id);
    struct provider row;
    enum db_rc rc;
    while ((rc = db_next(s)) == DB_ROW) {
        read_row(s, a, &row);
        each(ctx, &row);
    }
    return rc;
}

enum db_rc providers_names(struct db *db, struct arena *a, const char *tenant_id,
                           void (*each)(void *ctx, const char *id, const char *name), void *ctx)
{
    SQL(all, "SELECT id, name FROM llm_providers WHERE tenant_id = ?1 ORDER BY name");
    struct db_stmt *s = db_query(db, &all, "t", tenant_id);
    enum db_rc rc;
    while ((rc = db_next(s)) == DB_ROW) {
        const char *id = db_text(s, 0, a);
        each(ctx, id, db_text(s, 1, a));
    }
    return rc;
}

enum db_rc provider_put(struct db *db, struct arena *a, const char *tenant_id, const struct provider *in)
{
    (void)a;
    SQL(put, "INSERT INTO llm_providers (id, tenant_id, name, provider_type, api_base, api_key, settings, enabled,"
             " created_at, updated_at)"
             " VALUES (?1, ?2, ?3, ?4, COALESCE(?5, ''), COALESCE(?6, ''), COALESCE(?7, '{}'), ?8, ?9, ?9)"
             " ON CONFLICT (tenant_id, name) DO UPDATE SET provider_type = excluded.provider_type,"
             " api_base = excluded.api_base, api_key = excluded.api_key, settings = excluded.settings,"
             " enabled = excluded.enabled, updated_at = excluded.updated_at");
    char id[UUID_SIZE], now[TIME_TEXT_SIZE];
    uuid_new(id);
    time_format(clock_ms(), now);
    return db_exec(db, &put, "tttttttbt", id, tenant_id, in->name, in->provider_type, in->api_base, in->api_key,
                   in->settings, (int)in->enabled, now);
}

enum db_rc provider_type_taken(struct db *db, const char *tenant_id, const char *type, const char *except, bool *taken)
{
    SQL(find, "SELECT 1 FROM llm_providers WHERE tenant_id = ?1 AND provider_type = ?2 AND id IS NOT ?3 LIMIT 1");
    struct db_stmt *s = db_query(db, &find, "ttt", tenant_id, type, except);
    enum db_rc rc = db_next(s);
    *taken = rc == DB_ROW;
    db_reset(s);
    return rc == DB_ROW ? DB_OK : rc;
}

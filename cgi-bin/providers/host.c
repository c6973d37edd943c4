#include "providers/host.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "base/config_providers.h"
#include "store/agents.h"
#include "web/query.h"

enum { PAGE_MAX = 200 };

/* ---- one ---- */

static struct db_value text(const char *s)
{
    return (struct db_value){.type = DB_TEXT, .text = s};
}

/* When the file was changed: all that can be said of the age of its entries. */
static const char *file_time(struct request *req)
{
    struct stat st;
    char *out = arena_alloc(req->arena, TIME_TEXT_SIZE);
    bool there = stat(req->gw->config->file, &st) == 0;
    time_format(there ? (int64_t)st.st_mtim.tv_sec * 1000 : 0, out);
    return out;
}

static struct record host_record(struct request *req, const struct config_provider *p)
{
    struct db_value *v = ARENA_ARRAY(req->arena, struct db_value, providers.field_count);
    const char *time = file_time(req);
    for (size_t i = 0; i < providers.field_count; i++)
        v[i] = text("");
    v[field_index(&providers, "id")] = text(p->id);
    v[field_index(&providers, "name")] = text(p->name);
    v[field_index(&providers, "provider_type")] = text(p->type);
    v[field_index(&providers, "api_base")] = text(p->api_base);
    v[field_index(&providers, "settings")] = text("{}");
    v[field_index(&providers, "enabled")] = (struct db_value){.type = DB_INT, .n = 1};
    v[field_index(&providers, "host_managed")] = (struct db_value){.type = DB_INT, .n = 1};
    v[field_index(&providers, "created_at")] = v[field_index(&providers, "updated_at")] = text(time);
    return (struct record){req, &providers, v};
}

/* The config file's provider a path names, when no stored one stands before it. DB_ROW: *out is it (NULL = none). */
static enum db_rc host_find(struct request *req, struct db *db, const struct config_provider **out)
{
    const struct config *config = req->gw->config;
    const char *key = req->params[0];
    char id[UUID_SIZE];
    struct provider row;
    *out = key != NULL && uuid_parse(key, id) ? config_provider_by_id(config, id) : NULL;
    if (*out == NULL)
        return DB_ROW;
    enum db_rc rc = db != NULL ? provider_find(db, req->arena, req->who.tenant_id, (*out)->name, &row) : DB_BUSY;
    if (rc == DB_ROW)
        *out = NULL;
    return rc == DB_OK ? DB_ROW : rc;
}

bool provider_open(struct edit *e)
{
    const struct config_provider *p;
    enum db_rc rc = host_find(e->req, e->db, &p);
    if (rc != DB_ROW)
        return edit_failed(e, rc);
    return p == NULL || edit_refuse(e, FAULT_STATE, MSG_host_managed, NULL, p->name, NULL);
}

reply provider_get(struct request *req)
{
    const struct config_provider *p = NULL;
    struct db *db = req_db(req);
    enum db_rc rc = host_find(req, db, &p);
    req_db_done(req, db);
    if (rc != DB_ROW)
        return reply_db(req, rc);
    if (p == NULL)
        return resource_get(req);
    struct record record = host_record(req, p);
    reply_header(req, "ETag", resource_etag(&record));
    jw_obj(&req->w);
    resource_write(&req->w, &record);
    jw_obj_end(&req->w);
    return reply_json(req, 200);
}

/* ---- the list ---- */

/* Both kinds by name; a name of both is the stored one. */
struct entry {
    const char *name, *id;              /* id NULL: of the config file */
    const struct config_provider *host;
    struct entry *next;
};

struct merge {
    struct request *req;
    struct entry *first, **end;
    size_t host; /* next of the config file */
    int64_t count;
};

static void append(struct merge *m, struct entry entry)
{
    *m->end = arena_memdup(m->req->arena, &entry, sizeof entry);
    m->end = &(*m->end)->next;
    m->count++;
}

/* Those of the config file that come before the name (NULL: all that are left). */
static void hosts_before(struct merge *m, const char *name)
{
    const struct config *config = m->req->gw->config;
    for (; m->host < config->provider_count; m->host++) {
        const struct config_provider *p = &config->providers[m->host];
        int order = name != NULL ? strcmp(p->name, name) : -1;
        if (order > 0)
            return;
        if (order < 0 && p->usable)
            append(m, (struct entry){.name = p->name, .host = p});
    }
}

static void stored_take(void *ctx, const char *id, const char *name)
{
    struct merge *m = ctx;
    hosts_before(m, name);
    append(m, (struct entry){.name = name, .id = id});
}

static void entry_write(struct request *req, struct db *db, const struct entry *entry)
{
    struct record record;
    struct fault f;
    if (entry->host != NULL)
        record = host_record(req, entry->host);
    else if (!resource_find(req, db, &providers, NULL, entry->id, ACCESS_READ, &record, &f))
        return; /* deleted just now */
    jw_obj(&req->w);
    resource_write(&req->w, &record);
    jw_obj_end(&req->w);
}

static void page_write(struct merge *m, struct db *db, int64_t limit, int64_t offset)
{
    struct request *req = m->req;
    int64_t at = 0, rows = 0;
    jw_obj(&req->w);
    jw_key(&req->w, providers.list_key);
    size_t from = req->out->len;
    jw_arr(&req->w);
    for (const struct entry *entry = m->first; entry != NULL; entry = entry->next, at++) {
        if (at < offset || (limit >= 0 && rows == limit))
            continue;
        entry_write(req, db, entry);
        rows++;
    }
    jw_arr_end(&req->w);
    if (req->gw->config->list_payload_alias && !req->out->failed)
        jw_kraw(&req->w, "payload", arena_strndup(req->arena, req->out->data + from, req->out->len - from));
    if (limit >= 0 || offset > 0)
        query_page_end(req, m->count, false, limit >= 0 ? limit : rows, offset);
    jw_obj_end(&req->w);
}

reply providers_list(struct request *req)
{
    if (req->gw->config->provider_count == 0)
        return resource_list(req);
    struct merge m = {.req = req, .end = &m.first};
    int64_t limit = req_query_int(req, "limit", -1, 1, PAGE_MAX), offset = req_query_int(req, "offset", 0, 0, INT64_MAX);
    struct db *db = req_db(req);
    enum db_rc rc = db != NULL ? providers_names(db, req->arena, req->who.tenant_id, stored_take, &m) : DB_BUSY;
    hosts_before(&m, NULL);
    if (rc == DB_OK)
        page_write(&m, db, limit, offset);
    req_db_done(req, db);
    return rc == DB_OK ? reply_json(req, 200) : reply_db(req, rc);
}

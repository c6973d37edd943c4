/* Writing: create, update, delete. Each is a change (web/change.h) with the same inner order. */
#include "base/clock.h"
#include "web/etag.h"
#include "web/reply.h"
#include "web/resource_inner.h"

static struct edit *edit_of(struct change *c)
{
    return (struct edit *)c; /* its first member */
}

static bool failed(const struct edit *e)
{
    return e->change.fault.kind != FAULT_NONE;
}

bool edit_failed(struct edit *e, enum db_rc rc)
{
    fault_db(e->req, rc, &e->change.fault);
    return false;
}

/* ---- before the transaction ---- */

static bool fields_prepare(struct change *c)
{
    struct edit *e = edit_of(c);
    e->body = e->req->body;
    e->given = 0;
    return (e->resource->input == NULL || e->resource->input(e)) && fields_read(e);
}

/* ---- inside ---- */

/* The stored record with its secrets in clear, for merging and comparing. */
static bool old_load(struct edit *e, struct db_value *stored)
{
    const struct resource *r = e->resource;
    struct table_access may = {false, false};
    enum db_rc rc = table_find_id(e->db, e->req->arena, resource_table(r), &e->view, e->id, stored, &may);
    if (rc == DB_OK)
        return edit_refuse(e, FAULT_NOT_FOUND, MSG_not_found, "id", r->noun, e->key);
    if (rc != DB_ROW) {
        fault_db(e->req, rc, &e->change.fault);
        return false;
    }
    if (!may.writable)
        return edit_refuse(e, FAULT_FORBIDDEN, MSG_owner_only, NULL, action_of(e->req), NULL);
    e->old = arena_memdup(e->req->arena, stored, r->field_count * sizeof *stored);
    e->unreadable = 0;
    for (size_t i = 0; i < r->field_count; i++) {
        const char *plain;
        if (!field_is_secret(&r->fields[i]))
            continue;
        if (!secret_open(e->req, &r->fields[i], stored[i].text, &plain))
            e->unreadable |= (uint64_t)1 << i;
        e->old[i] = value_text(plain);
    }
    return true;
}

bool resource_if_match(struct request *req, const struct record *stored)
{
    const char *list = req_header(req, "If-Match");
    if (list == NULL || stored == NULL)
        return list == NULL;
    return etag_allows(list, resource_etag(stored));
}

static bool if_match(struct edit *e, const struct db_value *stored)
{
    struct record record = {e->req, e->resource, stored};
    return resource_if_match(e->req, &record) ||
           edit_refuse(e, FAULT_IF_MATCH, MSG_precondition_failed, "If-Match", NULL, NULL);
}

/* What the body says goes over what is stored; masked map values come back. */
static bool merge(struct edit *e)
{
    const struct resource *r = e->resource;
    const struct db_value *base = e->action == EDIT_CREATE ? e->input : e->old;
    e->now = arena_memdup(e->req->arena, base, r->field_count * sizeof *base);
    for (size_t i = 0; i < r->field_count; i++) {
        if (!(e->given >> i & 1))
            continue;
        e->now[i] = e->input[i];
        if (r->fields[i].kind == FIELD_SECRET_MAP && !secret_merge(e, i))
            return false;
    }
    return true;
}

static bool admin_values(struct edit *e)
{
    const struct resource *r = e->resource;
    for (size_t i = 0; i < r->field_count && e->req->who.role < ROLE_ADMIN; i++) {
        const struct field *f = &r->fields[i];
        struct db_value preset = field_preset(f);
        bool other = (e->changed >> i & 1) != 0 && (f->flags & FIELD_ADMIN) != 0 &&
                     (e->now[i].type != preset.type || e->now[i].n != preset.n ||
                      (preset.type == DB_TEXT && strcmp(e->now[i].text, preset.text) != 0));
        if (other)
            return edit_refuse(e, FAULT_FORBIDDEN, MSG_permission_denied, f->name, f->name, NULL);
    }
    return true;
}

/* The values as they are stored. */
static bool encrypt(struct edit *e, struct db_value *out)
{
    const struct resource *r = e->resource;
    memcpy(out, e->now, r->field_count * sizeof *out);
    for (size_t i = 0; i < r->field_count; i++) {
        if (!field_is_secret(&r->fields[i]) || !(e->changed >> i & 1) || out[i].type != DB_TEXT)
            continue;
        out[i] = value_text(secret_close(e->req, &r->fields[i], out[i].text));
        if (out[i].text == NULL)
            return edit_refuse(e, FAULT_INTERNAL, MSG_internal, NULL, "encryption", NULL);
    }
    return true;
}

static bool hook(struct edit *e, bool (*fn)(struct edit *e))
{
    if (fn == NULL || fn(e))
        return true;
    return !failed(e) ? edit_refuse(e, FAULT_INTERNAL, MSG_internal, NULL, "hook", NULL) : false;
}

static enum db_rc taken(struct edit *e, enum db_rc rc)
{
    const char *unique = e->resource->unique;
    if (rc == DB_CONSTRAINT && unique != NULL)
        edit_refuse(e, FAULT_EXISTS, MSG_already_exists, unique, e->resource->noun, edit_text(e, unique));
    return rc;
}

/* The row as it is now, for the answer. */
static enum db_rc reread(struct edit *e)
{
    struct db_value *row = ARENA_ARRAY(e->req->arena, struct db_value, e->resource->field_count);
    enum db_rc rc = table_find_id(e->db, e->req->arena, resource_table(e->resource), &e->view, e->id, row, NULL);
    e->row = row;
    return rc == DB_ROW ? DB_OK : rc == DB_OK ? DB_ERROR : rc;
}

static enum db_rc finish(struct edit *e, const char *past)
{
    if (!hook(e, e->resource->after_write))
        return DB_OK;
    e->change.entity_id = e->change.entity_id != NULL ? e->change.entity_id : e->id;
    if (e->change.action == NULL)
        e->change.action = arena_printf(e->req->arena, "%s.%s", e->resource->audit ? e->resource->audit : "", past);
    return DB_OK;
}

static enum db_rc create_apply(struct change *c)
{
    struct edit *e = edit_of(c);
    const struct resource *r = e->resource;
    struct db_value stored[TABLE_COLUMNS_MAX];
    char id[UUID_SIZE], now[TIME_TEXT_SIZE];
    e->db = c->db;
    uuid_new(id);
    time_format(clock_ms(), now);
    e->id = arena_strdup(e->req->arena, id);
    c->entity_id = NULL;
    if (!merge(e) || !hook(e, r->before_write))
        return DB_OK;
    e->changed = edit_compare(e);
    if (!admin_values(e) || !encrypt(e, stored))
        return DB_OK;
    enum db_rc rc = taken(e, table_insert(e->db, resource_table(r), &e->view, e->id, now, stored));
    if (rc == DB_OK)
        rc = finish(e, "created");
    return rc == DB_OK && !failed(e) ? reread(e) : rc;
}

/* Later than the change before, whatever the clock says: updated_at moves with every effective change. */
static void next_time(const struct edit *e, char now[TIME_TEXT_SIZE])
{
    int64_t ms = clock_ms(), before = 0;
    for (size_t i = 0; i < e->resource->field_count; i++)
        if (strcmp(e->resource->fields[i].name, "updated_at") == 0 && e->old[i].type == DB_TEXT)
            time_parse(e->old[i].text, &before);
    time_format(ms > before ? ms : before + 1, now);
}

static enum db_rc update_apply(struct change *c)
{
    struct edit *e = edit_of(c);
    const struct resource *r = e->resource;
    struct db_value stored[TABLE_COLUMNS_MAX];
    char now[TIME_TEXT_SIZE];
    uint64_t given = e->given;
    e->db = c->db;
    c->entity_id = NULL;
    if (!old_load(e, stored))
        return DB_OK;
    bool fine = merge(e) && hook(e, r->before_write);
    e->changed = fine ? edit_compare(e) : 0;
    e->given = given; /* hooks add to it; the next try begins anew */
    fine = fine && admin_values(e);
    /* Values are judged before If-Match, states after it (step 13). */
    bool state = !fine && fault_info(e->change.fault.kind)->status == 409;
    if ((fine || state) && !if_match(e, stored))
        return DB_OK;
    if (!fine)
        return DB_OK;
    if (e->changed == 0)
        return reread(e);
    next_time(e, now);
    if (!encrypt(e, stored))
        return DB_OK;
    enum db_rc rc = taken(e, table_update(e->db, resource_table(r), &e->view, e->id, e->changed, now, stored));
    if (rc == DB_OK)
        rc = finish(e, "updated");
    return rc == DB_OK && !failed(e) ? reread(e) : rc;
}

static enum db_rc delete_apply(struct change *c)
{
    struct edit *e = edit_of(c);
    struct db_value stored[TABLE_COLUMNS_MAX];
    e->db = c->db;
    c->entity_id = NULL;
    if (!old_load(e, stored))
        return DB_OK;
    e->now = e->old;
    if (!if_match(e, stored) || !hook(e, e->resource->before_write))
        return DB_OK;
    enum db_rc rc = table_delete(e->db, resource_table(e->resource), &e->view, e->id);
    return rc == DB_OK ? finish(e, "deleted") : rc;
}

/* ---- answers ---- */

static void record_render(struct change *c, struct jsonw *w, bool kept)
{
    struct edit *e = edit_of(c);
    const struct resource *r = e->resource;
    struct record record = {e->req, r, e->row};
    jw_obj(w);
    resource_write(w, &record);
    if (e->action == EDIT_CREATE && r->write_once != NULL && !kept)
        r->write_once(w, e);
    if (e->action == EDIT_UPDATE)
        jw_kstr(w, r->put_answer == PUT_OK_TRUE ? "ok" : "status", r->put_answer == PUT_OK_TRUE ? "true" : "updated");
    jw_obj_end(w);
    if (e->action == EDIT_UPDATE)
        reply_header(e->req, "ETag", resource_etag(&record));
}

static void delete_render(struct change *c, struct jsonw *w, bool kept)
{
    const struct edit *e = edit_of(c);
    (void)kept;
    jw_obj(w);
    if (e->resource->delete_answer == DELETE_OK_TRUE)
        jw_kstr(w, "ok", "true");
    else
        jw_kstr(w, "status", "deleted");
    if (e->resource->delete_answer == DELETE_STATUS_ID)
        jw_kstr(w, "id", e->id);
    jw_obj_end(w);
}

/* ---- handlers ---- */

static reply edit_run(struct request *req, struct edit *e, struct record *found)
{
    struct db *db = req_db(req);
    bool go_on = db != NULL ? edit_find(e, db, ACCESS_WRITE, found)
                            : edit_refuse(e, FAULT_UNAVAILABLE, MSG_unavailable, NULL, NULL, NULL);
    req_db_done(req, db);
    if (!go_on)
        return reply_fault(req, &e->change.fault);
    if (found != NULL)
        e->id = record_text(found, "id");
    return resource_table(e->resource) != NULL ? change_run(req, &e->change) : reply_db(req, DB_ERROR);
}

reply resource_create(struct request *req)
{
    struct edit *e = edit_new(req, EDIT_CREATE);
    e->change.prepare = fields_prepare;
    e->change.apply = create_apply;
    e->change.render = record_render;
    e->change.status = 201;
    return edit_run(req, e, NULL);
}

reply resource_update(struct request *req)
{
    struct edit *e = edit_new(req, EDIT_UPDATE);
    struct record found;
    e->change.prepare = fields_prepare;
    e->change.apply = update_apply;
    e->change.render = record_render;
    return edit_run(req, e, &found);
}

reply resource_delete(struct request *req)
{
    struct edit *e = edit_new(req, EDIT_DELETE);
    struct record found;
    e->change.apply = delete_apply;
    e->change.render = delete_render;
    return edit_run(req, e, &found);
}

/* Reading: one record, lists, what an answer looks like. */
#include "base/clock.h"
#include "base/hash.h"
#include "store/memo.h"
#include "web/query.h"
#include "web/reply.h"
#include "web/resource_inner.h"

enum { PAGE_MAX = 200, KEPT_LIST_MAX = 48 * 1024, KEPT_NAME_MAX = 2048 };

/* ---- a record as JSON ---- */

static bool left_out(const struct field *f, const struct db_value *v)
{
    if (f->flags & FIELD_HIDDEN)
        return true;
    if (!(f->flags & FIELD_OMIT))
        return false;
    if (f->flags & FIELD_NULLABLE)
        return v->type == DB_NULL; /* null is the "nothing" of such a field */
    switch (v->type) {
    case DB_TEXT:
        return v->text[0] == '\0' || strcmp(v->text, "{}") == 0 || strcmp(v->text, "[]") == 0;
    case DB_INT:
        return f->kind == FIELD_BOOL && v->n == 0;
    default:
        return v->type == DB_NULL;
    }
}

static void value_write(struct jsonw *w, const struct field *f, const struct db_value *v)
{
    if (v->type == DB_NULL)
        jw_null(w);
    else if (v->type == DB_NUM)
        jw_num(w, v->d);
    else if (v->type == DB_INT && f->kind == FIELD_BOOL)
        jw_bool(w, v->n != 0);
    else if (v->type == DB_INT)
        jw_int(w, v->n);
    else if (f->kind == FIELD_OBJECT || f->kind == FIELD_TEXTS)
        jw_raw(w, v->text, strlen(v->text));
    else
        jw_str(w, v->text);
}

static void name_write(struct jsonw *w, const struct field *f, const struct label *label)
{
    if (label != NULL && label->text != NULL)
        jw_label(w, label->text, label->len);
    else
        jw_key(w, f->name);
}

void resource_write(struct jsonw *w, const struct record *r)
{
    const struct label *labels = resource_labels(r->resource);
    for (size_t i = 0; i < r->resource->field_count; i++) {
        const struct field *f = &r->resource->fields[i];
        if (left_out(f, &r->v[i]))
            continue;
        if (field_is_secret(f)) {
            secret_write(w, r, f, &r->v[i]);
            continue;
        }
        name_write(w, f, labels != NULL ? &labels[i] : NULL);
        value_write(w, f, &r->v[i]);
    }
    if (r->resource->write != NULL)
        r->resource->write(w, r);
}

/* Over what is stored, ciphertext included: every effective change gives another one. Computed columns are no part
 * of the row and leave it alone. */
const char *resource_etag(const struct record *r)
{
    static const unsigned char seed[HASH_SEED_SIZE] = "resource's etag";
    struct hash h;
    uint64_t hash[2];
    unsigned char bytes[sizeof hash];
    hash_start(&h, seed);
    for (size_t i = 0; i < r->resource->field_count; i++) {
        const struct db_value *v = &r->v[i];
        uint64_t number = (uint64_t)v->n;
        if (r->resource->fields[i].sql != NULL)
            continue;
        hash_number(&h, v->type);
        if (v->type == DB_NUM)
            memcpy(&number, &v->d, sizeof number);
        if (v->type == DB_TEXT)
            hash_text(&h, v->text);
        else if (v->type != DB_NULL)
            hash_number(&h, number);
    }
    hash_end(&h, hash);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(hash[i / 8] >> i % 8 * 8);
    char *etag = arena_alloc(r->req->arena, 2 * sizeof bytes + 3);
    hex_encode(bytes, sizeof bytes, etag + 1);
    etag[0] = etag[2 * sizeof bytes + 1] = '"';
    return etag;
}

/* ---- one row ---- */

static bool key_check(const struct resource *r, const char *key, struct fault *f)
{
    bool fine = r->key_column != NULL || uuid_parse(key, NULL) || (r->slug_column != NULL && slug_valid(key));
    return fine || fault_set(f, FAULT_INVALID, MSG_invalid_id, "id", r->noun, NULL);
}

const char *action_of(const struct request *req)
{
    return arena_printf(req->arena, "%s %s", method_name(req->method), req->path_text);
}

static bool find(struct request *req, struct db *db, const struct resource *r, const struct table_view *view,
                 const char *key, enum access access, struct record *out, struct fault *f)
{
    struct table *t = resource_table(r);
    if (t == NULL || db == NULL)
        return fault_set(f, FAULT_UNAVAILABLE, MSG_unavailable, NULL, NULL, NULL);
    struct db_value *values = ARENA_ARRAY(req->arena, struct db_value, r->field_count);
    struct table_access may;
    enum db_rc rc = table_find(db, req->arena, t, view, key, values, &may);
    if (rc != DB_ROW && rc != DB_OK) {
        fault_db(req, rc, f);
        return false;
    }
    if (rc == DB_OK || (!may.visible && r->invisible_is_missing))
        return fault_set(f, FAULT_NOT_FOUND, MSG_not_found, "id", r->noun, key);
    if (!may.visible)
        return fault_set(f, FAULT_FORBIDDEN, MSG_no_access, NULL, r->noun, NULL);
    if (access == ACCESS_WRITE && !may.writable)
        return fault_set(f, FAULT_FORBIDDEN, MSG_owner_only, NULL, action_of(req), NULL);
    *out = (struct record){req, r, values};
    return true;
}

bool resource_find(struct request *req, struct db *db, const struct resource *r, const char *parent, const char *key,
                   enum access access, struct record *out, struct fault *f)
{
    struct table_view view = resource_view(req, r, parent);
    return key_check(r, key, f) && find(req, db, r, &view, key, access, out, f);
}

bool edit_find(struct edit *e, struct db *db, enum access access, struct record *out)
{
    const struct resource *r = e->resource;
    e->key = e->req->params[r->parent_column != NULL ? 1 : 0];
    if (out != NULL && !key_check(r, e->key, &e->change.fault))
        return false;
    e->db = db;
    bool open = r->open == NULL || r->open(e);
    e->db = NULL;
    return open && (out == NULL || find(e->req, db, r, &e->view, e->key, access, out, &e->change.fault));
}

struct edit *edit_new(struct request *req, enum edit_action action)
{
    struct edit *e = ARENA_NEW(req->arena, struct edit);
    const struct resource *r = req->route->resource;
    e->req = req;
    e->resource = r;
    e->action = action;
    e->view = resource_view(req, r, NULL);
    e->input = ARENA_ARRAY(req->arena, struct db_value, r->field_count);
    e->change.req = req;
    e->change.entity = r->audit;
    e->change.generation = r->generation;
    return e;
}

reply resource_get(struct request *req)
{
    struct edit *e = edit_new(req, EDIT_UPDATE);
    struct record record;
    struct db *db = req_db(req);
    bool found = edit_find(e, db, ACCESS_READ, &record);
    req_db_done(req, db);
    if (!found)
        return reply_fault(req, &e->change.fault);
    reply_header(req, "ETag", resource_etag(&record));
    jw_obj(&req->w);
    resource_write(&req->w, &record);
    jw_obj_end(&req->w);
    return reply_json(req, 200);
}

/* ---- lists ---- */

static bool filter_word(struct request *req, const struct filter *f, const char **value, struct fault *fault)
{
    struct buf *names = buf_new(req->arena, 4096);
    const char *list = f->values;
    for (struct word word; word_next(&list, &word);) {
        if (strlen(*value) == (size_t)word.len && strncmp(*value, word.text, (size_t)word.len) == 0) {
            *value = word.means_len > 0 ? arena_strndup(req->arena, word.means, (size_t)word.means_len) : NULL;
            return true;
        }
        buf_addf(names, "%s%.*s", names->len > 0 ? ", " : "", word.len, word.text);
    }
    return fault_set(fault, FAULT_INVALID, MSG_must_be_one_of, f->query, f->query, buf_str(names));
}

/* A time as the store writes it: SQLite reads fewer offsets and no leap second. A date alone stays one. */
static const char *filter_time(struct arena *a, const char *text)
{
    enum { DATE_LEN = 10 };
    int64_t ms;
    if (strlen(text) == DATE_LEN || !time_parse(text, &ms))
        return text;
    char *plain = arena_alloc(a, TIME_TEXT_SIZE);
    time_format(ms, plain);
    return plain;
}

static bool filter_value(struct request *req, const struct filter *f, const char **value, struct fault *fault)
{
    const char *text = req_query(req, f->query);
    *value = text = text != NULL ? text : f->preset;
    if (text != NULL && f->kind == FIELD_ENUM)
        return filter_word(req, f, value, fault);
    if (text != NULL && f->kind == FIELD_BOOL) {
        bool yes = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
        bool no = strcmp(text, "false") == 0 || strcmp(text, "0") == 0;
        text = yes ? "1" : no ? "0" : NULL;
    } else if (text != NULL && f->kind == FIELD_UUID) {
        char *id = arena_alloc(req->arena, UUID_SIZE);
        if (!uuid_parse(text, id))
            return fault_set(fault, FAULT_INVALID, MSG_invalid_id, f->query, f->query, NULL);
        text = id;
    } else if (text != NULL && f->kind == FIELD_TIME) {
        text = filter_time(req->arena, text);
    }
    *value = text;
    return true;
}

static bool list_query(struct edit *e, struct table_query *q)
{
    struct request *req = e->req;
    const struct resource *r = e->resource;
    int64_t max = r->page_max > 0 ? r->page_max : PAGE_MAX;
    *q = (struct table_query){
        .view = e->view,
        .limit = req_query_int(req, "limit", r->page_limit > 0 ? r->page_limit : -1, 1, max),
        .offset = req_query_int(req, "offset", 0, 0, INT64_MAX),
    };
    for (size_t i = 0; i < r->filter_count; i++)
        if (!filter_value(req, &r->filters[i], &q->filters[i], &e->change.fault))
            return false;
    const char *before = r->page_before ? req_query(req, "before") : NULL;
    char id[UUID_SIZE];
    if (before == NULL)
        return true;
    if (!uuid_parse(before, id))
        return edit_refuse(e, FAULT_INVALID, MSG_invalid_id, "before", r->noun, NULL);
    q->before = arena_strdup(req->arena, id);
    return true;
}

struct list {
    struct request *req;
    const struct resource *resource;
    int64_t rows;
};

static void item_write(void *ctx, const struct db_value *values)
{
    struct list *list = ctx;
    struct jsonw *w = &list->req->w;
    struct record record = {list->req, list->resource, values};
    list->rows++;
    jw_obj(w);
    resource_write(w, &record);
    jw_obj_end(w);
}

/* The array once more for clients that only know `payload` (contract 01 §12.4). */
static void payload_write(struct request *req, size_t from)
{
    const char *array = arena_strndup(req->arena, req->out->data + from, req->out->len - from);
    jw_kraw(&req->w, "payload", array);
}

/* A part of a memo's key; NULL and "" differ. */
static void key_part(struct buf *key, const char *part)
{
    if (part == NULL) {
        buf_addc(key, '-');
        return;
    }
    size_t n = strlen(part);
    buf_addi(key, (int64_t)n);
    buf_addc(key, ':');
    buf_add(key, part, n);
}

struct total {
    int64_t n;
    bool capped;
};

struct counting {
    struct db *db;
    struct table *table;
    const struct table_query *query;
};

static enum db_rc total_build(void *ctx, struct arena *a, void **value)
{
    struct counting *c = ctx;
    struct total *total = ARENA_NEW(a, struct total);
    enum db_rc rc = table_count(c->db, c->table, c->query, &total->n, &total->capped);
    *value = total;
    return rc == DB_OK ? DB_ROW : rc;
}

static enum db_rc total_count(struct edit *e, struct counting *c, struct total *total)
{
    struct request *req = e->req;
    const struct resource *r = e->resource;
    struct memo *memo = r->keep_lists ? req->gw->memo : NULL;
    struct buf *key = buf_new(req->arena, KEPT_NAME_MAX);
    void *found = NULL;
    buf_addc(key, 'n');
    key_part(key, r->name);
    key_part(key, c->query->view.tenant_id);
    key_part(key, c->query->view.user);
    key_part(key, c->query->view.parent);
    for (size_t i = 0; i < r->filter_count; i++)
        key_part(key, c->query->filters[i]);
    enum db_rc rc = memo_get(key->failed ? NULL : memo, req->arena, buf_str(key), key->len, total_build, c, &found);
    if (rc != DB_ROW)
        return rc;
    *total = *(struct total *)found;
    return DB_OK;
}

/* Counting is not needed when the last page shows how many there are: as many as are counted at most. */
static enum db_rc list_total(struct edit *e, struct counting *c, int64_t rows, struct total *total)
{
    const struct table_query *q = c->query;
    bool whole = q->before == NULL && (q->limit < 0 || rows < q->limit) && (rows > 0 || q->offset == 0);
    *total = (struct total){.n = q->offset + rows};
    return whole && total->n <= TOTAL_CAP ? DB_OK : total_count(e, c, total);
}

static enum db_rc list_write(struct edit *e, struct db *db, const struct table_query *q)
{
    struct request *req = e->req;
    const struct resource *r = e->resource;
    struct table *t = resource_table(r);
    struct list list = {req, r, 0};
    struct total total;
    if (t == NULL)
        return DB_ERROR;
    if (r->list_key != NULL) {
        jw_obj(&req->w);
        jw_key(&req->w, r->list_key);
    }
    size_t from = req->out->len;
    jw_arr(&req->w);
    enum db_rc rc = table_list(db, t, q, item_write, &list);
    jw_arr_end(&req->w);
    if (rc != DB_OK || r->list_key == NULL)
        return rc;
    if (req->gw->config->list_payload_alias && !req->out->failed)
        payload_write(req, from);
    bool paged = r->page_limit > 0 || q->limit >= 0 || q->offset > 0;
    if (paged)
        rc = list_total(e, &(struct counting){db, t, q}, list.rows, &total);
    if (paged && rc == DB_OK)
        query_page_end(req, total.n, total.capped, q->limit >= 0 ? q->limit : list.rows, q->offset);
    jw_obj_end(&req->w);
    return rc;
}

/* The list as it is now, written to req->out; otherwise ready is false and the answer is in the fault. */
struct listing {
    struct edit *e;
    bool made, ready;
};

static void list_make(struct listing *l)
{
    struct request *req = l->e->req;
    struct fault *f = &l->e->change.fault;
    struct table_query q;
    struct db *db = req_db(req);
    l->made = true;
    if (db == NULL) {
        fault_set(f, FAULT_UNAVAILABLE, MSG_unavailable, NULL, NULL, NULL);
        return;
    }
    bool understood = edit_find(l->e, db, ACCESS_READ, NULL) && list_query(l->e, &q);
    enum db_rc rc = understood ? list_write(l->e, db, &q) : DB_OK;
    req_db_done(req, db);
    if (rc != DB_OK)
        fault_db(req, rc, f);
    l->ready = understood && rc == DB_OK;
}

/* Kept is what is not too long. */
static enum db_rc list_build(void *ctx, struct arena *a, void **value)
{
    struct listing *l = ctx;
    const struct buf *out = l->e->req->out;
    list_make(l);
    if (!l->ready || out->failed || out->len > KEPT_LIST_MAX)
        return DB_OK;
    struct buf *copy = ARENA_NEW(a, struct buf);
    *copy = (struct buf){.data = arena_memdup(a, out->data, out->len), .len = out->len};
    *value = copy;
    return DB_ROW;
}

/* An answer of somebody with the same rights to the same question. */
static const struct buf *list_kept(struct listing *l)
{
    struct request *req = l->e->req;
    struct buf *key = buf_new(req->arena, KEPT_NAME_MAX);
    void *found = NULL;
    buf_addc(key, 'l');
    key_part(key, role_name(req->who.role));
    key_part(key, req->who.tenant_id);
    key_part(key, req->who.user);
    buf_adds(key, req->target);
    if (key->failed)
        return NULL;
    memo_get(req->gw->memo, req->arena, key->data, key->len, list_build, l, &found);
    return found;
}

reply resource_list(struct request *req)
{
    struct listing l = {.e = edit_new(req, EDIT_UPDATE)};
    const struct buf *kept = l.e->resource->keep_lists && req->gw->memo != NULL ? list_kept(&l) : NULL;
    if (kept != NULL && !l.made)
        return reply_bytes(req, 200, "application/json", kept->data, kept->len);
    if (!l.made)
        list_make(&l);
    return l.ready ? reply_json(req, 200) : reply_fault(req, &l.e->change.fault);
}

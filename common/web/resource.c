/* The description of a resource: its table, its names, what hooks read and write. */
#include "web/resource.h"

#include "base/log.h"
#include "web/resource_inner.h"

/* ---- small tools ---- */

bool word_next(const char **list, struct word *out)
{
    if (*list == NULL || **list == '\0')
        return false;
    const char *start = *list;
    int len = (int)strcspn(start, "|");
    *list = start + len + (start[len] == '|');
    const char *equals = memchr(start, '=', (size_t)len);
    *out = (struct word){start, len, start, len};
    if (equals != NULL) {
        out->len = (int)(equals - start);
        out->means = equals + 1;
        out->means_len = len - out->len - 1;
    }
    return true;
}

const char *json_text(struct arena *a, json_object *o)
{
    struct buf *b = buf_new(a, (size_t)16 << 20);
    struct jsonw w;
    jw_init(&w, b);
    jw_json(&w, o);
    return b->failed ? "{}" : buf_str(b);
}

static const char *field_column(const struct field *f)
{
    return f->column != NULL ? f->column : f->name;
}

/* ---- the table ---- */

static char column_type(const struct field *f)
{
    switch (f->kind) {
    case FIELD_INTEGER:
    case FIELD_BOOL:
        return 'i';
    case FIELD_NUMBER:
        return 'd';
    default:
        return 't';
    }
}

static bool has_column(const struct resource *r, const char *column)
{
    for (size_t i = 0; i < r->field_count; i++)
        if (r->fields[i].sql == NULL && strcmp(field_column(&r->fields[i]), column) == 0)
            return true;
    return false;
}

static const char *filter_sql(const struct filter *f)
{
    char *text = NULL;
    if (f->sql != NULL)
        return f->sql;
    if (asprintf(&text, "t.%s = {}", f->column != NULL ? f->column : f->query) < 0)
        return NULL;
    return text;
}

static struct table *make(const struct resource *r)
{
    struct column *columns = calloc(r->field_count, sizeof *columns);
    struct table_filter *filters = calloc(r->filter_count + 1, sizeof *filters);
    if (columns == NULL || filters == NULL) {
        free(columns);
        free(filters);
        return NULL;
    }
    for (size_t i = 0; i < r->field_count; i++) {
        const struct field *f = &r->fields[i];
        bool parent = r->parent_column != NULL && strcmp(field_column(f), r->parent_column) == 0;
        columns[i] = (struct column){field_column(f), f->sql, column_type(f), parent || (f->flags & FIELD_HOUSE) != 0};
    }
    for (size_t i = 0; i < r->filter_count; i++)
        filters[i].sql = filter_sql(&r->filters[i]);
    struct table_form form = {
        .name = r->table,
        .columns = columns,
        .column_count = r->field_count,
        .no_tenant = r->no_tenant,
        .parent_column = r->parent_column,
        .key_column = r->key_column,
        .slug_column = r->slug_column,
        .live_rows = r->live_rows,
        .visible_sql = r->visible_sql,
        .writable_sql = r->writable_sql,
        .order = r->order,
        .filters = filters,
        .filter_count = r->filter_count,
        .created_at = has_column(r, "created_at"),
        .updated_at = has_column(r, "updated_at"),
    };
    return table_make(&form);
}

/* Two threads may make it at the same moment: both results are right, one is kept. */
struct table *resource_table(const struct resource *r)
{
    struct table *t = __atomic_load_n(&r->made->table, __ATOMIC_ACQUIRE);
    if (t != NULL)
        return t;
    struct table *mine = make(r);
    if (__atomic_compare_exchange_n(&r->made->table, &t, mine, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return mine;
    return t;
}

const struct label *resource_labels(const struct resource *r)
{
    const struct label *labels = __atomic_load_n(&r->made->labels, __ATOMIC_ACQUIRE);
    if (labels != NULL)
        return labels;
    const struct label *mine = labels_make(r);
    if (__atomic_compare_exchange_n(&r->made->labels, &labels, mine, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return mine;
    return labels;
}

struct table_view resource_view(const struct request *req, const struct resource *r, const char *parent)
{
    const struct principal *who = &req->who;
    bool judged = (r->rule == ROWS_OF_USER && who->role != ROLE_OWNER) ||
                  (r->rule == ROWS_OF_NON_ADMIN && who->role < ROLE_ADMIN);
    /* Below admin somebody without a name sees what a nameless user may see, never everything. */
    const char *user = who->user != NULL ? who->user : who->role < ROLE_ADMIN ? "" : NULL;
    return (struct table_view){who->tenant_id, judged ? user : NULL, parent};
}

/* ---- start-up check ---- */

static const char *resource_mistake(const struct resource *r)
{
    if (r->name == NULL || r->noun == NULL || r->table == NULL || r->made == NULL || r->doc == NULL)
        return "name, noun, table, doc and made are needed";
    if (r->field_count == 0 || r->field_count > TABLE_COLUMNS_MAX || r->filter_count > TABLE_FILTERS_MAX)
        return "too many or no fields, or too many filters";
    if (r->order == NULL || !has_column(r, "id"))
        return "no order or no id";
    bool unique = r->unique == NULL;
    for (size_t i = 0; i < r->field_count; i++) {
        const struct field *f = &r->fields[i];
        if (f->name == NULL || f->doc == NULL)
            return "a field without name or doc";
        if (f->kind == FIELD_ENUM && f->values == NULL)
            return "an enum without values";
        unique = unique || strcmp(f->name, r->unique) == 0;
        for (size_t k = 0; k < i; k++)
            if (strcmp(r->fields[k].name, f->name) == 0)
                return "two fields have the same name";
    }
    return unique ? NULL : "the unique field is not in the table";
}

bool resources_check(const struct route *routes, size_t n, char *err, size_t errsize)
{
    for (size_t i = 0; i < n; i++) {
        const struct route *row = &routes[i];
        bool needed = strcmp(resource_operation(row), "action") != 0;
        const char *mistake = row->resource != NULL ? resource_mistake(row->resource) : needed ? "no resource" : NULL;
        if (mistake == NULL && row->handler == resource_update && !(row->flags & ROUTE_LATE_BODY))
            mistake = "resource_update needs ROUTE_LATE_BODY";
        if (mistake == NULL && row->handler == resource_delete && !(row->flags & ROUTE_NO_BODY))
            mistake = "resource_delete needs ROUTE_NO_BODY";
        if (mistake != NULL) {
            snprintf(err, errsize, "route %zu (%s): %s", i, row->pattern, mistake);
            return false;
        }
    }
    return true;
}

const char *resource_operation(const struct route *r)
{
    static const struct {
        handler_fn *handler;
        const char *name;
    } operations[] = {
        {resource_list, "list"},     {resource_create, "create"}, {resource_get, "get"},
        {resource_update, "update"}, {resource_delete, "delete"},
    };
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (operations[i].handler == r->handler)
            return operations[i].name;
    return "action";
}

/* ---- what hooks read and write ---- */

size_t field_index(const struct resource *r, const char *name)
{
    for (size_t i = 0; i < r->field_count; i++)
        if (strcmp(r->fields[i].name, name) == 0)
            return i;
    log_event(LOG_ERROR, 3111, "resource.no_such_field", LOG_S, "resource", r->name, LOG_S, "field", name, LOG_END);
    abort();
}

static const char *text_of(const struct db_value *v)
{
    return v->type == DB_TEXT ? v->text : "";
}

const char *edit_text(const struct edit *e, const char *field)
{
    return text_of(&e->now[field_index(e->resource, field)]);
}

int64_t edit_int(const struct edit *e, const char *field)
{
    return e->now[field_index(e->resource, field)].n;
}

json_object *edit_json(const struct edit *e, const char *field)
{
    const char *text = edit_text(e, field);
    return json_parse(e->req->arena, text, strlen(text), 0, NULL);
}

const char *edit_old_text(const struct edit *e, const char *field)
{
    return e->old != NULL ? text_of(&e->old[field_index(e->resource, field)]) : NULL;
}

int64_t edit_old_int(const struct edit *e, const char *field)
{
    return e->old != NULL ? e->old[field_index(e->resource, field)].n : 0;
}

bool edit_given(const struct edit *e, const char *field)
{
    return (e->given >> field_index(e->resource, field) & 1) != 0;
}

static bool value_equal(const struct db_value *a, const struct db_value *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case DB_TEXT:
        return strcmp(a->text, b->text) == 0;
    case DB_INT:
        return a->n == b->n;
    case DB_NUM:
        return !(a->d < b->d) && !(a->d > b->d);
    default:
        return true;
    }
}

/* The same object with its members in another order is no change. */
static bool json_equal(const struct edit *e, const struct db_value *a, const struct db_value *b)
{
    if (a->type != DB_TEXT || b->type != DB_TEXT)
        return false;
    json_object *x = json_parse(e->req->arena, a->text, strlen(a->text), 0, NULL);
    json_object *y = json_parse(e->req->arena, b->text, strlen(b->text), 0, NULL);
    return x != NULL && y != NULL && json_object_equal(x, y);
}

static bool differs(const struct edit *e, size_t i)
{
    const struct field *f = &e->resource->fields[i];
    if (e->old == NULL)
        return true;
    if ((e->unreadable >> i & 1) != 0)
        return (e->given >> i & 1) != 0;
    if (value_equal(&e->old[i], &e->now[i]))
        return false;
    bool json = f->kind == FIELD_OBJECT || f->kind == FIELD_TEXTS || f->kind == FIELD_SECRET_MAP;
    return !json || !json_equal(e, &e->old[i], &e->now[i]);
}

bool edit_changed(const struct edit *e, const char *field)
{
    return differs(e, field_index(e->resource, field));
}

uint64_t edit_compare(const struct edit *e)
{
    uint64_t mask = 0;
    for (size_t i = 0; i < e->resource->field_count; i++)
        if (e->resource->fields[i].sql == NULL && !(e->resource->fields[i].flags & FIELD_HOUSE) && differs(e, i))
            mask |= (uint64_t)1 << i;
    return mask;
}

static void set(struct edit *e, const char *field, struct db_value v)
{
    size_t i = field_index(e->resource, field);
    e->now[i] = v;
    e->given |= (uint64_t)1 << i;
}

void edit_set_text(struct edit *e, const char *field, const char *text)
{
    set(e, field, value_text(text));
}

void edit_set_int(struct edit *e, const char *field, int64_t n)
{
    set(e, field, value_int(n));
}

void edit_set_json(struct edit *e, const char *field, json_object *o)
{
    set(e, field, value_text(json_text(e->req->arena, o)));
}

bool edit_refuse(struct edit *e, enum fault_kind kind, enum message_id message, const char *param, const char *arg0,
                 const char *arg1)
{
    return change_refuse(&e->change, kind, message, param, arg0, arg1);
}

const char *record_text(const struct record *r, const char *field)
{
    return text_of(&r->v[field_index(r->resource, field)]);
}

int64_t record_int(const struct record *r, const char *field)
{
    return r->v[field_index(r->resource, field)].n;
}

const char *record_secret(const struct record *r, const char *field)
{
    size_t i = field_index(r->resource, field);
    const char *plain;
    return secret_open(r->req, &r->resource->fields[i], r->v[i].text, &plain) ? plain : NULL;
}

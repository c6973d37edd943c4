#include "store/table.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/log.h"
#include "store/internal.h"

enum { SQL_MAX = 64 * 1024, VALUES_MAX = TABLE_COLUMNS_MAX + 4 };

/* Places of parameters beside ?1 to ?3. */
enum { AT_KEY = 4, AT_LIMIT = 4, AT_OFFSET = 5, AT_BEFORE = 6, AT_FILTER = 7 };
enum { INSERT_AT = 5, UPDATE_AT = 6 }; /* first column of a row */

/* What a list is asked for decides its text: one bit a filter, and these. */
enum {
    LIST_JUDGED = 1 << TABLE_FILTERS_MAX,
    LIST_BEFORE = 2 << TABLE_FILTERS_MAX,
    LIST_COUNT = 4 << TABLE_FILTERS_MAX,
};

struct list_sql {
    struct sql sql;
    unsigned mask;
    struct list_sql *next;
};

struct table {
    struct table_form form;
    struct sql find_id, find_key, find_slug, insert, update, delete;
    pthread_mutex_t lock; /* for lists */
    struct list_sql *lists;
};

/* ---- composing ---- */

static bool stored(const struct column *c)
{
    return !c->sql && !c->house;
}

/* WHERE and AND in turn. */
static const char *joint(bool *first)
{
    const char *word = *first ? " WHERE " : " AND ";
    *first = false;
    return word;
}

/* The rows of a view; prefix is "t." or "". Returns whether the WHERE is still to come. */
static bool add_view(struct buf *b, const struct table_form *f, const char *prefix)
{
    bool first = true;
    if (!f->no_tenant)
        buf_addf(b, "%s%stenant_id = ?1", joint(&first), prefix);
    if (f->parent_column)
        buf_addf(b, "%s%s%s = ?3", joint(&first), prefix, f->parent_column);
    return first;
}

static void add_judgement(struct buf *b, const char *sql)
{
    if (sql)
        buf_addf(b, ", CASE WHEN ?2 IS NULL THEN 1 ELSE (%s) END", sql);
    else
        buf_adds(b, ", 1");
}

static void add_columns(struct buf *b, const struct table_form *f)
{
    for (size_t i = 0; i < f->column_count; i++) {
        const struct column *c = &f->columns[i];
        buf_adds(b, i ? ", " : "SELECT ");
        if (c->sql)
            buf_adds(b, c->sql);
        else
            buf_addf(b, "t.%s", c->name);
    }
}

static char *take(struct buf *b)
{
    char *text = b->failed ? NULL : strdup(buf_str(b));
    buf_release(b);
    return text;
}

static char *find_text(const struct table_form *f, const char *column)
{
    struct buf b = BUF_INIT(SQL_MAX);
    add_columns(&b, f);
    add_judgement(&b, f->visible_sql);
    add_judgement(&b, f->writable_sql ? f->writable_sql : f->visible_sql);
    buf_addf(&b, " FROM %s t", f->name);
    bool first = add_view(&b, f, "t.");
    buf_addf(&b, "%st.%s = ?%d", joint(&first), column, AT_KEY);
    if (f->live_rows)
        buf_addf(&b, " AND (%s)", f->live_rows);
    return take(&b);
}

static char *insert_text(const struct table_form *f)
{
    struct buf names = BUF_INIT(SQL_MAX), b = BUF_INIT(SQL_MAX);
    buf_adds(&names, "id");
    buf_adds(&b, "?4");
    if (!f->no_tenant) {
        buf_adds(&names, ", tenant_id");
        buf_adds(&b, ", ?1");
    }
    if (f->parent_column) {
        buf_addf(&names, ", %s", f->parent_column);
        buf_adds(&b, ", ?3");
    }
    if (f->created_at) {
        buf_adds(&names, ", created_at");
        buf_adds(&b, ", ?2");
    }
    if (f->updated_at) {
        buf_adds(&names, ", updated_at");
        buf_adds(&b, ", ?2");
    }
    for (size_t i = 0; i < f->column_count; i++) {
        if (!stored(&f->columns[i]))
            continue;
        buf_addf(&names, ", %s", f->columns[i].name);
        buf_addf(&b, ", ?%zu", INSERT_AT + i);
    }
    struct buf all = BUF_INIT(SQL_MAX);
    buf_addf(&all, "INSERT INTO %s (%s) VALUES (%s)", f->name, buf_str(&names), buf_str(&b));
    all.failed = all.failed || names.failed || b.failed;
    buf_release(&names);
    buf_release(&b);
    return take(&all);
}

/* One text for every selection of columns: bit i of ?5 says whether column i gets its value. */
static char *update_text(const struct table_form *f)
{
    struct buf b = BUF_INIT(SQL_MAX);
    const char *comma = "";
    buf_addf(&b, "UPDATE %s SET ", f->name);
    for (size_t i = 0; i < f->column_count; i++) {
        const struct column *c = &f->columns[i];
        if (!stored(c))
            continue;
        buf_addf(&b, "%s%s = CASE WHEN ?5 & %llu THEN ?%zu ELSE %s END", comma, c->name, 1ULL << i, UPDATE_AT + i,
                 c->name);
        comma = ", ";
    }
    if (f->updated_at)
        buf_addf(&b, "%supdated_at = ?2", comma);
    bool first = add_view(&b, f, "");
    buf_addf(&b, "%sid = ?%d", joint(&first), AT_KEY);
    return take(&b);
}

static char *delete_text(const struct table_form *f)
{
    struct buf b = BUF_INIT(SQL_MAX);
    buf_addf(&b, "DELETE FROM %s", f->name);
    bool first = add_view(&b, f, "");
    buf_addf(&b, "%sid = ?%d", joint(&first), AT_KEY);
    return take(&b);
}

static void add_filter(struct buf *b, const char *sql, size_t number)
{
    for (const char *mark; (mark = strstr(sql, "{}")) != NULL; sql = mark + 2)
        buf_addf(b, "%.*s?%zu", (int)(mark - sql), sql, AT_FILTER + number);
    buf_adds(b, sql);
}

static char *list_text(const struct table_form *f, unsigned mask)
{
    struct buf b = BUF_INIT(SQL_MAX);
    size_t word = strcspn(f->order, " ");
    const char *direction = f->order + word;
    bool down = strcmp(direction, " DESC") == 0;
    if (mask & LIST_COUNT)
        buf_adds(&b, "SELECT COUNT(*) FROM (SELECT 1");
    else
        add_columns(&b, f);
    buf_addf(&b, " FROM %s t", f->name);
    bool first = add_view(&b, f, "t.");
    if (f->live_rows)
        buf_addf(&b, "%s(%s)", joint(&first), f->live_rows);
    if (mask & LIST_JUDGED)
        buf_addf(&b, "%s(%s)", joint(&first), f->visible_sql);
    for (size_t i = 0; i < f->filter_count; i++) {
        if (!(mask & 1U << i))
            continue;
        buf_adds(&b, joint(&first));
        add_filter(&b, f->filters[i].sql, i);
    }
    if (mask & LIST_BEFORE) {
        buf_addf(&b, "%s(t.%.*s, t.id) %s (SELECT b.%.*s, b.id FROM %s b WHERE ", joint(&first), (int)word, f->order,
                 down ? "<" : ">", (int)word, f->order, f->name);
        buf_addf(&b, "%sb.id = ?%d)", f->no_tenant ? "" : "b.tenant_id = ?1 AND ", AT_BEFORE);
    }
    if (mask & LIST_COUNT)
        buf_addf(&b, " LIMIT %d)", TOTAL_CAP + 1);
    else
        buf_addf(&b, " ORDER BY t.%s, t.id%s LIMIT ?%d OFFSET ?%d", f->order, direction, AT_LIMIT, AT_OFFSET);
    return take(&b);
}

struct table *table_make(const struct table_form *form)
{
    struct table *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->form = *form;
    t->find_id.text = find_text(form, "id");
    t->find_key.text = find_text(form, form->key_column ? form->key_column : "id");
    t->find_slug.text = find_text(form, form->slug_column ? form->slug_column : "id");
    t->insert.text = insert_text(form);
    t->update.text = update_text(form);
    t->delete.text = delete_text(form);
    if (pthread_mutex_init(&t->lock, NULL) == 0 && t->find_id.text && t->find_key.text && t->find_slug.text &&
        t->insert.text && t->update.text && t->delete.text)
        return t;
    log_event(LOG_ERROR, 2011, "table.memory", LOG_S, "table", form->name, LOG_END);
    return NULL;
}

/* ---- rows ---- */

static struct db_value text_value(const char *s)
{
    return (struct db_value){.type = s ? DB_TEXT : DB_NULL, .text = s};
}

static struct db_value int_value(int64_t n)
{
    return (struct db_value){.type = DB_INT, .n = n};
}

static void bind_view(struct db_value p[static 3], const struct table_view *v)
{
    p[0] = text_value(v->tenant_id);
    p[1] = text_value(v->user);
    p[2] = text_value(v->parent);
}

/* a NULL: text stays where SQLite has it. */
static void read_row(struct db_stmt *s, const struct table_form *f, struct arena *a, struct db_value *values)
{
    for (size_t i = 0; i < f->column_count; i++) {
        int col = (int)i;
        char type = f->columns[i].type;
        if (type == 't')
            values[i] = text_value(a ? db_text(s, col, a) : db_peek(s, col, NULL));
        else if (db_is_null(s, col))
            values[i] = (struct db_value){.type = DB_NULL};
        else if (type == 'i')
            values[i] = int_value(db_int(s, col));
        else
            values[i] = (struct db_value){.type = DB_NUM, .d = db_num(s, col)};
    }
}

static enum db_rc find(struct db *db, struct arena *a, struct table *t, struct sql *sql, const struct table_view *view,
                       const char *key, struct db_value *values, struct table_access *access)
{
    struct db_value p[AT_KEY];
    bind_view(p, view);
    p[AT_KEY - 1] = text_value(key);
    struct db_stmt *s = db_query_values(db, sql, p, AT_KEY);
    enum db_rc rc = db_next(s);
    if (rc != DB_ROW)
        return rc;
    read_row(s, &t->form, a, values);
    int judged = (int)t->form.column_count;
    if (access)
        *access = (struct table_access){db_int(s, judged) != 0, db_int(s, judged + 1) != 0};
    db_reset(s);
    return DB_ROW;
}

enum db_rc table_find_id(struct db *db, struct arena *a, struct table *t, const struct table_view *view,
                         const char *id, struct db_value *values, struct table_access *access)
{
    return find(db, a, t, &t->find_id, view, id, values, access);
}

enum db_rc table_find(struct db *db, struct arena *a, struct table *t, const struct table_view *view, const char *key,
                      struct db_value *values, struct table_access *access)
{
    char id[UUID_SIZE];
    if (t->form.key_column)
        return find(db, a, t, &t->find_key, view, key, values, access);
    if (uuid_parse(key, id))
        return find(db, a, t, &t->find_id, view, id, values, access);
    return t->form.slug_column ? find(db, a, t, &t->find_slug, view, key, values, access) : DB_OK;
}

/* ---- writing ---- */

/* A taken key is an answer; any other constraint is a mistake of ours. */
static enum db_rc written(struct db *db, struct table *t, struct db_stmt *s)
{
    enum db_rc rc = db_next(s);
    if (rc == DB_ROW)
        db_reset(s);
    if (rc != DB_CONSTRAINT)
        return rc == DB_ROW ? DB_OK : rc;
    int code = sqlite3_extended_errcode(db_handle(db));
    if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY)
        return DB_CONSTRAINT;
    log_event(LOG_ERROR, 2012, "table.constraint", LOG_S, "table", t->form.name, LOG_I, "code", (int64_t)code, LOG_END);
    return DB_ERROR;
}

/* Parameters of a writing statement: the view with `now` in the user's place, id, then the rest. */
static size_t write_start(struct db_value *p, const struct table_view *view, const char *now, const char *id)
{
    bind_view(p, view);
    p[1] = text_value(now);
    p[AT_KEY - 1] = text_value(id);
    return AT_KEY;
}

enum db_rc table_insert(struct db *db, struct table *t, const struct table_view *view, const char *id,
                        const char *now, const struct db_value *values)
{
    struct db_value p[VALUES_MAX + 2];
    size_t n = write_start(p, view, now, id);
    memcpy(p + n, values, t->form.column_count * sizeof *values);
    return written(db, t, db_query_values(db, &t->insert, p, n + t->form.column_count));
}

enum db_rc table_update(struct db *db, struct table *t, const struct table_view *view, const char *id, uint64_t mask,
                        const char *now, const struct db_value *values)
{
    struct db_value p[VALUES_MAX + 2];
    size_t n = write_start(p, view, now, id);
    p[n++] = int_value((int64_t)mask);
    memcpy(p + n, values, t->form.column_count * sizeof *values);
    return written(db, t, db_query_values(db, &t->update, p, n + t->form.column_count));
}

enum db_rc table_delete(struct db *db, struct table *t, const struct table_view *view, const char *id)
{
    struct db_value p[AT_KEY];
    size_t n = write_start(p, view, NULL, id);
    return written(db, t, db_query_values(db, &t->delete, p, n));
}

/* ---- lists ---- */

static struct sql *list_sql(struct table *t, unsigned mask)
{
    pthread_mutex_lock(&t->lock);
    struct list_sql *l = t->lists;
    while (l && l->mask != mask)
        l = l->next;
    if (!l && (l = calloc(1, sizeof *l)) != NULL) {
        l->mask = mask;
        l->sql.text = list_text(&t->form, mask);
        if (l->sql.text) {
            l->next = t->lists;
            t->lists = l;
        } else {
            free(l);
            l = NULL;
        }
    }
    pthread_mutex_unlock(&t->lock);
    return l ? &l->sql : NULL;
}

static unsigned list_mask(const struct table *t, const struct table_query *q)
{
    unsigned mask = q->view.user && t->form.visible_sql ? LIST_JUDGED : 0;
    for (size_t i = 0; i < t->form.filter_count; i++)
        if (q->filters[i])
            mask |= 1U << i;
    return mask;
}

enum { LIST_VALUES = AT_FILTER - 1 + TABLE_FILTERS_MAX };

static void list_bind(struct db_value p[static LIST_VALUES], const struct table *t, const struct table_query *q)
{
    bind_view(p, &q->view);
    p[AT_LIMIT - 1] = int_value(q->limit);
    p[AT_OFFSET - 1] = int_value(q->offset);
    p[AT_BEFORE - 1] = text_value(q->before);
    for (size_t i = 0; i < TABLE_FILTERS_MAX; i++)
        p[AT_FILTER - 1 + i] = text_value(i < t->form.filter_count ? q->filters[i] : NULL);
}

enum db_rc table_list(struct db *db, struct table *t, const struct table_query *q,
                      void (*each)(void *ctx, const struct db_value *values), void *ctx)
{
    struct db_value p[LIST_VALUES], row[TABLE_COLUMNS_MAX];
    struct sql *sql = list_sql(t, list_mask(t, q) | (q->before ? LIST_BEFORE : 0));
    if (!sql)
        return DB_ERROR;
    list_bind(p, t, q);
    struct db_stmt *s = db_query_values(db, sql, p, LIST_VALUES);
    enum db_rc rc;
    while ((rc = db_next(s)) == DB_ROW) {
        read_row(s, &t->form, NULL, row);
        each(ctx, row);
    }
    return rc;
}

enum db_rc table_count(struct db *db, struct table *t, const struct table_query *q, int64_t *total, bool *capped)
{
    struct db_value p[LIST_VALUES];
    struct sql *sql = list_sql(t, list_mask(t, q) | LIST_COUNT);
    if (!sql)
        return DB_ERROR;
    list_bind(p, t, q);
    return total_read(db_query_values(db, sql, p, LIST_VALUES), total, capped);
}

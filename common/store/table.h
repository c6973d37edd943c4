/* Rows of one table: the only place that makes SQL for resources.
 *
 * A struct table describes a table once. table_make composes its statements from that description (static text of
 * the program, never anything from a request), each once per process, and keeps them as struct sql, so that every
 * connection prepares each of them once. Every statement names the tenant.
 *
 * Parameters of the fragments a description may hold (`t` is the table's alias):
 *   ?1 tenant, ?2 the user rows are judged for, ?3 the parent's id, and {} for the value of a filter.
 */
#ifndef CLAWGATE_STORE_TABLE_H
#define CLAWGATE_STORE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "store/db.h"

enum { TABLE_COLUMNS_MAX = 63, TABLE_FILTERS_MAX = 8 };

struct column {
    const char *name;
    const char *sql; /* computed by the SELECT instead of stored, e.g. "(SELECT COUNT(*) …)"; NULL = a column */
    char type;       /* how it is read: t text, i integer, d number */
    bool house;      /* id, tenant_id, created_at, updated_at: written by the house alone */
};

struct table_filter {
    const char *sql; /* "t.status = {}" */
};

struct table_form {
    const char *name;
    const struct column *columns; /* the order of the values */
    size_t column_count;
    bool no_tenant;               /* a table without tenant_id (tenants) */
    const char *parent_column;    /* every statement also says parent_column = ?3; NULL = none */
    const char *key_column;       /* what a path names; NULL = id */
    const char *slug_column;      /* second name of a row: a key that is no UUID is looked for here; NULL = none */
    const char *live_rows;        /* the rows that are there for readers, as a partial index says it; NULL = all */
    const char *visible_sql;      /* true for rows user ?2 may see; not asked when there is no user. NULL = all */
    const char *writable_sql;     /* likewise for changing. NULL = visible_sql */
    const char *order;            /* "name" or "created_at DESC"; id follows as tie-break in the same direction */
    const struct table_filter *filters;
    size_t filter_count;
    bool created_at, updated_at;  /* which of the two the table has */
};

struct table; /* the made statements */

/* Made statements of a form; lives until the process ends. NULL when there is no memory. */
struct table *table_make(const struct table_form *form);

/* Whose rows: bound as ?1 to ?3. */
struct table_view {
    const char *tenant_id;
    const char *user;   /* NULL = not judged: everything is visible and writable */
    const char *parent; /* with parent_column */
};

struct table_access {
    bool visible, writable;
};

/* One row by the key of a path. values gets column_count values, text in the arena. DB_ROW found, DB_OK not;
 * access (may be NULL) tells what the user of the view may do. */
enum db_rc table_find(struct db *db, struct arena *a, struct table *t, const struct table_view *view, const char *key,
                      struct db_value *values, struct table_access *access);
/* The same by id, whatever the key of paths is. */
enum db_rc table_find_id(struct db *db, struct arena *a, struct table *t, const struct table_view *view,
                         const char *id, struct db_value *values, struct table_access *access);

/* All columns that are neither computed nor the house's, in order. DB_CONSTRAINT: a UNIQUE key is taken (other
 * constraints are DB_ERROR). */
enum db_rc table_insert(struct db *db, struct table *t, const struct table_view *view, const char *id,
                        const char *now, const struct db_value *values);
/* The columns whose bit is set in mask; updated_at becomes now. */
enum db_rc table_update(struct db *db, struct table *t, const struct table_view *view, const char *id, uint64_t mask,
                        const char *now, const struct db_value *values);
enum db_rc table_delete(struct db *db, struct table *t, const struct table_view *view, const char *id);

struct table_query {
    struct table_view view;
    const char *filters[TABLE_FILTERS_MAX]; /* NULL = not filtered */
    const char *before;                     /* id of the row the page begins after; NULL = the first page */
    int64_t limit;                          /* -1 = all */
    int64_t offset;
};
/* Calls each for every row; text of the values lives until each returns. */
enum db_rc table_list(struct db *db, struct table *t, const struct table_query *q,
                      void (*each)(void *ctx, const struct db_value *values), void *ctx);
/* Rows matching without paging, exact up to TOTAL_CAP (*capped beyond). */
enum db_rc table_count(struct db *db, struct table *t, const struct table_query *q, int64_t *total, bool *capped);

#endif

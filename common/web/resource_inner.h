/* What the files of the resource layer share. Private to common/web/resource*.c. */
#ifndef CLAWGATE_WEB_RESOURCE_INNER_H
#define CLAWGATE_WEB_RESOURCE_INNER_H

#include "web/resource.h"

#define SECRET_MASK "***"

static inline bool field_is_secret(const struct field *f)
{
    return f->kind == FIELD_SECRET || f->kind == FIELD_SECRET_MAP;
}

/* Bodies cannot set it. */
static inline bool field_is_fixed(const struct field *f)
{
    return f->sql != NULL || (f->flags & (FIELD_READ_ONLY | FIELD_CALLER | FIELD_HOUSE)) != 0;
}

static inline struct db_value value_text(const char *s)
{
    return (struct db_value){.type = s != NULL ? DB_TEXT : DB_NULL, .text = s};
}

static inline struct db_value value_int(int64_t n)
{
    return (struct db_value){.type = DB_INT, .n = n};
}

/* resource.c ---------------------------------------------------------------- */
/* The made table; NULL when there is no memory. */
struct table *resource_table(const struct resource *r);
/* The names of the fields as an answer shows them: ,"name": (text NULL where there was no memory). NULL: none. */
struct label {
    const char *text;
    size_t len;
};
const struct label *resource_labels(const struct resource *r);
/* Of the caller: tenant and the user rows are judged for. */
struct table_view resource_view(const struct request *req, const struct resource *r, const char *parent);
const char *json_text(struct arena *a, json_object *o);
/* "a|b=c|d": takes the next entry off *list; false at its end. */
struct word {
    const char *text;
    int len;
    const char *means; /* after the '=', else text */
    int means_len;
};
bool word_next(const char **list, struct word *out);

/* Bits of the stored fields whose value in e->now differs from e->old. */
uint64_t edit_compare(const struct edit *e);

/* resource_read.c ----------------------------------------------------------- */
struct edit *edit_new(struct request *req, enum edit_action action);
/* What the caller wanted to do, for messages: "PUT /v1/agents/one". */
const char *action_of(const struct request *req);
/* Steps 9 to 11 of contract 01 §0: ids, the parent, and with `out` the row. false with a fault. */
bool edit_find(struct edit *e, struct db *db, enum access access, struct record *out);

/* resource_schema.c --------------------------------------------------------- */
/* For resource_labels. */
const struct label *labels_make(const struct resource *r);

/* resource_fields.c --------------------------------------------------------- */
/* The preset of a field. */
struct db_value field_preset(const struct field *f);
/* The whole body into e->input and e->given: types, limits, presets on create. false with a fault. */
bool fields_read(struct edit *e);

/* resource_secret.c --------------------------------------------------------- */
/* Stored text in clear: NULL stays NULL; false when it cannot be decrypted. */
bool secret_open(const struct request *req, const struct field *f, const char *stored, const char **plain);
/* What is stored for a text in clear; NULL when it is too large. */
const char *secret_close(const struct request *req, const struct field *f, const char *plain);
/* e->input of a map whose values may be the mask: the stored values come back. false with a fault. */
bool secret_merge(struct edit *e, size_t i);
/* The member of a secret field in an answer. */
void secret_write(struct jsonw *w, const struct record *r, const struct field *f, const struct db_value *v);

#endif

/* From the body to values: types, limits, presets (contract 01 §12.8). */
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "web/resource_inner.h"

/* ---- presets ---- */

struct db_value field_preset(const struct field *f)
{
    if (f->preset == NULL && (f->flags & FIELD_NULLABLE) != 0)
        return value_text(NULL);
    const char *p = f->preset;
    switch (f->kind) {
    case FIELD_INTEGER:
        return value_int(p != NULL ? strtoll(p, NULL, 10) : 0);
    case FIELD_BOOL:
        return value_int(p != NULL && strcmp(p, "true") == 0);
    case FIELD_NUMBER:
        return (struct db_value){.type = DB_NUM, .d = p != NULL ? strtod(p, NULL) : 0};
    case FIELD_OBJECT:
    case FIELD_SECRET_MAP:
        return value_text(p != NULL ? p : "{}");
    case FIELD_TEXTS:
        return value_text(p != NULL ? p : "[]");
    default:
        return value_text(p != NULL ? p : "");
    }
}

/* ---- refusals ---- */

static bool refuse(struct edit *e, const struct field *f, enum message_id message, const char *arg)
{
    return edit_refuse(e, FAULT_INVALID, message, f->name, f->name, arg);
}

static bool too_long(struct edit *e, const struct field *f, int64_t max, const char *unit)
{
    return refuse(e, f, MSG_too_long, arena_printf(e->req->arena, "%lld %s", (long long)max, unit));
}

/* ---- text ---- */

static bool in_class(const char *class, char c)
{
    for (; *class != '\0'; class++) {
        if (class[1] == '-' && class[2] != '\0') {
            if (c >= class[0] && c <= class[2])
                return true;
            class += 2;
        } else if (*class == c) {
            return true;
        }
    }
    return false;
}

static const char *trimmed(struct arena *a, const char *s)
{
    s += strspn(s, " \t\r\n");
    size_t n = strlen(s);
    while (n > 0 && strchr(" \t\r\n", s[n - 1]) != NULL)
        n--;
    return arena_strndup(a, s, n);
}

static bool text_limits(struct edit *e, const struct field *f, const char *s)
{
    bool bytes = (f->flags & FIELD_BYTES) != 0 || f->kind == FIELD_SECRET;
    int64_t n = (int64_t)(bytes ? strlen(s) : utf8_count(s, strlen(s)));
    const char *unit = bytes ? "bytes" : "characters";
    if (n == 0 && ((f->flags & FIELD_REQUIRED) != 0 || f->min > 0))
        return refuse(e, f, MSG_required, NULL);
    if (n < f->min)
        return refuse(e, f, MSG_must_be, arena_printf(e->req->arena, "at least %lld %s", (long long)f->min, unit));
    if (f->max > 0 && n > f->max)
        return too_long(e, f, f->max, unit);
    for (const char *c = f->allowed != NULL ? s : ""; *c != '\0'; c++)
        if (!in_class(f->allowed, *c))
            return refuse(e, f, MSG_must_be, arena_printf(e->req->arena, "made of the characters %s", f->allowed));
    return true;
}

static bool read_enum(struct edit *e, const struct field *f, const char *s, struct db_value *v)
{
    struct buf *names = buf_new(e->req->arena, 4096);
    const char *list = f->values;
    for (struct word word; word_next(&list, &word);) {
        if (strlen(s) == (size_t)word.len && strncmp(s, word.text, (size_t)word.len) == 0) {
            *v = value_text(arena_strndup(e->req->arena, word.means, (size_t)word.means_len));
            return true;
        }
        if (word.means == word.text)
            buf_addf(names, "%s%.*s", names->len > 0 ? ", " : "", word.len, word.text);
    }
    return refuse(e, f, MSG_must_be_one_of, buf_str(names));
}

static bool read_time(struct edit *e, const struct field *f, const char *s, struct db_value *v)
{
    int64_t ms;
    if (!time_parse(s, &ms))
        return refuse(e, f, MSG_must_be, "a time (RFC 3339)");
    char *text = arena_alloc(e->req->arena, TIME_TEXT_SIZE);
    time_format(ms, text);
    *v = value_text(text);
    return true;
}

static bool read_uuid(struct edit *e, const struct field *f, const char *s, struct db_value *v)
{
    char *id = arena_alloc(e->req->arena, UUID_SIZE);
    if (!uuid_parse(s, id))
        return edit_refuse(e, FAULT_INVALID, MSG_invalid_id, f->name, f->name, NULL);
    *v = value_text(id);
    return true;
}

static bool read_text(struct edit *e, const struct field *f, json_object *in, struct db_value *v)
{
    if (!json_object_is_type(in, json_type_string))
        return refuse(e, f, MSG_must_be_string, NULL);
    const char *s = json_object_get_string(in);
    if (f->flags & FIELD_TRIM)
        s = trimmed(e->req->arena, s);
    *v = value_text(s);
    bool text = f->kind == FIELD_TEXT || f->kind == FIELD_SECRET;
    if (*s == '\0' && !text) {
        if (f->flags & (FIELD_REQUIRED | FIELD_NO_NULL))
            return refuse(e, f, MSG_required, NULL);
        *v = field_preset(f);
        return true;
    }
    switch (f->kind) {
    case FIELD_SLUG:
        if (f->max > 0 && utf8_count(s, strlen(s)) > (size_t)f->max)
            return too_long(e, f, f->max, "characters");
        return slug_valid(s) || refuse(e, f, MSG_invalid_slug, NULL);
    case FIELD_ENUM:
        return read_enum(e, f, s, v);
    case FIELD_USER:
        return utf8_user_id_valid(s, strlen(s)) ||
               edit_refuse(e, FAULT_INVALID, MSG_invalid_user_id, f->name, NULL, NULL);
    case FIELD_UUID:
        return read_uuid(e, f, s, v);
    case FIELD_TIME:
        return read_time(e, f, s, v);
    default:
        return text_limits(e, f, s);
    }
}

/* ---- numbers ---- */

static bool in_range(struct edit *e, const struct field *f, double n)
{
    struct arena *a = e->req->arena;
    bool low = n < (double)f->min, high = f->max > 0 && n > (double)f->max;
    if ((!low && !high) || (f->min == 0 && f->max == 0))
        return true;
    if (f->max == 0)
        return refuse(e, f, MSG_must_be, arena_printf(a, "at least %lld", (long long)f->min));
    edit_refuse(e, FAULT_INVALID, MSG_must_be_between, f->name, f->name, arena_printf(a, "%lld", (long long)f->min));
    e->change.fault.args[2] = arena_printf(a, "%lld", (long long)f->max);
    return false;
}

static bool low_is_preset(const struct edit *e, const struct field *f)
{
    return (f->flags & FIELD_LOW_IS_PRESET) != 0 ||
           ((f->flags & FIELD_LOW_IS_PRESET_ON_CREATE) != 0 && e->action == EDIT_CREATE);
}

static bool read_number(struct edit *e, const struct field *f, json_object *in, struct db_value *v)
{
    bool whole = json_object_is_type(in, json_type_int);
    if (f->kind == FIELD_INTEGER && !whole)
        return refuse(e, f, MSG_must_be_integer, NULL);
    if (!whole && !json_object_is_type(in, json_type_double))
        return refuse(e, f, MSG_must_be_number, NULL);
    double n = json_object_get_double(in);
    *v = f->kind == FIELD_INTEGER ? value_int(json_object_get_int64(in)) : (struct db_value){.type = DB_NUM, .d = n};
    if (n < (double)f->min && low_is_preset(e, f)) {
        *v = field_preset(f);
        return true;
    }
    return in_range(e, f, n);
}

/* ---- structures ---- */

static bool read_object(struct edit *e, const struct field *f, json_object *in, struct db_value *v)
{
    if (!json_object_is_type(in, json_type_object))
        return refuse(e, f, MSG_must_be_object, NULL);
    *v = value_text(json_text(e->req->arena, in));
    return f->max == 0 || strlen(v->text) <= (size_t)f->max || too_long(e, f, f->max, "bytes");
}

static bool read_texts(struct edit *e, const struct field *f, json_object *in, struct db_value *v)
{
    if (!json_object_is_type(in, json_type_array))
        return refuse(e, f, MSG_must_be_array, NULL);
    size_t n = json_object_array_length(in);
    struct db_value word;
    if (n == 0 && (f->flags & FIELD_REQUIRED) != 0)
        return refuse(e, f, MSG_required, NULL);
    if (f->max > 0 && n > (size_t)f->max)
        return refuse(e, f, MSG_too_many, arena_printf(e->req->arena, "%lld", (long long)f->max));
    for (size_t i = 0; i < n; i++) {
        json_object *item = json_object_array_get_idx(in, i);
        if (!json_object_is_type(item, json_type_string))
            return refuse(e, f, MSG_must_be, "an array of strings");
        if (f->item_max > 0 && json_object_get_string_len(item) > f->item_max)
            return too_long(e, f, f->item_max, "bytes each");
        if (f->values != NULL && !read_enum(e, f, json_object_get_string(item), &word))
            return false;
    }
    *v = value_text(json_text(e->req->arena, in));
    return true;
}

static bool read_map(struct edit *e, const struct field *f, json_object *in, struct db_value *v)
{
    struct arena *a = e->req->arena;
    if (!json_object_is_type(in, json_type_object))
        return refuse(e, f, MSG_must_be_object, NULL);
    if (f->max > 0 && json_object_object_length(in) > f->max)
        return refuse(e, f, MSG_too_many, arena_printf(a, "%lld", (long long)f->max));
    json_object_object_foreach(in, name, value)
    {
        if (!json_object_is_type(value, json_type_string))
            return edit_refuse(e, FAULT_INVALID, MSG_must_be_string, f->name, arena_printf(a, "%s.%s", f->name, name),
                               NULL);
    }
    *v = value_text(json_text(a, in));
    return f->item_max == 0 || strlen(v->text) <= (size_t)f->item_max || too_long(e, f, f->item_max, "bytes");
}

static bool read_value(struct edit *e, const struct field *f, json_object *in, struct db_value *v)
{
    switch (f->kind) {
    case FIELD_INTEGER:
    case FIELD_NUMBER:
        return read_number(e, f, in, v);
    case FIELD_BOOL:
        *v = value_int(json_object_get_boolean(in) != 0);
        return json_object_is_type(in, json_type_boolean) || refuse(e, f, MSG_must_be_boolean, NULL);
    case FIELD_OBJECT:
        return read_object(e, f, in, v);
    case FIELD_TEXTS:
        return read_texts(e, f, in, v);
    case FIELD_SECRET_MAP:
        return read_map(e, f, in, v);
    default:
        return read_text(e, f, in, v);
    }
}

/* ---- one field, all fields ---- */

static bool member(const struct edit *e, const struct field *f, json_object **in)
{
    if (json_object_object_get_ex(e->body, f->name, in))
        return true;
    const char *list = f->aliases;
    for (struct word word; word_next(&list, &word);)
        if (json_object_object_get_ex(e->body, arena_strndup(e->req->arena, word.text, (size_t)word.len), in))
            return true;
    return false;
}

static bool read_null(struct edit *e, const struct field *f, struct db_value *v)
{
    bool create = e->action == EDIT_CREATE;
    if (f->flags & FIELD_REQUIRED)
        return refuse(e, f, create ? MSG_required : MSG_must_not_be_null, NULL);
    if (!create && (f->flags & FIELD_NO_NULL) != 0)
        return refuse(e, f, MSG_must_not_be_null, NULL);
    *v = (f->flags & FIELD_NULLABLE) != 0 ? value_text(NULL) : field_preset(f);
    return true;
}

/* A masked or empty secret keeps what is stored; there is nothing to keep on create. */
static bool secret_kept(struct edit *e, const struct field *f, const struct db_value *v, bool *kept)
{
    bool mask = f->kind == FIELD_SECRET && strcmp(v->text, SECRET_MASK) == 0;
    if (mask && e->action == EDIT_CREATE)
        return refuse(e, f, MSG_secret_mask, NULL);
    *kept = e->action == EDIT_UPDATE && f->kind == FIELD_SECRET && (mask || v->text[0] == '\0');
    return true;
}

static struct db_value untold(const struct edit *e, const struct field *f)
{
    if ((f->flags & FIELD_CALLER) != 0 && e->req->who.user != NULL)
        return value_text(e->req->who.user);
    return field_preset(f);
}

static bool field_read(struct edit *e, size_t i)
{
    const struct field *f = &e->resource->fields[i];
    struct db_value *v = &e->input[i];
    json_object *in = NULL;
    bool create = e->action == EDIT_CREATE;
    bool fixed = field_is_fixed(f) || (!create && (f->flags & FIELD_CREATE_ONLY) != 0);
    if (fixed || !member(e, f, &in)) {
        if (create && !fixed && (f->flags & FIELD_REQUIRED) != 0)
            return refuse(e, f, MSG_required, NULL);
        *v = create ? untold(e, f) : value_text(NULL);
        return true;
    }
    bool kept = false;
    if (in == NULL ? !read_null(e, f, v) : !read_value(e, f, in, v))
        return false;
    if (in != NULL && field_is_secret(f) && !secret_kept(e, f, v, &kept))
        return false;
    if (kept)
        return true;
    e->given |= (uint64_t)1 << i;
    return in == NULL || f->check == NULL || f->check(e, f, v, in);
}

/* What is no column stays in the body, judged; null counts as absent. */
static bool input_read(struct edit *e, const struct field *f)
{
    json_object *in = NULL;
    struct db_value v;
    bool late = e->action != EDIT_CREATE && (f->flags & FIELD_CREATE_ONLY) != 0;
    if (late || !member(e, f, &in) || in == NULL)
        return true;
    return read_value(e, f, in, &v) && (f->check == NULL || f->check(e, f, &v, in));
}

static bool is_name_of(const struct field *f, const char *name)
{
    if (strcmp(f->name, name) == 0)
        return true;
    const char *list = f->aliases;
    for (struct word word; word_next(&list, &word);)
        if (strlen(name) == (size_t)word.len && strncmp(name, word.text, (size_t)word.len) == 0)
            return true;
    return false;
}

/* Contract 01 §12.7: unknown members of an update are dropped, and that is told. */
static void unknown_tell(const struct edit *e)
{
    json_object_object_foreach(e->body, name, value)
    {
        (void)value;
        size_t i = 0;
        while (i < e->resource->field_count && !is_name_of(&e->resource->fields[i], name))
            i++;
        size_t k = 0;
        while (k < e->resource->input_count && !is_name_of(&e->resource->inputs[k], name))
            k++;
        if (i == e->resource->field_count && k == e->resource->input_count)
            log_event(LOG_INFO, 3112, "security.filtered_unknown_field", LOG_S, "request_id", e->req->id, LOG_S,
                      "resource", e->resource->name, LOG_S, "field", name, LOG_END);
    }
}

bool fields_read(struct edit *e)
{
    for (size_t i = 0; i < e->resource->field_count; i++)
        if (!field_read(e, i))
            return false;
    for (size_t i = 0; i < e->resource->input_count; i++)
        if (!input_read(e, &e->resource->inputs[i]))
            return false;
    if (e->action == EDIT_UPDATE)
        unknown_tell(e);
    return true;
}

/* What a resource looks like from outside: names in answers; JSON schema and lists, for --describe. */
#include "web/resource_inner.h"

const struct label *labels_make(const struct resource *r)
{
    struct label *labels = calloc(r->field_count, sizeof *labels);
    for (size_t i = 0; labels != NULL && i < r->field_count; i++) {
        char *text = NULL;
        int n = asprintf(&text, ",\"%s\":", r->fields[i].name);
        if (n > 0)
            labels[i] = (struct label){text, (size_t)n};
    }
    return labels;
}

static const char *type_name(const struct field *f)
{
    switch (f->kind) {
    case FIELD_INTEGER:
        return "integer";
    case FIELD_NUMBER:
        return "number";
    case FIELD_BOOL:
        return "boolean";
    case FIELD_OBJECT:
    case FIELD_SECRET_MAP:
        return "object";
    case FIELD_TEXTS:
        return "array";
    default:
        return "string";
    }
}

static const char *format_name(const struct field *f)
{
    switch (f->kind) {
    case FIELD_UUID:
        return "uuid";
    case FIELD_TIME:
        return "date-time";
    case FIELD_SECRET:
        return "password";
    default:
        return NULL;
    }
}

static void words_write(struct jsonw *w, const char *key, const char *list)
{
    if (list == NULL)
        return;
    jw_karr(w, key);
    for (struct word word; word_next(&list, &word);)
        if (word.means == word.text)
            jw_strn(w, word.text, (size_t)word.len);
    jw_arr_end(w);
}

static void positive(struct jsonw *w, const char *key, int64_t n)
{
    if (n > 0)
        jw_kint(w, key, n);
}

static void limits_write(struct jsonw *w, const struct field *f)
{
    bool text = f->kind == FIELD_TEXT || f->kind == FIELD_SLUG;
    bool number = f->kind == FIELD_INTEGER || f->kind == FIELD_NUMBER;
    bool low = (f->flags & (FIELD_LOW_IS_PRESET | FIELD_LOW_IS_PRESET_ON_CREATE)) != 0;
    bool required_text = text && (f->flags & FIELD_REQUIRED) != 0 && f->min == 0;
    if (text || f->kind == FIELD_SECRET) {
        positive(w, "minLength", required_text ? 1 : f->min);
        positive(w, "maxLength", f->max); /* never less than a limit in bytes lets through */
    }
    if (f->kind == FIELD_USER)
        jw_kint(w, "maxLength", 255);
    if (number && !low && (f->min != 0 || f->max != 0))
        jw_kint(w, "minimum", f->min);
    if (number)
        positive(w, "maximum", f->max);
    if (f->kind == FIELD_TEXTS) {
        positive(w, "minItems", (f->flags & FIELD_REQUIRED) != 0);
        positive(w, "maxItems", f->max);
    }
    if (f->kind == FIELD_SECRET_MAP)
        positive(w, "maxProperties", f->max);
    if (f->kind == FIELD_OBJECT)
        positive(w, "x-max-bytes", f->max);
}

static void shape_write(struct jsonw *w, const struct field *f)
{
    if (f->kind == FIELD_SLUG)
        jw_kstr(w, "pattern", "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$");
    if (f->allowed != NULL) {
        char pattern[200];
        snprintf(pattern, sizeof pattern, "^[%s]*$", f->allowed);
        jw_kstr(w, "pattern", pattern);
    }
    if (f->kind == FIELD_ENUM)
        words_write(w, "enum", f->values);
    if (f->kind == FIELD_SECRET_MAP || f->kind == FIELD_TEXTS) {
        jw_kobj(w, f->kind == FIELD_TEXTS ? "items" : "additionalProperties");
        jw_kstr(w, "type", "string");
        words_write(w, "enum", f->values);
        jw_obj_end(w);
    }
}

static void default_write(struct jsonw *w, const struct field *f)
{
    if (f->preset == NULL || field_is_fixed(f))
        return;
    if (strcmp(type_name(f), "string") == 0)
        jw_kstr(w, "default", f->preset);
    else
        jw_kraw(w, "default", f->preset);
}

/* A column, a member of bodies alone, or one of the 201 answer alone. */
enum place { PLACE_COLUMN, PLACE_INPUT, PLACE_ONCE };

static void property_write(struct jsonw *w, const struct field *f, enum place place)
{
    jw_kobj(w, f->name);
    jw_kstr(w, "type", type_name(f));
    jw_kopt(w, "format", format_name(f));
    jw_kopt(w, "description", f->doc);
    limits_write(w, f);
    shape_write(w, f);
    default_write(w, f);
    if (f->flags & FIELD_NULLABLE)
        jw_kbool(w, "nullable", true);
    if (field_is_fixed(f) || place == PLACE_ONCE)
        jw_kbool(w, "readOnly", true);
    if (f->flags & FIELD_HIDDEN)
        jw_kbool(w, "writeOnly", true);
    if (place == PLACE_INPUT)
        jw_kbool(w, "x-input", true);
    if (place == PLACE_ONCE)
        jw_kbool(w, "x-once", true);
    if (f->flags & FIELD_CREATE_ONLY)
        jw_kbool(w, "x-create-only", true);
    words_write(w, "x-aliases", f->aliases);
    jw_obj_end(w);
}

static void list_write(struct jsonw *w, const struct resource *r)
{
    jw_kobj(w, "list");
    jw_kstr(w, "key", r->list_key);
    jw_kint(w, "limit", r->page_limit);
    jw_kint(w, "limit_max", r->page_max > 0 ? r->page_max : 200);
    jw_kbool(w, "before", r->page_before);
    jw_karr(w, "filters");
    for (size_t i = 0; i < r->filter_count; i++) {
        jw_obj(w);
        jw_kstr(w, "name", r->filters[i].query);
        jw_kstr(w, "type", type_name(&(struct field){.kind = r->filters[i].kind}));
        jw_kopt(w, "format", format_name(&(struct field){.kind = r->filters[i].kind}));
        jw_kopt(w, "description", r->filters[i].doc);
        jw_obj_end(w);
    }
    jw_arr_end(w);
    jw_obj_end(w);
}

void resource_describe(struct jsonw *w, const struct resource *r)
{
    static const char *const delete_answers[] = {
        [DELETE_STATUS_ID] = "status_id", [DELETE_STATUS] = "status", [DELETE_OK_TRUE] = "ok"};
    jw_obj(w);
    jw_kstr(w, "noun", r->noun);
    jw_kobj(w, "schema");
    jw_kstr(w, "type", "object");
    jw_kstr(w, "description", r->doc);
    jw_kobj(w, "properties");
    for (size_t i = 0; i < r->field_count; i++)
        if ((r->fields[i].flags & FIELD_HIDDEN) == 0 || !field_is_fixed(&r->fields[i]))
            property_write(w, &r->fields[i], PLACE_COLUMN);
    for (size_t i = 0; i < r->input_count; i++)
        property_write(w, &r->inputs[i], PLACE_INPUT);
    for (size_t i = 0; i < r->once_count; i++)
        property_write(w, &r->once[i], PLACE_ONCE);
    jw_obj_end(w);
    jw_karr(w, "required");
    for (size_t i = 0; i < r->field_count; i++)
        if (r->fields[i].flags & FIELD_REQUIRED)
            jw_str(w, r->fields[i].name);
    jw_arr_end(w);
    jw_obj_end(w);
    list_write(w, r);
    jw_kstr(w, "put_answer", r->put_answer == PUT_OK_TRUE ? "ok" : "status");
    jw_kstr(w, "delete_answer", delete_answers[r->delete_answer]);
    jw_obj_end(w);
}

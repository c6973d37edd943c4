/* Secrets: encrypted when stored, masked when shown (contract 01 §11). */
#include "base/crypto.h"
#include "web/resource_inner.h"

/* A map's token is kept as a JSON string literal, an empty map as {}. */
static const char *unquoted(struct arena *a, const char *stored)
{
    size_t n = strlen(stored);
    return n >= 2 && stored[0] == '"' && stored[n - 1] == '"' ? arena_strndup(a, stored + 1, n - 2) : stored;
}

bool secret_open(const struct request *req, const struct field *f, const char *stored, const char **plain)
{
    *plain = stored;
    if (stored == NULL)
        return true;
    const char *token = f->kind == FIELD_SECRET_MAP ? unquoted(req->arena, stored) : stored;
    *plain = crypto_decrypt(req->arena, &req->gw->config->keys, token);
    return *plain != NULL;
}

const char *secret_close(const struct request *req, const struct field *f, const char *plain)
{
    bool map = f->kind == FIELD_SECRET_MAP;
    if (map && strcmp(plain, "{}") == 0)
        return plain;
    const char *token = crypto_encrypt(req->arena, &req->gw->config->keys, plain);
    return map && token != NULL ? arena_printf(req->arena, "\"%s\"", token) : token;
}

static bool is_mask(json_object *value)
{
    return strcmp(json_object_get_string(value), SECRET_MASK) == 0;
}

bool secret_merge(struct edit *e, size_t i)
{
    const struct field *f = &e->resource->fields[i];
    struct arena *a = e->req->arena;
    const char *text = e->input[i].text;
    json_object *given = json_parse(a, text, strlen(text), 0, NULL);
    json_object *stored = NULL;
    if (given == NULL)
        return edit_refuse(e, FAULT_INTERNAL, MSG_internal, f->name, "map", NULL);
    json_object_object_foreach(given, name, value)
    {
        if (!is_mask(value))
            continue;
        if (e->action == EDIT_UPDATE && (e->unreadable >> i & 1) != 0)
            return edit_refuse(e, FAULT_STATE, MSG_decrypt_failed, f->name, f->name, NULL);
        if (stored == NULL && e->old != NULL && e->old[i].text != NULL)
            stored = json_parse(a, e->old[i].text, strlen(e->old[i].text), 0, NULL);
        const char *kept = json_str(stored, name);
        if (kept == NULL)
            return edit_refuse(e, FAULT_INVALID, MSG_secret_mask, f->name, arena_printf(a, "%s.%s", f->name, name),
                               NULL);
        json_object_object_add_ex(given, name, json_object_new_string(kept), 0);
    }
    e->now[i] = value_text(json_text(a, given));
    if (f->item_max > 0 && strlen(e->now[i].text) > (size_t)f->item_max)
        return edit_refuse(e, FAULT_INVALID, MSG_too_long, f->name, f->name,
                           arena_printf(a, "%lld bytes", (long long)f->item_max));
    return true;
}

static void map_write(struct jsonw *w, const struct record *r, const struct field *f, const char *stored)
{
    const char *plain;
    bool readable = secret_open(r->req, f, stored, &plain);
    json_object *map = readable && plain != NULL ? json_parse(r->req->arena, plain, strlen(plain), 0, NULL) : NULL;
    jw_kobj(w, f->name);
    if (!readable)
        jw_kstr(w, SECRET_MASK, SECRET_MASK);
    if (json_object_is_type(map, json_type_object)) {
        json_object_object_foreach(map, name, value)
        {
            (void)value;
            jw_kstr(w, name, SECRET_MASK);
        }
    }
    jw_obj_end(w);
}

void secret_write(struct jsonw *w, const struct record *r, const struct field *f, const struct db_value *v)
{
    bool empty = v->type != DB_TEXT || v->text[0] == '\0' || strcmp(v->text, "{}") == 0;
    if (f->kind == FIELD_SECRET_MAP && empty)
        jw_kraw(w, f->name, "{}");
    else if (f->kind == FIELD_SECRET_MAP)
        map_write(w, r, f, v->text);
    else if (!empty)
        jw_kstr(w, f->name, SECRET_MASK);
}

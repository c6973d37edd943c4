#include "openapi.h"

enum { TEXT_MAX = 64 * 1024 };

json_object *tree(const char *fmt, ...)
{
    struct buf text = BUF_INIT(TEXT_MAX);
    struct json_fault fault = {"out of room", 0};
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(&text, fmt, ap);
    va_end(ap);
    json_object *o = text.failed ? NULL : json_parse_owned(buf_str(&text), text.len, 0, &fault);
    if (o == NULL) {
        fprintf(stderr, "openapi: %s at %zu of %s\n", fault.reason, fault.offset, buf_str(&text));
        abort();
    }
    buf_release(&text);
    return o;
}

json_object *tree_copy(json_object *o)
{
    json_object *copy = NULL;
    if (json_object_deep_copy(o, &copy, NULL) != 0)
        abort();
    return copy;
}

json_object *tree_text(const char *s)
{
    return json_object_new_string(s);
}

json_object *tree_child(json_object *o, const char *key)
{
    json_object *child = json_get(o, key);
    if (child == NULL) {
        child = json_object_new_object();
        json_object_object_add(o, key, child);
    }
    return child;
}

static void append_all(json_object *to, json_object *from)
{
    for (size_t i = 0; i < json_object_array_length(from); i++)
        json_object_array_add(to, tree_copy(json_object_array_get_idx(from, i)));
}

void tree_merge(json_object *to, json_object *from)
{
    json_object_object_foreach(from, key, value) {
        json_object *old = json_get(to, key);
        if (value == NULL)
            json_object_object_del(to, key);
        else if (json_object_is_type(old, json_type_object) && json_object_is_type(value, json_type_object))
            tree_merge(old, value);
        else if (json_object_is_type(old, json_type_array) && strcmp(key, "parameters") == 0)
            append_all(old, value);
        else
            json_object_object_add(to, key, tree_copy(value));
    }
}

json_object *tree_resolve(json_object *document, json_object *o)
{
    const char *ref = json_str(o, "$ref");
    if (ref == NULL || strncmp(ref, "#/", 2) != 0)
        return o;
    json_object *at = document;
    for (const char *p = ref + 2; at != NULL && *p != '\0';) {
        char name[200];
        size_t n = strcspn(p, "/");
        snprintf(name, sizeof name, "%.*s", (int)n, p);
        at = json_get(at, name);
        p += n + (p[n] == '/');
    }
    return at;
}

const char *tree_ref_name(json_object *o)
{
    const char *ref = json_str(o, "$ref");
    const char *slash = ref != NULL ? strrchr(ref, '/') : NULL;
    return slash != NULL ? slash + 1 : NULL;
}

/* Does a tree of plain structs say what json-c's objects say? */
#ifndef CLAWGATE_TEST_JSON_NODES_H
#define CLAWGATE_TEST_JSON_NODES_H

#include <locale.h>

#include "base/json_tree.h"

static bool nodes_equal(const struct json_node *n, json_object *o);

static inline bool members_equal(const struct json_node *n, json_object *o)
{
    size_t count = 0;
    for (const struct json_node *m = n->first; m; m = m->next, count++) {
        json_object *value = NULL;
        if (!m->key || !json_object_object_get_ex(o, m->key, &value) || !nodes_equal(m, value))
            return false;
        if (json_node_get(n, m->key) != (value ? m : NULL))
            return false;
    }
    return count == (size_t)json_object_object_length(o);
}

static inline bool elements_equal(const struct json_node *n, json_object *o)
{
    size_t i = 0;
    for (const struct json_node *e = n->first; e; e = e->next, i++)
        if (e->key || i == json_object_array_length(o) || !nodes_equal(e, json_object_array_get_idx(o, i)))
            return false;
    return i == json_object_array_length(o);
}

static inline double node_double(const char *text)
{
    static locale_t c;
    if (!c)
        c = newlocale(LC_ALL_MASK, "C", NULL);
    return strtod_l(text, NULL, c);
}

static bool nodes_equal(const struct json_node *n, json_object *o)
{
    switch (json_object_get_type(o)) {
    case json_type_null:
        return json_node_is(n, JSON_NULL);
    case json_type_boolean:
        return json_node_is(n, json_object_get_boolean(o) ? JSON_TRUE : JSON_FALSE);
    case json_type_int:
        return json_node_is(n, JSON_INTEGER) && strlen(n->text) == n->len &&
               strtoll(n->text, NULL, 10) == json_object_get_int64(o);
    case json_type_double: {
        double a = json_node_is(n, JSON_DOUBLE) && strlen(n->text) == n->len ? node_double(n->text) : 0.5;
        double b = json_object_get_double(o);
        return memcmp(&a, &b, sizeof a) == 0;
    }
    case json_type_string:
        return json_node_is(n, JSON_STRING) && n->len == (size_t)json_object_get_string_len(o) &&
               memcmp(n->text, json_object_get_string(o), n->len + 1) == 0;
    case json_type_array:
        return json_node_is(n, JSON_ARRAY) && n->text[0] == '[' && n->text[n->len - 1] == ']' && elements_equal(n, o);
    case json_type_object:
        return json_node_is(n, JSON_OBJECT) && n->text[0] == '{' && n->text[n->len - 1] == '}' && members_equal(n, o);
    }
    return false;
}

#endif

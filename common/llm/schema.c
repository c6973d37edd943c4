#include "llm/schema.h"

enum { DEPTH_MAX = 64 };

enum place { PLACE_SCHEMA, PLACE_NAMED, PLACE_DATA };

/* What the value of this keyword is: a schema or a list of them, schemas by names of the author's, or mere data. */
static enum place place_of(const char *keyword)
{
    static const struct {
        const char *keyword;
        enum place place;
    } places[] = {
        {"properties", PLACE_NAMED}, {"patternProperties", PLACE_NAMED}, {"dependentSchemas", PLACE_NAMED},
        {"$defs", PLACE_NAMED},      {"definitions", PLACE_NAMED},       {"enum", PLACE_DATA},
        {"const", PLACE_DATA},       {"default", PLACE_DATA},            {"examples", PLACE_DATA},
    };
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (strcmp(places[i].keyword, keyword) == 0)
            return places[i].place;
    return PLACE_SCHEMA;
}

static void drop(json_object *o, enum place place, const char *const *unwanted, int depth)
{
    if (place == PLACE_DATA || depth == DEPTH_MAX)
        return;
    if (json_object_is_type(o, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(o); i++)
            drop(json_object_array_get_idx(o, i), PLACE_SCHEMA, unwanted, depth + 1);
        return;
    }
    if (!json_object_is_type(o, json_type_object))
        return;
    for (const char *const *keyword = unwanted; place == PLACE_SCHEMA && *keyword; keyword++)
        json_object_object_del(o, *keyword);
    json_object_object_foreach(o, name, value) {
        drop(value, place == PLACE_NAMED ? PLACE_SCHEMA : place_of(name), unwanted, depth + 1);
    }
}

/* A schema that is not an object, or an object without type or properties, upsets several providers. */
static json_object *read_object(const char *schema)
{
    json_object *o = schema ? json_parse_owned(schema, strlen(schema), 0, NULL) : NULL;
    if (o && !json_object_is_type(o, json_type_object)) {
        json_object_put(o);
        o = NULL;
    }
    return o ? o : json_object_new_object();
}

void schema_write(struct jsonw *w, const struct llm_tool *tool, const char *const *unwanted)
{
    if (tool->sound) {
        jw_raw(w, tool->parameters, strlen(tool->parameters));
        return;
    }
    json_object *o = read_object(tool->parameters);
    if (unwanted)
        drop(o, PLACE_SCHEMA, unwanted, 0);
    if (!json_str(o, "type"))
        json_object_object_add(o, "type", json_object_new_string("object"));
    if (!json_get(o, "properties"))
        json_object_object_add(o, "properties", json_object_new_object());
    jw_json(w, o);
    json_object_put(o);
}

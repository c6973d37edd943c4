#include "llm/schema.h"

#include <json-c/json_pointer.h>

#include "base/percent.h"

/* A few definitions can stand for a text of any length; what goes beyond becomes a plain object. */
enum { DEPTH_MAX = 64, INLINED_MAX = 1 << 20, VALUE_COST = 16 };

enum place { PLACE_SCHEMA, PLACE_NAMED, PLACE_DATA };

struct inlining {
    json_object *root;
    enum schema_taste taste;
    json_object *open[DEPTH_MAX]; /* the definitions being written, each inside the one before */
    int open_count;
    size_t inlined; /* about so many bytes */
};

/* What the value of this keyword is: a schema or a list of them, schemas by names of the author's, or mere data. */
static enum place place_of(const char *keyword)
{
    static const struct {
        const char *keyword;
        enum place place;
    } places[] = {
        {"properties", PLACE_NAMED},   {"patternProperties", PLACE_NAMED}, {"dependentSchemas", PLACE_NAMED},
        {"dependencies", PLACE_NAMED}, {"dependentRequired", PLACE_DATA},  {"enum", PLACE_DATA},
        {"const", PLACE_DATA},         {"default", PLACE_DATA},            {"examples", PLACE_DATA},
    };
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (strcmp(places[i].keyword, keyword) == 0)
            return places[i].place;
    return PLACE_SCHEMA;
}

static bool is_reference(const char *keyword)
{
    return strcmp(keyword, "$ref") == 0 || strcmp(keyword, "$defs") == 0 || strcmp(keyword, "definitions") == 0;
}

/* Several providers refuse properties without a type, or an object without properties. */
static void complete(json_object *schema)
{
    const char *type = json_str(schema, "type");
    if (!json_get(schema, "type") && json_get(schema, "properties"))
        json_object_object_add(schema, "type", json_object_new_string("object"));
    else if (type && strcmp(type, "object") == 0 && !json_get(schema, "properties"))
        json_object_object_add(schema, "properties", json_object_new_object());
}

static json_object *plain_object(void)
{
    json_object *o = json_object_new_object();
    json_object_object_add(o, "type", json_object_new_string("object"));
    complete(o);
    return o;
}

/* ---- what single providers want to be different ---- */

static bool is_refused(const char *keyword, enum schema_taste taste)
{
    enum { BOTH = SCHEMA_GEMINI | SCHEMA_XAI };
    static const struct {
        const char *keyword;
        unsigned by;
    } refusals[] = {
        {"$schema", SCHEMA_GEMINI},    {"$id", SCHEMA_GEMINI},
        {"default", SCHEMA_GEMINI},    {"examples", SCHEMA_GEMINI},
        {"pattern", SCHEMA_GEMINI},    {"patternProperties", SCHEMA_GEMINI},
        {"format", SCHEMA_GEMINI},     {"additionalProperties", SCHEMA_GEMINI},
        {"minimum", SCHEMA_GEMINI},    {"exclusiveMinimum", SCHEMA_GEMINI},
        {"maximum", SCHEMA_GEMINI},    {"exclusiveMaximum", SCHEMA_GEMINI},
        {"multipleOf", SCHEMA_GEMINI}, {"uniqueItems", SCHEMA_GEMINI},
        {"minLength", BOTH},           {"maxLength", BOTH},
        {"minItems", BOTH},            {"maxItems", BOTH},
        {"minContains", BOTH},         {"maxContains", BOTH},
    };
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        if (refusals[i].by & taste && strcmp(refusals[i].keyword, keyword) == 0)
            return true;
    return false;
}

static bool is_null_type(json_object *type)
{
    return json_object_is_type(type, json_type_string) && strcmp(json_object_get_string(type), "null") == 0;
}

/* Of a list with exactly one element that is no null, and at least one that is: that element, else NULL. */
static json_object *one_beside_null(json_object *list, bool (*is_null)(json_object *element))
{
    size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0, others = 0;
    json_object *other = NULL;
    for (size_t i = 0; i < n; i++) {
        json_object *element = json_object_array_get_idx(list, i);
        if (!is_null(element)) {
            other = element;
            others++;
        }
    }
    return others == 1 && n > 1 ? other : NULL;
}

static bool is_null_schema(json_object *schema)
{
    return is_null_type(json_get(schema, "type"));
}

/* Values are texts for Gemini; null needs no naming, and where others are among them all are allowed. */
static void fit_values(json_object *schema)
{
    json_object *values = json_get(schema, "enum");
    size_t count = json_object_is_type(values, json_type_array) ? json_object_array_length(values) : 0;
    for (size_t n = count; n-- > 0;) {
        json_object *value = json_object_array_get_idx(values, n);
        if (!value) {
            json_object_array_del_idx(values, n, 1);
        } else if (!json_object_is_type(value, json_type_string)) {
            json_object_object_del(schema, "enum");
            return;
        }
    }
    if (count > 0 && json_object_array_length(values) == 0)
        json_object_object_del(schema, "enum");
}

static json_object *text_schema(void)
{
    json_object *o = json_object_new_object();
    json_object_object_add(o, "type", json_object_new_string("string"));
    return o;
}

/* {"anyOf":[X,{"type":"null"}]} is X; what stands beside the union wins. */
static void flatten_union(json_object *schema, const char *keyword)
{
    json_object *only = one_beside_null(json_get(schema, keyword), is_null_schema);
    if (!json_object_is_type(only, json_type_object))
        return;
    json_object_get(only);
    json_object_object_del(schema, keyword);
    json_object_object_foreach(only, name, value) {
        if (!json_has(schema, name))
            json_object_object_add(schema, name, json_object_get(value));
    }
    json_object_put(only);
}

/* Gemini knows neither constants nor unions with null (a property that may be null may as well be left out), no values
 * but texts, and no lists of anything. */
static void fit_gemini(json_object *schema)
{
    json_object *required = json_get(schema, "required"), *constant;
    if (json_object_is_type(required, json_type_array) && json_object_array_length(required) == 0)
        json_object_object_del(schema, "required");
    if (json_object_object_get_ex(schema, "const", &constant)) {
        json_object *values = json_object_new_array();
        json_object_array_add(values, json_object_get(constant));
        json_object_object_add(schema, "enum", values);
        json_object_object_del(schema, "const");
    }
    flatten_union(schema, "anyOf");
    flatten_union(schema, "oneOf");
    json_object *type = one_beside_null(json_get(schema, "type"), is_null_type);
    if (type)
        json_object_object_add(schema, "type", json_object_get(type));
    fit_values(schema);
    const char *is = json_str(schema, "type");
    if (is && strcmp(is, "array") == 0 && !json_get(schema, "items"))
        json_object_object_add(schema, "items", text_schema());
}

/* ---- copying ---- */

/* "#/$defs/name" and every other place in the same schema; NULL for what is elsewhere or nowhere. */
static json_object *find(json_object *root, const char *reference)
{
    json_object *found = NULL;
    size_t n;
    if (*reference != '#')
        return NULL;
    char *path = strdup(reference + 1);
    if (path && percent_decode(path, strlen(path), false, &n) && json_pointer_get(root, path, &found) != 0)
        found = NULL;
    free(path);
    return found;
}

static json_object *copy(struct inlining *in, json_object *o, enum place place, int depth);

static bool is_open(const struct inlining *in, const json_object *target)
{
    int i = 0;
    while (i < in->open_count && in->open[i] != target)
        i++;
    return i < in->open_count;
}

static json_object *inlined(struct inlining *in, const char *reference, int depth)
{
    json_object *target = find(in->root, reference);
    if (!json_object_is_type(target, json_type_object))
        return json_object_new_object();
    if (is_open(in, target) || in->open_count == DEPTH_MAX)
        return plain_object();
    in->open[in->open_count++] = target;
    json_object *o = copy(in, target, PLACE_SCHEMA, depth);
    in->open_count--;
    return o;
}

/* What stands beside a reference adds to it. */
static json_object *copy_schema(struct inlining *in, json_object *o, int depth)
{
    const char *reference = json_str(o, "$ref");
    json_object *to = reference ? inlined(in, reference, depth + 1) : json_object_new_object();
    json_object_object_foreach(o, name, value) {
        if (!is_reference(name) && !is_refused(name, in->taste))
            json_object_object_add(to, name, copy(in, value, place_of(name), depth + 1));
    }
    if (in->taste & SCHEMA_GEMINI)
        fit_gemini(to);
    complete(to);
    return to;
}

static json_object *copy_members(struct inlining *in, json_object *o, enum place place, int depth)
{
    json_object *to = json_object_new_object();
    json_object_object_foreach(o, name, value) {
        json_object_object_add(to, name, copy(in, value, place, depth + 1));
    }
    return to;
}

static json_object *copy_elements(struct inlining *in, json_object *o, enum place place, int depth)
{
    size_t n = json_object_array_length(o);
    json_object *to = json_object_new_array();
    for (size_t i = 0; i < n; i++)
        json_object_array_add(to, copy(in, json_object_array_get_idx(o, i), place, depth + 1));
    return to;
}

/* Never changes what it copies; the caller owns the copy. */
static json_object *copy(struct inlining *in, json_object *o, enum place place, int depth)
{
    enum json_type type = json_object_get_type(o);
    if (in->open_count > 1) /* the root is not inlined */
        in->inlined += VALUE_COST + (type == json_type_string ? (size_t)json_object_get_string_len(o) : 0);
    if (type != json_type_object && type != json_type_array)
        return json_object_get(o);
    if (depth >= DEPTH_MAX || in->inlined > INLINED_MAX)
        return type == json_type_array ? json_object_new_array()
               : place == PLACE_SCHEMA ? plain_object()
                                       : json_object_new_object();
    if (type == json_type_array)
        return copy_elements(in, o, place == PLACE_DATA ? PLACE_DATA : PLACE_SCHEMA, depth);
    if (place == PLACE_SCHEMA)
        return copy_schema(in, o, depth);
    return copy_members(in, o, place == PLACE_NAMED ? PLACE_SCHEMA : PLACE_DATA, depth);
}

void schema_write(struct jsonw *w, const struct llm_tool *tool, enum schema_taste taste)
{
    if (tool->sound && taste == SCHEMA_ANY) {
        jw_raw(w, tool->parameters, strlen(tool->parameters));
        return;
    }
    json_object *root = tool->parameters ? json_parse_owned(tool->parameters, strlen(tool->parameters), 0, NULL) : NULL;
    bool object = json_object_is_type(root, json_type_object);
    struct inlining in = {.root = root, .taste = taste, .open = {root}, .open_count = 1};
    json_object *schema = object ? copy(&in, root, PLACE_SCHEMA, 0) : json_object_new_object();
    if (!json_str(schema, "type"))
        json_object_object_add(schema, "type", json_object_new_string("object"));
    if (!json_get(schema, "properties"))
        json_object_object_add(schema, "properties", json_object_new_object());
    jw_json(w, schema);
    json_object_put(schema);
    json_object_put(root);
}

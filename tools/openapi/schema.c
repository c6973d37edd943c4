/* The three faces of a resource: as it is answered, as it is created, as it is changed. */
#include "openapi.h"

enum face { FACE_ANSWER, FACE_CREATE, FACE_UPDATE };

/* Texts and maps that are stored encrypted; of all objects only those maps say what their values are. */
static bool is_secret(json_object *p)
{
    const char *format = json_str(p, "format");
    return (format != NULL && strcmp(format, "password") == 0) || json_get(p, "additionalProperties") != NULL;
}

static bool is_shown(json_object *p, enum face face)
{
    if (json_bool(p, "x-once", false))
        return false;
    if (face == FACE_ANSWER)
        return !json_bool(p, "writeOnly", false) && !json_bool(p, "x-input", false);
    if (face == FACE_UPDATE && json_bool(p, "x-create-only", false))
        return false;
    return !json_bool(p, "readOnly", false);
}

static void describe_more(json_object *p, const char *more)
{
    const char *text = json_str(p, "description");
    struct buf b = BUF_INIT(4096);
    buf_addf(&b, "%s%s%s", text != NULL ? text : "", text != NULL ? ". " : "", more);
    json_object_object_add(p, "description", tree_text(buf_str(&b)));
    buf_release(&b);
}

/* Limits and presets are about what comes in; stored rows may be older than a limit. */
static void answer_only(json_object *p)
{
    static const char *const inputs[] = {"default",  "minLength",     "maxLength",   "minimum",       "maximum",  "pattern",
                                         "minItems", "maxItems", "maxProperties", "x-max-bytes", "x-create-only", "x-aliases"};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        json_object_object_del(p, inputs[i]);
    if (!is_secret(p))
        return;
    json_object_object_del(p, "format");
    describe_more(p, "Secret: answers show \"***\"");
}

static json_object *property_new(json_object *described, enum face face)
{
    json_object *p = tree_copy(described);
    if (face == FACE_ANSWER) {
        answer_only(p);
        return p;
    }
    if (is_secret(p) || json_bool(p, "x-input", false))
        json_object_object_add(p, "writeOnly", json_object_new_boolean(true));
    json_object_object_del(p, "x-input");
    if (face == FACE_UPDATE)
        json_object_object_del(p, "default");
    return p;
}

json_object *schema_made(const char *name, json_object *resource)
{
    json_object *record = tree("{\"$ref\":\"#/components/schemas/%s\"}", name);
    json_object *once = tree("{\"type\":\"object\",\"required\":[],\"properties\":{}}");
    json_object *properties = json_get(once, "properties");
    json_object_object_foreach(json_get(json_get(resource, "schema"), "properties"), member, property) {
        if (!json_bool(property, "x-once", false))
            continue;
        json_object *p = tree_copy(property);
        json_object_object_del(p, "x-once");
        describe_more(p, "Shown in this answer only");
        json_object_object_add(properties, member, p);
        json_object_array_add(json_get(once, "required"), tree_text(member));
    }
    if (json_object_object_length(properties) == 0) {
        json_object_put(once);
        return record;
    }
    json_object *all = tree("{\"allOf\":[]}");
    json_object_array_add(json_get(all, "allOf"), record);
    json_object_array_add(json_get(all, "allOf"), once);
    return all;
}

static json_object *face_new(json_object *described, enum face face)
{
    json_object *schema = tree("{\"type\":\"object\"}"), *properties = json_object_new_object();
    const char *text = json_str(described, "description");
    if (text != NULL)
        json_object_object_add(schema, "description", tree_text(text));
    if (face == FACE_UPDATE)
        describe_more(schema, "What is left out stays as it is");
    json_object_object_add(schema, "properties", properties);
    json_object_object_foreach(json_get(described, "properties"), name, property)
        if (is_shown(property, face))
            json_object_object_add(properties, name, property_new(property, face));
    json_object *required = json_get(described, "required");
    if (face == FACE_CREATE && json_object_array_length(required) > 0)
        json_object_object_add(schema, "required", tree_copy(required));
    return schema;
}

void schema_add(json_object *schemas, const char *name, json_object *resource)
{
    static const char *const suffixes[] = {[FACE_ANSWER] = "", [FACE_CREATE] = "Create", [FACE_UPDATE] = "Update"};
    for (enum face face = FACE_ANSWER; face <= FACE_UPDATE; face++) {
        char full[200];
        snprintf(full, sizeof full, "%s%s", name, suffixes[face]);
        json_object_object_add(schemas, full, face_new(json_get(resource, "schema"), face));
    }
}

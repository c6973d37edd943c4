/* The static reference: what a browser gets where the interactive page was not built. */
#include "openapi.h"

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>%s</title>\n<style>\n"
    "body { font: 16px/1.5 sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #222; }\n"
    "table { border-collapse: collapse; width: 100%%; margin: .5rem 0 1rem; font-size: 14px; }\n"
    "th, td { border: 1px solid #ddd; padding: .25rem .5rem; text-align: left; vertical-align: top; }\n"
    "th { background: #f4f4f4; }\n"
    "code { font-family: monospace; }\n"
    "pre { background: #f6f8fa; padding: .75rem; overflow-x: auto; font-size: 13px; }\n"
    "article { border-top: 1px solid #ccc; padding-top: .5rem; margin-top: 1.5rem; }\n"
    "h3 { font-size: 17px; margin: .5rem 0; }\n.method { display: inline-block; min-width: 4.5rem; color: #0550ae; }\n"
    ".deprecated { opacity: .6; }\n</style>\n</head>\n<body>\n";

static void text(struct buf *out, const char *s)
{
    for (; s != NULL && *s != '\0'; s++)
        switch (*s) {
        case '&':
            buf_adds(out, "&amp;");
            break;
        case '<':
            buf_adds(out, "&lt;");
            break;
        case '>':
            buf_adds(out, "&gt;");
            break;
        case '"':
            buf_adds(out, "&quot;");
            break;
        default:
            buf_addc(out, *s);
        }
}

static void element(struct buf *out, const char *name, const char *s)
{
    if (s == NULL || *s == '\0')
        return;
    buf_addf(out, "<%s>", name);
    text(out, s);
    buf_addf(out, "</%s>\n", name);
}

static void cell(struct buf *out, const char *s)
{
    buf_adds(out, "<td>");
    text(out, s);
    buf_adds(out, "</td>");
}

static void schema_link(struct buf *out, const char *name)
{
    buf_adds(out, "<a href=\"#schema-");
    text(out, name);
    buf_adds(out, "\">");
    text(out, name);
    buf_adds(out, "</a>");
}

/* One schema in a few words, with links to those that have a name. */
static void schema_words(struct buf *out, json_object *schema)
{
    const char *name = tree_ref_name(schema), *type = json_str(schema, "type"), *format = json_str(schema, "format");
    json_object *all = json_get(schema, "allOf"), *one = json_get(schema, "oneOf"), *values = json_get(schema, "enum");
    json_object *parts = all != NULL ? all : one;
    if (name != NULL) {
        schema_link(out, name);
        return;
    }
    for (size_t i = 0; parts != NULL && i < json_object_array_length(parts); i++) {
        buf_adds(out, i == 0 ? "" : all != NULL ? " and " : " or ");
        schema_words(out, json_object_array_get_idx(parts, i));
    }
    text(out, type);
    if (format != NULL)
        buf_addf(out, " (%s)", format);
    if (json_get(schema, "items") != NULL) {
        buf_adds(out, " of ");
        schema_words(out, json_get(schema, "items"));
    }
    for (size_t i = 0; values != NULL && i < json_object_array_length(values); i++) {
        buf_adds(out, i == 0 ? ": " : ", ");
        text(out, json_object_get_string(json_object_array_get_idx(values, i)));
    }
}

static bool is_in(json_object *list, const char *name)
{
    for (size_t i = 0; list != NULL && i < json_object_array_length(list); i++)
        if (strcmp(json_object_get_string(json_object_array_get_idx(list, i)), name) == 0)
            return true;
    return false;
}

static void limits(struct buf *out, json_object *p)
{
    static const char *const names[] = {"minLength", "maxLength", "minimum",       "maximum",
                                        "pattern",   "maxItems",  "maxProperties", "default"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_get(p, names[i]) != NULL) {
            buf_addf(out, "%s ", names[i]);
            text(out, json_object_get_string(json_get(p, names[i])));
            buf_addc(out, ' ');
        }
}

static void properties_table(struct buf *out, json_object *schema)
{
    json_object *properties = json_get(schema, "properties");
    if (properties == NULL)
        return;
    buf_adds(out, "<table><tr><th>Member</th><th>Type</th><th>Limits</th><th>Meaning</th></tr>\n");
    json_object_object_foreach(properties, name, p) {
        buf_adds(out, "<tr><td><code>");
        text(out, name);
        buf_adds(out, is_in(json_get(schema, "required"), name) ? "</code> (required)</td><td>" : "</code></td><td>");
        schema_words(out, p);
        buf_adds(out, json_bool(p, "nullable", false) ? " or null</td><td>" : "</td><td>");
        limits(out, p);
        buf_adds(out, "</td>");
        cell(out, json_str(p, "description"));
        buf_adds(out, "</tr>\n");
    }
    buf_adds(out, "</table>\n");
}

static void parameters_table(struct buf *out, json_object *document, json_object *list)
{
    if (list == NULL || json_object_array_length(list) == 0)
        return;
    buf_adds(out, "<table><tr><th>Parameter</th><th>In</th><th>Type</th><th>Meaning</th></tr>\n");
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *p = tree_resolve(document, json_object_array_get_idx(list, i));
        buf_adds(out, "<tr><td><code>");
        text(out, json_str(p, "name"));
        buf_adds(out, "</code></td>");
        cell(out, json_str(p, "in"));
        buf_adds(out, "<td>");
        schema_words(out, json_get(p, "schema"));
        buf_adds(out, "</td>");
        cell(out, json_str(p, "description"));
        buf_adds(out, "</tr>\n");
    }
    buf_adds(out, "</table>\n");
}

static void example(struct buf *out, json_object *o)
{
    if (o != NULL)
        element(out, "pre", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
}

/* Body or answer: each content type with its schema; a schema without a name is shown in full. */
static void content(struct buf *out, json_object *document, const char *title, json_object *types)
{
    if (types == NULL)
        return;
    json_object_object_foreach(types, type, value) {
        json_object *schema = json_get(value, "schema");
        buf_addf(out, "<p>%s (", title);
        text(out, type);
        buf_adds(out, "): ");
        schema_words(out, schema);
        buf_adds(out, "</p>\n");
        properties_table(out, schema);
        json_object *own = json_get(value, "example");
        example(out, own != NULL ? own : json_get(tree_resolve(document, schema), "example"));
    }
}

static void responses_write(struct buf *out, json_object *document, json_object *responses)
{
    buf_adds(out, "<table><tr><th>Status</th><th>When</th></tr>\n");
    json_object_object_foreach(responses, status, r) {
        buf_adds(out, "<tr>");
        cell(out, status);
        cell(out, json_str(tree_resolve(document, r), "description"));
        buf_adds(out, "</tr>\n");
    }
    buf_adds(out, "</table>\n");
    json_object_object_foreach(responses, code, answer)
        if (*code == '2')
            content(out, document, "Answer", json_get(answer, "content"));
}

static void operation_write(struct buf *out, json_object *document, const char *path, const char *method, json_object *o)
{
    buf_addf(out, "<article%s id=\"", json_bool(o, "deprecated", false) ? " class=\"deprecated\"" : "");
    text(out, json_str(o, "operationId"));
    buf_addf(out, "\">\n<h3><code><span class=\"method\">");
    for (const char *m = method; *m != '\0'; m++)
        buf_addc(out, (char)(*m & ~0x20));
    buf_adds(out, "</span> ");
    text(out, path);
    buf_adds(out, json_bool(o, "deprecated", false) ? "</code> (alias)</h3>\n" : "</code></h3>\n");
    element(out, "p", json_str(o, "summary"));
    element(out, "p", json_str(o, "description"));
    parameters_table(out, document, json_get(o, "parameters"));
    content(out, document, "Body", json_get(json_get(o, "requestBody"), "content"));
    responses_write(out, document, json_get(o, "responses"));
    buf_adds(out, "</article>\n");
}

static void tag_write(struct buf *out, json_object *document, json_object *tag)
{
    const char *name = json_str(tag, "name");
    buf_adds(out, "<section>\n");
    element(out, "h2", name);
    element(out, "p", json_str(tag, "description"));
    json_object_object_foreach(json_get(document, "paths"), path, item) {
        json_object_object_foreach(item, method, operation)
            if (is_in(json_get(operation, "tags"), name))
                operation_write(out, document, path, method, operation);
    }
    buf_adds(out, "</section>\n");
}

void page_write(struct buf *out, json_object *document)
{
    json_object *info = json_get(document, "info"), *tags = json_get(document, "tags");
    buf_addf(out, head, json_str(info, "title"));
    element(out, "h1", json_str(info, "title"));
    element(out, "p", json_str(info, "description"));
    buf_adds(out, "<p>The same for programs: <a href=\"/docs/openapi.json\">openapi.json</a>.</p>\n");
    for (size_t i = 0; i < json_object_array_length(tags); i++)
        tag_write(out, document, json_object_array_get_idx(tags, i));
    buf_adds(out, "<section>\n<h2>Schemas</h2>\n");
    json_object_object_foreach(json_get(json_get(document, "components"), "schemas"), name, schema) {
        buf_adds(out, "<article id=\"schema-");
        text(out, name);
        buf_adds(out, "\">\n");
        element(out, "h3", name);
        element(out, "p", json_str(schema, "description"));
        properties_table(out, schema);
        buf_adds(out, "</article>\n");
    }
    buf_adds(out, "</section>\n</body>\n</html>\n");
}

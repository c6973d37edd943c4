/* One route as an operation: parameters, body and answers that follow from its row and its resource. */
#include "openapi.h"

#define REF(kind, name) "{\"$ref\":\"#/components/" kind "/" name "\"}"

static bool is(json_object *o, const char *key, const char *value)
{
    const char *text = json_str(o, key);
    return text != NULL && strcmp(text, value) == 0;
}

static bool is_public(json_object *route)
{
    return is(route, "role", "public");
}

static bool reads_body(json_object *route)
{
    bool writes = is(route, "method", "POST") || is(route, "method", "PUT") || is(route, "method", "PATCH");
    return writes && json_int(route, "body_max", 0) > 0;
}

/* The next parameter of a pattern: name and length, "..." left out; false when there is none. */
static bool parameter_next(const char **p, const char **name, size_t *n, bool *rest)
{
    const char *open = strchr(*p, '{'), *close = open != NULL ? strchr(open, '}') : NULL;
    if (close == NULL)
        return false;
    *name = open + 1;
    *n = (size_t)(close - open - 1);
    *rest = *n > 3 && strncmp(close - 3, "...", 3) == 0;
    if (*rest)
        *n -= 3;
    *p = close + 1;
    return true;
}

void operation_path(struct buf *out, const char *pattern)
{
    const char *at = pattern, *p = pattern, *name;
    size_t n;
    bool rest;
    while (parameter_next(&p, &name, &n, &rest)) {
        buf_add(out, at, (size_t)(name - at));
        buf_add(out, name, n);
        buf_addc(out, '}');
        at = p;
    }
    buf_adds(out, at);
}

/* GET /v1/agents/{id}/sharing becomes getAgentsByIdSharing. */
static json_object *operation_id(json_object *route)
{
    struct buf b = BUF_INIT(1000);
    const char *path = json_str(route, "path");
    for (const char *m = json_str(route, "method"); *m != '\0'; m++)
        buf_addc(&b, (char)(*m | 0x20));
    if (strncmp(path, "/v1/", 4) == 0)
        path += 3;
    size_t before = b.len;
    bool begins = false;
    for (; *path != '\0'; path++) {
        char c = *path;
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (c == '{')
            buf_adds(&b, "By");
        if (letter)
            buf_addc(&b, begins && c >= 'a' && c <= 'z' ? (char)(c - 0x20) : c);
        begins = !letter;
    }
    if (b.len == before)
        buf_adds(&b, "Root");
    json_object *id = tree_text(buf_str(&b));
    buf_release(&b);
    return id;
}

static json_object *description(json_object *route)
{
    static const struct {
        const char *rule, *text;
    } users[] = {
        {"admin_may_omit", " Below admin a user must be known: X-GoClaw-User-Id, or a key with an owner."},
        {"required", " A user must be known: X-GoClaw-User-Id, or a key with an owner."},
    };
    struct buf b = BUF_INIT(1000);
    if (is_public(route))
        buf_adds(&b, "Needs no token.");
    else
        buf_addf(&b, "Least role: %s.", json_str(route, "role"));
    for (size_t i = 0; i < sizeof users / sizeof *users; i++)
        if (is(route, "user", users[i].rule))
            buf_adds(&b, users[i].text);
    int64_t most = json_int(route, "body_max", 0);
    if (reads_body(route))
        buf_addf(&b, " The body may have %lld bytes.", (long long)most);
    json_object *text = tree_text(buf_str(&b));
    buf_release(&b);
    return text;
}

/* ---- parameters ---- */

static void path_parameters(json_object *list, json_object *route)
{
    const char *p = json_str(route, "path"), *name;
    size_t n;
    bool rest;
    while (parameter_next(&p, &name, &n, &rest))
        json_object_array_add(list, tree("{\"name\":\"%.*s\",\"in\":\"path\",\"required\":true,%s\"schema\":{"
                                         "\"type\":\"string\"}}", (int)n, name,
                                         rest ? "\"description\":\"The rest of the path, slashes included\"," : ""));
}

static void list_parameters(json_object *list, json_object *described)
{
    int64_t limit = json_int(described, "limit", 0), most = json_int(described, "limit_max", 0);
    json_object *page = tree("{\"name\":\"limit\",\"in\":\"query\",\"description\":\"%s\",\"schema\":{\"type\":"
                             "\"integer\",\"minimum\":1,\"maximum\":%lld}}",
                             limit > 0 ? "Rows of a page" : "Rows of a page; everything when left out", (long long)most);
    if (limit > 0)
        json_object_object_add(json_get(page, "schema"), "default", json_object_new_int64(limit));
    json_object_array_add(list, page);
    json_object_array_add(list, tree(REF("parameters", "Offset")));
    if (json_bool(described, "before", false))
        json_object_array_add(list, tree(REF("parameters", "Before")));
    json_object *filters = json_get(described, "filters");
    for (size_t i = 0; i < json_object_array_length(filters); i++) {
        json_object *filter = json_object_array_get_idx(filters, i);
        json_object *p = tree("{\"in\":\"query\",\"schema\":{}}"), *schema = json_get(p, "schema");
        json_object_object_foreach(filter, key, value) {
            bool outer = strcmp(key, "name") == 0 || strcmp(key, "description") == 0;
            json_object_object_add(outer ? p : schema, key, tree_copy(value));
        }
        json_object_array_add(list, p);
    }
}

static json_object *parameters(json_object *route, json_object *resource)
{
    json_object *list = json_object_new_array();
    path_parameters(list, route);
    if (is_public(route))
        return list;
    if (is(route, "operation", "list"))
        list_parameters(list, json_get(resource, "list"));
    json_object_array_add(list, tree(REF("parameters", "UserId")));
    json_object_array_add(list, tree(REF("parameters", "TenantId")));
    if (json_bool(route, "run", false)) {
        json_object_array_add(list, tree(REF("parameters", "AgentId")));
        json_object_array_add(list, tree(REF("parameters", "SessionKey")));
        json_object_array_add(list, tree(REF("parameters", "KeepRunning")));
    }
    if (is(route, "method", "POST"))
        json_object_array_add(list, tree(REF("parameters", "IdempotencyKey")));
    if (is(route, "operation", "update") || is(route, "operation", "delete"))
        json_object_array_add(list, tree(REF("parameters", "IfMatch")));
    return list;
}

/* ---- body and answers ---- */

static json_object *answer(const char *text, json_object *schema, bool etag)
{
    json_object *o = tree("{\"description\":\"%s\",%s\"content\":{\"application/json\":{}}}", text,
                          etag ? "\"headers\":{\"ETag\":" REF("headers", "ETag") "}," : "");
    json_object_object_add(json_get(json_get(o, "content"), "application/json"), "schema", schema);
    return o;
}

static json_object *list_schema(const char *name, json_object *described)
{
    const char *key = json_str(described, "key");
    if (key == NULL)
        return tree("{\"type\":\"array\",\"items\":" REF("schemas", "%s") "}", name);
    json_object *schema = tree("{\"type\":\"object\",\"required\":[\"%s\"],\"properties\":{\"%s\":{\"type\":\"array\","
                               "\"items\":" REF("schemas", "%s") "}}}", key, key, name);
    json_object *page = tree("{\"total\":{\"type\":\"integer\"},\"limit\":{\"type\":\"integer\"},\"offset\":{\"type\":"
                             "\"integer\"},\"total_capped\":{\"type\":\"boolean\",\"description\":\"There are more than "
                             "total says\"}}");
    tree_merge(json_get(schema, "properties"), page);
    json_object_put(page);
    return schema;
}

static json_object *update_schema(const char *name, json_object *resource)
{
    bool ok = is(resource, "put_answer", "ok");
    return tree("{\"allOf\":[" REF("schemas", "%s") ",{\"type\":\"object\",\"properties\":{\"%s\":{\"type\":\"string\","
                "\"enum\":[\"%s\"]}}}]}", name, ok ? "ok" : "status", ok ? "true" : "updated");
}

static json_object *delete_schema(json_object *resource)
{
    if (is(resource, "delete_answer", "ok"))
        return tree("{\"type\":\"object\",\"properties\":{\"ok\":{\"type\":\"string\",\"enum\":[\"true\"]}}}");
    return tree("{\"type\":\"object\",\"properties\":{\"status\":{\"type\":\"string\",\"enum\":[\"deleted\"]}%s}}",
                is(resource, "delete_answer", "status_id") ? ",\"id\":{\"type\":\"string\"}" : "");
}

static void success_add(json_object *responses, json_object *route, json_object *resource)
{
    const char *name = json_str(route, "resource");
    if (is(route, "operation", "list"))
        json_object_object_add(responses, "200", answer("A page", list_schema(name, json_get(resource, "list")), false));
    if (is(route, "operation", "create"))
        json_object_object_add(responses, "201", answer("Made", schema_made(name, resource), false));
    if (is(route, "operation", "get"))
        json_object_object_add(responses, "200", answer("The record", tree(REF("schemas", "%s"), name), true));
    if (is(route, "operation", "update"))
        json_object_object_add(responses, "200", answer("The record as it is now", update_schema(name, resource), true));
    if (is(route, "operation", "delete"))
        json_object_object_add(responses, "200", answer("Gone", delete_schema(resource), false));
}

static void errors_add(json_object *responses, json_object *route)
{
    bool closed = !is_public(route), run = json_bool(route, "run", false);
    bool named = strchr(json_str(route, "path"), '{') != NULL, writes = closed && !is(route, "method", "GET");
    bool record = is(route, "operation", "update") || is(route, "operation", "delete");
    const struct {
        bool when;
        const char *status, *name;
    } errors[] = {
        {closed || named, "400", "BadRequest"},
        {closed, "401", "Unauthorized"},
        {closed, "403", "Forbidden"},
        {closed || named, "404", "NotFound"},
        {writes, "409", "Conflict"},
        {record, "412", "PreconditionFailed"},
        {reads_body(route), "413", "PayloadTooLarge"},
        {closed, "429", "TooManyRequests"},
        {true, "500", "Internal"},
        {true, "503", "Unavailable"},
        {run, "504", "AgentTimeout"},
    };
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].when)
            json_object_object_add(responses, errors[i].status, tree(REF("responses", "%s"), errors[i].name));
}

static json_object *body_new(json_object *route, json_object *resource)
{
    const char *face = is(route, "operation", "create") ? "Create" : is(route, "operation", "update") ? "Update" : NULL;
    if (face == NULL || resource == NULL)
        return NULL;
    return tree("{\"required\":%s,\"content\":{\"application/json\":{\"schema\":" REF("schemas", "%s%s") "}}}",
                *face == 'C' ? "true" : "false", json_str(route, "resource"), face);
}

json_object *operation_new(json_object *route, json_object *resource)
{
    json_object *o = json_object_new_object(), *tags = json_object_new_array();
    json_object_array_add(tags, tree_text(json_str(route, "tag")));
    json_object_object_add(o, "tags", tags);
    json_object_object_add(o, "summary", tree_text(json_str(route, "summary")));
    json_object_object_add(o, "description", description(route));
    json_object_object_add(o, "operationId", operation_id(route));
    if (json_bool(route, "alias", false))
        json_object_object_add(o, "deprecated", json_object_new_boolean(true));
    if (is_public(route))
        json_object_object_add(o, "security", json_object_new_array());
    json_object_object_add(o, "x-role", tree_text(json_str(route, "role")));
    json_object_object_add(o, "parameters", parameters(route, resource));
    json_object *body = body_new(route, resource), *responses = json_object_new_object();
    if (body != NULL)
        json_object_object_add(o, "requestBody", body);
    success_add(responses, route, resource);
    errors_add(responses, route);
    json_object_object_add(o, "responses", responses);
    return o;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The statuses in their order, wherever they came from. */
static json_object *responses_sorted(json_object *responses)
{
    const char *statuses[64] = {NULL};
    size_t n = 0;
    json_object *sorted = json_object_new_object();
    json_object_object_foreach(responses, status, value)
        if (value != NULL && n < sizeof statuses / sizeof *statuses)
            statuses[n++] = status;
    qsort(statuses, n, sizeof *statuses, by_text);
    for (size_t i = 0; i < n; i++)
        json_object_object_add(sorted, statuses[i], json_object_get(json_get(responses, statuses[i])));
    return sorted;
}

void operation_finish(json_object *operation, json_object *route, json_object *part)
{
    json_object *responses = json_get(operation, "responses");
    bool success = false;
    json_object_object_foreach(responses, status, value) {
        (void)value;
        success |= *status == '2';
    }
    if (!success)
        json_object_object_add(responses, "200", answer("Done", tree("{\"type\":\"object\"}"), false));
    json_object_object_add(operation, "responses", responses_sorted(responses));
    if (reads_body(route) && !json_has(operation, "requestBody") && !json_has(part, "requestBody"))
        json_object_object_add(operation, "requestBody",
                               tree("{\"content\":{\"application/json\":{\"schema\":{\"type\":\"object\"}}}}"));
}

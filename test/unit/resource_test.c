/* One table describes a resource: validation, partial updates, secrets, ETags, --describe. */
#include "resource_fixture.h"

static void presets_and_shape(void **state)
{
    (void)state;
    assert_int_equal(call("POST", "/things", "{\"name\":\"a\",\"id\":\"x\",\"tenant_id\":\"y\",\"owner_id\":\"z\","
                                             "\"part_count\":9,\"unknown\":1}", .user = "alice"), 201);
    assert_true(uuid_parse(json_str(x.json, "id"), NULL));
    expect_text("tenant_id", "\"" TENANT "\"");
    expect_text("title", "absent");
    expect_text("code", "\"abc\"");
    assert_true(json_has(x.json, "note"));
    expect_text("note", "absent"); /* null */
    expect_text("size", "4");
    expect_text("wait", "30");
    expect_text("start", "7");
    assert_false(json_has(x.json, "budget"));
    expect_text("ratio", "0.5");
    expect_text("open", "false");
    expect_text("mode", "\"slow\"");
    expect_text("extra", "{}");
    expect_text("tags", "[]");
    assert_false(json_has(x.json, "key"));
    expect_text("vars", "{}");
    assert_false(json_has(x.json, "hidden"));
    expect_text("owner_id", "\"alice\"");
    expect_text("part_count", "0");
    expect_text("hidden_count", "0");
    expect_text("shown_once", "\"pssst\"");
    assert_string_equal(text("created_at"), text("updated_at"));
    const char *id = arena_strdup(store->a, json_str(x.json, "id"));
    assert_int_equal(call("GET", path("/things", id)), 200);
    assert_false(json_has(x.json, "shown_once"));
    assert_non_null(exchange_header(&x, "ETag"));
    made("{\"name\":\"b\"}");
    expect_text("owner_id", "\"system\"");
}

static void each_limit(void **state)
{
    static const struct {
        const char *field, *good, *bad, *message;
    } rows[] = {
        {"name", "\"abcdefghij\"", "\"abcdefghijk\"", "10 characters"},
        {"name", "\"a\"", "\"A\"", "lower-case"},
        {"name", "\"a-b\"", "\"\"", "required"},
        {"name", "\"a-1\"", "null", "required"},
        {"name", "\"a-2\"", "5", "string"},
        {"title", "\"ééééé\"", "\"éééééé\"", "5 characters"},
        {"title", "\"  five5  \"", "\"six666\"", "5 characters"},
        {"title", "\"\"", "true", "string"},
        {"code", "\"ab\"", "\"a\"", "at least 2 bytes"},
        {"code", "\"ab_9\"", "\"abcde\"", "4 bytes"},
        {"code", "\"0z\"", "\"aé1\"", "characters a-z0-9_"},
        {"code", "null", "\"\"", "required"},
        {"size", "2", "1", "between 2 and 10"},
        {"size", "10", "11", "between 2 and 10"},
        {"size", "4", "5", "even"},
        {"size", "6", "6.0", "integer"},
        {"size", "null", "\"6\"", "integer"},
        {"wait", "60", "61", "between 1 and 60"},
        {"wait", "0", "13", "luck"},
        {"wait", "-5", "true", "integer"},
        {"start", "1", "1.5", "integer"},
        {"start", "-1", "[]", "integer"},
        {"budget", "100", "101", "between 0 and 100"},
        {"budget", "0", "-1", "between 0 and 100"},
        {"budget", "null", "{}", "integer"},
        {"ratio", "2", "2.0001", "between 0 and 2"},
        {"ratio", "0", "\"0\"", "number"},
        {"open", "true", "1", "true or false"},
        {"mode", "\"quick\"", "\"medium\"", "fast, slow"},
        {"mode", "\"fast\"", "false", "string"},
        {"extra", "{\"a\":\"34567890123\"}", "{\"a\":\"345678901234567\"}", "20 bytes"},
        {"extra", "{}", "[]", "object"},
        {"tags", "[\"a\",\"b\"]", "[\"a\",\"b\",\"c\"]", "at most 2"},
        {"tags", "[\"abc\"]", "[\"abcd\"]", "3 bytes each"},
        {"tags", "[]", "[1]", "array of strings"},
        {"tags", "null", "\"a\"", "array"},
        {"key", "\"12345678\"", "\"123456789\"", "8 bytes"},
        {"key", "\"\"", "\"***\"", "mask"},
        {"key", "null", "1", "string"},
        {"vars", "{\"a\":\"1\",\"b\":\"2\"}", "{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}", "at most 2"},
        {"vars", "{\"a\":\"11111111111111111111111111111111\"}",
         "{\"a\":\"111111111111111111111111111111111\"}", "40 bytes"},
        {"vars", "{}", "{\"a\":1}", "vars.a must be a string"},
        {"vars", "null", "{\"a\":null}", "vars.a must be a string"},
        {"vars", "{\"b\":\"\"}", "{\"b\":\"***\"}", "mask"},
        {"for_user", "\"group:x:-1\"", "\"a\\u0001\"", "user ID"},
        {"for_user", "null", "7", "string"},
        {"ref", "\"0193A5B0-7000-7000-8000-000000000001\"", "\"nope\"", "Invalid ref ID"},
        {"ref", "\"\"", "{}", "string"},
        {"due", "\"2026-01-02T03:04:05+01:00\"", "\"tomorrow\"", "time"},
        {"due", "\"2026-01-02\"", "2026", "string"},
    };
    (void)state;
    for (size_t i = 0; i < N(rows); i++) {
        bool name = strcmp(rows[i].field, "name") == 0;
        char body[300];
        snprintf(body, sizeof body, name ? "{\"%s\":%s}" : "{\"%s\":%s,\"name\":\"x%zu\"}", rows[i].field,
                 rows[i].good, i);
        if (call("POST", "/things", body) != 201)
            fail_msg("%s: %d %s", body, x.status, x.body);
        snprintf(body, sizeof body, name ? "{\"%s\":%s}" : "{\"%s\":%s,\"name\":\"y%zu\"}", rows[i].field,
                 rows[i].bad, i);
        call("POST", "/things", body);
        refused(400, "INVALID_REQUEST", rows[i].field, rows[i].message);
    }
    assert_int_equal(call("POST", "/things", "{}"), 400);
    refused(400, "INVALID_REQUEST", "name", "required");
    assert_int_equal(call("POST", "/things", "[]"), 400);
    assert_int_equal(call("POST", "/things", "{\"name\":\"once\",\"due\":\"2026-01-02T03:04:05+01:00\","
                                             "\"ref\":\"0193A5B0-7000-7000-8000-000000000001\",\"another\":8}"), 201);
    expect_text("due", "\"2026-01-02T02:04:05.000Z\"");
    expect_text("ref", "\"" TENANT "\"");
    expect_text("size", "8");
}

static void put_is_partial(void **state)
{
    (void)state;
    const char *p = made("{\"name\":\"a\",\"title\":\"t\",\"note\":\"n\",\"origin\":\"here\",\"size\":6,"
                         "\"extra\":{\"a\":1,\"b\":2},\"budget\":5}");
    const char *before = arena_strdup(store->a, text("updated_at"));
    int64_t audits = store_int(store->db, "SELECT COUNT(*) FROM activity_logs");
    /* Nothing effective: members in another order, equal values, fixed and unknown ones. */
    assert_int_equal(call("PUT", p, "{\"title\":\" t \",\"extra\":{\"b\":2,\"a\":1},\"id\":\"q\",\"origin\":\"there\","
                                    "\"updated_at\":\"x\",\"unknown\":[]}"), 200);
    expect_text("status", "\"updated\"");
    expect_text("origin", "\"here\"");
    assert_string_equal(text("updated_at"), before);
    assert_int_equal(call("PUT", p), 200); /* no body at all */
    assert_int_equal(store_int(store->db, "SELECT COUNT(*) FROM activity_logs"), audits);
    int64_t generation;
    assert_int_equal(generation_read(store->db, "things", &generation), DB_OK);
    assert_int_equal(generation, 1);
    assert_int_equal(after_writes, 1);

    assert_int_equal(call("PUT", p, "{\"title\":null,\"note\":null,\"extra\":null,\"budget\":null,\"mode\":\"quick\","
                                    "\"wait\":0}"), 200);
    expect_text("title", "absent");
    assert_true(json_has(x.json, "note"));
    expect_text("note", "absent");
    expect_text("extra", "{}");
    assert_false(json_has(x.json, "budget"));
    expect_text("mode", "\"fast\"");
    expect_text("size", "6"); /* untouched */
    assert_string_not_equal(text("updated_at"), before);
    assert_int_equal(generation_read(store->db, "things", &generation), DB_OK);
    assert_int_equal(generation, 2);
    assert_int_equal(after_writes, 2);

    call("PUT", p, "{\"name\":null}");
    refused(400, "INVALID_REQUEST", "name", "null");
    call("PUT", p, "{\"name\":\"\"}");
    refused(400, "INVALID_REQUEST", "name", "required");
    call("PUT", p, "{\"size\":null}");
    refused(400, "INVALID_REQUEST", "size", "null");
    call("PUT", p, "{\"start\":0}");
    refused(400, "INVALID_REQUEST", "start", "at least 1");
    assert_int_equal(call("PUT", p, "{\"title\":\"set\"}"), 200);
    expect_text("note", "\"by the hook\"");
    call("PUT", p, "{\"wait\":13}");
    refused(400, "INVALID_REQUEST", "wait", "luck");
    assert_int_equal(call("GET", p), 200);
    expect_text("wait", "30");
}

static void secrets(void **state)
{
    (void)state;
    const char *p = made("{\"name\":\"a\",\"key\":\"s3cr3t\",\"vars\":{\"A\":\"1\",\"B\":\"2\"},"
                         "\"hidden\":{\"H\":\"h\"}}");
    expect_text("key", "\"***\"");
    expect_text("vars", "{\"A\":\"***\",\"B\":\"***\"}");
    expect_text("hidden_count", "1");
    assert_null(strstr(x.body, "s3cr3t"));
    assert_int_equal(strncmp(store_text(store, "SELECT key FROM things"), "aes-gcm:", 8), 0);
    assert_int_equal(strncmp(store_text(store, "SELECT vars FROM things"), "\"aes-gcm:", 9), 0);
    const char *sealed = store_text(store, "SELECT key FROM things");
    /* The mask, emptiness and the same value again change nothing. */
    assert_int_equal(call("PUT", p, "{\"key\":\"***\",\"vars\":{\"B\":\"***\",\"A\":\"1\"}}"), 200);
    assert_int_equal(call("PUT", p, "{\"key\":\"\"}"), 200);
    assert_int_equal(call("PUT", p, "{\"key\":\"s3cr3t\"}"), 200);
    assert_string_equal(store_text(store, "SELECT key FROM things"), sealed);
    assert_int_equal(store_int(store->db, "SELECT COUNT(*) FROM activity_logs"), 1);
    /* A masked value keeps its own, what is not named goes. */
    assert_int_equal(call("PUT", p, "{\"vars\":{\"B\":\"***\",\"C\":\"3\"}}"), 200);
    expect_text("vars", "{\"B\":\"***\",\"C\":\"***\"}");
    char *plain = crypto_decrypt(store->a, &config.keys,
                                 store_text(store, "SELECT trim(vars, '\"') FROM things"));
    assert_string_equal(plain, "{\"B\":\"2\",\"C\":\"3\"}");
    call("PUT", p, "{\"vars\":{\"D\":\"***\"}}");
    refused(400, "INVALID_REQUEST", "vars", "vars.D");
    assert_int_equal(call("PUT", p, "{\"key\":null,\"vars\":null}"), 200);
    assert_false(json_has(x.json, "key"));
    expect_text("vars", "{}");
    assert_string_equal(store_text(store, "SELECT key || vars FROM things"), "{}");
    /* What another key encrypted stays masked; who needs it hears of it, who replaces it does not. */
    assert_int_equal(call("PUT", p, "{\"key\":\"k\",\"vars\":{\"A\":\"1\"}}"), 200);
    memset(config.keys.primary, 8, sizeof config.keys.primary);
    assert_int_equal(call("GET", p), 200);
    expect_text("key", "\"***\"");
    expect_text("vars", "{\"***\":\"***\"}");
    call("PUT", p, "{\"vars\":{\"A\":\"***\"}}");
    refused(409, "FAILED_PRECONDITION", "vars", "decrypted");
    assert_int_equal(call("PUT", p, "{\"title\":\"t\"}"), 200);
    assert_int_equal(call("PUT", p, "{\"key\":\"new\",\"vars\":{\"A\":\"2\"}}"), 200);
    expect_text("vars", "{\"A\":\"***\"}");
}

static void etags(void **state)
{
    (void)state;
    const char *p = made("{\"name\":\"a\",\"key\":\"1\"}");
    assert_int_equal(call("GET", p), 200);
    const char *first = arena_strdup(store->a, exchange_header(&x, "ETag"));
    assert_int_equal(strlen(first), 34);
    assert_int_equal(call("PUT", p, "{\"key\":\"2\"}", .if_match = first), 200);
    const char *second = arena_strdup(store->a, exchange_header(&x, "ETag"));
    assert_string_not_equal(first, second);
    assert_int_equal(call("GET", p), 200);
    assert_string_equal(exchange_header(&x, "ETag"), second);
    call("PUT", p, "{\"title\":\"t\"}", .if_match = first);
    refused(412, "FAILED_PRECONDITION", "If-Match", "changed");
    call("PUT", p, "{}", .if_match = first);
    refused(412, "FAILED_PRECONDITION", "If-Match", "changed");
    call("PUT", p, "{\"size\":1}", .if_match = first); /* values before states */
    refused(400, "INVALID_REQUEST", "size", "between");
    call("PUT", p, "{\"title\":\"state\"}", .if_match = first);
    refused(412, "FAILED_PRECONDITION", "If-Match", "changed");
    call("PUT", p, "{\"title\":\"state\"}");
    refused(409, "FAILED_PRECONDITION", "null", "ended");
    call("DELETE", p, .if_match = arena_printf(store->a, "W/%s", second));
    refused(412, "FAILED_PRECONDITION", "If-Match", "changed");
    assert_int_equal(call("PUT", p, "{\"title\":\"t\"}", .if_match = "*"), 200);
    const char *third = arena_strdup(store->a, exchange_header(&x, "ETag"));
    /* Computed members do not belong to the row. */
    store_sql(store->db, "INSERT INTO parts (id, tenant_id, thing_id, label, n)"
                         " SELECT 'p', tenant_id, id, 'l', 1 FROM things");
    assert_int_equal(call("GET", p), 200);
    expect_text("part_count", "1");
    assert_string_equal(exchange_header(&x, "ETag"), third);
    const char *list = arena_printf(store->a, "%s , %s", first, third);
    assert_int_equal(call("DELETE", p, .if_match = list), 200);
}

static void described(void **state)
{
    (void)state;
    static const struct route one = {METHOD_PUT, "/things/{id}", ROLE_VIEWER, USER_UNUSED, BODY_DEFAULT,
                                     resource_update, "T", "t", ROUTE_LATE_BODY, &things};
    static const struct program small = {.name = "test", .routes = &one, .route_count = 1};
    static struct capture c;
    capture_start(&c, STDOUT_FILENO);
    int result = describe_program(&small);
    const char *said = capture_end(&c);
    assert_int_equal(result, 0);
    json_object *doc = json_parse(store->a, said, strlen(said), 0, NULL);
    assert_non_null(doc);
    json_object *row = json_object_array_get_idx(json_get(doc, "routes"), 0);
    assert_string_equal(json_str(row, "resource"), "Thing");
    assert_string_equal(json_str(row, "operation"), "update");
    json_object *thing = json_get(json_get(doc, "resources"), "Thing");
    json_object *properties = json_get(json_get(thing, "schema"), "properties");
    json_object *size = json_get(properties, "size");
    assert_int_equal(json_int(size, "minimum", 0), 2);
    assert_int_equal(json_int(size, "maximum", 0), 10);
    assert_int_equal(json_int(size, "default", 0), 4);
    assert_true(json_bool(json_get(properties, "id"), "readOnly", false));
    assert_true(json_bool(json_get(properties, "hidden"), "writeOnly", false));
    assert_int_equal(json_object_array_length(json_get(json_get(properties, "mode"), "enum")), 2);
    assert_string_equal(json_str(json_get(properties, "due"), "format"), "date-time");
    assert_int_equal(json_object_array_length(json_get(json_get(thing, "schema"), "required")), 1);
    assert_int_equal(json_object_array_length(json_get(json_get(thing, "list"), "filters")), 5);
}

static const struct field twice[] = {FIELD_ROW_ID, FIELD_ROW_ID};
static const struct resource bad = {.name = "B", .noun = "b", .table = "b", .doc = "b", .made = RESOURCE_MADE,
                                    .fields = twice, .field_count = 2, .order = "id"};

static void mistakes_are_found_at_start(void **state)
{
    static const struct route rows[][1] = {
        {{METHOD_GET, "/b", ROLE_VIEWER, USER_UNUSED, BODY_DEFAULT, resource_list, "T", "t", 0, &bad}},
        {{METHOD_GET, "/b", ROLE_VIEWER, USER_UNUSED, BODY_DEFAULT, resource_list, "T", "t", 0, NULL}},
        {{METHOD_PUT, "/b", ROLE_VIEWER, USER_UNUSED, BODY_DEFAULT, resource_update, "T", "t", 0, &things}},
        {{METHOD_DELETE, "/b", ROLE_VIEWER, USER_UNUSED, BODY_DEFAULT, resource_delete, "T", "t", 0, &things}},
    };
    static const char *const reasons[] = {"same name", "no resource", "LATE_BODY", "NO_BODY"};
    (void)state;
    char err[200];
    assert_true(resources_check(routes, N(routes), err, sizeof err));
    for (size_t i = 0; i < N(rows); i++) {
        assert_false(resources_check(rows[i], 1, err, sizeof err));
        assert_non_null(strstr(err, reasons[i]));
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {T(presets_and_shape), T(each_limit), T(put_is_partial), T(secrets), T(etags),
                                       T(described), T(mistakes_are_found_at_start)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

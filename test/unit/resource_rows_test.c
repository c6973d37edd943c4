/* Resources: rows, tenants, parents, lists, and what goes with a change. */
#include "resource_fixture.h"

static void rows_and_tenants(void **state)
{
    (void)state;
    const char *p = made("{\"name\":\"a\"}");
    call("POST", "/things", "{\"name\":\"a\"}");
    refused(409, "ALREADY_EXISTS", "name", "thing already exists: a");
    assert_int_equal(call("POST", "/things", "{\"name\":\"a\"}", .tenant = "other"), 201);
    expect_text("tenant_id", "\"" TENANT2 "\"");
    const char *foreign = path("/things", json_str(x.json, "id"));
    made("{\"name\":\"b\"}");
    call("PUT", p, "{\"name\":\"b\"}");
    refused(409, "ALREADY_EXISTS", "name", "b");
    call("GET", foreign);
    refused(404, "NOT_FOUND", "id", "thing not found");
    call("PUT", foreign, "not json"); /* the row is looked for first */
    refused(404, "NOT_FOUND", "id", "thing not found");
    call("DELETE", foreign);
    refused(404, "NOT_FOUND", "id", "thing not found");
    call("GET", "/things/nope");
    refused(400, "INVALID_REQUEST", "id", "thing");
    call("PUT", "/things/nope", "{}");
    refused(400, "INVALID_REQUEST", "id", "thing");
    assert_int_equal(call("GET", "/things"), 200);
    assert_int_equal(json_object_array_length(json_get(x.json, "things")), 2);
    assert_int_equal(call("GET", "/things", .tenant = "other"), 200);
    assert_int_equal(json_object_array_length(json_get(x.json, "things")), 1);
    /* Upper case names the same row. */
    char *upper = arena_strdup(store->a, p);
    for (char *c = upper + 8; *c != '\0'; c++)
        *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 32 : *c);
    assert_int_equal(call("GET", upper), 200);
    assert_int_equal(call("DELETE", p), 200);
    expect_text("status", "\"deleted\"");
    assert_string_equal(path("/things", json_str(x.json, "id")), p);
    call("DELETE", p);
    refused(404, "NOT_FOUND", "id", "thing not found");
}

static void audit_and_rollback(void **state)
{
    (void)state;
    const char *p = made("{\"name\":\"a\"}");
    call("PUT", p, "{\"mode\":\"fast\"}", .user = "alice");
    assert_string_equal(store_text(store, "SELECT group_concat(tenant_id || actor_type || actor_id || action"
                                          " || entity_type || ip_address) FROM (SELECT * FROM activity_logs ORDER BY id)"),
                        TENANT "usersystemthing.createdthing192.0.2.9,"
                        TENANT "useralicething.updatedthing192.0.2.9");
    assert_string_equal(path("/things", store_text(store, "SELECT DISTINCT entity_id FROM activity_logs")), p);
    call("DELETE", p); /* protected by the hook */
    refused(403, "FAILED_PRECONDITION", "null", "master");
    after_fails = true;
    call("PUT", p, "{\"mode\":\"slow\"}");
    refused(409, "FAILED_PRECONDITION", "null", "ended");
    call("POST", "/things", "{\"name\":\"b\"}");
    refused(409, "FAILED_PRECONDITION", "null", "ended");
    assert_string_equal(store_text(store, "SELECT group_concat(name || mode) FROM things"), "afast");
    assert_int_equal(store_int(store->db, "SELECT COUNT(*) FROM activity_logs"), 2);
    after_fails = false;
    assert_int_equal(call("PUT", p, "{\"mode\":\"slow\"}", .bearer = operator_bearer), 200);
    assert_string_equal(store_text(store, "SELECT actor_type FROM activity_logs ORDER BY id DESC LIMIT 1"), "api_key");
}

static void updated_at_moves_whatever_the_clock_says(void **state)
{
    (void)state;
    const char *p = made("{\"name\":\"a\"}");
    store_sql(store->db, "UPDATE things SET updated_at = '2099-01-01T00:00:00.000Z'");
    assert_int_equal(call("PUT", p, "{\"title\":\"t\"}"), 200);
    expect_text("updated_at", "\"2099-01-01T00:00:00.001Z\"");
}

static void idempotency(void **state)
{
    (void)state;
    assert_int_equal(call("POST", "/things", "{\"name\":\"a\"}", .idempotency = "k1"), 201);
    expect_text("shown_once", "\"pssst\"");
    const char *id = arena_strdup(store->a, json_str(x.json, "id"));
    assert_int_equal(call("POST", "/things", "{\"name\":\"a\"}", .idempotency = "k1"), 201);
    assert_string_equal(json_str(x.json, "id"), id);
    assert_false(json_has(x.json, "shown_once"));
    assert_int_equal(store_int(store->db, "SELECT COUNT(*) FROM activity_logs"), 1);
    call("POST", "/things", "{\"name\":\"b\"}", .idempotency = "k1");
    refused(409, "ALREADY_EXISTS", "Idempotency-Key", "another request body");
    /* Another caller, tenant or path has keys of its own. */
    call("POST", "/things", "{\"name\":\"a\"}", .idempotency = "k1", .user = "bob");
    refused(409, "ALREADY_EXISTS", "name", "a");
    assert_int_equal(call("POST", "/things", "{\"name\":\"a\"}", .idempotency = "k1", .tenant = "other"), 201);
    /* A refusal is kept as well, and so is its language. */
    call("POST", "/things", "{\"name\":\"a\"}", .idempotency = "k2");
    refused(409, "ALREADY_EXISTS", "name", "a");
    store_sql(store->db, "DELETE FROM things");
    call("POST", "/things", "{\"name\":\"a\"}", .idempotency = "k2");
    refused(409, "ALREADY_EXISTS", "name", "a");
    assert_int_equal(call("POST", "/things", "{\"name\":\"a\"}"), 201);
    /* After a day the key is free. */
    store_sql(store->db, "DELETE FROM things; UPDATE kept_answers SET created_at = '2020-01-01T00:00:00.000Z'");
    assert_int_equal(call("POST", "/things", "{\"name\":\"a\"}", .idempotency = "k1"), 201);
    assert_string_not_equal(json_str(x.json, "id"), id);
    store_sql(store->db, "UPDATE kept_answers SET state = 'running', answer = NULL");
    call("POST", "/things", "{\"name\":\"a\"}", .idempotency = "k1");
    refused(503, "UNAVAILABLE", "null", "in progress");
    char longest[257];
    memset(longest, 'k', sizeof longest - 1);
    longest[255] = '\0';
    assert_int_equal(call("POST", "/things", "{\"name\":\"long\"}", .idempotency = longest), 201);
    longest[255] = 'k';
    longest[256] = '\0';
    call("POST", "/things", "{\"name\":\"long2\"}", .idempotency = longest);
    refused(400, "INVALID_REQUEST", "Idempotency-Key", "255");
    call("POST", "/things", "{\"name\":\"long2\"}", .idempotency = "a b");
    refused(400, "INVALID_REQUEST", "Idempotency-Key", "255");
}

/* Two at once with one key and different bodies: the refusal of the second does not take the first one's place. */
static void a_refusal_leaves_the_answer_of_another_alone(void **state)
{
    (void)state;
    meanwhile = "INSERT INTO kept_answers (scope, key, body_hash, state, status, answer, created_at)"
                " VALUES ('" TENANT "|gateway||POST /things', 'key:k', 'of another', 'done', 201, '{}',"
                " strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))";
    call("POST", "/things", "{\"name\":\"a\",\"size\":3}", .idempotency = "k");
    meanwhile = NULL;
    refused(409, "ALREADY_EXISTS", "Idempotency-Key", "another request body");
    assert_string_equal(store_text(store, "SELECT body_hash || status FROM kept_answers"), "of another201");
}

static void small_lists(void **state)
{
    (void)state;
    assert_int_equal(call("GET", "/things"), 200);
    assert_string_equal(x.body, "{\"things\":[]}");
    made("{\"name\":\"c\",\"mode\":\"fast\",\"ref\":\"" TENANT "\"}");
    made("{\"name\":\"a\",\"title\":\"c\",\"open\":true}");
    made("{\"name\":\"b\",\"mode\":\"fast\"}");
    static const struct {
        const char *query, *want;
    } rows[] = {
        {"", "abc"}, {"?mode=fast", "bc"}, {"?mode=", "abc"}, {"?open=true", "a"}, {"?open=0", "bc"},
        {"?open=x", "abc"},
        {"?ref=" TENANT, "c"}, {"?ref=" TENANT2, ""}, {"?like=c", "ac"}, {"?like=c&mode=fast", "c"},
        {"?speed=fast", "bc"}, {"?speed=all", "abc"}, {"?limit=2", "ab"}, {"?limit=2&offset=1", "bc"},
        {"?offset=3", ""}, {"?limit=0", "abc"},
    };
    for (size_t i = 0; i < N(rows); i++) {
        char names[20] = "";
        assert_int_equal(call("GET", arena_printf(store->a, "/things%s", rows[i].query)), 200);
        json_object *list = json_get(x.json, "things");
        for (size_t k = 0; k < json_object_array_length(list); k++)
            snprintf(names + k, sizeof names - k, "%s", json_str(json_object_array_get_idx(list, k), "name"));
        if (strcmp(names, rows[i].want) != 0)
            fail_msg("%s: %s", rows[i].query, names);
    }
    assert_false(json_has(x.json, "total"));
    call("GET", "/things?limit=1&offset=1");
    expect_text("total", "3");
    expect_text("limit", "1");
    expect_text("offset", "1");
    call("GET", "/things?ref=nope");
    refused(400, "INVALID_REQUEST", "ref", "ref");
    call("GET", "/things?speed=medium");
    refused(400, "INVALID_REQUEST", "speed", "fast, slow, all");
    config.list_payload_alias = true;
    call("GET", "/things?limit=2");
    assert_string_equal(text("payload"), text("things"));
    assert_int_equal(json_object_array_length(json_get(x.json, "payload")), 2);
    store_plans_are_straight(store->db, "things");
}

static void paged_lists(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        made(arena_printf(store->a, "{\"name\":\"n%d\"}", i));
        store_sql(store->db, arena_printf(store->a, "UPDATE things SET created_at = '2026-01-0%d' WHERE name = 'n%d'",
                                          1 + i / 2, i));
    }
    char seen_names[30] = "";
    const char *before = "";
    for (int page = 0; page < 3; page++) {
        assert_int_equal(call("GET", arena_printf(store->a, "/paged%s", before)), 200);
        expect_text("total", "5");
        expect_text("limit", "2");
        json_object *list = json_get(x.json, "things");
        size_t n = json_object_array_length(list);
        assert_int_equal(n, page < 2 ? 2 : 1);
        for (size_t k = 0; k < n; k++)
            snprintf(seen_names + strlen(seen_names), 3, "%s", json_str(json_object_array_get_idx(list, k), "name"));
        before = arena_printf(store->a, "?before=%s", json_str(json_object_array_get_idx(list, n - 1), "id"));
    }
    assert_string_equal(seen_names, "n4n3n2n1n0");
    call("GET", "/paged?limit=4&offset=4");
    expect_text("limit", "3");
    expect_text("offset", "4");
    expect_text("total", "5");
    call("GET", "/paged?offset=9");
    assert_string_equal(text("things"), "[]");
    expect_text("total", "5");
    call("GET", "/paged?before=x");
    refused(400, "INVALID_REQUEST", "before", "thing");
    const char *id = store_text(store, "SELECT id FROM things WHERE name = 'n0'");
    assert_int_equal(call("PUT", path("/paged", id), "{\"title\":\"t\"}"), 200);
    expect_text("ok", "\"true\"");
    assert_int_equal(call("DELETE", path("/paged", id)), 200);
    assert_string_equal(x.body, "{\"ok\":\"true\"}");
    store_plans_are_straight(store->db, "things");
}

static void whose_rows(void **state)
{
    (void)state;
    assert_int_equal(call("POST", "/owned", "{\"name\":\"hers\"}", .bearer = operator_bearer, .user = "alice"), 201);
    assert_int_equal(call("POST", "/owned", "{\"name\":\"shared\",\"open\":true}", .user = "alice"), 201);
    call("POST", "/owned", "{\"name\":\"no\",\"open\":true}", .bearer = operator_bearer, .user = "bob");
    refused(403, "UNAUTHORIZED", "open", "open");
    /* Sending back what is stored is fine. */
    assert_int_equal(call("PUT", "/owned/shared", "{\"open\":true}", .bearer = operator_bearer, .user = "alice"), 200);
    call("GET", "/owned/hers", .user = "bob"); /* an admin who names somebody is judged as him */
    refused(403, "UNAUTHORIZED", "null", "no access");
    assert_int_equal(call("GET", "/owned/shared", .user = "bob"), 200);
    call("PUT", "/owned/shared", "{}", .user = "bob");
    refused(403, "UNAUTHORIZED", "null", "owner");
    call("DELETE", "/owned/shared", .user = "bob");
    refused(403, "UNAUTHORIZED", "null", "owner");
    assert_int_equal(call("GET", "/owned/hers"), 200);
    assert_int_equal(call("GET", "/owned/hers", .user = "boss"), 200); /* an owner of the gateway */
    call("GET", "/owned/Nope_");
    refused(400, "INVALID_REQUEST", "id", "thing");
    assert_int_equal(call("GET", "/owned/nobody"), 404);
    call("GET", "/owned", .user = "bob");
    assert_int_equal(json_object_array_length(json_get(x.json, "things")), 1);
    call("GET", "/owned", .user = "alice");
    assert_int_equal(json_object_array_length(json_get(x.json, "things")), 2);
    /* An operator without a name is nobody, not everybody. */
    call("GET", "/quiet", .bearer = operator_bearer);
    assert_string_equal(text("things"), "[]");
    call("GET", "/quiet", .user = "bob");
    assert_int_equal(json_object_array_length(json_get(x.json, "things")), 2);
    const char *id = store_text(store, "SELECT id FROM things WHERE name = 'hers'");
    call("GET", path("/quiet", id), .bearer = operator_bearer, .user = "bob");
    refused(404, "NOT_FOUND", "id", "thing");
    assert_int_equal(call("GET", path("/quiet", id), .bearer = operator_bearer, .user = "alice"), 200);
    store_plans_are_straight(store->db, "things");
}

static void rows_of_a_parent(void **state)
{
    (void)state;
    made("{\"name\":\"a\"}");
    made("{\"name\":\"b\"}");
    assert_int_equal(call("POST", "/owned/a/parts", "{\"label\":\"x/y\",\"n\":1}"), 201);
    expect_text("thing_id", store_text(store, "SELECT '\"' || id || '\"' FROM things WHERE name = 'a'"));
    assert_int_equal(call("POST", "/owned/b/parts", "{\"label\":\"x/y\"}"), 201);
    call("POST", "/owned/a/parts", "{\"label\":\"x/y\"}");
    refused(409, "ALREADY_EXISTS", "label", "x/y");
    call("POST", "/owned/missing/parts", "not json");
    refused(404, "NOT_FOUND", "id", "thing");
    call("POST", "/owned/a/parts", "{\"label\":\"z\"}", .user = "bob");
    refused(403, "UNAUTHORIZED", "null", "access");
    call("GET", "/owned/a/parts");
    assert_int_equal(json_object_array_length(json_get(x.json, "parts")), 1);
    assert_int_equal(call("PUT", "/owned/a/parts/x%2Fy", "{\"n\":5}"), 200);
    assert_string_equal(store_text(store, "SELECT group_concat(n) FROM (SELECT n FROM parts ORDER BY n)"), "0,5");
    assert_int_equal(call("DELETE", "/owned/b/parts/x%2Fy"), 200);
    assert_string_equal(x.body, "{\"status\":\"deleted\"}");
    assert_int_equal(call("GET", "/owned/b/parts/x%2Fy"), 404);
    assert_int_equal(call("GET", "/owned/a/parts/x%2Fy"), 200);
    assert_int_equal(store_int(store->db, "SELECT COUNT(*) FROM activity_logs"), 2); /* parts have no audit */
}

static void failures_leave_nothing(void **state)
{
    (void)state;
    const char *p = made("{\"name\":\"a\"}");
    store_sql(store->db, "DROP TABLE activity_logs");
    assert_int_equal(call("PUT", p, "{\"title\":\"t\"}"), 500);
    assert_null(strstr(x.body, "activity"));
    assert_string_equal(store_text(store, "SELECT title FROM things"), "");
    store_sql(store->db, "DROP TABLE parts");
    assert_int_equal(call("GET", "/things"), 500);
    assert_null(strstr(x.body, "parts"));
}

/* A threaded program: reading connections from the pool, writes through the one writer. */
static void through_the_writer(void **state)
{
    (void)state;
    char err[200];
    struct writer *writer = writer_start(store->path, err, sizeof err);
    struct db_pool *pool = db_pool_new(store->path, 2, err, sizeof err);
    assert_non_null(writer);
    assert_non_null(pool);
    gw = (struct gateway){.config = &config, .program = &program, .pool = pool, .writer = writer};
    const char *p = made("{\"name\":\"a\",\"vars\":{\"A\":\"1\"}}");
    assert_int_equal(call("PUT", p, "{\"vars\":{\"A\":\"***\",\"B\":\"2\"}}"), 200);
    expect_text("vars", "{\"A\":\"***\",\"B\":\"***\"}");
    call("POST", "/things", "{\"name\":\"a\"}", .idempotency = "k");
    refused(409, "ALREADY_EXISTS", "name", "a");
    call("PUT", p, "{\"wait\":13}");
    refused(400, "INVALID_REQUEST", "wait", "luck");
    assert_int_equal(call("DELETE", p), 200);
    call("POST", "/things", "{\"name\":\"a\"}", .idempotency = "k");
    refused(409, "ALREADY_EXISTS", "name", "a");
    assert_int_equal(store_int(store->db, "SELECT COUNT(*) FROM activity_logs"), 3);
    done();
    x.arena = NULL;
    db_pool_free(pool);
    writer_stop(writer);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(rows_and_tenants), T(audit_and_rollback), T(updated_at_moves_whatever_the_clock_says), T(idempotency),
        T(a_refusal_leaves_the_answer_of_another_alone),
        T(small_lists), T(paged_lists), T(whose_rows), T(rows_of_a_parent), T(failures_leave_nothing),
        T(through_the_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

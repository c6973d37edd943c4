/* Copies of configuration between requests: keys, tenants, lists and their totals. */
#include "resource_fixture.h"

#include <unistd.h>

#include "base/clock.h"
#include "store/fresh.h"
#include "store/memo.h"

enum { TRIES = 5 };

static struct db *other; /* what another process does */

THING(kept_paged, .order = "created_at DESC", .page_limit = 2, .page_max = 200, .keep_lists = true);
THING(kept_owned, .order = "name", .rule = ROWS_OF_USER, .visible_sql = "t.owner_id = ?2 OR t.open = 1",
      .writable_sql = "t.owner_id = ?2", .keep_lists = true);

static const struct route kept_routes[] = {
    CRUD("/things", things), CRUD("/paged", kept_paged), CRUD("/owned", kept_owned),
};
static const struct program kept_program = {.name = "test", .routes = kept_routes, .route_count = N(kept_routes)};

static int kept_up(void **state)
{
    set_up(state);
    other = store_open(store);
    gw.program = &kept_program;
    gw.fresh = fresh_open(store->path);
    gw.memo = memo_new(gw.fresh, 16);
    return gw.fresh != NULL && gw.memo != NULL ? 0 : -1;
}

static int kept_down(void **state)
{
    if (x.arena != NULL)
        done();
    x.arena = NULL;
    memo_free(gw.memo);
    fresh_close(gw.fresh);
    db_close(other);
    return tear_down(state);
}

static const char *key_make_for(const char *tenant, const char *expires, const char **id)
{
    char text[API_KEY_SIZE];
    assert_int_equal(key_create(other, store->a, "k", "[\"operator.read\"]", tenant, NULL, NULL, expires, text, id),
                     DB_OK);
    return arena_printf(store->a, "Bearer %s", text);
}

/* SQL that no program runs leaves the mark alone: an answer from before shows that there was a copy. A copy lasts a
 * second, so a slow machine may need another try. */
static void expect_copy(const char *path, const char *bearer, const char *change, const char *back)
{
    int kept = 0;
    for (int i = 0; i < TRIES && kept == 0; i++) {
        store_sql(other, back);
        fresh_raise(gw.fresh);
        assert_int_equal(call("GET", path, .bearer = bearer), 200);
        const char *before = arena_strdup(store->a, x.body);
        store_sql(other, change);
        kept = call("GET", path, .bearer = bearer) == 200 && strcmp(x.body, before) == 0;
    }
    assert_int_equal(kept, 1);
    store_sql(other, back);
    fresh_raise(gw.fresh);
}

static void a_revoked_key_is_refused_at_once(void **state)
{
    (void)state;
    const char *id, *bearer = key_make_for(NULL, NULL, &id);
    expect_copy("/things", bearer, "UPDATE api_keys SET revoked = 1", "UPDATE api_keys SET revoked = 0");
    assert_int_equal(call("GET", "/things", .bearer = bearer), 200);
    assert_int_equal(key_revoke(other, id), DB_OK);
    assert_int_equal(call("GET", "/things", .bearer = bearer), 401);
}

static void expiry_is_looked_at_each_time(void **state)
{
    (void)state;
    char soon[TIME_TEXT_SIZE];
    const char *id;
    time_format(clock_ms() + 400, soon);
    const char *bearer = key_make_for(NULL, soon, &id);
    assert_int_equal(call("GET", "/things", .bearer = bearer), 200);
    usleep(450000);
    assert_int_equal(call("GET", "/things", .bearer = bearer), 401);
}

static void a_suspended_tenant_is_closed_at_once(void **state)
{
    (void)state;
    SQL(suspend, "UPDATE tenants SET status = 'suspended' WHERE slug = 'other'");
    const char *id, *bearer = key_make_for(TENANT2, NULL, &id);
    expect_copy("/things", bearer, "UPDATE tenants SET status = 'suspended' WHERE slug = 'other'",
                "UPDATE tenants SET status = 'active' WHERE slug = 'other'");
    assert_int_equal(call("GET", "/things", .tenant = "other"), 200);
    assert_int_equal(db_exec(other, &suspend, ""), DB_OK);
    assert_int_equal(call("GET", "/things", .bearer = bearer), 403);
    assert_int_equal(call("POST", "/things", "{\"name\":\"a\"}", .tenant = "other"), 403);
}

/* A use is noted by the one who first takes a copy, not by everybody until it is stale. */
static void a_use_is_noted_once_a_copy(void **state)
{
    (void)state;
    const char *id, *bearer = key_make_for(NULL, NULL, &id);
    int once = 0;
    for (int i = 0; i < TRIES && once == 0; i++) {
        fresh_raise(gw.fresh);
        store_sql(other, "UPDATE api_keys SET last_used_at = NULL");
        call("GET", "/things", .bearer = bearer);
        assert_true(store_int(other, "SELECT COUNT(last_used_at) FROM api_keys") == 1);
        store_sql(other, "UPDATE api_keys SET last_used_at = NULL");
        call("GET", "/things", .bearer = bearer);
        once = store_int(other, "SELECT COUNT(last_used_at) FROM api_keys") == 0;
    }
    assert_int_equal(once, 1);
}

static void lists_are_kept_until_something_changes(void **state)
{
    (void)state;
    const char *p = made("{\"name\":\"a\"}");
    expect_copy("/paged", NULL, "UPDATE things SET title = 'new'", "UPDATE things SET title = 'old'");
    assert_int_equal(call("GET", "/paged"), 200);
    assert_int_equal(call("PUT", p, "{\"title\":\"put\"}"), 200);
    assert_int_equal(call("GET", "/paged"), 200);
    assert_non_null(strstr(x.body, "\"put\""));
    assert_int_equal(call("DELETE", p), 200);
    assert_int_equal(call("GET", "/paged"), 200);
    expect_text("things", "[]");
    expect_text("total", "0");
}

/* The first page and the second, with and without a filter; other resources are read anew. */
static void each_question_has_its_answer(void **state)
{
    (void)state;
    made("{\"name\":\"a\",\"mode\":\"fast\"}");
    made("{\"name\":\"b\",\"mode\":\"fast\"}");
    made("{\"name\":\"c\"}");
    for (int again = 0; again < 2; again++) {
        call("GET", "/paged?limit=1");
        expect_text("total", "3");
        assert_int_equal(json_object_array_length(json_get(x.json, "things")), 1);
        call("GET", "/paged?limit=1&offset=1");
        expect_text("total", "3");
        expect_text("offset", "1");
        call("GET", "/paged?limit=1&mode=fast");
        expect_text("total", "2");
        call("GET", "/paged?limit=1&mode=");
        expect_text("total", "3");
        call("GET", "/paged?limit=x&mode=slow");
        expect_text("total", "1");
        call("GET", "/paged?limit=1", .tenant = "other");
        expect_text("total", "0");
        call("GET", "/paged?ref=nonsense");
        refused(400, "INVALID_REQUEST", "ref", "");
    }
    made("{\"name\":\"d\",\"mode\":\"fast\"}");
    call("GET", "/paged?limit=1&mode=fast");
    expect_text("total", "3");
}

/* The total outlives the page it was counted for. */
static void totals_are_kept(void **state)
{
    (void)state;
    int kept = 0;
    made("{\"name\":\"a\"}");
    made("{\"name\":\"b\"}");
    for (int i = 0; i < TRIES && kept == 0; i++) {
        fresh_raise(gw.fresh);
        call("GET", "/paged?limit=1");
        expect_text("total", "2");
        store_sql(other, "UPDATE things SET tenant_id = '" TENANT2 "' WHERE name = 'b'");
        call("GET", "/paged?limit=1&mode=");
        kept = strcmp(text("total"), "2") == 0;
        store_sql(other, "UPDATE things SET tenant_id = '" TENANT "' WHERE name = 'b'");
    }
    assert_int_equal(kept, 1);
}

static void nobody_sees_what_was_kept_for_another(void **state)
{
    (void)state;
    assert_int_equal(call("POST", "/owned", "{\"name\":\"a\"}", .user = "alice"), 201);
    assert_int_equal(call("POST", "/owned", "{\"name\":\"b\",\"open\":true}", .user = "bob"), 201);
    for (int again = 0; again < 2; again++) {
        call("GET", "/owned", .user = "alice");
        assert_int_equal(json_object_array_length(json_get(x.json, "things")), 2);
        call("GET", "/owned", .user = "bob");
        assert_int_equal(json_object_array_length(json_get(x.json, "things")), 1);
        call("GET", "/owned");
        assert_int_equal(json_object_array_length(json_get(x.json, "things")), 2);
        call("GET", "/owned", .user = "alice", .bearer = operator_bearer);
        assert_int_equal(json_object_array_length(json_get(x.json, "things")), 2);
        call("GET", "/owned", .bearer = operator_bearer);
        assert_int_equal(json_object_array_length(json_get(x.json, "things")), 1);
        call("GET", "/owned", .user = "alice", .tenant = "other");
        refused(403, "UNAUTHORIZED", "null", "");
    }
}

/* Too long to be kept: 200 rows of some 450 bytes. */
static void long_lists_are_made_each_time(void **state)
{
    (void)state;
    made("{\"name\":\"a\"}");
    store_sql(store->db,
              "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 199)"
              "INSERT INTO things SELECT printf('0193a5b0-7000-7000-8000-%012x', i), tenant_id, 'n' || i, title, code,"
              " note, origin, size, wait, start, cents, ratio, open, mode, extra, tags, key, vars, hidden, for_user, ref,"
              " due, owner_id, created_at, updated_at FROM things, n");
    for (int again = 0; again < 2; again++) {
        assert_int_equal(call("GET", "/paged?limit=200"), 200);
        assert_true(strlen(x.body) > 48 * 1024);
        assert_int_equal(json_object_array_length(json_get(x.json, "things")), 200);
        store_sql(other, "UPDATE things SET title = 'x'"); /* seen although the mark stays */
    }
    call("GET", "/paged?limit=200");
    assert_non_null(strstr(x.body, "\"title\":\"x\""));
}

#define K(f) cmocka_unit_test_setup_teardown(f, kept_up, kept_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        K(a_revoked_key_is_refused_at_once), K(expiry_is_looked_at_each_time), K(a_suspended_tenant_is_closed_at_once),
        K(a_use_is_noted_once_a_copy), K(lists_are_kept_until_something_changes), K(each_question_has_its_answer),
        K(totals_are_kept), K(nobody_sees_what_was_kept_for_another), K(long_lists_are_made_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "store_fixture.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "store/keys.h"

static const char *hash_of(struct store *s, const char *text)
{
    char hex[SHA256_HEX_SIZE];
    sha256_hex(text, strlen(text), hex);
    return arena_strdup(s->a, hex);
}

static const char *later(struct store *s, int64_t ms)
{
    char text[TIME_TEXT_SIZE];
    time_format(clock_ms() + ms, text);
    return arena_strdup(s->a, text);
}

static void test_a_key_is_shown_once_and_found_by_its_hash(void **state)
{
    struct store *s = *state;
    char text[API_KEY_SIZE];
    const char *id;
    assert_int_equal(key_create(s->db, s->a, "ci", "[\"operator.read\"]", TENANT2, "bob", "alice", NULL, text, &id),
                     DB_OK);
    assert_int_equal(strlen(text), 39);
    assert_memory_equal(text, "goclaw_", 7);
    assert_int_equal(strspn(text + 7, "0123456789abcdef"), 32);
    assert_memory_equal(store_text(s, "SELECT prefix FROM api_keys"), text + 7, 9 - 1);
    assert_int_equal(store_int(s->db, "SELECT length(prefix) FROM api_keys"), 8);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM api_keys WHERE key_hash LIKE '%goclaw%'"), 0);

    struct api_key k;
    assert_int_equal(key_find(s->db, s->a, hash_of(s, text), &k), DB_ROW);
    assert_string_equal(k.id, id);
    assert_string_equal(k.name, "ci");
    assert_string_equal(k.tenant_id, TENANT2);
    assert_string_equal(k.owner_id, "bob");
    assert_string_equal(k.scopes, "[\"operator.read\"]");
    assert_null(k.last_used_at);
    assert_int_equal(key_find(s->db, s->a, hash_of(s, "goclaw_"), &k), DB_OK);

    char text2[API_KEY_SIZE];
    assert_int_equal(key_create(s->db, s->a, "ci", "[]", NULL, NULL, NULL, NULL, text2, &id), DB_OK);
    assert_string_not_equal(text, text2);
    assert_int_equal(key_find(s->db, s->a, hash_of(s, text2), &k), DB_ROW);
    assert_null(k.tenant_id);
    assert_null(k.owner_id);
}

static void test_revoked_and_expired_keys_are_unknown(void **state)
{
    struct store *s = *state;
    char revoked[API_KEY_SIZE], expired[API_KEY_SIZE], living[API_KEY_SIZE];
    const char *id;
    struct api_key k;
    assert_int_equal(key_create(s->db, s->a, "a", "[]", NULL, NULL, NULL, NULL, revoked, &id), DB_OK);
    assert_int_equal(key_find(s->db, s->a, hash_of(s, revoked), &k), DB_ROW);
    assert_int_equal(key_revoke(s->db, id), DB_OK);
    assert_int_equal(key_find(s->db, s->a, hash_of(s, revoked), &k), DB_OK);
    assert_int_equal(key_revoke(s->db, id), DB_OK);

    assert_int_equal(key_create(s->db, s->a, "b", "[]", NULL, NULL, NULL, later(s, -1), expired, &id), DB_OK);
    assert_int_equal(key_find(s->db, s->a, hash_of(s, expired), &k), DB_OK);
    assert_int_equal(key_create(s->db, s->a, "c", "[]", NULL, NULL, NULL, later(s, 60000), living, &id), DB_OK);
    assert_int_equal(key_find(s->db, s->a, hash_of(s, living), &k), DB_ROW);
}

static void test_use_is_noted_once_a_minute(void **state)
{
    struct store *s = *state;
    char text[API_KEY_SIZE];
    const char *id;
    assert_int_equal(key_create(s->db, s->a, "a", "[]", NULL, NULL, NULL, NULL, text, &id), DB_OK);
    assert_int_equal(key_touch(s->db, id), DB_OK);
    assert_int_equal(db_changes(s->db), 1);
    struct api_key k;
    assert_int_equal(key_find(s->db, s->a, hash_of(s, text), &k), DB_ROW);
    assert_int_equal(strlen(k.last_used_at), 24);
    SQL(set, "UPDATE api_keys SET last_used_at = ?1");
    const char *fresh = later(s, -55000);
    assert_int_equal(db_exec(s->db, &set, "t", fresh), DB_OK);
    assert_int_equal(key_touch(s->db, id), DB_OK);
    assert_string_equal(store_text(s, "SELECT last_used_at FROM api_keys"), fresh);
    assert_int_equal(db_exec(s->db, &set, "t", later(s, -60001)), DB_OK);
    assert_int_equal(key_touch(s->db, id), DB_OK);
    assert_true(strcmp(store_text(s, "SELECT last_used_at FROM api_keys"), fresh) > 0);
}

static void test_tenants_by_id_and_slug(void **state)
{
    struct store *s = *state;
    struct tenant t;
    assert_int_equal(tenant_find(s->db, s->a, "master", &t), DB_ROW);
    assert_string_equal(t.id, TENANT);
    assert_string_equal(t.name, "Master");
    assert_string_equal(t.status, "active");
    assert_int_equal(tenant_find(s->db, s->a, TENANT2, &t), DB_ROW);
    assert_string_equal(t.slug, "other");
    assert_int_equal(tenant_find(s->db, s->a, "0193A5B0-7000-7000-8000-000000000002", &t), DB_ROW);
    assert_int_equal(tenant_by_id(s->db, s->a, TENANT2, &t), DB_ROW);
    assert_int_equal(tenant_by_id(s->db, s->a, "other", &t), DB_OK);
    assert_int_equal(tenant_find(s->db, s->a, "nobody", &t), DB_OK);
    assert_int_equal(tenant_find(s->db, s->a, "", &t), DB_OK);
}

static void test_membership(void **state)
{
    struct store *s = *state;
    store_sql(s->db, "INSERT INTO tenant_users (id, tenant_id, user_id, created_at, updated_at)"
                     " VALUES ('m', '" TENANT2 "', 'bob', 't', 't')");
    assert_int_equal(tenant_member(s->db, TENANT2, "bob"), DB_ROW);
    assert_int_equal(tenant_member(s->db, TENANT, "bob"), DB_OK);
    assert_int_equal(tenant_member(s->db, TENANT2, "eve"), DB_OK);
    assert_int_equal(tenant_member(s->db, TENANT2, NULL), DB_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_key_is_shown_once_and_found_by_its_hash, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_revoked_and_expired_keys_are_unknown, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_use_is_noted_once_a_minute, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_tenants_by_id_and_slug, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_membership, store_set_up, store_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

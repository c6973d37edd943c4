#include "store_fixture.h"

#include "store/agents.h"
#include "store/context_files.h"
#include "store/runs.h"

static void test_found_by_id_or_key_inside_the_tenant(void **state)
{
    struct store *s = *state;
    struct agent a;
    assert_int_equal(agent_find(s->db, s->a, TENANT, "default", &a), DB_ROW);
    assert_string_equal(a.id, AGENT);
    assert_string_equal(a.display_name, "Default");
    assert_int_equal(a.context_window, 200000);
    assert_int_equal(a.max_tool_iterations, 30);
    assert_int_equal(a.budget_monthly_cents, 0);
    assert_string_equal(a.status, "active");
    assert_string_equal(a.agent_type, "open");
    assert_string_equal(a.other_config, "{}");
    assert_string_equal(a.provider, "");
    assert_int_equal(agent_find(s->db, s->a, TENANT, "0193A5B0-7000-7000-8000-00000000000A", &a), DB_ROW);
    assert_int_equal(agent_find(s->db, s->a, TENANT, AGENT2, &a), DB_OK);
    assert_int_equal(agent_find(s->db, s->a, TENANT2, AGENT2, &a), DB_ROW);
    assert_int_equal(agent_find(s->db, s->a, TENANT, "nobody", &a), DB_OK);
}

static void test_created_with_the_defaults(void **state)
{
    struct store *s = *state;
    const char *id;
    struct agent in = {.tenant_id = TENANT, .agent_key = "helper", .owner_id = "alice", .workspace = "/w/helper"};
    struct agent a;
    assert_int_equal(agent_create(s->db, s->a, &in, &id), DB_OK);
    assert_int_equal(agent_find(s->db, s->a, TENANT, id, &a), DB_ROW);
    assert_string_equal(a.agent_key, "helper");
    assert_string_equal(a.workspace, "/w/helper");
    assert_int_equal(a.context_window, 200000);
    assert_false(a.is_default);
    assert_int_equal(store_int(s->db, "SELECT budget_monthly_cents IS NULL AND restrict_to_workspace = 1 AND"
                                      " memory_config = '{\"enabled\":true}' AND compaction_config = '{}'"
                                      " FROM agents WHERE agent_key = 'helper'"),
                     1);
    assert_int_equal(agent_create(s->db, s->a, &in, &id), DB_CONSTRAINT);
    in.tenant_id = TENANT2; /* the same key elsewhere */
    assert_int_equal(agent_create(s->db, s->a, &in, &id), DB_OK);
}

static void test_one_default_a_tenant(void **state)
{
    struct store *s = *state;
    const char *one, *two;
    struct agent in = {.tenant_id = TENANT, .agent_key = "one", .owner_id = "alice", .is_default = true,
                       .budget_monthly_cents = 5, .context_window = 1000, .max_tool_iterations = 3};
    struct agent a;
    assert_int_equal(agent_create(s->db, s->a, &in, &one), DB_OK);
    in.agent_key = "two";
    assert_int_equal(agent_create(s->db, s->a, &in, &two), DB_OK);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM agents WHERE is_default = 1"), 1);
    assert_int_equal(agent_default(s->db, s->a, TENANT, &a), DB_ROW);
    assert_string_equal(a.id, AGENT); /* the key "default" comes first */
    store_sql(s->db, "DELETE FROM agents WHERE agent_key = 'default'");
    assert_int_equal(agent_default(s->db, s->a, TENANT, &a), DB_ROW);
    assert_string_equal(a.id, two);
    assert_int_equal(a.budget_monthly_cents, 5);
    assert_int_equal(a.context_window, 1000);
    assert_int_equal(a.max_tool_iterations, 3);
    assert_int_equal(agent_default(s->db, s->a, TENANT2, &a), DB_OK);
}

static void test_owner_share_and_default_give_access(void **state)
{
    struct store *s = *state;
    struct agent a;
    assert_int_equal(agent_find(s->db, s->a, TENANT, "default", &a), DB_ROW);
    assert_int_equal(agent_accessible(s->db, &a, "alice"), DB_ROW);
    assert_int_equal(agent_accessible(s->db, &a, "bob"), DB_OK);
    store_sql(s->db, "INSERT INTO agent_shares (id, tenant_id, agent_id, user_id, created_at, updated_at)"
                     " VALUES ('s', '" TENANT "', '" AGENT "', 'bob', 't', 't')");
    assert_int_equal(agent_accessible(s->db, &a, "bob"), DB_ROW);
    assert_int_equal(agent_accessible(s->db, &a, "eve"), DB_OK);
    store_sql(s->db, "UPDATE agents SET is_default = 1 WHERE id = '" AGENT "'");
    assert_int_equal(agent_accessible(s->db, &a, "eve"), DB_ROW);
    a.tenant_id = TENANT2;
    assert_int_equal(agent_accessible(s->db, &a, "alice"), DB_OK);
}

static void join_key(void *ctx, const char *key, const char *second)
{
    char *all = ctx;
    size_t n = strlen(all);
    snprintf(all + n, 200 - n, "%s ", key);
    assert_non_null(second);
}

static void test_a_share_is_put_put_again_and_dropped(void **state)
{
    struct store *s = *state;
    struct agent a;
    struct agent_share share = {TENANT, AGENT, "bob", "viewer", "alice"};
    assert_int_equal(agent_find(s->db, s->a, TENANT, "default", &a), DB_ROW);
    assert_int_equal(agent_share_put(s->db, &share), DB_OK);
    assert_int_equal(agent_accessible(s->db, &a, "bob"), DB_ROW);
    store_sql(s->db, "UPDATE agent_shares SET id = 'first', created_at = 't', updated_at = 't'");
    share.role = "operator";
    share.granted_by = "carol";
    assert_int_equal(agent_share_put(s->db, &share), DB_OK);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM agent_shares WHERE id = 'first' AND role = 'operator' AND"
                                      " granted_by = 'carol' AND created_at = 't' AND updated_at <> 't'"),
                     1);
    assert_int_equal(agent_share_drop(s->db, TENANT2, AGENT, "bob"), DB_OK);
    assert_int_equal(agent_share_drop(s->db, TENANT, AGENT, "eve"), DB_OK);
    assert_int_equal(agent_accessible(s->db, &a, "bob"), DB_ROW);
    assert_int_equal(agent_share_drop(s->db, TENANT, AGENT, "bob"), DB_ROW);
    assert_int_equal(agent_share_drop(s->db, TENANT, AGENT, "bob"), DB_OK);
    assert_int_equal(agent_accessible(s->db, &a, "bob"), DB_OK);
    share.agent_id = "nobody";
    assert_int_equal(agent_share_put(s->db, &share), DB_CONSTRAINT);
}

static void test_active_agents_of_a_user(void **state)
{
    struct store *s = *state;
    store_sql(s->db,
              "INSERT INTO agents (id, tenant_id, agent_key, owner_id, status, is_default, created_at, updated_at) VALUES"
              " ('1', '" TENANT "', 'c-own', 'bob', 'active', 0, 't', 't'),"
              " ('2', '" TENANT "', 'b-shared', 'alice', 'active', 0, 't', 't'),"
              " ('3', '" TENANT "', 'a-default', 'alice', 'active', 1, 't', 't'),"
              " ('4', '" TENANT "', 'd-sleeping', 'bob', 'inactive', 0, 't', 't');"
              "INSERT INTO agent_shares (id, tenant_id, agent_id, user_id, created_at, updated_at)"
              " VALUES ('s', '" TENANT "', '2', 'bob', 't', 't')");
    char keys[200] = "";
    assert_int_equal(agent_each_active(s->db, s->a, TENANT, "bob", join_key, keys), DB_OK);
    assert_string_equal(keys, "a-default b-shared c-own ");
    *keys = 0;
    assert_int_equal(agent_each_active(s->db, s->a, TENANT, NULL, join_key, keys), DB_OK);
    assert_string_equal(keys, "a-default b-shared c-own default ");
    *keys = 0;
    assert_int_equal(agent_each_active(s->db, s->a, TENANT2, "bob", join_key, keys), DB_OK);
    assert_string_equal(keys, "");
}

static void test_a_provider_is_put_and_put_again(void **state)
{
    struct store *s = *state;
    struct provider in = {.name = "offline", .provider_type = "offline", .enabled = true}, p;
    assert_int_equal(provider_put(s->db, s->a, TENANT, &in), DB_OK);
    assert_int_equal(provider_find(s->db, s->a, TENANT, "offline", &p), DB_ROW);
    assert_string_equal(p.api_base, "");
    assert_string_equal(p.api_key, "");
    assert_string_equal(p.settings, "{}");
    assert_true(p.enabled);
    const char *id = p.id;
    in = (struct provider){.name = "offline", .provider_type = "openai_compat", .api_base = "http://x", .api_key = "k",
                           .settings = "{\"a\":1}"};
    assert_int_equal(provider_put(s->db, s->a, TENANT, &in), DB_OK);
    assert_int_equal(provider_find(s->db, s->a, TENANT, "offline", &p), DB_ROW);
    assert_string_equal(p.id, id);
    assert_string_equal(p.provider_type, "openai_compat");
    assert_string_equal(p.api_base, "http://x");
    assert_string_equal(p.api_key, "k");
    assert_string_equal(p.settings, "{\"a\":1}");
    assert_false(p.enabled);
    assert_int_equal(provider_find(s->db, s->a, TENANT2, "offline", &p), DB_OK);
}

static const char *files(struct store *s, const char *type, const char *user)
{
    static char names[200];
    *names = 0;
    struct agent a = {.id = AGENT, .tenant_id = TENANT, .agent_type = type};
    assert_int_equal(context_files_each(s->db, s->a, &a, user, join_key, names), DB_OK);
    return names;
}

static const char *replaced(void *ctx, const char *content)
{
    (void)content;
    return ctx;
}

static void test_context_files_are_of_a_tenant(void **state)
{
    static const char row[] = "INSERT INTO agent_context_files (id, tenant_id, agent_id, file_name, content, created_at,"
                              " updated_at) VALUES ('f', '" TENANT "', '" AGENT "', 'SOUL.md', 'mine', 't', 't')";
    static const char user_row[] = "INSERT INTO user_context_files (id, tenant_id, agent_id, user_id, file_name, content,"
                                   " created_at, updated_at)"
                                   " VALUES ('u', '" TENANT "', '" AGENT "', 'ann', 'SOUL.md', 'mine', 't', 't')";
    struct store *s = *state;
    const char *content = NULL;
    store_sql(s->db, row);
    store_sql(s->db, user_row);
    assert_int_equal(context_file_read(s->db, s->a, TENANT2, AGENT, "SOUL.md", &content), DB_OK);
    assert_int_equal(context_file_read(s->db, s->a, TENANT, AGENT, "SOUL.md", &content), DB_ROW);
    assert_string_equal(content, "mine");
    for (int own = 0; own < 2; own++) {
        char text[] = "new";
        enum db_rc rc = context_files_edit(s->db, s->a, own ? TENANT : TENANT2, AGENT, "SOUL.md", replaced, text);
        assert_int_equal(rc, DB_OK);
        assert_string_equal(store_text(s, "SELECT content FROM user_context_files"), own ? "new" : "mine");
    }
}

static void test_which_context_files_reach_the_prompt(void **state)
{
    struct store *s = *state;
    store_sql(s->db,
              "INSERT INTO agent_context_files (id, tenant_id, agent_id, file_name, content, created_at, updated_at) VALUES"
              " ('1', '" TENANT "', '" AGENT "', 'ZEBRA.md', 'x', 't', 't'), ('2', '" TENANT "', '" AGENT "', 'USER.md', 'x', 't', 't'),"
              " ('3', '" TENANT "', '" AGENT "', 'SOUL.md', 'x', 't', 't'), ('4', '" TENANT "', '" AGENT "', 'TOOLS.md', '', 't', 't'),"
              " ('5', '" TENANT "', '" AGENT "', 'HEARTBEAT.md', 'x', 't', 't'), ('6', '" TENANT "', '" AGENT "', 'IDENTITY.md', 'x', 't', 't');"
              "INSERT INTO user_context_files (id, tenant_id, agent_id, user_id, file_name, content, created_at, updated_at) VALUES"
              " ('1', '" TENANT "', '" AGENT "', 'bob', 'USER.md', 'mine', 't', 't'), ('2', '" TENANT "', '" AGENT "', 'bob', 'SOUL.md', 'mine', 't', 't'),"
              " ('3', '" TENANT "', '" AGENT "', 'bob', 'BOOTSTRAP.md', 'mine', 't', 't'), ('4', '" TENANT "', '" AGENT "', 'eve', 'USER.md', '', 't', 't')");
    assert_string_equal(files(s, "open", "bob"), "SOUL.md USER.md BOOTSTRAP.md ");
    assert_string_equal(files(s, "open", "eve"), "SOUL.md IDENTITY.md USER.md ZEBRA.md ");
    assert_string_equal(files(s, "open", NULL), "SOUL.md IDENTITY.md USER.md ZEBRA.md ");
    assert_string_equal(files(s, "predefined", "bob"), "SOUL.md IDENTITY.md USER.md BOOTSTRAP.md ZEBRA.md ");
    assert_string_equal(files(s, "predefined", NULL), "SOUL.md IDENTITY.md USER.md ZEBRA.md ");
}

static void test_what_an_agent_spent(void **state)
{
    struct store *s = *state;
    struct usage_delta u = {.tenant_id = TENANT, .bucket_hour = "2026-11-30T23:00:00.000Z", .agent_id = AGENT, .cost = 0.10};
    int64_t cents = -1;
    assert_int_equal(agent_spent_cents(s->db, TENANT, AGENT, "2026-11-01T00:00:00.000Z", &cents), DB_OK);
    assert_int_equal(cents, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(usage_add(s->db, &u), DB_OK);
    u.bucket_hour = "2026-12-01T00:00:00.000Z";
    u.cost = 2;
    assert_int_equal(usage_add(s->db, &u), DB_OK);
    assert_int_equal(agent_spent_cents(s->db, TENANT, AGENT, "2026-11-01T00:00:00.000Z", &cents), DB_OK);
    assert_int_equal(cents, 30);
    assert_int_equal(agent_spent_cents(s->db, TENANT, AGENT, "2026-12-01T00:00:00.000Z", &cents), DB_OK);
    assert_int_equal(cents, 200);
    assert_int_equal(agent_spent_cents(s->db, TENANT2, AGENT, "2026-12-01T00:00:00.000Z", &cents), DB_OK);
    assert_int_equal(cents, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_found_by_id_or_key_inside_the_tenant, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_created_with_the_defaults, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_one_default_a_tenant, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_owner_share_and_default_give_access, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_share_is_put_put_again_and_dropped, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_active_agents_of_a_user, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_provider_is_put_and_put_again, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_context_files_are_of_a_tenant, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_which_context_files_reach_the_prompt, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_what_an_agent_spent, store_set_up, store_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "store_fixture.h"

#include "base/clock.h"
#include "store/sessions.h"

static enum db_rc append(struct store *s, struct session_write w, const struct message *m, size_t n)
{
    if (!w.tenant_id)
        w.tenant_id = TENANT;
    if (!w.agent_id)
        w.agent_id = AGENT;
    assert_int_equal(db_begin(s->db), DB_OK);
    enum db_rc rc = session_append(s->db, &w, m, n);
    if (rc == DB_OK)
        return db_commit(s->db);
    db_rollback(s->db);
    return rc;
}

static struct message text(const char *role, const char *content)
{
    return (struct message){.id = content, .role = role, .content = content, .created_at = "2026-11-22T10:00:00.000Z"};
}

static struct session found(struct store *s, const char *key)
{
    struct session out;
    assert_int_equal(session_find(s->db, s->a, TENANT, key, &out), DB_ROW);
    return out;
}

static void test_the_first_write_makes_the_session(void **state)
{
    struct store *s = *state;
    struct message m[] = {text("user", "hello"), text("assistant", "h\xc3\xa9")};
    m[1].thinking = "hm";
    m[1].media_refs = "[]";
    m[1].is_error = true;
    struct session_write w = {.key = "k", .user_id = "bob", .channel = "http", .model = "m", .provider = "p",
                              .label = "L", .add_input_tokens = 10, .add_output_tokens = 2, .last_prompt_tokens = 9,
                              .context_window = 1000};
    assert_int_equal(append(s, w, m, 2), DB_OK);

    struct session x = found(s, "k");
    assert_true(uuid_parse(x.id, NULL));
    assert_string_equal(x.agent_id, AGENT);
    assert_string_equal(x.agent_key, "default");
    assert_string_equal(x.agent_name, "Default");
    assert_string_equal(x.user_id, "bob");
    assert_string_equal(x.channel, "http");
    assert_string_equal(x.label, "L");
    assert_string_equal(x.model, "m");
    assert_string_equal(x.provider, "p");
    assert_string_equal(x.metadata, "{}");
    assert_string_equal(x.summary, "");
    assert_int_equal(x.input_tokens, 10);
    assert_int_equal(x.output_tokens, 2);
    assert_int_equal(x.last_prompt_tokens, 9);
    assert_int_equal(x.context_window, 1000);
    assert_int_equal(x.message_count, 2);
    assert_int_equal(x.message_bytes, 5 + 3 + 2);
    assert_int_equal(x.context_start, 1);
    assert_string_equal(x.created_at, x.updated_at);

    struct message *rows;
    size_t n;
    assert_int_equal(session_messages(s->db, s->a, x.id, 1, 0, 0, &rows, &n), DB_OK);
    assert_int_equal(n, 2);
    assert_int_equal(rows[0].seq, 1);
    assert_string_equal(rows[0].role, "user");
    assert_null(rows[0].thinking);
    assert_null(rows[0].tool_calls);
    assert_false(rows[0].is_error);
    assert_int_equal(rows[1].seq, 2);
    assert_string_equal(rows[1].content, "h\xc3\xa9");
    assert_string_equal(rows[1].thinking, "hm");
    assert_true(rows[1].is_error);
}

static void test_later_writes_add(void **state)
{
    struct store *s = *state;
    struct message one = text("user", "one"), two = text("assistant", "two");
    struct session_write w = {.key = "k", .user_id = "bob", .model = "m", .add_input_tokens = 1,
                              .last_prompt_tokens = 7, .context_window = 5};
    assert_int_equal(append(s, w, &one, 1), DB_OK);
    w = (struct session_write){.key = "k", .user_id = "bob", .label = "late", .add_input_tokens = 2,
                               .add_output_tokens = 4, .last_prompt_tokens = -1};
    assert_int_equal(append(s, w, &two, 1), DB_OK);
    w.label = "later";
    assert_int_equal(append(s, w, NULL, 0), DB_OK);
    struct session x = found(s, "k");
    assert_int_equal(x.message_count, 2);
    assert_int_equal(x.input_tokens, 5);
    assert_int_equal(x.output_tokens, 8);
    assert_int_equal(x.last_prompt_tokens, 7);
    assert_int_equal(x.context_window, 5);
    assert_string_equal(x.model, "m");
    assert_string_equal(x.label, "late");
}

static void test_a_session_belongs_to_its_user(void **state)
{
    struct store *s = *state;
    struct message m = text("user", "one");
    assert_int_equal(append(s, (struct session_write){.key = "k", .user_id = "bob"}, &m, 1), DB_OK);
    assert_int_equal(append(s, (struct session_write){.key = "k", .user_id = "eve"}, &m, 1), DB_CONSTRAINT);
    assert_int_equal(found(s, "k").message_count, 1);
    assert_int_equal(append(s, (struct session_write){.key = "k"}, &m, 1), DB_OK); /* an admin's run */
    assert_string_equal(found(s, "k").user_id, "bob");
    /* The same key in another tenant is another session. */
    struct session_write w = {.tenant_id = TENANT2, .agent_id = AGENT2, .key = "k", .user_id = "eve"};
    assert_int_equal(append(s, w, &m, 1), DB_OK);
    assert_int_equal(found(s, "k").message_count, 2);
}

static void test_a_write_says_where_it_went(void **state)
{
    struct store *s = *state;
    struct message m = text("user", "one"), more = text("assistant", "two");
    struct session_write w = {.tenant_id = TENANT, .agent_id = AGENT, .key = "k", .user_id = "bob", .is_new = true};
    assert_int_equal(db_begin(s->db), DB_OK);
    assert_int_equal(session_append(s->db, &w, &m, 1), DB_OK);
    assert_int_equal(db_commit(s->db), DB_OK);
    assert_string_equal(w.id, found(s, "k").id);
    const char *began = arena_strdup(s->a, w.id);
    w.is_new = false;
    w.began = began;
    assert_int_equal(session_append(s->db, &w, &more, 1), DB_OK);
    assert_string_equal(w.id, began);
    assert_int_equal(found(s, "k").message_count, 2);
    /* Dropped: reset, then deleted. */
    assert_int_equal(db_begin(s->db), DB_OK);
    assert_int_equal(session_reset(s->db, TENANT, "k", "2026-11-22T10:00:00.000Z"), DB_OK);
    assert_int_equal(db_commit(s->db), DB_OK);
    assert_int_equal(session_append(s->db, &w, &more, 1), DB_OK);
    assert_string_equal(w.id, "");
    store_sql(s->db, "DELETE FROM sessions");
    assert_int_equal(session_append(s->db, &w, &more, 1), DB_OK);
    assert_string_equal(w.id, "");
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM messages"), 0);
}

static void test_summing_up_moves_the_beginning(void **state)
{
    struct store *s = *state;
    struct message m[] = {text("user", "1"), text("assistant", "2"), text("user", "3"), text("assistant", "4")};
    assert_int_equal(append(s, (struct session_write){.key = "k", .user_id = "bob"}, m, 4), DB_OK);
    struct session before = found(s, "k");
    assert_int_equal(session_sum_up(s->db, TENANT, "k", before.id, 1, 3, "they spoke"), DB_ROW);
    struct session x = found(s, "k");
    assert_string_equal(x.summary, "they spoke");
    assert_int_equal(x.context_start, 3);
    assert_int_equal(x.compaction_count, 1);
    assert_int_equal(x.message_count, 4);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM messages"), 4);
    assert_string_equal(x.updated_at, before.updated_at); /* the order of use stays */
    assert_int_equal(session_spend(s->db, TENANT, "k", 7, 2), DB_OK);
    assert_int_equal(session_spend(s->db, TENANT2, "k", 7, 2), DB_OK);
    assert_int_equal(found(s, "k").input_tokens, 7);
    assert_int_equal(found(s, "k").output_tokens, 2);
    /* Summed up meanwhile, another tenant's, another session by now, none. */
    assert_int_equal(session_sum_up(s->db, TENANT, "k", before.id, 1, 4, "late"), DB_OK);
    assert_int_equal(session_sum_up(s->db, TENANT2, "k", before.id, 3, 4, "late"), DB_OK);
    assert_int_equal(session_sum_up(s->db, TENANT, "none", before.id, 3, 4, "late"), DB_OK);
    assert_int_equal(db_begin(s->db), DB_OK);
    assert_int_equal(session_reset(s->db, TENANT, "k", "2026-11-22T10:00:00.000Z"), DB_OK);
    assert_int_equal(db_commit(s->db), DB_OK);
    assert_int_equal(session_sum_up(s->db, TENANT, "k", before.id, 1, 4, "late"), DB_OK);
    assert_string_equal(found(s, "k").summary, "");
}

static void test_late_writes_of_a_deleted_agent_are_dropped(void **state)
{
    struct store *s = *state;
    struct message m = text("user", "one");
    assert_int_equal(append(s, (struct session_write){.key = "k", .user_id = "bob"}, &m, 1), DB_OK);
    store_sql(s->db, "DELETE FROM agents WHERE id = '" AGENT "'");
    assert_int_equal(append(s, (struct session_write){.key = "k", .user_id = "bob"}, &m, 1), DB_OK);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM sessions"), 0);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM messages"), 0);
}

static void test_pages_of_messages(void **state)
{
    struct store *s = *state;
    struct message m[10];
    char names[10][16];
    for (int i = 0; i < 10; i++) {
        snprintf(names[i], sizeof names[i], "m%d", i + 1);
        m[i] = text("user", names[i]);
    }
    assert_int_equal(append(s, (struct session_write){.key = "k", .user_id = "bob"}, m, 10), DB_OK);
    const char *id = found(s, "k").id;
    static const struct {
        int64_t from, before, limit, first, count;
    } pages[] = {
        {1, 0, 0, 1, 10}, {1, 0, 3, 8, 3},  {1, 8, 3, 5, 3},  {1, 2, 3, 1, 1}, {1, 1, 3, 0, 0},
        {6, 0, 0, 6, 5},  {6, 8, 50, 6, 2}, {11, 0, 0, 0, 0}, {1, 0, 10, 1, 10}, {1, 11, 1, 10, 1},
    };
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        struct message *rows;
        size_t n;
        assert_int_equal(session_messages(s->db, s->a, id, pages[i].from, pages[i].before, pages[i].limit, &rows, &n),
                         DB_OK);
        assert_int_equal(n, pages[i].count);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(rows[k].seq, pages[i].first + (int64_t)k);
    }
    int64_t seq = 0;
    assert_int_equal(session_message_seq(s->db, id, "m4", &seq), DB_ROW);
    assert_int_equal(seq, 4);
    assert_int_equal(session_message_seq(s->db, id, "none", &seq), DB_OK);
    store_plans_are_straight(s->db, "messages");
}

static void test_a_tool_call_leads_back_to_its_session(void **state)
{
    struct store *s = *state;
    struct message m = text("assistant", "");
    m.tool_calls = "[{\"id\":\"call_1\",\"name\":\"a\",\"arguments\":{}},{\"id\":\"call_2\",\"name\":\"b\"},{\"id\":5},7]";
    assert_int_equal(append(s, (struct session_write){.key = "old", .user_id = "bob"}, &m, 1), DB_OK);
    m.created_at = "2026-11-22T10:00:01.000Z";
    m.tool_calls = "[{\"id\":\"call_2\"},{\"id\":\"call_2\"}]";
    assert_int_equal(append(s, (struct session_write){.key = "new", .user_id = "bob"}, &m, 1), DB_OK);
    m.tool_calls = "not JSON";
    assert_int_equal(append(s, (struct session_write){.key = "new", .user_id = "bob"}, &m, 1), DB_OK);

    const char *key;
    assert_int_equal(session_by_tool_call(s->db, s->a, TENANT, "call_1", &key), DB_ROW);
    assert_string_equal(key, "old");
    assert_int_equal(session_by_tool_call(s->db, s->a, TENANT, "call_2", &key), DB_ROW);
    assert_string_equal(key, "new");
    assert_int_equal(session_by_tool_call(s->db, s->a, TENANT2, "call_2", &key), DB_OK);
    assert_int_equal(session_by_tool_call(s->db, s->a, TENANT, "call_3", &key), DB_OK);
    m.created_at = "2026-11-22T10:00:02.000Z";
    m.tool_calls = "[{\"id\":\"call_4\"}]";
    assert_int_equal(append(s, (struct session_write){.key = "new", .user_id = "bob"}, &m, 1), DB_OK);
    assert_int_equal(session_by_tool_call(s->db, s->a, TENANT, "call_2", &key), DB_ROW); /* passed in "new" */
    assert_string_equal(key, "old");
    assert_int_equal(session_delete(s->db, TENANT, "new"), DB_OK);
    assert_int_equal(session_by_tool_call(s->db, s->a, TENANT, "call_2", &key), DB_ROW);
    assert_string_equal(key, "old");
    assert_int_equal(session_reset(s->db, TENANT, "old", "t"), DB_OK);
    assert_int_equal(session_by_tool_call(s->db, s->a, TENANT, "call_2", &key), DB_OK);
}

static void test_update_reset_delete(void **state)
{
    struct store *s = *state;
    struct message m = text("user", "one");
    struct session_write w = {.key = "k", .user_id = "bob", .add_input_tokens = 3, .last_prompt_tokens = 3};
    assert_int_equal(append(s, w, &m, 1), DB_OK);
    store_sql(s->db, "UPDATE sessions SET summary = 'short', context_start = 2");
    assert_int_equal(session_update(s->db, TENANT, "k", "L", "m", "{\"a\":\"1\"}", "2030"), DB_OK);
    struct session x = found(s, "k");
    assert_string_equal(x.label, "L");
    assert_string_equal(x.model, "m");
    assert_string_equal(x.metadata, "{\"a\":\"1\"}");
    assert_string_equal(x.updated_at, "2030");
    assert_int_equal(session_update(s->db, TENANT2, "k", "stolen", "", "{}", "2031"), DB_OK);
    assert_string_equal(found(s, "k").label, "L");

    assert_int_equal(session_reset(s->db, TENANT2, "k", "2031"), DB_OK);
    assert_int_equal(found(s, "k").message_count, 1);
    assert_int_equal(session_reset(s->db, TENANT, "k", "2032"), DB_OK);
    assert_string_not_equal(found(s, "k").id, x.id);
    x = found(s, "k");
    assert_int_equal(x.message_count, 0);
    assert_int_equal(x.message_bytes, 0);
    assert_int_equal(x.context_start, 1);
    assert_int_equal(x.last_prompt_tokens, 0);
    assert_int_equal(x.input_tokens, 3);
    assert_string_equal(x.summary, "");
    assert_string_equal(x.label, "L");
    assert_string_equal(x.updated_at, "2032");
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM messages"), 0);
    assert_int_equal(append(s, w, &m, 1), DB_OK); /* numbers begin anew */
    assert_int_equal(store_int(s->db, "SELECT seq FROM messages"), 1);

    assert_int_equal(session_delete(s->db, TENANT2, "k"), DB_OK);
    assert_int_equal(found(s, "k").message_count, 1);
    assert_int_equal(session_delete(s->db, TENANT, "k"), DB_OK);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM messages"), 0);
    assert_int_equal(session_delete(s->db, TENANT, "k"), DB_OK);
}

/* What a run wants to append to a session that was reset or deleted since it began is dropped. */
static void test_late_writes_are_dropped(void **state)
{
    struct store *s = *state;
    struct message m = text("assistant", "late");
    m.tool_calls = "[{\"id\":\"c\"}]";
    struct session_write w = {.key = "k", .user_id = "bob", .add_input_tokens = 3};
    assert_int_equal(append(s, w, &m, 1), DB_OK);
    w.began = found(s, "k").id;
    assert_int_equal(append(s, w, &m, 1), DB_OK); /* nothing happened meanwhile */
    assert_int_equal(found(s, "k").message_count, 2);

    assert_int_equal(session_reset(s->db, TENANT, "k", "t"), DB_OK);
    assert_int_equal(append(s, w, &m, 1), DB_OK);
    assert_int_equal(found(s, "k").message_count, 0);
    assert_int_equal(found(s, "k").input_tokens, 6);
    w.user_id = "eve";
    w.began = found(s, "k").id;
    assert_int_equal(append(s, w, &m, 1), DB_CONSTRAINT); /* another user stays another user */
    w.user_id = "bob";

    assert_int_equal(session_delete(s->db, TENANT, "k"), DB_OK);
    assert_int_equal(append(s, w, &m, 1), DB_OK);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM sessions"), 0);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM messages"), 0);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM tool_call_index"), 0);
    w.began = NULL;
    assert_int_equal(append(s, w, &m, 1), DB_OK);
    assert_int_equal(found(s, "k").message_count, 1);
}

/* Reset and delete mark the runs of that session alone. */
static void test_runs_of_a_session_are_marked(void **state)
{
    struct store *s = *state;
    store_sql(s->db, "INSERT INTO traces (tenant_id, id, session_key, status, start_time, worker) VALUES"
                     " ('" TENANT "', 'runs', 'k', 'running', 't', 7),"
                     " ('" TENANT "', 'waits', 'k', 'running', 't', 8),"
                     " ('" TENANT "', 'over', 'k', 'completed', 't', 7),"
                     " ('" TENANT "', 'failed', 'k', 'error', 't', 7),"
                     " ('" TENANT "', 'other', 'l', 'running', 't', 7),"
                     " ('" TENANT2 "', 'foreign', 'k', 'running', 't', 7)");
    assert_int_equal(session_reset(s->db, TENANT, "k", "t"), DB_OK);
    assert_string_equal(store_text(s, "SELECT group_concat(run_id || worker, ' ') FROM run_cancels"), "runs7 waits8");
    assert_int_equal(session_delete(s->db, TENANT, "k"), DB_OK); /* twice is once */
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM run_cancels"), 2);
    assert_int_equal(session_delete(s->db, TENANT2, "k"), DB_OK);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM run_cancels"), 3);
}

static const char *listed(struct store *s, struct session_filter f, int64_t *total)
{
    struct session *rows;
    size_t n;
    bool capped;
    if (!f.tenant_id)
        f.tenant_id = TENANT;
    if (!f.limit)
        f.limit = 20;
    assert_int_equal(session_list(s->db, s->a, &f, &rows, &n, total, &capped), DB_OK);
    assert_false(capped);
    char *all = arena_strdup(s->a, "");
    for (size_t i = 0; i < n; i++)
        all = arena_printf(s->a, "%s%s ", all, rows[i].id);
    return all;
}

static void test_lists(void **state)
{
    struct store *s = *state;
    store_sql(s->db,
              "INSERT INTO agents (id, tenant_id, agent_key, owner_id, created_at, updated_at)"
              " VALUES ('x', '" TENANT "', 'x', 'a', 't', 't');"
              "INSERT INTO sessions (id, tenant_id, key, agent_id, user_id, channel, created_at, updated_at) VALUES"
              " ('1', '" TENANT "', 'agent:default:ws:direct:9', '" AGENT "', 'bob', '', 't', '2026-01'),"
              " ('2', '" TENANT "', 'b', 'x', 'bob', 'http', 't', '2026-03'),"
              " ('3', '" TENANT "', 'a', '" AGENT "', 'eve', 'http', 't', '2026-03'),"
              " ('4', '" TENANT "', 'c', 'x', 'bob', 'ws', 't', '2026-02'),"
              " ('5', '" TENANT2 "', 'd', '" AGENT2 "', 'bob', 'ws', 't', '2026-04')");
    int64_t total;
    assert_string_equal(listed(s, (struct session_filter){0}, &total), "3 2 4 1 ");
    assert_int_equal(total, 4);
    assert_string_equal(listed(s, (struct session_filter){.limit = 2, .offset = 1}, &total), "2 4 ");
    assert_int_equal(total, 4);
    assert_string_equal(listed(s, (struct session_filter){.offset = 4}, &total), "");
    assert_string_equal(listed(s, (struct session_filter){.user_id = "bob"}, &total), "2 4 1 ");
    assert_int_equal(total, 3);
    assert_string_equal(listed(s, (struct session_filter){.agent_id = "x"}, &total), "2 4 ");
    assert_int_equal(total, 2);
    assert_string_equal(listed(s, (struct session_filter){.channel = "ws"}, &total), "4 1 ");
    assert_string_equal(listed(s, (struct session_filter){.channel = "ws", .user_id = "bob", .agent_id = "x"}, &total),
                        "4 ");
    assert_int_equal(total, 1);
    assert_string_equal(listed(s, (struct session_filter){.before = "a"}, &total), "2 4 1 ");
    assert_int_equal(total, 4);
    assert_string_equal(listed(s, (struct session_filter){.before = "b", .limit = 1}, &total), "4 ");
    assert_string_equal(listed(s, (struct session_filter){.before = "c", .user_id = "bob"}, &total), "1 ");
    assert_string_equal(listed(s, (struct session_filter){.before = "agent:default:ws:direct:9"}, &total), "");
    assert_string_equal(listed(s, (struct session_filter){.before = "d"}, &total), "");
    assert_string_equal(listed(s, (struct session_filter){.tenant_id = TENANT2}, &total), "5 ");
    store_plans_are_straight(s->db, "sessions");
}

static void test_totals_are_capped(void **state)
{
    struct store *s = *state;
    store_sql(s->db, "INSERT INTO sessions (id, tenant_id, key, agent_id, user_id, created_at, updated_at)"
                     " WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 10000)"
                     " SELECT i, '" TENANT "', i, '" AGENT "', 'bob', 't', i FROM n");
    struct session_filter f = {.tenant_id = TENANT, .limit = 5};
    struct session *rows;
    size_t n;
    int64_t total;
    bool capped;
    assert_int_equal(session_list(s->db, s->a, &f, &rows, &n, &total, &capped), DB_OK);
    assert_int_equal(total, 10000);
    assert_false(capped);
    assert_int_equal(n, 5);
    store_sql(s->db, "INSERT INTO sessions (id, tenant_id, key, agent_id, user_id, created_at, updated_at)"
                     " VALUES ('one more', '" TENANT "', 'k', '" AGENT "', 'bob', 't', 't')");
    assert_int_equal(session_list(s->db, s->a, &f, &rows, &n, &total, &capped), DB_OK);
    assert_int_equal(total, 10000);
    assert_true(capped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_first_write_makes_the_session, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_write_says_where_it_went, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_summing_up_moves_the_beginning, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_later_writes_add, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_session_belongs_to_its_user, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_late_writes_of_a_deleted_agent_are_dropped, store_set_up,
                                        store_tear_down),
        cmocka_unit_test_setup_teardown(test_pages_of_messages, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_tool_call_leads_back_to_its_session, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_update_reset_delete, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_late_writes_are_dropped, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_runs_of_a_session_are_marked, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_lists, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_totals_are_capped, store_set_up, store_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Each setting: its default, its value from the file and from the environment, and the refusal that names it. */
#include "base/buf.h"
#include "config_home.h"

#define AT(member) offsetof(struct config, member)

static const struct int_case {
    const char *path, *env;
    size_t offset;
    int64_t preset, min, max;
} ints[] = {
    {"gateway.port", "GOCLAW_PORT", AT(port), 18790, 1, 65535},
    {"gateway.max_body_bytes", NULL, AT(max_body_bytes), 10485760, 1024, 52428800},
    {"gateway.max_concurrent_runs", "GOCLAW_LANE_MAIN", AT(max_concurrent_runs), 1000, 1, 100000},
    {"gateway.database_wait_ms", NULL, AT(database_wait_ms), 5000, 100, 60000},
    {"gateway.drain_seconds", NULL, AT(drain_seconds), 5, 0, 600},
    {"gateway.prefork_max", NULL, AT(prefork_max), 4, 1, 64},
    {"gateway.prefork_requests", NULL, AT(prefork_requests), 10000, 1, 1000000000},
    {"gateway.prefork_idle_seconds", NULL, AT(prefork_idle_seconds), 30, 1, 3600},
    {"agents.defaults.max_tokens", NULL, AT(max_tokens), 8192, 1, 10000000},
    {"agents.defaults.max_tool_iterations", NULL, AT(max_tool_iterations), 30, 1, 1000},
    {"agents.defaults.max_tool_calls", NULL, AT(max_tool_calls), 0, 0, 100000},
    {"agents.defaults.context_window", NULL, AT(context_window), 200000, 1000, 10000000},
    {"agents.defaults.bootstrapMaxChars", NULL, AT(bootstrap_max_chars), 20000, 1, 10000000},
    {"agents.defaults.bootstrapTotalMaxChars", NULL, AT(bootstrap_total_max_chars), 24000, 1, 10000000},
    {"agents.defaults.compaction.minMessages", NULL, AT(compaction_min_messages), 200, 1, 1000000},
    {"agents.defaults.compaction.keepLastMessages", NULL, AT(compaction_keep_last), 4, 1, 1000},
    {"agents.defaults.run_timeout_sec", NULL, AT(run_timeout_sec), 540, 5, 3600},
    {"telemetry.retention_days", NULL, AT(retention_days), 30, 0, 36500},
};
enum { INTS = sizeof ints / sizeof *ints };

static int64_t int_at(size_t offset)
{
    int64_t v;
    memcpy(&v, (const char *)config + offset, sizeof v);
    return v;
}

static const char *digits(int64_t v)
{
    return arena_printf(arena, "%lld", (long long)v);
}

static void integers(void **state)
{
    (void)state;
    load();
    for (size_t i = 0; i < INTS; i++)
        assert_true(int_at(ints[i].offset) == ints[i].preset);
    for (size_t i = 0; i < INTS; i++) {
        const struct int_case *k = &ints[i];
        load_file(nested(k->path, digits(k->min)));
        assert_true(int_at(k->offset) == k->min);
        load_file(nested(k->path, digits(k->max)));
        assert_true(int_at(k->offset) == k->max);
        assert_file_refused(nested(k->path, digits(k->min - 1)), k->path);
        assert_file_refused(nested(k->path, digits(k->max + 1)), k->path);
        assert_file_refused(nested(k->path, arena_printf(arena, "\"%s\"", digits(k->max))), k->path);
        assert_file_refused(nested(k->path, arena_printf(arena, "%s.0", digits(k->max))), k->path);
        assert_file_refused(nested(k->path, "true"), k->path);
        load_file(nested(k->path, "null"));
        assert_true(int_at(k->offset) == k->preset);
    }
}

static void integers_of_the_environment(void **state)
{
    (void)state;
    for (size_t i = 0; i < INTS; i++) {
        const struct int_case *k = &ints[i];
        if (!k->env)
            continue;
        write_file("config.json", nested(k->path, digits(k->max)));
        setenv(k->env, digits(k->min), 1);
        load();
        assert_true(int_at(k->offset) == k->min);
        setenv(k->env, "", 1);
        load();
        assert_true(int_at(k->offset) == k->max);
        static const char *const wrong[] = {"x", "1x", "1.5", "99999999999999999999", " "};
        for (size_t w = 0; w < sizeof wrong / sizeof *wrong; w++) {
            setenv(k->env, wrong[w], 1);
            assert_refused(k->env);
        }
        setenv(k->env, digits(k->max + 1), 1);
        assert_refused(k->env);
        setenv(k->env, digits(k->min - 1), 1);
        assert_refused(k->env);
        unsetenv(k->env);
    }
}

static void integers_where_nothing_means_the_default(void **state)
{
    (void)state;
    load();
    assert_int_equal(config->max_message_chars, 32000);
    assert_int_equal(config->rate_limit_rpm, 0);
    load_file("{\"gateway\":{\"max_message_chars\":0,\"rate_limit_rpm\":-5}}");
    assert_int_equal(config->max_message_chars, 32000);
    assert_int_equal(config->rate_limit_rpm, 0);
    load_file("{\"gateway\":{\"max_message_chars\":-1,\"rate_limit_rpm\":1000000}}");
    assert_int_equal(config->max_message_chars, 32000);
    assert_int_equal(config->rate_limit_rpm, 1000000);
    load_file("{\"gateway\":{\"max_message_chars\":1}}");
    assert_int_equal(config->max_message_chars, 1);
    load_file("{\"gateway\":{\"max_message_chars\":10000000}}");
    assert_int_equal(config->max_message_chars, 10000000);
    assert_file_refused("{\"gateway\":{\"max_message_chars\":10000001}}", "gateway.max_message_chars");
    assert_file_refused("{\"gateway\":{\"rate_limit_rpm\":1000001}}", "gateway.rate_limit_rpm");
}

static const struct bool_case {
    const char *path, *env;
    size_t offset;
    bool preset;
} bools[] = {
    {"gateway.list_payload_alias", NULL, AT(list_payload_alias), false},
    {"gateway.stream_intermediate", NULL, AT(stream_intermediate), true},
    {NULL, "GOCLAW_ALLOW_INSECURE_NO_AUTH", AT(allow_insecure_no_auth), false},
    {NULL, "GOCLAW_TRACE_VERBOSE", AT(trace_verbose), false},
};

static bool bool_at(size_t offset)
{
    bool v;
    memcpy(&v, (const char *)config + offset, sizeof v);
    return v;
}

static void switches(void **state)
{
    (void)state;
    static const char *const yes[] = {"1", "true", "YES", "on"}, *const no[] = {"0", "False", "no", "off"};
    load();
    for (size_t i = 0; i < sizeof bools / sizeof *bools; i++)
        assert_int_equal(bool_at(bools[i].offset), bools[i].preset);
    for (size_t i = 0; i < sizeof bools / sizeof *bools; i++) {
        const struct bool_case *k = &bools[i];
        for (size_t w = 0; w < 4 && k->env; w++) {
            setenv(k->env, yes[w], 1);
            load();
            assert_true(bool_at(k->offset));
            setenv(k->env, no[w], 1);
            load();
            assert_false(bool_at(k->offset));
        }
        if (k->env) {
            setenv(k->env, "maybe", 1);
            assert_refused(k->env);
            unsetenv(k->env);
            continue;
        }
        load_file(nested(k->path, k->preset ? "false" : "true"));
        assert_int_equal(bool_at(k->offset), !k->preset);
        assert_file_refused(nested(k->path, "\"true\""), k->path);
        assert_file_refused(nested(k->path, "1"), k->path);
        write_file("config.json", "{}");
    }
}

static void private_urls_have_three_states(void **state)
{
    (void)state;
    load();
    assert_int_equal(config->allow_private_provider_urls, TRI_UNSET);
    setenv("GOCLAW_ALLOW_PRIVATE_PROVIDER_URLS", "true", 1);
    load();
    assert_int_equal(config->allow_private_provider_urls, TRI_YES);
    setenv("GOCLAW_ALLOW_PRIVATE_PROVIDER_URLS", "0", 1);
    load();
    assert_int_equal(config->allow_private_provider_urls, TRI_NO);
    setenv("GOCLAW_ALLOW_PRIVATE_PROVIDER_URLS", "2", 1);
    assert_refused("GOCLAW_ALLOW_PRIVATE_PROVIDER_URLS");
}

static void words(void **state)
{
    (void)state;
    static const char *const actions[] = {"\"off\"", "\"log\"", "\"warn\"", "\"block\""};
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    load();
    assert_string_equal(config->rate_limit_scope, "all");
    assert_string_equal(config->agent_type, "open");
    assert_int_equal(config->injection_action, INJECTION_WARN);
    assert_int_equal(config->log_level, LOG_INFO);
    for (int i = 0; i < 4; i++) {
        setenv("GOCLAW_LOG_LEVEL", levels[i], 1);
        load_file(nested("gateway.injection_action", actions[i]));
        assert_int_equal(config->injection_action, INJECTION_OFF + i);
        assert_int_equal(config->log_level, LOG_DEBUG + i);
    }
    load_file("{\"gateway\":{\"rate_limit_scope\":\"runs\"},"
              "\"agents\":{\"defaults\":{\"agent_type\":\"predefined\"}}}");
    assert_string_equal(config->rate_limit_scope, "runs");
    assert_string_equal(config->agent_type, "predefined");
    static const char *const paths[] = {"gateway.injection_action", "gateway.rate_limit_scope",
                                        "agents.defaults.agent_type"};
    for (size_t i = 0; i < 3; i++) {
        assert_file_refused(nested(paths[i], "\"\""), paths[i]);
        assert_file_refused(nested(paths[i], "\"other\""), paths[i]);
        assert_file_refused(nested(paths[i], "2"), paths[i]);
    }
    write_file("config.json", "{}");
    setenv("GOCLAW_LOG_LEVEL", "loud", 1);
    assert_refused("GOCLAW_LOG_LEVEL");
}

static void temperature(void **state)
{
    (void)state;
    load();
    assert_true(config->compaction_share > 0.74 && config->compaction_share < 0.76);
    assert_true(config->temperature > 0.69 && config->temperature < 0.71);
    load_file(nested("agents.defaults.temperature", "0"));
    assert_true(config->temperature < 0.001);
    load_file(nested("agents.defaults.temperature", "2.0"));
    assert_true(config->temperature > 1.999);
    static const char *const wrong[] = {"-0.01", "2.01", "\"1\"", "[]"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_file_refused(nested("agents.defaults.temperature", wrong[i]), "agents.defaults.temperature");
    static const char share[] = "agents.defaults.compaction.maxHistoryShare";
    load_file(nested(share, "0"));
    assert_true(config->compaction_share < 0.001);
    load_file(nested(share, "1"));
    assert_true(config->compaction_share > 0.999);
    assert_file_refused(nested(share, "-0.01"), share);
    assert_file_refused(nested(share, "1.01"), share);
}

static char *letters(size_t n)
{
    char *s = arena_alloc(arena, n + 1);
    memset(s, 'x', n);
    return s;
}

static void texts(void **state)
{
    (void)state;
    static const struct {
        const char *path, *env, *preset;
        size_t offset, min, max;
        bool env_wins;
    } cases[] = {
        {"gateway.host", "GOCLAW_HOST", "0.0.0.0", AT(host), 1, 255, true},
        {"gateway.token", "GOCLAW_GATEWAY_TOKEN", "", AT(token), 0, 4096, true},
        {"agents.defaults.provider", "GOCLAW_PROVIDER", "anthropic", AT(default_provider), 0, 50, false},
        {"agents.defaults.model", "GOCLAW_MODEL", "claude-sonnet-4-5-20250929", AT(default_model), 0, 200, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got;
#define TEXT_AT() (memcpy(&got, (const char *)config + cases[i].offset, sizeof got), got)
        write_file("config.json", "{}");
        load();
        assert_string_equal(TEXT_AT(), cases[i].preset);
        setenv(cases[i].env, "of-environment", 1);
        load();
        assert_string_equal(TEXT_AT(), "of-environment");
        load_file(nested(cases[i].path, "\"of-file\""));
        assert_string_equal(TEXT_AT(), cases[i].env_wins ? "of-environment" : "of-file");
        unsetenv(cases[i].env);
        load();
        assert_string_equal(TEXT_AT(), "of-file");

        load_file(nested(cases[i].path, arena_printf(arena, "\"%s\"", letters(cases[i].max))));
        assert_int_equal(strlen(TEXT_AT()), cases[i].max);
        assert_file_refused(nested(cases[i].path, arena_printf(arena, "\"%s\"", letters(cases[i].max + 1))),
                            cases[i].path);
        assert_file_refused(nested(cases[i].path, "1"), cases[i].path);
        if (cases[i].min > 0)
            assert_file_refused(nested(cases[i].path, "\"\""), cases[i].path);
        write_file("config.json", "{}");
        setenv(cases[i].env, letters(cases[i].max + 1), 1);
        assert_refused(cases[i].env);
        unsetenv(cases[i].env);
    }
}

static void lists(void **state)
{
    (void)state;
    load();
    assert_null(config->owner_ids[0]);
    assert_null(config->allowed_origins[0]);
    assert_null(config->trusted_proxies[0]);
    load_file("{\"gateway\":{\"owner_ids\":[\"alice\",\"b,ob\"],\"allowed_origins\":[\"*\"],"
              "\"trusted_proxies\":[\"10.0.0.0/8\",\"::1\",\"192.168.1.1\",\"fd00::/128\"]}}");
    assert_string_equal(config->owner_ids[1], "b,ob");
    assert_null(config->owner_ids[2]);
    assert_string_equal(config->allowed_origins[0], "*");
    assert_string_equal(config->trusted_proxies[3], "fd00::/128");
    assert_null(config->trusted_proxies[4]);

    setenv("GOCLAW_OWNER_IDS", " carol ,, group:telegram:-100 ,", 1);
    setenv("GOCLAW_ALLOWED_ORIGINS", "https://a.example,https://b.example", 1);
    load();
    assert_string_equal(config->owner_ids[0], "carol");
    assert_string_equal(config->owner_ids[1], "group:telegram:-100");
    assert_null(config->owner_ids[2]);
    assert_string_equal(config->allowed_origins[1], "https://b.example");
    assert_null(config->allowed_origins[2]);

    static const char *const wrong[] = {"\"alice\"", "[1]", "[\"\"]", "[null]", "{}"};
    static const char *const paths[] = {"gateway.owner_ids", "gateway.allowed_origins", "gateway.trusted_proxies"};
    for (size_t p = 0; p < 3; p++)
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
            assert_file_refused(nested(paths[p], wrong[i]), paths[p]);
    static const char *const no_nets[] = {"[\"proxy\"]", "[\"10.0.0.0/33\"]", "[\"::/129\"]", "[\"10.0.0.0/\"]",
                                          "[\"10.0.0.0/8x\"]", "[\"10.0.0/8\"]", "[\"1.2.3.4:80\"]"};
    for (size_t i = 0; i < sizeof no_nets / sizeof *no_nets; i++)
        assert_file_refused(nested("gateway.trusted_proxies", no_nets[i]), "gateway.trusted_proxies");
}

static void longest_list(void **state)
{
    (void)state;
    struct buf list = BUF_INIT(10000);
    buf_adds(&list, "[\"a\"");
    for (int i = 1; i < 1000; i++)
        buf_adds(&list, ",\"a\"");
    load_file(nested("gateway.owner_ids", arena_printf(arena, "%s]", buf_str(&list))));
    assert_string_equal(config->owner_ids[999], "a");
    assert_null(config->owner_ids[1000]);
    assert_file_refused(nested("gateway.owner_ids", arena_printf(arena, "%s,\"a\"]", buf_str(&list))),
                        "gateway.owner_ids");
    buf_release(&list);
}

static void owners(void **state)
{
    (void)state;
    load();
    assert_true(config_is_owner_id(config, "system"));
    assert_false(config_is_owner_id(config, "alice"));
    setenv("GOCLAW_OWNER_IDS", "alice,bob", 1);
    load();
    assert_true(config_is_owner_id(config, "bob"));
    assert_false(config_is_owner_id(config, "system"));
    assert_false(config_is_owner_id(config, "bo"));
    assert_false(config_is_owner_id(config, ""));
}

int main(void)
{
    log_init("config_test", LOG_ERROR);
    const struct CMUnitTest tests[] = {
        IN_HOME(integers),
        IN_HOME(integers_of_the_environment),
        IN_HOME(integers_where_nothing_means_the_default),
        IN_HOME(switches),
        IN_HOME(private_urls_have_three_states),
        IN_HOME(words),
        IN_HOME(temperature),
        IN_HOME(texts),
        IN_HOME(lists),
        IN_HOME(longest_list),
        IN_HOME(owners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

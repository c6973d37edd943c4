/* Where settings come from, what a broken file says, what is warned about, and what is made on the way. */
#include "config_home.h"

static void paths(void **state)
{
    (void)state;
    load();
    assert_string_equal(config->home, home);
    assert_string_equal(config->file, in_home("config.json"));
    assert_string_equal(config->data_dir, in_home("data"));
    assert_string_equal(config->sqlite_path, in_home("data/goclaw.db"));
    assert_string_equal(config->workspace, in_home("workspace"));
    struct stat st;
    assert_int_equal(stat(in_home("data"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);

    load_file("{\"data_dir\":\"~/deep/er\",\"agents\":{\"defaults\":{\"workspace\":\"files\"}}}");
    assert_string_equal(config->data_dir, in_home("deep/er"));
    assert_string_equal(config->sqlite_path, in_home("deep/er/goclaw.db"));
    assert_string_equal(config->workspace, in_home("files"));
    assert_int_equal(access(in_home("deep/er/encryption.key"), F_OK), 0);

    setenv("GOCLAW_DATA_DIR", in_home("data"), 1);
    setenv("GOCLAW_WORKSPACE", "~", 1);
    setenv("GOCLAW_SQLITE_PATH", "/elsewhere/x.db", 1);
    load();
    assert_string_equal(config->data_dir, in_home("data"));
    assert_string_equal(config->workspace, home);
    assert_string_equal(config->sqlite_path, "/elsewhere/x.db");

    /* What stands below a directory is told by its text: there is one way to write it. */
    setenv("GOCLAW_WORKSPACE", "/files//", 1);
    load();
    assert_string_equal(config->workspace, "/files");
    setenv("GOCLAW_WORKSPACE", "~/", 1);
    load();
    assert_string_equal(config->workspace, home);
    config_free(config);
    config = config_load(in_home("/"), err, sizeof err);
    assert_non_null(config);
    assert_string_equal(config->home, home);

    unsetenv("GOCLAW_DATA_DIR");
    assert_file_refused("{\"data_dir\":\"\"}", "data_dir");
    assert_file_refused("{\"data_dir\":7}", "data_dir");
    assert_file_refused("{\"data_dir\":\"config.json\"}", "data_dir");
    assert_file_refused("{\"agents\":{\"defaults\":{\"workspace\":[]}}}", "agents.defaults.workspace");
}

static void home_and_file_of_the_environment(void **state)
{
    (void)state;
    setenv("CLAWGATE_HOME", home, 1);
    config = config_load(NULL, err, sizeof err);
    assert_non_null(config);
    assert_string_equal(config->home, home);
    write_file("other.json", "{\"gateway\":{\"port\":7}}");
    setenv("GOCLAW_CONFIG", in_home("other.json"), 1);
    load();
    assert_int_equal(config->port, 7);
    assert_string_equal(config->file, in_home("other.json"));
}

static void file_may_hold_comments(void **state)
{
    (void)state;
    load_file("// a gateway\n{\n  \"gateway\": { /* the\n port */ \"port\": 80, \"host\": \"a//b\", },\n}\n");
    assert_int_equal(config->port, 80);
    assert_string_equal(config->host, "a//b");
}

static void broken_file_is_named_with_its_line(void **state)
{
    (void)state;
    const char *file = in_home("config.json");
    assert_file_refused("{\n\n\"gateway\": {\n", file);
    assert_file_refused("[]", file);
    assert_file_refused("", file);
    assert_file_refused("{\"data_dir\":\"a\",\"data_dir\":\"b\"}", file);
    assert_file_refused("{\n\"gateway\":\n{\"port\": 08}}", file);
    assert_non_null(strstr(err, "line 3"));
    assert_file_refused("{\"gateway\":1}", "gateway");
    assert_file_refused("{\"agents\":{\"defaults\":[]}}", "agents.defaults");
    assert_file_refused(arena_printf(arena, "{}%*s", (1 << 20) - 1, ""), file);
    load_file(arena_printf(arena, "{}%*s", (1 << 20) - 2, ""));
    unlink(file);
    assert_int_equal(mkdir(file, 0700), 0);
    assert_refused(file);
    assert_int_equal(rmdir(file), 0);
}

static void prices(void **state)
{
    (void)state;
    load();
    assert_null(config->model_pricing);
    load_file(nested("telemetry.model_pricing", "{\"openai/x\":{\"input_per_million\":1.5,\"output_per_million\":2}}"));
    assert_true(json_num(json_get(config->model_pricing, "openai/x"), "input_per_million", 0) > 1.4);
    static const char *const wrong[] = {"[]", "{\"m\":1}", "{\"m\":{\"input_per_million\":\"1\"}}",
                                        "{\"m\":{\"input_per_million\":-1}}", "{\"ok\":{},\"m\":null}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_file_refused(nested("telemetry.model_pricing", wrong[i]), "telemetry.model_pricing");
}

static void token_is_needed_off_loopback(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        bool missing;
    } cases[] = {
        {"0.0.0.0", true}, {"127.0.0.1", false}, {"127.255.0.9", false}, {"::1", false}, {"localhost", false},
        {"::", true}, {"128.0.0.1", true}, {"127.example.com", true}, {"localhost.example.com", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("GOCLAW_HOST", cases[i].host, 1);
        load();
        assert_int_equal(config_token_missing(config), cases[i].missing);
    }
    setenv("GOCLAW_HOST", "0.0.0.0", 1);
    setenv("GOCLAW_ALLOW_INSECURE_NO_AUTH", "yes", 1);
    load();
    assert_false(config_token_missing(config));
    setenv("GOCLAW_ALLOW_INSECURE_NO_AUTH", "no", 1);
    setenv("GOCLAW_GATEWAY_TOKEN", "t", 1);
    load();
    assert_false(config_token_missing(config));
}

static void encryption_key_is_loaded(void **state)
{
    (void)state;
    load();
    struct crypto_keys first = config->keys;
    load();
    assert_memory_equal(first.primary, config->keys.primary, 32);
    setenv("GOCLAW_ENCRYPTION_KEY", "0123456789abcdef0123456789abcdef", 1);
    load();
    assert_memory_equal(config->keys.primary, "0123456789abcdef", 16);
    assert_true(config->keys.has_secondary);
    assert_memory_equal(config->keys.secondary, first.primary, 32);
    setenv("GOCLAW_ENCRYPTION_KEY", "short", 1);
    assert_refused("GOCLAW_ENCRYPTION_KEY");
}

/* What loading writes to the log. */
static char *log_of_load(const char *text, mode_t mode)
{
    FILE *sink = tmpfile();
    int saved = dup(STDERR_FILENO);
    assert_true(sink && saved >= 0);
    write_file("config.json", text);
    assert_int_equal(chmod(in_home("config.json"), mode), 0);
    log_init("config_test", LOG_WARN);
    dup2(fileno(sink), STDERR_FILENO);
    load();
    dup2(saved, STDERR_FILENO);
    log_init("config_test", LOG_ERROR);
    close(saved);
    char *got = arena_alloc(arena, 8192);
    assert_true(pread(fileno(sink), got, 8191, 0) >= 0);
    fclose(sink);
    return got;
}

static void unknown_keys_are_warned_about(void **state)
{
    (void)state;
    load();
    char *got = log_of_load("{\"gatway\":{\"port\":1},\"gateway\":{\"prot\":1,\"port\":2},"
                            "\"agents\":{\"x\":null}}",
                            0600);
    assert_non_null(strstr(got, "\"number\":1101,\"key\":\"gatway\""));
    assert_non_null(strstr(got, "\"key\":\"gateway.prot\""));
    assert_non_null(strstr(got, "\"key\":\"agents.x\""));
    assert_null(strstr(got, "\"key\":\"gateway.port\""));
    assert_int_equal(config->port, 2);

    got = log_of_load("{\"agents\":{\"list\":{},\"defaults\":{\"memory\":{},\"compaction\":{},"
                      "\"restrict_to_workspace\":true}},\"providers\":{},\"tools\":{},\"sessions\":{},\"skills\":{},"
                      "\"gateway\":{\"quota\":{},\"public_url\":\"\",\"file_token_ttl\":1,\"inbound_debounce_ms\":1}}",
                      0600);
    assert_string_equal(got, "");
}

static void token_open_to_others_is_warned_about(void **state)
{
    (void)state;
    load();
    static const char token[] = "{\"gateway\":{\"token\":\"s3cret\"}}";
    char *got = log_of_load(token, 0640);
    assert_non_null(strstr(got, "\"number\":1102"));
    assert_null(strstr(got, "s3cret"));
    assert_non_null(strstr(log_of_load(token, 0604), "\"number\":1102"));
    assert_string_equal(log_of_load(token, 0600), "");
    assert_string_equal(log_of_load("{}", 0644), "");
}

int main(void)
{
    log_init("config_test", LOG_ERROR);
    const struct CMUnitTest tests[] = {
        IN_HOME(paths),
        IN_HOME(home_and_file_of_the_environment),
        IN_HOME(file_may_hold_comments),
        IN_HOME(broken_file_is_named_with_its_line),
        IN_HOME(prices),
        IN_HOME(token_is_needed_off_loopback),
        IN_HOME(encryption_key_is_loaded),
        IN_HOME(unknown_keys_are_warned_about),
        IN_HOME(token_open_to_others_is_warned_about),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

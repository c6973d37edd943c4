/* agent/provider: which stored providers can be called, and with what. */
#include "agent/provider.h"

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/id.h"

static const char other_tenant[] = "0193a5b0-7000-7000-8000-0000000000ff";

static struct provider row(const char *type, const char *key)
{
    return (struct provider){.id = "", .name = "p", .provider_type = type, .api_base = "", .api_key = key,
                             .settings = "{}", .enabled = true};
}

struct fixture {
    struct arena *arena;
    struct config config;
    struct llm_provider out;
};

static enum provider_state resolve(struct fixture *f, const struct provider *p)
{
    return provider_resolve(f->arena, &f->config, MASTER_TENANT_ID, p, &f->out);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->arena = arena_new();
    f->config.allow_private_provider_urls = TRI_UNSET;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    arena_free(f->arena);
    free(f);
    return 0;
}

static void states(void **state)
{
    struct fixture *f = *state;
    struct provider p = row("openai_compat", "sk-1");
    assert_int_equal(resolve(f, &p), PROVIDER_USABLE);
    assert_string_equal(f->out.api_key, "sk-1");
    p.enabled = false;
    assert_int_equal(resolve(f, &p), PROVIDER_DISABLED);
    p = row("openai_compat", "");
    assert_int_equal(resolve(f, &p), PROVIDER_NO_KEY);
    assert_string_equal(f->out.api_key, "");
    p = row("suno", "k");
    assert_int_equal(resolve(f, &p), PROVIDER_STORED_ONLY);
    p = row("no_such_type", "k");
    assert_int_equal(resolve(f, &p), PROVIDER_STORED_ONLY);
    p = row("ollama", "");
    assert_int_equal(resolve(f, &p), PROVIDER_USABLE);
    p = row("offline", "");
    assert_int_equal(resolve(f, &p), PROVIDER_USABLE);
    assert_string_equal(f->out.base_url, "");
}

static void lost_key(void **state)
{
    struct fixture *f = *state;
    struct provider p = row("openai_compat", "aes-gcm:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert_int_equal(resolve(f, &p), PROVIDER_KEY_LOST);
    assert_string_equal(f->out.api_key, "");
}

static void addresses_and_models(void **state)
{
    struct fixture *f = *state;
    struct provider p = row("groq", "k");
    resolve(f, &p);
    assert_string_equal(f->out.base_url, "https://api.groq.com/openai/v1");
    assert_string_equal(f->out.default_model, "llama-3.3-70b-versatile");
    p.api_base = "https://own.example.com/v1";
    p.settings = "{\"default_model\":\"mine\"}";
    resolve(f, &p);
    assert_string_equal(f->out.base_url, "https://own.example.com/v1");
    assert_string_equal(f->out.default_model, "mine");
    static const char *const useless[] = {"{\"default_model\":\"\"}", "{\"default_model\":7}", "[]", "not json", ""};
    for (size_t i = 0; i < sizeof useless / sizeof *useless; i++) {
        p.settings = useless[i];
        resolve(f, &p);
        assert_string_equal(f->out.default_model, "llama-3.3-70b-versatile");
    }
    p = row("yescale", "k");
    resolve(f, &p);
    assert_string_equal(f->out.default_model, "");
}

static void private_addresses(void **state)
{
    struct fixture *f = *state;
    struct provider p = row("openai_compat", "k");
    static const struct {
        int64_t set;
        bool master, other;
    } rows[] = {{TRI_UNSET, true, false}, {TRI_YES, true, true}, {TRI_NO, false, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        f->config.allow_private_provider_urls = rows[i].set;
        provider_resolve(f->arena, &f->config, MASTER_TENANT_ID, &p, &f->out);
        assert_int_equal(f->out.private_allowed, rows[i].master);
        provider_resolve(f->arena, &f->config, other_tenant, &p, &f->out);
        assert_int_equal(f->out.private_allowed, rows[i].other);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {TEST(states), TEST(lost_key), TEST(addresses_and_models),
                                       TEST(private_addresses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

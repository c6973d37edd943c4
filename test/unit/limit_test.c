/* What the rate limit counts, for whom, and when (contract 01 §0 step 6, §4). */
#include <stdarg.h>
#include <stddef.h>
#include "web_fixture.h"

#include "base/id.h"
#include "base/log.h"
#include "shared_home.h"
#include "store/keys.h"
#include "web/ratelimit.h"

static reply h_ok(struct request *req)
{
    return reply_bytes(req, 200, "text/plain", "", 0);
}

static const struct route routes[] = {
    {ROW(GET, "/v1/any", VIEWER, OPTIONAL, h_ok)},
    {ROW(POST, "/v1/run", OPERATOR, OPTIONAL, h_ok), .flags = ROUTE_RUN},
    {ROW(POST, "/v1/tools/invoke", OPERATOR, OPTIONAL, h_ok)},
    {ROW(GET, "/v1/admin", OWNER, OPTIONAL, h_ok)},
    {ROW(GET, "/v1/openapi.json", PUBLIC, UNUSED, h_ok)},
    {ROW(GET, "/health", PUBLIC, UNUSED, h_ok)},
    {ROW(GET, "/metrics", ADMIN, UNUSED, h_ok), .flags = ROUTE_METRICS},
};
static const struct program program = {
    .name = "test", .routes = routes, .route_count = sizeof routes / sizeof *routes};
static struct gateway gw = {.config = &config, .program = &program};
static char bound_key[API_KEY_SIZE], plain_key[API_KEY_SIZE];

static int setup(void **state)
{
    static const char *const proxies[] = {"192.0.2.9", NULL};
    char err[200], path[100];
    const char *id;
    if (home_make(state) != 0 || config_setup(state) != 0)
        return -1;
    config.rate_limit_scope = "all";
    config.trusted_proxies = proxies;
    snprintf(path, sizeof path, "%s/db", test_home);
    gw.db = db_open(path, DB_CREATE, err, sizeof err);
    gw.limiter = ratelimit_open(test_home, 1);
    if (!gw.db || !gw.limiter)
        return -1;
    struct arena *a = arena_new();
    bool ok = key_create(gw.db, a, "b", "[\"operator.write\"]", NULL, "carol", "test", NULL, bound_key, &id) == DB_OK &&
              key_create(gw.db, a, "p", "[\"operator.write\"]", NULL, NULL, "test", NULL, plain_key, &id) == DB_OK;
    arena_free(a);
    return ok ? 0 : -1;
}

static int teardown(void **state)
{
    db_close(gw.db);
    ratelimit_free(gw.limiter);
    return home_remove(state);
}

struct call {
    const char *method, *path, *token, *user, *ip, *tenant;
};

static int status_of(struct call c)
{
    struct exchange x;
    exchange_start(&x, c.method ? c.method : "GET", c.path ? c.path : "/v1/any");
    if (c.token == NULL || *c.token)
        exchange_param(&x, "HTTP_AUTHORIZATION", arena_printf(x.arena, "Bearer %s", c.token ? c.token : "s3cret"));
    if (c.user)
        exchange_param(&x, "HTTP_X_GOCLAW_USER_ID", c.user);
    if (c.ip)
        exchange_param(&x, "HTTP_X_FORWARDED_FOR", c.ip);
    if (c.tenant)
        exchange_param(&x, "HTTP_X_GOCLAW_TENANT_ID", c.tenant);
    exchange_run(&x, &gw);
    int status = x.status;
    if (status == 429) {
        assert_string_equal(exchange_header(&x, "Retry-After"), "60");
        assert_string_equal(exchange_error(&x, "code"), "RESOURCE_EXHAUSTED");
        assert_string_equal(exchange_error(&x, "retryAfterMs"), "60000");
        assert_string_equal(exchange_error(&x, "retryable"), "true");
        assert_null(exchange_header(&x, "X-Should-Retry"));
    }
    exchange_end(&x);
    return status;
}

#define STATUS(...) status_of((struct call){__VA_ARGS__})

/* So many pass with this status, then 429. */
#define EXPECT_BURST(status, n, ...)                      \
    do {                                                  \
        for (int burst_i = 0; burst_i < (n); burst_i++)   \
            assert_int_equal(STATUS(__VA_ARGS__), status); \
        assert_int_equal(STATUS(__VA_ARGS__), 429);       \
    } while (0)

static void users_and_addresses(void **state)
{
    (void)state;
    EXPECT_BURST(200, 5, .user = "alice");
    EXPECT_BURST(200, 5, .user = "bob");
    EXPECT_BURST(200, 5, .ip = "198.51.100.1");
    EXPECT_BURST(200, 5, .ip = "198.51.100.2");
    /* a user is a user wherever he calls from, and an address is no user */
    assert_int_equal(STATUS(.user = "alice", .ip = "198.51.100.3"), 429);
    EXPECT_BURST(200, 5, .user = "198.51.100.1");
    EXPECT_BURST(200, 5, .user = "ip:198.51.100.9");
    EXPECT_BURST(200, 5, .ip = "198.51.100.9");
}

static void keys_of_their_owner(void **state)
{
    (void)state;
    EXPECT_BURST(200, 5, .token = bound_key, .user = "mallory"); /* counted for carol */
    assert_int_equal(STATUS(.token = bound_key, .ip = "198.51.100.7"), 429);
    assert_int_equal(STATUS(.user = "carol"), 429);
    assert_int_equal(STATUS(.user = "mallory"), 200);
    EXPECT_BURST(200, 5, .token = plain_key, .ip = "198.51.100.8");
}

static void tenants_are_apart(void **state)
{
    (void)state;
    SQL(insert, "INSERT INTO tenants (id, name, slug, status, created_at, updated_at)"
                " VALUES ('0193a5b0-7000-7000-8000-0000000000aa', 'acme', 'acme', 'active', '', '')");
    assert_int_equal(db_exec(gw.db, &insert, ""), DB_OK);
    EXPECT_BURST(200, 5, .token = plain_key, .user = "alice");
    EXPECT_BURST(200, 5, .token = plain_key, .user = "alice", .tenant = "acme");
}

/* A header that is refused at step 8 names nobody at step 6: it does not open a new bucket each time. */
static void invalid_users_count_for_the_address(void **state)
{
    static const char *const bad[] = {"a\x01", "a\x7f", "b\x02", "\xff", "\xe2\x80\x8b"};
    (void)state;
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(STATUS(.user = bad[i]), 400);
    assert_int_equal(STATUS(.user = "c\x03"), 429);
    assert_int_equal(STATUS(), 429);
    assert_int_equal(STATUS(.user = "alice"), 200);
}

static void before_the_role(void **state)
{
    (void)state;
    EXPECT_BURST(403, 5, .path = "/v1/admin", .token = plain_key, .user = "u");
    /* after the tenant: who is refused there pays nothing */
    for (int i = 0; i < 10; i++)
        assert_int_equal(STATUS(.token = plain_key, .user = "v", .tenant = "nobody"), 404);
    EXPECT_BURST(200, 5, .token = plain_key, .user = "v");
}

static void never_limited(void **state)
{
    (void)state;
    EXPECT_BURST(200, 5, .path = "/v1/any");
    for (int i = 0; i < 10; i++) {
        assert_int_equal(STATUS(.path = "/health"), 200);
        assert_int_equal(STATUS(.path = "/v1/openapi.json"), 200);
        assert_int_equal(STATUS(.path = "/metrics"), 200);
        assert_int_equal(STATUS(.method = "OPTIONS"), 204);
        assert_int_equal(STATUS(.path = "/v1/unknown"), 404);
        assert_int_equal(STATUS(.method = "DELETE"), 405);
    }
}

static void scope_runs(void **state)
{
    (void)state;
    config.rate_limit_scope = "runs";
    for (int i = 0; i < 10; i++)
        assert_int_equal(STATUS(.user = "alice"), 200);
    EXPECT_BURST(200, 5, .method = "POST", .path = "/v1/run", .user = "alice");
    assert_int_equal(STATUS(.method = "POST", .path = "/v1/tools/invoke", .user = "alice"), 429);
    EXPECT_BURST(200, 5, .method = "POST", .path = "/v1/tools/invoke", .user = "bob");
    assert_int_equal(STATUS(.user = "alice"), 200);
    /* guessing is throttled in every scope */
    EXPECT_BURST(401, 5, .token = "wrong");
}

static void guessing(void **state)
{
    (void)state;
    EXPECT_BURST(401, 5, .token = "wrong");
    assert_int_equal(STATUS(.token = ""), 429);
    assert_int_equal(STATUS(.path = "/metrics", .token = "wrong"), 429);
    /* others at other addresses, and those who are known, are not touched */
    assert_int_equal(STATUS(.token = "wrong", .ip = "198.51.100.1"), 401);
    assert_int_equal(STATUS(.user = "alice"), 200);
    assert_int_equal(STATUS(), 429); /* without a user it is the same bucket */
    EXPECT_BURST(401, 4, .token = "wrong", .ip = "198.51.100.1");
}

static void no_limit(void **state)
{
    (void)state;
    ratelimit_free(gw.limiter);
    gw.limiter = NULL;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(STATUS(.user = "alice"), 200);
        assert_int_equal(STATUS(.token = "wrong"), 401);
    }
}

static void log_line(void **state)
{
    struct capture c;
    (void)state;
    EXPECT_BURST(200, 5, .user = "alice");
    log_init("test", LOG_INFO);
    capture_start(&c, STDERR_FILENO);
    STATUS(.user = "alice", .path = "/v1/any?token=secret");
    capture_end(&c);
    log_init("test", LOG_ERROR + 1);
    assert_non_null(strstr(c.text, "\"event\":\"security.rate_limited\",\"number\":3603,"));
    assert_non_null(strstr(c.text, "\"counted\":\"user\""));
    assert_non_null(strstr(c.text, "\"user\":\"alice\""));
    assert_null(strstr(c.text, "secret"));
}

static void metrics_may_be_public(void **state)
{
    (void)state;
    assert_int_equal(STATUS(.path = "/metrics", .token = ""), 401);
    assert_int_equal(STATUS(.path = "/metrics", .token = plain_key), 403);
    config.metrics_public = true;
    for (int i = 0; i < 10; i++)
        assert_int_equal(STATUS(.path = "/metrics", .token = ""), 200);
    assert_int_equal(STATUS(.path = "/v1/admin", .token = ""), 401);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    log_init("test", LOG_ERROR + 1);
    const struct CMUnitTest tests[] = {
        T(users_and_addresses), T(keys_of_their_owner), T(tenants_are_apart), T(invalid_users_count_for_the_address),
        T(before_the_role), T(never_limited), T(scope_runs), T(guessing), T(no_limit), T(log_line),
        T(metrics_may_be_public),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

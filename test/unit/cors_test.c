/* Cross-origin requests and OPTIONS (contract 01 §2.8). */
#include "web_fixture.h"
#include "test/unit/rule.h"

static reply h_ok(struct request *req)
{
    return reply_bytes(req, 200, "text/plain", "", 0);
}

static const struct route routes[] = {
    {ROW(POST, "/v1/body", OPERATOR, OPTIONAL, h_ok)},
    {ROW(GET, "/v1/body", VIEWER, OPTIONAL, h_ok)},
};

static const struct program program = {
    .name = "test", .routes = routes, .route_count = sizeof routes / sizeof *routes};
/* The gateway token without a tenant header never looks into the database. */
static const struct gateway gw = {.config = &config, .program = &program, .db = (struct db *)&config};

static void preflight(struct exchange *x, const char *uri, const char *origin)
{
    exchange_start(x, "OPTIONS", uri);
    exchange_param(x, "HTTP_ORIGIN", origin);
    exchange_param(x, "HTTP_ACCESS_CONTROL_REQUEST_METHOD", "POST");
    exchange_param(x, "HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "authorization, x-stainless-os,X-Stainless-Lang,x-evil,"
                                                             "x-stainless-\xc3\xa9");
    exchange_run(x, &gw);
}

static void cors(void **state)
{
    (void)state;
    static const char *const origins[] = {"https://a.example", "https://b.example", NULL};
    static const char *const all[] = {"*", NULL};
    struct exchange x;

    preflight(&x, "/v1/body", "https://a.example"); /* list empty */
    assert_int_equal(x.status, 204);
    assert_null(exchange_header(&x, "Access-Control-Allow-Origin"));
    assert_null(exchange_header(&x, "Access-Control-Allow-Methods"));
    assert_null(exchange_header(&x, "Vary"));
    assert_null(exchange_header(&x, "Content-Length"));
    exchange_end(&x);

    config.allowed_origins = origins;
    preflight(&x, "/v1/body", "https://b.example");
    assert_int_equal(x.status, 204);
    assert_string_equal(exchange_header(&x, "Access-Control-Allow-Origin"), "https://b.example");
    assert_string_equal(exchange_header(&x, "Vary"), "Origin");
    assert_string_equal(exchange_header(&x, "Access-Control-Max-Age"), "600");
    assert_string_equal(exchange_header(&x, "Access-Control-Allow-Methods"),
                        "GET, POST, PUT, PATCH, DELETE, OPTIONS");
    const char *allowed = exchange_header(&x, "Access-Control-Allow-Headers");
    assert_non_null(strstr(allowed, "X-Request-Id, x-stainless-os, X-Stainless-Lang"));
    assert_null(strstr(allowed, "evil"));
    assert_null(strstr(allowed, "\xc3"));
    assert_null(exchange_header(&x, "Access-Control-Allow-Credentials"));
    exchange_end(&x);

    static const char *const refused[] = {"https://c.example", "https://a.example.evil", "HTTPS://a.example", "null"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        preflight(&x, "/v1/body", refused[i]);
        assert_int_equal(x.status, 204);
        assert_null(exchange_header(&x, "Access-Control-Allow-Origin"));
        assert_null(exchange_header(&x, "Access-Control-Allow-Headers"));
        exchange_end(&x);
    }

    preflight(&x, "/v1/unknown", "https://a.example");
    assert_int_equal(x.status, 404);
    exchange_end(&x);

    /* errors carry them too, or the page could not read them */
    exchange_start(&x, "GET", "/v1/body");
    exchange_param(&x, "HTTP_ORIGIN", "https://a.example");
    exchange_run(&x, &gw);
    assert_int_equal(x.status, 401);
    assert_string_equal(exchange_header(&x, "Access-Control-Allow-Origin"), "https://a.example");
    assert_non_null(strstr(exchange_header(&x, "Access-Control-Expose-Headers"), "X-GoClaw-Run-Id"));
    exchange_end(&x);

    config.allowed_origins = all;
    preflight(&x, "/v1/body", "https://any.example");
    assert_string_equal(exchange_header(&x, "Access-Control-Allow-Origin"), "https://any.example");
    exchange_end(&x);
}

static void plain_options(void **state)
{
    (void)state;
    struct exchange x;
    exchange_start(&x, "OPTIONS", "/v1/body");
    exchange_run(&x, &gw);
    assert_int_equal(x.status, 204);
    assert_string_equal(exchange_header(&x, "Allow"), "GET, HEAD, POST, OPTIONS");
    assert_string_equal(x.body, "");
    exchange_end(&x);
    exchange_start(&x, "OPTIONS", "*");
    exchange_run(&x, &gw);
    assert_int_equal(x.status, 404);
    exchange_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TEST_SETUP("2.8", cors, config_setup),
        RULE_TEST_SETUP("2.8", plain_options, config_setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

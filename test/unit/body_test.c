/* Request bodies: limits, what is JSON and what is not, when they are read. */
#include "web_fixture.h"
#include "test/unit/rule.h"

static reply h_body(struct request *req)
{
    const char *name = json_str(req->body, "name");
    snprintf(seen, sizeof seen, "name=%s len=%zu user=%s", name != NULL ? name : "-", req->raw_len,
             req->who.user != NULL ? req->who.user : "-");
    return say_json(req);
}

static reply h_raw(struct request *req)
{
    snprintf(seen, sizeof seen, "body=%s", req->body != NULL ? "there" : "none");
    return say_json(req);
}

static reply h_late(struct request *req)
{
    struct fault f;
    assert_null(req->body);
    if (strcmp(req->params[0], "absent") == 0)
        return reply_error(req, FAULT_NOT_FOUND, MSG_not_found, NULL, "row", req->params[0]);
    if (!req_body_read(req, &f))
        return reply_fault(req, &f);
    return h_body(req);
}

static const struct route routes[] = {
    {ROW(POST, "/v1/body", OPERATOR, OPTIONAL, h_body)},
    {ROW(POST, "/v1/small", OPERATOR, OPTIONAL, h_body), .body_max = 10},
    {ROW(POST, "/v1/chat", OPERATOR, OPTIONAL, h_body), .body_max = BODY_CHAT},
    {ROW(POST, "/v1/raw", OPERATOR, OPTIONAL, h_raw), .flags = ROUTE_RAW_BODY},
    {ROW(PUT, "/v1/late/{id}", OPERATOR, OPTIONAL, h_late), .flags = ROUTE_LATE_BODY},
};

static const struct program program = {
    .name = "test", .routes = routes, .route_count = sizeof routes / sizeof *routes};
/* The gateway token without a tenant header never looks into the database. */
static const struct gateway gw = {.config = &config, .program = &program, .db = (struct db *)&config};

static void bodies_that_are_objects(void **state)
{
    (void)state;
    static const struct {
        const char *body, *seen;
    } good[] = {
        {"", "name=- len=0 user=-"},
        {" \t\r\n", "name=- len=4 user=-"},
        {"{}", "name=- len=2 user=-"},
        {" {\"name\":\"x\"} ", "name=x len=14 user=-"},
        {"{\"name\":null}", "name=- len=13 user=-"},
    };
    struct exchange x;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        start(&x, "POST", "/v1/body");
        exchange_body(&x, good[i].body);
        expect_seen(&x, good[i].seen);
    }
    /* chunked: no length is announced */
    start(&x, "POST", "/v1/body");
    x.t.body = "{\"name\":\"c\"}";
    x.t.body_len = 12;
    expect_seen(&x, "name=c len=12 user=-");
    /* not read, not parsed */
    start(&x, "POST", "/v1/raw");
    exchange_body(&x, "not json");
    expect_seen(&x, "body=none");
}

static void bodies_that_are_not(void **state)
{
    (void)state;
    static const char *const bad[] = {"[]",          "null",       "1",          "\"x\"",           "{",
                                      "{\"a\":1}x",  "{\"a\":1,}", "{'a':1}",    "{\"a\":1,\"a\":2}",
                                      "{\"a\":\"\xff\"}",
                                      "{\"a\":\"\\u0000\"}", "\xef\xbb\xbf{}", "a=b&c=d"};
    struct exchange x;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        start(&x, "POST", "/v1/body");
        exchange_body(&x, bad[i]);
        exchange_run(&x, &gw);
        if (x.status != 400)
            fail_msg("%s: %d", bad[i], x.status);
        json_object *details = json_get(json_get(x.json, "error"), "details");
        assert_non_null(json_str(details, "reason"));
        assert_true(json_int(details, "offset", -1) >= 0);
        assert_string_equal(seen, "nothing");
        exchange_end(&x);
    }
}

static void body_limits(void **state)
{
    (void)state;
    struct exchange x;
    start(&x, "POST", "/v1/small");
    exchange_body(&x, "{       }\n");
    expect_seen(&x, "name=- len=10 user=-");
    start(&x, "POST", "/v1/small");
    exchange_body(&x, "{        }\n");
    expect_error(&x, 413, "INVALID_REQUEST", "10");
    assert_int_equal(json_int(json_get(json_get(x.json, "error"), "details"), "max", 0), 10);
    assert_int_equal(x.t.body_at, 0);
    exchange_end(&x);
    /* nothing announced, too little announced, a number beyond all */
    static const char *const announced[] = {NULL, "3", "", "x", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof announced / sizeof *announced; i++) {
        start(&x, "POST", "/v1/small");
        if (announced[i] != NULL)
            exchange_param(&x, "CONTENT_LENGTH", announced[i]);
        x.t.body_endless = (size_t)1 << 30;
        expect_error(&x, 413, "INVALID_REQUEST", "10");
        assert_true(x.t.body_endless > ((size_t)1 << 30) - 100);
        exchange_end(&x);
    }
    /* gateway.max_body_bytes and the default of 1 MiB */
    start(&x, "POST", "/v1/chat");
    x.t.body_endless = 2000;
    expect_seen(&x, "name=- len=2000 user=-");
    start(&x, "POST", "/v1/chat");
    x.t.body_endless = 2001;
    expect_error(&x, 413, "INVALID_REQUEST", "2000");
    exchange_end(&x);
    start(&x, "POST", "/v1/body");
    x.t.body_endless = 1048576;
    expect_seen(&x, "name=- len=1048576 user=-");
    start(&x, "POST", "/v1/body");
    x.t.body_endless = 1048577;
    expect_error(&x, 413, "INVALID_REQUEST", "1048576");
    exchange_end(&x);
}

static void bodies_cut_short(void **state)
{
    (void)state;
    struct exchange x;
    start(&x, "POST", "/v1/body");
    x.t.body = "{}";
    x.t.body_len = 2;
    exchange_param(&x, "CONTENT_LENGTH", "3");
    expect_error(&x, 400, "INVALID_REQUEST", "");
    assert_string_equal(exchange_error(&x, "param"), "Content-Length");
    exchange_end(&x);
    start(&x, "POST", "/v1/body");
    exchange_body(&x, "{}");
    x.t.read_fails = true;
    expect_error(&x, 400, "INVALID_REQUEST", "");
    exchange_end(&x);
}

static void row_before_body(void **state)
{
    (void)state;
    struct exchange x;
    start(&x, "PUT", "/v1/late/absent");
    exchange_body(&x, "{");
    expect_error(&x, 404, "NOT_FOUND", "row not found: absent");
    exchange_end(&x);
    start(&x, "PUT", "/v1/late/there");
    exchange_body(&x, "{");
    expect_error(&x, 400, "INVALID_REQUEST", "");
    exchange_end(&x);
    start(&x, "PUT", "/v1/late/there");
    exchange_body(&x, "{\"name\":\"n\"}");
    expect_seen(&x, "name=n len=12 user=-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TEST_SETUP("2.5", bodies_that_are_objects, config_setup),
        RULE_TEST_SETUP("2.5", bodies_that_are_not, config_setup),
        RULE_TEST_SETUP("2.6", body_limits, config_setup),
        cmocka_unit_test_setup(bodies_cut_short, config_setup),
        cmocka_unit_test_setup(row_before_body, config_setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

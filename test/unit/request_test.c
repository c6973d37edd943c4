/* One request through the house, without a database: order of checks, headers, body, errors, CORS. */
#include "web_fixture.h"
#include "test/unit/rule.h"

static reply h_public(struct request *req)
{
    const char *q = req_query(req, "q");
    snprintf(seen, sizeof seen, "q=%s limit=%d ip=%s", q != NULL ? q : "-",
             (int)req_query_int(req, "limit", 50, 1, 200), req->client_ip);
    return say_json(req);
}

static reply h_body(struct request *req)
{
    const char *name = json_str(req->body, "name");
    snprintf(seen, sizeof seen, "name=%s len=%zu user=%s", name != NULL ? name : "-", req->raw_len,
             req->who.user != NULL ? req->who.user : "-");
    return say_json(req);
}

static reply h_headers(struct request *req)
{
    reply_header(req, "X-Good", "fine");
    reply_header(req, "X-Bad", "a\r\nSet-Cookie: x");
    reply_header(req, "X-Bad-Too", "del\x7f");
    reply_header(req, "Cache-Control", "private");
    return reply_bytes(req, 200, "text/plain", "hello", 5);
}

static reply h_silent(struct request *req)
{
    (void)req;
    return 0;
}

static reply h_huge(struct request *req)
{
    static const char piece[1 << 20];
    for (int i = 0; i < 64; i++)
        assert_true(buf_add(req->out, piece, sizeof piece));
    assert_false(buf_addc(req->out, 'x'));
    return reply_json(req, 200);
}

static reply h_twice(struct request *req)
{
    reply_bytes(req, 200, "text/plain", "one", 3);
    return reply_error(req, FAULT_INTERNAL, MSG_internal, NULL, "late", NULL);
}

static reply h_run(struct request *req)
{
    const char *how = json_str(req->body, "how");
    req->admitted = json_bool(req->body, "admitted", false);
    enum fault_kind kind = strcmp(how, "busy") == 0 ? FAULT_UNAVAILABLE : FAULT_STATE;
    struct fault f;
    fault_set(&f, kind, MSG_unavailable, NULL, NULL, NULL);
    f.retry_after_ms = (int)json_int(req->body, "wait", 0);
    return reply_fault(req, &f);
}

static const struct route routes[] = {
    {ROW(GET, "/public", PUBLIC, UNUSED, h_public)},
    {ROW(POST, "/v1/body", OPERATOR, OPTIONAL, h_body)},
    {ROW(POST, "/v1/small", OPERATOR, OPTIONAL, h_body), .body_max = 10},
    {ROW(POST, "/v1/chat", OPERATOR, OPTIONAL, h_body), .body_max = BODY_CHAT},
    {ROW(GET, "/v1/body", VIEWER, REQUIRED, h_body)},
    {ROW(GET, "/public/headers", PUBLIC, UNUSED, h_headers)},
    {ROW(GET, "/public/silent", PUBLIC, UNUSED, h_silent)},
    {ROW(GET, "/public/huge", PUBLIC, UNUSED, h_huge)},
    {ROW(GET, "/public/twice", PUBLIC, UNUSED, h_twice)},
    {ROW(POST, "/v1/run", OPERATOR, OPTIONAL, h_run), .flags = ROUTE_RUN},
    {ROW(GET, "/v1/owners", OWNER, UNUSED, h_body)},
};

static const struct program program = {
    .name = "test", .routes = routes, .route_count = sizeof routes / sizeof *routes};
/* The gateway token without a tenant header never looks into the database. */
static const struct gateway gw = {.config = &config, .program = &program, .db = (struct db *)&config};

/* ---- answers ---- */

static void common_headers(void **state)
{
    (void)state;
    struct exchange x;
    exchange_start(&x, "GET", "/public?q=a+b%26c&q=second&limit=0x10");
    exchange_param(&x, "HTTP_X_REQUEST_ID", "abc-1.2:3_X");
    exchange_run(&x, &gw);
    assert_int_equal(x.status, 200);
    assert_string_equal(seen, "q=a b&c limit=50 ip=192.0.2.9");
    assert_string_equal(exchange_header(&x, "Content-Type"), "application/json");
    assert_string_equal(exchange_header(&x, "X-Content-Type-Options"), "nosniff");
    assert_string_equal(exchange_header(&x, "X-Frame-Options"), "DENY");
    assert_string_equal(exchange_header(&x, "X-XSS-Protection"), "0");
    assert_string_equal(exchange_header(&x, "Referrer-Policy"), "strict-origin-when-cross-origin");
    assert_string_equal(exchange_header(&x, "Cache-Control"), "no-store");
    assert_string_equal(exchange_header(&x, "X-Request-Id"), "abc-1.2:3_X");
    assert_int_equal(strtol(exchange_header(&x, "Content-Length"), NULL, 10), strlen(x.body));
    assert_null(exchange_header(&x, "Strict-Transport-Security"));
    assert_null(exchange_header(&x, "Content-Language"));
    assert_null(exchange_header(&x, "Access-Control-Allow-Origin"));
    exchange_end(&x);

    exchange_start(&x, "GET", "/public/");
    exchange_param(&x, "HTTPS", "on");
    exchange_param(&x, "HTTP_X_REQUEST_ID", "not valid");
    exchange_run(&x, &gw);
    assert_int_equal(strlen(exchange_header(&x, "X-Request-Id")), 36);
    assert_non_null(exchange_header(&x, "Strict-Transport-Security"));
    exchange_end(&x);
}

static void request_id_length(void **state)
{
    (void)state;
    struct exchange x;
    char id[130];
    memset(id, 'x', sizeof id);
    for (size_t n = 128; n <= 129; n++) {
        id[n] = '\0';
        exchange_start(&x, "GET", "/public");
        exchange_param(&x, "HTTP_X_REQUEST_ID", id);
        exchange_run(&x, &gw);
        assert_int_equal(strlen(exchange_header(&x, "X-Request-Id")), n == 128 ? 128 : 36);
        exchange_end(&x);
        id[n] = 'x';
    }
}

static void own_headers(void **state)
{
    (void)state;
    struct exchange x;
    exchange_start(&x, "GET", "/public/headers");
    exchange_run(&x, &gw);
    assert_string_equal(exchange_header(&x, "X-Good"), "fine");
    assert_null(exchange_header(&x, "X-Bad"));
    assert_null(exchange_header(&x, "X-Bad-Too"));
    assert_null(exchange_header(&x, "Set-Cookie"));
    assert_string_equal(exchange_header(&x, "Cache-Control"), "private");
    assert_string_equal(exchange_header(&x, "Content-Type"), "text/plain");
    assert_string_equal(x.body, "hello");
    exchange_end(&x);
}

static void head_has_no_body(void **state)
{
    (void)state;
    struct exchange x;
    exchange_start(&x, "HEAD", "/public/headers");
    exchange_run(&x, &gw);
    assert_int_equal(x.status, 200);
    assert_string_equal(exchange_header(&x, "Content-Length"), "5");
    assert_string_equal(x.body, "");
    exchange_end(&x);
    exchange_start(&x, "HEAD", "/v1/body");
    exchange_run(&x, &gw);
    assert_int_equal(x.status, 401);
    assert_true(strtol(exchange_header(&x, "Content-Length"), NULL, 10) > 50);
    assert_string_equal(x.body, "");
    exchange_end(&x);
}

static void handlers_that_go_wrong(void **state)
{
    (void)state;
    struct exchange x;
    exchange_start(&x, "GET", "/public/silent");
    expect_error(&x, 500, "INTERNAL", "");
    exchange_end(&x);
    exchange_start(&x, "GET", "/public/huge");
    expect_error(&x, 500, "INTERNAL", "");
    exchange_end(&x);
    exchange_start(&x, "GET", "/public/twice");
    exchange_run(&x, &gw);
    assert_int_equal(x.status, 200);
    assert_string_equal(x.body, "one");
    exchange_end(&x);
}

/* ---- the order of checks ---- */

static void routing_before_authentication(void **state)
{
    (void)state;
    struct exchange x;
    exchange_start(&x, "GET", "/v1/unknown?token=secret");
    expect_error(&x, 404, "NOT_FOUND", "API route not found: /v1/unknown");
    assert_null(strstr(x.body, "secret"));
    assert_string_equal(exchange_header(&x, "Content-Language"), "en");
    exchange_end(&x);
    exchange_start(&x, "DELETE", "/v1/body");
    expect_error(&x, 405, "INVALID_REQUEST", "");
    assert_string_equal(exchange_header(&x, "Allow"), "GET, HEAD, POST, OPTIONS");
    assert_null(exchange_header(&x, "X-Should-Retry"));
    exchange_end(&x);
    exchange_start(&x, "BREW", "/v1/body");
    expect_error(&x, 405, "INVALID_REQUEST", "");
    exchange_end(&x);
    exchange_start(&x, "GET", "/v1/%2e%2e/body");
    expect_error(&x, 400, "INVALID_REQUEST", "path");
    exchange_end(&x);
    exchange_start(&x, "GET", "/v1//body");
    expect_error(&x, 404, "NOT_FOUND", "");
    exchange_end(&x);
    exchange_start(&x, "GET", "/v1/body");
    expect_error(&x, 401, "UNAUTHORIZED", "");
    assert_string_equal(exchange_header(&x, "WWW-Authenticate"), "Bearer realm=\"goclaw\"");
    assert_string_equal(exchange_error(&x, "type"), "authentication_error");
    assert_string_equal(exchange_error(&x, "param"), "null");
    assert_string_equal(exchange_error(&x, "retryable"), "false");
    assert_string_equal(exchange_error(&x, "retryAfterMs"), "0");
    exchange_end(&x);
}

static void role_then_user_then_body(void **state)
{
    (void)state;
    struct exchange x;
    start(&x, "GET", "/v1/owners");
    exchange_param(&x, "HTTP_X_GOCLAW_USER_ID", "bob\x01");
    expect_error(&x, 403, "UNAUTHORIZED", "/v1/owners");
    assert_string_equal(exchange_error(&x, "type"), "permission_error");
    exchange_end(&x);
    start(&x, "POST", "/v1/body");
    exchange_param(&x, "HTTP_X_GOCLAW_USER_ID", "bob\x01");
    exchange_body(&x, "{");
    expect_error(&x, 400, "INVALID_REQUEST", "");
    assert_string_equal(exchange_error(&x, "param"), "X-GoClaw-User-Id");
    assert_int_equal(x.t.body_at, 0);
    exchange_end(&x);
    start(&x, "GET", "/v1/body");
    expect_error(&x, 400, "INVALID_REQUEST", "X-GoClaw-User-Id");
    exchange_end(&x);
    start(&x, "GET", "/v1/body");
    exchange_param(&x, "HTTP_X_GOCLAW_USER_ID", "boss");
    expect_seen(&x, "name=- len=0 user=boss");
}

static void doubled_headers(void **state)
{
    (void)state;
    static const struct {
        const char *param, *name;
    } doubles[] = {
        {"HTTP_X_GOCLAW_USER_ID", "X-GoClaw-User-Id"},
        {"HTTP_AUTHORIZATION", "Authorization"},
        {"CONTENT_LENGTH", "Content-Length"},
        {"HTTP_X_FOO", "X-Foo"},
        {"REMOTE_USER", "REMOTE_USER"},
    };
    struct exchange x;
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++) {
        exchange_start(&x, "GET", "/v1/unknown/../x");
        exchange_param(&x, doubles[i].param, "evil");
        exchange_param(&x, "HTTP_X_FOO_BAR", "not one of them");
        exchange_param(&x, doubles[i].param, "good");
        expect_error(&x, 400, "INVALID_REQUEST", doubles[i].name);
        assert_string_equal(exchange_error(&x, "param"), doubles[i].name);
        exchange_end(&x);
    }
    /* One name that begins like another is no collision. */
    exchange_start(&x, "GET", "/public");
    exchange_param(&x, "HTTP_X", "1");
    exchange_param(&x, "HTTP_X_Y", "1");
    exchange_param(&x, "HTTP_X1", "1");
    expect_seen(&x, "q=- limit=50 ip=192.0.2.9");
}

static void target_forms(void **state)
{
    (void)state;
    struct exchange x;
    exchange_start(&x, "GET", "http://user:pw@host/public?q=1");
    expect_seen(&x, "q=1 limit=50 ip=192.0.2.9");
    /* Without REQUEST_URI the decoded path is encoded again: what looks like an escape is data. */
    exchange_start(&x, "GET", NULL);
    exchange_param(&x, "SCRIPT_NAME", "/public");
    exchange_param(&x, "PATH_INFO", "/headers");
    exchange_run(&x, &gw);
    assert_string_equal(x.body, "hello");
    exchange_end(&x);
    exchange_start(&x, "GET", NULL);
    exchange_param(&x, "SCRIPT_NAME", "");
    exchange_param(&x, "PATH_INFO", "/public");
    exchange_param(&x, "QUERY_STRING", "q=2");
    expect_seen(&x, "q=2 limit=50 ip=192.0.2.9");
    exchange_start(&x, "GET", NULL);
    exchange_param(&x, "PATH_INFO", "/publi%63");
    expect_error(&x, 404, "NOT_FOUND", "");
    exchange_end(&x);
    exchange_start(&x, "GET", NULL);
    expect_error(&x, 404, "NOT_FOUND", "");
    exchange_end(&x);
}

static void query_rules(void **state)
{
    (void)state;
    static const struct {
        const char *uri, *seen;
    } good[] = {
        {"/public?q", "q=- limit=50 ip=192.0.2.9"},
        {"/public?q=&q=x", "q=- limit=50 ip=192.0.2.9"},
        {"/public?&&%71=x%3Dy&limit=201", "q=x=y limit=200 ip=192.0.2.9"},
        {"/public?limit=200", "q=- limit=200 ip=192.0.2.9"},
        {"/public?limit=1", "q=- limit=1 ip=192.0.2.9"},
        {"/public?limit=0", "q=- limit=50 ip=192.0.2.9"},
        {"/public?limit=-1", "q=- limit=50 ip=192.0.2.9"},
        {"/public?limit=99999999999999999999", "q=- limit=200 ip=192.0.2.9"},
        {"/public?limit=1x", "q=- limit=50 ip=192.0.2.9"},
    };
    static const char *const bad[] = {"/public?q=%", "/public?q=%4", "/public?%zz=1", "/public?q=%00", "/public?q=%ff",
                                      "/public?x=%c0%80"};
    struct exchange x;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        exchange_start(&x, "GET", good[i].uri);
        expect_seen(&x, good[i].seen);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        exchange_start(&x, "GET", bad[i]);
        expect_error(&x, 400, "INVALID_REQUEST", "query");
        exchange_end(&x);
    }
}

/* ---- errors ---- */

static void run_errors(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int status;
        const char *should_retry, *retry_after, *wait_ms;
    } cases[] = {
        {"{\"how\":\"busy\"}", 503, NULL, "5", "5000"},
        {"{\"how\":\"busy\",\"wait\":1}", 503, NULL, "1", "1"},
        {"{\"how\":\"busy\",\"wait\":2000}", 503, NULL, "2", "2000"},
        {"{\"how\":\"busy\",\"wait\":2001}", 503, NULL, "3", "2001"},
        {"{\"how\":\"busy\",\"admitted\":true}", 503, "false", "5", "5000"},
        {"{\"how\":\"state\"}", 409, "false", NULL, "0"},
        {"{\"how\":\"state\",\"wait\":3000}", 409, "false", NULL, "0"},
        {"{", 400, "false", NULL, "0"},
    };
    struct exchange x;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start(&x, "POST", "/v1/run");
        exchange_body(&x, cases[i].body);
        exchange_run(&x, &gw);
        assert_int_equal(x.status, cases[i].status);
        const char *retry = exchange_header(&x, "X-Should-Retry");
        assert_int_equal(retry != NULL, cases[i].should_retry != NULL);
        const char *after = exchange_header(&x, "Retry-After");
        if (cases[i].retry_after == NULL)
            assert_null(after);
        else
            assert_string_equal(after, cases[i].retry_after);
        assert_string_equal(exchange_error(&x, "retryAfterMs"), cases[i].wait_ms);
        exchange_end(&x);
    }
    exchange_start(&x, "POST", "/v1/run");
    expect_error(&x, 401, "UNAUTHORIZED", "");
    assert_string_equal(exchange_header(&x, "X-Should-Retry"), "false");
    exchange_end(&x);
    exchange_start(&x, "GET", "/v1/run");
    expect_error(&x, 405, "INVALID_REQUEST", "");
    assert_string_equal(exchange_header(&x, "X-Should-Retry"), "false");
    exchange_end(&x);
}

static void errors_speak_the_callers_language(void **state)
{
    (void)state;
    struct exchange x;
    exchange_start(&x, "GET", "/v1/body");
    exchange_param(&x, "HTTP_ACCEPT_LANGUAGE", "fr, vi-VN;q=0.5");
    exchange_run(&x, &gw);
    assert_string_equal(exchange_header(&x, "Content-Language"), "vi");
    assert_string_equal(exchange_error(&x, "message"), message_text(MSG_unauthorized, LOCALE_VI));
    assert_string_equal(exchange_error(&x, "code"), "UNAUTHORIZED");
    exchange_end(&x);
}

/* ---- the log line and --describe ---- */

static json_object *logged(struct exchange *x, const char *text)
{
    assert_int_equal(strcspn(text, "\n"), strlen(text) - 1);
    struct json_fault jf;
    json_object *line = json_parse(x->arena, text, strlen(text), 0, &jf);
    assert_non_null(line);
    assert_string_equal(json_str(line, "event"), "request");
    return line;
}

static void one_log_line(void **state)
{
    (void)state;
    struct capture c;
    struct exchange x;
    start(&x, "HEAD", "/v1/body?token=pssst");
    exchange_param(&x, "HTTP_X_GOCLAW_USER_ID", "bob");
    exchange_param(&x, "HTTP_X_REQUEST_ID", "r1");
    capture_start(&c, STDERR_FILENO);
    exchange_run(&x, &gw);
    const char *text = capture_end(&c);
    assert_null(strstr(text, "pssst"));
    assert_null(strstr(text, "s3cret"));
    json_object *line = logged(&x, text);
    assert_string_equal(json_str(line, "request_id"), "r1");
    assert_string_equal(json_str(line, "tenant"), MASTER_TENANT_ID);
    assert_string_equal(json_str(line, "role"), "admin");
    assert_string_equal(json_str(line, "user"), "bob");
    assert_string_equal(json_str(line, "method"), "HEAD");
    assert_string_equal(json_str(line, "path"), "/v1/body");
    assert_int_equal(json_int(line, "status", 0), 200);
    assert_true(json_int(line, "ms", -1) >= 0);
    assert_string_equal(json_str(line, "level"), "info");
    assert_false(json_has(line, "number"));
    assert_false(json_has(line, "code"));
    exchange_end(&x);

    exchange_start(&x, "GET", "http://user:pssst@host/public/huge?x");
    capture_start(&c, STDERR_FILENO);
    exchange_run(&x, &gw);
    line = logged(&x, capture_end(&c));
    assert_string_equal(json_str(line, "path"), "/public/huge");
    assert_string_equal(json_str(line, "level"), "warn");
    assert_int_equal(json_int(line, "number", 0), 3001);
    assert_string_equal(json_str(line, "code"), "INTERNAL");
    assert_false(json_has(line, "role"));
    exchange_end(&x);
}

static void describes_itself(void **state)
{
    (void)state;
    struct capture c;
    struct arena *a = arena_new();
    capture_start(&c, STDOUT_FILENO);
    int result = describe_program(&program);
    const char *text = capture_end(&c);
    assert_int_equal(result, 0);
    struct json_fault jf;
    json_object *doc = json_parse(a, text, strlen(text), 0, &jf);
    assert_non_null(doc);
    assert_string_equal(json_str(doc, "program"), "test");
    assert_string_equal(json_str(doc, "model"), "prefork");
    json_object *list = json_get(doc, "routes");
    assert_int_equal(json_object_array_length(list), program.route_count);
    json_object *run = json_object_array_get_idx(list, 9);
    assert_string_equal(json_str(run, "method"), "POST");
    assert_string_equal(json_str(run, "path"), "/v1/run");
    assert_string_equal(json_str(run, "role"), "operator");
    assert_string_equal(json_str(run, "user"), "optional");
    assert_int_equal(json_int(run, "body_max", 0), 1048576);
    assert_true(json_bool(run, "run", false));
    assert_false(json_bool(run, "alias", true));
    assert_int_equal(json_int(json_object_array_get_idx(list, 2), "body_max", 0), 10);
    assert_int_equal(json_int(json_object_array_get_idx(list, 3), "body_max", 0), 10485760);
    arena_free(a);

    static const struct route broken[] = {{.pattern = "/x"}};
    static const struct program bad = {.name = "bad", .routes = broken, .route_count = 1};
    capture_start(&c, STDERR_FILENO);
    result = describe_program(&bad);
    text = capture_end(&c);
    assert_int_equal(result, 1);
    assert_non_null(strstr(text, "/x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TEST_SETUP("2.2", common_headers, config_setup),
        cmocka_unit_test_setup(request_id_length, config_setup),
        cmocka_unit_test_setup(own_headers, config_setup),
        cmocka_unit_test_setup(head_has_no_body, config_setup),
        RULE_TEST_SETUP("3.4", handlers_that_go_wrong, config_setup),
        cmocka_unit_test_setup(routing_before_authentication, config_setup),
        RULE_TEST_SETUP("0.12", role_then_user_then_body, config_setup),
        cmocka_unit_test_setup(doubled_headers, config_setup),
        cmocka_unit_test_setup(target_forms, config_setup),
        RULE_TEST_SETUP("12.12", query_rules, config_setup),
        cmocka_unit_test_setup(run_errors, config_setup),
        RULE_TEST_SETUP("2.4", errors_speak_the_callers_language, config_setup),
        RULE_TEST_SETUP("2.7", one_log_line, config_setup),
        cmocka_unit_test_setup(describes_itself, config_setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

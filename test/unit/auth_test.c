/* Credential, tenant, role and user header against a real database (contract 01 §1, §2.3, §5.3). */
#include "web_fixture.h"

#include "base/clock.h"
#include "store/keys.h"
#include "test/unit/rule.h"

static char dir[64];
static char db_path[128];
static struct db *db;
static struct arena *arena;

static char key_admin[API_KEY_SIZE], key_write[API_KEY_SIZE], key_read[API_KEY_SIZE], key_acme[API_KEY_SIZE],
    key_bound[API_KEY_SIZE], key_expired[API_KEY_SIZE], key_revoked[API_KEY_SIZE], key_frozen[API_KEY_SIZE],
    key_odd[API_KEY_SIZE];
static const char *key_read_id;

#define ACME "0193a5b0-7000-7000-8000-0000000000aa"
#define FROZEN "0193a5b0-7000-7000-8000-0000000000bb"

static reply h_who(struct request *req)
{
    const struct principal *w = &req->who;
    const char *slug = w->tenant_slug != NULL ? w->tenant_slug : "-";
    snprintf(seen, sizeof seen, "%s %s %s", role_name(w->role), slug, w->user != NULL ? w->user : "-");
    return reply_bytes(req, 200, "text/plain", "", 0);
}

static const struct route routes[] = {
    {ROW(GET, "/v1/any", VIEWER, OPTIONAL, h_who)},     {ROW(POST, "/v1/any", OPERATOR, OPTIONAL, h_who)},
    {ROW(GET, "/v1/admin", ADMIN, OPTIONAL, h_who)},    {ROW(GET, "/v1/owner", OWNER, UNUSED, h_who)},
    {ROW(GET, "/v1/own", VIEWER, ADMIN_MAY_OMIT, h_who)}, {ROW(GET, "/v1/must", VIEWER, REQUIRED, h_who)},
    {ROW(GET, "/v1/unused", VIEWER, UNUSED, h_who)},    {ROW(GET, "/public", PUBLIC, UNUSED, h_who)},
};
static const struct program program = {
    .name = "test", .routes = routes, .route_count = sizeof routes / sizeof *routes};
static struct gateway gw = {.config = &config, .program = &program};

static const char *make_key(char text[API_KEY_SIZE], const char *scopes, const char *tenant, const char *owner,
                            const char *expires)
{
    const char *id;
    assert_int_equal(key_create(db, arena, "k", scopes, tenant, owner, "test", expires, text, &id), DB_OK);
    return id;
}

static void make_tenant(const char *id, const char *slug, const char *status)
{
    SQL(insert, "INSERT INTO tenants (id, name, slug, status, created_at, updated_at)"
                " VALUES (?1, ?2, ?2, ?3, '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z')");
    assert_int_equal(db_exec(db, &insert, "ttt", id, slug, status), DB_OK);
}

static void make_member(const char *id, const char *tenant, const char *user)
{
    SQL(insert, "INSERT INTO tenant_users (id, tenant_id, user_id, created_at, updated_at)"
                " VALUES (?1, ?2, ?3, '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z')");
    assert_int_equal(db_exec(db, &insert, "ttt", id, tenant, user), DB_OK);
}

static void configure(const char *token, const char *host, bool insecure)
{
    static const char *const owners[] = {"boss", NULL};
    static const char *const none[] = {NULL};
    config = (struct config){.host = host, .token = token, .owner_ids = owners, .allowed_origins = none,
                             .trusted_proxies = none, .allow_insecure_no_auth = insecure};
}

static int group_setup(void **state)
{
    (void)state;
    char err[200];
    snprintf(dir, sizeof dir, "/tmp/auth_test.XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(db_path, sizeof db_path, "%s/test.db", dir);
    db = db_open(db_path, DB_CREATE, err, sizeof err);
    if (db == NULL)
        return -1;
    arena = arena_new();
    gw.db = db;
    make_tenant(ACME, "acme", "active");
    make_tenant(FROZEN, "frozen", "suspended");
    make_member("0193a5b0-7000-7000-8000-0000000000c1", ACME, "bob");
    make_member("0193a5b0-7000-7000-8000-0000000000c2", FROZEN, "bob");
    make_key(key_admin, "[\"operator.admin\",\"operator.read\"]", NULL, NULL, NULL);
    make_key(key_write, "[\"operator.read\",\"operator.write\"]", NULL, NULL, NULL);
    key_read_id = make_key(key_read, "[\"operator.read\"]", NULL, NULL, "2999-01-01T00:00:00.000Z");
    make_key(key_acme, "[\"operator.admin\"]", ACME, NULL, NULL);
    make_key(key_bound, "[\"operator.approvals\"]", NULL, "carol", NULL);
    make_key(key_expired, "[\"operator.admin\"]", NULL, NULL, "2020-01-01T00:00:00.000Z");
    key_revoke(db, make_key(key_revoked, "[\"operator.admin\"]", NULL, NULL, NULL));
    make_key(key_frozen, "[\"operator.admin\"]", FROZEN, NULL, NULL);
    make_key(key_odd, "[\"something.else\",7]", NULL, NULL, NULL);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    static const char *const tails[] = {"", "-wal", "-shm", "-fresh"};
    db_close(db);
    arena_free(arena);
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        char path[160];
        snprintf(path, sizeof path, "%s%s", db_path, tails[i]);
        unlink(path);
    }
    return rmdir(dir);
}

static int setup_token(void **state)
{
    (void)state;
    configure("s3cret", "0.0.0.0", false);
    return 0;
}

/* What a call consists of, by position; what is left out is not sent. */
enum { METHOD, PATH, AUTHORIZATION, USER, TENANT, HOST, ORIGIN, CALL_PARTS };

/* Runs one call; seen is what the handler saw, or "status code param". */
static int run(const char *const c[CALL_PARTS])
{
    struct exchange x;
    exchange_start(&x, c[METHOD], c[PATH]);
    if (c[AUTHORIZATION] != NULL)
        exchange_param(&x, "HTTP_AUTHORIZATION", c[AUTHORIZATION]);
    if (c[USER] != NULL)
        exchange_param(&x, "HTTP_X_GOCLAW_USER_ID", c[USER]);
    if (c[TENANT] != NULL)
        exchange_param(&x, "HTTP_X_GOCLAW_TENANT_ID", c[TENANT]);
    if (c[HOST] != NULL)
        exchange_param(&x, "HTTP_HOST", c[HOST]);
    if (c[ORIGIN] != NULL)
        exchange_param(&x, "HTTP_ORIGIN", c[ORIGIN]);
    snprintf(seen, sizeof seen, "nothing");
    exchange_run(&x, &gw);
    int status = x.status;
    if (status != 200)
        snprintf(seen, sizeof seen, "%d %s %s", status, exchange_error(&x, "code"), exchange_error(&x, "param"));
    exchange_end(&x);
    return status;
}

static void expect(const char *expected, const char *const c[CALL_PARTS])
{
    run(c);
    if (strcmp(seen, expected) != 0)
        fail_msg("%s %s [%s] user %s tenant %s: %s, not %s", c[METHOD], c[PATH],
                 c[AUTHORIZATION] != NULL ? c[AUTHORIZATION] : "-", c[USER] != NULL ? c[USER] : "-",
                 c[TENANT] != NULL ? c[TENANT] : "-", seen, expected);
}

#define EXPECT(expected, ...) expect(expected, (const char *const[CALL_PARTS]){__VA_ARGS__})
#define BEARER(key) arena_printf(arena, "Bearer %s", key)
#define NO_AUTH "401 UNAUTHORIZED null"
#define NO_WAY "403 UNAUTHORIZED null"
#define BAD_USER "400 INVALID_REQUEST X-GoClaw-User-Id"

static void bearer_forms(void **state)
{
    (void)state;
    EXPECT("owner master -", "GET", "/v1/any", "Bearer s3cret");
    EXPECT("owner master -", "GET", "/v1/any", "bEARER \t s3cret \t");
    static const char *const bad[] = {"s3cret",         "Bearer",          "Bearer ",       "Bearers3cret",
                                      "Basic s3cret",   "Bearer S3cret",   "Bearer s3cre",  "Bearer s3cret2",
                                      "Bearer s3cret, Bearer s3cret", "Bearer \"s3cret\"", "Token s3cret",
                                      " Bearer s3cret"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        EXPECT(NO_AUTH, "GET", "/v1/any", bad[i]);
    EXPECT(NO_AUTH, "GET", "/v1/any");
    /* never from the query */
    EXPECT(NO_AUTH, "GET", "/v1/any?token=s3cret");
    EXPECT("public - -", "GET", "/public", "Bearer nonsense", "bad\x01user");
}

static void gateway_token_roles(void **state)
{
    (void)state;
    EXPECT("owner master boss", "GET", "/v1/owner", "Bearer s3cret", "boss");
    EXPECT("admin master bob", "GET", "/v1/any", "Bearer s3cret", "bob");
    /* "system" is an owner only while nobody is named */
    EXPECT("admin master system", "GET", "/v1/any", "Bearer s3cret", "system");
    EXPECT(NO_WAY, "GET", "/v1/owner", "Bearer s3cret", "bob");
    EXPECT("admin master bob", "GET", "/v1/admin", "Bearer s3cret", "bob");
    static const char *const none[] = {NULL};
    config.owner_ids = none;
    EXPECT("owner master system", "GET", "/v1/owner", "Bearer s3cret", "system");
    EXPECT("admin master boss", "GET", "/v1/any", "Bearer s3cret", "boss");
}

static void gateway_token_tenants(void **state)
{
    (void)state;
    EXPECT("owner acme -", "GET", "/v1/any", "Bearer s3cret", NULL, "acme");
    EXPECT("owner acme -", "GET", "/v1/any", "Bearer s3cret", NULL, ACME);
    EXPECT("owner acme boss", "GET", "/v1/any", "Bearer s3cret", "boss", "0193A5B0-7000-7000-8000-0000000000AA");
    EXPECT("owner master -", "GET", "/v1/any", "Bearer s3cret", NULL, "");
    EXPECT("404 NOT_FOUND X-GoClaw-Tenant-Id", "GET", "/v1/any", "Bearer s3cret", NULL, "nowhere");
    EXPECT("404 NOT_FOUND X-GoClaw-Tenant-Id", "GET", "/v1/any", "Bearer s3cret", NULL, "acme' OR '1'='1");
    EXPECT("404 NOT_FOUND X-GoClaw-Tenant-Id", "GET", "/v1/any", "Bearer s3cret", NULL,
           "0193a5b0-7000-7000-8000-0000000000dd");
    /* a member, no member, and a tenant that is not there: the last two look the same */
    EXPECT("admin acme bob", "GET", "/v1/any", "Bearer s3cret", "bob", "acme");
    EXPECT("admin master bob", "GET", "/v1/any", "Bearer s3cret", "bob", "master");
    EXPECT(NO_WAY, "GET", "/v1/any", "Bearer s3cret", "eve", "acme");
    EXPECT(NO_WAY, "GET", "/v1/any", "Bearer s3cret", "eve", "nowhere");
    /* suspended: an owner may look, nobody may change */
    EXPECT("owner frozen -", "GET", "/v1/any", "Bearer s3cret", NULL, "frozen");
    EXPECT(NO_WAY, "POST", "/v1/any", "Bearer s3cret", NULL, "frozen");
    EXPECT(NO_WAY, "GET", "/v1/any", "Bearer s3cret", "bob", "frozen");
    EXPECT(NO_WAY, "GET", "/v1/any", BEARER(key_admin), NULL, "frozen");
    EXPECT(NO_WAY, "GET", "/v1/any", BEARER(key_frozen));
}

static void api_key_roles(void **state)
{
    (void)state;
    EXPECT("admin master -", "GET", "/v1/admin", BEARER(key_admin));
    EXPECT(NO_WAY, "GET", "/v1/owner", BEARER(key_admin));
    /* an owner id in the header gives a key nothing */
    EXPECT(NO_WAY, "GET", "/v1/owner", BEARER(key_admin), "boss");
    EXPECT("operator master -", "POST", "/v1/any", BEARER(key_write));
    EXPECT(NO_WAY, "GET", "/v1/admin", BEARER(key_write), "system");
    EXPECT("viewer master -", "GET", "/v1/any", BEARER(key_read));
    EXPECT(NO_WAY, "POST", "/v1/any", BEARER(key_read));
    EXPECT("viewer master -", "GET", "/v1/any", BEARER(key_odd));
    EXPECT("operator master carol", "POST", "/v1/any", BEARER(key_bound));
    EXPECT("operator master carol", "POST", "/v1/any", BEARER(key_bound), "eve");
    EXPECT("operator master carol", "POST", "/v1/any", BEARER(key_bound), "not\x01valid");
}

static void api_key_tenants(void **state)
{
    (void)state;
    EXPECT("admin acme -", "GET", "/v1/any", BEARER(key_acme));
    EXPECT("admin acme -", "GET", "/v1/any", BEARER(key_acme), NULL, "master");
    EXPECT("admin acme bob", "GET", "/v1/any", BEARER(key_acme), "bob", "nowhere");
    EXPECT("admin acme -", "GET", "/v1/any", BEARER(key_admin), NULL, "acme");
    EXPECT("viewer acme -", "GET", "/v1/any", BEARER(key_read), NULL, ACME);
    EXPECT("404 NOT_FOUND X-GoClaw-Tenant-Id", "GET", "/v1/any", BEARER(key_admin), NULL, "nowhere");
}

static void dead_keys(void **state)
{
    (void)state;
    EXPECT(NO_AUTH, "GET", "/v1/any", BEARER(key_expired));
    EXPECT(NO_AUTH, "GET", "/v1/any", BEARER(key_revoked));
    EXPECT(NO_AUTH, "GET", "/v1/any", "Bearer goclaw_00000000000000000000000000000000");
    char upper[API_KEY_SIZE];
    snprintf(upper, sizeof upper, "%s", key_admin);
    upper[0] = 'G';
    EXPECT(NO_AUTH, "GET", "/v1/any", BEARER(upper));
    EXPECT(NO_AUTH, "GET", "/v1/any", arena_printf(arena, "Bearer %s0", key_admin));
    EXPECT(NO_AUTH, "GET", "/v1/any", arena_printf(arena, "Bearer %.38s", key_admin));
    /* revocation counts from the next request on */
    char fresh[API_KEY_SIZE];
    const char *id = make_key(fresh, "[\"operator.read\"]", NULL, NULL, NULL);
    EXPECT("viewer master -", "GET", "/v1/any", BEARER(fresh));
    key_revoke(db, id);
    EXPECT(NO_AUTH, "GET", "/v1/any", BEARER(fresh));
}

static void dev_mode(void **state)
{
    (void)state;
    exchange_peer = "127.0.0.1";
    configure("", "127.0.0.1", false);
    EXPECT("admin master -", "GET", "/v1/admin");
    EXPECT("admin master -", "GET", "/v1/any", "Bearer whatever");
    EXPECT("admin master -", "GET", "/v1/any", "Bearer ");
    EXPECT("admin master system", "GET", "/v1/any", NULL, "boss");
    EXPECT("admin master system", "GET", "/v1/any", NULL, "bad\x01");
    EXPECT("admin master -", "GET", "/v1/any", NULL, NULL, "acme");
    EXPECT(NO_WAY, "GET", "/v1/owner");
    EXPECT(NO_AUTH, "GET", "/v1/any", BEARER(key_revoked));
    EXPECT(NO_AUTH, "GET", "/v1/any", BEARER(key_expired));
    EXPECT("viewer master -", "GET", "/v1/any", BEARER(key_read));
    configure("", "0.0.0.0", false);
    EXPECT(NO_AUTH, "GET", "/v1/any");
    configure("", "0.0.0.0", true);
    EXPECT("admin master -", "GET", "/v1/any");
    exchange_peer = "192.0.2.9";
    EXPECT("admin master -", "GET", "/v1/any", NULL, NULL, NULL, "gate.example:18790");
}

/* A page of any site can send requests to this machine, from a browser on it. */
static void dev_mode_is_for_this_machine(void **state)
{
#define FROM(host, origin) "POST", "/v1/any", NULL, NULL, NULL, host, origin
    static const char *const here[] = {"127.0.0.1:18790", "127.1.2.3", "localhost", "LOCALHOST:80", "[::1]:18790"};
    static const char *const elsewhere[] = {"gate.example:18790", "127.0.0.1.gate.example", "10.0.0.1", "[::2]:1", "["};
    (void)state;
    for (int insecure = 0; insecure < 2; insecure++) {
        exchange_peer = "127.0.0.1";
        configure("", "127.0.0.1", insecure);
        for (size_t i = 0; i < sizeof here / sizeof *here; i++)
            EXPECT("admin master -", FROM(here[i], NULL));
        for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
            EXPECT(insecure ? "admin master -" : NO_AUTH, FROM(elsewhere[i], NULL));
        EXPECT("admin master -", FROM("localhost:18790", "http://localhost:18790"));
        EXPECT("admin master -", FROM("localhost:18790", "http://LocalHost:18790"));
        EXPECT(NO_AUTH, FROM("localhost:18790", "https://evil.example"));
        EXPECT(NO_AUTH, FROM("localhost:18790", "http://localhost:18791"));
        EXPECT(NO_AUTH, FROM("localhost:18790", "null"));
        config.allowed_origins = (const char *const[]){"https://desk.example", NULL};
        EXPECT("admin master -", FROM("localhost:18790", "https://desk.example"));
        EXPECT(NO_AUTH, FROM("localhost:18790", "https://evil.example"));
        config.allowed_origins = NULL;
        /* Through a web server that others reach: they are not on this machine. */
        exchange_peer = "192.0.2.9";
        EXPECT(insecure ? "admin master -" : NO_AUTH, FROM("localhost", NULL));
    }
    /* With a token an origin changes nothing. */
    configure("s3cret", "0.0.0.0", false);
    EXPECT("owner master -", "POST", "/v1/any", "Bearer s3cret", NULL, NULL, "localhost", "https://evil.example");
#undef FROM
}

static void user_rules(void **state)
{
    (void)state;
    EXPECT(BAD_USER, "GET", "/v1/must", "Bearer s3cret");
    EXPECT("admin master bob", "GET", "/v1/must", "Bearer s3cret", "bob");
    EXPECT("owner master -", "GET", "/v1/own", "Bearer s3cret");
    EXPECT("admin master -", "GET", "/v1/own", BEARER(key_admin));
    EXPECT(BAD_USER, "GET", "/v1/own", BEARER(key_read));
    EXPECT(BAD_USER, "GET", "/v1/own", BEARER(key_write));
    EXPECT("viewer master dave", "GET", "/v1/own", BEARER(key_read), "dave");
    EXPECT("operator master carol", "GET", "/v1/must", BEARER(key_bound));
    EXPECT("viewer master -", "GET", "/v1/unused", BEARER(key_read));
}

static void user_header_validity(void **state)
{
    (void)state;
    char id[257];
    memset(id, 'x', sizeof id);
    id[255] = '\0';
    assert_int_equal(run((const char *const[CALL_PARTS]){"GET", "/v1/unused", "Bearer s3cret", id}), 200);
    id[255] = 'x';
    id[256] = '\0';
    EXPECT(BAD_USER, "GET", "/v1/unused", "Bearer s3cret", id);
    static const char *const bad[] = {"", "a\tb", "a\x7f", "\xff", "a\xe2\x80\x8b", "a\xe2\x80\xae",
                                      "\xef\xbb\xbf" "a"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        EXPECT(BAD_USER, "GET", "/v1/any", "Bearer s3cret", bad[i]);
    EXPECT("admin master group:telegram:-100", "GET", "/v1/any", "Bearer s3cret", "group:telegram:-100");
    /* an empty header is not "no header", which would mean owner */
    EXPECT(NO_WAY, "GET", "/v1/owner", "Bearer s3cret", "");
}

static const char *last_use(void)
{
    SQL(select, "SELECT last_used_at FROM api_keys WHERE id = ?1");
    struct db_stmt *s = db_query(db, &select, "t", key_read_id);
    assert_int_equal(db_next(s), DB_ROW);
    const char *text = db_text(s, 0, arena);
    db_reset(s);
    return text;
}

static void set_last_use(int64_t ms_ago)
{
    SQL(update, "UPDATE api_keys SET last_used_at = ?2 WHERE id = ?1");
    char text[TIME_TEXT_SIZE];
    time_format(clock_ms() - ms_ago, text);
    assert_int_equal(db_exec(db, &update, "tt", key_read_id, ms_ago < 0 ? NULL : text), DB_OK);
}

static void use_is_noted_once_a_minute(void **state)
{
    (void)state;
    set_last_use(-1);
    assert_null(last_use());
    EXPECT("viewer master -", "GET", "/v1/any", BEARER(key_read));
    assert_non_null(last_use());
    set_last_use(50000);
    const char *before = last_use();
    EXPECT("viewer master -", "GET", "/v1/any", BEARER(key_read));
    assert_string_equal(last_use(), before);
    set_last_use(61000);
    before = last_use();
    EXPECT("viewer master -", "GET", "/v1/any", BEARER(key_read));
    assert_string_not_equal(last_use(), before);
    /* refused for its role, but it was used */
    set_last_use(61000);
    before = last_use();
    EXPECT(NO_WAY, "GET", "/v1/admin", BEARER(key_read));
    assert_string_not_equal(last_use(), before);
}

static void threaded_process(void **state)
{
    (void)state;
    char err[200];
    struct db_pool *pool = db_pool_new(db_path, 1, err, sizeof err);
    struct writer *writer = writer_start(db_path, err, sizeof err);
    assert_non_null(pool);
    assert_non_null(writer);
    gw.db = NULL;
    gw.pool = pool;
    gw.writer = writer;
    set_last_use(61000);
    const char *before = last_use();
    /* The pool has one connection: a second request would wait for ever if the first had kept it. */
    for (int i = 0; i < 3; i++) {
        EXPECT("viewer acme -", "GET", "/v1/any", BEARER(key_read), NULL, "acme");
        EXPECT(NO_AUTH, "GET", "/v1/any", BEARER(key_revoked));
    }
    writer_stop(writer);
    db_pool_free(pool);
    gw.db = db;
    gw.pool = NULL;
    gw.writer = NULL;
    assert_string_not_equal(last_use(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TEST_SETUP("1.1", bearer_forms, setup_token),
        RULE_TEST_SETUP("1.3", gateway_token_roles, setup_token),
        RULE_TEST_SETUP("5.3", gateway_token_tenants, setup_token),
        RULE_TEST_SETUP("1.4", api_key_roles, setup_token),
        RULE_TEST_SETUP("5.3", api_key_tenants, setup_token),
        RULE_TEST_SETUP("1.4", dead_keys, setup_token),
        RULE_TEST_SETUP("1.5", dev_mode, setup_token),
        RULE_TEST_SETUP("1.5", dev_mode_is_for_this_machine, setup_token),
        RULE_TEST_SETUP("2.3", user_rules, setup_token),
        RULE_TEST_SETUP("2.3", user_header_validity, setup_token),
        RULE_TEST_SETUP("1.4", use_is_noted_once_a_minute, setup_token),
        cmocka_unit_test_setup(threaded_process, setup_token),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

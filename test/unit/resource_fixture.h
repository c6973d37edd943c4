/* A resource with every kind of field, rows of a parent, and requests to them. Include once in a test program. */
#ifndef CLAWGATE_TEST_RESOURCE_FIXTURE_H
#define CLAWGATE_TEST_RESOURCE_FIXTURE_H

#include "store_fixture.h"
#include "web_fixture.h"

#include "base/crypto.h"
#include "store/changes.h"
#include "store/keys.h"
#include "web/resource.h"

#define N(a) (sizeof(a) / sizeof *(a))

static struct gateway gw;
static int after_writes;
static bool after_fails;
static const char *meanwhile; /* what somebody else commits while a body is judged; NULL = nothing */

/* ---- a resource with every kind of field ---- */

static bool even_only(struct edit *e, const struct field *f, struct db_value *v, json_object *in)
{
    (void)in;
    if (meanwhile != NULL)
        store_sql(e->req->gw->db, meanwhile);
    return v->n % 2 == 0 || edit_refuse(e, FAULT_INVALID, MSG_must_be, f->name, f->name, "even");
}

static const struct field thing_fields[] = {
    FIELD_ROW_ID,
    FIELD_ROW_TENANT,
    {.name = "name", .kind = FIELD_SLUG, .flags = FIELD_REQUIRED, .max = 10, .doc = "slug"},
    {.name = "title", .kind = FIELD_TEXT, .flags = FIELD_OMIT | FIELD_TRIM, .max = 5, .doc = "text"},
    {.name = "code", .kind = FIELD_TEXT, .flags = FIELD_BYTES, .min = 2, .max = 4, .preset = "abc",
     .allowed = "a-z0-9_", .doc = "bytes of a class"},
    {.name = "note", .kind = FIELD_TEXT, .flags = FIELD_NULLABLE, .doc = "nullable"},
    {.name = "origin", .kind = FIELD_TEXT, .flags = FIELD_CREATE_ONLY, .doc = "create only"},
    {.name = "size", .kind = FIELD_INTEGER, .flags = FIELD_NO_NULL, .min = 2, .max = 10, .preset = "4",
     .aliases = "size_alias|another", .check = even_only, .doc = "integer"},
    {.name = "wait", .kind = FIELD_INTEGER, .flags = FIELD_LOW_IS_PRESET, .min = 1, .max = 60, .preset = "30",
     .doc = "low is preset"},
    {.name = "start", .kind = FIELD_INTEGER, .flags = FIELD_LOW_IS_PRESET_ON_CREATE, .min = 1, .preset = "7",
     .doc = "low is preset on create"},
    {.name = "budget", .kind = FIELD_INTEGER, .flags = FIELD_NULLABLE | FIELD_OMIT, .max = 100, .column = "cents",
     .doc = "nullable number"},
    {.name = "ratio", .kind = FIELD_NUMBER, .max = 2, .preset = "0.5", .doc = "number"},
    {.name = "open", .kind = FIELD_BOOL, .flags = FIELD_ADMIN, .doc = "admin value"},
    {.name = "mode", .kind = FIELD_ENUM, .values = "fast|slow|quick=fast", .preset = "slow", .doc = "enum"},
    {.name = "extra", .kind = FIELD_OBJECT, .max = 20, .doc = "object"},
    {.name = "tags", .kind = FIELD_TEXTS, .max = 2, .item_max = 3, .doc = "texts"},
    {.name = "key", .kind = FIELD_SECRET, .max = 8, .doc = "secret"},
    {.name = "vars", .kind = FIELD_SECRET_MAP, .max = 2, .item_max = 40, .doc = "map"},
    {.name = "hidden", .kind = FIELD_SECRET_MAP, .flags = FIELD_HIDDEN, .doc = "never shown"},
    {.name = "for_user", .kind = FIELD_USER, .flags = FIELD_NULLABLE, .doc = "user"},
    {.name = "ref", .kind = FIELD_UUID, .flags = FIELD_NULLABLE, .doc = "uuid"},
    {.name = "due", .kind = FIELD_TIME, .flags = FIELD_NULLABLE, .doc = "time"},
    {.name = "owner_id", .kind = FIELD_TEXT, .flags = FIELD_CALLER, .preset = "system", .doc = "caller"},
    {.name = "part_count", .kind = FIELD_INTEGER, .sql = "(SELECT COUNT(*) FROM parts p WHERE p.thing_id = t.id)",
     .doc = "computed"},
    FIELD_ROW_CREATED,
    FIELD_ROW_UPDATED,
};

static bool thing_rules(struct edit *e)
{
    if (e->action == EDIT_DELETE)
        return strcmp(edit_text(e, "mode"), "fast") != 0 ||
               edit_refuse(e, FAULT_PROTECTED, MSG_master_tenant, NULL, NULL, NULL);
    if (strcmp(edit_text(e, "title"), "state") == 0)
        return edit_refuse(e, FAULT_STATE, MSG_run_finished, NULL, NULL, NULL);
    if (strcmp(edit_text(e, "title"), "set") == 0)
        edit_set_text(e, "note", "by the hook");
    return edit_int(e, "wait") != 13 || edit_refuse(e, FAULT_INVALID, MSG_required, "wait", "luck", NULL);
}

static bool thing_after(struct edit *e)
{
    after_writes++;
    return !after_fails || edit_refuse(e, FAULT_STATE, MSG_run_finished, NULL, NULL, NULL);
}

static void thing_write(struct jsonw *w, const struct record *r)
{
    const char *plain = record_secret(r, "hidden");
    json_object *o = plain != NULL ? json_parse(r->req->arena, plain, strlen(plain), 0, NULL) : NULL;
    if (o != NULL)
        jw_kint(w, "hidden_count", json_object_object_length(o));
}

static void thing_once(struct jsonw *w, struct edit *e)
{
    (void)e;
    jw_kstr(w, "shown_once", "pssst");
}

static const struct filter thing_filters[] = {
    {.query = "mode", .kind = FIELD_TEXT, .doc = "mode"},
    {.query = "open", .kind = FIELD_BOOL, .doc = "open"},
    {.query = "ref", .kind = FIELD_UUID, .doc = "ref"},
    {.query = "like", .kind = FIELD_TEXT, .sql = "(t.name = {} OR t.title = {})", .doc = "two places, one value"},
    {.query = "speed", .kind = FIELD_ENUM, .values = "fast|slow|all=", .column = "mode", .doc = "enum"},
};

#define THING(member, ...)                                                                                          \
    static const struct resource member = {                                                                         \
        .name = "Thing", .noun = "thing", .audit = "thing", .list_key = "things", .table = "things", .doc = "test", \
        .made = RESOURCE_MADE, .fields = thing_fields, .field_count = N(thing_fields), .unique = "name",            \
        .filters = thing_filters, .filter_count = N(thing_filters), .generation = "things",                         \
        .before_write = thing_rules, .after_write = thing_after, .write = thing_write, .write_once = thing_once,    \
        __VA_ARGS__}

THING(things, .order = "name");
THING(paged, .order = "created_at DESC", .page_limit = 2, .page_max = 3, .page_before = true,
      .put_answer = PUT_OK_TRUE, .delete_answer = DELETE_OK_TRUE);
THING(owned, .order = "name", .rule = ROWS_OF_USER, .slug_column = "name",
      .visible_sql = "t.owner_id = ?2 OR t.open = 1", .writable_sql = "t.owner_id = ?2");
THING(quiet, .order = "name", .rule = ROWS_OF_NON_ADMIN, .invisible_is_missing = true,
      .visible_sql = "t.owner_id = ?2");

/* ---- rows of a parent, named by a text of their own ---- */

static bool parts_open(struct edit *e)
{
    struct record thing;
    if (!resource_find(e->req, e->db, &owned, NULL, e->req->params[0], ACCESS_WRITE, &thing, &e->change.fault))
        return false;
    e->view.parent = record_text(&thing, "id");
    return true;
}

static const struct field part_fields[] = {
    FIELD_ROW_ID,
    {.name = "thing_id", .kind = FIELD_UUID, .flags = FIELD_READ_ONLY, .doc = "parent"},
    {.name = "label", .kind = FIELD_TEXT, .flags = FIELD_REQUIRED, .max = 9, .doc = "key"},
    {.name = "n", .kind = FIELD_INTEGER, .doc = "number"},
};

static const struct resource parts = {
    .name = "Part", .noun = "part", .list_key = "parts", .table = "parts", .doc = "test", .made = RESOURCE_MADE,
    .fields = part_fields, .field_count = N(part_fields), .unique = "label", .order = "label",
    .parent_column = "thing_id", .key_column = "label", .delete_answer = DELETE_STATUS, .open = parts_open,
};

#define CRUD(base, r)                                                                                       \
    {METHOD_GET, base, ROLE_VIEWER, USER_OPTIONAL, BODY_DEFAULT, resource_list, "T", "t", 0, &r},           \
    {METHOD_POST, base, ROLE_OPERATOR, USER_OPTIONAL, BODY_DEFAULT, resource_create, "T", "t", ROUTE_LATE_BODY, &r}, \
    {METHOD_GET, base "/{id}", ROLE_VIEWER, USER_OPTIONAL, BODY_DEFAULT, resource_get, "T", "t", 0, &r},    \
    {METHOD_PUT, base "/{id}", ROLE_OPERATOR, USER_OPTIONAL, BODY_DEFAULT, resource_update, "T", "t",       \
     ROUTE_LATE_BODY, &r},                                                                                  \
    {METHOD_DELETE, base "/{id}", ROLE_OPERATOR, USER_OPTIONAL, BODY_DEFAULT, resource_delete, "T", "t",    \
     ROUTE_NO_BODY, &r}

static const struct route routes[] = {
    CRUD("/things", things), CRUD("/paged", paged), CRUD("/owned", owned), CRUD("/quiet", quiet),
    CRUD("/owned/{thing}/parts", parts),
};
static const struct program program = {.name = "test", .routes = routes, .route_count = N(routes)};

/* ---- one request ---- */

struct call {
    const char *method, *path, *body;
    const char *user, *key, *tenant, *if_match, *idempotency, *bearer;
};

static struct exchange x; /* the last one */
static struct store *store;

static int done(void)
{
    exchange_end(&x);
    return 0;
}

static inline int call_(const struct call *c)
{
    if (x.arena != NULL)
        done();
    exchange_start(&x, c->method, c->path);
    exchange_param(&x, "HTTP_AUTHORIZATION", c->bearer != NULL ? c->bearer : "Bearer s3cret");
    if (c->body != NULL)
        exchange_body(&x, c->body);
    if (c->user != NULL)
        exchange_param(&x, "HTTP_X_GOCLAW_USER_ID", c->user);
    if (c->tenant != NULL)
        exchange_param(&x, "HTTP_X_GOCLAW_TENANT_ID", c->tenant);
    if (c->if_match != NULL)
        exchange_param(&x, "HTTP_IF_MATCH", c->if_match);
    if (c->idempotency != NULL)
        exchange_param(&x, "HTTP_IDEMPOTENCY_KEY", c->idempotency);
    exchange_run(&x, &gw);
    return x.status;
}
#define call(...) call_(&(struct call){__VA_ARGS__})

/* "alice's": what an operator key bound to nobody sends in her name. */
static char operator_bearer[64];

static const char *text(const char *name)
{
    json_object *o = json_get(x.json, name);
    return o != NULL ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : "absent";
}

static void expect_text(const char *name, const char *want)
{
    if (strcmp(text(name), want) != 0)
        fail_msg("%s: expected %s, got %s in %s", name, want, text(name), x.body);
}

static void refused(int status, const char *code, const char *param, const char *message)
{
    if (x.status != status || strcmp(exchange_error(&x, "code"), code) != 0 ||
        strcmp(exchange_error(&x, "param"), param) != 0 || strstr(exchange_error(&x, "message"), message) == NULL)
        fail_msg("expected %d %s %s (%s), got %d: %s", status, code, param, message, x.status, x.body);
}

static const char *path(const char *base, const char *id)
{
    return arena_printf(store->a, "%s/%s", base, id);
}

/* Makes a thing and returns its path. */
static const char *made(const char *body)
{
    if (call("POST", "/things", body) != 201)
        fail_msg("%d: %s", x.status, x.body);
    return path("/things", json_str(x.json, "id"));
}

static int set_up(void **state)
{
    config_setup(state);
    store = store_new();
    store_people(store);
    memset(config.keys.primary, 7, sizeof config.keys.primary);
    config.max_body_bytes = 1 << 20;
    gw = (struct gateway){.config = &config, .program = &program, .db = store->db};
    x.arena = NULL;
    after_writes = 0;
    after_fails = false;
    store_sql(store->db,
              "CREATE TABLE things (id TEXT PRIMARY KEY NOT NULL, tenant_id TEXT NOT NULL, name TEXT NOT NULL,"
              " title TEXT NOT NULL, code TEXT NOT NULL, note TEXT, origin TEXT NOT NULL, size INTEGER NOT NULL,"
              " wait INTEGER NOT NULL, start INTEGER NOT NULL, cents INTEGER, ratio REAL NOT NULL,"
              " open INTEGER NOT NULL, mode TEXT NOT NULL, extra TEXT NOT NULL, tags TEXT NOT NULL, key TEXT NOT NULL,"
              " vars TEXT NOT NULL, hidden TEXT NOT NULL, for_user TEXT, ref TEXT, due TEXT, owner_id TEXT NOT NULL,"
              " created_at TEXT NOT NULL, updated_at TEXT NOT NULL, UNIQUE (tenant_id, name)) STRICT;"
              "CREATE INDEX things_by_time ON things (tenant_id, created_at, id);"
              "CREATE TABLE parts (id TEXT PRIMARY KEY NOT NULL, tenant_id TEXT NOT NULL, thing_id TEXT NOT NULL"
              " REFERENCES things (id) ON DELETE CASCADE, label TEXT NOT NULL, n INTEGER NOT NULL,"
              " UNIQUE (thing_id, label)) STRICT;");
    char key[API_KEY_SIZE];
    const char *id;
    assert_int_equal(key_create(store->db, store->a, "k", "[\"operator.write\"]", TENANT, NULL, NULL, NULL, key, &id),
                     DB_OK);
    snprintf(operator_bearer, sizeof operator_bearer, "Bearer %s", key);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (x.arena != NULL)
        done();
    x.arena = NULL;
    store_free(store);
    return 0;
}

#endif

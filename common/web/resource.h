/* One table describes a resource; the house does the rest.
 *
 * A family writes a table of fields and a struct resource, and points its route rows at resource_list, _create,
 * _get, _update and _delete. From the tables come: validation (contract 01 §12.8, errors with the field as
 * `param`), defaults, the SQL (store/table.h), the JSON, masking and encryption of secrets (01 §11), lists
 * (§12.4 to 12.6), ETag and If-Match (§12.14), Idempotency-Key (§12.18), audit (§8) and the schema in --describe.
 * What is special goes into hooks. docs/adding-a-family.md walks through it; cgi-bin/mcp.c is the example.
 *
 * Routes: PUT, PATCH, and POST below a parent carry ROUTE_LATE_BODY (the row is looked for before the body is
 * read), DELETE carries ROUTE_NO_BODY, and each row names its resource:
 *   {METHOD_PUT, "/v1/mcp/servers/{id}", ROLE_ADMIN, USER_UNUSED, BODY_DEFAULT, resource_update, "MCP Servers",
 *    "Change a server", ROUTE_LATE_BODY, &servers},
 */
#ifndef CLAWGATE_WEB_RESOURCE_H
#define CLAWGATE_WEB_RESOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/table.h"
#include "web/change.h"
#include "web/request.h"

struct edit;
struct record;
struct field;

/* ---- fields ---- */

enum field_kind {
    FIELD_TEXT,       /* min..max characters (bytes with FIELD_BYTES) */
    FIELD_SLUG,       /* contract 01 §12.1; max characters */
    FIELD_INTEGER,    /* min..max */
    FIELD_NUMBER,     /* min..max */
    FIELD_BOOL,
    FIELD_ENUM,       /* one of `values`, kept as text */
    FIELD_OBJECT,     /* JSON object, at most max bytes of text; replaced whole */
    FIELD_TEXTS,      /* array of strings: at most max items of item_max bytes, each one of `values` if there are any;
                         FIELD_REQUIRED refuses an empty one too */
    FIELD_SECRET,     /* text; stored encrypted, shown as "***", omitted when empty. PUT: "***" and "" keep it, null
                         clears it. At most max bytes */
    FIELD_SECRET_MAP, /* object string -> string, one encrypted blob; shown as {"KEY":"***"}. PUT replaces the map, a
                         value "***" keeps the stored one. At most max entries, item_max bytes in all */
    FIELD_USER,       /* user id, contract 01 §2.3 */
    FIELD_UUID,
    FIELD_TIME,       /* any RFC 3339 in, fixed width UTC out (01 §12.3) */
};

enum field_flags {
    FIELD_REQUIRED = 1,     /* on create; "" and null are refused everywhere */
    FIELD_READ_ONLY = 2,    /* ignored in bodies; hooks may set it */
    FIELD_CREATE_ONLY = 4,  /* ignored in updates */
    FIELD_NULLABLE = 8,     /* SQL NULL and JSON null; without it null means the preset */
    FIELD_NO_NULL = 16,     /* null is 400 on update although the field is optional */
    FIELD_OMIT = 32,        /* left out of answers when null, "", {}, [] or false; when nullable: only when null */
    FIELD_HIDDEN = 64,      /* never in answers */
    FIELD_ADMIN = 128,      /* only admins may change it to something other than its preset (403) */
    FIELD_BYTES = 256,      /* max counts bytes */
    FIELD_TRIM = 512,       /* blanks at both ends are cut before anything else */
    FIELD_LOW_IS_PRESET = 1024,           /* numbers below min mean the preset */
    FIELD_LOW_IS_PRESET_ON_CREATE = 2048, /* … on create only */
    FIELD_CALLER = 4096,    /* read-only; on create the effective user, the preset when there is none */
    FIELD_HOUSE = 8192,     /* id, tenant_id, created_at, updated_at: see the macros below */
};

struct field {
    const char *name;      /* in JSON */
    enum field_kind kind;
    unsigned flags;
    int64_t min, max;      /* by kind; max 0 = no limit */
    int64_t item_max;
    const char *values;    /* FIELD_ENUM, FIELD_TEXTS: "stdio|sse|http=sse" (an entry with = is an alias, stored as what follows) */
    const char *preset;    /* text as it is, numbers, true/false, JSON for objects; NULL: "" 0 false {} [], or null */
    const char *aliases;   /* further names in bodies, "a|b"; the field's own name wins */
    const char *allowed;   /* FIELD_TEXT: set of characters, as inside [] of a pattern: "a-z0-9_" */
    const char *column;    /* NULL = name */
    const char *sql;       /* computed column: its SQL over alias t; the field is read-only */
    /* After the kind's own judgement; may rewrite *v (arena). in is the JSON value, NULL for a preset. */
    bool (*check)(struct edit *e, const struct field *f, struct db_value *v, json_object *in);
    const char *doc;       /* one line */
};

/* Rows every field table begins or ends with, in the place where the answer shows them. */
#define FIELD_ROW_ID {.name = "id", .kind = FIELD_UUID, .flags = FIELD_HOUSE, .doc = "Made by the gateway"}
#define FIELD_ROW_TENANT {.name = "tenant_id", .kind = FIELD_UUID, .flags = FIELD_HOUSE, .doc = "Its tenant"}
#define FIELD_ROW_CREATED {.name = "created_at", .kind = FIELD_TIME, .flags = FIELD_HOUSE, .doc = "When it was made"}
#define FIELD_ROW_UPDATED \
    {.name = "updated_at", .kind = FIELD_TIME, .flags = FIELD_HOUSE, .doc = "When it was last changed"}

/* ---- resources ---- */

enum put_answer { PUT_STATUS_UPDATED, PUT_OK_TRUE };           /* "status":"updated" or "ok":"true" beside the record */
enum delete_answer { DELETE_STATUS_ID, DELETE_STATUS, DELETE_OK_TRUE }; /* {"status":"deleted","id":…}, without id, … */

/* Whom visible_sql and writable_sql judge (they see him as ?2). */
enum row_rule {
    ROWS_ALL,          /* nobody: every row of the tenant */
    ROWS_OF_USER,      /* the named user, admins too; not the owner role, not an admin who names none (02 §2.1) */
    ROWS_OF_NON_ADMIN, /* the user, below admin only */
};

struct filter {
    const char *query;  /* parameter name */
    enum field_kind kind; /* FIELD_TEXT exact; FIELD_UUID malformed = 400; FIELD_ENUM another value = 400; FIELD_BOOL
                             true/1/false/0, anything else is ignored */
    const char *values;   /* FIELD_ENUM: as of a field; "all=" (an alias of nothing) means not filtered */
    const char *preset;   /* when the query has none; NULL = not filtered */
    const char *column; /* NULL = query */
    const char *sql;    /* instead of column = value: SQL with {} for the value, e.g. "t.agent_id IN (… = {})" */
    const char *doc;
};

enum edit_action { EDIT_CREATE, EDIT_UPDATE, EDIT_DELETE };

/* What the house makes of a resource, once per process; private. */
struct resource_made {
    struct table *table;
    const struct label *labels;
};
#define RESOURCE_MADE (&(struct resource_made){NULL, NULL})

struct resource {
    const char *name;     /* schema name: "McpServer" */
    const char *noun;     /* in messages: "MCP server" */
    const char *audit;    /* entity type and first half of actions: "mcp_server"; NULL = not audited */
    const char *list_key; /* "servers"; NULL = a bare array */
    const char *table;
    const char *doc;      /* one line */
    struct resource_made *made; /* RESOURCE_MADE */

    const struct field *fields;
    size_t field_count;   /* at most 63 */
    const struct field *inputs; /* members of bodies that are no columns: judged like fields, read from e->body by hooks */
    size_t input_count;
    const struct field *once;   /* members of the 201 answer alone, for its schema; write_once writes them */
    size_t once_count;
    const char *unique;   /* field named by 409 already_exists */

    const char *order;    /* "name", "created_at DESC"; id breaks ties */
    const struct filter *filters;
    size_t filter_count;
    int64_t page_limit;   /* default limit; 0 = all rows unless asked. Then total, limit, offset always stand there */
    int64_t page_max;     /* 0 = 200 */
    bool page_before;     /* takes before=<id> */
    bool keep_lists;      /* all that its lists show is configuration (store/fresh.h) and depends on the target, the
                             tenant, the user and his role alone: answers are kept and sent again while they are fresh */

    enum put_answer put_answer;
    enum delete_answer delete_answer;
    const char *generation; /* counter raised by every change, e.g. "mcp" */

    bool no_tenant;            /* table without tenant_id */
    const char *parent_column; /* rows of a parent: `open` sets e->view.parent; the parent is params[0], the row
                                  params[1]. A tenant's own tables: parent_column "tenant_id" with no_tenant */
    const char *key_column;    /* what the path names when it is not the id */
    const char *slug_column;   /* the path may also name this */
    const char *live_rows;     /* the rows that are there for callers, as a partial index says it: "t.deleted_at IS NULL" */
    enum row_rule rule;
    const char *visible_sql;   /* e.g. "t.owner_id = ?2 OR t.is_default = 1"; see store/table.h */
    const char *writable_sql;
    bool invisible_is_missing; /* 404 instead of 403 */

    /* Hooks, each may be NULL. They return false after edit_refuse, or after edit_failed when the store failed (or with
     * e->change.fault filled). Those in the transaction may be called twice for one request and must not count on what
     * they left behind. Default audit action: audit + ".created", ".updated", ".deleted"; after_write may set
     * e->change.action, entity_id, details. */
    bool (*open)(struct edit *e);  /* before the row is looked for, e->db for reading: finds the parent */
    bool (*input)(struct edit *e); /* before the fields are read: may rewrite e->body (aliases, derived fields) */
    bool (*before_write)(struct edit *e); /* in the transaction, merged record in e->now, stored one in e->old:
                                             rules over several fields (400), references (404), states (409) */
    bool (*after_write)(struct edit *e);  /* in the transaction, row written: what else changes with it */
    void (*write)(struct jsonw *w, const struct record *r); /* computed members, after the fields */
    void (*write_once)(struct jsonw *w, struct edit *e);    /* members of the 201 answer only, never kept */
};

/* ---- what hooks see ---- */

/* A stored row. Secrets are as stored: use record_secret. */
struct record {
    struct request *req;
    const struct resource *resource;
    const struct db_value *v; /* in the order of the fields */
};

struct edit {
    struct change change;
    struct request *req;
    const struct resource *resource;
    enum edit_action action;
    struct db *db;           /* NULL in input and check: no reading and no locks there */
    struct table_view view;  /* tenant, judged user, parent */
    json_object *body;
    const char *id;          /* of the row */
    struct db_value *old;    /* stored record, secrets in clear (NULL text when they cannot be decrypted) */
    struct db_value *now;    /* as it will be; the same as old on delete. NULL in open, input and check: the readers
                                below are for before_write and after_write */
    uint64_t given;          /* bit a field: it stood in the body */
    uint64_t changed;        /* bit a field: now differs from old; for after_write */
    void *state;             /* the family's own */

    /* Private. */
    const char *key;
    const char *if_match;
    struct db_value *input;
    uint64_t unreadable;     /* secrets that cannot be decrypted */
    const struct db_value *row; /* the row after the change, as stored */
};

/* Number of a field; a name that is not in the table ends the process (a bug). */
size_t field_index(const struct resource *r, const char *name);

const char *edit_text(const struct edit *e, const char *field); /* of e->now; "" when null */
int64_t edit_int(const struct edit *e, const char *field);      /* integers and booleans */
/* Objects, arrays and maps, parsed; lives with the request. */
json_object *edit_json(const struct edit *e, const char *field);
const char *edit_old_text(const struct edit *e, const char *field); /* of e->old; NULL on create */
int64_t edit_old_int(const struct edit *e, const char *field);
bool edit_given(const struct edit *e, const char *field);
bool edit_changed(const struct edit *e, const char *field); /* now differs from old; everything on create */
/* Change the record to be written; text must live as long as the request. NULL text is SQL NULL. */
void edit_set_text(struct edit *e, const char *field, const char *text);
void edit_set_int(struct edit *e, const char *field, int64_t n);
void edit_set_json(struct edit *e, const char *field, json_object *o);
bool edit_refuse(struct edit *e, enum fault_kind kind, enum message_id message, const char *param, const char *arg0,
                 const char *arg1);
/* A store call of a hook failed: the answer is what the same failure of the house gives (503 when busy or full, else
 * 500, logged), not a refusal of the request. Returns false: `return rc == DB_OK || edit_failed(e, rc);` */
bool edit_failed(struct edit *e, enum db_rc rc);

const char *record_text(const struct record *r, const char *field); /* "" when null */
int64_t record_int(const struct record *r, const char *field);
/* In clear; NULL when it cannot be decrypted. A secret map gives JSON text. */
const char *record_secret(const struct record *r, const char *field);

/* ---- handlers: the route row names the resource ---- */

reply resource_list(struct request *req);
reply resource_create(struct request *req);
reply resource_get(struct request *req);
reply resource_update(struct request *req); /* PUT and PATCH */
reply resource_delete(struct request *req);

/* ---- for other handlers of the family ---- */

enum access { ACCESS_READ, ACCESS_WRITE };
/* The row a path (or body) names, with the checks of contract 01 §0: malformed 400, missing 404, no access 403.
 * parent as in struct table_view. */
bool resource_find(struct request *req, struct db *db, const struct resource *r, const char *parent, const char *key,
                   enum access access, struct record *out, struct fault *f);
/* The record as members of the open object. */
void resource_write(struct jsonw *w, const struct record *r);
/* Its strong ETag, quotes included. */
const char *resource_etag(const struct record *r);
/* Does the request's If-Match (contract 01 §12.14) permit changing this row? NULL: there is no row. */
bool resource_if_match(struct request *req, const struct record *stored);

/* ---- for the house ---- */

/* Start-up check of the resources a table of routes names. */
bool resources_check(const struct route *routes, size_t n, char *err, size_t errsize);
/* "list", "create", "get", "update", "delete"; "action" for every other handler. */
const char *resource_operation(const struct route *r);
/* An object: everything a schema needs, see docs/adding-a-family.md. */
void resource_describe(struct jsonw *w, const struct resource *r);

#endif

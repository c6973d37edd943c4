#include "usage/activity.h"

#include "store/activity.h"
#include "usage/range.h"

#define N(a) (sizeof(a) / sizeof *(a))

enum { LIMIT = 50, LIMIT_MAX = 200 };

/* ---- the list ---- */

#define TOLD .kind = FIELD_TEXT, .flags = FIELD_READ_ONLY

static const struct field entry_fields[] = {
    FIELD_ROW_ID,
    {.name = "actor_type", TOLD, .doc = "user, api_key or system"},
    {.name = "actor_id", TOLD, .doc = "The user, or the id of the API key"},
    {.name = "action", TOLD, .doc = "What was done, for example agent.created"},
    {.name = "entity_type", .kind = FIELD_TEXT, .flags = FIELD_READ_ONLY | FIELD_OMIT, .doc = "What it was done to"},
    {.name = "entity_id", .kind = FIELD_TEXT, .flags = FIELD_READ_ONLY | FIELD_OMIT, .doc = "And to which one"},
    {.name = "details", .kind = FIELD_OBJECT, .flags = FIELD_READ_ONLY | FIELD_NULLABLE, .doc = "More about it"},
    {.name = "ip_address", .kind = FIELD_TEXT, .flags = FIELD_READ_ONLY | FIELD_OMIT, .doc = "Where it came from"},
    FIELD_ROW_CREATED,
};

/* Below admin actor_id is the caller, whatever the query says: ?2 is he, and nobody for admins. */
static const struct filter entry_filters[] = {
    {.query = "actor_type", .kind = FIELD_TEXT, .doc = "Only actors of this type"},
    {.query = "actor_id", .kind = FIELD_TEXT, .sql = "t.actor_id = COALESCE(?2, {})", .doc = "Only this actor; admins"},
    {.query = "action", .kind = FIELD_TEXT, .doc = "Only this action"},
    {.query = "entity_type", .kind = FIELD_TEXT, .doc = "Only entities of this type"},
    {.query = "entity_id", .kind = FIELD_TEXT, .doc = "Only this entity"},
    RANGE_FILTERS("created_at"),
};

static bool range_check(struct edit *e)
{
    struct range range;
    return range_read(e->req, &range, &e->change.fault);
}

const struct resource activity_entries = {
    .name = "Activity",
    .noun = "activity",
    .list_key = "logs",
    .table = "activity_logs",
    .doc = "One change that somebody made",
    .made = RESOURCE_MADE,
    .fields = entry_fields,
    .field_count = N(entry_fields),
    .order = "created_at DESC",
    .filters = entry_filters,
    .filter_count = N(entry_filters),
    .page_limit = LIMIT,
    .page_max = LIMIT_MAX,
    .page_before = true,
    .rule = ROWS_OF_NON_ADMIN,
    .visible_sql = "t.actor_id = ?2",
    .open = range_check,
};

/* ---- totals ---- */

static bool group_read(struct request *req, const char **group, struct fault *f)
{
    static const char *const groups[] = {"action", "actor_type", "entity_type", "actor_id"};
    const char *text = req_query(req, "group_by");
    *group = NULL;
    for (size_t i = 0; i < N(groups); i++)
        if (strcmp(text != NULL ? text : groups[0], groups[i]) == 0)
            *group = groups[i];
    if (*group == NULL)
        return fault_set(f, FAULT_INVALID, MSG_must_be_one_of, "group_by", "group_by",
                         "action, actor_type, entity_type, actor_id");
    if (strcmp(*group, "actor_id") == 0 && req->who.role < ROLE_ADMIN)
        return fault_set(f, FAULT_FORBIDDEN, MSG_permission_denied, "group_by", "group_by=actor_id", NULL);
    return true;
}

static void bucket_write(void *ctx, const char *key, int64_t count)
{
    struct jsonw *w = ctx;
    jw_obj(w);
    jw_kstr(w, "key", key);
    jw_kint(w, "count", count);
    jw_obj_end(w);
}

reply activity_aggregate_get(struct request *req)
{
    struct range range;
    struct fault f;
    struct jsonw *w = &req->w;
    struct activity_totals q = {
        .tenant_id = req->who.tenant_id,
        .actor_id = req->who.role < ROLE_ADMIN ? req->who.user : NULL,
        .limit = req_query_int(req, "limit", LIMIT, 1, LIMIT_MAX),
    };
    if (!group_read(req, &q.group_by, &f) || !range_read(req, &range, &f))
        return reply_fault(req, &f);
    q.from = range.from;
    q.to = range.to;
    int64_t total = 0;
    jw_obj(w);
    jw_kstr(w, "source", "activity_logs");
    jw_kstr(w, "group_by", q.group_by);
    jw_karr(w, "buckets");
    struct db *db = req_db(req);
    enum db_rc rc = db != NULL ? activity_total(db, &q, bucket_write, w, &total) : DB_BUSY;
    req_db_done(req, db);
    if (rc != DB_OK)
        return reply_db(req, rc);
    jw_arr_end(w);
    jw_kint(w, "total", total);
    jw_kint(w, "limit", q.limit);
    jw_kopt(w, "from", range.from);
    jw_kopt(w, "to", range.to);
    jw_obj_end(w);
    return reply_json(req, 200);
}

/* Tenants and their users (contract 01 §5, §13); only the owner role gets here. */
#include "base/utf8.h"
#include "keys/keys.h"
#include "store/tenants.h"
#include "web/reply.h"

#define N(a) (sizeof(a) / sizeof *(a))

enum { NOTES_MAX = 64 * 1024 };

/* ---- tenants ---- */

static bool slug_check(struct edit *e, const struct field *f, struct db_value *v, json_object *in)
{
    (void)in;
    return tenant_slug_valid(v->text) || edit_refuse(e, FAULT_INVALID, MSG_invalid_slug, f->name, f->name, NULL);
}

static const struct field tenant_fields[] = {
    FIELD_ROW_ID,
    {.name = "name", .kind = FIELD_TEXT, .flags = FIELD_REQUIRED | FIELD_TRIM, .max = 255, .doc = "For people"},
    {.name = "slug", .kind = FIELD_SLUG, .flags = FIELD_REQUIRED | FIELD_CREATE_ONLY, .max = 100, .check = slug_check,
     .doc = "Unique; made from the name when absent; names the tenant in headers and its directories"},
    {.name = "status", .kind = FIELD_ENUM, .flags = FIELD_NO_NULL, .values = "active|suspended|archived",
     .preset = "active", .doc = "Only active tenants can be worked in; only archived ones deleted"},
    {.name = "settings", .kind = FIELD_OBJECT, .max = NOTES_MAX, .doc = "Kept as they are; replaced whole"},
    FIELD_ROW_CREATED,
    FIELD_ROW_UPDATED,
};

/* A tenant begins active, with a slug of its name unless it brings one. */
static bool tenants_input(struct edit *e)
{
    char slug[TENANT_SLUG_SIZE];
    const char *name = json_str(e->body, "name");
    if (e->action != EDIT_CREATE)
        return true;
    json_object_object_del(e->body, "status");
    if (json_get(e->body, "slug") == NULL && name != NULL && tenant_slug_from(name, slug))
        json_object_object_add(e->body, "slug", json_object_new_string(slug));
    return true;
}

static bool tenants_before_write(struct edit *e)
{
    const char *status = edit_text(e, "status");
    bool master = e->action != EDIT_CREATE && strcmp(e->id, MASTER_TENANT_ID) == 0;
    if (master && (e->action == EDIT_DELETE || strcmp(status, "active") != 0))
        return edit_refuse(e, FAULT_PROTECTED, MSG_master_tenant, NULL, NULL, NULL);
    if (e->action != EDIT_DELETE)
        return true;
    if (strcmp(status, "archived") != 0)
        return edit_refuse(e, FAULT_STATE, MSG_tenant_not_archived, NULL, NULL, NULL);
    enum db_rc rc = tenant_rows_delete(e->db, e->id);
    return rc == DB_OK || edit_failed(e, rc);
}

static bool tenants_after_write(struct edit *e)
{
    const struct config *config = e->req->gw->config;
    if (e->action != EDIT_CREATE)
        return true;
    const char *slug = edit_text(e, "slug");
    switch (tenant_dir_make(e->req->arena, config->workspace, config->data_dir, slug)) {
    case TENANT_DIR_MADE:
        return true;
    case TENANT_DIR_USED:
        return edit_refuse(e, FAULT_EXISTS, MSG_already_exists, "slug", "directory of a tenant", slug);
    default:
        return edit_refuse(e, FAULT_INTERNAL, MSG_failed_to_create, NULL, "the tenant's directory", NULL);
    }
}

const struct resource tenants = {
    .name = "Tenant",
    .noun = "tenant",
    .audit = "tenant",
    .list_key = "tenants",
    .table = "tenants",
    .doc = "A closed set of agents, sessions, providers, keys and files",
    .made = RESOURCE_MADE,
    .fields = tenant_fields,
    .field_count = N(tenant_fields),
    .unique = "slug",
    .order = "created_at",
    .put_answer = PUT_OK_TRUE,
    .delete_answer = DELETE_STATUS_ID,
    .generation = "tenants",
    .no_tenant = true,
    .slug_column = "slug",
    .input = tenants_input,
    .before_write = tenants_before_write,
    .after_write = tenants_after_write,
};

/* ---- users ---- */

static const struct field user_fields[] = {
    FIELD_ROW_ID,
    FIELD_ROW_TENANT,
    {.name = "user_id", .kind = FIELD_USER, .flags = FIELD_REQUIRED, .doc = "Who may enter the tenant"},
    {.name = "display_name", .kind = FIELD_TEXT, .flags = FIELD_NULLABLE, .max = 255, .doc = "For people"},
    {.name = "role", .kind = FIELD_ENUM, .values = "owner|admin|operator|member|viewer", .preset = "member",
     .doc = "Kept for the tenant's own use; rights come from the credential"},
    {.name = "metadata", .kind = FIELD_OBJECT, .max = NOTES_MAX, .doc = "Kept as it is"},
    FIELD_ROW_CREATED,
    FIELD_ROW_UPDATED,
};

static bool users_open(struct edit *e)
{
    struct record tenant;
    if (e->key != NULL && !utf8_user_id_valid(e->key, strlen(e->key)))
        return edit_refuse(e, FAULT_INVALID, MSG_invalid_user_id, "userID", NULL, NULL);
    if (!resource_find(e->req, e->db, &tenants, NULL, e->req->params[0], ACCESS_READ, &tenant, &e->change.fault))
        return false;
    e->view.parent = record_text(&tenant, "id");
    return true;
}

/* Adding somebody again replaces his row and keeps its id and its age. */
static bool users_before_write(struct edit *e)
{
    struct membership *before = ARENA_NEW(e->req->arena, struct membership);
    e->state = NULL;
    if (e->action != EDIT_CREATE)
        return true;
    enum db_rc rc = tenant_member_take(e->db, e->req->arena, e->view.parent, edit_text(e, "user_id"), before);
    if (rc != DB_ROW)
        return rc == DB_OK || edit_failed(e, rc);
    e->id = before->id;
    e->state = before;
    return true;
}

static bool users_after_write(struct edit *e)
{
    e->change.action = e->action == EDIT_DELETE ? "tenant.user.removed" : "tenant.user.added";
    e->change.entity_id = e->view.parent;
    enum db_rc rc = e->state != NULL ? tenant_member_since(e->db, e->state) : DB_OK;
    return rc == DB_OK || edit_failed(e, rc);
}

const struct resource tenant_users = {
    .name = "TenantUser",
    .noun = "user",
    .audit = "tenant",
    .list_key = "users",
    .table = "tenant_users",
    .doc = "Who may enter a tenant by header with the gateway token",
    .made = RESOURCE_MADE,
    .fields = user_fields,
    .field_count = N(user_fields),
    .order = "created_at",
    .delete_answer = DELETE_STATUS,
    .no_tenant = true,
    .parent_column = "tenant_id",
    .key_column = "user_id",
    .open = users_open,
    .before_write = users_before_write,
    .after_write = users_after_write,
};

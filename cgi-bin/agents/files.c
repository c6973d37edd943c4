#include "agents/files.h"

#include "agents/sharing.h"
#include "store/context_files.h"

#define N(a) (sizeof(a) / sizeof *(a))

static const char *const names[] = {"AGENTS.md", "SOUL.md", "IDENTITY.md", "USER.md", "USER_PREDEFINED.md",
                                    "BOOTSTRAP.md", "HEARTBEAT.md", "TOOLS.md"};

static bool name_check(const char *name, struct fault *f)
{
    for (size_t i = 0; i < N(names); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return fault_set(f, FAULT_INVALID, MSG_must_be_one_of, "name", "name",
                     "AGENTS.md, SOUL.md, IDENTITY.md, USER.md, USER_PREDEFINED.md, BOOTSTRAP.md, HEARTBEAT.md, TOOLS.md");
}

static bool file_open(struct edit *e)
{
    return name_check(e->req->params[1], &e->change.fault) && agent_open(e);
}

#define ROW_HIDDEN_ID \
    {.name = "id", .kind = FIELD_UUID, .flags = FIELD_HOUSE | FIELD_HIDDEN, .doc = "Made by the gateway"}
#define ROW_AGENT {.name = "agent_id", .kind = FIELD_UUID, .flags = FIELD_READ_ONLY, .doc = "The agent"}
#define ROW_NAME {.name = "file_name", .kind = FIELD_TEXT, .flags = FIELD_READ_ONLY, .doc = "SOUL.md, IDENTITY.md, …"}
#define ROW_SIZE \
    {.name = "size", .kind = FIELD_INTEGER, .sql = "length(CAST(t.content AS BLOB))", .doc = "Bytes of the text"}

static const struct field list_fields[] = {ROW_HIDDEN_ID, ROW_AGENT, ROW_NAME, ROW_SIZE, FIELD_ROW_UPDATED};

const struct resource context_files = {
    .name = "AgentFileEntry",
    .noun = "file",
    .list_key = "files",
    .table = "agent_context_files",
    .doc = "A context file of an agent without its text",
    .made = RESOURCE_MADE,
    .fields = list_fields,
    .field_count = N(list_fields),
    .order = "file_name",
    .parent_column = "agent_id",
    .key_column = "file_name",
    .open = agent_open,
};

static const struct field file_fields[] = {
    ROW_HIDDEN_ID,
    ROW_AGENT,
    ROW_NAME,
    {.name = "content", .kind = FIELD_TEXT, .doc = "The text; an empty file counts as none in prompts"},
    ROW_SIZE,
    FIELD_ROW_UPDATED,
};

const struct resource context_file = {
    .name = "AgentFile",
    .noun = "file",
    .table = "agent_context_files",
    .doc = "A text in Markdown that goes into the prompt of every run of the agent",
    .made = RESOURCE_MADE,
    .fields = file_fields,
    .field_count = N(file_fields),
    .order = "file_name",
    .parent_column = "agent_id",
    .key_column = "file_name",
    .open = file_open,
};

/* ---- PUT ---- */

struct writing {
    struct change change; /* first */
    const char *content;
    struct record made;
};

static bool content_read(struct change *c)
{
    json_object *in = json_get(c->req->body, "content");
    ((struct writing *)c)->content = json_object_is_type(in, json_type_string) ? json_object_get_string(in) : "";
    return in == NULL || json_object_is_type(in, json_type_string) ||
           change_refuse(c, FAULT_INVALID, MSG_must_be_string, "content", "content", NULL);
}

/* The row of the path; false with another fault than that there is none. */
static bool row_find(struct change *c, const char *agent_id, struct record *row, bool *there)
{
    struct fault f = {.kind = FAULT_NONE};
    *there = resource_find(c->req, c->db, &context_file, agent_id, c->req->params[1], ACCESS_READ, row, &f);
    if (!*there && f.kind != FAULT_NOT_FOUND)
        c->fault = f;
    return *there || f.kind == FAULT_NOT_FOUND;
}

static enum db_rc write_apply(struct change *c)
{
    struct writing *w = (struct writing *)c;
    struct request *req = c->req;
    struct record row;
    bool there = false;
    const char *agent_id = agent_owned(req, c->db, &c->fault), *name = req->params[1];
    if (agent_id == NULL || !row_find(c, agent_id, &row, &there))
        return DB_OK;
    if (!resource_if_match(req, there ? &row : NULL)) {
        change_refuse(c, FAULT_IF_MATCH, MSG_precondition_failed, "If-Match", NULL, NULL);
        return DB_OK;
    }
    w->made = row;
    if (there && strcmp(record_text(&row, "content"), w->content) == 0)
        return DB_OK;
    enum db_rc rc = context_file_put(c->db, req->who.tenant_id, agent_id, name, w->content);
    if (rc != DB_OK)
        return rc;
    c->action = "agent.file_set";
    c->entity_id = agent_id;
    c->details = arena_printf(req->arena, "{\"file_name\":\"%s\"}", name);
    row_find(c, agent_id, &w->made, &there);
    return there ? DB_OK : DB_ERROR;
}

static void write_render(struct change *c, struct jsonw *w, bool kept)
{
    struct writing *writing = (struct writing *)c;
    jw_obj(w);
    resource_write(w, &writing->made);
    jw_kstr(w, "status", "updated");
    jw_obj_end(w);
    if (!kept)
        reply_header(c->req, "ETag", resource_etag(&writing->made));
}

reply context_file_write(struct request *req)
{
    struct writing w = {.change = {.prepare = content_read, .apply = write_apply, .render = write_render,
                                   .entity = "agent", .generation = "agents"}};
    struct fault f;
    struct db *db = req_db(req);
    bool owned = name_check(req->params[1], &f) && agent_owned(req, db, &f) != NULL;
    req_db_done(req, db);
    return owned ? change_run(req, &w.change) : reply_fault(req, &f);
}

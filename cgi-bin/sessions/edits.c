/* Changes of a session by its owner: label, model and metadata, emptying it, deleting it (contract 03 §6.4, §6.5). */
#include "base/clock.h"
#include "base/utf8.h"
#include "sessions/session.h"
#include "web/change.h"
#include "web/etag.h"
#include "web/reply.h"

enum { LABEL_MAX = 500, MODEL_MAX = 200, METADATA_MAX = 65536 };

struct session_edit {
    struct change change; /* first: the callbacks get it */
    struct session old, now;
    const char *label, *model;  /* new values, NULL = not given */
    json_object *metadata;      /* given members; NULL = none */
    bool metadata_clear;        /* "metadata": null */
};

static struct session_edit *edit_of(struct change *c)
{
    return (struct session_edit *)c;
}

/* ---- the body ---- */

static bool text_read(struct change *c, const char *name, size_t max, const char **out)
{
    json_object *v;
    if (!json_object_object_get_ex(c->req->body, name, &v))
        return true;
    if (v != NULL && !json_object_is_type(v, json_type_string))
        return change_refuse(c, FAULT_INVALID, MSG_must_be_string, name, name, NULL);
    *out = v != NULL ? json_object_get_string(v) : "";
    if (utf8_count(*out, strlen(*out)) <= max)
        return true;
    return change_refuse(c, FAULT_INVALID, MSG_too_long, name, name,
                         arena_printf(c->req->arena, "%zu characters", max));
}

static bool metadata_read(struct change *c, struct session_edit *e)
{
    static const char *const reserved = "context_start_index";
    json_object *v;
    if (!json_object_object_get_ex(c->req->body, "metadata", &v))
        return true;
    e->metadata_clear = v == NULL;
    if (v == NULL)
        return true;
    if (!json_object_is_type(v, json_type_object))
        return change_refuse(c, FAULT_INVALID, MSG_must_be_object, "metadata", "metadata", NULL);
    json_object_object_foreach(v, name, value)
    {
        const char *label = arena_printf(c->req->arena, "metadata.%s", name);
        if (strcmp(name, reserved) == 0)
            return change_refuse(c, FAULT_INVALID, MSG_not_supported, "metadata", label, NULL);
        if (value != NULL && !json_object_is_type(value, json_type_string))
            return change_refuse(c, FAULT_INVALID, MSG_must_be_string, "metadata", label, NULL);
    }
    e->metadata = v;
    return true;
}

static bool patch_prepare(struct change *c)
{
    struct session_edit *e = edit_of(c);
    return text_read(c, "label", LABEL_MAX, &e->label) && text_read(c, "model", MODEL_MAX, &e->model) &&
           metadata_read(c, e);
}

/* ---- in the transaction ---- */

/* The row as it is now, and whether it may be changed. */
static bool reopen(struct change *c, struct session_edit *e)
{
    c->entity_id = c->req->params[0];
    if (!session_open(c->req, c->db, &e->old, &c->fault))
        return false;
    const char *tag = session_etag(c->req->arena, &e->old);
    return etag_allows(req_header(c->req, "If-Match"), tag) ||
           change_refuse(c, FAULT_IF_MATCH, MSG_precondition_failed, "If-Match", NULL, NULL);
}

/* Later than the change before, whatever the clock says. */
static const char *next_time(struct arena *a, const char *before)
{
    int64_t now = clock_ms(), then = 0;
    char *text = arena_alloc(a, TIME_TEXT_SIZE);
    time_parse(before, &then);
    time_format(now > then ? now : then + 1, text);
    return text;
}

/* The stored metadata with what was given; NULL with a fault. */
static const char *metadata_merge(struct change *c, const struct session_edit *e)
{
    struct arena *a = c->req->arena;
    struct json_fault jf;
    const char *stored = e->metadata_clear ? "{}" : e->old.metadata;
    json_object *all = e->metadata != NULL ? json_parse(a, stored, strlen(stored), 0, &jf) : NULL;
    if (all == NULL)
        return stored;
    json_object_object_foreach(e->metadata, name, value)
    {
        if (value == NULL)
            json_object_object_del(all, name);
        else
            json_object_object_add(all, name, json_object_get(value));
    }
    const char *text =
        arena_strdup(a, json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    if (strlen(text) <= METADATA_MAX)
        return text;
    change_refuse(c, FAULT_INVALID, MSG_too_long, "metadata", "metadata",
                  arena_printf(a, "%d bytes", METADATA_MAX));
    return NULL;
}

static enum db_rc patch_apply(struct change *c)
{
    struct session_edit *e = edit_of(c);
    if (!reopen(c, e))
        return DB_OK;
    const char *metadata = metadata_merge(c, e);
    if (metadata == NULL)
        return DB_OK;
    struct session *now = &e->now, *old = &e->old;
    *now = *old;
    now->label = e->label != NULL ? e->label : old->label;
    now->model = e->model != NULL ? e->model : old->model;
    now->metadata = metadata;
    if (strcmp(now->label, old->label) == 0 && strcmp(now->model, old->model) == 0 &&
        strcmp(now->metadata, old->metadata) == 0)
        return DB_OK;
    now->updated_at = next_time(c->req->arena, old->updated_at);
    c->action = "session.patched";
    return session_update(c->db, now->tenant_id, now->key, now->label, now->model, now->metadata, now->updated_at);
}

static enum db_rc reset_apply(struct change *c)
{
    struct session_edit *e = edit_of(c);
    if (!reopen(c, e))
        return DB_OK;
    c->action = "session.reset";
    return session_reset(c->db, e->old.tenant_id, e->old.key, next_time(c->req->arena, e->old.updated_at));
}

static enum db_rc remove_apply(struct change *c)
{
    struct session_edit *e = edit_of(c);
    if (!reopen(c, e))
        return DB_OK;
    c->action = "session.deleted";
    return session_delete(c->db, e->old.tenant_id, e->old.key);
}

/* ---- answers ---- */

static void patch_render(struct change *c, struct jsonw *w, bool kept)
{
    const struct session_edit *e = edit_of(c);
    (void)kept;
    jw_obj(w);
    session_write(w, &e->now);
    jw_kbool(w, "ok", true);
    jw_obj_end(w);
    reply_header(c->req, "ETag", session_etag(c->req->arena, &e->now));
}

static void ok_render(struct change *c, struct jsonw *w, bool kept)
{
    (void)c;
    (void)kept;
    jw_obj(w);
    jw_kbool(w, "ok", true);
    jw_obj_end(w);
}

/* Who may not see the session does not get as far as the body. */
static reply edit_run(struct request *req, bool (*prepare)(struct change *), enum db_rc (*apply)(struct change *),
                      void (*render)(struct change *, struct jsonw *, bool))
{
    struct session_edit *e = ARENA_NEW(req->arena, struct session_edit);
    struct fault f = {0};
    struct db *db = req_db(req);
    bool found = db != NULL ? session_open(req, db, &e->old, &f)
                            : fault_set(&f, FAULT_UNAVAILABLE, MSG_unavailable, NULL, NULL, NULL);
    req_db_done(req, db);
    if (!found)
        return reply_fault(req, &f);
    e->change = (struct change){.prepare = prepare, .apply = apply, .render = render, .entity = "session"};
    return change_run(req, &e->change);
}

reply session_patch(struct request *req)
{
    return edit_run(req, patch_prepare, patch_apply, patch_render);
}

reply session_reset_post(struct request *req)
{
    return edit_run(req, NULL, reset_apply, ok_render);
}

reply session_remove(struct request *req)
{
    return edit_run(req, NULL, remove_apply, ok_render);
}

/* A long run stores what it has so far: a crash of the process takes little of it (contract 03 §3.2). */
#include "agent/run_parts.h"
#include "base/log.h"

struct flush {
    struct run *run;
    struct session_write session;
};

static enum db_rc flush_job(struct db *db, void *arg)
{
    struct flush *f = arg;
    const struct run *r = f->run;
    *f->session.id = '\0';
    if (record_tenant_gone(db, r))
        return DB_OK;
    return session_append(db, &f->session, r->rows + r->saved, r->row_count - r->saved);
}

/* A session that this run makes can be seen from now on, and others may go on in it: they wait for the run's end. When
 * somebody is in it already, all is stored at the end, as one piece. */
static bool turn_take(struct run *r)
{
    if (!r->turn)
        r->turn = queue_claim(r->engine->queue, r->in->tenant_id, r->session_key);
    return r->turn;
}

static void turn_give(struct run *r)
{
    queue_unclaim(r->engine->queue, r->in->tenant_id, r->session_key);
    r->turn = false;
}

/* The usual key was taken: the session has the long one, which nobody else knows yet. */
static void turn_change(struct run *r, const char *key)
{
    turn_give(r);
    run_use_key(r, key);
    turn_take(r);
}

void record_checkpoint(struct run *r)
{
    if (r->row_count == r->saved || !turn_take(r))
        return;
    struct flush f = {.run = r, .session = record_session(r)};
    enum db_rc rc = writer_run(r->engine->writer, r->engine->db, flush_job, &f);
    bool stored = rc == DB_OK && *f.session.id != '\0';
    if (rc != DB_OK)
        log_event(LOG_WARN, 5109, "run.checkpoint_failed", LOG_S, "run_id", r->id, LOG_I, "rc", (int64_t)rc, LOG_END);
    if (stored) {
        r->saved = r->row_count;
        r->session_id = arena_strdup(r->arena, f.session.id);
        r->key_open = false;
        if (f.session.spared)
            turn_change(r, f.session.spare_key);
    } else if (r->new_session && !r->in->stream && r->saved == 0) {
        turn_give(r); /* nothing of this run is in there, and nobody was told of it */
    }
}

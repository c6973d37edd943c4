/* Runs that another process wants to end: a plain CGI process, an older generation of chat, or the program that
 * deletes sessions can reach a run only through the database (contract 03 §3.3, §6.5). */
#include "agent/engine.h"
#include "store/cancels.h"

static void fire(void *ctx, const char *tenant_id, const char *run_id)
{
    engine_cancel(ctx, tenant_id, run_id, 0);
}

void engine_marks(struct engine *e)
{
    if (!engine_busy(e))
        return;
    struct db *db = engine_db(e);
    if (db)
        cancel_marks_each(db, locks_worker(e->locks), fire, e);
    engine_db_done(e, db);
}

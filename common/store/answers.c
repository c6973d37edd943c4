/* Kept answers of run endpoints: who comes again with the same key gets the same answer. */
#include "store/runs.h"

enum db_rc answer_find(struct db *db, struct arena *a, const char *scope, const char *key, struct kept_answer *out)
{
    SQL(find, "SELECT scope, key, body_hash, run_id, state, status, answer, created_at, worker FROM kept_answers"
              " WHERE scope = ?1 AND key = ?2");
    struct db_stmt *s = db_query(db, &find, "tt", scope, key);
    enum db_rc rc = db_next(s);
    if (rc != DB_ROW)
        return rc;
    *out = (struct kept_answer){
        .scope = db_text(s, 0, a),
        .key = db_text(s, 1, a),
        .body_hash = db_text(s, 2, a),
        .run_id = db_text(s, 3, a),
        .state = db_text(s, 4, a),
        .status = db_int(s, 5),
        .answer = db_text(s, 6, a),
        .created_at = db_text(s, 7, a),
        .worker = db_int(s, 8),
    };
    db_reset(s);
    return DB_ROW;
}

enum db_rc answer_claim(struct db *db, const struct kept_answer *k)
{
    SQL(claim, "INSERT INTO kept_answers (scope, key, body_hash, run_id, state, status, answer, created_at, worker)"
               " VALUES (?1, ?2, ?3, ?4, COALESCE(?5, 'running'), ?6, ?7, ?8, ?9)");
    return db_exec(db, &claim, "tttttitti", k->scope, k->key, k->body_hash, k->run_id, k->state, k->status, k->answer,
                   k->created_at, k->worker);
}

enum db_rc answer_finish(struct db *db, const struct kept_answer *k)
{
    SQL(finish, "INSERT INTO kept_answers (scope, key, body_hash, run_id, state, status, answer, created_at, worker)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
                " ON CONFLICT (scope, key) DO UPDATE SET body_hash = excluded.body_hash, run_id = excluded.run_id,"
                " state = excluded.state, status = excluded.status, answer = excluded.answer,"
                " created_at = excluded.created_at, worker = excluded.worker");
    return db_exec(db, &finish, "tttttitti", k->scope, k->key, k->body_hash, k->run_id, k->state, k->status, k->answer,
                   k->created_at, k->worker);
}

enum db_rc answer_drop(struct db *db, const char *scope, const char *key, const char *run_id)
{
    SQL(drop, "DELETE FROM kept_answers WHERE scope = ?1 AND key = ?2 AND run_id IS ?3");
    return db_exec(db, &drop, "ttt", scope, key, run_id);
}

enum db_rc answers_prune(struct db *db, const char *before, int64_t max, int64_t *count)
{
    SQL(prune, "DELETE FROM kept_answers WHERE rowid IN"
               " (SELECT rowid FROM kept_answers WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)");
    enum db_rc rc = db_exec(db, &prune, "ti", before, max);
    *count = rc == DB_OK ? db_changes(db) : 0;
    return rc;
}

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "store/fresh.h"
#include "store/internal.h"

struct db_stmt {
    struct db *db;
    sqlite3_stmt *st;
    const char *text;
    enum db_rc failed; /* what db_next answers when preparing or binding went wrong */
    bool config;       /* writes what readers may keep a copy of (fresh.h) */
};

struct db {
    sqlite3 *h;
    struct db_stmt **by_slot;
    int slots;
    struct db_stmt broken; /* stands in for a statement that could not be prepared */
    struct fresh *fresh;
    bool preparing_config; /* the statement that is being prepared writes configuration */
    bool config_changed;   /* the open transaction did */
    struct db_late late;
};

static int last_slot;

/* Where there is no connection every statement fails. */
static struct db_stmt no_database = {.text = "", .failed = DB_ERROR};

sqlite3 *db_handle(struct db *db)
{
    return db->h;
}

/* What runs, requests and background work write: nobody keeps a copy of it. */
static bool is_config(const char *table, const char *column)
{
    static const char *const others[] = {"sessions",     "messages",           "tool_call_index", "traces",
                                         "spans",        "usage_hourly",       "kept_answers",    "activity_logs",
                                         "generations",  "agent_monthly_cost", "jobs",            "user_agent_profiles",
                                         "run_cancels"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(table, others[i]) == 0)
            return false;
    return strncmp(table, "sqlite_", 7) != 0 && (!column || strcmp(column, "last_used_at") != 0);
}

/* SQLite names what a statement does while it prepares it. */
static int on_action(void *ctx, int action, const char *table, const char *column, const char *base, const char *trigger)
{
    struct db *db = ctx;
    (void)base;
    (void)trigger;
    bool writes = action == SQLITE_INSERT || action == SQLITE_UPDATE || action == SQLITE_DELETE;
    if (writes && is_config(table, action == SQLITE_UPDATE ? column : NULL))
        db->preparing_config = true;
    return SQLITE_OK;
}

struct db *db_open(const char *path, enum db_mode mode, char *err, size_t errsize)
{
    sqlite3 *h = connect_open(path, mode, err, errsize);
    if (!h)
        return NULL;
    struct db *db = calloc(1, sizeof *db);
    if (!db) {
        sqlite3_close(h);
        snprintf(err, errsize, "out of memory");
        return NULL;
    }
    db->h = h;
    db->broken = (struct db_stmt){.db = db, .text = ""};
    db->fresh = fresh_open(path);
    if (!db->fresh) {
        snprintf(err, errsize, "%s-fresh cannot be opened or made", path);
        db_close(db);
        return NULL;
    }
    sqlite3_set_authorizer(h, on_action, db);
    return db;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    for (int i = 0; i < db->slots; i++) {
        if (!db->by_slot[i])
            continue;
        sqlite3_finalize(db->by_slot[i]->st);
        free(db->by_slot[i]);
    }
    free(db->by_slot);
    sqlite3_close(db->h);
    fresh_close(db->fresh);
    free(db);
}

enum db_rc db_code(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE: return DB_OK;
    case SQLITE_ROW: return DB_ROW;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return DB_BUSY;
    case SQLITE_CONSTRAINT: return DB_CONSTRAINT;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_READONLY: return DB_FULL;
    default: return DB_ERROR;
    }
}

/* Constraint failures are answers, not trouble. */
static enum db_rc failed(struct db *db, const char *text, int rc)
{
    enum db_rc code = db_code(rc);
    int64_t number = rc;
    const char *message = rc == SQLITE_MISUSE ? "values do not match the statement" : sqlite3_errmsg(db->h);
    if (code == DB_BUSY)
        log_event(LOG_WARN, 2001, "db.busy", LOG_S, "sql", text, LOG_I, "code", number, LOG_END);
    else if (code == DB_FULL)
        log_event(LOG_ERROR, 2002, "db.storage", LOG_S, "sql", text, LOG_S, "message", message, LOG_I, "code", number,
                  LOG_END);
    else if (code == DB_ERROR)
        log_event(LOG_ERROR, 2003, "db.error", LOG_S, "sql", text, LOG_S, "message", message, LOG_I, "code", number,
                  LOG_END);
    return code;
}

static int slot_of(struct sql *sql)
{
    int slot = __atomic_load_n(&sql->slot, __ATOMIC_ACQUIRE);
    if (slot)
        return slot;
    int mine = __atomic_add_fetch(&last_slot, 1, __ATOMIC_RELAXED);
    if (__atomic_compare_exchange_n(&sql->slot, &slot, mine, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return mine;
    return slot; /* another thread was first; number `mine` stays unused */
}

static bool slots_grow(struct db *db, int slot)
{
    int want = db->slots ? db->slots : 32;
    while (want < slot)
        want *= 2;
    struct db_stmt **p = reallocarray(db->by_slot, (size_t)want, sizeof *p);
    if (!p)
        return false;
    memset(p + db->slots, 0, (size_t)(want - db->slots) * sizeof *p);
    db->by_slot = p;
    db->slots = want;
    return true;
}

static struct db_stmt *broken(struct db *db, enum db_rc rc)
{
    db->broken.failed = rc;
    return &db->broken;
}

/* One that cannot be used says why in `failed`. */
static struct db_stmt *prepare(struct db *db, struct sql *sql)
{
    if (!db)
        return &no_database;
    int slot = slot_of(sql);
    if (slot > db->slots && !slots_grow(db, slot))
        return broken(db, DB_ERROR);
    struct db_stmt **place = &db->by_slot[slot - 1];
    if (*place)
        return *place;
    struct db_stmt *s = calloc(1, sizeof *s);
    if (!s)
        return broken(db, DB_ERROR);
    db->preparing_config = false;
    int rc = sqlite3_prepare_v3(db->h, sql->text, -1, SQLITE_PREPARE_PERSISTENT, &s->st, NULL);
    if (rc != SQLITE_OK) {
        free(s);
        return broken(db, failed(db, sql->text, rc));
    }
    s->db = db;
    s->text = sql->text;
    s->config = db->preparing_config;
    return *place = s;
}

static int bind_null_or_int(sqlite3_stmt *st, int i, const int64_t *p)
{
    return p ? sqlite3_bind_int64(st, i, *p) : sqlite3_bind_null(st, i);
}

/* Returns SQLITE_MISUSE when the letters do not match the statement: old bindings would be used again. */
static int bind(sqlite3_stmt *st, const char *types, va_list ap)
{
    int rc = SQLITE_OK;
    int i = 0;
    for (; types[i] && rc == SQLITE_OK; i++) {
        const void *blob;
        switch (types[i]) {
        case 't': rc = sqlite3_bind_text(st, i + 1, va_arg(ap, const char *), -1, SQLITE_STATIC); break;
        case 'i': rc = sqlite3_bind_int64(st, i + 1, va_arg(ap, int64_t)); break;
        case 'd': rc = sqlite3_bind_double(st, i + 1, va_arg(ap, double)); break;
        case 'b': rc = sqlite3_bind_int(st, i + 1, va_arg(ap, int) != 0); break;
        case 'n': rc = bind_null_or_int(st, i + 1, va_arg(ap, const int64_t *)); break;
        case 'x':
            blob = va_arg(ap, const void *);
            rc = sqlite3_bind_blob64(st, i + 1, blob, va_arg(ap, size_t), SQLITE_STATIC);
            break;
        default: rc = SQLITE_MISUSE;
        }
    }
    if (rc == SQLITE_OK && i != sqlite3_bind_parameter_count(st))
        rc = SQLITE_MISUSE;
    return rc;
}

static struct db_stmt *query(struct db *db, struct sql *sql, const char *types, va_list ap)
{
    struct db_stmt *s = prepare(db, sql);
    if (!s->st)
        return s;
    sqlite3_reset(s->st);
    int rc = bind(s->st, types, ap);
    s->failed = rc == SQLITE_OK ? DB_OK : failed(db, sql->text, rc);
    return s;
}

struct db_stmt *db_query(struct db *db, struct sql *sql, const char *types, ...)
{
    va_list ap;
    va_start(ap, types);
    struct db_stmt *s = query(db, sql, types, ap);
    va_end(ap);
    return s;
}

static int bind_value(sqlite3_stmt *st, int i, const struct db_value *v)
{
    switch (v->type) {
    case DB_TEXT: return sqlite3_bind_text(st, i, v->text, -1, SQLITE_STATIC);
    case DB_INT: return sqlite3_bind_int64(st, i, v->n);
    case DB_NUM: return sqlite3_bind_double(st, i, v->d);
    default: return sqlite3_bind_null(st, i);
    }
}

struct db_stmt *db_query_values(struct db *db, struct sql *sql, const struct db_value *values, size_t count)
{
    struct db_stmt *s = prepare(db, sql);
    if (!s->st)
        return s;
    sqlite3_reset(s->st);
    int wanted = sqlite3_bind_parameter_count(s->st);
    int rc = (size_t)wanted <= count ? SQLITE_OK : SQLITE_MISUSE;
    for (int i = 0; i < wanted && rc == SQLITE_OK; i++)
        rc = bind_value(s->st, i + 1, &values[i]);
    s->failed = rc == SQLITE_OK ? DB_OK : failed(db, sql->text, rc);
    return s;
}

/* The change is committed, or given up. */
static void config_told(struct db *db)
{
    db->config_changed = false;
    fresh_raise(db->fresh);
}

/* A statement outside a transaction is committed when it ends. */
static void config_settle(struct db_stmt *s)
{
    if (s->config && s->db->config_changed && sqlite3_get_autocommit(s->db->h))
        config_told(s->db);
}

enum db_rc db_next(struct db_stmt *s)
{
    if (s->failed != DB_OK)
        return s->failed;
    if (s->config) {
        s->db->config_changed = true;
        fresh_raise(s->db->fresh);
    }
    int rc = sqlite3_step(s->st);
    if (rc == SQLITE_ROW)
        return DB_ROW;
    config_settle(s);
    enum db_rc code = rc == SQLITE_DONE ? DB_OK : failed(s->db, s->text, rc);
    sqlite3_reset(s->st);
    return code;
}

void db_reset(struct db_stmt *s)
{
    if (!s->st)
        return;
    sqlite3_reset(s->st);
    config_settle(s);
}

void db_reset_all(struct db *db)
{
    for (int i = 0; i < db->slots; i++)
        if (db->by_slot[i])
            sqlite3_reset(db->by_slot[i]->st);
}

static enum db_rc run_once(struct db_stmt *s)
{
    enum db_rc rc = db_next(s);
    if (rc != DB_ROW)
        return rc;
    db_reset(s);
    return DB_OK;
}

enum db_rc db_exec(struct db *db, struct sql *sql, const char *types, ...)
{
    va_list ap;
    va_start(ap, types);
    struct db_stmt *s = query(db, sql, types, ap);
    va_end(ap);
    return run_once(s);
}

const char *db_peek(struct db_stmt *s, int col, size_t *len)
{
    const char *p = (const char *)sqlite3_column_text(s->st, col);
    if (len)
        *len = p ? (size_t)sqlite3_column_bytes(s->st, col) : 0;
    return p;
}

const char *db_text(struct db_stmt *s, int col, struct arena *a)
{
    size_t n;
    const char *p = db_peek(s, col, &n);
    return p ? arena_strndup(a, p, n) : NULL;
}

int64_t db_int(struct db_stmt *s, int col)
{
    return sqlite3_column_int64(s->st, col);
}

double db_num(struct db_stmt *s, int col)
{
    return sqlite3_column_double(s->st, col);
}

bool db_is_null(struct db_stmt *s, int col)
{
    return sqlite3_column_type(s->st, col) == SQLITE_NULL;
}

enum db_rc db_begin(struct db *db)
{
    SQL(begin, "BEGIN IMMEDIATE");
    enum db_rc rc = db_exec(db, &begin, "");
    if (rc == DB_OK)
        connect_lock_came();
    return rc;
}

struct db_late *db_late(struct db *db)
{
    return sqlite3_get_autocommit(db->h) ? NULL : &db->late;
}

static void late_forget(struct db *db)
{
    if (db->late.state)
        db->late.forget(db->late.state);
    db->late.state = NULL;
}

enum db_rc db_commit(struct db *db)
{
    SQL(commit, "COMMIT");
    /* SQLite ends a transaction itself when the disk is full; what came after it was committed alone, so the
     * caller must hear that its transaction is not there. */
    if (sqlite3_get_autocommit(db->h)) {
        log_event(LOG_ERROR, 2004, "db.no_transaction", LOG_END);
        db_rollback(db); /* of what was put off */
        return DB_FULL;
    }
    enum db_rc rc = db->late.state ? db->late.flush(db, db->late.state) : DB_OK;
    if (rc == DB_OK)
        rc = db_exec(db, &commit, "");
    if (rc != DB_OK) {
        db_rollback(db);
        return rc;
    }
    late_forget(db);
    if (db->config_changed)
        config_told(db);
    return DB_OK;
}

void db_rollback(struct db *db)
{
    SQL(rollback, "ROLLBACK");
    if (!sqlite3_get_autocommit(db->h))
        db_exec(db, &rollback, "");
    late_forget(db);
    if (db->config_changed)
        config_told(db);
}

int64_t db_changes(struct db *db)
{
    return sqlite3_changes64(db->h);
}

bool db_ping(struct db *db)
{
    SQL(one, "SELECT 1");
    return db_exec(db, &one, "") == DB_OK;
}

void db_hurry(struct db *db, bool hurry)
{
    connect_hurry(db->h, hurry);
}

bool db_writable(struct db *db)
{
    db_hurry(db, true);
    bool yes = db_begin(db) == DB_OK;
    if (yes)
        db_rollback(db);
    db_hurry(db, false);
    return yes;
}

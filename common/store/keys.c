#include "store/keys.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/jsonw.h"

enum { TOUCH_EVERY_MS = 60 * 1000 };

enum db_rc key_find(struct db *db, struct arena *a, const char *hash, struct api_key *out)
{
    SQL(find, "SELECT id, name, tenant_id, owner_id, scopes, last_used_at, expires_at FROM api_keys"
              " WHERE key_hash = ?1 AND revoked = 0 AND (expires_at IS NULL OR expires_at > ?2)");
    char now[TIME_TEXT_SIZE];
    time_format(clock_ms(), now);
    struct db_stmt *s = db_query(db, &find, "tt", hash, now);
    enum db_rc rc = db_next(s);
    if (rc != DB_ROW)
        return rc;
    *out = (struct api_key){
        .id = db_text(s, 0, a),
        .name = db_text(s, 1, a),
        .tenant_id = db_text(s, 2, a),
        .owner_id = db_text(s, 3, a),
        .scopes = db_text(s, 4, a),
        .last_used_at = db_text(s, 5, a),
        .expires_at = db_text(s, 6, a),
    };
    db_reset(s);
    return DB_ROW;
}

bool key_has_expired(const struct api_key *key)
{
    char now[TIME_TEXT_SIZE];
    if (!key->expires_at)
        return false;
    time_format(clock_ms(), now);
    return strcmp(key->expires_at, now) <= 0;
}

enum db_rc key_touch(struct db *db, const char *id)
{
    SQL(touch, "UPDATE api_keys SET last_used_at = ?2 WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at <= ?3)");
    char now[TIME_TEXT_SIZE], recent[TIME_TEXT_SIZE];
    int64_t ms = clock_ms();
    time_format(ms, now);
    time_format(ms - TOUCH_EVERY_MS, recent);
    return db_exec(db, &touch, "ttt", id, now, recent);
}

/* ---- scopes ---- */

static const char *const scope_names[] = {"operator.admin", "operator.write", "operator.approvals", "operator.pairing",
                                          "operator.read"};
enum { SCOPES = sizeof scope_names / sizeof *scope_names };

/* Which of them the word is, with or without its prefix; SCOPES = none. */
static size_t scope_number(const char *word)
{
    size_t i = 0;
    while (i < SCOPES && strcmp(word, scope_names[i]) != 0 && strcmp(word, scope_names[i] + strlen("operator.")) != 0)
        i++;
    return i;
}

const char *key_scopes(struct arena *a, const char *words, const char **unknown)
{
    bool taken[SCOPES] = {false};
    struct buf *b = buf_new(a, 4096);
    struct jsonw w;
    size_t count = 0;
    *unknown = NULL;
    jw_init(&w, b);
    jw_arr(&w);
    for (size_t n; *words != '\0'; words += n + (words[n] != '\0')) {
        n = strcspn(words, ", ");
        const char *word = arena_strndup(a, words, n);
        size_t i = n > 0 ? scope_number(word) : SCOPES;
        if (n > 0 && i == SCOPES) {
            *unknown = word;
            return NULL;
        }
        if (n == 0 || taken[i])
            continue;
        jw_str(&w, scope_names[i]);
        taken[i] = true;
        count++;
    }
    jw_arr_end(&w);
    return count > 0 ? buf_str(b) : NULL;
}

/* ---- a new key ---- */

static const char key_prefix[] = "goclaw_";

void key_make(struct api_key_text *out)
{
    unsigned char secret[16];
    char hex[2 * sizeof secret + 1];
    random_bytes(secret, sizeof secret);
    hex_encode(secret, sizeof secret, hex);
    snprintf(out->text, sizeof out->text, "%s%s", key_prefix, hex);
    snprintf(out->prefix, sizeof out->prefix, "%.8s", hex);
    sha256_hex(out->text, API_KEY_SIZE - 1, out->hash);
}

enum db_rc key_create(struct db *db, struct arena *a, const char *name, const char *scopes, const char *tenant_id,
                      const char *owner_id, const char *created_by, const char *expires_at, char text[API_KEY_SIZE],
                      const char **id)
{
    SQL(insert, "INSERT INTO api_keys (id, tenant_id, name, prefix, key_hash, scopes, owner_id, created_by, expires_at,"
                " created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10)");
    struct api_key_text key;
    char now[TIME_TEXT_SIZE];
    key_make(&key);
    memcpy(text, key.text, sizeof key.text);
    time_format(clock_ms(), now);
    char *fresh = arena_alloc(a, UUID_SIZE);
    uuid_new(fresh);
    *id = fresh;
    return db_exec(db, &insert, "tttttttttt", fresh, tenant_id, name, key.prefix, key.hash, scopes, owner_id,
                   created_by, expires_at, now);
}

enum db_rc key_revoke(struct db *db, const char *id)
{
    SQL(revoke, "UPDATE api_keys SET revoked = 1, updated_at = ?2 WHERE id = ?1 AND revoked = 0");
    char now[TIME_TEXT_SIZE];
    time_format(clock_ms(), now);
    return db_exec(db, &revoke, "tt", id, now);
}

enum db_rc key_look(struct db *db, const char *id, const char *tenant_id, bool *revoked)
{
    SQL(look, "SELECT revoked FROM api_keys WHERE id = ?1 AND (?2 IS NULL OR tenant_id = ?2)");
    struct db_stmt *s = db_query(db, &look, "tt", id, tenant_id);
    enum db_rc rc = db_next(s);
    if (rc == DB_ROW)
        *revoked = db_int(s, 0) != 0;
    db_reset(s);
    return rc;
}

enum db_rc key_each(struct db *db, void (*each)(void *ctx, const struct key_line *k), void *ctx)
{
    SQL(all, "SELECT k.id, k.name, k.prefix, k.scopes, t.slug, k.owner_id, k.expires_at, k.revoked"
             " FROM api_keys k LEFT JOIN tenants t ON t.id = k.tenant_id ORDER BY k.created_at DESC, k.id DESC");
    struct db_stmt *s = db_query(db, &all, "");
    enum db_rc rc;
    while ((rc = db_next(s)) == DB_ROW)
        each(ctx, &(struct key_line){
                      .id = db_peek(s, 0, NULL),
                      .name = db_peek(s, 1, NULL),
                      .prefix = db_peek(s, 2, NULL),
                      .scopes = db_peek(s, 3, NULL),
                      .tenant = db_peek(s, 4, NULL),
                      .owner_id = db_peek(s, 5, NULL),
                      .expires_at = db_peek(s, 6, NULL),
                      .revoked = db_int(s, 7) != 0,
                  });
    return rc;
}

static enum db_rc tenant_row(struct db_stmt *s, struct arena *a, struct tenant *out)
{
    enum db_rc rc = db_next(s);
    if (rc != DB_ROW)
        return rc;
    *out = (struct tenant){
        .id = db_text(s, 0, a),
        .slug = db_text(s, 1, a),
        .name = db_text(s, 2, a),
        .status = db_text(s, 3, a),
    };
    db_reset(s);
    return DB_ROW;
}

enum db_rc tenant_by_id(struct db *db, struct arena *a, const char *id, struct tenant *out)
{
    SQL(by_id, "SELECT id, slug, name, status FROM tenants WHERE id = ?1");
    return tenant_row(db_query(db, &by_id, "t", id), a, out);
}

enum db_rc tenant_find(struct db *db, struct arena *a, const char *id_or_slug, struct tenant *out)
{
    SQL(by_slug, "SELECT id, slug, name, status FROM tenants WHERE slug = ?1");
    char id[UUID_SIZE];
    if (uuid_parse(id_or_slug, id))
        return tenant_by_id(db, a, id, out);
    return tenant_row(db_query(db, &by_slug, "t", id_or_slug), a, out);
}

enum db_rc tenant_member(struct db *db, const char *tenant_id, const char *user_id)
{
    SQL(member, "SELECT 1 FROM tenant_users WHERE tenant_id = ?1 AND user_id = ?2");
    struct db_stmt *s = db_query(db, &member, "tt", tenant_id, user_id);
    enum db_rc rc = db_next(s);
    db_reset(s);
    return rc;
}

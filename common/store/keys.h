/* API keys and tenants as authentication needs them (contract 01 §1.4, §5, §7). */
#ifndef CLAWGATE_STORE_KEYS_H
#define CLAWGATE_STORE_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "store/db.h"

struct api_key {
    const char *id, *name, *tenant_id; /* tenant_id NULL = system level */
    const char *owner_id;              /* NULL when not bound */
    const char *scopes;                /* JSON array as text */
    const char *last_used_at;          /* NULL when never */
    const char *expires_at;            /* NULL = never */
};
/* A live key by the SHA-256 (hex) of its text. DB_ROW found, DB_OK not. */
enum db_rc key_find(struct db *db, struct arena *a, const char *hash, struct api_key *out);
/* For keys that were found a while ago. */
bool key_has_expired(const struct api_key *key);
/* Notes the use; at most once a minute per key (the caller looks at last_used_at). */
enum db_rc key_touch(struct db *db, const char *id);
/* Scopes as people write them ("read,operator.write") as the JSON array a key keeps: with their prefix, each once. NULL
 * when none is named, or one that is unknown: *unknown is that one, else NULL. */
const char *key_scopes(struct arena *a, const char *words, const char **unknown);
/* Creates a key. text gets the 39 characters, shown once. scopes: JSON array text. expires_at may be NULL. */
enum { API_KEY_SIZE = 40, API_KEY_PREFIX_SIZE = 9, API_KEY_HASH_SIZE = 65 };
struct api_key_text {
    char text[API_KEY_SIZE], prefix[API_KEY_PREFIX_SIZE], hash[API_KEY_HASH_SIZE];
};
/* A new key and what is stored of it. */
void key_make(struct api_key_text *out);
enum db_rc key_create(struct db *db, struct arena *a, const char *name, const char *scopes, const char *tenant_id,
                      const char *owner_id, const char *created_by, const char *expires_at, char text[API_KEY_SIZE],
                      const char **id);
enum db_rc key_revoke(struct db *db, const char *id);
/* A key by id, whatever its state. tenant_id NULL: any key, system-level ones included. DB_ROW found, DB_OK not. */
enum db_rc key_look(struct db *db, const char *id, const char *tenant_id, bool *revoked);

struct key_line {
    const char *id, *name, *prefix, *scopes, *tenant, *owner_id, *expires_at; /* tenant: slug; NULL where unset */
    bool revoked;
};
/* Calls each for every key, newest first; text lives until it returns. */
enum db_rc key_each(struct db *db, void (*each)(void *ctx, const struct key_line *k), void *ctx);

struct tenant {
    const char *id, *slug, *name, *status;
};
/* By UUID, else by slug. DB_ROW found, DB_OK not. */
enum db_rc tenant_find(struct db *db, struct arena *a, const char *id_or_slug, struct tenant *out);
enum db_rc tenant_by_id(struct db *db, struct arena *a, const char *id, struct tenant *out);
/* DB_ROW when the user has a membership row. */
enum db_rc tenant_member(struct db *db, const char *tenant_id, const char *user_id);

#endif

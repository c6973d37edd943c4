/* Every stored secret, whichever table it is in. A table that gets an encrypted column gets a row in secrets.c, so
 * that the key can be changed. */
#ifndef CLAWGATE_STORE_SECRETS_H
#define CLAWGATE_STORE_SECRETS_H

#include <stdint.h>

#include "base/crypto.h"
#include "store/db.h"

enum secret_state {
    SECRET_CURRENT, /* encrypted with the primary key */
    SECRET_OLD,     /* with another key that is at hand */
    SECRET_PLAIN,   /* not encrypted */
    SECRET_LOST,    /* no key fits */
    SECRET_STATES
};

struct secrets_count {
    const char *table, *column;
    int64_t n[SECRET_STATES];
};
enum { SECRET_COLUMNS = 4 };

/* Looks at every secret; counts gets a row a column. lost (may be NULL) is told of each value no key fits. */
enum db_rc secrets_count(struct db *db, const struct crypto_keys *keys, struct secrets_count counts[SECRET_COLUMNS],
                         void (*lost)(void *ctx, const char *table, const char *column, const char *id), void *ctx);
/* The same, and whatever is old or plain is encrypted with the primary key, in one transaction: all of them or none.
 * counts tells what was found. Rows otherwise stay as they are, their time of change included. */
enum db_rc secrets_rewrite(struct db *db, const struct crypto_keys *keys, struct secrets_count counts[SECRET_COLUMNS],
                           void (*lost)(void *ctx, const char *table, const char *column, const char *id), void *ctx);

#endif

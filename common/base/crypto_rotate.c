/* The key file while its key is being changed. It is replaced in one step each time: [old], [new, old], [new]. A
 * reader finds one of these, and a second line tells that somebody was interrupted. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/file.h>

#include "base/crypto_inner.h"
#include "base/id.h"

static bool lock_take(struct crypto_rotation *r, const char *data_dir, char *err, size_t errsize)
{
    r->lock = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->lock >= 0 && flock(r->lock, LOCK_EX | LOCK_NB) == 0)
        return true;
    snprintf(err, errsize, "%s: %s", data_dir,
             errno == EWOULDBLOCK ? "the key is being changed by another process" : strerror(errno));
    return false;
}

static void lock_drop(struct crypto_rotation *r)
{
    if (r->lock >= 0)
        close(r->lock);
    r->lock = -1;
}

/* Makes the file begin with the new key; out gets what it then holds. */
static bool file_begin(struct crypto_rotation *r, const char *data_dir, struct key_file *out, char *err, size_t errsize)
{
    if (key_file_read(data_dir, out, err, errsize) != KEY_FILE_FOUND)
        return false;
    r->resumed = out->count == 2;
    if (r->resumed)
        return true;
    memcpy(out->key[1], out->key[0], sizeof out->key[1]);
    random_bytes(out->key[0], sizeof out->key[0]);
    out->count = 2;
    return key_file_replace(data_dir, out, err, errsize);
}

bool crypto_rotation_begin(struct crypto_rotation *r, const struct crypto_keys *loaded, char *err, size_t errsize)
{
    struct key_file file;
    *r = (struct crypto_rotation){.keys = *loaded, .lock = -1};
    bool ok = lock_take(r, loaded->data_dir, err, errsize);
    if (ok && !loaded->from_env && (ok = file_begin(r, loaded->data_dir, &file, err, errsize))) {
        memcpy(r->keys.primary, file.key[0], sizeof r->keys.primary);
        memcpy(r->keys.secondary, file.key[1], sizeof r->keys.secondary);
        r->keys.has_secondary = true;
    }
    OPENSSL_cleanse(&file, sizeof file);
    if (!ok)
        lock_drop(r);
    return ok;
}

bool crypto_rotation_end(struct crypto_rotation *r, bool done, char *err, size_t errsize)
{
    struct key_file file = {.count = 1};
    bool ok = true;
    memcpy(file.key[0], r->keys.primary, sizeof file.key[0]);
    if (done && !r->keys.from_env)
        ok = key_file_replace(r->keys.data_dir, &file, err, errsize);
    OPENSSL_cleanse(&file, sizeof file);
    lock_drop(r);
    return ok;
}

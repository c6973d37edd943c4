/* Where the keys for data at rest come from (contract 01 §11). */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>

#include "base/crypto_inner.h"
#include "base/id.h"
#include "base/log.h"

enum { PATH_SIZE = 4096, KEY_HEX = 64, FILE_MAX = 2 * (KEY_HEX + 1) };

static bool key_path(const char *data_dir, const char *end, char path[PATH_SIZE], char *err, size_t errsize)
{
    int len = snprintf(path, PATH_SIZE, "%s/encryption.key%s", data_dir, end);
    if (len > 0 && len < PATH_SIZE)
        return true;
    snprintf(err, errsize, "data_dir: path too long");
    return false;
}

/* ---- reading ---- */

/* One key in any of its forms, or two lines. */
static bool key_file_parse(char *text, struct key_file *out)
{
    out->count = 1;
    if (crypto_key_parse(text, out->key[0]))
        return true;
    char *second = strchr(text, '\n');
    if (!second)
        return false;
    *second++ = '\0';
    out->count = 2;
    return crypto_key_parse(text, out->key[0]) && crypto_key_parse(second, out->key[1]);
}

enum key_file_state key_file_read(const char *data_dir, struct key_file *out, char *err, size_t errsize)
{
    char path[PATH_SIZE], text[FILE_MAX + 2];
    *out = (struct key_file){.count = 0};
    if (!key_path(data_dir, "", path, err, errsize))
        return KEY_FILE_UNUSABLE;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        snprintf(err, errsize, "%s: there is no such file", path);
        return KEY_FILE_MISSING;
    }
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    int why = errno;
    if (fd >= 0)
        close(fd);
    if (n < 0) {
        snprintf(err, errsize, "%s: %s", path, strerror(why));
        return KEY_FILE_UNUSABLE;
    }
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    text[n] = '\0';
    bool ok = key_file_parse(text, out);
    OPENSSL_cleanse(text, sizeof text);
    if (!ok)
        snprintf(err, errsize, "%s: not an encryption key (64 hex digits)", path);
    return ok ? KEY_FILE_FOUND : KEY_FILE_UNUSABLE;
}

/* ---- writing ---- */

static bool write_durably(int fd, const char *text, size_t n)
{
    return write(fd, text, n) == (ssize_t)n && fsync(fd) == 0;
}

static bool dir_sync(const char *data_dir)
{
    int dir = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = dir >= 0 && fsync(dir) == 0;
    if (dir >= 0)
        close(dir);
    return ok;
}

static size_t key_file_text(const struct key_file *keys, char text[static FILE_MAX + 1])
{
    size_t n = 0;
    for (int i = 0; i < keys->count; i++) {
        hex_encode(keys->key[i], sizeof keys->key[i], text + n);
        n += KEY_HEX;
        text[n++] = '\n';
    }
    return n;
}

/* A complete file under another name, then link(2): whoever comes second finds the first one's key. */
static bool key_file_create(const char *data_dir, const char *path)
{
    char temp[PATH_SIZE], text[FILE_MAX + 1];
    struct key_file keys = {.count = 1};
    int len = snprintf(temp, sizeof temp, "%s/encryption.key.XXXXXX", data_dir);
    if (len < 0 || len >= (int)sizeof temp) {
        errno = ENAMETOOLONG;
        return false;
    }
    int fd = mkstemp(temp);
    if (fd < 0)
        return false;
    random_bytes(keys.key[0], sizeof keys.key[0]);
    size_t n = key_file_text(&keys, text);
    bool ok = write_durably(fd, text, n) && (link(temp, path) == 0 || errno == EEXIST);
    int why = errno;
    OPENSSL_cleanse(&keys, sizeof keys);
    OPENSSL_cleanse(text, sizeof text);
    close(fd);
    unlink(temp);
    dir_sync(data_dir);
    errno = why;
    return ok;
}

/* Whoever could read the old file can read the new one, though root may be making it. */
static bool own_as(int fd, const char *path)
{
    struct stat st;
    return geteuid() != 0 || (stat(path, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) == 0);
}

bool key_file_replace(const char *data_dir, const struct key_file *keys, char *err, size_t errsize)
{
    char path[PATH_SIZE], temp[PATH_SIZE], text[FILE_MAX + 1];
    if (!key_path(data_dir, "", path, err, errsize) || !key_path(data_dir, ".new", temp, err, errsize))
        return false;
    size_t n = key_file_text(keys, text);
    unlink(temp);
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && own_as(fd, path) && write_durably(fd, text, n);
    ok = ok && rename(temp, path) == 0 && dir_sync(data_dir);
    if (!ok)
        snprintf(err, errsize, "%s: cannot be written: %s", path, strerror(errno));
    OPENSSL_cleanse(text, sizeof text);
    if (fd >= 0)
        close(fd);
    if (!ok)
        unlink(temp);
    return ok;
}

/* ---- loading ---- */

static void mode_check(const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && (st.st_mode & 077) != 0)
        log_event(LOG_WARN, 1105, "crypto.key_file_open_to_others", LOG_S, "path", path, LOG_END);
}

/* The key of the environment, if there is one, stands before those of the file. */
static void keys_set(struct crypto_keys *k, const struct key_file *file)
{
    if (!k->from_env)
        memcpy(k->primary, file->key[0], sizeof k->primary);
    int second = k->from_env ? 0 : 1;
    k->has_secondary = file->count > second;
    if (k->has_secondary)
        memcpy(k->secondary, file->key[second], sizeof k->secondary);
}

bool crypto_keys_load(struct crypto_keys *k, const char *env_key, const char *data_dir, char *err, size_t errsize)
{
    char path[PATH_SIZE];
    struct key_file file;
    *k = (struct crypto_keys){.data_dir = data_dir, .from_env = env_key && *env_key};
    if (k->from_env && !crypto_key_parse(env_key, k->primary)) {
        snprintf(err, errsize, "GOCLAW_ENCRYPTION_KEY: must be 64 hex digits, 44 base64 characters or 32 bytes");
        return false;
    }
    if (!key_path(data_dir, "", path, err, errsize))
        return false;
    enum key_file_state state = key_file_read(data_dir, &file, err, errsize);
    if (state == KEY_FILE_MISSING && !k->from_env) {
        if (!key_file_create(data_dir, path)) {
            snprintf(err, errsize, "%s: cannot create: %s", path, strerror(errno));
            return false;
        }
        log_event(LOG_WARN, 1104, "crypto.key_created", LOG_S, "path", path, LOG_END);
        state = key_file_read(data_dir, &file, err, errsize);
    }
    if (state == KEY_FILE_FOUND) {
        mode_check(path);
        keys_set(k, &file);
    }
    OPENSSL_cleanse(&file, sizeof file);
    return state == KEY_FILE_FOUND || (state == KEY_FILE_MISSING && k->from_env);
}

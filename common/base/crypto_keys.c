/* Where the keys for data at rest come from (contract 01 §11). */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>

#include "base/crypto.h"
#include "base/id.h"
#include "base/log.h"

enum { PATH_SIZE = 4096 };
enum found { FOUND, MISSING, UNUSABLE };

static enum found key_file_read(const char *path, unsigned char key[32], char *err, size_t errsize)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return MISSING;
    struct stat st;
    char text[128];
    ssize_t n = -1;
    if (fd >= 0 && fstat(fd, &st) == 0)
        n = read(fd, text, sizeof text - 1);
    int why = errno;
    if (fd >= 0)
        close(fd);
    if (n < 0) {
        snprintf(err, errsize, "%s: %s", path, strerror(why));
        return UNUSABLE;
    }
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    text[n] = 0;
    bool ok = crypto_key_parse(text, key);
    OPENSSL_cleanse(text, sizeof text);
    if (!ok) {
        snprintf(err, errsize, "%s: not an encryption key (64 hex digits)", path);
        return UNUSABLE;
    }
    if (st.st_mode & 077)
        log_event(LOG_WARN, 1105, "crypto.key_file_open_to_others", LOG_S, "path", path, LOG_END);
    return FOUND;
}

static bool write_durably(int fd, const char *text, size_t n)
{
    return write(fd, text, n) == (ssize_t)n && fsync(fd) == 0;
}

/* A complete file under another name, then link(2): whoever comes second finds the first one's key. */
static bool key_file_create(const char *data_dir, const char *path)
{
    char temp[PATH_SIZE], text[66];
    unsigned char key[32];
    int len = snprintf(temp, sizeof temp, "%s/encryption.key.XXXXXX", data_dir);
    if (len < 0 || len >= (int)sizeof temp) {
        errno = ENAMETOOLONG;
        return false;
    }
    int fd = mkstemp(temp);
    if (fd < 0)
        return false;
    random_bytes(key, sizeof key);
    hex_encode(key, sizeof key, text);
    text[64] = '\n';
    bool ok = write_durably(fd, text, 65) && (link(temp, path) == 0 || errno == EEXIST);
    int why = errno;
    OPENSSL_cleanse(key, sizeof key);
    OPENSSL_cleanse(text, sizeof text);
    close(fd);
    unlink(temp);
    int dir = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0) {
        fsync(dir);
        close(dir);
    }
    errno = why;
    return ok;
}

bool crypto_keys_load(struct crypto_keys *k, const char *env_key, const char *data_dir, char *err, size_t errsize)
{
    *k = (struct crypto_keys){0};
    bool from_env = env_key && *env_key;
    if (from_env && !crypto_key_parse(env_key, k->primary)) {
        snprintf(err, errsize, "GOCLAW_ENCRYPTION_KEY: must be 64 hex digits, 44 base64 characters or 32 bytes");
        return false;
    }
    char path[PATH_SIZE];
    int len = snprintf(path, sizeof path, "%s/encryption.key", data_dir);
    if (len < 0 || len >= (int)sizeof path) {
        snprintf(err, errsize, "data_dir: path too long");
        return false;
    }
    enum found found = key_file_read(path, from_env ? k->secondary : k->primary, err, errsize);
    if (found == UNUSABLE)
        return false;
    k->has_secondary = from_env && found == FOUND;
    if (from_env || found == FOUND)
        return true;

    if (!key_file_create(data_dir, path)) {
        snprintf(err, errsize, "%s: cannot create: %s", path, strerror(errno));
        return false;
    }
    log_event(LOG_WARN, 1104, "crypto.key_created", LOG_S, "path", path, LOG_END);
    found = key_file_read(path, k->primary, err, errsize);
    if (found == MISSING)
        snprintf(err, errsize, "%s: vanished", path);
    return found == FOUND;
}

#include "base/crypto_inner.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/log.h"

enum { NONCE_SIZE = 12, TAG_SIZE = 16, KEY_SIZE = 32, PLAIN_MAX = 16 << 20 };

static const char prefix[] = "aes-gcm:";
enum { PREFIX_LEN = sizeof prefix - 1 };

/* Looked up once: a look-up takes locks that all threads share. Digests have one context a thread; a cipher's
 * context goes after each use, because it holds the key. */
static struct {
    pthread_once_t once;
    pthread_key_t context; /* EVP_MD_CTX of the thread */
    EVP_MD *sha256;
    EVP_CIPHER *aes_gcm;
} found = {.once = PTHREAD_ONCE_INIT};

static _Noreturn void digest_failed(void)
{
    log_event(LOG_ERROR, 1003, "crypto.digest_failed", LOG_END);
    abort();
}

static void free_context(void *ctx)
{
    EVP_MD_CTX_free(ctx);
}

static void find_algorithms(void)
{
    found.sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
    found.aes_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    if (!found.sha256 || !found.aes_gcm || pthread_key_create(&found.context, free_context) != 0)
        digest_failed();
}

static EVP_MD_CTX *digest_context(void)
{
    pthread_once(&found.once, find_algorithms);
    EVP_MD_CTX *ctx = pthread_getspecific(found.context);
    if (ctx)
        return ctx;
    ctx = EVP_MD_CTX_new();
    if (!ctx || pthread_setspecific(found.context, ctx) != 0)
        digest_failed();
    return ctx;
}

static const EVP_CIPHER *cipher(void)
{
    pthread_once(&found.once, find_algorithms);
    return found.aes_gcm;
}

void sha256(const void *p, size_t n, unsigned char out[SHA256_SIZE])
{
    /* Fails only without memory; going on with an unset digest could let a wrong secret pass. */
    EVP_MD_CTX *ctx = digest_context();
    if (EVP_DigestInit_ex2(ctx, found.sha256, NULL) != 1 || EVP_DigestUpdate(ctx, n ? p : "", n) != 1 ||
        EVP_DigestFinal_ex(ctx, out, NULL) != 1)
        digest_failed();
}

void sha256_hex(const void *p, size_t n, char out[SHA256_HEX_SIZE])
{
    unsigned char digest[SHA256_SIZE];
    sha256(p, n, digest);
    hex_encode(digest, sizeof digest, out);
}

bool digest_equal(const unsigned char *a, const unsigned char *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

bool secret_equal(const char *a, const char *b)
{
    if (!a || !b)
        return false;
    unsigned char da[SHA256_SIZE], db[SHA256_SIZE];
    sha256(a, strlen(a), da);
    sha256(b, strlen(b), db);
    return digest_equal(da, db, sizeof da);
}

/* Stricter than EVP_DecodeBlock, which forgives blanks: whole groups, padding only at the end. */
static bool base64_shape(const char *s, size_t n, size_t *padding)
{
    if (n == 0 || n % 4 != 0)
        return false;
    size_t pad = s[n - 1] != '=' ? 0 : s[n - 2] != '=' ? 1 : 2;
    for (size_t i = 0; i < n - pad; i++) {
        char c = s[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/'))
            return false;
    }
    *padding = pad;
    return true;
}

/* out has room for n / 4 * 3 bytes. */
static bool base64_decode(const char *s, size_t n, unsigned char *out, size_t *len)
{
    size_t pad;
    if (n > 2 * (size_t)PLAIN_MAX || !base64_shape(s, n, &pad))
        return false;
    if (EVP_DecodeBlock(out, (const unsigned char *)s, (int)n) < 0)
        return false;
    *len = n / 4 * 3 - pad;
    return true;
}

bool crypto_key_parse(const char *text, unsigned char out[32])
{
    size_t n = strlen(text), len = 0;
    if (n == 2 * KEY_SIZE && hex_decode(text, n, out))
        return true;
    if (n == 44) {
        unsigned char raw[33];
        bool ok = base64_decode(text, n, raw, &len) && len == KEY_SIZE;
        if (ok)
            memcpy(out, raw, KEY_SIZE);
        OPENSSL_cleanse(raw, sizeof raw);
        return ok;
    }
    if (n != KEY_SIZE)
        return false;
    memcpy(out, text, KEY_SIZE);
    return true;
}

/* nonce, ciphertext, tag into out (n + NONCE_SIZE + TAG_SIZE bytes). */
static bool seal(const unsigned char key[KEY_SIZE], const char *plain, size_t n, unsigned char *out)
{
    random_bytes(out, NONCE_SIZE);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int got = 0, last = 0;
    unsigned char *body = out + NONCE_SIZE;
    bool ok = ctx && EVP_EncryptInit_ex2(ctx, cipher(), key, out, NULL) == 1 &&
              EVP_EncryptUpdate(ctx, body, &got, (const unsigned char *)plain, (int)n) == 1 &&
              EVP_EncryptFinal_ex(ctx, body + got, &last) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, body + n) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

/* The reverse; out has room for n bytes. false when the tag does not fit. */
static bool unseal(const unsigned char key[KEY_SIZE], unsigned char *sealed, size_t n, unsigned char *out)
{
    size_t body = n - NONCE_SIZE - TAG_SIZE;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int got = 0, last = 0;
    bool ok = ctx && EVP_DecryptInit_ex2(ctx, cipher(), key, sealed, NULL) == 1 &&
              EVP_DecryptUpdate(ctx, out, &got, sealed + NONCE_SIZE, (int)body) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, sealed + NONCE_SIZE + body) == 1 &&
              EVP_DecryptFinal_ex(ctx, out + got, &last) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

/* The key of this moment. Nothing is encrypted with a key that is no longer kept anywhere. */
static bool current_key(const struct crypto_keys *k, unsigned char key[KEY_SIZE])
{
    memcpy(key, k->primary, KEY_SIZE);
    if (k->from_env || !k->data_dir)
        return true;
    struct key_file now;
    char err[200];
    bool ok = key_file_read(k->data_dir, &now, err, sizeof err) == KEY_FILE_FOUND;
    if (ok)
        memcpy(key, now.key[0], KEY_SIZE);
    else
        log_event(LOG_ERROR, 1106, "crypto.key_file_gone", LOG_S, "reason", err, LOG_END);
    OPENSSL_cleanse(&now, sizeof now);
    return ok;
}

char *crypto_encrypt(struct arena *a, const struct crypto_keys *k, const char *plain)
{
    if (!plain || !*plain)
        return arena_strdup(a, plain);
    size_t n = strlen(plain);
    if (n > PLAIN_MAX)
        return NULL;
    size_t sealed_len = n + NONCE_SIZE + TAG_SIZE;
    unsigned char *sealed = arena_alloc(a, sealed_len);
    unsigned char key[KEY_SIZE];
    bool sealed_well = current_key(k, key) && seal(key, plain, n, sealed);
    OPENSSL_cleanse(key, sizeof key);
    if (!sealed_well)
        return NULL;
    char *text = arena_alloc(a, PREFIX_LEN + (sealed_len + 2) / 3 * 4 + 1);
    memcpy(text, prefix, PREFIX_LEN);
    EVP_EncodeBlock((unsigned char *)text + PREFIX_LEN, sealed, (int)sealed_len);
    return text;
}

/* With what the key file holds now: it may have changed since this process began. */
static bool unseal_with_file(const struct crypto_keys *k, unsigned char *sealed, size_t n, unsigned char *out)
{
    struct key_file now;
    char err[200];
    if (!k->data_dir || key_file_read(k->data_dir, &now, err, sizeof err) != KEY_FILE_FOUND)
        return false;
    bool ok = false;
    for (int i = 0; i < now.count && !ok; i++)
        ok = unseal(now.key[i], sealed, n, out);
    OPENSSL_cleanse(&now, sizeof now);
    return ok;
}

char *crypto_decrypt(struct arena *a, const struct crypto_keys *k, const char *stored)
{
    if (!stored || strncmp(stored, prefix, PREFIX_LEN) != 0)
        return arena_strdup(a, stored);
    const char *text = stored + PREFIX_LEN;
    size_t n = strlen(text), len = 0;
    unsigned char *sealed = arena_alloc(a, n + 1);
    if (!base64_decode(text, n, sealed, &len) || len < NONCE_SIZE + TAG_SIZE)
        return arena_strdup(a, stored);

    /* One byte more than the plain text needs: it stays 0. */
    unsigned char *plain = arena_alloc(a, len);
    if (unseal(k->primary, sealed, len, plain))
        return (char *)plain;
    if (k->has_secondary && unseal(k->secondary, sealed, len, plain))
        return (char *)plain;
    if (unseal_with_file(k, sealed, len, plain))
        return (char *)plain;
    OPENSSL_cleanse(plain, len);
    return NULL;
}

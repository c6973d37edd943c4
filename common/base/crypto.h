/* Hashes, comparison of secrets, encryption at rest (contract 01 §1.3, §11). */
#ifndef CLAWGATE_BASE_CRYPTO_H
#define CLAWGATE_BASE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>

enum { SHA256_SIZE = 32, SHA256_HEX_SIZE = 65 };

struct arena;

void sha256(const void *p, size_t n, unsigned char out[SHA256_SIZE]);
void sha256_hex(const void *p, size_t n, char out[SHA256_HEX_SIZE]);

/* The one comparison of secrets: hashes both sides and compares in constant
 * time, so that neither content nor length leaks. NULL equals nothing. */
bool secret_equal(const char *a, const char *b);
/* Same for two digests of equal size. */
bool digest_equal(const unsigned char *a, const unsigned char *b, size_t n);

/* Keys for data at rest. `primary` encrypts; `secondary` (may be absent) is
 * tried second when decrypting. A process that was started before the key was changed
 * keeps up with it: with data_dir the key file is read again for every encryption, and
 * when neither key fits. */
struct crypto_keys {
    unsigned char primary[32];
    unsigned char secondary[32];
    bool has_secondary;
    bool from_env;        /* primary came from the environment: the file never encrypts */
    const char *data_dir; /* where the key file is; NULL: only the keys above count */
};

/* 64 hex characters, 44 base64 characters, or exactly 32 raw bytes. */
bool crypto_key_parse(const char *text, unsigned char out[32]);
/* env_key (may be NULL or "") and the file {data_dir}/encryption.key, which is created
 * (64 hex, 0600, atomically) when neither exists. The file holds one key, or two lines while
 * it is being changed: the new one, then the old one. data_dir must live as long as k.
 * false leaves a reason in err. */
bool crypto_keys_load(struct crypto_keys *k, const char *env_key, const char *data_dir, char *err, size_t errsize);

/* "aes-gcm:" + base64(nonce, ciphertext, tag). "" stays "", NULL stays NULL; more than 16 MiB gives NULL, and so
 * does a key file that cannot be read. */
char *crypto_encrypt(struct arena *a, const struct crypto_keys *k, const char *plain);
/* Text without the prefix, or with an unreadable one, is returned as it is;
 * NULL when authentication fails with both keys. */
char *crypto_decrypt(struct arena *a, const struct crypto_keys *k, const char *stored);

/* Changing the key: crypto_rotation_begin, everything stored is encrypted anew, crypto_rotation_end. At every moment
 * in between all values can be read, by processes of before and after; whoever is interrupted begins again and goes
 * on with the same new key. With a key in the environment that one is the new key, and the file stays as it is. */
struct crypto_rotation {
    struct crypto_keys keys; /* primary is the new key */
    bool resumed;            /* an earlier one was interrupted and is finished now */
    int lock;                /* private */
};
/* Takes the lock of the data directory; false leaves a reason in err. */
bool crypto_rotation_begin(struct crypto_rotation *r, const struct crypto_keys *loaded, char *err, size_t errsize);
/* done: the old key leaves the file. Only when nothing stored needs it any more. */
bool crypto_rotation_end(struct crypto_rotation *r, bool done, char *err, size_t errsize);

#endif

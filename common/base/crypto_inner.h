/* What the files of base/crypto*.c share. Private to them. */
#ifndef CLAWGATE_BASE_CRYPTO_INNER_H
#define CLAWGATE_BASE_CRYPTO_INNER_H

#include "base/crypto.h"

struct key_file {
    unsigned char key[2][32]; /* the one that encrypts, the one before */
    int count;
};
enum key_file_state { KEY_FILE_FOUND, KEY_FILE_MISSING, KEY_FILE_UNUSABLE };

/* {data_dir}/encryption.key as it is now. KEY_FILE_UNUSABLE leaves a reason in err. */
enum key_file_state key_file_read(const char *data_dir, struct key_file *out, char *err, size_t errsize);
/* Puts a file with these keys in its place in one step, durably. */
bool key_file_replace(const char *data_dir, const struct key_file *keys, char *err, size_t errsize);

#endif

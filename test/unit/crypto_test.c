/* Digests, comparison of secrets, keys and encryption at rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/arena.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/log.h"
#include "test/unit/rule.h"

enum { THREADS = 8, ROUNDS = 200 };

static const char key_hex[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
static const char key_base64[] = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

static void digest_matches_known_values(void **state)
{
    (void)state;
    char hex[SHA256_HEX_SIZE];
    sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_hex(NULL, 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* Each thread its own text; the first digest of a thread and the next ones go different ways. */
static void *digest_many(void *arg)
{
    char text[300], hex[SHA256_HEX_SIZE], again[SHA256_HEX_SIZE];
    memset(text, *(const char *)arg, sizeof text);
    sha256_hex(text, sizeof text, hex);
    for (size_t i = 0; i < ROUNDS; i++) {
        sha256_hex(text, i, again);
        sha256_hex(text, sizeof text, again);
        if (strcmp(hex, again) != 0)
            return NULL;
    }
    return strdup(hex);
}

static void digests_of_threads_do_not_mix(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    char names[THREADS];
    for (int i = 0; i < THREADS; i++) {
        names[i] = (char)('a' + i);
        assert_int_equal(pthread_create(&threads[i], NULL, digest_many, &names[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        char text[300], hex[SHA256_HEX_SIZE];
        void *found;
        memset(text, names[i], sizeof text);
        sha256_hex(text, sizeof text, hex);
        assert_int_equal(pthread_join(threads[i], &found), 0);
        assert_non_null(found);
        assert_string_equal(found, hex);
        free(found);
    }
}

static void secrets_compare_whole(void **state)
{
    (void)state;
    assert_true(secret_equal("token", "token"));
    assert_true(secret_equal("", ""));
    assert_false(secret_equal("token", "tokeN"));
    assert_false(secret_equal("token", "token "));
    assert_false(secret_equal("token", "toke"));
    assert_false(secret_equal(NULL, "token"));
    assert_false(secret_equal("token", NULL));
    assert_false(secret_equal(NULL, NULL));
    assert_true(digest_equal((const unsigned char *)"abcd", (const unsigned char *)"abcx", 3));
    assert_false(digest_equal((const unsigned char *)"abcd", (const unsigned char *)"abcx", 4));
}

static void key_has_three_forms(void **state)
{
    (void)state;
    unsigned char want[32], got[32];
    for (unsigned char i = 0; i < 32; i++)
        want[i] = i;
    assert_true(crypto_key_parse(key_hex, got));
    assert_memory_equal(got, want, 32);
    assert_true(crypto_key_parse(key_base64, got));
    assert_memory_equal(got, want, 32);
    assert_true(crypto_key_parse("0123456789abcdef0123456789abcdef", got));
    assert_memory_equal(got, "0123456789abcdef0123456789abcdef", 32);
}

static void key_of_other_shape_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "", "short",
        "0123456789abcdef0123456789abcde",                                  /* 31 bytes */
        "0123456789abcdef0123456789abcdef0",                                /* 33 bytes */
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e",   /* 62 digits */
        "zz0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", /* no hex */
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8A",                     /* 33 bytes as base64 */
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==",                     /* 31 bytes as base64 */
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH-8=",                     /* other alphabet */
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd\nh8=",
    };
    unsigned char got[32];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(crypto_key_parse(wrong[i], got));
}

static struct crypto_keys keys_of(const char *primary, const char *secondary)
{
    struct crypto_keys k = {.has_secondary = secondary != NULL};
    assert_true(crypto_key_parse(primary, k.primary));
    if (secondary)
        assert_true(crypto_key_parse(secondary, k.secondary));
    return k;
}

static void what_is_encrypted_comes_back(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct crypto_keys k = keys_of(key_hex, NULL);
    static const char *const texts[] = {"x", "sk-secret", "khóa bí mật 密钥", "aes-gcm:looks encrypted"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *stored = crypto_encrypt(a, &k, texts[i]);
        assert_memory_equal(stored, "aes-gcm:", 8);
        assert_null(strstr(stored, "secret"));
        assert_string_not_equal(stored, crypto_encrypt(a, &k, texts[i]));
        assert_string_equal(crypto_decrypt(a, &k, stored), texts[i]);
    }
    assert_string_equal(crypto_encrypt(a, &k, ""), "");
    assert_string_equal(crypto_decrypt(a, &k, ""), "");
    assert_null(crypto_encrypt(a, &k, NULL));
    assert_null(crypto_decrypt(a, &k, NULL));
    arena_free(a);
}

/* Made with another implementation: 12 bytes nonce 00..0b, key 00..1f, text "hello". */
static void foreign_ciphertext_is_read(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct crypto_keys k = keys_of(key_hex, NULL);
    assert_string_equal(crypto_decrypt(a, &k, "aes-gcm:AAECAwQFBgcICQoLL2e6d6onl/81O4oEbSgjbc2dBXu7"), "hello");
    arena_free(a);
}

static void large_text_has_a_limit(void **state)
{
    (void)state;
    enum { LIMIT = 16 << 20 };
    struct arena *a = arena_new();
    struct crypto_keys k = keys_of(key_hex, NULL);
    char *text = arena_alloc(a, LIMIT + 2);
    memset(text, 'x', LIMIT + 1);
    assert_null(crypto_encrypt(a, &k, text));
    text[LIMIT] = 0;
    char *stored = crypto_encrypt(a, &k, text);
    assert_non_null(stored);
    assert_int_equal(strlen(crypto_decrypt(a, &k, stored)), LIMIT);
    arena_free(a);
}

static void text_that_is_not_ours_is_plain(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct crypto_keys k = keys_of(key_hex, NULL);
    static const char *const plain[] = {
        "sk-plain", "AES-GCM:AAAA", "aes-gcm", "aes-gcm:", "aes-gcm:!!!!", "aes-gcm:AAA", "aes-gcm:AA=A",
        "aes-gcm:AAAA\n", "aes-gcm: AAA",
        "aes-gcm:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", /* 27 bytes: one too short */
    };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        assert_string_equal(crypto_decrypt(a, &k, plain[i]), plain[i]);
    /* 28 bytes: long enough, but no tag of ours. */
    assert_null(crypto_decrypt(a, &k, "aes-gcm:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="));
    arena_free(a);
}

static void every_changed_character_is_noticed(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct crypto_keys k = keys_of(key_hex, NULL);
    char *stored = crypto_encrypt(a, &k, "sk-secret"); /* 37 bytes: the last group is "xx==" with 4 idle bits */
    for (size_t i = 8; stored[i] != '='; i++) {
        char was = stored[i];
        stored[i] = was == 'A' ? 'Q' : 'A';
        assert_null(crypto_decrypt(a, &k, stored));
        stored[i] = was;
    }
    assert_string_equal(crypto_decrypt(a, &k, stored), "sk-secret");
    arena_free(a);
}

static void second_key_reads_and_never_writes(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    static const char other[] = "0123456789abcdef0123456789abcdef";
    struct crypto_keys old = keys_of(key_hex, NULL), fresh = keys_of(other, NULL), both = keys_of(other, key_hex);
    char *stored = crypto_encrypt(a, &old, "sk-secret");
    assert_null(crypto_decrypt(a, &fresh, stored));
    assert_string_equal(crypto_decrypt(a, &both, stored), "sk-secret");
    stored = crypto_encrypt(a, &both, "sk-secret");
    assert_string_equal(crypto_decrypt(a, &fresh, stored), "sk-secret");
    assert_null(crypto_decrypt(a, &old, stored));
    arena_free(a);
}

static char dir[] = "/tmp/clawgate-crypto-XXXXXX";
static char file[64];

static int make_dir(void **state)
{
    (void)state;
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    if (!mkdtemp(dir))
        return -1;
    snprintf(file, sizeof file, "%s/encryption.key", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(dir); /* fails when something else was left behind */
}

static void write_key_file(const char *text, mode_t mode)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(file, mode), 0);
}

static void key_file_is_made_once(void **state)
{
    (void)state;
    char err[200] = "";
    struct crypto_keys first, second;
    assert_true(crypto_keys_load(&first, NULL, dir, err, sizeof err));
    struct stat st;
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, 65);
    assert_true(crypto_keys_load(&second, "", dir, err, sizeof err));
    assert_memory_equal(first.primary, second.primary, 32);
    assert_false(second.has_secondary);
}

static void two_processes_end_up_with_one_key(void **state)
{
    (void)state;
    char err[200];
    int pipes[4][2];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pipe(pipes[i]), 0);
        pid_t pid = fork();
        if (pid == 0) {
            struct crypto_keys k;
            bool ok = crypto_keys_load(&k, NULL, dir, err, sizeof err);
            _exit(ok && write(pipes[i][1], k.primary, 32) == 32 ? 0 : 1);
        }
        assert_true(pid > 0);
    }
    unsigned char keys[4][32];
    for (int i = 0; i < 4; i++) {
        int status = 1;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(read(pipes[i][0], keys[i], 32), 32);
        assert_memory_equal(keys[i], keys[0], 32);
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
}

static void environment_wins_and_file_is_second(void **state)
{
    (void)state;
    char err[200];
    struct crypto_keys k;
    assert_true(crypto_keys_load(&k, key_base64, dir, err, sizeof err));
    assert_false(k.has_secondary);
    assert_int_equal(access(file, F_OK), -1);
    write_key_file("0123456789abcdef0123456789abcdef", 0600);
    assert_true(crypto_keys_load(&k, key_base64, dir, err, sizeof err));
    assert_int_equal(k.primary[31], 31);
    assert_true(k.has_secondary);
    assert_memory_equal(k.secondary, "0123456789abcdef", 16);
}

static void bad_keys_are_named(void **state)
{
    (void)state;
    char err[200] = "";
    struct crypto_keys k;
    assert_false(crypto_keys_load(&k, "nonsense", dir, err, sizeof err));
    assert_non_null(strstr(err, "GOCLAW_ENCRYPTION_KEY"));
    assert_null(strstr(err, "nonsense"));
    write_key_file("nonsense\n", 0600);
    assert_false(crypto_keys_load(&k, NULL, dir, err, sizeof err));
    assert_non_null(strstr(err, "encryption.key"));
    assert_false(crypto_keys_load(&k, key_hex, dir, err, sizeof err));
    assert_false(crypto_keys_load(&k, NULL, "/nowhere/at/all", err, sizeof err));
    assert_non_null(strstr(err, "/nowhere/at/all/encryption.key"));
}

/* A new key takes the old one's place: whoever could read that one reads this one, though root made it. */
static void a_changed_key_belongs_to_whom_the_key_belonged(void **state)
{
    char err[200];
    struct crypto_keys k;
    struct crypto_rotation r;
    struct stat before, after;
    (void)state;
    assert_true(crypto_keys_load(&k, NULL, dir, err, sizeof err));
    if (geteuid() == 0)
        assert_int_equal(chown(file, 65534, 65534), 0);
    assert_int_equal(stat(file, &before), 0);
    for (int i = 0; i < 2; i++) {
        bool done = i == 1; /* interrupted, then finished */
        assert_true(crypto_rotation_begin(&r, &k, err, sizeof err));
        assert_int_equal(stat(file, &after), 0);
        assert_int_equal(after.st_uid, before.st_uid);
        assert_int_equal(after.st_gid, before.st_gid);
        assert_true(crypto_rotation_end(&r, done, err, sizeof err));
    }
    assert_int_equal(stat(file, &after), 0);
    assert_int_equal(after.st_uid, before.st_uid);
    assert_int_equal(after.st_mode & 0777, 0600);
    assert_int_equal(after.st_size, 65);
}

int main(void)
{
    log_init("crypto_test", LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digest_matches_known_values),
        cmocka_unit_test(digests_of_threads_do_not_mix),
        cmocka_unit_test(secrets_compare_whole),
        RULE_TEST("11", key_has_three_forms),
        cmocka_unit_test(key_of_other_shape_is_refused),
        RULE_TEST("11", what_is_encrypted_comes_back),
        cmocka_unit_test(foreign_ciphertext_is_read),
        cmocka_unit_test(large_text_has_a_limit),
        RULE_TEST("11", text_that_is_not_ours_is_plain),
        RULE_TEST("11", every_changed_character_is_noticed),
        cmocka_unit_test(second_key_reads_and_never_writes),
        RULE_TEST_AROUND("11", key_file_is_made_once, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(two_processes_end_up_with_one_key, make_dir, remove_dir),
        RULE_TEST_AROUND("11", environment_wins_and_file_is_second, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(bad_keys_are_named, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_changed_key_belongs_to_whom_the_key_belonged, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

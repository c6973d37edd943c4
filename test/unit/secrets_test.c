/* Changing the key of stored secrets: what is encrypted anew, what stays, and that nothing is ever unreadable. */
#include "store_fixture.h"

#include <sys/wait.h>

#include "base/crypto.h"
#include "store/secrets.h"

enum { ROWS = 120, KILLS = 60 };

static const char env_key[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

static struct crypto_keys load(struct store *s, const char *env)
{
    struct crypto_keys k;
    char err[300] = "";
    if (!crypto_keys_load(&k, env, s->home, err, sizeof err))
        fail_msg("%s", err);
    return k;
}

static void provider_add(struct store *s, const char *id, const char *key)
{
    SQL(add, "INSERT INTO llm_providers (id, tenant_id, name, provider_type, api_key, created_at, updated_at)"
             " VALUES (?1, '" TENANT "', ?1, 'openai_compat', ?2, 't', 't')");
    assert_int_equal(db_exec(s->db, &add, "tt", id, key), DB_OK);
}

static void server_add(struct store *s, const char *id, const char *key)
{
    SQL(add, "INSERT INTO mcp_servers (id, tenant_id, name, transport, api_key, headers, env, created_at, updated_at)"
             " VALUES (?1, '" TENANT "', ?1, 'sse', ?2, '\"' || ?2 || '\"', '{}', 't', 't')");
    assert_int_equal(db_exec(s->db, &add, "tt", id, key), DB_OK);
}

/* Two tables, three columns, a row each with a text of its own. */
static void fill(struct store *s, const struct crypto_keys *k, int rows)
{
    char id[40], plain[40];
    for (int i = 0; i < rows; i++) {
        snprintf(id, sizeof id, "row-%04d", i);
        snprintf(plain, sizeof plain, "secret of %d", i);
        provider_add(s, id, crypto_encrypt(s->a, k, plain));
        server_add(s, id, crypto_encrypt(s->a, k, plain));
    }
}

/* How many of the values of fill these keys read. */
static int readable(struct store *s, const struct crypto_keys *k)
{
    static const char *const columns[] = {
        "SELECT id, api_key FROM llm_providers ORDER BY id",
        "SELECT id, api_key FROM mcp_servers ORDER BY id",
        "SELECT id, substr(headers, 2, length(headers) - 2) FROM mcp_servers ORDER BY id",
    };
    int good = 0;
    for (size_t i = 0; i < 3; i++) {
        sqlite3_stmt *st;
        assert_int_equal(sqlite3_prepare_v2(db_handle(s->db), columns[i], -1, &st, NULL), SQLITE_OK);
        while (sqlite3_step(st) == SQLITE_ROW) {
            char plain[40];
            long row = strtol((const char *)sqlite3_column_text(st, 0) + 4, NULL, 10);
            snprintf(plain, sizeof plain, "secret of %ld", row);
            const char *got = crypto_decrypt(s->a, k, (const char *)sqlite3_column_text(st, 1));
            good += got != NULL && strcmp(got, plain) == 0;
        }
        sqlite3_finalize(st);
    }
    return good;
}

/* The same without a look at the key file. */
static int readable_by_primary(struct store *s, const struct crypto_keys *k)
{
    struct crypto_keys only = *k;
    only.data_dir = NULL;
    only.has_secondary = false;
    return readable(s, &only);
}

static char lost_names[200];

static void note_lost(void *ctx, const char *table, const char *column, const char *id)
{
    size_t n = strlen(lost_names);
    (void)ctx;
    snprintf(lost_names + n, sizeof lost_names - n, "%s.%s %s;", table, column, id);
}

static bool rotate(struct db *db, const struct crypto_keys *loaded, struct secrets_count *counts, bool *resumed)
{
    struct crypto_rotation r;
    char err[300] = "";
    lost_names[0] = '\0';
    if (!crypto_rotation_begin(&r, loaded, err, sizeof err))
        return false;
    if (resumed != NULL)
        *resumed = r.resumed;
    bool done = secrets_rewrite(db, &r.keys, counts, note_lost, NULL) == DB_OK;
    return crypto_rotation_end(&r, done, err, sizeof err) && done;
}

static int64_t sum(const struct secrets_count counts[SECRET_COLUMNS], enum secret_state state)
{
    int64_t n = 0;
    for (size_t i = 0; i < SECRET_COLUMNS; i++)
        n += counts[i].n[state];
    return n;
}

static void key_path(const struct store *s, char path[100])
{
    snprintf(path, 100, "%s/encryption.key", s->home);
}

/* Changes the key again and again until it is killed: main of a process of its own. */
static int rotate_for_ever(const char *home)
{
    struct store s = {.a = arena_new()};
    struct secrets_count counts[SECRET_COLUMNS];
    snprintf(s.home, sizeof s.home, "%s", home);
    snprintf(s.path, sizeof s.path, "%s/db", home);
    log_init("test", LOG_ERROR + 1);
    s.db = store_open(&s);
    for (struct crypto_keys k = load(&s, NULL); rotate(s.db, &k, counts, NULL);)
        k = load(&s, NULL);
    return 1;
}

static off_t key_file_size(const struct store *s)
{
    char path[100];
    struct stat st;
    key_path(s, path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    return st.st_size;
}

static int set_up(void **state)
{
    struct store *s = store_new();
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct store *s = *state;
    char path[100];
    key_path(s, path);
    unlink(path);
    snprintf(path, sizeof path, "%s/encryption.key.new", s->home);
    unlink(path);
    store_free(s);
    return 0;
}

static void every_secret_gets_the_new_key(void **state)
{
    struct store *s = *state;
    struct crypto_keys before = load(s, NULL);
    struct secrets_count counts[SECRET_COLUMNS];
    bool resumed = true;
    fill(s, &before, ROWS);
    assert_int_equal(readable_by_primary(s, &before), 3 * ROWS);
    assert_true(rotate(s->db, &before, counts, &resumed));
    assert_false(resumed);
    assert_int_equal(sum(counts, SECRET_OLD), 3 * ROWS);
    assert_int_equal(sum(counts, SECRET_CURRENT) + sum(counts, SECRET_PLAIN) + sum(counts, SECRET_LOST), 0);
    struct crypto_keys after = load(s, NULL);
    assert_false(after.has_secondary);
    assert_int_equal(key_file_size(s), 65);
    assert_int_equal(readable_by_primary(s, &after), 3 * ROWS);
    assert_int_equal(readable_by_primary(s, &before), 0);
    /* Nothing else moved: empty columns, the time of the last change. */
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM mcp_servers WHERE env = '{}' AND updated_at = 't'"), ROWS);
    assert_int_equal(secrets_count(s->db, &after, counts, NULL, NULL), DB_OK);
    assert_int_equal(sum(counts, SECRET_CURRENT), 3 * ROWS);
    /* Another time: another key, all of it again. */
    assert_true(rotate(s->db, &after, counts, &resumed));
    assert_int_equal(sum(counts, SECRET_OLD), 3 * ROWS);
    assert_int_equal(readable_by_primary(s, &after), 0);
}

static void a_process_of_before_keeps_up(void **state)
{
    struct store *s = *state;
    struct crypto_keys running = load(s, NULL);
    struct secrets_count counts[SECRET_COLUMNS];
    fill(s, &running, 3);
    assert_true(rotate(s->db, &running, counts, NULL));
    assert_int_equal(readable(s, &running), 9);
    struct crypto_keys fresh = load(s, NULL);
    fresh.data_dir = NULL;
    const char *stored = crypto_encrypt(s->a, &running, "written later");
    assert_string_equal(crypto_decrypt(s->a, &fresh, stored), "written later");
    assert_string_equal(crypto_decrypt(s->a, &running, stored), "written later");
}

static void without_its_file_nothing_is_encrypted(void **state)
{
    struct store *s = *state;
    struct crypto_keys running = load(s, NULL);
    const char *stored = crypto_encrypt(s->a, &running, "x");
    char path[100];
    key_path(s, path);
    assert_int_equal(unlink(path), 0);
    assert_null(crypto_encrypt(s->a, &running, "x"));
    assert_string_equal(crypto_encrypt(s->a, &running, ""), "");
    assert_string_equal(crypto_decrypt(s->a, &running, stored), "x");
}

/* As it was left behind: the file has both keys, one row is already new, and somebody wrote with the new key. */
static void an_interrupted_rotation_is_finished(void **state)
{
    struct store *s = *state;
    struct crypto_keys before = load(s, NULL);
    struct crypto_rotation r;
    struct secrets_count counts[SECRET_COLUMNS];
    char err[300] = "";
    bool resumed = false;
    fill(s, &before, 2);
    assert_true(crypto_rotation_begin(&r, &before, err, sizeof err));
    assert_true(crypto_rotation_end(&r, false, err, sizeof err));
    assert_int_equal(key_file_size(s), 130);
    struct crypto_keys between = load(s, NULL);
    assert_true(between.has_secondary);
    assert_memory_equal(between.primary, r.keys.primary, 32);
    assert_memory_equal(between.secondary, before.primary, 32);
    assert_int_equal(readable(s, &between), 6);
    store_sql(s->db, "DELETE FROM llm_providers WHERE id = 'row-0001'");
    provider_add(s, "row-0001", crypto_encrypt(s->a, &before, "secret of 1")); /* the file's first key */
    assert_int_equal(readable_by_primary(s, &between), 1);
    assert_true(rotate(s->db, &between, counts, &resumed));
    assert_true(resumed);
    assert_int_equal(sum(counts, SECRET_CURRENT), 1);
    assert_int_equal(sum(counts, SECRET_OLD), 5);
    struct crypto_keys after = load(s, NULL);
    assert_memory_equal(after.primary, between.primary, 32);
    assert_false(after.has_secondary);
    assert_int_equal(readable_by_primary(s, &after), 6);
}

static void what_no_key_fits_stays(void **state)
{
    struct store *s = *state;
    struct crypto_keys before = load(s, NULL), foreign = {.primary = "somebody else's key, 32 bytes .."};
    struct secrets_count counts[SECRET_COLUMNS];
    fill(s, &before, 1);
    server_add(s, "row-0009", crypto_encrypt(s->a, &foreign, "lost"));
    provider_add(s, "row-0002", "secret of 2");
    store_sql(s->db, "UPDATE mcp_servers SET env = '{\"A\":\"plain\"}' WHERE id = 'row-0000'");
    const char *lost = store_text(s, "SELECT api_key || headers FROM mcp_servers WHERE id = 'row-0009'");
    assert_true(rotate(s->db, &before, counts, NULL));
    assert_string_equal(store_text(s, "SELECT api_key || headers FROM mcp_servers WHERE id = 'row-0009'"), lost);
    assert_string_equal(lost_names, "mcp_servers.api_key row-0009;mcp_servers.headers row-0009;");
    assert_int_equal(sum(counts, SECRET_LOST), 2);
    assert_int_equal(sum(counts, SECRET_PLAIN), 2);
    struct crypto_keys after = load(s, NULL);
    assert_int_equal(readable_by_primary(s, &after), 4);
    const char *env = store_text(s, "SELECT env FROM mcp_servers WHERE id = 'row-0000'");
    assert_int_equal(strncmp(env, "\"aes-gcm:", 9), 0);
    env = crypto_decrypt(s->a, &after, arena_strndup(s->a, env + 1, strlen(env) - 2));
    assert_string_equal(env, "{\"A\":\"plain\"}");
}

static void a_key_of_the_environment_takes_over(void **state)
{
    struct store *s = *state;
    struct crypto_keys file = load(s, NULL), env = load(s, env_key);
    struct secrets_count counts[SECRET_COLUMNS];
    fill(s, &file, 2);
    assert_int_equal(readable(s, &env), 6);
    assert_true(rotate(s->db, &env, counts, NULL));
    assert_int_equal(sum(counts, SECRET_OLD), 6);
    assert_int_equal(readable_by_primary(s, &env), 6);
    struct crypto_keys again = load(s, NULL);
    assert_memory_equal(again.primary, file.primary, 32);
    assert_true(rotate(s->db, &env, counts, NULL));
    assert_int_equal(sum(counts, SECRET_CURRENT), 6);
}

static void an_unfinished_file_and_the_environment(void **state)
{
    struct store *s = *state;
    struct crypto_keys file = load(s, NULL);
    struct crypto_rotation r;
    struct secrets_count counts[SECRET_COLUMNS];
    char err[300] = "";
    fill(s, &file, 1);
    assert_true(crypto_rotation_begin(&r, &file, err, sizeof err));
    assert_true(crypto_rotation_end(&r, false, err, sizeof err));
    struct crypto_keys env = load(s, env_key); /* the values have the third key */
    assert_int_equal(readable(s, &env), 3);
    assert_true(rotate(s->db, &env, counts, NULL));
    assert_int_equal(readable_by_primary(s, &env), 3);
}

static void only_one_at_a_time(void **state)
{
    struct store *s = *state;
    struct crypto_keys k = load(s, NULL);
    struct crypto_rotation first, second;
    char err[300] = "";
    assert_true(crypto_rotation_begin(&first, &k, err, sizeof err));
    assert_false(crypto_rotation_begin(&second, &k, err, sizeof err));
    assert_non_null(strstr(err, "another process"));
    assert_true(crypto_rotation_end(&first, false, err, sizeof err));
    assert_true(crypto_rotation_begin(&second, &k, err, sizeof err));
    assert_true(crypto_rotation_end(&second, true, err, sizeof err));
    assert_int_equal(key_file_size(s), 65);
}

static void a_broken_file_is_no_reason_to_make_another(void **state)
{
    struct store *s = *state;
    struct crypto_keys k = load(s, NULL);
    struct crypto_rotation r;
    static const char *const broken[] = {"", "nonsense\n", "nonsense\nnonsense\n"};
    char path[100], err[300];
    key_path(s, path);
    for (size_t i = 0; i < 3; i++) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(broken[i], f);
        fclose(f);
        err[0] = '\0';
        assert_false(crypto_rotation_begin(&r, &k, err, sizeof err));
        assert_non_null(strstr(err, "encryption.key"));
        assert_int_equal(key_file_size(s), strlen(broken[i]));
    }
    unlink(path);
    assert_false(crypto_rotation_begin(&r, &k, err, sizeof err));
}

static ino_t file_inode(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_ino;
}

/* The key file was replaced: a rotation is on its way. */
static void wait_for_another_file(const char *path, ino_t inode)
{
    for (int i = 0; i < 100000 && file_inode(path) == inode; i++)
        usleep(200);
    assert_true(file_inode(path) != inode);
}

/* Killed at any moment: every value is readable, by a process of before and by a new one, and the next rotation ends
 * the work. */
static void killed_at_any_moment(void **state)
{
    struct store *s = *state;
    struct crypto_keys oldest = load(s, NULL);
    struct secrets_count counts[SECRET_COLUMNS];
    int killed = 0, with_two_keys = 0;
    char path[100];
    fill(s, &oldest, ROWS);
    key_path(s, path);
    for (int i = 0; i < KILLS; i++) {
        ino_t inode = file_inode(path);
        pid_t pid = fork();
        if (pid == 0) {
            execl("/proc/self/exe", "secrets_test", s->home, NULL);
            _exit(1);
        }
        assert_true(pid > 0);
        wait_for_another_file(path, inode);
        usleep((useconds_t)(i * 300));
        int status;
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        killed += WIFSIGNALED(status);
        struct crypto_keys now = load(s, NULL);
        with_two_keys += now.has_secondary;
        struct crypto_keys without_file = now;
        without_file.data_dir = NULL;
        assert_int_equal(readable(s, &without_file), 3 * ROWS);
        assert_int_equal(readable(s, &oldest), 3 * ROWS);
        arena_clear(s->a);
    }
    assert_int_equal(killed, KILLS);
    assert_true(with_two_keys > 0);
    struct crypto_keys last = load(s, NULL);
    assert_true(rotate(s->db, &last, counts, NULL));
    assert_int_equal(key_file_size(s), 65);
    last = load(s, NULL);
    assert_int_equal(readable_by_primary(s, &last), 3 * ROWS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    if (argc == 2)
        return rotate_for_ever(argv[1]);
    const struct CMUnitTest tests[] = {
        TEST(every_secret_gets_the_new_key),
        TEST(a_process_of_before_keeps_up),
        TEST(without_its_file_nothing_is_encrypted),
        TEST(an_interrupted_rotation_is_finished),
        TEST(what_no_key_fits_stays),
        TEST(a_key_of_the_environment_takes_over),
        TEST(an_unfinished_file_and_the_environment),
        TEST(only_one_at_a_time),
        TEST(a_broken_file_is_no_reason_to_make_another),
        TEST(killed_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

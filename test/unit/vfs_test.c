/* The log in large writes: whatever fails, and whoever else commits, no row is lost and none comes back. */
#include "store_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { GATHERED = 120 * 1024, LARGE_ROWS = 2000 }; /* a large transaction: 8 MB */

SQL(add, "WITH RECURSIVE c (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM c WHERE i + 1 < ?1 + ?2)"
         " INSERT INTO generations (kind, n) SELECT ?3 || i || hex(zeroblob(1500)), i FROM c");

/* ---- faults: what the system says to writes of the log and to syncs ---- */

static struct {
    int write_fails_in, sync_fails_in; /* counted down; 0: never */
    int writes, syncs;
    bool half; /* the write that fails writes a part */
} fault;

static ssize_t faulty_pwrite(int fd, const void *p, size_t n, off_t at)
{
    fault.writes++;
    if (fault.write_fails_in == 0 || --fault.write_fails_in > 0)
        return syscall(SYS_pwrite64, fd, p, n, at);
    if (fault.half && n > 1)
        syscall(SYS_pwrite64, fd, p, n / 2, at);
    errno = fault.half ? EIO : ENOSPC;
    return -1;
}

static int faulty_sync(int fd, long number)
{
    fault.syncs++;
    if (fault.sync_fails_in == 0 || --fault.sync_fails_in > 0)
        return (int)syscall(number, fd);
    errno = EIO;
    return -1;
}

/* These stand before the C library's, for SQLite too. */
int fsync(int fd)
{
    return faulty_sync(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return faulty_sync(fd, SYS_fdatasync);
}

static void faults_prepare(void)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    assert_int_equal(vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)faulty_pwrite), SQLITE_OK);
    assert_int_equal(vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)faulty_pwrite), SQLITE_OK);
}

/* ---- another process: forked before anything was opened, and again for each task ---- */

struct task {
    char path[80], who[8];
    int64_t from, rows, times; /* times: that many transactions */
};

static int to_other = -1;

static int64_t other_works(const struct task *t)
{
    SQL(count, "SELECT COUNT(*) FROM generations");
    char err[300];
    log_init("other", LOG_ERROR + 1);
    struct db *db = db_open(t->path, DB_WRITER, err, sizeof err);
    if (!db)
        return -1;
    for (int64_t i = 0; i < t->times; i++) {
        if (db_begin(db) != DB_OK || db_exec(db, &add, "iit", t->from + i * t->rows, t->rows, t->who) != DB_OK ||
            db_commit(db) != DB_OK)
            return -2;
    }
    struct db_stmt *s = db_query(db, &count, "");
    int64_t n = db_next(s) == DB_ROW ? db_int(s, 0) : -3;
    db_close(db);
    return n;
}

static void other_main(int fd)
{
    struct task t;
    while (read(fd, &t, sizeof t) == (ssize_t)sizeof t) {
        pid_t child = fork();
        if (child == 0) {
            int64_t n = other_works(&t);
            _exit(write(fd, &n, sizeof n) == (ssize_t)sizeof n ? 0 : 1);
        }
        waitpid(child, NULL, 0);
    }
    _exit(0);
}

static void other_start(void)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    if (fork() == 0) {
        close(ends[0]);
        other_main(ends[1]);
    }
    close(ends[1]);
    to_other = ends[0];
}

static void other_begins(struct store *s, const char *who, int64_t rows, int64_t times)
{
    struct task t = {.rows = rows, .times = times};
    snprintf(t.path, sizeof t.path, "%s", s->path);
    snprintf(t.who, sizeof t.who, "%s", who);
    assert_int_equal(write(to_other, &t, sizeof t), sizeof t);
}

/* How many rows it sees at last. */
static int64_t other_ends(void)
{
    int64_t n = -9;
    assert_int_equal(read(to_other, &n, sizeof n), sizeof n);
    return n;
}

static int64_t other_adds(struct store *s, const char *who, int64_t rows)
{
    other_begins(s, who, rows, 1);
    return other_ends();
}

static int64_t other_sees(struct store *s)
{
    other_begins(s, "", 0, 0);
    return other_ends();
}

/* ---- this process ---- */

static enum db_rc adds(struct db *db, const char *who, int64_t rows)
{
    enum db_rc rc = db_begin(db);
    if (rc == DB_OK)
        rc = db_exec(db, &add, "iit", INT64_C(0), rows, who);
    if (rc == DB_OK)
        return db_commit(db);
    db_rollback(db);
    return rc;
}

static int64_t log_size(struct store *s)
{
    char path[100];
    struct stat st;
    snprintf(path, sizeof path, "%s-wal", s->path);
    return stat(path, &st) == 0 ? st.st_size : 0;
}

/* `names` is one letter for each writer whose rows must be there, `rows` of each, and nothing else. */
static void whole(struct store *s, const char *names, int64_t rows)
{
    struct store look = *s;
    look.db = store_open(s);
    assert_string_equal(store_text(&look, "PRAGMA integrity_check"), "ok");
    assert_int_equal(store_int(look.db, "SELECT COUNT(*) FROM generations"), (int64_t)strlen(names) * rows);
    for (const char *p = names; *p; p++) {
        char sql[200];
        snprintf(sql, sizeof sql, "SELECT COUNT(*) FROM generations WHERE kind = '%c' || n || hex(zeroblob(1500))", *p);
        assert_int_equal(store_int(look.db, sql), rows);
    }
    db_close(look.db);
    assert_int_equal(other_sees(s), (int64_t)strlen(names) * rows);
}

static int set_up(void **state)
{
    store_set_up(state);
    struct store *s = *state;
    char err[300];
    db_close(s->db);
    s->db = db_open(s->path, DB_WRITER, err, sizeof err);
    assert_non_null(s->db);
    fault.write_fails_in = fault.sync_fails_in = 0;
    return 0;
}

static void test_the_writer_and_nobody_else_writes_this_way(void **state)
{
    struct store *s = *state;
    sqlite3_vfs *vfs = NULL;
    store_sql(s->db, "PRAGMA cache_size=-4096");
    store_sql(s->db, "PRAGMA cache_size=3");
    assert_int_equal(store_int(s->db, "PRAGMA cache_spill"), 0);
    assert_int_equal(store_int(s->db, "PRAGMA synchronous"), 2);
    sqlite3_file_control(db_handle(s->db), NULL, SQLITE_FCNTL_VFS_POINTER, &vfs);
    assert_string_equal(vfs->zName, "clawgate");
    struct db *plain = store_open(s);
    assert_true(store_int(plain, "PRAGMA cache_spill") > 0);
    sqlite3_file_control(db_handle(plain), NULL, SQLITE_FCNTL_VFS_POINTER, &vfs);
    assert_string_not_equal(vfs->zName, "clawgate");
    db_close(plain);
}

static void test_a_commit_is_a_few_large_writes(void **state)
{
    struct store *s = *state;
    assert_int_equal(adds(s->db, "z", 1), DB_OK); /* the log is there */
    fault.writes = fault.syncs = 0;
    assert_int_equal(adds(s->db, "a", 500), DB_OK); /* too few for a checkpoint */
    assert_true(log_size(s) > 10 * GATHERED);
    assert_true(fault.writes <= 2 + log_size(s) / (GATHERED - 5000));
    assert_true(fault.syncs <= 2);
    fault.writes = 0;
    assert_int_equal(adds(s->db, "b", 1), DB_OK);
    assert_int_equal(fault.writes, 1);
}

static void test_nothing_is_written_before_the_commit(void **state)
{
    struct store *s = *state;
    store_sql(s->db, "PRAGMA cache_size=10");
    assert_int_equal(adds(s->db, "a", 1), DB_OK);
    int64_t before = log_size(s);
    assert_int_equal(db_begin(s->db), DB_OK);
    store_sql(s->db, "SAVEPOINT x");
    assert_int_equal(db_exec(s->db, &add, "iit", INT64_C(0), (int64_t)LARGE_ROWS, "b"), DB_OK);
    store_sql(s->db, "ROLLBACK TO x; RELEASE x");
    assert_int_equal(db_exec(s->db, &add, "iit", INT64_C(0), (int64_t)LARGE_ROWS, "c"), DB_OK);
    assert_int_equal(log_size(s), before);
    assert_int_equal(other_sees(s), 1);
    db_rollback(s->db);
    assert_int_equal(log_size(s), before);
    assert_int_equal(adds(s->db, "d", 1), DB_OK);
    whole(s, "ad", 1);
}

static void test_rolled_back_then_the_other_then_this_one(void **state)
{
    struct store *s = *state;
    store_sql(s->db, "PRAGMA cache_size=10");
    assert_int_equal(db_begin(s->db), DB_OK);
    assert_int_equal(db_exec(s->db, &add, "iit", INT64_C(0), (int64_t)LARGE_ROWS, "x"), DB_OK);
    db_rollback(s->db);
    assert_int_equal(other_adds(s, "b", LARGE_ROWS), LARGE_ROWS);
    assert_int_equal(adds(s->db, "c", LARGE_ROWS), DB_OK);
    whole(s, "bc", LARGE_ROWS);
}

/* A commit that fails with the k-th write, then others: once with rows in the log before, once with the log empty,
 * so that its header is among the writes. */
static void fails_and_goes_on(struct store *s, bool fresh_log)
{
    enum { ROWS = 150 }; /* 5 buffers full */
    char names[27] = "";
    size_t n = 0;
    store_sql(s->db, "PRAGMA cache_size=10");
    for (int k = 1; k <= 6; k++) {
        if (fresh_log)
            assert_int_equal(sqlite3_wal_checkpoint_v2(db_handle(s->db), NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL),
                             SQLITE_OK);
        fault.half = k % 2;
        fault.write_fails_in = k;
        assert_int_equal(adds(s->db, "!", ROWS), DB_FULL);
        assert_int_equal(fault.write_fails_in, 0);
        assert_true(sqlite3_get_autocommit(db_handle(s->db)));
        names[n] = (char)('a' + n);
        assert_int_equal(other_adds(s, &names[n], ROWS), (int64_t)(n + 1) * ROWS);
        n++;
        names[n] = (char)('a' + n);
        assert_int_equal(adds(s->db, &names[n], ROWS), DB_OK);
        n++;
    }
    whole(s, names, ROWS);
}

static void test_a_failing_write_leaves_nothing(void **state)
{
    fails_and_goes_on(*state, false);
}

static void test_a_failing_write_into_a_new_log_leaves_nothing(void **state)
{
    fails_and_goes_on(*state, true);
}

static void test_a_failing_sync_leaves_nothing(void **state)
{
    struct store *s = *state;
    for (int k = 1; k <= 2; k++) { /* of the header, of the commit */
        assert_int_equal(sqlite3_wal_checkpoint_v2(db_handle(s->db), NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL),
                         SQLITE_OK);
        fault.sync_fails_in = k;
        assert_int_equal(adds(s->db, "!", LARGE_ROWS), DB_FULL);
        assert_int_equal(fault.sync_fails_in, 0);
        assert_int_equal(other_adds(s, k == 1 ? "a" : "c", 100), k * 200 - 100);
        assert_int_equal(adds(s->db, k == 1 ? "b" : "d", 100), DB_OK);
    }
    whole(s, "abcd", 100);
}

/* The limit of the process instead of a full disk: the last write that fits is cut in its middle. */
static void test_a_full_disk_in_a_commit_leaves_nothing(void **state)
{
    struct store *s = *state;
    struct rlimit was, tight;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(adds(s->db, "a", 100), DB_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    tight = was;
    tight.rlim_cur = (rlim_t)log_size(s) + 500001;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    enum db_rc rc = adds(s->db, "!", LARGE_ROWS);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(rc, DB_FULL);
    assert_int_equal(other_adds(s, "b", 100), 200);
    assert_int_equal(adds(s->db, "c", 100), DB_OK);
    whole(s, "abc", 100);
}

static void test_the_log_begins_anew_under_both(void **state)
{
    struct store *s = *state;
    static const int modes[] = {SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_RESTART, SQLITE_CHECKPOINT_TRUNCATE};
    char names[27] = "";
    size_t n = 0;
    for (size_t i = 0; i < 6; i++) {
        names[n] = (char)('a' + n);
        assert_int_equal(adds(s->db, &names[n++], 100), DB_OK);
        assert_int_equal(sqlite3_wal_checkpoint_v2(db_handle(s->db), NULL, modes[i % 3], NULL, NULL), SQLITE_OK);
        names[n] = (char)('a' + n);
        n++;
        assert_int_equal(other_adds(s, &names[n - 1], 100), (int64_t)n * 100);
    }
    whole(s, names, 100);
}

static void test_two_at_once_lose_nothing(void **state)
{
    struct store *s = *state;
    enum { TIMES = 60, ROWS = 50 };
    other_begins(s, "a", ROWS, TIMES);
    for (int64_t i = 0; i < TIMES; i++) {
        assert_int_equal(db_begin(s->db), DB_OK);
        assert_int_equal(db_exec(s->db, &add, "iit", i * ROWS, (int64_t)ROWS, i % 3 ? "b" : "!"), DB_OK);
        if (i % 3)
            assert_int_equal(db_commit(s->db), DB_OK);
        else
            db_rollback(s->db);
        if (i % 20 == 19)
            sqlite3_wal_checkpoint_v2(db_handle(s->db), NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
    }
    assert_true(other_ends() >= TIMES * ROWS);
    assert_string_equal(store_text(s, "PRAGMA integrity_check"), "ok");
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM generations WHERE substr(kind, 1, 1) = 'a'"), TIMES * ROWS);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM generations WHERE substr(kind, 1, 1) = 'b'"),
                     TIMES * 2 / 3 * ROWS);
    assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM generations"), TIMES * ROWS + TIMES * 2 / 3 * ROWS);
}

/* Where power failures may hurt the neighbours of what is written, SQLite fills up the sector after its sync. */
static void test_what_is_written_after_the_sync_is_not_kept_back(void **state)
{
    struct store *s = *state;
    char uri[120], err[300] = "";
    if (!sqlite3_compileoption_used("USE_URI"))
        skip();
    snprintf(uri, sizeof uri, "file:%s?psow=0", s->path);
    sqlite3 *h = connect_open(uri, DB_READWRITE, err, sizeof err);
    if (!h)
        fail_msg("%s", err);
    for (int i = 0; i < 20; i++) {
        char sql[80];
        snprintf(sql, sizeof sql, "INSERT INTO generations (kind, n) VALUES ('%d', 1)", i);
        assert_int_equal(sqlite3_exec(h, sql, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(store_int(s->db, "SELECT COUNT(*) FROM generations"), i + 1);
        assert_string_equal(store_text(s, "PRAGMA integrity_check"), "ok");
    }
    sqlite3_close(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_writer_and_nobody_else_writes_this_way, set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_commit_is_a_few_large_writes, set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_is_written_before_the_commit, set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_rolled_back_then_the_other_then_this_one, set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_failing_write_leaves_nothing, set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_failing_write_into_a_new_log_leaves_nothing, set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_failing_sync_leaves_nothing, set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_a_full_disk_in_a_commit_leaves_nothing, set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_the_log_begins_anew_under_both, set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_two_at_once_lose_nothing, set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_written_after_the_sync_is_not_kept_back, set_up, store_tear_down),
    };
    other_start();
    faults_prepare();
    return cmocka_run_group_tests_name("vfs", tests, NULL, NULL);
}

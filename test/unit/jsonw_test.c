#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>
#include <math.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/jsonw.h"

static struct buf out;
static struct jsonw w;

static int set_up(void **state)
{
    (void)state;
    buf_init(&out, 1 << 20);
    jw_init(&w, &out);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_release(&out);
    return 0;
}

static void wrote(const char *text)
{
    assert_string_equal(buf_str(&out), text);
    assert_true(json_gate(out.data, out.len, 0, NULL));
    buf_clear(&out);
    jw_init(&w, &out);
}

static void test_empty_containers(void **state)
{
    (void)state;
    jw_obj(&w);
    jw_obj_end(&w);
    wrote("{}");
    jw_arr(&w);
    jw_arr_end(&w);
    wrote("[]");
}

static void test_labels(void **state)
{
    (void)state;
    static const char a[] = ",\"a\":", b[] = ",\"b\":";
    jw_obj(&w);
    jw_label(&w, a, sizeof a - 1);
    jw_int(&w, 1);
    jw_label(&w, b, sizeof b - 1);
    jw_obj(&w);
    jw_label(&w, a, sizeof a - 1);
    jw_null(&w);
    jw_obj_end(&w);
    jw_kstr(&w, "c", "x");
    jw_obj_end(&w);
    wrote("{\"a\":1,\"b\":{\"a\":null},\"c\":\"x\"}");
}

static void test_commas_and_colons(void **state)
{
    (void)state;
    jw_obj(&w);
    jw_kstr(&w, "s", "x");
    jw_kint(&w, "i", -5);
    jw_knum(&w, "n", 0.7);
    jw_kbool(&w, "t", true);
    jw_kbool(&w, "f", false);
    jw_knull(&w, "z");
    jw_kstr(&w, "none", NULL);
    jw_kraw(&w, "raw", "[1]");
    jw_kraw(&w, "noraw", NULL);
    jw_karr(&w, "a");
    jw_int(&w, 1);
    jw_arr(&w);
    jw_arr_end(&w);
    jw_obj(&w);
    jw_obj_end(&w);
    jw_str(&w, "");
    jw_null(&w);
    jw_bool(&w, true);
    jw_num(&w, 2);
    jw_raw(&w, "3xx", 1);
    jw_arr_end(&w);
    jw_kobj(&w, "o");
    jw_kint(&w, "x", 1);
    jw_obj_end(&w);
    jw_kopt(&w, "left out", NULL);
    jw_kopt(&w, "left out", "");
    jw_kopt(&w, "in", "y");
    jw_obj_end(&w);
    wrote("{\"s\":\"x\",\"i\":-5,\"n\":0.7,\"t\":true,\"f\":false,\"z\":null,\"none\":null,\"raw\":[1],\"noraw\":null,"
          "\"a\":[1,[],{},\"\",null,true,2,3],\"o\":{\"x\":1},\"in\":\"y\"}");
}

static void test_integers(void **state)
{
    (void)state;
    jw_arr(&w);
    jw_int(&w, INT64_MAX);
    jw_int(&w, INT64_MIN);
    jw_int(&w, 0);
    jw_arr_end(&w);
    wrote("[9223372036854775807,-9223372036854775808,0]");
}

static void test_strings(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        const char *json;
    } rows[] = {
        {"plain /<>&'", 11, "\"plain /<>&'\""},
        {"\"\\", 2, "\"\\\"\\\\\""},
        {"\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\""},
        {"a\0b", 3, "\"a\\u0000b\""},
        {"\x01\x1F\x20\x7F", 4, "\"\\u0001\\u001f \x7F\""},
        {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 9, "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""},
        {"a\xFF" "b", 3, "\"a\xEF\xBF\xBD" "b\""},
        {"\xC0\xAF", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"x\xE2\x82", 3, "\"x\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"\xE2\x82\xAC", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"", 0, "\"\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        jw_strn(&w, rows[i].text, rows[i].len);
        assert_string_equal(buf_str(&out), rows[i].json);
        buf_clear(&out);
        jw_init(&w, &out);
    }
}

/* One byte at a time is judge over the steps of eight. */
static void test_every_byte_at_every_place(void **state)
{
    (void)state;
    struct buf single = BUF_INIT(1000);
    for (int c = 0; c < 256; c++)
        for (size_t n = 1; n <= 19; n++)
            for (size_t at = 0; at < n; at++) {
                char *text = malloc(n);
                memset(text, 'x', n);
                text[at] = (char)c;
                buf_clear(&out);
                buf_clear(&single);
                json_escape(&out, text, n);
                for (size_t i = 0; i < n; i++)
                    json_escape(&single, text + i, 1);
                assert_string_equal(buf_str(&out), buf_str(&single));
                free(text);
            }
    buf_release(&single);
}

static void test_every_byte_gives_valid_json(void **state)
{
    (void)state;
    for (int a = 0; a < 256; a++)
        for (int b = 0; b < 256; b++) {
            char text[2] = {(char)a, (char)b};
            buf_clear(&out);
            jw_init(&w, &out);
            jw_strn(&w, text, 2);
            if (a && b && !json_gate(out.data, out.len, 0, NULL))
                fail_msg("%02x %02x", a, b);
        }
}

static void test_keys_are_escaped(void **state)
{
    (void)state;
    jw_obj(&w);
    jw_kint(&w, "a\"\n", 1);
    jw_obj_end(&w);
    wrote("{\"a\\\"\\n\":1}");
}

static void test_escape_alone(void **state)
{
    (void)state;
    assert_true(json_escape(&out, "a\"b", 3));
    assert_true(json_escape(&out, "", 0));
    assert_string_equal(buf_str(&out), "a\\\"b");
    struct buf small = BUF_INIT(3);
    assert_true(json_escape(&small, "abc", 3));
    assert_false(json_escape(&small, "d", 1));
    buf_release(&small);
    small = BUF_INIT(1);
    assert_false(json_escape(&small, "\"", 1));
    buf_release(&small);
}

static const struct {
    double value;
    const char *json;
} numbers[] = {
    {0, "0"},
    {-0.0, "-0"},
    {1, "1"},
    {-1, "-1"},
    {100, "100"},
    {0.7, "0.7"},
    {0.1, "0.1"},
    {0.3, "0.3"},
    {0.1 + 0.2, "0.30000000000000004"},
    {1.5, "1.5"},
    {2.5e-7, "2.5e-07"},
    {1e21, "1e+21"},
    {999999999999999.0, "999999999999999"},
    {-999999999999999.0, "-999999999999999"},
    {1e15, "1e+15"},
    {-1e15, "-1e+15"},
    {999999999999999.5, "999999999999999.5"},
    {123456789012345.0, "123456789012345"},
    {9007199254740992.0, "9007199254740992"},
    {1.0 / 3, "0.3333333333333333"},
    {1.7976931348623157e308, "1.7976931348623157e+308"},
    {5e-324, "4.94065645841247e-324"},
};

static void check_numbers(void)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        jw_num(&w, numbers[i].value);
        wrote(numbers[i].json);
    }
    double broken[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        jw_num(&w, broken[i]);
        wrote("null");
    }
}

static void test_numbers(void **state)
{
    (void)state;
    check_numbers();
}

static void test_numbers_read_back_equal(void **state)
{
    (void)state;
    uint64_t bits = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        double v, back;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v))
            continue;
        buf_clear(&out);
        jw_init(&w, &out);
        jw_num(&w, v);
        back = strtod(out.data, NULL);
        assert_memory_equal(&v, &back, sizeof v);
        assert_true(json_gate(out.data, out.len, 0, NULL));
    }
}

static bool runs(const char *const argv[])
{
    pid_t pid = fork();
    if (pid == 0) {
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    int status = -1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* Debian has no such locale until somebody makes one: it is made here, for this program alone. */
static void test_numbers_with_a_decimal_comma(void **state)
{
    (void)state;
    char folder[] = "/tmp/clawgate_locale.XXXXXX", locale[60];
    assert_non_null(mkdtemp(folder));
    snprintf(locale, sizeof locale, "%s/de_DE.UTF-8", folder);
    bool made = runs((const char *const[]){"localedef", "-i", "de_DE", "-f", "UTF-8", locale, NULL});
    setenv("LOCPATH", folder, 1);
    bool set = setlocale(LC_NUMERIC, "de_DE.UTF-8") != NULL;
    unsetenv("LOCPATH");
    bool removed = runs((const char *const[]){"rm", "-r", folder, NULL});
    assert_true(made); /* the package locales has what localedef needs */
    assert_true(set && removed);
    assert_string_equal(localeconv()->decimal_point, ",");
    check_numbers();
    setlocale(LC_NUMERIC, "C");
}

static void test_trees(void **state)
{
    (void)state;
    const char *text = "{\"a\":[1,-0,1.0,1e5,\"x\\n\xC3\xA9/\",true,false,null,{},[]],\"b\":{\"c\":{}},\"\":\"\"}";
    json_object *o = json_parse_owned(text, strlen(text), 0, NULL);
    assert_non_null(o);
    jw_arr(&w);
    jw_json(&w, o);
    jw_json(&w, NULL);
    jw_arr_end(&w);
    json_object_put(o);
    wrote("[{\"a\":[1,0,1.0,1e5,\"x\\n\xC3\xA9/\",true,false,null,{},[]],\"b\":{\"c\":{}},\"\":\"\"},null]");
}

static void test_tree_of_built_numbers(void **state)
{
    (void)state;
    json_object *o = json_object_new_array();
    json_object_array_add(o, json_object_new_double(0.7));
    json_object_array_add(o, json_object_new_double(2));
    json_object_array_add(o, json_object_new_double(NAN));
    json_object_array_add(o, json_object_new_int64(INT64_MIN));
    jw_json(&w, o);
    json_object_put(o);
    wrote("[0.7,2,null,-9223372036854775808]");
}

/* A tree as deep as the gate allows, below levels of the writer's own. */
static void test_deep_tree(void **state)
{
    (void)state;
    struct buf deep = BUF_INIT(1000);
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        buf_adds(&deep, "[1,");
    deep.len--;
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        buf_addc(&deep, ']');
    json_object *o = json_parse_owned(deep.data, deep.len, 0, NULL);
    assert_non_null(o);
    jw_json(&w, o);
    assert_string_equal(buf_str(&out), buf_str(&deep));
    json_object_put(o);
    buf_release(&deep);
}

static void test_depth_of_the_writer(void **state)
{
    (void)state;
    for (int i = 0; i < JSONW_DEPTH_MAX; i++) {
        jw_arr(&w);
        jw_int(&w, i);
    }
    for (int i = 0; i < JSONW_DEPTH_MAX; i++) {
        jw_arr_end(&w);
        if (i + 1 < JSONW_DEPTH_MAX)
            jw_int(&w, 0);
    }
    json_object *o = json_parse_owned(out.data, out.len, 0, NULL);
    assert_non_null(o);
    assert_int_equal(json_object_array_length(o), 3);
    json_object_put(o);
}

static void test_full_buffer_fails_quietly(void **state)
{
    (void)state;
    struct buf small = BUF_INIT(10);
    jw_init(&w, &small);
    jw_obj(&w);
    jw_kstr(&w, "key", "a long value");
    jw_obj_end(&w);
    assert_true(small.failed);
    assert_true(small.len <= 10);
    buf_release(&small);
}

/* At every limit what is written is a beginning of the whole, closed with a NUL. */
static void test_every_limit_of_a_string(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"plain \x01\xC3\xA9\xFF\"end", "\"plain \\u0001\xC3\xA9\xEF\xBF\xBD\\\"end\""},
        {"x\x01", "\"x\\u0001\""},
        {"\xFF", "\"\xEF\xBF\xBD\""},
        {"", "\"\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t whole = strlen(rows[i][1]);
        for (size_t max = 0; max <= whole + 1; max++) {
            struct buf small = BUF_INIT(max);
            jw_init(&w, &small);
            jw_str(&w, rows[i][0]);
            assert_int_equal(small.failed, max < whole);
            assert_memory_equal(buf_str(&small), rows[i][1], small.len);
            assert_int_equal(strlen(buf_str(&small)), small.len);
            buf_release(&small);
        }
    }
}

static void close_nothing(void)
{
    jw_arr_end(&w);
}

static void close_the_wrong_kind(void)
{
    jw_obj(&w);
    jw_arr_end(&w);
}

static void key_in_an_array(void)
{
    jw_arr(&w);
    jw_key(&w, "a");
}

static void value_without_key(void)
{
    jw_obj(&w);
    jw_int(&w, 1);
}

static void key_after_key(void)
{
    jw_obj(&w);
    jw_key(&w, "a");
    jw_key(&w, "b");
}

static void key_without_value(void)
{
    jw_obj(&w);
    jw_key(&w, "a");
    jw_obj_end(&w);
}

static void two_roots(void)
{
    jw_int(&w, 1);
    jw_int(&w, 2);
}

static void too_deep(void)
{
    for (int i = 0; i <= JSONW_DEPTH_MAX; i++)
        jw_arr(&w);
}

static void test_mistakes_assert(void **state)
{
    (void)state;
    void (*const mistakes[])(void) = {
        close_nothing, close_the_wrong_kind, key_in_an_array, value_without_key,
        key_after_key, key_without_value,    two_roots,       too_deep,
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            signal(SIGABRT, SIG_DFL);
            close(STDERR_FILENO);
            mistakes[i]();
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
            fail_msg("mistake %zu went unnoticed", i);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_empty_containers),
        TEST(test_labels),
        TEST(test_commas_and_colons),
        TEST(test_integers),
        TEST(test_strings),
        TEST(test_every_byte_at_every_place),
        TEST(test_every_byte_gives_valid_json),
        TEST(test_keys_are_escaped),
        TEST(test_escape_alone),
        TEST(test_numbers),
        TEST(test_numbers_read_back_equal),
        TEST(test_numbers_with_a_decimal_comma),
        TEST(test_trees),
        TEST(test_tree_of_built_numbers),
        TEST(test_deep_tree),
        TEST(test_depth_of_the_writer),
        TEST(test_full_buffer_fails_quietly),
        TEST(test_every_limit_of_a_string),
        TEST(test_mistakes_assert),
    };
    return cmocka_run_group_tests_name("jsonw", tests, NULL, NULL);
}

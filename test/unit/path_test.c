/* path_parse and percent-encoding. */
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/percent.h"
#include "web/route.h"
#include "test/unit/rule.h"

struct path_case {
    const char *target;
    enum path_rc rc;
    const char *joined; /* segments with a bar between them */
    bool slash;
};

static const struct path_case cases[] = {
    {"/", PATH_OK, "", false},
    {"/v1/agents", PATH_OK, "v1|agents", false},
    {"/v1/agents/", PATH_OK, "v1|agents", true},
    {"/v1/agents?x=/../", PATH_OK, "v1|agents", false},
    {"/v1/agents/?x", PATH_OK, "v1|agents", true},
    {"?x=1", PATH_UNKNOWN, NULL, false},
    {"", PATH_UNKNOWN, NULL, false},
    {"*", PATH_UNKNOWN, NULL, false},
    {"v1/agents", PATH_UNKNOWN, NULL, false},
    {"//", PATH_UNKNOWN, NULL, false},
    {"/v1//agents", PATH_UNKNOWN, NULL, false},
    {"/v1/agents//", PATH_UNKNOWN, NULL, false},
    /* each segment is decoded once */
    {"/v1/a%2Fb", PATH_OK, "v1|a/b", false},
    {"/v1/a%252Fb", PATH_OK, "v1|a%2Fb", false},
    {"/v1/group%3Atelegram%3A-100", PATH_OK, "v1|group:telegram:-100", false},
    {"/v1/a+b", PATH_OK, "v1|a+b", false},
    {"/%76%31/x", PATH_OK, "v1|x", false},
    {"/v1/%c3%A9", PATH_OK, "v1|\xc3\xa9", false},
    {"/v1/%2f", PATH_OK, "v1|/", false},
    {"/v1/%3F", PATH_OK, "v1|?", false},
    /* dots */
    {"/v1/.", PATH_BAD, NULL, false},
    {"/v1/..", PATH_BAD, NULL, false},
    {"/v1/../x", PATH_BAD, NULL, false},
    {"/v1/%2e", PATH_BAD, NULL, false},
    {"/v1/%2E%2e/x", PATH_BAD, NULL, false},
    {"/v1/.%2e", PATH_BAD, NULL, false},
    {"/..", PATH_BAD, NULL, false},
    {"/v1//../x", PATH_BAD, NULL, false},
    {"/v1/...", PATH_OK, "v1|...", false},
    {"/v1/.x", PATH_OK, "v1|.x", false},
    {"/v1/%252e%252e", PATH_OK, "v1|%2e%2e", false},
    /* malformed */
    {"/v1/%", PATH_BAD, NULL, false},
    {"/v1/%4", PATH_BAD, NULL, false},
    {"/v1/%4/x1", PATH_BAD, NULL, false},
    {"/v1/%4g", PATH_BAD, NULL, false},
    {"/v1/%g4", PATH_BAD, NULL, false},
    {"/v1/a%00b", PATH_BAD, NULL, false},
    {"/v1/.%00", PATH_BAD, NULL, false},
    {"/v1/%ff", PATH_BAD, NULL, false},
    {"/v1/%c0%ae", PATH_BAD, NULL, false},
    {"/v1/%ed%a0%80", PATH_BAD, NULL, false},
    {"/v1/\xff", PATH_BAD, NULL, false},
    /* absolute form */
    {"http://host/v1/x?y", PATH_OK, "v1|x", false},
    {"HTTPS://user:secret@host:1/v1", PATH_OK, "v1", false},
    {"http://host", PATH_OK, "", false},
    {"http://host?/v1/x", PATH_OK, "", false},
    {"://host/v1", PATH_UNKNOWN, NULL, false},
};

static void path_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct path_case *c = &cases[i];
        struct arena *a = arena_new();
        struct path p;
        enum path_rc rc = path_parse(a, c->target, &p);
        if (rc != c->rc)
            fail_msg("%s: result %d, not %d", c->target, rc, c->rc);
        if (rc == PATH_OK) {
            struct buf joined = BUF_INIT(4096);
            for (int k = 0; k < p.n; k++)
                buf_addf(&joined, "%s%s", k > 0 ? "|" : "", p.seg[k]);
            assert_string_equal(buf_str(&joined), c->joined);
            assert_int_equal(p.trailing_slash, c->slash);
            buf_release(&joined);
        }
        arena_free(a);
    }
}

static enum path_rc parse_repeated(const char *piece, int times, const char *tail, int *n)
{
    struct arena *a = arena_new();
    struct buf b = BUF_INIT(4096);
    for (int i = 0; i < times; i++)
        buf_adds(&b, piece);
    buf_adds(&b, tail);
    struct path p;
    enum path_rc rc = path_parse(a, buf_str(&b), &p);
    *n = p.n;
    buf_release(&b);
    arena_free(a);
    return rc;
}

static void segment_limit(void **state)
{
    (void)state;
    int n;
    assert_int_equal(parse_repeated("/x", PATH_SEGMENTS_MAX, "", &n), PATH_OK);
    assert_int_equal(n, PATH_SEGMENTS_MAX);
    assert_int_equal(parse_repeated("/x", PATH_SEGMENTS_MAX, "/", &n), PATH_OK);
    assert_int_equal(parse_repeated("/x", PATH_SEGMENTS_MAX + 1, "", &n), PATH_UNKNOWN);
    assert_int_equal(parse_repeated("/x", PATH_SEGMENTS_MAX + 1, "/..", &n), PATH_BAD);
}

static void encoding_comes_back(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(4096);
    percent_encode_path(&b, "/a b/%/?#/\xc3\xa9/x:y@z");
    assert_string_equal(buf_str(&b), "/a%20b/%25/%3F%23/%C3%A9/x:y@z");
    size_t n;
    assert_true(percent_decode(b.data, b.len, false, &n));
    assert_string_equal(b.data, "/a b/%/?#/\xc3\xa9/x:y@z");
    buf_release(&b);
}

static void decoding_stays_inside(void **state)
{
    (void)state;
    /* The two bytes behind the given length must not complete an escape. */
    char text[] = "a%41";
    size_t n;
    assert_false(percent_decode(text, 2, false, &n));
    char text3[] = "a%41";
    assert_false(percent_decode(text3, 3, false, &n));
    char text4[] = "a%41";
    assert_true(percent_decode(text4, 4, false, &n));
    assert_int_equal(n, 2);
    assert_string_equal(text4, "aA");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TEST("12.9", path_cases),
        cmocka_unit_test(segment_limit),
        cmocka_unit_test(encoding_comes_back),
        cmocka_unit_test(decoding_stays_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

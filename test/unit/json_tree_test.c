/* The tree of plain structs: the same values as json-c's, in memory that is used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "test/json_nodes.h"

static struct json_tree tree;

static int tear_down(void **state)
{
    (void)state;
    json_tree_release(&tree);
    return 0;
}

static const char *const texts[] = {
    "{}", "[]", "0", "-0", "12", "-9223372036854775808", "9223372036854775807", "1.5", "-1e-3", "1E+5", "true", "false",
    "null", "\"\"", "\"a\"", " [ 1 , 2 ] ", "[[],{},[{}]]", "{\"a\":null,\"b\":[null]}",
    "{ \"a\" : { \"a\" : \"x\" } , \"\" : { \"b\" : 2 } }", "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]",
    "{\"\\u0061\\n\":\"\\ud83d\\ude00\",\"b\\u00e9\":\"\\uABCD tail that is longer than a word of eight bytes\"}",
    "{\"long key that needs more than one step\":[\"long text that needs more than one step\",\"\xC3\xA9\"]}",
};

static void says_what_json_c_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t len = strlen(texts[i]);
        char *copy = malloc(len); /* of just its size: reading past the end shows under ASan */
        memcpy(copy, texts[i], len);
        json_object *o = json_parse_owned(copy, len, 0, NULL);
        if (!nodes_equal(json_tree_read(&tree, copy, len, 0, NULL), o))
            fail_msg("another value: %s", texts[i]);
        json_object_put(o);
        free(copy);
    }
}

static void refuses_what_the_gate_refuses(void **state)
{
    (void)state;
    struct json_fault fault;
    assert_null(json_tree_read(&tree, "{\"a\":1,\"a\":2}", 13, 0, &fault));
    assert_string_equal(fault.reason, "key occurs twice in an object");
    assert_null(json_tree_read(&tree, "[1,2,3]", 7, 3, &fault));
    assert_string_equal(fault.reason, "too many values");
    assert_non_null(json_tree_read(&tree, "[1,2,3]", 7, 4, NULL));
    assert_null(json_tree_read(&tree, "", 0, 0, NULL));
}

static void readers_know_kinds(void **state)
{
    (void)state;
    static const char text[] = "{\"s\":\"x\",\"i\":-7,\"d\":1.5,\"n\":null,\"o\":{\"s\":\"y\"},\"a\":[1]}";
    const struct json_node *n = json_tree_read(&tree, text, sizeof text - 1, 0, NULL);
    assert_string_equal(json_node_str(n, "s"), "x");
    assert_null(json_node_str(n, "i"));
    assert_int_equal(json_node_int(n, "i", 1), -7);
    assert_int_equal(json_node_int(n, "d", 1), 1);
    assert_int_equal(json_node_int(n, "s", 1), 1);
    assert_null(json_node_get(n, "n"));
    assert_null(json_node_get(n, "missing"));
    assert_string_equal(json_node_str(json_node_get(n, "o"), "s"), "y");
    assert_null(json_node_str(json_node_get(n, "a"), "s"));
    assert_null(json_node_get(NULL, "s"));
    assert_false(json_node_is(NULL, JSON_NULL));
    assert_int_equal(json_node_get(n, "o")->len, strlen("{\"s\":\"y\"}"));
}

/* Small after large and large after small; nothing of the text before is left. */
static void memory_is_used_again(void **state)
{
    (void)state;
    struct buf large = BUF_INIT(1 << 20);
    buf_addc(&large, '[');
    for (int i = 0; i < 5000; i++)
        buf_adds(&large, i ? ",\"0123456789\"" : "\"0123456789\"");
    buf_addc(&large, ']');
    for (int round = 0; round < 3; round++) {
        const struct json_node *n = json_tree_read(&tree, "{\"a\":[1]}", 9, 0, NULL);
        assert_int_equal(json_node_get(n, "a")->first->len, 1);
        assert_null(json_node_get(n, "a")->first->next);
        n = json_tree_read(&tree, large.data, large.len, 0, NULL);
        size_t count = 0;
        for (const struct json_node *e = n->first; e; e = e->next, count++)
            assert_string_equal(e->text, "0123456789");
        assert_int_equal(count, 5000);
    }
    struct json_node *nodes = tree.nodes;
    json_tree_read(&tree, "[1]", 3, 0, NULL);
    assert_ptr_equal(tree.nodes, nodes);
    buf_release(&large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_json_c_says),
        cmocka_unit_test(refuses_what_the_gate_refuses),
        cmocka_unit_test(readers_know_kinds),
        cmocka_unit_test(memory_is_used_again),
    };
    return cmocka_run_group_tests_name("json_tree", tests, NULL, tear_down);
}

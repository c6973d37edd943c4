/* Whatever the gate accepts json-c parses, to the same tree as ours, and what is written from that passes the gate and
 * gives the same again. The tree of plain structs holds the same values. */
#include "base/jsonw.h"
#include "test/json_nodes.h"
#include "test/json_reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void write_tree(struct buf *out, json_object *o)
{
    struct jsonw w;
    jw_init(&w, out);
    jw_json(&w, o);
    require(!out->failed);
}

static json_object *parse_accepted(const char *text, size_t len)
{
    struct json_fault fault = {0};
    require(json_gate(text, len, 0, &fault));
    return json_parse_owned(text, len, 0, &fault);
}

static bool is_finite_tree(json_object *o)
{
    switch (json_object_get_type(o)) {
    case json_type_double:
        return json_object_get_double(o) - json_object_get_double(o) == 0;
    case json_type_array:
        for (size_t i = 0; i < json_object_array_length(o); i++)
            if (!is_finite_tree(json_object_array_get_idx(o, i)))
                return false;
        return true;
    case json_type_object: {
        json_object_object_foreach(o, key, value) {
            if (!key || !is_finite_tree(value))
                return false;
        }
        return true;
    }
    default:
        return true;
    }
}

static void check_gate(const char *text, size_t len)
{
    struct json_fault fault = {0};
    if (!json_gate(text, len, 0, &fault)) {
        require(fault.reason && fault.offset <= len);
        return;
    }
    json_object *first = parse_accepted(text, len), *reference;
    require(reference_parse(text, len, &reference) && reference_equal(first, reference));
    json_object_put(reference);
    static struct json_tree tree; /* used again and again, as streams do */
    require(nodes_equal(json_tree_read(&tree, text, len, 0, NULL), first));
    struct json_fault null_text = {0};
    if (!first) {
        require(!json_parse_owned(text, len, 0, &null_text) && strcmp(null_text.reason, "the text is null") == 0);
        return;
    }
    require(is_finite_tree(first));
    struct buf once = BUF_INIT(1 << 26), twice = BUF_INIT(1 << 26);
    write_tree(&once, first);
    json_object *second = parse_accepted(once.data, once.len);
    require(second != NULL);
    write_tree(&twice, second);
    require(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    const char *own = json_object_to_json_string_ext(first, JSON_C_TO_STRING_PLAIN);
    require(json_gate(own, strlen(own), 0, &fault));
    buf_release(&once);
    buf_release(&twice);
    json_object_put(first);
    json_object_put(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size ? size : 1);
    require(text != NULL);
    if (size)
        memcpy(text, data, size);
    check_gate(text, size);
    json_strip_comments(text, size);
    check_gate(text, size);
    free(text);
    return 0;
}

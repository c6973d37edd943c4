/* Tool schemas as providers want them: references replaced, types completed, without what a provider refuses; whatever
 * a client sends. */
#include "base/arena.h"
#include "base/json.h"
#include "llm/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WRITTEN_MAX = 64 << 20 };

static const char *tasted(struct arena *a, const char *schema, enum schema_taste taste)
{
    struct buf *b = buf_new(a, WRITTEN_MAX);
    struct jsonw w;
    jw_init(&w, b);
    schema_write(&w, &(struct llm_tool){"f", "", schema, false}, taste);
    assert_false(b->failed);
    return buf_str(b);
}

static const char *written(struct arena *a, const char *schema)
{
    return tasted(a, schema, SCHEMA_ANY);
}

#define OBJECT "\"type\":\"object\""
#define PLAIN "{" OBJECT ",\"properties\":{}}"

static void test_schemas(void **state)
{
    (void)state;
    static const struct {
        const char *schema, *wanted;
    } cases[] = {
        /* what is no object schema */
        {NULL, PLAIN},
        {"[]", PLAIN},
        {"{}", PLAIN},
        {"nonsense", PLAIN},
        {"{\"type\":\"string\"}", "{\"type\":\"string\",\"properties\":{}}"},
        /* completed at every level */
        {"{\"properties\":{\"a\":{\"properties\":{\"b\":{\"type\":\"object\"}}}}}",
         "{\"properties\":{\"a\":{\"properties\":{\"b\":" PLAIN "}," OBJECT "}}," OBJECT "}"},
        {"{" OBJECT ",\"properties\":{\"a\":{\"type\":[\"object\",\"null\"]},\"b\":{\"type\":\"array\"}}}",
         "{" OBJECT ",\"properties\":{\"a\":{\"type\":[\"object\",\"null\"]},\"b\":{\"type\":\"array\"}}}"},
        /* definitions, by every name and way of writing it */
        {"{\"properties\":{\"a\":{\"$ref\":\"#/$defs/x\"},\"b\":{\"$ref\":\"#/definitions/y\"}},"
         "\"$defs\":{\"x\":{\"type\":\"string\"}},\"definitions\":{\"y\":{\"type\":\"integer\"}}}",
         "{\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"integer\"}}," OBJECT "}"},
        {"{\"properties\":{\"a\":{\"$ref\":\"#/$defs/List%3Cx~1y%3E\"},\"b\":{\"$ref\":\"#/properties/a/type\"}},"
         "\"$defs\":{\"List<x/y>\":{\"type\":\"array\"}}}",
         "{\"properties\":{\"a\":{\"type\":\"array\"},\"b\":{}}," OBJECT "}"},
        {"{\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"$ref\":\"#/properties/a\"}}}",
         "{\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"string\"}}," OBJECT "}"},
        /* one inside the other, in lists, and the whole schema as one */
        {"{\"$ref\":\"#/$defs/args\",\"$defs\":{\"args\":{\"properties\":{\"p\":{\"anyOf\":[{\"$ref\":\"#/$defs/q\"},"
         "{\"type\":\"null\"}]}},\"required\":[\"p\"]},\"q\":{\"items\":{\"$ref\":\"#/$defs/r\"}},\"r\":{\"const\":1}}}",
         "{\"properties\":{\"p\":{\"anyOf\":[{\"items\":{\"const\":1}},{\"type\":\"null\"}]}},\"required\":[\"p\"],"
         OBJECT "}"},
        /* what stands beside a reference is kept, and wins */
        {"{\"properties\":{\"a\":{\"$ref\":\"#/$defs/x\",\"description\":\"mine\",\"default\":2}},"
         "\"$defs\":{\"x\":{\"type\":\"string\",\"description\":\"its\"}}}",
         "{\"properties\":{\"a\":{\"type\":\"string\",\"description\":\"mine\",\"default\":2}}," OBJECT "}"},
        /* nowhere, elsewhere, no reference at all */
        {"{\"properties\":{\"a\":{\"$ref\":\"#/$defs/none\"},\"b\":{\"$ref\":\"https://x.test/y.json\"},"
         "\"c\":{\"$ref\":\"#anchor\"},\"d\":{\"$ref\":\"#/%zz\"},\"e\":{\"$ref\":7,\"title\":\"t\"},\"f\":{\"$ref\":\"\"}}}",
         "{\"properties\":{\"a\":{},\"b\":{},\"c\":{},\"d\":{},\"e\":{\"title\":\"t\"},\"f\":{}}," OBJECT "}"},
        /* names of properties and mere data are left alone */
        {"{\"properties\":{\"$ref\":{\"type\":\"string\"},\"definitions\":{\"default\":{\"$ref\":\"#/x\",\"$defs\":[]}}}}",
         "{\"properties\":{\"$ref\":{\"type\":\"string\"},\"definitions\":{\"default\":{\"$ref\":\"#/x\",\"$defs\":[]}}},"
         OBJECT "}"},
        {"{\"enum\":[{" OBJECT "}],\"properties\":{}}", "{\"enum\":[{" OBJECT "}],\"properties\":{}," OBJECT "}"},
        /* circles */
        {"{\"properties\":{\"self\":{\"$ref\":\"#\",\"title\":\"t\"}}}",
         "{\"properties\":{\"self\":{" OBJECT ",\"properties\":{},\"title\":\"t\"}}," OBJECT "}"},
        {"{\"properties\":{\"tree\":{\"$ref\":\"#/$defs/node\"}},\"$defs\":{\"node\":{\"properties\":{\"kids\":{\"type\":"
         "\"array\",\"items\":{\"$ref\":\"#/$defs/node\"}}}}}}",
         "{\"properties\":{\"tree\":{\"properties\":{\"kids\":{\"type\":\"array\",\"items\":" PLAIN "}}," OBJECT "}},"
         OBJECT "}"},
        {"{\"properties\":{\"a\":{\"$ref\":\"#/$defs/a\"}},\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},"
         "\"b\":{\"$ref\":\"#/$defs/a\"}}}",
         "{\"properties\":{\"a\":" PLAIN "}," OBJECT "}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena *a = arena_new();
        assert_string_equal(written(a, cases[i].schema), cases[i].wanted);
        arena_free(a);
    }
}

static void test_a_sound_schema_is_written_as_it_is(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct buf *b = buf_new(a, 1000);
    struct jsonw w;
    jw_init(&w, b);
    schema_write(&w, &(struct llm_tool){"f", "", "{\"$ref\": \"#\"}", true}, SCHEMA_ANY);
    assert_string_equal(buf_str(b), "{\"$ref\": \"#\"}");
    buf_clear(b);
    jw_init(&w, b);
    schema_write(&w, &(struct llm_tool){"f", "", "{\"type\":\"object\",\"minLength\":1,\"properties\":{}}", true},
                 SCHEMA_XAI);
    assert_string_equal(buf_str(b), PLAIN);
    arena_free(a);
}

#define NO_LENGTHS                                                                                                     \
    "\"title\":\"t\",\"minimum\":1,\"maximum\":2,\"exclusiveMinimum\":0,\"exclusiveMaximum\":3,\"multipleOf\":1,"        \
    "\"uniqueItems\":true,\"pattern\":\"x\",\"format\":\"uuid\",\"default\":1,\"examples\":[1],\"$schema\":\"s\","       \
    "\"$id\":\"i\",\"additionalProperties\":false,\"patternProperties\":{\"x\":{}},\"required\":[]"
#define ALL                                                                                                            \
    "\"minLength\":1,\"maxLength\":2,\"minItems\":1,\"maxItems\":2,\"minContains\":1,\"maxContains\":2," NO_LENGTHS
#define ONE(schema) "{\"properties\":{\"a\":" schema "}," OBJECT "}"

static void test_tastes(void **state)
{
    (void)state;
    static const struct {
        enum schema_taste taste;
        const char *schema, *wanted;
    } cases[] = {
        /* limits, at the top and below */
        {SCHEMA_ANY, "{" ALL "," OBJECT ",\"properties\":{}}", "{" ALL "," OBJECT ",\"properties\":{}}"},
        {SCHEMA_ANY, ONE("{" ALL "}"), ONE("{" ALL "}")},
        {SCHEMA_GEMINI, "{" ALL "," OBJECT "}", "{\"title\":\"t\"," OBJECT ",\"properties\":{}}"},
        {SCHEMA_GEMINI, ONE("{\"items\":{" ALL "}}"), ONE("{\"items\":{\"title\":\"t\"}}")},
        {SCHEMA_XAI, "{" ALL "," OBJECT "}", "{" NO_LENGTHS "," OBJECT ",\"properties\":{}}"},
        {SCHEMA_XAI, ONE("{\"items\":{" ALL "}}"), ONE("{\"items\":{" NO_LENGTHS "}}")},
        /* also behind and beside a reference */
        {SCHEMA_GEMINI,
         "{\"properties\":{\"a\":{\"$ref\":\"#/$defs/x\",\"default\":1}},\"$defs\":{\"x\":{\"type\":\"string\","
         "\"format\":\"date\"}}}",
         ONE("{\"type\":\"string\"}")},
        /* names of properties, and data */
        {SCHEMA_GEMINI, "{\"properties\":{\"format\":{},\"default\":{},\"const\":{},\"minLength\":{},\"anyOf\":{}},"
                        "\"required\":[\"format\"]," OBJECT "}",
         "{\"properties\":{\"format\":{},\"default\":{},\"const\":{},\"minLength\":{},\"anyOf\":{}},"
         "\"required\":[\"format\"]," OBJECT "}"},
        {SCHEMA_XAI, ONE("{\"enum\":[{\"minLength\":1}],\"const\":{\"maxItems\":2}}"),
         ONE("{\"enum\":[{\"minLength\":1}],\"const\":{\"maxItems\":2}}")},
        {SCHEMA_XAI, ONE("{\"dependentRequired\":{\"minLength\":[\"a\"],\"properties\":[\"b\"]}}"),
         ONE("{\"dependentRequired\":{\"minLength\":[\"a\"],\"properties\":[\"b\"]}}")},
        /* constants */
        {SCHEMA_GEMINI, ONE("{\"const\":\"x\"}"), ONE("{\"enum\":[\"x\"]}")},
        {SCHEMA_GEMINI, ONE("{\"const\":{\"const\":1},\"type\":\"object\"}"),
         ONE(PLAIN)},
        {SCHEMA_GEMINI, ONE("{\"const\":1,\"type\":\"integer\"}"), ONE("{\"type\":\"integer\"}")},
        /* of the values only texts, and only all of them */
        {SCHEMA_GEMINI, ONE("{\"type\":\"integer\",\"enum\":[1,2]}"), ONE("{\"type\":\"integer\"}")},
        {SCHEMA_GEMINI, ONE("{\"enum\":[\"x\",1]}"), ONE("{}")},
        {SCHEMA_GEMINI, ONE("{\"enum\":[\"x\",null]}"), ONE("{\"enum\":[\"x\"]}")},
        {SCHEMA_GEMINI, ONE("{\"enum\":[null]}"), ONE("{}")},
        {SCHEMA_XAI, ONE("{\"enum\":[\"x\",1]}"), ONE("{\"enum\":[\"x\",1]}")},
        /* lists of something */
        {SCHEMA_GEMINI, ONE("{\"type\":[\"array\",\"null\"],\"maxItems\":2}"),
         ONE("{\"type\":\"array\",\"items\":{\"type\":\"string\"}}")},
        {SCHEMA_GEMINI, ONE("{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}"),
         ONE("{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}")},
        {SCHEMA_XAI, ONE("{\"type\":\"array\"}"), ONE("{\"type\":\"array\"}")},
        {SCHEMA_XAI, ONE("{\"const\":\"x\"}"), ONE("{\"const\":\"x\"}")},
        /* unions with null */
        {SCHEMA_GEMINI, ONE("{\"type\":[\"string\",\"null\"]}"), ONE("{\"type\":\"string\"}")},
        {SCHEMA_GEMINI, ONE("{\"type\":[\"null\",\"string\"],\"enum\":[null,\"x\",null]}"),
         ONE("{\"type\":\"string\",\"enum\":[\"x\"]}")},
        {SCHEMA_GEMINI, ONE("{\"type\":[\"object\",\"null\"]}"), ONE(PLAIN)},
        {SCHEMA_GEMINI, ONE("{\"anyOf\":[{\"type\":\"string\",\"title\":\"its\",\"format\":\"date\"},{\"type\":\"null\"}],"
                            "\"title\":\"mine\",\"default\":null}"),
         ONE("{\"title\":\"mine\",\"type\":\"string\"}")},
        {SCHEMA_GEMINI, ONE("{\"oneOf\":[{\"type\":\"null\"},{" OBJECT ",\"properties\":{\"b\":{\"const\":\"x\"}}}]}"),
         ONE("{" OBJECT ",\"properties\":{\"b\":{\"enum\":[\"x\"]}}}")},
        {SCHEMA_GEMINI,
         "{\"properties\":{\"a\":{\"anyOf\":[{\"$ref\":\"#/$defs/x\"},{\"type\":\"null\"}]}},\"$defs\":{\"x\":{\"type\":"
         "[\"integer\",\"null\"]}}}",
         ONE("{\"type\":\"integer\"}")},
        {SCHEMA_GEMINI, "{\"type\":[\"object\",\"null\"]}", PLAIN},
        {SCHEMA_XAI, ONE("{\"type\":[\"string\",\"null\"]}"), ONE("{\"type\":[\"string\",\"null\"]}")},
        /* unions of other kinds stay, nonsense too */
        {SCHEMA_GEMINI, ONE("{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"integer\"},{\"type\":\"null\"}]}"),
         ONE("{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"integer\"},{\"type\":\"null\"}]}")},
        {SCHEMA_GEMINI, ONE("{\"anyOf\":[{\"type\":\"string\"}],\"type\":[\"null\"]}"),
         ONE("{\"anyOf\":[{\"type\":\"string\"}],\"type\":[\"null\"]}")},
        {SCHEMA_GEMINI, ONE("{\"anyOf\":{},\"oneOf\":[7,{\"type\":\"null\"}],\"type\":[],\"required\":7,\"enum\":{}}"),
         ONE("{\"anyOf\":{},\"oneOf\":[7,{\"type\":\"null\"}],\"type\":[],\"required\":7,\"enum\":{}}")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena *a = arena_new();
        assert_string_equal(tasted(a, cases[i].schema, cases[i].taste), cases[i].wanted);
        arena_free(a);
    }
}

/* Each definition has the one before twice: 2^40 of the first. */
static void test_a_small_text_cannot_become_a_large_one(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct buf *s = buf_new(a, 1 << 20);
    buf_adds(s, "{\"properties\":{\"a\":{\"$ref\":\"#/$defs/d40\"}},\"$defs\":{\"d0\":{\"type\":\"string\",\"description\":\"");
    for (int i = 0; i < 1000; i++)
        buf_adds(s, "long text ");
    buf_adds(s, "\"}");
    for (int i = 1; i <= 40; i++)
        buf_addf(s, ",\"d%d\":{\"anyOf\":[{\"$ref\":\"#/$defs/d%d\"},{\"$ref\":\"#/$defs/d%d\"}]}", i, i - 1, i - 1);
    buf_adds(s, "}}");
    const char *text = written(a, buf_str(s));
    assert_in_range(strlen(text), 100000, 2 << 20);
    assert_non_null(json_parse(a, text, strlen(text), 0, NULL));
    arena_free(a);
}

/* A schema of its own of that size is sent whole: it does not grow. */
static void test_a_large_schema_is_sent_whole(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct buf *s = buf_new(a, 16 << 20);
    buf_adds(s, "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"enum\":[0");
    for (int i = 1; i < 50000; i++)
        buf_addf(s, ",\"a value as long as many others: %d\"", i);
    buf_adds(s, "]}}}");
    assert_string_equal(written(a, buf_str(s)), buf_str(s));
    arena_free(a);
}

static void nest(struct buf *b, int levels)
{
    for (int i = 0; i < levels; i++)
        buf_adds(b, "{\"not\":");
    buf_adds(b, "{}");
    for (int i = 0; i < levels; i++)
        buf_addc(b, '}');
}

/* 64 levels of schemas are written, what would be deeper is a plain object. */
static void test_depth(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct buf *s = buf_new(a, 10000), *wanted = buf_new(a, 10000);
    buf_adds(s, "{\"properties\":{\"a\":{\"$ref\":\"#/$defs/x\"}},\"$defs\":{\"x\":{\"not\":{\"$ref\":\"#/$defs/y\"}},\"y\":");
    nest(s, 60);
    buf_adds(s, "}}");
    const char *text = written(a, buf_str(s));
    for (int i = 0; i < 59; i++)
        buf_adds(wanted, "{\"not\":");
    buf_adds(wanted, PLAIN);
    assert_non_null(strstr(text, buf_str(wanted)));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schemas),
        cmocka_unit_test(test_a_sound_schema_is_written_as_it_is),
        cmocka_unit_test(test_tastes),
        cmocka_unit_test(test_a_small_text_cannot_become_a_large_one),
        cmocka_unit_test(test_a_large_schema_is_sent_whole),
        cmocka_unit_test(test_depth),
    };
    return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}

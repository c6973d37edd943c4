/* llm/models: our lists, what upstreams answer, and what is asked of each kind. */
#include "llm/models.h"

#include "llm_fixture.h"

#define READ(text) llm_models_read(f->arena, text, strlen(text), &f->list)

enum { BIG = 4 << 20 };

struct models {
    struct fixture call;
    struct arena *arena;
    struct llm_model_list list;
};

static int set_up(void **state)
{
    struct models *f = calloc(1, sizeof *f);
    f->arena = arena_new();
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct models *f = *state;
    arena_free(f->arena);
    free(f);
    return 0;
}

static void expect_model(const struct models *f, size_t i, const char *id, const char *name)
{
    assert_true(i < f->list.count);
    assert_string_equal(f->list.items[i].id, id);
    if (name)
        assert_string_equal(f->list.items[i].name, name);
    else
        assert_null(f->list.items[i].name);
}

/* ---- ours ---- */

static void fixed_lists(void **state)
{
    struct models *f = *state;
    static const struct {
        const char *type, *first, *last;
        size_t count;
    } rows[] = {
        {"bailian", "qwen3.5-plus", "glm-4.7", 8},
        {"dashscope", "qwen3.5-plus", "wan2.6-video", 8},
        {"minimax_native", "MiniMax-Text-01", "speech-02-turbo", 12},
        {"anthropic_oauth", "claude-opus-4-6", "claude-haiku-4-5-20251001", 4},
        {"claude_cli", "sonnet", "haiku", 3},
        {"acp", "claude", "gemini", 3},
        {"suno", "v4.5", "v3.5", 3},
        {"chatgpt_oauth", "gpt-5.4", "gpt-5.1", 7},
        {"offline", "offline", "offline", 1},
    };
    size_t types, with_list = 0;
    const struct llm_type *table = llm_types(&types);
    for (size_t i = 0; i < types; i++)
        with_list += llm_models_fixed(table[i].name) != NULL;
    assert_int_equal(with_list, COUNT(rows));
    for (size_t i = 0; i < (size_t)COUNT(rows); i++) {
        struct llm_provider p = {.name = "p", .type = rows[i].type, .base_url = "", .api_key = ""};
        assert_non_null(llm_type_find(rows[i].type));
        assert_true(llm_models(f->arena, &p, NULL, &f->list));
        assert_int_equal(f->list.count, rows[i].count);
        assert_int_equal(f->list.status, 0);
        expect_model(f, 0, rows[i].first, NULL);
        expect_model(f, rows[i].count - 1, rows[i].last, NULL);
    }
    assert_null(llm_models_fixed("openai_compat"));
}

static void media_models(void **state)
{
    (void)state;
    static const char *const media[] = {"veo-3", "dall-e-3", "imagen-4", "gemini-2.5-flash-image-preview",
                                        "grok-imagine", "grok-2-image", "vendor/veo-3", "a/b/dall-e-2"};
    static const char *const others[] = {"", "gpt-4o", "veo", "my-dall-e-3", "gemini-2.5-flash", "grok-2",
                                         "veo-/chat", "imagen"};
    for (int i = 0; i < COUNT(media); i++)
        assert_true(llm_model_is_media(media[i]));
    for (int i = 0; i < COUNT(others); i++)
        assert_false(llm_model_is_media(others[i]));
}

/* ---- theirs ---- */

static void openai_list(void **state)
{
    struct models *f = *state;
    assert_true(READ("{\"object\":\"list\",\"data\":[{\"id\":\"a\"},{\"id\":\"v/b\",\"name\":\"V: B\"},"
                     "{\"id\":\"c\",\"name\":\"c\"},{\"id\":\"\"},{\"id\":7},\"text\",null,{}]}"));
    assert_int_equal(f->list.count, 3);
    expect_model(f, 0, "a", NULL);
    expect_model(f, 1, "v/b", "V: B");
    expect_model(f, 2, "c", NULL);
    assert_true(READ("[{\"id\":\"bare\"}]"));
    expect_model(f, 0, "bare", NULL);
    assert_true(READ("{\"data\":[]}"));
    assert_int_equal(f->list.count, 0);
}

static void anthropic_list(void **state)
{
    struct models *f = *state;
    assert_true(READ("{\"data\":[{\"type\":\"model\",\"id\":\"claude-x\",\"display_name\":\"Claude X\"}]}"));
    expect_model(f, 0, "claude-x", "Claude X");
}

static void gemini_list(void **state)
{
    struct models *f = *state;
    assert_true(READ("{\"models\":[{\"name\":\"models/gemini-x\",\"displayName\":\"Gemini X\"},"
                     "{\"name\":\"models/\"},{\"name\":\"tuned/y\"}]}"));
    assert_int_equal(f->list.count, 2);
    expect_model(f, 0, "gemini-x", "Gemini X");
    expect_model(f, 1, "tuned/y", NULL);
}

static void ollama_list(void **state)
{
    struct models *f = *state;
    assert_true(READ("{\"models\":[{\"name\":\"llama3:8b\",\"model\":\"llama3:8b\",\"details\":{\"family\":\"llama\","
                     "\"parameter_size\":\"8.0B\",\"quantization_level\":\"Q4_0\"}},"
                     "{\"name\":\"half\",\"details\":{\"family\":\"\",\"parameter_size\":\"1B\"}},"
                     "{\"name\":\"none\",\"details\":{}},{\"name\":\"odd\",\"details\":7}]}"));
    expect_model(f, 0, "llama3:8b", "llama3:8b (llama, 8.0B, Q4_0)");
    expect_model(f, 1, "half", "half (1B)");
    expect_model(f, 2, "none", NULL);
    expect_model(f, 3, "odd", NULL);
}

static void no_list(void **state)
{
    struct models *f = *state;
    assert_false(READ(""));
    assert_non_null(strstr(f->list.why, "the answer is no JSON ("));
    assert_false(READ("<html></html>"));
    assert_false(READ("null"));
    assert_false(READ("{\"data\":[{\"id\":\"a\"}"));
    assert_false(READ("{\"data\":[{\"id\":\"\xff\"}]}"));
    assert_false(READ("7"));
    assert_string_equal(f->list.why, "the answer is no list of models");
    assert_false(READ("{\"data\":{\"id\":\"a\"}}"));
    assert_false(READ("{\"error\":{\"message\":\"gone fishing\"}}"));
    assert_string_equal(f->list.why, "gone fishing");
}

/* ---- over the wire ---- */

#define TWO "{\"data\":[{\"id\":\"m-1\"},{\"id\":\"m-2\"}]}"

static void begin(struct models *f, const struct step *steps, int count, const char *type, const char *path)
{
    start(&f->call, steps, count, NULL);
    snprintf(f->call.url, sizeof f->call.url, "http://127.0.0.1:%d%s", f->call.server.port, path);
    f->call.provider.type = type;
}

static bool list(struct models *f)
{
    return llm_models(f->arena, &f->call.provider, &f->call.cancel, &f->list);
}

static void asked(void **state)
{
    struct models *f = *state;
    static const struct {
        const char *type, *path, *line, *header, *absent;
    } rows[] = {
        {"openai_compat", "/v1", "GET /v1/models HTTP/1.1", "Authorization: Bearer s3cret-key", "x-api-key"},
        {"openai_compat", "/v1?api-version=1", "GET /v1/models?api-version=1 ", "Bearer s3cret-key", "x-api-key"},
        {"anthropic_native", "/v1", "GET /v1/models?limit=1000 ", "x-api-key: s3cret-key", "Authorization"},
        {"anthropic_native", "/v1?k=v", "GET /v1/models?k=v&limit=1000 ", "anthropic-version: 2023-06-01", "Bearer"},
        {"gemini_native", "/v1beta/openai", "GET /v1beta/models?pageSize=1000 ", "x-goog-api-key: s3cret-key",
         "Authorization"},
        {"gemini_native", "/proxy/v1", "GET /proxy/v1/models ", "Bearer s3cret-key", "x-goog-api-key"},
        {"ollama", "/v1", "GET /api/tags ", "Bearer s3cret-key", "x-api-key"},
        {"ollama_cloud", "/deep/v1/", "GET /deep/api/tags ", "Bearer s3cret-key", "x-api-key"},
        {"perplexity", "", "GET /models ", "Bearer s3cret-key", "x-api-key"},
    };
    const struct step steps[] = {{HEAD("200 OK") "Content-Length: ?\r\n\r\n" TWO, CLOSE}};
    for (int i = 0; i < COUNT(rows); i++) {
        begin(f, steps, 1, rows[i].type, rows[i].path);
        assert_true(list(f));
        assert_int_equal(f->list.count, 2);
        assert_int_equal(f->list.status, 200);
        const char *request = f->call.server.last_request;
        assert_ptr_equal(strstr(request, rows[i].line), request);
        assert_non_null(strstr(request, rows[i].header));
        assert_null(strstr(request, rows[i].absent));
        char line[256];
        snprintf(line, sizeof line, "%.*s", (int)strcspn(request, "\r"), request);
        assert_null(strstr(line, "s3cret"));
        stop(&f->call);
    }
}

static void refused(struct models *f, const struct step *step, int status, const char *why)
{
    begin(f, step, 1, "openai_compat", "/v1");
    assert_false(list(f));
    assert_int_equal(f->list.status, status);
    if (!strstr(f->list.why, why))
        fail_msg("%s", f->list.why);
    assert_int_equal(f->list.count, 0);
    stop(&f->call);
}

static void failures(void **state)
{
    struct models *f = *state;
    static const struct {
        struct step step;
        int status;
        const char *why;
    } rows[] = {
        {{HEAD("401 No") "Content-Length: ?\r\n\r\n{\"error\":{\"message\":\"bad key s3cret-key\"}}", CLOSE}, 401,
         "bad key ***"},
        {{HEAD("503 No") "Content-Length: ?\r\n\r\nplain words about s3cret-key", CLOSE}, 503, "HTTP 503"},
        {{HEAD("302 Go") "Location: /elsewhere\r\nContent-Length: 0\r\n\r\n", CLOSE}, 302, "not followed"},
        {{HEAD("200 OK") "Content-Encoding: gzip\r\nContent-Length: ?\r\n\r\nxx", CLOSE}, 200, "compressed"},
        {{HEAD("200 OK") "Content-Length: ?\r\n\r\n{\"error\":\"inside\"}", CLOSE}, 200, "inside"},
        {{HEAD("200 OK") "\r\n", FLOOD}, 200, "larger than 4 MiB"},
        {{NULL, CLOSE}, 0, ""},
    };
    for (int i = 0; i < COUNT(rows); i++)
        refused(f, &rows[i].step, rows[i].status, rows[i].why);
    begin(f, &rows[0].step, 1, "vertex_ai", "/v1");
    assert_false(list(f));
    assert_int_equal(f->call.server.requests, 0);
    stop(&f->call);
    begin(f, &rows[0].step, 1, "openai_compat", "/v1");
    f->call.provider.private_allowed = false;
    assert_false(list(f));
    assert_non_null(strstr(f->list.why, "private"));
    stop(&f->call);
}

/* An answer of so many bytes: blanks in front of a list. */
static bool sized(struct models *f, size_t bytes)
{
    static const char head[] = HEAD("200 OK") "Content-Length: ?\r\n\r\n";
    char *text = malloc(sizeof head + bytes);
    memcpy(text, head, sizeof head);
    memset(text + sizeof head - 1, ' ', bytes);
    memcpy(text + sizeof head - 1 + bytes - strlen(TWO), TWO, sizeof TWO);
    const struct step step = {text, CLOSE};
    begin(f, &step, 1, "openai_compat", "/v1");
    bool ok = list(f);
    stop(&f->call);
    free(text);
    return ok;
}

static void largest_answer(void **state)
{
    struct models *f = *state;
    assert_true(sized(f, BIG));
    assert_int_equal(f->list.count, 2);
    assert_false(sized(f, BIG + 1));
    assert_string_equal(f->list.why, "the answer is larger than 4 MiB");
}

static void cancelled(void **state)
{
    struct models *f = *state;
    const struct step step = {NULL, HANG};
    begin(f, &step, 1, "openai_compat", "/v1");
    cancel_release(&f->call.cancel);
    cancel_init(&f->call.cancel, clock_mono_ms() + 100);
    int64_t began = clock_mono_ms();
    assert_false(list(f));
    assert_true(clock_mono_ms() - began < 600);
    assert_int_equal(cancel_check(&f->call.cancel), CANCEL_DEADLINE);
    stop(&f->call);
}

int main(void)
{
    fixture_clocks();
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(fixed_lists), TEST(media_models), TEST(openai_list),    TEST(anthropic_list), TEST(gemini_list),
        TEST(ollama_list), TEST(no_list),      TEST(asked),          TEST(failures),       TEST(largest_answer),
        TEST(cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

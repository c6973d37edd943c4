/* Which answer a request gets: the path's options, the last user message's options, the API by path ending. */
#include "test/upstream/parts/embeddings.h"
#include "test/upstream/parts/server.h"

struct route {
    struct http_span path, options;
    enum answer_api api;
    bool post;
};

static bool ends_with(struct http_span s, const char *end)
{
    size_t n = strlen(end);
    return s.n >= n && memcmp(s.p + s.n - n, end, n) == 0;
}

static bool span_equals(struct http_span s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

static struct route route_parse(const struct bytes *in)
{
    struct route r = {.path = http_target(in), .api = API_OTHER};
    const char *query = memchr(r.path.p, '?', r.path.n);
    if (query) {
        r.path.n = (size_t)(query - r.path.p);
    }
    if (r.path.n >= 3 && memcmp(r.path.p, "/o/", 3) == 0) {
        const char *end = r.path.p + r.path.n;
        const char *p = r.path.p + 3;
        const char *slash = memchr(p, '/', (size_t)(end - p));
        slash = slash ? slash : end;
        r.options = (struct http_span){p, (size_t)(slash - p)};
        r.path = (struct http_span){slash, (size_t)(end - slash)};
    }
    r.post = span_equals(http_method(in), "POST");
    if (r.post && ends_with(r.path, "/chat/completions")) {
        r.api = API_OPENAI;
    } else if (r.post && ends_with(r.path, "/messages")) {
        r.api = API_ANTHROPIC;
    } else if (!r.post && ends_with(r.path, "/models")) {
        r.api = API_MODELS;
    }
    return r;
}

/* Puts a made body in the place of a scripted text. */
static void script_set_text(struct script *s, struct bytes *text)
{
    bytes_add(text, "", 1);
    free(s->text);
    s->text = text->p;
}

static bool own_page(struct server *s, const struct route *r, struct script *script)
{
    struct bytes page = {0};
    if (span_equals(r->path, "/_requests")) {
        records_list(&s->records, &page);
    } else if (span_equals(r->path, "/_stats")) {
        records_stats(&s->records, &page);
    } else if (span_equals(r->path, "/_reset") && r->post) {
        records_reset(&s->records);
        records_stats(&s->records, &page);
    } else {
        return false;
    }
    script_set_text(script, &page);
    script->type = strdup("application/json");
    return true;
}

static void script_refuse(struct script *script, const char *why)
{
    struct bytes text = {0};
    bytes_text(&text, why);
    script_free(script);
    script_init(script);
    script->status = 400;
    script_set_text(script, &text);
}

static void answer_embeddings(const struct http *h, const struct bytes *in, struct script *script)
{
    struct bytes text = {0};
    if (embeddings_write(in->p + h->head_len, h->body_len, script->dims, &text)) {
        script_set_text(script, &text);
        free(script->type);
        script->type = strdup("application/json");
    } else {
        bytes_free(&text);
        script_refuse(script, "upstream: the body has no input, or dimensions are out of range");
    }
}

/* times=N: only the first N requests with the same options fail. */
static void apply_times(struct server *s, struct script *script, const struct route *r, const struct chat *chat)
{
    if (script->times > 0) {
        struct bytes key = {0};
        bytes_add(&key, r->options.p, r->options.n);
        if (chat && chat->directives) {
            bytes_text(&key, " ");
            bytes_add(&key, chat->directives, chat->directives_len);
        }
        if (record_times(&s->records, key.p, key.len) >= script->times) {
            script_forgive(script);
        }
        bytes_free(&key);
    }
}

static bool read_script(struct script *script, const struct route *r, const struct chat *chat, char *error, size_t size)
{
    if (!script_apply(script, r->options.p, r->options.n, error, size)) {
        return false;
    }
    return !chat || !chat->directives || script_apply(script, chat->directives, chat->directives_len, error, size);
}

struct answer *route_request(struct server *s, const struct http *h, const struct bytes *in, unsigned long *record_n)
{
    struct route r = route_parse(in);
    struct script script;
    script_init(&script);
    *record_n = 0;
    if (own_page(s, &r, &script)) {
        struct answer *page = answer_new(&script, API_OTHER, NULL, 0, 0);
        page->close = h->close;
        return page;
    }
    *record_n = record_add(&s->records, h, in, r.path, r.options);
    char error[256] = "upstream: the body is not a JSON object with messages";
    struct chat chat = {0};
    bool wants_chat = r.api == API_OPENAI || r.api == API_ANTHROPIC;
    const char *body = in->p + h->head_len;
    bool plain = s->records.quiet && r.options.n == 0 && wants_chat && chat_skim(&chat, body, h->body_len);
    bool ok = plain || !wants_chat || chat_read(&chat, body, h->body_len);
    const struct chat *known = wants_chat && ok ? &chat : NULL;
    ok = ok && read_script(&script, &r, known, error, sizeof error);
    if (!ok) {
        script_refuse(&script, error);
        known = NULL;
    } else {
        apply_times(s, &script, &r, known);
    }
    if (ok && r.post && ends_with(r.path, "/embeddings") && script.status == 200) {
        answer_embeddings(h, in, &script);
    }
    bool page = script.text || script.html || script.empty || script.garbage || script.inband;
    if (ok && r.api == API_OTHER && script.status == 200 && !page) {
        script.status = 404;
    }
    record_status(&s->records, *record_n, script.status);
    struct answer *a = answer_new(&script, r.api, known, h->body_len, *record_n);
    a->close = h->close;
    chat_free(&chat);
    return a;
}

#include "llm/reply.h"

#include "base/utf8.h"

enum { CALL_NAME_MAX = 4096, REPLACEMENT_LEN = 3 };

static const char replacement[] = "\xEF\xBF\xBD";

void reply_init(struct reply *r, const struct llm_sink *sink)
{
    memset(r, 0, sizeof(*r));
    r->sink = sink;
    buf_init(&r->text.all, REPLY_TEXT_MAX);
    buf_init(&r->thinking.all, REPLY_TEXT_MAX);
    buf_init(&r->signatures, REPLY_TEXT_MAX);
}

void reply_release(struct reply *r)
{
    buf_release(&r->text.all);
    buf_release(&r->thinking.all);
    buf_release(&r->signatures);
    for (size_t i = 0; i < r->call_count; i++) {
        buf_release(&r->calls[i].id);
        buf_release(&r->calls[i].name);
        buf_release(&r->calls[i].arguments);
        buf_release(&r->calls[i].signature);
    }
    free(r->calls);
    free(r->blocks);
    r->calls = NULL;
    r->blocks = NULL;
    r->call_count = r->call_cap = r->block_count = r->block_cap = 0;
}

/* Appends whole characters; each byte that belongs to none becomes U+FFFD. */
static void add_repaired(struct buf *out, const char *s, size_t n)
{
    while (n > 0) {
        uint32_t cp;
        size_t len = utf8_decode(s, n, &cp);
        if (len == 0) {
            buf_add(out, replacement, REPLACEMENT_LEN);
            len = 1;
        } else {
            buf_add(out, s, len);
        }
        s += len;
        n -= len;
    }
}

/* Completes the held character byte by byte; returns how many bytes of s that took. */
static size_t held_feed(struct reply_part *p, const char *s, size_t n)
{
    size_t used = 0;
    while (p->held_len > 0 && used < n) {
        p->held[p->held_len++] = s[used++];
        if (utf8_tail(p->held, p->held_len) == p->held_len && p->held_len < sizeof(p->held))
            continue;
        uint32_t cp;
        if (utf8_decode(p->held, p->held_len, &cp) == p->held_len) {
            buf_add(&p->all, p->held, p->held_len);
        } else {
            /* The new byte does not continue what was held: it starts afresh. */
            add_repaired(&p->all, p->held, p->held_len - 1);
            used--;
        }
        p->held_len = 0;
    }
    return used;
}

static void part_add(struct reply_part *p, const char *s, size_t n)
{
    size_t used = held_feed(p, s, n);
    s += used;
    n -= used;
    size_t tail = n > 0 ? utf8_tail(s, n) : 0;
    n -= tail;
    if (utf8_valid(s, n))
        buf_add(&p->all, s, n);
    else
        add_repaired(&p->all, s, n);
    if (tail > 0) {
        memcpy(p->held, s + n, tail);
        p->held_len = tail;
    }
}

static bool part_forward(struct reply *r, struct reply_part *p, size_t from,
                         void (*to)(void *ctx, const char *s, size_t n))
{
    if (p->all.failed) {
        r->too_large = true;
        return false;
    }
    if (!to || p->all.len == from)
        return true;
    r->forwarded = r->unflushed = true;
    to(r->sink->ctx, p->all.data + from, p->all.len - from);
    return true;
}

bool reply_text(struct reply *r, const char *s, size_t n)
{
    size_t from = r->text.all.len;
    part_add(&r->text, s, n);
    return part_forward(r, &r->text, from, r->sink ? r->sink->text : NULL);
}

bool reply_thinking(struct reply *r, const char *s, size_t n)
{
    size_t from = r->thinking.all.len;
    part_add(&r->thinking, s, n);
    return part_forward(r, &r->thinking, from, r->sink ? r->sink->thinking : NULL);
}

void reply_flush(struct reply *r)
{
    if (r->unflushed && r->sink && r->sink->flush)
        r->sink->flush(r->sink->ctx);
    r->unflushed = false;
}

static struct reply_call *call_new(struct reply *r, int64_t index)
{
    if (r->call_count == REPLY_CALLS_MAX)
        return NULL;
    if (r->call_count == r->call_cap) {
        size_t cap = r->call_cap ? r->call_cap * 2 : 4;
        struct reply_call *bigger = realloc(r->calls, cap * sizeof(*bigger));
        if (!bigger)
            return NULL;
        r->calls = bigger;
        r->call_cap = cap;
    }
    struct reply_call *call = &r->calls[r->call_count++];
    *call = (struct reply_call){.index = index < 0 ? (int64_t)r->call_count - 1 : index};
    buf_init(&call->id, CALL_NAME_MAX);
    buf_init(&call->name, CALL_NAME_MAX);
    buf_init(&call->arguments, REPLY_TEXT_MAX);
    buf_init(&call->signature, REPLY_TEXT_MAX);
    return call;
}

static bool is_object(const char *text, size_t len)
{
    size_t at = 0;
    while (at < len && strchr(" \t\r\n", text[at]))
        at++;
    return at < len && text[at] == '{' && json_gate(text, len, 0, NULL);
}

/* Some providers give every call the index 0: another id together with a name opens another call, and without ids so
 * does a name with arguments behind arguments that are whole. */
static bool opens_another(const struct reply_call *call, const char *id, const char *name, size_t arguments)
{
    if (!name || !*name)
        return false;
    if (id && *id)
        return call->id.len > 0 && strcmp(call->id.data, id) != 0;
    return call->id.len == 0 && arguments > 0 && is_object(buf_str(&call->arguments), call->arguments.len);
}

static struct reply_call *call_for(struct reply *r, int64_t index, const char *id, const char *name,
                                   size_t arguments)
{
    for (size_t i = r->call_count; i-- > 0;) {
        struct reply_call *call = &r->calls[i];
        if (index >= 0 && call->index != index)
            continue;
        return opens_another(call, id, name, arguments) ? call_new(r, index) : call;
    }
    return call_new(r, index);
}

bool reply_tool_call(struct reply *r, int64_t index, const char *id, const char *name, const char *arguments, size_t n)
{
    struct reply_call *call = call_for(r, index, id, name, n);
    if (!call) {
        r->too_large = true;
        return false;
    }
    if (id && call->id.len == 0)
        buf_adds(&call->id, id);
    /* A name is repeated by some providers and cut by others. */
    if (name && strcmp(buf_str(&call->name), name) != 0)
        buf_adds(&call->name, name);
    if (arguments)
        buf_add(&call->arguments, arguments, n);
    if (call->id.failed || call->name.failed || call->arguments.failed)
        r->too_large = true;
    return !r->too_large;
}

bool reply_call_signature(struct reply *r, int64_t index, const char *s, size_t n)
{
    struct reply_call *call = call_for(r, index, NULL, NULL, 0);
    if (!call || !buf_add(&call->signature, s, n))
        r->too_large = true;
    return !r->too_large;
}

/* How tools without parameters are called: with nothing at all, or with what some make of nothing. */
static bool is_nothing(const struct buf *arguments)
{
    const char *text = buf_str(arguments), *rest = text + strspn(text, " \t\r\n");
    return strlen(text) == arguments->len && (!*rest || strcmp(rest, "null") == 0);
}

static char *valid_text(struct arena *a, const struct buf *b)
{
    if (utf8_valid(buf_str(b), b->len))
        return arena_strndup(a, buf_str(b), b->len);
    struct buf repaired = BUF_INIT(b->len * REPLACEMENT_LEN + 1);
    add_repaired(&repaired, b->data, b->len);
    char *text = arena_strndup(a, buf_str(&repaired), repaired.len);
    buf_release(&repaired);
    return text;
}

static void calls_close(struct reply *r, struct arena *a, struct llm_answer *answer)
{
    struct llm_tool_call *calls = ARENA_ARRAY(a, struct llm_tool_call, r->call_count);
    size_t count = 0;
    for (size_t i = 0; i < r->call_count; i++) {
        struct reply_call *from = &r->calls[i];
        if (from->name.len == 0 && from->arguments.len == 0)
            continue;
        struct llm_tool_call *to = &calls[count++];
        to->id = valid_text(a, &from->id);
        to->name = valid_text(a, &from->name);
        to->arguments = is_nothing(&from->arguments) ? "{}" : valid_text(a, &from->arguments);
        to->signature = from->signature.len > 0 ? valid_text(a, &from->signature) : NULL;
        to->malformed = !is_object(to->arguments, strlen(to->arguments));
    }
    answer->tool_calls = calls;
    answer->tool_call_count = count;
}

void reply_close(struct reply *r, struct arena *a, struct llm_answer *answer)
{
    if (r->text.held_len > 0) {
        r->text.held_len = 0;
        reply_text(r, replacement, REPLACEMENT_LEN);
    }
    if (r->thinking.held_len > 0) {
        r->thinking.held_len = 0;
        reply_thinking(r, replacement, REPLACEMENT_LEN);
    }
    reply_flush(r);
    answer->text = arena_strndup(a, buf_str(&r->text.all), r->text.all.len);
    answer->thinking = arena_strndup(a, buf_str(&r->thinking.all), r->thinking.all.len);
    calls_close(r, a, answer);
    reply_blocks_close(r, a, answer);
    answer->usage = r->usage;
    answer->finish = r->finish;
    /* Contract 03 §5.3: any tool call means tool_calls, only a cut answer stays one. */
    if (answer->tool_call_count > 0 && r->finish != LLM_LENGTH)
        answer->finish = LLM_TOOL_CALLS;
    else if (answer->tool_call_count == 0 && r->finish == LLM_TOOL_CALLS)
        answer->finish = LLM_STOP;
}

/* What an answer says: its blocks, and the pieces they are streamed in. */
#include "test/upstream/parts/answer.h"

#include <limits.h>

#define DEFAULT_TEXT "Hello from upstream."
#define EMOJI_TEXT                                                                                                \
    "Hi \xf0\x9f\x98\x80 caf\xc3\xa9 \xe2\x82\xac "                                                             \
    "\xf0\x9d\x92\xb0\xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd done \xf0\x9f\x9a\x80"

static char *copy_text(const char *s)
{
    char *copy = strdup(s);
    if (!copy) {
        abort();
    }
    return copy;
}

/* Hands over the buffer as a string. */
static char *bytes_string(struct bytes *b)
{
    bytes_add(b, "", 1);
    return b->p;
}

static bool has_text(const struct answer *a)
{
    return a->script.endless || a->script.big > 0 || (a->text ? a->text[0] != '\0' : a->tokens > 0);
}

enum answer_block answer_block_at(const struct answer *a, size_t block)
{
    size_t reasoning = a->script.reasoning ? 1 : 0;
    if (block < reasoning) {
        return BLOCK_REASONING;
    }
    block -= reasoning;
    if (block == 0 && has_text(a)) {
        return BLOCK_TEXT;
    }
    return block - has_text(a) < (size_t)a->calls ? BLOCK_TOOL : BLOCK_NONE;
}

long answer_call_index(const struct answer *a, size_t block)
{
    return (long)block - (a->script.reasoning ? 1 : 0) - has_text(a);
}

const char *answer_args(const struct answer *a)
{
    return a->script.args ? a->script.args : "{}";
}

static size_t token_text(const struct answer *a, long number, char *out, size_t size)
{
    int n = snprintf(out, size, a->script.emoji ? "tok%ld\xf0\x9f\x98\x80 " : "tok%ld ", number);
    return n > 0 ? (size_t)n : 0;
}

void answer_text_json(const struct answer *a, struct bytes *out)
{
    if (a->text) {
        bytes_escape(out, a->text, strlen(a->text));
        return;
    }
    char token[64];
    for (long i = 1; i <= a->tokens; i++) {
        bytes_add(out, token, token_text(a, i, token, sizeof token));
    }
}

static size_t word_length(const char *p)
{
    size_t n = strcspn(p, " ");
    return n + strspn(p + n, " ");
}

/* A few bytes, never half a character. */
static size_t fragment_length(const char *p)
{
    size_t n = 0;
    while (p[n] != '\0' && (n < 5 || (p[n] & 0xC0) == 0x80)) {
        n++;
    }
    return n;
}

static const char *block_text(const struct answer *a, enum answer_block kind)
{
    return kind == BLOCK_REASONING ? a->script.reasoning : kind == BLOCK_TEXT ? a->text : answer_args(a);
}

const char *answer_piece(struct answer *a, char *scratch, size_t size, size_t *n)
{
    enum answer_block kind = answer_block_at(a, a->block);
    bool endless = kind == BLOCK_TEXT && a->script.endless;
    const char *text = block_text(a, kind);
    a->count++;
    if (endless || !text) {
        *n = endless || a->count <= a->tokens ? token_text(a, a->count, scratch, size) : 0;
        return *n ? scratch : NULL;
    }
    const char *p = text + a->pos;
    if (kind == BLOCK_TOOL) {
        *n = a->script.fragment ? fragment_length(p) : strlen(p);
    } else {
        *n = word_length(p);
    }
    a->pos += *n;
    return *n ? p : NULL;
}

bool answer_block_next(struct answer *a)
{
    a->block++;
    a->block_open = false;
    a->pos = 0;
    a->count = 0;
    return answer_block_at(a, a->block) != BLOCK_NONE;
}

long answer_count(struct answer *a)
{
    if (a->script.endless) {
        return LONG_MAX;
    }
    char scratch[64];
    size_t n;
    long pieces = 0;
    bool more = answer_block_at(a, 0) != BLOCK_NONE;
    while (more) {
        if (answer_block_at(a, a->block) == BLOCK_TEXT && !a->text) {
            pieces += a->tokens;
        } else {
            while (answer_piece(a, scratch, sizeof scratch, &n)) {
                pieces++;
            }
        }
        more = answer_block_next(a);
    }
    a->block = 0;
    return pieces;
}

void answer_choose_text(struct answer *a, const struct chat *chat)
{
    struct script *s = &a->script;
    struct bytes made = {0};
    a->model = copy_text(chat->model);
    if (s->tool && (!chat->tool_results || s->loop)) {
        a->calls = s->tools;
        a->text = copy_text(s->text ? s->text : "");
    } else if (s->tool) {
        bytes_text(&made, "Result: ");
        chat_results(chat, &made);
        a->text = bytes_string(&made);
    } else if (s->echo) {
        chat_describe(chat, &made);
        a->text = bytes_string(&made);
    } else if (s->text) {
        a->text = copy_text(s->text);
    } else if (s->tokens >= 0) {
        a->tokens = s->tokens;
    } else {
        a->text = copy_text(s->emoji ? EMOJI_TEXT : DEFAULT_TEXT);
    }
}

/* The pieces of an answer in their order, for an API that wants a tool turn back as it was. */
#include "llm/reply.h"

bool reply_block_open(struct reply *r, int64_t index, enum llm_block_kind kind)
{
    if (r->block_count == r->block_cap) {
        size_t cap = r->block_cap ? r->block_cap * 2 : 8;
        struct reply_block *bigger = cap <= REPLY_BLOCKS_MAX ? realloc(r->blocks, cap * sizeof(*bigger)) : NULL;
        if (!bigger) {
            r->too_large = true;
            return false;
        }
        r->blocks = bigger;
        r->block_cap = cap;
    }
    r->blocks[r->block_count++] = (struct reply_block){.index = index,
                                                       .kind = kind,
                                                       .text = r->text.all.len,
                                                       .thinking = r->thinking.all.len,
                                                       .signature = r->signatures.len};
    return true;
}

bool reply_block_is(const struct reply *r, int64_t index, enum llm_block_kind kind)
{
    for (size_t i = r->block_count; i-- > 0;)
        if (r->blocks[i].index == index)
            return r->blocks[i].kind == kind;
    return false;
}

bool reply_signature(struct reply *r, const char *s, size_t n)
{
    if (!buf_add(&r->signatures, s, n))
        r->too_large = true;
    return !r->too_large;
}

static const char *part(struct arena *a, const struct buf *b, size_t from, size_t to)
{
    return arena_strndup(a, buf_str(b) + from, to - from);
}

/* Of an API that numbers no pieces: what was thought, said and called. */
static void plain_blocks(struct arena *a, struct llm_answer *answer)
{
    size_t n = 0;
    struct llm_block *blocks = ARENA_ARRAY(a, struct llm_block, answer->tool_call_count + 2);
    blocks[n++] = (struct llm_block){LLM_BLOCK_THINKING, answer->thinking, ""};
    if (*answer->text)
        blocks[n++] = (struct llm_block){LLM_BLOCK_TEXT, answer->text, ""};
    for (size_t i = 0; i < answer->tool_call_count; i++)
        blocks[n++] = (struct llm_block){LLM_BLOCK_CALL, "", ""};
    answer->blocks = blocks;
    answer->block_count = n;
}

void reply_blocks_close(const struct reply *r, struct arena *a, struct llm_answer *answer)
{
    struct reply_block end = {
        .text = r->text.all.len, .thinking = r->thinking.all.len, .signature = r->signatures.len};
    struct llm_block *blocks = ARENA_ARRAY(a, struct llm_block, r->block_count);
    size_t calls = 0;
    bool thought = false;
    if (r->block_count == 0 && *answer->thinking && answer->tool_call_count > 0) {
        plain_blocks(a, answer);
        return;
    }
    for (size_t i = 0; i < r->block_count; i++) {
        const struct reply_block *from = &r->blocks[i], *next = i + 1 < r->block_count ? from + 1 : &end;
        struct llm_block *to = &blocks[i];
        *to = (struct llm_block){.kind = from->kind, .text = "", .signature = ""};
        calls += from->kind == LLM_BLOCK_CALL;
        thought |= from->kind == LLM_BLOCK_THINKING || from->kind == LLM_BLOCK_REDACTED;
        if (from->kind == LLM_BLOCK_TEXT)
            to->text = part(a, &r->text.all, from->text, next->text);
        if (from->kind == LLM_BLOCK_THINKING)
            to->text = part(a, &r->thinking.all, from->thinking, next->thinking);
        to->signature = part(a, &r->signatures, from->signature, next->signature);
    }
    /* A call without a name was dropped: then the pieces are not the turn that is handed back. */
    if (!thought || calls == 0 || calls != answer->tool_call_count)
        return;
    answer->blocks = blocks;
    answer->block_count = r->block_count;
}

/* The body of an upstream's answer, fed in two pieces, and what came of it. */
#ifndef CLAWGATE_TEST_READER_FIXTURE_H
#define CLAWGATE_TEST_READER_FIXTURE_H

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "llm/reader.h"

static inline void sink_text(void *ctx, const char *s, size_t n)
{
    assert_true(n > 0 && utf8_valid(s, n));
    buf_add(ctx, s, n);
}

/* What one body means, on one line. Its two pieces are fed from memory of exactly their size. */
static inline char *outcome(const struct dialect *dialect, struct arena *a, int status, const char *type,
                            const char *body, size_t n, size_t split, const char *network_error)
{
    struct buf seen = BUF_INIT(REPLY_TEXT_MAX);
    struct llm_sink sink = {.text = sink_text, .ctx = &seen};
    struct reply reply;
    struct reader rd;
    struct wire_result res;
    struct llm_answer answer = {0};
    reply_init(&reply, &sink);
    reader_init(&rd, dialect, a, &reply, &res, status, type);
    size_t parts[] = {split, n - split};
    for (int i = 0; i < 2; i++) {
        char *exact = malloc(parts[i] ? parts[i] : 1);
        memcpy(exact, body + (i ? split : 0), parts[i]);
        bool go_on = parts[i] == 0 || reader_feed(&rd, exact, parts[i]);
        free(exact);
        if (!go_on)
            break;
    }
    reader_finish(&rd, network_error);
    reply_close(&reply, a, &answer);
    assert_string_equal(buf_str(&seen), answer.text);
    buf_clear(&seen);
    if (res.ok)
        buf_addf(&seen, "%s [%s] %s", answer.text, answer.thinking, llm_finish_name(answer.finish));
    else
        buf_addf(&seen, "%s%s%d %s", answer.text, *answer.text ? " / " : "", res.status, res.reason);
    if (!res.ok)
        buf_adds(&seen, res.blocked ? " (blocked)" : res.transient ? " (transient)" : "");
    for (size_t i = 0; i < answer.tool_call_count; i++)
        buf_addf(&seen, " %s:%s(%s)%s", answer.tool_calls[i].id, answer.tool_calls[i].name,
                 answer.tool_calls[i].arguments, answer.tool_calls[i].malformed ? "!" : "");
    if (answer.usage.total_tokens > 0)
        buf_addf(&seen, " %d+%d=%d c%d w%d r%d", (int)answer.usage.prompt_tokens, (int)answer.usage.completion_tokens,
                 (int)answer.usage.total_tokens, (int)answer.usage.cached_tokens,
                 (int)answer.usage.cache_creation_tokens, (int)answer.usage.reasoning_tokens);
    static const char *const kinds[] = {[LLM_BLOCK_TEXT] = "text",
                                        [LLM_BLOCK_THINKING] = "thought",
                                        [LLM_BLOCK_REDACTED] = "hidden",
                                        [LLM_BLOCK_CALL] = "call"};
    for (size_t i = 0; i < answer.block_count; i++)
        buf_addf(&seen, " {%s %s %s}", kinds[answer.blocks[i].kind], answer.blocks[i].text, answer.blocks[i].signature);
    char *line = arena_strdup(a, buf_str(&seen));
    buf_release(&seen);
    reader_release(&rd);
    reply_release(&reply);
    return line;
}

/* Every position to split it at gives the same. */
static inline void expect_body(const struct dialect *dialect, int status, const char *type, const char *body,
                               const char *wanted)
{
    struct arena *a = arena_new();
    size_t n = strlen(body);
    for (size_t split = 0; split <= n; split++)
        assert_string_equal(outcome(dialect, a, status, type, body, n, split, NULL), wanted);
    arena_free(a);
}

#endif

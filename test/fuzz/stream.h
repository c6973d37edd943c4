/* Any bytes from an upstream, in any two pieces, give the same verdict and only valid text. */
#ifndef CLAWGATE_FUZZ_STREAM_H
#define CLAWGATE_FUZZ_STREAM_H

#include <stdint.h>

#include "base/utf8.h"
#include "llm/reader.h"
#include "llm/redact.h"

static inline void check_text(void *ctx, const char *s, size_t n)
{
    if (n == 0 || !utf8_valid(s, n))
        abort();
    *(size_t *)ctx += n;
}

static inline bool read_all(const struct dialect *dialect, struct arena *a, int status, const char *bytes, size_t n,
                            size_t split, struct llm_answer *answer)
{
    size_t forwarded = 0;
    struct llm_sink sink = {.text = check_text, .thinking = check_text, .ctx = &forwarded};
    struct reply reply;
    struct reader rd;
    struct wire_result res;
    reply_init(&reply, &sink);
    reader_init(&rd, dialect, a, &reply, &res, status, "text/event-stream");
    if (reader_feed(&rd, bytes, split))
        reader_feed(&rd, bytes + split, n - split);
    reader_finish(&rd, NULL);
    reply_close(&reply, a, answer);
    if (forwarded != strlen(answer->text) + strlen(answer->thinking) || (!res.ok && !*res.reason))
        abort();
    for (size_t i = 0; i < answer->tool_call_count; i++)
        if (!utf8_valid(answer->tool_calls[i].arguments, strlen(answer->tool_calls[i].arguments)))
            abort();
    const char *shown = redact(a, res.reason, "secret", 2000, 500);
    if (!utf8_valid(shown, strlen(shown)) || utf8_count(shown, strlen(shown)) > 500)
        abort();
    reader_release(&rd);
    reply_release(&reply);
    return res.ok;
}

/* The first byte says where to split, the second the status; data holds both at least. */
static inline struct llm_answer stream_check(const struct dialect *dialect, struct arena *a, const uint8_t *data,
                                             size_t size)
{
    const char *bytes = (const char *)data + 2;
    size_t n = size - 2, split = data[0] < n ? data[0] : n;
    int status = data[1] & 1 ? 500 : 200;
    struct llm_answer whole = {0}, parts = {0};
    bool one = read_all(dialect, a, status, bytes, n, 0, &whole);
    bool two = read_all(dialect, a, status, bytes, n, split, &parts);
    if (one != two || strcmp(whole.text, parts.text) != 0 || strcmp(whole.thinking, parts.thinking) != 0 ||
        whole.tool_call_count != parts.tool_call_count || whole.block_count != parts.block_count ||
        whole.finish != parts.finish)
        abort();
    return whole;
}

#endif

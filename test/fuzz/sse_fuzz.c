/* The same bytes in one piece and in two give the same events. */
#include <stdint.h>

#include "llm/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool note(void *ctx, const struct sse_event *e)
{
    if (strlen(e->name) >= 64 || e->data[e->len] != 0)
        abort();
    buf_adds(ctx, e->name);
    buf_addc(ctx, '|');
    buf_add(ctx, e->data, e->len);
    buf_addc(ctx, ';');
    return true;
}

static bool parse(const char *bytes, size_t n, size_t split, struct buf *out)
{
    struct sse_parser p;
    sse_init(&p, 64);
    bool ok = sse_feed(&p, bytes, split, note, out) && sse_feed(&p, bytes + split, n - split, note, out) &&
              sse_finish(&p, note, out);
    if (!ok && !p.line.failed && !p.data.failed)
        abort();
    sse_release(&p);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const char *bytes = (const char *)data + 1;
    size_t n = size - 1, split = data[0] < n ? data[0] : n;
    struct buf whole = BUF_INIT(1 << 24), parts = BUF_INIT(1 << 24);
    bool a = parse(bytes, n, 0, &whole), b = parse(bytes, n, split, &parts);
    if (a != b || (a && (whole.len != parts.len || (whole.len > 0 && memcmp(whole.data, parts.data, whole.len) != 0))))
        abort();
    buf_release(&whole);
    buf_release(&parts);
    return 0;
}

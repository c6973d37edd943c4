/* Whatever the split: same visible bytes, and nothing but whole characters. */
#include <stdint.h>

#include "agent/text.h"
#include "base/utf8.h"

enum { OUT_MAX = 1 << 20 };

#define REQUIRE(fact)        \
    do {                     \
        if (!(fact))         \
            __builtin_trap(); \
    } while (0)

/* The first byte says how long the pieces are; every piece also checks what is out so far. */
static void run(const char *s, size_t n, size_t piece, struct buf *out)
{
    struct text_filter f;
    text_filter_init(&f);
    for (size_t i = 0; i < n; i += piece) {
        size_t before = out->len;
        text_filter_feed(&f, s + i, n - i < piece ? n - i : piece, out);
        REQUIRE(utf8_valid(buf_str(out) + before, out->len - before));
    }
    text_filter_finish(&f, out);
    REQUIRE(utf8_valid(buf_str(out), out->len));
    REQUIRE(out->len <= n);
    text_filter_release(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *s = (const char *)data + 1;
    size_t n = size - 1, piece = (size_t)data[0] % 32 + 1;
    struct buf whole = BUF_INIT(OUT_MAX), bytes = BUF_INIT(OUT_MAX), pieces = BUF_INIT(OUT_MAX);
    run(s, n, n, &whole);
    run(s, n, 1, &bytes);
    run(s, n, piece, &pieces);
    REQUIRE(whole.len == bytes.len && memcmp(buf_str(&whole), buf_str(&bytes), whole.len) == 0);
    REQUIRE(whole.len == pieces.len && memcmp(buf_str(&whole), buf_str(&pieces), whole.len) == 0);
    buf_release(&whole);
    buf_release(&bytes);
    buf_release(&pieces);
    return 0;
}

/* path_parse: whatever comes in, no decoded segment climbs, ends early or is invalid text. */
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/utf8.h"
#include "web/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    char *target = arena_strndup(a, (const char *)data, size);
    size_t len = strlen(target);
    struct path p;
    enum path_rc rc = path_parse(a, target, &p);
    if (rc == PATH_OK && (p.n < 0 || p.n > PATH_SEGMENTS_MAX))
        abort();
    size_t total = 0;
    for (int i = 0; rc == PATH_OK && i < p.n; i++) {
        const char *s = p.seg[i];
        size_t n = strlen(s);
        total += n + 1;
        if (n == 0 || strcmp(s, ".") == 0 || strcmp(s, "..") == 0 || !utf8_valid(s, n))
            abort();
    }
    /* Decoding only shortens; and an encoded NUL never gets through (it would have cut a segment). */
    const char *nul = strstr(target, "%00");
    bool hides_nul = nul != NULL && target[0] == '/' && nul < strchrnul(target, '?');
    if (total > len || (rc == PATH_OK && hides_nul))
        abort();
    arena_free(a);
    return 0;
}

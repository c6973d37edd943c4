/* Request target to path segments (contract 01 §12.9, §12.10): split first, decode each segment once. */
#include "base/arena.h"
#include "base/utf8.h"
#include "base/percent.h"
#include "web/route.h"

const char *target_path(const char *target)
{
    size_t scheme = strspn(target, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    if (target[0] == '/' || scheme == 0 || strncmp(target + scheme, "://", 3) != 0)
        return target;
    const char *authority = target + scheme + 3;
    const char *path = authority + strcspn(authority, "/?");
    return *path == '/' ? path : "/";
}

static bool is_dots(const char *s)
{
    return strcmp(s, ".") == 0 || strcmp(s, "..") == 0;
}

enum path_rc path_parse(struct arena *a, const char *raw_target, struct path *out)
{
    *out = (struct path){.n = 0};
    const char *p = target_path(raw_target);
    if (p[0] != '/')
        return PATH_UNKNOWN;
    const char *end = p + strcspn(p, "?");
    bool known = true;

    /* A path that is refused is judged to its end, so that "/a//../b" is bad, not merely unknown. */
    while (p < end) {
        const char *start = p + 1;
        const char *slash = memchr(start, '/', (size_t)(end - start));
        const char *stop = slash != NULL ? slash : end;
        p = stop;
        if (start == stop) {
            if (slash != NULL)
                known = false;
            else
                out->trailing_slash = out->n > 0;
            continue;
        }
        char *seg = arena_strndup(a, start, (size_t)(stop - start));
        size_t n = 0;
        if (!percent_decode(seg, (size_t)(stop - start), false, &n) || memchr(seg, '\0', n) != NULL ||
            !utf8_valid(seg, n) || is_dots(seg))
            return PATH_BAD;
        if (out->n == PATH_SEGMENTS_MAX)
            known = false;
        else
            out->seg[out->n++] = seg;
    }
    return known ? PATH_OK : PATH_UNKNOWN;
}

#include "web/phrases.h"

#include <stddef.h>
#include <string.h>

enum { GAPS = 2 };

static const char *const table[][LOCALES] = {
#define PHRASE(en, vi, zh) {en, vi, zh},
#include "web/phrases.def"
#undef PHRASE
};

struct piece {
    const char *text;
    size_t len;
};

/* Does `s` read like `pattern`, with a word for every #? The words come into gaps. */
static bool matches(const char *pattern, const char *s, struct piece gaps[GAPS])
{
    for (int n = 0;; n++) {
        size_t fixed = strcspn(pattern, "#");
        if (strncmp(pattern, s, fixed) != 0)
            return false;
        pattern += fixed;
        s += fixed;
        if (*pattern == '\0' || n == GAPS)
            return *pattern == *s;
        size_t next = strcspn(++pattern, "#"), len = strcspn(s, " ");
        while (len > 0 && strncmp(s + len, pattern, next) != 0)
            len--;
        if (len == 0)
            return false;
        gaps[n] = (struct piece){s, len};
        s += len;
    }
}

bool phrase_add(struct buf *out, const char *english, enum locale locale)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct piece gaps[GAPS] = {{"", 0}, {"", 0}};
        if (!matches(table[i][LOCALE_EN], english, gaps))
            continue;
        const char *s = table[i][locale];
        for (int n = 0; *s != '\0';) {
            size_t fixed = strcspn(s, "#");
            buf_add(out, s, fixed);
            s += fixed;
            if (*s == '#' && n < GAPS)
                buf_add(out, gaps[n].text, gaps[n].len), n++;
            s += *s == '#';
        }
        return true;
    }
    return false;
}

#include "base/messages.h"

#include <stdbool.h>
#include <stddef.h>
#include <strings.h>

#include "base/buf.h"
#include "base/utf8.h"

enum { FORMATTED_MAX = 1000 };

struct message_row {
    const char *key;
    int params;
    const char *text[LOCALES];
};

static const struct message_row table[MESSAGES] = {
#define MSG(name, key, params, en, vi, zh) [MSG_##name] = {key, params, {en, vi, zh}},
#include "base/messages.def"
#undef MSG
};

static const char *const locales[LOCALES] = {"en", "vi", "zh"};

const char *message_key(enum message_id id)
{
    return table[id].key;
}

int message_params(enum message_id id)
{
    return table[id].params;
}

const char *message_text(enum message_id id, enum locale locale)
{
    return table[id].text[locale];
}

/* Adds at most *left characters. */
static void add_limited(struct buf *out, const char *s, size_t n, size_t *left)
{
    n = utf8_offset(s, n, *left);
    *left -= utf8_count(s, n);
    buf_add(out, s, n);
}

static bool is_placeholder(const char *s)
{
    return s[0] == '{' && s[1] >= '0' && s[1] <= '2' && s[2] == '}';
}

/* "Internal error: " whose parameter is missing loses its colon too. */
static void drop_separator(struct buf *out, size_t start)
{
    static const char *const separators[] = {" ", ":", "："};
    for (size_t i = 0; i < sizeof separators / sizeof *separators; i++) {
        size_t n = strlen(separators[i]);
        if (out->len >= start + n && memcmp(out->data + out->len - n, separators[i], n) == 0) {
            out->len -= n;
            out->data[out->len] = 0;
        }
    }
}

void message_format(struct buf *out, enum message_id id, enum locale locale, const char *const args[3])
{
    size_t start = out->len, left = FORMATTED_MAX;
    bool empty_end = false;
    for (const char *s = message_text(id, locale); *s;) {
        if (is_placeholder(s)) {
            const char *arg = args ? args[s[1] - '0'] : NULL;
            empty_end = !arg || !*arg;
            add_limited(out, empty_end ? "" : arg, empty_end ? 0 : strlen(arg), &left);
            s += 3;
            continue;
        }
        size_t n = 1 + strcspn(s + 1, "{");
        add_limited(out, s, n, &left);
        empty_end = false;
        s += n;
    }
    if (empty_end)
        drop_separator(out, start);
}

const char *locale_name(enum locale l)
{
    return locales[l];
}

static const char *skip_blanks(const char *s, const char *end)
{
    while (s < end && (*s == ' ' || *s == '\t'))
        s++;
    return s;
}

/* ";q=0", ";q=0.000": the client does not want this language at all. */
static bool weight_is_zero(const char *s, const char *end)
{
    while (s < end) {
        s = skip_blanks(s + 1, end);
        const char *next = memchr(s, ';', (size_t)(end - s));
        next = next ? next : end;
        if (next - s >= 2 && (*s == 'q' || *s == 'Q') && s[1] == '=') {
            const char *digit = s + 2;
            if (digit == next || *digit != '0')
                return false;
            for (; digit < next; digit++)
                if (*digit >= '1' && *digit <= '9')
                    return false;
            return true;
        }
        s = next;
    }
    return false;
}

/* One entry of the list, such as " zh-Hant;q=0.8". LOCALES when it names none of ours. */
static enum locale entry_locale(const char *s, const char *end)
{
    s = skip_blanks(s, end);
    const char *tag_end = s;
    while (tag_end < end && *tag_end != ';')
        tag_end++;
    if (weight_is_zero(tag_end, end))
        return LOCALES;
    size_t n = 0;
    while (s + n < tag_end && s[n] != '-' && s[n] != ' ' && s[n] != '\t')
        n++;
    enum locale l = LOCALE_EN;
    while (l < LOCALES && !(n == strlen(locales[l]) && strncasecmp(s, locales[l], n) == 0))
        l++;
    return l;
}

enum locale locale_from_header(const char *accept_language)
{
    const char *s = accept_language ? accept_language : "";
    while (*s) {
        size_t n = strcspn(s, ",");
        enum locale l = entry_locale(s, s + n);
        if (l != LOCALES)
            return l;
        s += n + (s[n] == ',');
    }
    return LOCALE_EN;
}

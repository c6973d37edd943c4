#include "llm/redact.h"

#include <stdbool.h>
#include <strings.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/utf8.h"

enum { KEY_MIN = 4, TOKEN_MIN = 8 };

static bool token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-_.*=+/~", c));
}

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static size_t token_length(const char *s)
{
    size_t n = 0;
    while (token_char(s[n]))
        n++;
    return n;
}

/* One character as JSON may write it, \" or \u0022: its UTF-8 in out, its length in the text in *taken. */
static size_t unescape(const char *s, char out[4], size_t *taken)
{
    if (s[0] != '\\' || !s[1])
        return 0;
    if (s[1] != 'u') {
        out[0] = s[1];
        *taken = 2;
        return 1;
    }
    unsigned char raw[2];
    if (strnlen(s, 6) < 6 || !hex_decode(s + 2, 4, raw))
        return 0;
    uint32_t cp = (uint32_t)raw[0] << 8 | raw[1];
    *taken = 6;
    return cp >= 0xD800 && cp < 0xE000 ? 0 : utf8_encode(cp, out);
}

/* How many bytes at s are the key, as it is or inside a JSON text; 0 = it is not here. */
static size_t key_length(const char *s, const char *key)
{
    const char *start = s;
    size_t n = strlen(key);
    if (n < KEY_MIN)
        return 0;
    if (strncmp(s, key, n) == 0)
        return n;
    while (*key) {
        char plain[4];
        size_t taken, len = unescape(s, plain, &taken);
        if (len > 0 && strncmp(key, plain, len) == 0) {
            s += taken;
            key += len;
        } else if (*s++ != *key++) {
            return 0;
        }
    }
    return (size_t)(s - start);
}

/* How many bytes at s are a secret; *keep of them may be shown. */
static size_t secret_length(const char *text, const char *s, const char *api_key, size_t *keep)
{
    static const struct {
        const char *prefix;
        size_t keep;
    } prefixes[] = {{"Bearer ", 7}, {"sk-", 3}, {"AIza", 4}};
    size_t key_len = key_length(s, api_key);
    *keep = 0;
    if (key_len > 0)
        return key_len;
    if (s > text && word_char(s[-1]))
        return 0;
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        size_t n = strlen(prefixes[i].prefix);
        if (strncasecmp(s, prefixes[i].prefix, n) != 0)
            continue;
        size_t len = token_length(s + n);
        *keep = prefixes[i].keep;
        return len >= TOKEN_MIN ? n + len : 0;
    }
    return 0;
}

const char *redact(struct arena *a, const char *text, const char *api_key, size_t max_bytes, size_t max_chars)
{
    struct buf out = BUF_INIT(max_bytes + TOKEN_MIN);
    size_t chars = 0;
    for (const char *s = text; *s && out.len < max_bytes && chars < max_chars; chars++) {
        size_t keep, secret = secret_length(text, s, api_key, &keep);
        if (secret > 0) {
            buf_add(&out, s, keep);
            buf_adds(&out, "***");
            chars += keep + 2;
            s += secret;
            continue;
        }
        uint32_t cp;
        size_t len = utf8_decode(s, strnlen(s, 4), &cp);
        if (len == 0)
            buf_addc(&out, '?');
        else if (cp < ' ' || cp == 0x7F)
            buf_addc(&out, ' ');
        else
            buf_add(&out, s, len);
        s += len > 0 ? len : 1;
    }
    size_t cut = utf8_cut(buf_str(&out), out.len, max_bytes);
    while (cut > 0 && out.data[cut - 1] == ' ')
        cut--;
    const char *copy = arena_strndup(a, buf_str(&out), utf8_offset(buf_str(&out), cut, max_chars));
    buf_release(&out);
    return copy;
}

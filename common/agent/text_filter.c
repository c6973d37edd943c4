/* The stream filter. Three stages, one byte at a time, so that no split of the input can matter:
 * tags (recognised and dropped) -> whole characters -> the opening (leading blanks, silent token). */
#include "agent/text.h"

#include <strings.h>

#include "base/utf8.h"

enum { NAME_MAX_LEN = 40, TAG_MAX = 1024, OPENING_SKIP_MAX = 32, UNDERSCORES_MAX = 4 };

static const char silent_token[] = "NO_REPLY";
enum { SILENT_LEN = sizeof silent_token - 1 };

enum tag_kind {
    KIND_SPAN, /* dropped with everything up to its closing tag */
    KIND_CALL, /* tag dropped; at the very start of the text its content too */
    KIND_TAG,  /* tag dropped, content kept */
};

static const struct {
    const char *name;
    enum tag_kind kind;
} tags[] = {
    {"think", KIND_SPAN},
    {"thinking", KIND_SPAN},
    {"thought", KIND_SPAN},
    {"antthinking", KIND_SPAN},
    {"redacted_thinking", KIND_SPAN},
    {"function_call", KIND_CALL},
    {"function_calls", KIND_CALL},
    {"invoke", KIND_CALL},
    {"tool_call", KIND_CALL},
    {"tool_calls", KIND_CALL},
    {"tool_use", KIND_CALL},
    {"parameter", KIND_TAG},
    {"final", KIND_TAG},
};

enum tag_state { TAG_NONE, TAG_NAME, TAG_BLANK, TAG_ATTRIBUTE, TAG_EQUALS, TAG_VALUE, TAG_SLASH };
enum tag_verdict { TAG_MORE, TAG_COMPLETE, TAG_REFUSED };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name_char(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == ':';
}

/* ---- the silent token ---- */

/* Close enough to Unicode's letters and digits: everything but punctuation, symbols and emoji. */
static bool is_word_character(uint32_t cp)
{
    if (cp < 0x80)
        return is_letter((char)cp) || (cp >= '0' && cp <= '9');
    bool punctuation = cp < 0xC0 || (cp >= 0x2000 && cp < 0x2C00) || (cp >= 0x3000 && cp < 0x3040) ||
                       (cp >= 0xFE00 && cp < 0xFF10) || (cp >= 0xFF1A && cp < 0xFF21) || cp >= 0x1F000;
    return !punctuation;
}

enum text_silence text_silence(const char *s, size_t n, size_t skip_max)
{
    size_t i = 0;
    uint32_t cp = 0;
    while (i < n) {
        size_t len = utf8_decode(s + i, n - i, &cp);
        if (len == 0 || is_word_character(cp))
            break;
        i += len;
        if (i > skip_max)
            return TEXT_NOT_SILENT;
    }
    size_t compare = n - i < SILENT_LEN ? n - i : SILENT_LEN;
    if (strncasecmp(s + i, silent_token, compare) != 0)
        return TEXT_NOT_SILENT;
    if (compare < SILENT_LEN)
        return TEXT_MAYBE_SILENT;
    /* _NO_REPLY_ is emphasis, NO_REPLY_TIMEOUT is a name: look behind the underscores. */
    i += SILENT_LEN;
    for (int k = 0; k < UNDERSCORES_MAX && i < n && s[i] == '_'; k++)
        i++;
    if (i == n)
        return TEXT_MAYBE_SILENT;
    size_t len = utf8_decode(s + i, n - i, &cp);
    return len == 0 || is_word_character(cp) ? TEXT_NOT_SILENT : TEXT_SILENT;
}

static bool ends_silent(const char *s, size_t n)
{
    uint32_t cp = 0;
    while (n > 0) {
        size_t at = utf8_cut(s, n, n - 1);
        if (utf8_decode(s + at, n - at, &cp) != n - at || is_word_character(cp))
            break;
        n = at;
    }
    if (n < SILENT_LEN || strncasecmp(s + n - SILENT_LEN, silent_token, SILENT_LEN) != 0)
        return false;
    n -= SILENT_LEN;
    while (n > 0 && s[n - 1] == '_')
        n--;
    if (n == 0)
        return true;
    size_t at = utf8_cut(s, n, n - 1);
    return utf8_decode(s + at, n - at, &cp) == n - at && !is_word_character(cp);
}

bool text_is_silent(const char *text)
{
    if (text == NULL)
        return false;
    size_t n = strlen(text);
    enum text_silence verdict = text_silence(text, n, n);
    if (verdict == TEXT_SILENT)
        return true;
    return ends_silent(text, n);
}

/* ---- third stage: the opening ---- */

static void opening_give(struct text_filter *f, struct buf *out)
{
    f->started = true;
    buf_add(out, f->opening, f->opening_len);
    f->opening_len = 0;
}

static void opening_add(struct text_filter *f, const char *s, size_t n, struct buf *out)
{
    if (f->silent)
        return;
    if (f->started) {
        buf_add(out, s, n);
        return;
    }
    if (f->opening_len == 0 && n == 1 && is_blank(*s))
        return;
    memcpy(f->opening + f->opening_len, s, n);
    f->opening_len += n;
    enum text_silence verdict = f->show_silent ? TEXT_NOT_SILENT
                                               : text_silence(f->opening, f->opening_len, OPENING_SKIP_MAX);
    if (verdict == TEXT_NOT_SILENT)
        opening_give(f, out);
    else
        f->silent = verdict == TEXT_SILENT;
}

/* ---- second stage: whole characters ---- */

static size_t sequence_length(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead < 0xC2 || lead > 0xF4)
        return 0;
    return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

static void character_add(struct text_filter *f, char c, struct buf *out)
{
    unsigned char byte = (unsigned char)c;
    bool continues = (byte & 0xC0) == 0x80;
    if (!continues)
        f->character_len = 0;
    else if (f->character_len == 0)
        return;
    f->character[f->character_len++] = c;
    size_t want = sequence_length((unsigned char)f->character[0]);
    if (want == 0) {
        f->character_len = 0;
        return;
    }
    if (f->character_len < want)
        return;
    uint32_t cp = 0;
    if (utf8_decode(f->character, want, &cp) == want)
        opening_add(f, f->character, want, out);
    f->character_len = 0;
}

/* ---- first stage: tags ---- */

static bool nothing_shown(const struct text_filter *f)
{
    return !f->started && !f->silent && f->opening_len == 0 && f->character_len == 0;
}

/* A byte that belongs to no tag. */
static void plain_add(struct text_filter *f, char c, struct buf *out)
{
    if (f->in_span != 0)
        return;
    if (f->in_call != 0) {
        if (f->call_certain || is_blank(c))
            return;
        f->call_certain = c == '{' || c == '[' || c == '<';
        if (f->call_certain)
            return;
        f->in_call = 0; /* prose after a lone tag: only the tag goes */
    }
    character_add(f, c, out);
}

static void tag_apply_call(struct text_filter *f, bool opens)
{
    int self = f->tag_index + 1;
    if (f->in_call == 0) {
        if (opens && nothing_shown(f)) {
            f->in_call = self;
            f->call_depth = 1;
            f->call_certain = false;
        }
        return;
    }
    f->call_certain = true;
    if (f->in_call != self)
        return;
    if (opens)
        f->call_depth++;
    else if (f->tag_closing && --f->call_depth == 0)
        f->in_call = 0;
}

/* A tag is complete; `empty` when it closed itself with a slash. */
static void tag_apply(struct text_filter *f, bool empty)
{
    bool opens = !f->tag_closing && !empty;
    if (f->in_span != 0) {
        if (f->tag_closing && f->in_span == f->tag_index + 1)
            f->in_span = 0;
        return;
    }
    switch (tags[f->tag_index].kind) {
    case KIND_SPAN:
        if (opens && f->in_call == 0)
            f->in_span = f->tag_index + 1;
        break;
    case KIND_CALL:
        tag_apply_call(f, opens);
        break;
    case KIND_TAG:
        if (f->in_call != 0)
            f->call_certain = true;
        break;
    }
}

/* The held name, a vendor's prefix aside. */
static int tag_find(const struct text_filter *f)
{
    const char *name = f->held + 1 + (f->tag_closing ? 1 : 0);
    size_t n = f->tag_len - (size_t)(name - f->held);
    const char *colon = memchr(name, ':', n);
    if (colon != NULL) {
        n -= (size_t)(colon + 1 - name);
        name = colon + 1;
    }
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (strlen(tags[i].name) == n && strncasecmp(tags[i].name, name, n) == 0)
            return (int)i;
    }
    return -1;
}

static enum tag_verdict tag_go(struct text_filter *f, enum tag_state next)
{
    f->tag_state = next;
    return TAG_MORE;
}

static enum tag_verdict tag_step_blank(struct text_filter *f, char c)
{
    if (is_blank(c))
        return tag_go(f, TAG_BLANK);
    if (c == '>')
        return TAG_COMPLETE;
    if (f->tag_closing)
        return TAG_REFUSED;
    if (c == '/')
        return tag_go(f, TAG_SLASH);
    return is_letter(c) || c == '_' ? tag_go(f, TAG_ATTRIBUTE) : TAG_REFUSED;
}

static enum tag_verdict tag_step_name(struct text_filter *f, char c)
{
    size_t start = f->tag_closing ? 2 : 1;
    if (c == '/' && f->tag_len == 1) {
        f->tag_closing = true;
        return TAG_MORE;
    }
    if (f->in_span != 0 && !f->tag_closing)
        return TAG_REFUSED;
    if (f->tag_len == start ? is_letter(c) : is_name_char(c))
        return f->tag_len < NAME_MAX_LEN ? TAG_MORE : TAG_REFUSED;
    if (c != '>' && c != '/' && !is_blank(c))
        return TAG_REFUSED;
    f->tag_index = tag_find(f);
    return f->tag_index < 0 ? TAG_REFUSED : tag_step_blank(f, c);
}

static enum tag_verdict tag_step_value(struct text_filter *f, char c)
{
    if (f->tag_quote != 0)
        return tag_go(f, c == f->tag_quote ? TAG_BLANK : TAG_VALUE);
    if (c == '>')
        return TAG_COMPLETE;
    if (c == '<')
        return TAG_REFUSED;
    return tag_go(f, is_blank(c) ? TAG_BLANK : TAG_VALUE);
}

static enum tag_verdict tag_step_equals(struct text_filter *f, char c)
{
    if (is_blank(c) || c == '>' || c == '<' || c == '=')
        return TAG_REFUSED;
    f->tag_quote = c == '"' || c == '\'' ? c : 0;
    return tag_go(f, TAG_VALUE);
}

static enum tag_verdict tag_step(struct text_filter *f, char c)
{
    switch ((enum tag_state)f->tag_state) {
    case TAG_NAME:
        return tag_step_name(f, c);
    case TAG_BLANK:
        return tag_step_blank(f, c);
    case TAG_ATTRIBUTE:
        if (c == '=')
            return tag_go(f, TAG_EQUALS);
        return is_name_char(c) || c == '.' ? TAG_MORE : TAG_REFUSED;
    case TAG_EQUALS:
        return tag_step_equals(f, c);
    case TAG_VALUE:
        return tag_step_value(f, c);
    case TAG_SLASH:
        return c == '>' ? TAG_COMPLETE : TAG_REFUSED;
    case TAG_NONE:
        break;
    }
    return TAG_REFUSED;
}

/* What was held is no tag. Past the hold limit it was taken for one, and stays dropped. */
static void tag_give_back(struct text_filter *f, struct buf *out)
{
    f->tag_state = TAG_NONE;
    if (f->tag_len > TEXT_HOLD_MAX)
        return;
    for (size_t i = 0; i < f->tag_len; i++)
        plain_add(f, f->held[i], out);
}

static void tag_begin(struct text_filter *f)
{
    f->tag_state = TAG_NAME;
    f->tag_closing = false;
    f->held[0] = '<';
    f->tag_len = 1;
}

static void byte_add(struct text_filter *f, char c, struct buf *out)
{
    if (f->tag_state != TAG_NONE) {
        bool slash = f->tag_state == TAG_SLASH;
        enum tag_verdict verdict = tag_step(f, c);
        if (verdict == TAG_MORE && f->tag_len < TAG_MAX) {
            if (f->tag_len < TEXT_HOLD_MAX)
                f->held[f->tag_len] = c;
            f->tag_len++;
            return;
        }
        if (verdict == TAG_COMPLETE) {
            f->tag_state = TAG_NONE;
            tag_apply(f, slash);
            return;
        }
        tag_give_back(f, out);
    }
    if (c == '<')
        tag_begin(f);
    else
        plain_add(f, c, out);
}

/* How many bytes from s on need no stage: plain ASCII in the middle of visible text. */
static size_t plain_run(const struct text_filter *f, const char *s, size_t n)
{
    if (!f->started || f->tag_state != TAG_NONE || f->in_span != 0 || f->in_call != 0 || f->character_len != 0)
        return 0;
    size_t i = 0;
    while (i < n && (unsigned char)s[i] < 0x80 && s[i] != '<')
        i++;
    return i;
}

void text_filter_init(struct text_filter *f)
{
    *f = (struct text_filter){0};
}

void text_filter_release(struct text_filter *f)
{
    text_filter_init(f);
}

void text_filter_reset(struct text_filter *f)
{
    bool show_silent = f->show_silent;
    text_filter_init(f);
    f->show_silent = show_silent;
}

void text_filter_feed(struct text_filter *f, const char *s, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n;) {
        size_t run = plain_run(f, s + i, n - i);
        if (run > 0) {
            buf_add(out, s + i, run);
            i += run;
        } else {
            byte_add(f, s[i++], out);
        }
    }
}

void text_filter_finish(struct text_filter *f, struct buf *out)
{
    if (f->tag_state != TAG_NONE)
        tag_give_back(f, out);
    if (f->opening_len == 0 || f->silent)
        return;
    size_t n = f->opening_len;
    /* A blank after it would settle the question. */
    char closed[TEXT_HOLD_MAX + 1];
    memcpy(closed, f->opening, n);
    closed[n] = ' ';
    f->silent = text_silence(closed, n + 1, OPENING_SKIP_MAX) == TEXT_SILENT;
    if (!f->silent)
        opening_give(f, out);
}

/* The final text of a run. Tags go through the stream filter (steps 1, 3, 4), the rest works on lines. */
#include "agent/text.h"

#include <strings.h>

#include "base/utf8.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static bool starts_with(const char *s, const char *end, const char *prefix)
{
    size_t n = strlen(prefix);
    return (size_t)(end - s) >= n && strncasecmp(s, prefix, n) == 0;
}

/* A stretch of the text; begin == end when there is none. */
struct slice {
    const char *begin, *end;
};

static struct slice slice_trim(struct slice s)
{
    while (s.begin < s.end && is_blank(*s.begin))
        s.begin++;
    while (s.begin < s.end && is_blank(s.end[-1]))
        s.end--;
    return s;
}

/* The line at s, its line feed included. */
static struct slice line_at(const char *s, const char *end)
{
    const char *nl = memchr(s, '\n', (size_t)(end - s));
    return (struct slice){s, nl == NULL ? end : nl + 1};
}

static bool line_is_blank(struct slice line)
{
    struct slice inside = slice_trim(line);
    return inside.begin == inside.end;
}

static const char *skip_blanks(const char *s, const char *end)
{
    while (s < end && is_blank(*s))
        s++;
    return s;
}

static const char *skip_blank_lines(const char *s, const char *end)
{
    while (s < end) {
        struct slice line = line_at(s, end);
        if (!line_is_blank(line))
            break;
        s = line.end;
    }
    return s;
}

/* ---- step 2: echoed transcripts of tool calls ---- */

static const char *const transcript_marks[] = {"[Tool Call:", "[Tool Result", "[Historical context:"};

static bool at_transcript(const char *s, const char *end)
{
    for (size_t i = 0; i < sizeof transcript_marks / sizeof *transcript_marks; i++) {
        if (starts_with(s, end, transcript_marks[i]))
            return true;
    }
    return false;
}

/* Behind the bracket that closes the one at s; an unclosed one ends at the next blank line. */
static const char *skip_bracket(const char *s, const char *end)
{
    int depth = 0;
    for (; s < end; s++) {
        if (*s == '[')
            depth++;
        else if (*s == ']' && --depth == 0)
            return s + 1;
        else if (*s == '\n' && s + 1 < end && s[1] == '\n')
            return s;
    }
    return end;
}

/* Behind the JSON object or array at s; the end of the text when it is cut off. */
static const char *skip_json(const char *s, const char *end)
{
    int depth = 0;
    bool quoted = false;
    for (; s < end; s++) {
        if (quoted) {
            if (*s == '\\')
                s++;
            else if (*s == '"')
                quoted = false;
        } else if (*s == '"') {
            quoted = true;
        } else if (*s == '{' || *s == '[') {
            depth++;
        } else if ((*s == '}' || *s == ']') && --depth == 0) {
            return s + 1;
        }
    }
    return end;
}

static const char *skip_transcript(const char *s, const char *end)
{
    const char *after = skip_bracket(s, end);
    const char *next = skip_blanks(after, end);
    if (starts_with(next, end, "Arguments:"))
        next = skip_blanks(next + strlen("Arguments:"), end);
    bool json = next < end && (*next == '{' || (*next == '[' && !at_transcript(next, end)));
    if (json)
        after = skip_json(next, end);
    return skip_blank_lines(after, end);
}

static void drop_transcripts(struct slice in, struct buf *out)
{
    const char *s = in.begin;
    while (s < in.end) {
        const char *mark = memchr(s, '[', (size_t)(in.end - s));
        const char *upto = mark == NULL ? in.end : mark;
        buf_add(out, s, (size_t)(upto - s));
        s = upto;
        if (mark == NULL)
            break;
        if (at_transcript(mark, in.end))
            s = skip_transcript(mark, in.end);
        else
            buf_addc(out, *s++);
    }
}

/* ---- step 5: echoed system messages ---- */

static void drop_system_blocks(struct slice in, struct buf *out)
{
    bool inside = false;
    for (const char *s = in.begin; s < in.end;) {
        struct slice line = line_at(s, in.end);
        if (starts_with(skip_blanks(line.begin, line.end), line.end, "[System Message]"))
            inside = true;
        if (!inside)
            buf_add(out, line.begin, (size_t)(line.end - line.begin));
        else if (line_is_blank(line))
            inside = false;
        s = line.end;
    }
}

/* ---- step 6: repeated paragraphs ---- */

/* The paragraph at s with the blank lines behind it. */
static struct slice paragraph_at(const char *s, const char *end)
{
    const char *p = s;
    while (p < end) {
        struct slice line = line_at(p, end);
        if (line_is_blank(line))
            break;
        p = line.end;
    }
    return (struct slice){s, skip_blank_lines(p, end)};
}

static void drop_repeated_paragraphs(struct slice in, struct buf *out)
{
    struct slice previous = {in.begin, in.begin};
    for (const char *s = in.begin; s < in.end;) {
        struct slice paragraph = paragraph_at(s, in.end);
        struct slice text = slice_trim(paragraph);
        size_t n = (size_t)(text.end - text.begin);
        bool repeated = n > 0 && n == (size_t)(previous.end - previous.begin) &&
                        memcmp(text.begin, previous.begin, n) == 0;
        if (!repeated)
            buf_add(out, paragraph.begin, (size_t)(paragraph.end - paragraph.begin));
        previous = text;
        s = paragraph.end;
    }
}

/* ---- step 7: media lines and directives ---- */

static bool line_names_media(struct slice line)
{
    static const char mark[] = "MEDIA:";
    const char *s = line.begin;
    while ((s = memmem(s, (size_t)(line.end - s), mark, sizeof mark - 1)) != NULL) {
        const char *path = s + sizeof mark - 1;
        if ((s == line.begin || !is_word(s[-1])) && path < line.end && !is_blank(*path))
            return true;
        s = path;
    }
    return false;
}

/* Length of the [[word:value]] at s, 0 when there is none. */
static size_t directive_length(const char *s, const char *end)
{
    const char *p = s + 2;
    if (!starts_with(s, end, "[[") || p >= end || !((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')))
        return 0;
    while (p < end && is_word(*p))
        p++;
    if (p >= end || *p != ':')
        return 0;
    while (p < end && *p != ']' && *p != '[' && *p != '\n')
        p++;
    return starts_with(p, end, "]]") ? (size_t)(p + 2 - s) : 0;
}

/* x[[a:b]] is indexing and `[[a:b]]` is a quotation; neither is a directive. */
static bool may_precede_directive(char c)
{
    return !is_word(c) && c != '`' && c != ']' && c != ')';
}

static void line_without_directives(struct slice line, struct buf *out)
{
    const char *plain = line.begin;
    bool found = false;
    size_t before = out->len;
    for (const char *s = line.begin; s < line.end;) {
        size_t n = 0;
        if (*s == '[' && (s == line.begin || may_precede_directive(s[-1])))
            n = directive_length(s, line.end);
        if (n == 0) {
            s++;
            continue;
        }
        found = true;
        buf_add(out, plain, (size_t)(s - plain));
        s += n;
        if (s < line.end && *s == ' ')
            s++;
        plain = s;
    }
    struct slice rest = {plain, line.end};
    struct slice given = {buf_str(out) + before, buf_str(out) + out->len};
    if (!found || !line_is_blank(rest) || !line_is_blank(given)) {
        buf_add(out, rest.begin, (size_t)(rest.end - rest.begin));
    } else if (out->len > before) { /* nothing but directives: the line goes altogether */
        out->len = before;
        out->data[before] = '\0';
    }
}

static void drop_directives(struct slice in, struct buf *out)
{
    for (const char *s = in.begin; s < in.end;) {
        struct slice line = line_at(s, in.end);
        const char *first = skip_blanks(line.begin, line.end);
        if (!line_names_media(line) && !starts_with(first, line.end, "[[audio_as_voice]]"))
            line_without_directives(line, out);
        s = line.end;
    }
}

/* ---- all steps ---- */

typedef void sanitize_step(struct slice in, struct buf *out);

static sanitize_step *const steps[] = {drop_transcripts, drop_system_blocks, drop_repeated_paragraphs,
                                       drop_directives};

char *text_sanitize(struct arena *a, const char *text)
{
    if (text == NULL)
        return arena_strdup(a, "");
    size_t n = strlen(text);
    struct buf halves[2] = {BUF_INIT(n + 1), BUF_INIT(n + 1)};
    struct buf *from = &halves[0], *to = &halves[1];

    struct text_filter filter;
    text_filter_init(&filter);
    filter.show_silent = true;
    text_filter_feed(&filter, text, n, from);
    text_filter_finish(&filter, from);
    text_filter_release(&filter);

    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        buf_clear(to);
        const char *s = buf_str(from);
        steps[i]((struct slice){s, s + from->len}, to);
        struct buf *swap = from;
        from = to;
        to = swap;
    }
    const char *s = buf_str(from);
    struct slice result = slice_trim((struct slice){s, s + from->len});
    char *copy = arena_strndup(a, result.begin, (size_t)(result.end - result.begin));
    buf_release(from);
    buf_release(to);
    return copy;
}

char *text_preview(struct arena *a, const char *text, size_t max)
{
    static const char dots[] = "...";
    size_t n = text == NULL ? 0 : strlen(text);
    size_t dots_len = max >= sizeof dots - 1 ? sizeof dots - 1 : 0;
    char *out = arena_alloc(a, (n < max ? n : max) + 1);
    size_t len = 0, fits = 0; /* fits: how much may stay when the text is cut */
    for (size_t i = 0; i < n;) {
        uint32_t cp = 0;
        size_t step = utf8_decode(text + i, n - i, &cp);
        if (step == 0) {
            i++;
            continue;
        }
        if (len + step > max) {
            memcpy(out + fits, dots, dots_len);
            len = fits + dots_len;
            break;
        }
        memcpy(out + len, text + i, step);
        len += step;
        i += step;
        if (len + dots_len <= max)
            fits = len;
    }
    out[len] = '\0';
    return out;
}

const char *text_tool_result(struct arena *a, const char *text)
{
    enum { RESULT_MAX = 100000 };
    size_t n = strlen(text);
    if (n <= RESULT_MAX)
        return text;
    size_t head = utf8_cut(text, n, RESULT_MAX * 7 / 10);
    size_t tail = n - RESULT_MAX * 2 / 10;
    while (tail < n && ((unsigned char)text[tail] & 0xC0) == 0x80)
        tail++;
    return arena_printf(a, "%.*s\n[… %zu of %zu bytes left out …]\n%s", (int)head, text, tail - head, n, text + tail);
}

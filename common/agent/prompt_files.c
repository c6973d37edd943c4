/* Order, budgets and wrappers of context files. */
#include "agent/prompt_files.h"

#include <strings.h>

#include "base/utf8.h"

enum {
    HEAD_PERCENT = 70,
    TAIL_PERCENT = 20,
    MIN_REMAINING = 64, /* less is not worth a file */
};

static const char ellipsis[] = "\u2026";
static const char no_team[] = "You are not part of a team. There are no team members and no team tools; do not try to "
                              "reach any.";

static const char *const order[] = {"SOUL.md", "IDENTITY.md",        "AGENTS.md", "TOOLS.md",    "CAPABILITIES.md",
                                    "USER_PREDEFINED.md", "USER.md", "BOOTSTRAP.md", NULL, /* all others */
                                    "TEAM.md", "DELEGATION.md", "AVAILABILITY.md"};
enum { RANK_IDENTITY = 1, RANK_USER = 6, RANK_BOOTSTRAP = 7, RANK_OTHER = 8, RANK_AVAILABILITY = 11 };

static const char *const wrapper_tags[] = {"context_file", "internal_config", "system_context", "extra_context"};

static int rank_of(const char *name)
{
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        if (order[i] != NULL && strcmp(order[i], name) == 0)
            return (int)i;
    }
    return RANK_OTHER;
}

static bool is_virtual(const struct prompt_file *f)
{
    return f->rank > RANK_OTHER;
}

bool prompt_file_is_persona(const struct prompt_file *f)
{
    return f->rank <= RANK_IDENTITY;
}

bool prompt_has_file(const struct prompt_input *in, const char *name)
{
    for (size_t i = 0; i < in->file_count; i++) {
        const struct context_file *f = &in->files[i];
        if (strcmp(f->name, name) == 0 && f->content != NULL && *f->content != '\0')
            return true;
    }
    return false;
}

bool prompt_onboards(const struct prompt_input *in)
{
    static const char *const without[] = {"http", "wake", "cron", "delegate"};
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        if (in->channel != NULL && strcmp(in->channel, without[i]) == 0)
            return false;
    bool group = in->session_key != NULL && strstr(in->session_key, ":group:") != NULL;
    return !group && prompt_has_file(in, "BOOTSTRAP.md");
}

static int compare_files(const void *a, const void *b)
{
    const struct prompt_file *x = a, *y = b;
    return x->rank != y->rank ? (x->rank > y->rank) - (x->rank < y->rank) : strcmp(x->name, y->name);
}

/* The first bytes of content that fit, the last character replaced by an ellipsis when some are missing. */
static char *cut_to(struct arena *a, const char *content, size_t max)
{
    size_t n = strlen(content), mark = sizeof ellipsis - 1;
    if (n <= max)
        return arena_strdup(a, content);
    if (max < mark)
        return arena_strdup(a, "");
    return arena_printf(a, "%.*s%s", (int)utf8_cut(content, n, max - mark), content, ellipsis);
}

char *prompt_shorten(struct arena *a, const char *name, const char *content, size_t max)
{
    size_t n = strlen(content);
    if (n <= max)
        return arena_strdup(a, content);
    size_t head = utf8_cut(content, n, max / 100 * HEAD_PERCENT + max % 100 * HEAD_PERCENT / 100);
    size_t keep = max / 100 * TAIL_PERCENT + max % 100 * TAIL_PERCENT / 100;
    size_t tail = n - keep;
    while (tail < n && ((unsigned char)content[tail] & 0xC0) == 0x80)
        tail++;
    size_t kept = utf8_count(content, head) + utf8_count(content + tail, n - tail);
    char *marker = arena_printf(a, "\n[%s was shortened: %zu of %zu characters kept]\n", name, kept,
                                utf8_count(content, n));
    if (head + strlen(marker) + (n - tail) > max)
        return cut_to(a, content, max);
    return arena_printf(a, "%.*s%s%s", (int)head, content, marker, content + tail);
}

/* Shortens in order until the total is used up; returns how many files are left. */
static size_t apply_budgets(struct arena *a, const struct config *c, struct prompt_file *files, size_t n)
{
    size_t per_file = c->bootstrap_max_chars > 0 ? (size_t)c->bootstrap_max_chars : 0;
    size_t remaining = c->bootstrap_total_max_chars > 0 ? (size_t)c->bootstrap_total_max_chars : 0;
    size_t used = 0;
    for (size_t i = 0; i < n && remaining >= MIN_REMAINING; i++) {
        files[used] = files[i];
        char *content = prompt_shorten(a, files[i].name, files[i].content, per_file);
        files[used].content = cut_to(a, content, remaining);
        remaining -= strlen(files[used].content);
        used += *files[used].content != '\0';
    }
    return used;
}

static bool is_heartbeat_session(const struct prompt_input *in)
{
    return in->session_key != NULL && strstr(in->session_key, ":heartbeat") != NULL;
}

struct prompt_file *prompt_files_pick(struct arena *a, const struct prompt_input *in, size_t *count)
{
    struct prompt_file *out = ARENA_ARRAY(a, struct prompt_file, in->file_count + 1);
    bool first_run = prompt_onboards(in);
    size_t n = 0;
    for (size_t i = 0; i < in->file_count; i++) {
        const struct context_file *f = &in->files[i];
        struct prompt_file file = {f->name, f->content, rank_of(f->name)};
        bool skipped = f->content == NULL || *f->content == '\0' || (first_run && is_virtual(&file)) ||
                       (strcmp(f->name, "BOOTSTRAP.md") == 0 && !first_run) ||
                       (strcmp(f->name, "HEARTBEAT.md") == 0 && !is_heartbeat_session(in));
        if (!skipped)
            out[n++] = file;
    }
    if (!first_run && !prompt_has_file(in, "TEAM.md") && !prompt_has_file(in, "AVAILABILITY.md"))
        out[n++] = (struct prompt_file){"AVAILABILITY.md", no_team, RANK_AVAILABILITY};
    qsort(out, n, sizeof *out, compare_files);
    *count = apply_budgets(a, in->config, out, n);
    return out;
}

static bool closes_wrapper(const char *s)
{
    for (size_t i = 0; i < sizeof wrapper_tags / sizeof *wrapper_tags; i++) {
        if (strncasecmp(s, wrapper_tags[i], strlen(wrapper_tags[i])) == 0)
            return true;
    }
    return false;
}

void prompt_quote(struct buf *out, const char *text)
{
    const char *close;
    while ((close = strstr(text, "</")) != NULL) {
        buf_add(out, text, (size_t)(close - text));
        buf_adds(out, closes_wrapper(close + 2) ? "<\\/" : "</");
        text = close + 2;
    }
    buf_adds(out, text);
}

/* Names are file names; whatever could leave the attribute is left out. */
static void write_name(struct buf *out, const char *name)
{
    for (; *name != '\0'; name++) {
        if ((unsigned char)*name >= 0x20 && strchr("\"<>", *name) == NULL)
            buf_addc(out, *name);
    }
}

void prompt_file_write(struct buf *out, const struct prompt_file *f, bool predefined)
{
    const char *tag = "context_file";
    if (is_virtual(f))
        tag = "system_context";
    else if (predefined && f->rank != RANK_USER && f->rank != RANK_BOOTSTRAP)
        tag = "internal_config";
    if (!predefined && !is_virtual(f)) {
        buf_adds(out, "### ");
        write_name(out, f->name);
        buf_addc(out, '\n');
    }
    buf_addf(out, "<%s name=\"", tag);
    write_name(out, f->name);
    buf_adds(out, "\">\n");
    prompt_quote(out, f->content);
    buf_addf(out, "\n</%s>\n", tag);
}

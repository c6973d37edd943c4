#include "agent/loop_guard.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/jsonw.h"

#define NARROW_SHARE 0.6 /* at most this share of a streak's calls are different ones */

enum { CANONICAL_MAX = 16 << 20 };

/* ---- what is compared ---- */

static int key_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void write_canonical(struct buf *out, struct arena *a, json_object *value);

static void write_object(struct buf *out, struct arena *a, json_object *o)
{
    size_t n = 0;
    const char **keys = ARENA_ARRAY(a, const char *, (size_t)json_object_object_length(o));
    json_object_object_foreach(o, key, unused) {
        (void)unused;
        keys[n++] = key;
    }
    if (n > 1)
        qsort(keys, n, sizeof *keys, key_order);
    buf_addc(out, '{');
    for (size_t i = 0; i < n; i++) {
        buf_addc(out, '"');
        json_escape(out, keys[i], strlen(keys[i]));
        buf_adds(out, "\":");
        write_canonical(out, a, json_object_object_get(o, keys[i]));
        buf_addc(out, ',');
    }
    buf_addc(out, '}');
}

/* As deep as the gate lets JSON be. A comma more than JSON wants does not matter: nobody reads it. */
static void write_canonical(struct buf *out, struct arena *a, json_object *value)
{
    if (json_object_is_type(value, json_type_object)) {
        write_object(out, a, value);
    } else if (json_object_is_type(value, json_type_array)) {
        buf_addc(out, '[');
        for (size_t i = 0; i < json_object_array_length(value); i++) {
            write_canonical(out, a, json_object_array_get_idx(value, i));
            buf_addc(out, ',');
        }
        buf_addc(out, ']');
    } else {
        buf_adds(out, json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN));
    }
}

/* Arguments that are no JSON stand for themselves. */
static void call_hash(struct arena *a, const char *name, const char *arguments, unsigned char out[SHA256_SIZE])
{
    json_object *o = json_parse(a, arguments, strlen(arguments), 0, NULL);
    struct buf *text = buf_new(a, CANONICAL_MAX);
    buf_adds(text, name);
    buf_addc(text, '\n');
    if (o)
        write_canonical(text, a, o);
    else
        buf_adds(text, arguments);
    sha256(buf_str(text), text->len, out);
}

static bool same(const unsigned char a[SHA256_SIZE], const unsigned char b[SHA256_SIZE])
{
    return memcmp(a, b, SHA256_SIZE) == 0;
}

/* ---- detectors: how often; 0 = does not apply ---- */

static size_t window(const struct loop_guard *g)
{
    return g->count < LOOP_CALLS ? g->count : LOOP_CALLS;
}

static const struct loop_call *last(const struct loop_guard *g)
{
    return &g->calls[(g->count - 1) % LOOP_CALLS];
}

static size_t same_call_and_result(const struct loop_guard *g)
{
    size_t n = 0;
    for (size_t i = 0; i < window(g); i++)
        n += same(g->calls[i].call, last(g)->call) && same(g->calls[i].result, last(g)->result);
    return n;
}

/* Different calls of one tool with one result. A tool that changes something gets on, whatever it says. */
static size_t same_result(const struct loop_guard *g)
{
    const struct loop_call *different[LOOP_CALLS];
    size_t n = 0;
    for (size_t i = 0; i < window(g) && !last(g)->changes; i++) {
        const struct loop_call *c = &g->calls[i];
        bool counts = same(c->tool, last(g)->tool) && same(c->result, last(g)->result);
        for (size_t k = 0; k < n && counts; k++)
            counts = !same(c->call, different[k]->call);
        if (counts)
            different[n++] = c;
    }
    return n;
}

static bool is_narrow(const struct loop_guard *g)
{
    return (double)g->unique <= NARROW_SHARE * (double)g->streak;
}

static size_t narrow_reads(const struct loop_guard *g)
{
    return g->reading && is_narrow(g) ? g->streak : 0;
}

static size_t wide_reads(const struct loop_guard *g)
{
    return g->reading && !is_narrow(g) ? g->streak : 0;
}

static const struct detector {
    size_t (*measure)(const struct loop_guard *g);
    size_t warn, stop;
    bool of_streak;
    const char *advice; /* ends the note to the model */
} detectors[] = {
    {same_call_and_result, 3, 5, false,
     "with the same arguments and the same result. Do something else, or answer with what you have; the run will be "
     "stopped otherwise."},
    {same_result, 4, 6, false,
     "with different arguments and the same result. Try another way, or answer with what you have; the run will be "
     "stopped otherwise."},
    {narrow_reads, 8, 12, true,
     "much of it was read before. Act on what you know, or answer; the run will be stopped otherwise."},
    {wide_reads, 24, LOOP_STREAK_MAX, true, "nothing was changed meanwhile. Come to a conclusion."},
};

enum { DETECTORS = sizeof detectors / sizeof *detectors };

/* ---- */

static void streak_end(struct loop_guard *g)
{
    g->streak = g->unique = 0;
    for (unsigned i = 0; i < DETECTORS; i++)
        if (detectors[i].of_streak)
            g->warned &= ~(1u << i);
}

static void streak_add(struct loop_guard *g, const unsigned char call[SHA256_SIZE])
{
    size_t kept = g->streak < LOOP_STREAK_MAX ? g->streak : LOOP_STREAK_MAX;
    bool seen = false;
    for (size_t i = 0; i < kept && !seen; i++)
        seen = same(g->reads[i], call);
    g->unique += !seen;
    if (kept < LOOP_STREAK_MAX)
        memcpy(g->reads[kept], call, SHA256_SIZE);
    g->streak++;
}

static enum loop_verdict judge(struct loop_guard *g, struct arena *a, const char *name, const char **note)
{
    enum loop_verdict verdict = LOOP_FINE;
    for (unsigned i = 0; i < DETECTORS; i++) {
        const struct detector *d = &detectors[i];
        size_t n = d->measure(g);
        if (n >= d->stop)
            return LOOP_STOP;
        /* A streak is told of once, other repetitions when they become too many. */
        bool told = g->warned & 1u << i && (d->of_streak || n > d->warn);
        if (n < d->warn || told)
            continue;
        g->warned |= 1u << i;
        *note = d->of_streak
                    ? arena_printf(a, "[System Message] %zu tool calls in a row (now %s) only read; %s", n, name,
                                   d->advice)
                    : arena_printf(a, "[System Message] %s was called %zu times %s", name, n, d->advice);
        verdict = LOOP_WARN;
    }
    return verdict;
}

enum loop_verdict loop_guard_add(struct loop_guard *g, struct arena *a, const char *name, const struct tool *tool,
                                 const char *arguments, const char *result, const char **note)
{
    struct loop_call *c = &g->calls[g->count++ % LOOP_CALLS];
    c->changes = tool && tool->changes;
    sha256(name, strlen(name), c->tool);
    sha256(result, strlen(result), c->result);
    call_hash(a, name, arguments, c->call);
    g->reading = tool && tool->read_only;
    if (c->changes)
        streak_end(g);
    else if (g->reading)
        streak_add(g, c->call);
    return judge(g, a, name, note);
}

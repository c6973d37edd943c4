/* One pass over a text the gate has passed: commas and colons say nothing new there. */
#include "base/json_tree.h"

#include "base/json_inner.h"
#include "base/json_scan.h"

/* The least that is taken: most events need no more. */
enum { NODES_FIRST = 64, CHARS_FIRST = 1024 };

struct planter {
    const char *at, *end;
    struct json_node *node; /* the next free one */
    char *chars;            /* the next free place */
    const char *key;        /* of the member whose value comes next */
    int depth;
    struct json_node *open[JSON_DEPTH_MAX];
    struct json_node **next[JSON_DEPTH_MAX + 1]; /* where the next value of that level is hung */
};

void json_tree_init(struct json_tree *t)
{
    *t = (struct json_tree){0};
}

void json_tree_release(struct json_tree *t)
{
    free(t->nodes);
    free(t->chars);
    json_tree_init(t);
}

/* Makes room for n things of that size; what was there is of no use any more. */
static bool reserve(void **p, size_t *cap, size_t n, size_t size)
{
    if (n <= *cap)
        return true;
    free(*p);
    *p = malloc(n * size);
    *cap = *p ? n : 0;
    return *p != NULL;
}

static bool room_for(struct json_tree *t, size_t values, size_t len)
{
    void *nodes = t->nodes, *chars = t->chars;
    bool ok = reserve(&nodes, &t->node_cap, values > NODES_FIRST ? values : NODES_FIRST, sizeof *t->nodes);
    t->nodes = nodes;
    ok = ok && reserve(&chars, &t->char_cap, len + 1 > CHARS_FIRST ? len + 1 : CHARS_FIRST, 1);
    t->chars = chars;
    return ok;
}

/* at stands on the opening quote, afterwards behind the closing one. The string with its NUL is never longer than
 * what it is in the text with its quotes. */
static const char *take_string(struct planter *p, size_t *len)
{
    char *start = p->chars, *out = start;
    const char *from = p->at + 1, *stop = json_string_break(from, p->end);
    while (*stop == '\\') {
        char bytes[4];
        size_t n;
        out = mempcpy(out, from, (size_t)(stop - from));
        from = json_unescape(stop + 1, bytes, &n);
        out = mempcpy(out, bytes, n);
        stop = json_string_break(from, p->end);
    }
    out = mempcpy(out, from, (size_t)(stop - from));
    *out = '\0';
    p->at = stop + 1;
    p->chars = out + 1;
    *len = (size_t)(out - start);
    return start;
}

static struct json_node *hang(struct planter *p, enum json_kind kind)
{
    struct json_node *n = p->node++;
    *n = (struct json_node){.kind = kind, .key = p->key, .text = p->at};
    *p->next[p->depth] = n;
    p->next[p->depth] = &n->next;
    p->key = NULL;
    return n;
}

static void take_number(struct planter *p)
{
    struct json_node *n = hang(p, JSON_INTEGER);
    const char *start = p->at;
    for (; p->at < p->end && strchr("+-.0123456789eE", *p->at); p->at++)
        if (*p->at == '.' || (*p->at | 0x20) == 'e')
            n->kind = JSON_DOUBLE;
    n->len = (size_t)(p->at - start);
    n->text = memcpy(p->chars, start, n->len);
    p->chars[n->len] = '\0';
    p->chars += n->len + 1;
}

static void take_word(struct planter *p, enum json_kind kind, size_t len)
{
    hang(p, kind)->len = len;
    p->at += len;
}

static void open_level(struct planter *p, enum json_kind kind)
{
    struct json_node *n = hang(p, kind);
    p->open[p->depth++] = n;
    p->next[p->depth] = &n->first;
    p->at++;
}

static void close_level(struct planter *p)
{
    struct json_node *n = p->open[--p->depth];
    p->at++;
    n->len = (size_t)(p->at - n->text);
}

/* Directly inside an object, while no key waits for its value, a string is a key. */
static void take_text(struct planter *p)
{
    size_t len;
    if (p->depth > 0 && p->open[p->depth - 1]->kind == JSON_OBJECT && !p->key) {
        p->key = take_string(p, &len);
        return;
    }
    struct json_node *n = hang(p, JSON_STRING);
    n->text = take_string(p, &n->len);
}

static void step(struct planter *p)
{
    switch (*p->at) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
    case ',':
    case ':':
        p->at++;
        return;
    case '{':
        open_level(p, JSON_OBJECT);
        return;
    case '[':
        open_level(p, JSON_ARRAY);
        return;
    case '}':
    case ']':
        close_level(p);
        return;
    case '"':
        take_text(p);
        return;
    case 't':
        take_word(p, JSON_TRUE, 4);
        return;
    case 'f':
        take_word(p, JSON_FALSE, 5);
        return;
    case 'n':
        take_word(p, JSON_NULL, 4);
        return;
    default:
        take_number(p);
    }
}

const struct json_node *json_tree_read(struct json_tree *t, const char *text, size_t len, size_t values_max,
                                       struct json_fault *fault)
{
    size_t values = 0;
    if (!json_gate_count(text, len, values_max, fault, &values))
        return NULL;
    if (!room_for(t, values, len)) {
        if (fault)
            *fault = (struct json_fault){.reason = "not enough memory"};
        return NULL;
    }
    struct json_node *root = NULL;
    struct planter p;
    p.at = text;
    p.end = text + len;
    p.node = t->nodes;
    p.chars = t->chars;
    p.key = NULL;
    p.depth = 0;
    p.next[0] = &root;
    while (p.at < p.end)
        step(&p);
    return root;
}

const struct json_node *json_node_get(const struct json_node *n, const char *key)
{
    if (!json_node_is(n, JSON_OBJECT))
        return NULL;
    for (const struct json_node *m = n->first; m; m = m->next)
        if (strcmp(m->key, key) == 0)
            return m->kind == JSON_NULL ? NULL : m;
    return NULL;
}

const char *json_node_str(const struct json_node *n, const char *key)
{
    const struct json_node *m = json_node_get(n, key);
    return json_node_is(m, JSON_STRING) ? m->text : NULL;
}

int64_t json_node_int(const struct json_node *n, const char *key, int64_t fallback)
{
    const struct json_node *m = json_node_get(n, key);
    return json_node_is(m, JSON_INTEGER) ? strtoll(m->text, NULL, 10) : fallback;
}

bool json_node_is(const struct json_node *n, enum json_kind kind)
{
    return n && n->kind == kind;
}

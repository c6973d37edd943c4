/* The history pipeline: rows -> messages -> pruned -> repaired. */
#include "agent/history.h"

#include "base/json.h"
#include "base/utf8.h"

/* Contract 03 §3.5. Ratios are of the window in characters. */
#define SOFT_TRIM_RATIO 0.3
#define HARD_CLEAR_RATIO 0.5
enum {
    CHARS_PER_TOKEN = 4,
    CHARS_PER_ESTIMATED_TOKEN = 3,
    KEEP_LAST_ASSISTANTS = 3,
    SOFT_TRIM_MAX_CHARS = 4000,
    SOFT_TRIM_HEAD_CHARS = 1500,
    SOFT_TRIM_TAIL_CHARS = 1500,
    MIN_PRUNABLE_TOOL_CHARS = 50000,
    CALL_ID_MAX = 40, /* §5.6 */
    CALL_ID_KEPT = 28, /* what is kept of an id that gets a number appended */
};

static const char cleared_note[] = "[Old tool result cleared]";
static const char missing_note[] = "[The result of this tool call was lost; call the tool again if it is still needed]";

/* ---- from rows ---- */

static bool role_parse(const char *name, enum llm_role *role)
{
    static const char *const names[] = {"system", "user", "assistant", "tool"};
    for (size_t i = 0; name != NULL && i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *role = (enum llm_role)i;
            return true;
        }
    }
    return false;
}

static const char *or_empty(const char *s)
{
    return s != NULL ? s : "";
}

static bool is_object_text(const char *text)
{
    struct json_fault fault;
    json_object *o = json_parse_owned(text, strlen(text), 0, &fault);
    bool object = json_object_is_type(o, json_type_object);
    json_object_put(o);
    return object;
}

static bool call_from_json(struct arena *a, json_object *o, struct llm_tool_call *call)
{
    const char *name = json_object_is_type(o, json_type_object) ? json_str(o, "name") : NULL;
    if (name == NULL || *name == '\0')
        return false;
    call->name = arena_strdup(a, name);
    call->id = arena_strdup(a, or_empty(json_str(o, "id")));
    const char *signature = json_str(json_get(o, "metadata"), "thought_signature");
    call->signature = signature != NULL ? arena_strdup(a, signature) : NULL;
    json_object *arguments = json_get(o, "arguments");
    if (arguments == NULL) {
        call->arguments = "{}";
    } else if (json_object_is_type(arguments, json_type_string)) {
        call->arguments = arena_strdup(a, json_object_get_string(arguments));
        call->malformed = !is_object_text(call->arguments);
    } else {
        int flags = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
        call->arguments = arena_strdup(a, json_object_to_json_string_ext(arguments, flags));
        call->malformed = !json_object_is_type(arguments, json_type_object);
    }
    return true;
}

static void calls_from_text(struct arena *a, const char *text, struct llm_message *m)
{
    struct json_fault fault;
    json_object *list = text == NULL ? NULL : json_parse_owned(text, strlen(text), 0, &fault);
    if (json_object_is_type(list, json_type_array)) {
        size_t n = json_object_array_length(list), used = 0;
        struct llm_tool_call *calls = ARENA_ARRAY(a, struct llm_tool_call, n);
        for (size_t i = 0; i < n; i++)
            used += call_from_json(a, json_object_array_get_idx(list, i), &calls[used]);
        m->tool_calls = calls;
        m->tool_call_count = used;
    }
    json_object_put(list);
}

struct llm_message *history_from_rows(struct arena *a, const struct message *rows, size_t n, size_t *count)
{
    struct llm_message *out = ARENA_ARRAY(a, struct llm_message, n);
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        struct llm_message *m = &out[used];
        if (!role_parse(rows[i].role, &m->role))
            continue;
        m->text = or_empty(rows[i].content);
        if (m->role == LLM_ASSISTANT)
            calls_from_text(a, rows[i].tool_calls, m);
        if (m->role == LLM_TOOL) {
            m->tool_call_id = or_empty(rows[i].tool_call_id);
            m->is_error = rows[i].is_error;
        }
        used++;
    }
    *count = used;
    return out;
}

/* ---- sizes ---- */

static int64_t text_chars(const char *s)
{
    return s == NULL ? 0 : (int64_t)utf8_count(s, strlen(s));
}

static int64_t text_bytes(const char *s)
{
    return s == NULL ? 0 : (int64_t)strlen(s);
}

static int64_t message_bytes(const struct llm_message *m)
{
    int64_t bytes = text_bytes(m->text);
    for (size_t i = 0; i < m->tool_call_count; i++)
        bytes += text_bytes(m->tool_calls[i].name) + text_bytes(m->tool_calls[i].arguments);
    return bytes;
}

static int64_t message_chars(const struct llm_message *m)
{
    int64_t chars = text_chars(m->text);
    for (size_t i = 0; i < m->tool_call_count; i++)
        chars += text_chars(m->tool_calls[i].name) + text_chars(m->tool_calls[i].arguments);
    return chars;
}

int64_t history_estimate_tokens(const struct llm_message *m, size_t n)
{
    int64_t tokens = 0;
    for (size_t i = 0; i < n; i++)
        tokens += message_chars(&m[i]) / CHARS_PER_ESTIMATED_TOKEN;
    return tokens;
}

/* ---- pruning ---- */

/* Messages [from, to) may be pruned: behind the first user message, before the last three assistants. */
struct prune_range {
    size_t from, to;
};

static struct prune_range prune_range_find(const struct llm_message *m, size_t n)
{
    size_t from = 0, to = n;
    while (from < n && m[from].role != LLM_USER)
        from++;
    int assistants = 0;
    while (to > from && assistants < KEEP_LAST_ASSISTANTS)
        assistants += m[--to].role == LLM_ASSISTANT;
    return (struct prune_range){from, to};
}

static const char *soft_trim(struct arena *a, const char *text, int64_t chars)
{
    size_t n = strlen(text);
    size_t head = utf8_offset(text, n, SOFT_TRIM_HEAD_CHARS);
    size_t tail = utf8_offset(text, n, (size_t)chars - SOFT_TRIM_TAIL_CHARS);
    char *first = arena_strndup(a, text, head);
    static const char format[] = "%s\n...\n%s\n\n[Shortened: first %d and last %d of %lld characters kept]";
    return arena_printf(a, format, first, text + tail, SOFT_TRIM_HEAD_CHARS, SOFT_TRIM_TAIL_CHARS, (long long)chars);
}

const char *history_shorten(struct arena *a, const char *text)
{
    if (strlen(text) <= SOFT_TRIM_MAX_CHARS)
        return text; /* there are never more characters than bytes */
    int64_t chars = text_chars(text);
    return chars > SOFT_TRIM_MAX_CHARS ? soft_trim(a, text, chars) : text;
}

bool history_shorten_results(struct arena *a, struct llm_message *m, size_t n)
{
    bool shorter = false;
    for (size_t i = 0; i < n; i++) {
        const char *text = or_empty(m[i].text);
        if (m[i].role != LLM_TOOL)
            continue;
        m[i].text = history_shorten(a, text);
        shorter |= m[i].text != text;
    }
    return shorter;
}

void history_prune(struct arena *a, struct llm_message *m, size_t n, int64_t window)
{
    if (window <= 0)
        return;
    double limit = (double)window * CHARS_PER_TOKEN;
    int64_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += message_bytes(&m[i]);
    if ((double)total < limit * SOFT_TRIM_RATIO)
        return; /* there are never more characters than bytes */
    total = 0;
    for (size_t i = 0; i < n; i++)
        total += message_chars(&m[i]);
    if ((double)total < limit * SOFT_TRIM_RATIO)
        return;

    struct prune_range range = prune_range_find(m, n);
    int64_t prunable = 0;
    for (size_t i = range.from; i < range.to; i++) {
        if (m[i].role != LLM_TOOL)
            continue;
        int64_t chars = text_chars(m[i].text);
        if (chars > SOFT_TRIM_MAX_CHARS) {
            m[i].text = soft_trim(a, m[i].text, chars);
            total += text_chars(m[i].text) - chars;
        }
        prunable += text_chars(m[i].text);
    }
    if (prunable < MIN_PRUNABLE_TOOL_CHARS)
        return;
    for (size_t i = range.from; i < range.to && (double)total >= limit * HARD_CLEAR_RATIO; i++) {
        int64_t chars = text_chars(m[i].text);
        if (m[i].role != LLM_TOOL || chars <= (int64_t)sizeof cleared_note - 1)
            continue;
        m[i].text = cleared_note;
        total += (int64_t)sizeof cleared_note - 1 - chars;
    }
}

/* ---- repair ---- */

/* Tool-call ids given out so far; open addressing, never more than half full. */
struct id_set {
    const char **slots;
    size_t mask;
    size_t made; /* ids invented */
};

static void id_set_init(struct id_set *set, struct arena *a, size_t ids)
{
    size_t size = 8;
    while (size < ids * 2)
        size *= 2;
    set->slots = ARENA_ARRAY(a, const char *, size);
    set->mask = size - 1;
    set->made = 0;
}

/* false when it is already there. */
static bool id_set_add(struct id_set *set, const char *id)
{
    size_t at = 5381;
    for (const char *p = id; *p != '\0'; p++)
        at = at * 33 + (unsigned char)*p;
    for (at &= set->mask; set->slots[at] != NULL; at = (at + 1) & set->mask) {
        if (strcmp(set->slots[at], id) == 0)
            return false;
    }
    set->slots[at] = id;
    return true;
}

static const char *id_set_unique(struct id_set *set, struct arena *a, const char *id)
{
    if (*id != '\0' && strlen(id) <= CALL_ID_MAX && id_set_add(set, id))
        return id;
    const char *fresh;
    do {
        int kept = (int)utf8_cut(id, strlen(id), CALL_ID_KEPT);
        fresh = arena_printf(a, "%.*s_%zu", kept, *id != '\0' ? id : "call", ++set->made);
    } while (!id_set_add(set, fresh));
    return fresh;
}

struct repair {
    struct arena *arena;
    struct llm_message *out;
    size_t count;
    struct id_set ids;
};

/* The result for this call among the tool messages [from, to), each used once. */
static const struct llm_message *result_take(const struct llm_message *m, size_t from, size_t to, bool *used,
                                             const char *id)
{
    for (size_t i = from; i < to; i++) {
        if (!used[i - from] && strcmp(or_empty(m[i].tool_call_id), id) == 0) {
            used[i - from] = true;
            return &m[i];
        }
    }
    return NULL;
}

/* An assistant's message with calls and its results, which are the tool messages [from, to). */
static void repair_turn(struct repair *r, const struct llm_message *assistant, const struct llm_message *m, size_t from,
                        size_t to)
{
    struct arena *a = r->arena;
    struct llm_tool_call *calls = ARENA_ARRAY(a, struct llm_tool_call, assistant->tool_call_count);
    bool *used = ARENA_ARRAY(a, bool, to - from);
    struct llm_message *head = &r->out[r->count++];
    *head = *assistant;
    head->tool_calls = calls;
    for (size_t i = 0; i < assistant->tool_call_count; i++) {
        calls[i] = assistant->tool_calls[i];
        const char *original = or_empty(calls[i].id);
        calls[i].id = id_set_unique(&r->ids, a, original);
        const struct llm_message *result = result_take(m, from, to, used, original);
        struct llm_message *answer = &r->out[r->count++];
        if (result != NULL)
            *answer = *result;
        else
            *answer = (struct llm_message){.role = LLM_TOOL, .text = missing_note, .is_error = true};
        answer->tool_call_id = calls[i].id;
        answer->tool_name = calls[i].name;
    }
}

static bool can_merge(const struct llm_message *first, const struct llm_message *second)
{
    bool speaks = first->role == LLM_USER || first->role == LLM_ASSISTANT;
    return speaks && first->role == second->role && first->tool_call_count == 0;
}

/* m[0..n) as one message: texts joined by a blank line, the calls of the last one. */
static struct llm_message merged(struct arena *a, const struct llm_message *m, size_t n)
{
    struct llm_message result = m[n - 1];
    size_t size = 1;
    for (size_t i = 0; i < n; i++)
        size += strlen(or_empty(m[i].text)) + 2;
    char *text = arena_alloc(a, size), *p = text;
    for (size_t i = 0; i < n; i++) {
        const char *part = or_empty(m[i].text);
        if (*part == '\0')
            continue;
        if (p != text)
            p = mempcpy(p, "\n\n", 2);
        p = mempcpy(p, part, strlen(part));
    }
    *p = '\0';
    result.text = text;
    return result;
}

static size_t merge_neighbours(struct arena *a, struct llm_message *m, size_t n)
{
    size_t used = 0;
    for (size_t i = 0; i < n;) {
        size_t next = i + 1;
        while (next < n && can_merge(&m[next - 1], &m[next]))
            next++;
        m[used++] = next - i > 1 ? merged(a, m + i, next - i) : m[i];
        i = next;
    }
    return used;
}

struct llm_message *history_repair(struct arena *a, const struct llm_message *m, size_t n, size_t *count)
{
    size_t calls = 0;
    for (size_t i = 0; i < n; i++)
        calls += m[i].role == LLM_ASSISTANT ? m[i].tool_call_count : 0;
    struct repair r = {.arena = a, .out = ARENA_ARRAY(a, struct llm_message, n + calls)};
    id_set_init(&r.ids, a, calls);
    for (size_t i = 0; i < n;) {
        if (m[i].role == LLM_TOOL) {
            i++; /* leading, or behind a message without calls */
            continue;
        }
        if (m[i].role != LLM_ASSISTANT || m[i].tool_call_count == 0) {
            r.out[r.count++] = m[i++];
            continue;
        }
        size_t to = i + 1;
        while (to < n && m[to].role == LLM_TOOL)
            to++;
        repair_turn(&r, &m[i], m, i + 1, to);
        i = to;
    }
    *count = merge_neighbours(a, r.out, r.count);
    return r.out;
}

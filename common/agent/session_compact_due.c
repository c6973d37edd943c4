/* At the end of a run: is its session too long by now? */
#include "agent/compact.h"
#include "agent/run.h"
#include "agent/session_compact.h"
#include "base/jsonw.h"
#include "base/utf8.h"

enum { CHARS_PER_ESTIMATED_TOKEN = 3 };

static int64_t text_bytes(const char *s)
{
    return s ? (int64_t)strlen(s) : 0;
}

static int64_t text_chars(const char *s)
{
    return s ? (int64_t)utf8_count(s, strlen(s)) : 0;
}

/* What the next run of the session will be shown; messages that came with a new session's request are not stored. */
static int64_t size_left(const struct run *r, int64_t (*size)(const char *s))
{
    int64_t sum = 0;
    for (size_t i = 1; i < r->context_count; i++)
        sum += size(r->context[i].text);
    for (size_t i = r->context_count > 0 ? r->setup_rows : 0; i < r->row_count; i++)
        sum += size(r->rows[i].content) + size(r->rows[i].tool_calls);
    return sum;
}

/* There are never more characters than bytes, and these are counted faster. */
static bool is_full(const struct run *r, const struct compact_rules *rules)
{
    int64_t window = r->in->agent->context_window;
    return compact_is_full(rules, window, size_left(r, text_bytes) / CHARS_PER_ESTIMATED_TOKEN) &&
           compact_is_full(rules, window, size_left(r, text_chars) / CHARS_PER_ESTIMATED_TOKEN);
}

bool session_compact_due(const struct run *r)
{
    int64_t messages = (int64_t)(r->context_rows + r->row_count);
    if (messages < COMPACT_MESSAGES_MIN)
        return false;
    if (r->compacted || r->overflowed)
        return true;
    struct compact_rules rules = compact_rules_of(r->arena, r->engine->config, r->in->agent->compaction_config);
    return messages > rules.min_messages || is_full(r, &rules) ||
           (!r->new_session && compact_is_full(&rules, r->in->agent->context_window, r->last_prompt_tokens));
}

enum db_rc session_compact_want(struct db *db, struct run *r, const char *session_id, const char *session_key)
{
    struct buf *payload = buf_new(r->arena, 8192);
    struct jsonw w;
    jw_init(&w, payload);
    jw_obj(&w);
    jw_kstr(&w, "session_key", session_key);
    jw_kbool(&w, "overflow", r->overflowed || r->compacted);
    jw_obj_end(&w);
    return job_want(db, r->in->tenant_id, JOB_COMPACT, session_id, buf_str(payload));
}

/* The conversation as the messages API wants it: two sides that take turns, each speech a list of blocks. */
#include "llm/anthropic.h"

enum { CALL_ID_MAX = 64 };

/* The API refuses texts of nothing but blanks; where there must be one, this stands for them. */
static const char no_text[] = "(no text)";

bool anthropic_blank(const char *s)
{
    return !s || s[strspn(s, " \t\r\n\f\v")] == 0;
}

static void write_text(struct jsonw *w, const char *text)
{
    jw_obj(w);
    jw_kstr(w, "type", "text");
    jw_kstr(w, "text", text);
    jw_obj_end(w);
}

/* Ids of other providers may hold what this API refuses. */
static void write_id(struct jsonw *w, const char *key, const char *id)
{
    static const char fine[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    char fit[CALL_ID_MAX + 1] = "_";
    for (size_t i = 0; i < CALL_ID_MAX && id[i]; i++)
        fit[i] = strchr(fine, id[i]) ? id[i] : '_';
    jw_kstr(w, key, fit);
}

static void write_call(struct jsonw *w, const struct llm_tool_call *call)
{
    jw_obj(w);
    jw_kstr(w, "type", "tool_use");
    write_id(w, "id", call->id);
    jw_kstr(w, "name", call->name);
    /* An input must be an object; the result that follows tells the model what was wrong with it. */
    jw_kraw(w, "input", call->malformed || !*call->arguments ? "{}" : call->arguments);
    jw_obj_end(w);
}

static void write_thinking(struct jsonw *w, const struct llm_block *b)
{
    jw_obj(w);
    if (b->kind == LLM_BLOCK_THINKING) {
        jw_kstr(w, "type", "thinking");
        jw_kstr(w, "thinking", b->text);
        jw_kstr(w, "signature", b->signature);
    } else {
        jw_kstr(w, "type", "redacted_thinking");
        jw_kstr(w, "data", b->signature);
    }
    jw_obj_end(w);
}

static void write_result(struct jsonw *w, const struct llm_message *m)
{
    jw_obj(w);
    jw_kstr(w, "type", "tool_result");
    write_id(w, "tool_use_id", m->tool_call_id ? m->tool_call_id : "");
    if (!anthropic_blank(m->text))
        jw_kstr(w, "content", m->text);
    if (m->is_error)
        jw_kbool(w, "is_error", true);
    jw_obj_end(w);
}

/* A turn in the model's own pieces. Returns how many blocks were written, as the next two do. */
static size_t write_pieces(struct jsonw *w, const struct llm_message *m)
{
    size_t written = 0, call = 0;
    for (size_t i = 0; i < m->block_count; i++) {
        const struct llm_block *b = &m->blocks[i];
        if (b->kind == LLM_BLOCK_TEXT && anthropic_blank(b->text))
            continue;
        if (b->kind == LLM_BLOCK_TEXT)
            write_text(w, b->text);
        else if (b->kind == LLM_BLOCK_CALL)
            write_call(w, &m->tool_calls[call++]);
        else
            write_thinking(w, b);
        written++;
    }
    return written;
}

static size_t write_assistant(struct jsonw *w, const struct llm_message *m)
{
    if (m->block_count > 0)
        return write_pieces(w, m);
    bool text = !anthropic_blank(m->text);
    if (text)
        write_text(w, m->text);
    for (size_t i = 0; i < m->tool_call_count; i++)
        write_call(w, &m->tool_calls[i]);
    return text + m->tool_call_count;
}

static size_t write_user(struct jsonw *w, const struct llm_message *m)
{
    if (m->role == LLM_TOOL)
        write_result(w, m);
    else if (!anthropic_blank(m->text))
        write_text(w, m->text);
    else
        return 0;
    return 1;
}

enum speaker { NOBODY, USER, ASSISTANT };

/* One message of the API, that is everything one side says before the other does. */
struct speech {
    struct jsonw *w;
    enum speaker who;
    size_t blocks;
};

static void speech_end(struct speech *s)
{
    if (s->who == NOBODY)
        return;
    if (s->blocks == 0)
        write_text(s->w, no_text);
    jw_arr_end(s->w);
    jw_obj_end(s->w);
}

static void speech_begin(struct speech *s, enum speaker who)
{
    speech_end(s);
    jw_obj(s->w);
    jw_kstr(s->w, "role", who == USER ? "user" : "assistant");
    jw_karr(s->w, "content");
    s->who = who;
    s->blocks = 0;
}

/* The user has the first word and the last one, whatever the transcript says. */
void anthropic_messages(struct jsonw *w, const struct llm_request *r)
{
    struct speech s = {.w = w};
    size_t count = r->message_count;
    while (count > 0 && (r->messages[count - 1].role == LLM_ASSISTANT || r->messages[count - 1].role == LLM_SYSTEM))
        count--;
    jw_karr(w, "messages");
    for (size_t i = 0; i < count; i++) {
        const struct llm_message *m = &r->messages[i];
        if (m->role == LLM_SYSTEM)
            continue;
        enum speaker who = m->role == LLM_ASSISTANT ? ASSISTANT : USER;
        if (s.who == NOBODY && who == ASSISTANT)
            speech_begin(&s, USER);
        if (s.who != who)
            speech_begin(&s, who);
        s.blocks += who == USER ? write_user(w, m) : write_assistant(w, m);
    }
    if (s.who == NOBODY)
        speech_begin(&s, USER);
    speech_end(&s);
    jw_arr_end(w);
}

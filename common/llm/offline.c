/* The built-in model: no network, no key, the same answer to the same transcript (manual: docs/offline-model.md). */
#include "base/utf8.h"
#include "llm/wire.h"

enum {
    TEXT_MAX = 1 << 20,
    PAUSE_MAX_MS = 60000,
    REPEAT_MAX = 100000,
    QUOTE_CHARS = 200,
    RESULT_CHARS = 2000,
    DELTA_MAX = 32,      /* bytes, for text without blanks */
    DELTAS_A_FLUSH = 8,
    CHARS_A_TOKEN = 4,
};

static const char help[] =
    "Commands, each on a line of its own in your message:\n"
    "/call <tool> <json>  call a tool (several lines: several calls), then answer with the results\n"
    "/echo <text>         say this text\n"
    "/think <text>        think this text\n"
    "/repeat <n> <text>   say this text n times\n"
    "/slow <ms>           pause between two words\n"
    "/fail <status> [text] fail like an upstream that answers with this HTTP status\n"
    "/history             list the messages I was given\n"
    "/system              describe the system prompt I was given\n"
    "/length              end as if the token limit had been reached\n"
    "/help                this list\n";

static const char introduction[] =
    "I am Clawgate's built-in offline model: a small deterministic program inside the gateway that needs no key and no "
    "network. I do not think, but everything around me is real: agents, sessions, streaming, tools, usage and traces.";

static const char next_steps[] =
    "To talk to a real model, add a provider with POST /v1/providers, for example "
    "{\"name\":\"openai\",\"provider_type\":\"openai_compat\",\"api_key\":\"...\"}, and give the agent that provider "
    "and a model with PUT /v1/agents/{id}. Send /help to see the commands I understand.";

/* What the answer will be. */
struct script {
    const struct wire_call *call;
    struct buf text;
    struct buf thinking;
    int64_t pause_ms;
    bool cut;       /* finish = length */
    int fail_status;
    const char *fail_text;
    int commands;   /* understood */
    int sentences;  /* of these, the ones that say what to answer */
};

/* --- looking at the transcript --- */

static const struct llm_message *last_of(const struct llm_request *r, enum llm_role role)
{
    for (size_t i = r->message_count; i-- > 0;)
        if (r->messages[i].role == role)
            return &r->messages[i];
    return NULL;
}

static const char *text_of(const struct llm_message *m)
{
    return m && m->text ? m->text : "";
}

static size_t count_role(const struct llm_request *r, enum llm_role role)
{
    size_t n = 0;
    for (size_t i = 0; i < r->message_count; i++)
        n += r->messages[i].role == role;
    return n;
}

static int64_t tokens_of(const char *s, size_t n)
{
    return (int64_t)(utf8_count(s, n) + CHARS_A_TOKEN - 1) / CHARS_A_TOKEN;
}

static int64_t prompt_tokens(const struct llm_request *r)
{
    int64_t sum = 0;
    for (size_t i = 0; i < r->message_count; i++) {
        const struct llm_message *m = &r->messages[i];
        sum += tokens_of(text_of(m), strlen(text_of(m)));
        for (size_t k = 0; k < m->tool_call_count; k++)
            sum += tokens_of(m->tool_calls[k].arguments, strlen(m->tool_calls[k].arguments));
    }
    return sum;
}

static bool tool_offered(const struct llm_request *r, const char *name)
{
    for (size_t i = 0; i < r->tool_count; i++)
        if (strcmp(r->tools[i].name, name) == 0)
            return true;
    return false;
}

/* At most max characters, "..." appended when there were more. */
static void add_excerpt(struct buf *out, const char *s, size_t n, size_t max)
{
    size_t cut = utf8_offset(s, n, max);
    buf_add(out, s, cut);
    if (cut < n)
        buf_adds(out, "...");
}

/* --- commands --- */

typedef void command_fn(struct script *s, char *rest);

/* Splits the first word off; *rest is what follows its blanks. */
static char *first_word(char *text, char **rest)
{
    char *end = text + strcspn(text, " \t");
    *rest = end + strspn(end, " \t");
    *end = 0;
    return text;
}

/* A number from 0 to max, -1 when it is none. */
static int64_t number(const char *word, int64_t max)
{
    char *end;
    long long v = strtoll(word, &end, 10);
    if (end == word || *end)
        return -1;
    return v < 0 ? -1 : v > max ? max : v;
}

static void say_line(struct script *s, const char *text)
{
    if (s->text.len > 0)
        buf_addc(&s->text, '\n');
    buf_adds(&s->text, text);
}

static void do_call(struct script *s, char *rest)
{
    char *arguments, *name = first_word(rest, &arguments);
    if (!*name) {
        say_line(s, "/call needs the name of a tool.");
    } else if (!tool_offered(s->call->request, name)) {
        say_line(s, "");
        buf_addf(&s->text, "I cannot call %s: no tool of that name was offered to me.", name);
    } else {
        struct reply *reply = s->call->reply;
        char id[32];
        snprintf(id, sizeof(id), "offline_%zu_%zu", s->call->request->message_count, reply->call_count + 1);
        reply_tool_call(reply, (int64_t)reply->call_count, id, name, arguments, strlen(arguments));
    }
}

static void do_echo(struct script *s, char *rest)
{
    say_line(s, rest);
}

static void do_think(struct script *s, char *rest)
{
    buf_adds(&s->thinking, rest);
}

static void do_repeat(struct script *s, char *rest)
{
    char *text, *word = first_word(rest, &text);
    int64_t n = number(word, REPEAT_MAX);
    if (n < 0) {
        say_line(s, "/repeat needs a number and a text.");
        return;
    }
    size_t len = strlen(text);
    if (n > 0)
        say_line(s, text);
    for (int64_t i = 1; i < n && s->text.len + len + 1 <= TEXT_MAX; i++) {
        buf_addc(&s->text, ' ');
        buf_add(&s->text, text, len);
    }
}

static void do_slow(struct script *s, char *rest)
{
    int64_t ms = number(rest, PAUSE_MAX_MS);
    if (ms < 0)
        say_line(s, "/slow needs a number of milliseconds.");
    else
        s->pause_ms = ms;
}

static void do_fail(struct script *s, char *rest)
{
    char *text, *word = first_word(rest, &text);
    int64_t status = number(word, 599);
    if (status < 400) {
        say_line(s, "/fail needs an HTTP status from 400 to 599.");
        return;
    }
    s->fail_status = (int)status;
    s->fail_text = arena_strdup(s->call->arena, text);
}

static void do_history(struct script *s, char *rest)
{
    (void)rest;
    const struct llm_request *r = s->call->request;
    say_line(s, "");
    buf_addf(&s->text, "I see %zu messages: %zu system, %zu user, %zu assistant, %zu tool.", r->message_count,
             count_role(r, LLM_SYSTEM), count_role(r, LLM_USER), count_role(r, LLM_ASSISTANT), count_role(r, LLM_TOOL));
    size_t n = 0;
    for (size_t i = 0; i < r->message_count; i++) {
        if (r->messages[i].role != LLM_USER)
            continue;
        buf_addf(&s->text, "\nUser message %zu: ", ++n);
        add_excerpt(&s->text, text_of(&r->messages[i]), strlen(text_of(&r->messages[i])), QUOTE_CHARS);
    }
}

static void do_system(struct script *s, char *rest)
{
    (void)rest;
    const struct llm_request *r = s->call->request;
    size_t chars = 0;
    const char *first = NULL;
    for (size_t i = 0; i < r->message_count; i++) {
        if (r->messages[i].role != LLM_SYSTEM)
            continue;
        const char *text = text_of(&r->messages[i]);
        chars += utf8_count(text, strlen(text));
        if (!first)
            first = text;
    }
    say_line(s, "");
    if (!first) {
        buf_adds(&s->text, "I was given no system prompt.");
        return;
    }
    buf_addf(&s->text, "The system prompt has %zu characters. Its first line: ", chars);
    add_excerpt(&s->text, first, strcspn(first, "\r\n"), QUOTE_CHARS);
}

static void do_length(struct script *s, char *rest)
{
    (void)rest;
    s->cut = true;
}

static void do_help(struct script *s, char *rest)
{
    (void)rest;
    say_line(s, help);
}

static const struct {
    const char *name;
    command_fn *run;
    bool manner; /* how to speak, not what to say */
} commands[] = {
    {"/call", do_call, false},       {"/echo", do_echo, false},     {"/think", do_think, false},
    {"/repeat", do_repeat, false},   {"/slow", do_slow, true},      {"/fail", do_fail, false},
    {"/history", do_history, false}, {"/system", do_system, false}, {"/length", do_length, true},
    {"/help", do_help, false},
};

/* Calls were made already when their results stand behind the user's message: then only the manner counts. */
static void run_line(struct script *s, const char *line, size_t n, bool answered)
{
    char *copy = arena_strndup(s->call->arena, line, n);
    for (size_t end = n; end > 0 && strchr(" \t\r", copy[end - 1]); end--)
        copy[end - 1] = 0;
    char *rest, *word = first_word(copy, &rest);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(word, commands[i].name) != 0 || (answered && !commands[i].manner))
            continue;
        s->commands++;
        s->sentences += !commands[i].manner;
        commands[i].run(s, rest);
    }
}

static void run_commands(struct script *s, const char *text, bool answered)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        if (*text == '/')
            run_line(s, text, n, answered);
        text += n + (text[n] == '\n');
    }
}

/* --- answers without commands --- */

static void add_results(struct script *s, const struct llm_message *user)
{
    const struct llm_request *r = s->call->request;
    const struct llm_message *end = r->messages + r->message_count;
    for (const struct llm_message *m = user ? user + 1 : r->messages; m < end; m++) {
        if (m->role != LLM_TOOL)
            continue;
        say_line(s, "");
        buf_addf(&s->text, m->is_error ? "The tool %s failed: " : "The tool %s answered: ",
                 m->tool_name ? m->tool_name : "I called");
        add_excerpt(&s->text, text_of(m), strlen(text_of(m)), RESULT_CHARS);
    }
}

static size_t count_words(const char *s)
{
    size_t n = 0;
    while (*(s += strspn(s, " \t\r\n"))) {
        n++;
        s += strcspn(s, " \t\r\n");
    }
    return n;
}

static void converse(struct script *s, const char *said)
{
    const struct llm_request *r = s->call->request;
    bool first = count_role(r, LLM_ASSISTANT) == 0;
    size_t len = strlen(said), blank = strspn(said, " \t\r\n");
    if (first)
        buf_addf(&s->text, "%s\n\n", introduction);
    if (said[blank] == 0) {
        buf_adds(&s->text, "Your message is empty.");
    } else {
        buf_adds(&s->text, "You wrote: \"");
        add_excerpt(&s->text, said, len, QUOTE_CHARS);
        buf_addf(&s->text, "\" (words: %zu, characters: %zu).", count_words(said), utf8_count(said, len));
    }
    if (first)
        buf_addf(&s->text, "\n\n%s", next_steps);
    else
        buf_addf(&s->text, " This is your message number %zu that I can see.", count_role(r, LLM_USER));
}

static void unknown_command(struct script *s, const char *said)
{
    say_line(s, "I do not know the command ");
    buf_add(&s->text, said, strcspn(said, " \t\r\n"));
    buf_adds(&s->text, ".\n");
    buf_adds(&s->text, help);
}

/* "/word" alone, not a path. */
static bool looks_like_command(const char *said)
{
    size_t n = said[0] == '/' ? strspn(said + 1, "abcdefghijklmnopqrstuvwxyz") : 0;
    return n > 0 && strchr(" \t\r\n", said[1 + n]);
}

static void write_script(struct script *s)
{
    const struct llm_request *r = s->call->request;
    const struct llm_message *user = last_of(r, LLM_USER), *tool = last_of(r, LLM_TOOL);
    const char *said = text_of(user);
    bool answered = tool && (!user || tool > user);
    run_commands(s, said, answered);
    if (answered)
        add_results(s, user);
    else if (s->commands == 0 && looks_like_command(said))
        unknown_command(s, said);
    else if (s->sentences == 0 && s->text.len == 0)
        converse(s, said);
}

/* --- speaking --- */

/* Up to and with the blanks behind a word. */
static size_t delta_length(const char *s, size_t n)
{
    size_t len = 0;
    while (len < n && !strchr(" \n", s[len]))
        len++;
    while (len < n && strchr(" \n", s[len]))
        len++;
    return len <= DELTA_MAX ? len : utf8_cut(s, n, DELTA_MAX);
}

static bool speak(const struct script *s, const struct buf *what, bool (*to)(struct reply *, const char *, size_t))
{
    struct reply *reply = s->call->reply;
    int deltas = 0;
    for (size_t at = 0; at < what->len;) {
        size_t n = delta_length(what->data + at, what->len - at);
        to(reply, what->data + at, n);
        at += n;
        if (s->pause_ms > 0 || deltas++ % DELTAS_A_FLUSH == 0)
            reply_flush(reply);
        if (!wire_pause(s->call, s->pause_ms))
            return false;
    }
    reply_flush(reply);
    return true;
}

static int64_t call_tokens(const struct reply *reply)
{
    int64_t sum = 0;
    for (size_t i = 0; i < reply->call_count; i++) {
        const struct reply_call *c = &reply->calls[i];
        sum += tokens_of(buf_str(&c->name), c->name.len) + tokens_of(buf_str(&c->arguments), c->arguments.len);
    }
    return sum;
}

static void set_usage(const struct wire_call *call)
{
    struct reply *r = call->reply;
    int64_t thought = tokens_of(buf_str(&r->thinking.all), r->thinking.all.len);
    r->usage.prompt_tokens = prompt_tokens(call->request);
    r->usage.reasoning_tokens = thought;
    r->usage.completion_tokens = thought + tokens_of(buf_str(&r->text.all), r->text.all.len) + call_tokens(r);
    r->usage.total_tokens = r->usage.prompt_tokens + r->usage.completion_tokens;
}

static void obey_limit(struct script *s)
{
    int64_t limit = s->call->max_tokens;
    if (limit <= 0 || tokens_of(buf_str(&s->text), s->text.len) <= limit)
        return;
    s->text.len = utf8_offset(s->text.data, s->text.len, (size_t)limit * CHARS_A_TOKEN);
    s->text.data[s->text.len] = 0;
    s->cut = true;
}

static void fail_as_told(const struct script *s, struct wire_result *result)
{
    const char *text = *s->fail_text ? s->fail_text : "the offline model was told to fail";
    result->status = s->fail_status;
    result->transient = wire_status_transient(s->fail_status);
    result->reason = arena_printf(s->call->arena, "HTTP %d: %s", s->fail_status, text);
    result->raw = result->reason;
}

void offline_try(const struct wire_call *call, struct wire_result *result)
{
    *result = (struct wire_result){.retry_after_ms = -1, .reason = "", .raw = ""};
    struct script s = {.call = call, .fail_text = "", .text = BUF_INIT(TEXT_MAX), .thinking = BUF_INIT(TEXT_MAX)};
    write_script(&s);
    obey_limit(&s);
    if (s.fail_status > 0) {
        fail_as_told(&s, result);
    } else {
        result->ok = speak(&s, &s.thinking, reply_thinking) && speak(&s, &s.text, reply_text) &&
                     cancel_check(call->cancel) == CANCEL_NONE;
        result->cancelled = !result->ok;
    }
    call->reply->finished = result->ok;
    call->reply->finish = s.cut ? LLM_LENGTH : LLM_STOP;
    set_usage(call);
    buf_release(&s.text);
    buf_release(&s.thinking);
}

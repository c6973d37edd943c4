/* Before the first model call: provider, tools, and the messages the model will see. */
#include "agent/history.h"
#include "agent/prompt.h"
#include "agent/provider.h"
#include "agent/run_parts.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "tool/tool.h"

enum { HISTORY_ROWS_MAX = 2000, FILES_MAX = 64 };

static bool no_provider(struct run *r, struct fault *f, const char *name)
{
    return fault_set(f, FAULT_STATE, MSG_no_provider, NULL, arena_strdup(r->arena, name), NULL);
}

/* What is kept of a provider. */
struct resolved {
    struct llm_provider provider;
    enum provider_state state;
};

struct resolving {
    struct run *run;
    const char *name;
};

static enum db_rc resolve(void *ctx, struct arena *a, void **value)
{
    const struct resolving *in = ctx;
    struct resolved *r = ARENA_NEW(a, struct resolved);
    struct provider row;
    const struct config *config = in->run->engine->config;
    struct db *db = engine_db(in->run->engine);
    enum db_rc rc = db ? provider_lookup(db, a, config, in->run->in->tenant_id, in->name, &row) : DB_ERROR;
    engine_db_done(in->run->engine, db);
    if (rc == DB_ROW)
        r->state = provider_resolve(a, config, in->run->in->tenant_id, &row, &r->provider);
    *value = r;
    return rc;
}

bool setup_provider(struct run *r, struct fault *f)
{
    const struct config *config = r->engine->config;
    const struct agent *agent = r->in->agent;
    const char *name = provider_name_of(config, agent);
    struct resolving in = {r, name};
    const char *key = arena_printf(r->arena, "provider %s %s", r->in->tenant_id, name);
    void *found = NULL;
    enum db_rc rc = memo_get(r->engine->memo, r->arena, key, strlen(key), resolve, &in, &found);
    if (rc != DB_ROW)
        return rc == DB_OK ? no_provider(r, f, name) : fault_from_db(f, rc);
    const struct resolved *resolved = found;
    if (resolved->state == PROVIDER_KEY_LOST)
        return fault_set(f, FAULT_STATE, MSG_decrypt_failed, NULL, "api_key", NULL);
    if (resolved->state != PROVIDER_USABLE)
        return no_provider(r, f, name);
    r->provider = resolved->provider;
    r->model = provider_model_of(config, agent, &r->provider);
    return *r->model ? true : no_provider(r, f, name);
}

bool setup_tools(struct run *r, struct fault *f)
{
    size_t own = 0;
    const struct tool *table = tool_table(&own);
    struct llm_tool *tools = ARENA_ARRAY(r->arena, struct llm_tool, own + r->in->client_tool_count);
    for (size_t i = 0; i < own; i++)
        tools[i] = (struct llm_tool){table[i].name, table[i].description, table[i].parameters, true};
    for (size_t i = 0; i < r->in->client_tool_count; i++) {
        if (tool_find(r->in->client_tools[i].name))
            return fault_set(f, FAULT_INVALID, MSG_tool_name_collision, "tools", r->in->client_tools[i].name, NULL);
        tools[own + i] = r->in->client_tools[i];
    }
    r->tools = tools;
    r->own_tool_count = own;
    r->tool_count = own + r->in->client_tool_count;
    return true;
}

/* Contract 03 §3.2 step 6: cut on a character's border, say so to the model. */
static const char *input_text(struct run *r)
{
    const char *text = r->in->text;
    size_t n = strlen(text), limit = (size_t)r->engine->config->max_message_chars;
    if (n <= limit)
        return text;
    size_t chars = utf8_count(text, n);
    if (chars <= limit)
        return text;
    log_event(LOG_WARN, 5102, "security.message_truncated", LOG_S, "run_id", r->id, LOG_I, "characters",
              (int64_t)chars, LOG_END);
    return arena_printf(r->arena, "%.*s\n\n[This message was shortened: %zu of %zu characters kept.]",
                        (int)utf8_offset(text, n, limit), text, limit, chars);
}

struct files {
    struct context_file list[FILES_MAX];
    size_t n;
};

static void file_take(void *ctx, const char *name, const char *content)
{
    struct files *files = ctx;
    if (files->n < FILES_MAX)
        files->list[files->n++] = (struct context_file){name, content};
}

static enum db_rc files_read(void *ctx, struct arena *a, void **value)
{
    struct run *r = ctx;
    struct files *files = ARENA_NEW(a, struct files);
    struct db *db = engine_db(r->engine);
    enum db_rc rc = db ? context_files_each(db, a, r->in->agent, r->in->user, file_take, files) : DB_ERROR;
    engine_db_done(r->engine, db);
    *value = files;
    return rc == DB_OK ? DB_ROW : rc;
}

/* The context files of this agent and user. */
static enum db_rc files_get(struct run *r, const struct files **out)
{
    const char *key = arena_printf(r->arena, "files %s %s %s", r->in->agent->id, r->in->agent->agent_type,
                                   r->in->user ? r->in->user : "");
    void *found = NULL;
    enum db_rc rc = memo_get(r->engine->memo, r->arena, key, strlen(key), files_read, r, &found);
    *out = found;
    return rc == DB_ROW ? DB_OK : rc;
}

/* What the session holds; nothing to read for a new one. */
static enum db_rc history_get(struct run *r, struct session *session, struct message **rows, size_t *count)
{
    if (r->new_session)
        return DB_OK;
    struct db *db = engine_db(r->engine);
    if (!db)
        return DB_ERROR;
    enum db_rc rc = session_find(db, r->arena, r->in->tenant_id, r->session_key, session);
    if (rc == DB_ROW)
        rc = session_messages(db, r->arena, session->id, session->context_start, 0, HISTORY_ROWS_MAX, rows, count);
    engine_db_done(r->engine, db);
    return rc;
}

/* A run's directory: the agent's, then the user's own (03 §3.2 step 3). */
static const char *workspace_of(struct run *r)
{
    const char *user = r->in->user;
    if (!user || !*user)
        return r->in->agent->workspace;
    char *clean = arena_strdup(r->arena, user);
    bool changed = false;
    for (char *p = clean; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '-' ||
                     *p == '_';
        if (!plain) {
            *p = '_';
            changed = true;
        }
    }
    if (!changed)
        return arena_printf(r->arena, "%s/%s", r->in->agent->workspace, clean);
    char hash[SHA256_HEX_SIZE];
    sha256_hex(user, strlen(user), hash);
    return arena_printf(r->arena, "%s/%s-%.8s", r->in->agent->workspace, clean, hash);
}

static void push_system(struct run *r, const struct files *files)
{
    struct prompt_input in = {
        .config = r->engine->config,
        .agent = r->in->agent,
        .channel = r->in->channel,
        .session_key = r->session_key,
        .user = r->in->user,
        .workspace = r->workspace,
        .tools = r->tools,
        .tool_count = r->own_tool_count,
        .files = files->list,
        .file_count = files->n,
        .extra = r->in->extra_system,
        .now_ms = r->started_ms,
    };
    run_push(r, &(struct llm_message){.role = LLM_SYSTEM, .text = prompt_build(r->arena, &in)});
}

const char summary_opening[] = "Summary of our conversation so far:";
const char summary_answer[] = "Understood, I will build on that.";

/* A summary of what lies before the context pointer, as a pair of messages (02 §10). */
static void push_summary(struct run *r, const char *summary)
{
    if (!summary || !*summary)
        return;
    run_push(r, &(struct llm_message){.role = LLM_USER,
                                      .text = arena_printf(r->arena, "%s\n%s", summary_opening, summary)});
    run_push(r, &(struct llm_message){.role = LLM_ASSISTANT, .text = summary_answer});
}

static void push_input(struct run *r)
{
    for (size_t i = 0; i < r->in->tool_result_count; i++) {
        run_push(r, &r->in->tool_results[i]);
        record_message(r, &r->in->tool_results[i], NULL);
    }
    if (r->in->tool_result_count && !*r->in->text)
        return;
    struct llm_message m = {.role = LLM_USER, .text = input_text(r)};
    run_push(r, &m);
    record_message(r, &m, NULL);
}

bool setup_messages(struct run *r, struct fault *f)
{
    const struct files *files = NULL;
    struct session session = {0};
    struct message *rows = NULL;
    size_t row_count = 0;
    enum db_rc rc = files_get(r, &files);
    if (rc == DB_OK)
        rc = history_get(r, &session, &rows, &row_count);
    if (rc != DB_OK)
        return fault_from_db(f, rc);
    if (session.id && !run_session_fits(r, &session, f))
        return false;

    if (r->session_id && (!session.id || strcmp(session.id, r->session_id) != 0)) {
        cancel_fire(&r->cancel, CANCEL_BY_USER); /* deleted or reset while the run waited for its turn */
        return false;
    }
    r->session_id = session.id;
    r->workspace = workspace_of(r);
    push_system(r, files);
    push_summary(r, session.summary);
    if (r->new_session) {
        for (size_t i = 0; i < r->in->context_count; i++)
            run_push(r, &r->in->context[i]);
    } else {
        size_t n = 0;
        struct llm_message *history = history_from_rows(r->arena, rows, row_count, &n);
        for (size_t i = 0; i < n; i++)
            run_push(r, &history[i]);
    }
    push_input(r);
    history_prune(r->arena, r->messages, r->message_count, r->in->agent->context_window);
    r->messages = history_repair(r->arena, r->messages, r->message_count, &r->message_count);
    r->message_cap = r->setup_count = r->message_count;
    r->context = r->messages;
    r->context_count = r->new_session ? 0 : r->message_count;
    r->context_rows = row_count;
    r->setup_rows = r->row_count;
    return true;
}

#include "agent/summon.h"

#include <math.h>

#include "agent/provider.h"
#include "agent/summon_prompt.h"
#include "agent/templates.h"
#include "base/clock.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "base/utf8.h"
#include "store/changes.h"
#include "store/context_files.h"
#include "store/summoning.h"

enum {
    MAX_TOKENS = 8192,
    TOTAL_MS = 600000,  /* both calls of a summoning */
    SINGLE_MS = 300000, /* its first call, and the one of a regeneration */
    MARGIN_MS = 1000,   /* so near the end of its time a failed call counts as late */
    ERROR_CHARS = 500,
    SUMMARY_CHARS = 200,
    FRONTMATTER_CHARS = 2000,
    NAME_CHARS = 255,
    SOUL = 0,
    IDENTITY = 1,
};

struct summon {
    struct engine *engine;
    struct arena *arena;
    const struct job *job;
    struct agent agent;
    const char *description; /* "" when there is none */
    bool regenerate;
    const char *before;      /* the status it had */
    const char *prompt;      /* what the caller wants changed, NULL = nothing said */
    struct persona current;  /* files that are not empty */
    struct llm_provider provider;
    const char *model;
    int64_t single_ms;       /* for the first call */
    int64_t deadline;        /* clock_mono_ms */
    struct persona made;
    const char *error;       /* why it failed */
};

static bool fail(struct summon *s, const char *error)
{
    s->error = error;
    return false;
}

/* First n characters; with a mark when some are missing. */
static const char *cut(struct arena *a, const char *text, size_t n, const char *mark)
{
    size_t len = strlen(text), at = utf8_offset(text, len, n);
    return at < len ? arena_printf(a, "%.*s%s", (int)at, text, mark) : text;
}

/* ---- what there is ---- */

static void payload_read(struct summon *s)
{
    json_object *o = json_parse(s->arena, s->job->payload, strlen(s->job->payload), 0, NULL);
    s->regenerate = json_flag(o, "regenerate", false);
    s->before = json_str(o, "before");
    s->prompt = json_str(o, "prompt");
    if (s->before == NULL)
        s->before = "active";
}

struct pick {
    struct summon *summon;
    bool done;
};

static void pick_usable(void *ctx, const struct provider *row)
{
    struct pick *p = ctx;
    struct summon *s = p->summon;
    if (!p->done && provider_resolve(s->arena, s->engine->config, s->job->tenant_id, row, &s->provider) ==
                        PROVIDER_USABLE)
        p->done = true;
}

/* The agent's own; when that cannot be used, the oldest one that can, those of the config file last. */
static enum db_rc provider_choose(struct summon *s, struct db *db)
{
    const struct config *config = s->engine->config;
    const char *name = provider_name_of(config, &s->agent);
    struct pick p = {s, false};
    struct provider row;
    enum db_rc rc = provider_lookup(db, s->arena, config, s->job->tenant_id, name, &row);
    if (rc == DB_ROW)
        pick_usable(&p, &row);
    if (!p.done && (rc == DB_ROW || rc == DB_OK))
        rc = providers_each(db, s->arena, s->job->tenant_id, pick_usable, &p);
    for (size_t i = 0; !p.done && i < config->provider_count; i++) {
        row = provider_of_config(&config->providers[i]);
        pick_usable(&p, &row);
    }
    if (!p.done)
        s->provider = (struct llm_provider){.name = NULL};
    s->model = provider_model_of(config, &s->agent, &s->provider);
    return rc == DB_ROW ? DB_OK : rc;
}

static enum db_rc files_read(struct summon *s, struct db *db)
{
    enum db_rc rc = DB_OK;
    for (size_t i = 0; i < PERSONA_FILES && (rc == DB_OK || rc == DB_ROW); i++) {
        const char *content = "";
        rc = context_file_read(db, s->arena, s->agent.tenant_id, s->agent.id, persona_files[i], &content);
        s->current.text[i] = rc == DB_ROW && *content != '\0' ? content : NULL;
    }
    return rc == DB_ROW ? DB_OK : rc;
}

/* DB_ROW: everything is there; DB_OK: the agent is gone. */
static enum db_rc load(struct summon *s)
{
    struct db *db = engine_db(s->engine);
    enum db_rc rc = db != NULL ? agent_find(db, s->arena, s->job->tenant_id, s->job->entity_id, &s->agent) : DB_ERROR;
    bool found = rc == DB_ROW;
    if (found)
        rc = files_read(s, db);
    if (found && rc == DB_OK)
        rc = provider_choose(s, db);
    engine_db_done(s->engine, db);
    if (!found || rc != DB_OK)
        return rc;
    const char *other = s->agent.other_config;
    const char *text = json_str(json_parse(s->arena, other, strlen(other), 0, NULL), "description");
    s->description = text != NULL ? text : "";
    return DB_ROW;
}

/* ---- asking ---- */

enum asked { ASKED_OK, ASKED_TIMEOUT, ASKED_FAILED, ASKED_STOPPING };

static const char *fault_text(struct summon *s, const struct fault *f)
{
    struct buf *b = buf_new(s->arena, 8192);
    message_format(b, f->message, LOCALE_EN, f->args);
    return cut(s->arena, buf_str(b), ERROR_CHARS, "");
}

/* What came back is judged by the caller. */
static enum asked call(struct summon *s, const char *prompt, int64_t ms, const char **text)
{
    const struct llm_message messages[] = {{.role = LLM_SYSTEM, .text = summon_system},
                                           {.role = LLM_USER, .text = prompt}};
    struct llm_request r = {.model = s->model, .messages = messages, .message_count = 2, .params = LLM_PARAMS_NONE};
    struct llm_answer answer;
    struct fault fault = {.kind = FAULT_NONE};
    struct cancel cancel;
    struct live_run live = {.id = s->job->id,
                            .tenant_id = s->job->tenant_id,
                            .session_key = "",
                            .agent_id = s->agent.id,
                            .agent_key = s->agent.agent_key,
                            .user_id = "",
                            .phase = "summoning",
                            .cancel = &cancel};
    int64_t now = clock_mono_ms(), end = now + ms < s->deadline ? now + ms : s->deadline;
    r.params.max_tokens = MAX_TOKENS;
    r.params.temperature = 0.7;
    cancel_init(&cancel, end);
    bool added = engine_add(s->engine, &live);
    bool ok = added && llm_call(s->arena, &s->provider, &r, NULL, &cancel, &answer, &fault, NULL);
    if (added)
        engine_remove(s->engine, &live);
    enum cancel_reason why = added ? cancel_check(&cancel) : CANCEL_SHUTDOWN;
    cancel_release(&cancel);
    if (ok) {
        *text = answer.text;
        return ASKED_OK;
    }
    if (why == CANCEL_SHUTDOWN)
        return ASKED_STOPPING;
    if (why == CANCEL_DEADLINE || (why == CANCEL_NONE && end - clock_mono_ms() < MARGIN_MS)) {
        s->error = "the model did not answer in time";
        return ASKED_TIMEOUT;
    }
    s->error = why != CANCEL_NONE ? "it was cancelled" : fault_text(s, &fault);
    return ASKED_FAILED;
}

static enum asked ask(struct summon *s, const char *prompt, int64_t ms)
{
    const char *text = "";
    enum asked asked = call(s, prompt, ms, &text);
    if (asked == ASKED_OK && !persona_parse(s->arena, text, &s->made)) {
        s->error = "the model's answer holds none of the files it was asked for";
        return ASKED_FAILED;
    }
    return asked;
}

/* ---- storing ---- */

struct store {
    struct summon *s;
    bool last;      /* the job ends with it */
    const char *status;
    bool lost;      /* the claim was not ours any more */
};

static enum db_rc files_store(struct summon *s, struct db *db)
{
    const char *tenant = s->job->tenant_id, *id = s->job->entity_id;
    enum db_rc rc = context_file_seed(db, tenant, id, "USER_PREDEFINED.md", template_text("USER_PREDEFINED.md"));
    for (size_t i = 0; rc == DB_OK && i < PERSONA_FILES; i++)
        if (s->made.text[i] != NULL)
            rc = context_file_put(db, tenant, id, persona_files[i], s->made.text[i]);
    return rc;
}

static enum db_rc audit(struct summon *s, struct db *db)
{
    struct buf *details = buf_new(s->arena, 8192);
    struct jsonw w;
    jw_init(&w, details);
    jw_obj(&w);
    jw_kopt(&w, "error", s->error);
    jw_obj_end(&w);
    struct activity a = {
        .tenant_id = s->job->tenant_id,
        .actor_type = "system",
        .actor_id = "system",
        .action = s->error == NULL ? "agent.summoned" : "agent.summon_failed",
        .entity_type = "agent",
        .entity_id = s->job->entity_id,
        .details = s->error != NULL ? buf_str(details) : NULL,
    };
    return activity_add(db, &a);
}

/* The name the agent shows and the one its IDENTITY.md says become the same: the user's choice goes first. */
static void name_settle(struct summon *s, const char *display_name, struct summoning_end *end)
{
    const char *identity = s->made.text[IDENTITY];
    if (identity == NULL)
        return;
    if (*display_name != '\0')
        s->made.text[IDENTITY] = persona_rename(s->arena, identity, display_name);
    else if (persona_name(s->arena, identity) != NULL)
        end->display_name_if_empty = cut(s->arena, persona_name(s->arena, identity), NAME_CHARS, "");
}

static enum db_rc end_store(struct store *st, struct db *db)
{
    struct summon *s = st->s;
    struct agent now;
    enum db_rc rc = agent_find(db, s->arena, s->job->tenant_id, s->job->entity_id, &now);
    if (rc != DB_ROW)
        return rc;
    struct summoning_end end = {.status = st->status, .error = s->error};
    if (s->error == NULL) {
        name_settle(s, now.display_name, &end);
        if (s->made.summary != NULL)
            end.frontmatter = cut(s->arena, s->made.summary, FRONTMATTER_CHARS, "");
        if (!s->regenerate)
            end.frontmatter_if_empty = cut(s->arena, s->description, SUMMARY_CHARS, "\u2026");
        rc = files_store(s, db);
    }
    rc = rc == DB_OK || rc == DB_ROW ? summoning_leave(db, s->job->tenant_id, s->job->entity_id, &end) : rc;
    if (rc == DB_OK)
        rc = audit(s, db);
    return rc == DB_OK ? generation_raise(db, "agents") : rc;
}

static enum db_rc store_job(struct db *db, void *arg)
{
    struct store *st = arg;
    enum db_rc rc = st->last ? job_end(db, st->s->job, st->s->error) : job_held(db, st->s->job);
    st->lost = rc == DB_OK;
    if (rc != DB_ROW)
        return rc;
    return st->last ? end_store(st, db) : files_store(st->s, db);
}

/* false when the job is not ours any more, or nothing can be written (then it is claimed again later). */
static bool store(struct summon *s, bool last, const char *status)
{
    struct store st = {.s = s, .last = last, .status = status};
    enum db_rc rc = writer_run(s->engine->writer, s->engine->db, store_job, &st);
    if (rc != DB_OK)
        log_event(LOG_ERROR, 5302, "summon.not_saved", LOG_S, "agent_id", s->job->entity_id, LOG_END);
    return rc == DB_OK && !st.lost;
}

static enum db_rc return_job(struct db *db, void *arg)
{
    return job_return(db, arg);
}

static void put_back(struct summon *s)
{
    struct job j = *s->job;
    writer_run(s->engine->writer, s->engine->db, return_job, &j);
}

static void finish(struct summon *s)
{
    const char *on_failure = s->regenerate ? s->before : "summon_failed";
    if (s->error != NULL)
        log_event(LOG_WARN, 5301, "summon.failed", LOG_S, "agent_id", s->job->entity_id, LOG_S, "reason", s->error,
                  LOG_END);
    if (store(s, true, s->error == NULL ? "active" : on_failure) && s->error == NULL)
        log_event(LOG_INFO, 0, "summon.done", LOG_S, "agent_id", s->job->entity_id, LOG_END);
}

/* ---- the two ways ---- */

/* The first call took too long: the same in two shorter answers, what came is kept at once. */
static enum asked summon_in_two(struct summon *s)
{
    bool soul = persona_is_written(persona_files[SOUL], s->current.text[SOUL]);
    bool identity = persona_is_written(persona_files[IDENTITY], s->current.text[IDENTITY]);
    enum asked asked = ASKED_OK;
    if (!soul) {
        asked = ask(s, summon_prompt(s->arena, SUMMON_SOUL, s->description, NULL), TOTAL_MS);
        if (asked == ASKED_OK && !store(s, false, NULL))
            asked = ASKED_STOPPING;
    }
    const char *text = s->made.text[SOUL] != NULL ? s->made.text[SOUL] : s->current.text[SOUL];
    if (asked == ASKED_OK && !(soul && identity))
        asked = ask(s, summon_prompt(s->arena, SUMMON_IDENTITY, s->description, text != NULL ? text : ""), TOTAL_MS);
    return asked;
}

static enum asked summon_afresh(struct summon *s)
{
    if (persona_is_written(persona_files[SOUL], s->current.text[SOUL]) &&
        persona_is_written(persona_files[IDENTITY], s->current.text[IDENTITY]))
        return ASKED_OK;
    if (strcmp(s->provider.type, "offline") == 0) {
        summon_without_model(s->arena, s->description, s->agent.display_name, &s->made);
        return ASKED_OK;
    }
    enum asked asked = ask(s, summon_prompt(s->arena, SUMMON_ALL, s->description, NULL), s->single_ms);
    return asked == ASKED_TIMEOUT ? summon_in_two(s) : asked;
}

static enum asked work(struct summon *s)
{
    if (s->provider.name == NULL) {
        fail(s, "there is no usable provider");
        return ASKED_FAILED;
    }
    if (!s->regenerate)
        return summon_afresh(s);
    return ask(s, summon_edit_prompt(s->arena, &s->current, s->prompt, s->description), s->single_ms);
}

/* Tests shorten the clocks. */
static int64_t clock_of(const char *name, int64_t preset)
{
    const char *text = getenv(name);
    int64_t ms = text != NULL ? strtoll(text, NULL, 10) : 0;
    return ms > 0 ? ms : preset;
}

static struct summon *summon_new(struct engine *e, struct arena *a, const struct job *j)
{
    struct summon *s = ARENA_NEW(a, struct summon);
    s->engine = e;
    s->arena = a;
    s->job = j;
    s->single_ms = clock_of("CLAWGATE_SUMMON_CALL_MS", SINGLE_MS);
    s->deadline = clock_mono_ms() + clock_of("CLAWGATE_SUMMON_TOTAL_MS", TOTAL_MS);
    payload_read(s);
    return s;
}

void summon_run(struct engine *e, const struct job *j)
{
    struct arena *a = arena_new();
    struct summon *s = summon_new(e, a, j);
    enum db_rc rc = load(s);
    enum asked asked = rc == DB_ROW ? work(s) : ASKED_FAILED;
    if (rc == DB_OK)
        fail(s, "the agent is gone");
    else if (rc != DB_ROW)
        asked = ASKED_STOPPING;
    if (asked == ASKED_OK)
        s->error = NULL;
    if (asked == ASKED_STOPPING)
        put_back(s);
    else
        finish(s);
    arena_free(a);
}

void summon_give_up(struct engine *e, const struct job *j)
{
    struct arena *a = arena_new();
    struct summon *s = summon_new(e, a, j);
    fail(s, "it was begun three times and never came to an end");
    finish(s);
    arena_free(a);
}

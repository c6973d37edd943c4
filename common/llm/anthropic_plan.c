/* What a request of the messages API asks for. */
#include "llm/anthropic.h"

enum {
    MAX_TOKENS = 8192,  /* when nobody says how many; the API wants a number */
    ANSWER_ROOM = 8192, /* on top of what is thought, when the caller's number leaves too little */
    ANSWER_ROOM_MIN = 4096,
    BUDGET_MIN = 1024, /* the API's */
};

static const char *model_name(const char *model)
{
    static const struct {
        const char *alias, *name;
    } names[] = {
        {"opus", "claude-opus-4-6"}, {"sonnet", "claude-sonnet-4-6"}, {"haiku", "claude-haiku-4-5-20251001"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i].alias, model) == 0)
            return names[i].name;
    return model;
}

/* At most two digits; what is longer is a date. */
static int version_part(const char **s)
{
    int value = 0;
    size_t n = strspn(*s, "0123456789");
    for (size_t i = 0; n <= 2 && i < n; i++)
        value = value * 10 + ((*s)[i] - '0');
    *s += n;
    return value;
}

/* 406 for claude-opus-4-6 and claude-sonnet-4.6, 500 for claude-sonnet-5; 0 for other families. */
static int version_of(const char *model)
{
    static const char *const families[] = {"opus-", "sonnet-"};
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        const char *at = strstr(model, families[i]);
        if (!at)
            continue;
        at += strlen(families[i]);
        int version = version_part(&at) * 100;
        if (*at == '-' || *at == '.') {
            at++;
            version += version_part(&at);
        }
        return version;
    }
    return 0;
}

/* The third generation learned to think with its last model. */
static bool can_think(const char *model)
{
    return !strstr(model, "claude-3-") || strstr(model, "claude-3-7");
}

/* The API's word for the effort, and its budget; 0 when it is none. */
static int64_t effort_budget(const char *effort, const char **word)
{
    static const struct {
        const char *effort, *word;
        int64_t budget;
    } budgets[] = {
        {"low", "low", 4096}, {"medium", "medium", 10000}, {"high", "high", 32000}, {"xhigh", "high", 32000}};
    *word = "";
    for (size_t i = 0; effort && i < sizeof(budgets) / sizeof(budgets[0]); i++)
        if (strcmp(budgets[i].effort, effort) == 0) {
            *word = budgets[i].word;
            return budgets[i].budget;
        }
    return 0;
}

const char *anthropic_choice(const struct llm_params *p, const char **name)
{
    json_object *choice = p->tool_choice, *function = json_get(choice, "function");
    const char *word = json_object_is_type(choice, json_type_string) ? json_object_get_string(choice) : "";
    *name = json_str(function ? function : choice, "name");
    if (*name)
        return "tool";
    return strcmp(word, "required") == 0 ? "any" : strcmp(word, "none") == 0 ? "none" : "auto";
}

static bool forces_tool(const struct llm_request *r)
{
    const char *name, *type = anthropic_choice(&r->params, &name);
    return r->tool_count > 0 && (strcmp(type, "any") == 0 || strcmp(type, "tool") == 0);
}

static bool starts_with_thinking(const struct llm_message *m)
{
    return m->block_count > 0 &&
           (m->blocks[0].kind == LLM_BLOCK_THINKING || m->blocks[0].kind == LLM_BLOCK_REDACTED);
}

/* A turn whose first tool call came without thinking, or whose thinking is not known any more, ends without: the API
 * wants to see the thought before the call. Texts behind tool results belong to the turn. */
static bool turn_may_think(const struct llm_request *r)
{
    const struct llm_message *m = r->messages;
    size_t i = r->message_count;
    while (i > 0 && (m[i - 1].role != LLM_USER || (i > 1 && m[i - 2].role == LLM_TOOL)))
        i--;
    for (; i < r->message_count; i++)
        if (m[i].role == LLM_ASSISTANT && m[i].tool_call_count > 0)
            return starts_with_thinking(&m[i]);
    return true;
}

void anthropic_plan(const struct wire_call *call, struct anthropic_plan *plan)
{
    const struct llm_request *r = call->request;
    int64_t budget = effort_budget(r->params.reasoning_effort, &plan->effort);
    int64_t max_tokens = call->max_tokens > 0 ? call->max_tokens : MAX_TOKENS;
    plan->model = model_name(call->model);
    plan->version = version_of(plan->model);
    if (!can_think(plan->model) || forces_tool(r) || !turn_may_think(r))
        budget = 0;
    if (budget > 0 && max_tokens < budget + ANSWER_ROOM_MIN)
        max_tokens = budget + ANSWER_ROOM;
    max_tokens = wire_max_tokens(call, max_tokens);
    /* Only a limit of the upstream's makes it so small. */
    if (budget > max_tokens - ANSWER_ROOM_MIN)
        budget = max_tokens - ANSWER_ROOM_MIN;
    plan->max_tokens = max_tokens;
    plan->budget = budget >= BUDGET_MIN ? budget : 0;
}

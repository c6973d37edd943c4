#include "llm/llm.h"

/* Contract 04 §1.2, in its order. */
static const struct llm_type table[] = {
    {"openai_compat", "https://api.openai.com/v1", "gpt-4o", LLM_WIRE_OPENAI, true},
    {"anthropic_native", "https://api.anthropic.com/v1", "claude-sonnet-4-5-20250929", LLM_WIRE_ANTHROPIC, true},
    {"anthropic_oauth", "https://api.anthropic.com/v1", "claude-sonnet-4-5-20250929", LLM_WIRE_ANTHROPIC, true},
    {"gemini_native", "https://generativelanguage.googleapis.com/v1beta/openai", "gemini-2.0-flash", LLM_WIRE_OPENAI,
     true},
    {"openrouter", "https://openrouter.ai/api/v1", "anthropic/claude-sonnet-4-5-20250929", LLM_WIRE_OPENAI, true},
    {"groq", "https://api.groq.com/openai/v1", "llama-3.3-70b-versatile", LLM_WIRE_OPENAI, true},
    {"deepseek", "https://api.deepseek.com/v1", "deepseek-chat", LLM_WIRE_OPENAI, true},
    {"mistral", "https://api.mistral.ai/v1", "mistral-large-latest", LLM_WIRE_OPENAI, true},
    {"xai", "https://api.x.ai/v1", "grok-3-mini", LLM_WIRE_OPENAI, true},
    {"minimax_native", "https://api.minimax.io/v1", "MiniMax-M2.5", LLM_WIRE_OPENAI, true},
    {"cohere", "https://api.cohere.ai/compatibility/v1", "command-a", LLM_WIRE_OPENAI, true},
    {"perplexity", "https://api.perplexity.ai", "sonar-pro", LLM_WIRE_OPENAI, true},
    {"dashscope", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "qwen3-max", LLM_WIRE_OPENAI, true},
    {"bailian", "https://coding-intl.dashscope.aliyuncs.com/v1", "qwen3.5-plus", LLM_WIRE_OPENAI, true},
    {"yescale", "https://api.yescale.one/v1", NULL, LLM_WIRE_OPENAI, true},
    {"zai", "https://api.z.ai/api/paas/v4", "glm-5", LLM_WIRE_OPENAI, true},
    {"zai_coding", "https://api.z.ai/api/coding/paas/v4", "glm-5", LLM_WIRE_OPENAI, true},
    {"ollama", "http://localhost:11434/v1", "llama3.3", LLM_WIRE_OPENAI, false},
    {"ollama_cloud", "https://ollama.com/v1", "llama3.3", LLM_WIRE_OPENAI, true},
    {"novita", "https://api.novita.ai/openai", "moonshotai/kimi-k2.5", LLM_WIRE_OPENAI, true},
    {"byteplus", "https://ark.ap-southeast.bytepluses.com/api/v3", "seed-2-0-lite-260228", LLM_WIRE_OPENAI, true},
    {"byteplus_coding", "https://ark.ap-southeast.bytepluses.com/api/coding/v3", "seed-2-0-lite-260228",
     LLM_WIRE_OPENAI, true},
    {"kimi_coding", "https://api.kimi.com/coding/v1", "kimi-k2-turbo-preview", LLM_WIRE_OPENAI, true},
    {"offline", NULL, "offline", LLM_WIRE_OFFLINE, false},
    {"suno", "https://api.sunoapi.org", NULL, LLM_WIRE_STORED_ONLY, true},
    {"chatgpt_oauth", "https://chatgpt.com/backend-api", "gpt-5.4", LLM_WIRE_STORED_ONLY, true},
    {"claude_cli", NULL, NULL, LLM_WIRE_STORED_ONLY, false},
    {"acp", NULL, NULL, LLM_WIRE_STORED_ONLY, false},
    {"vertex_ai", NULL, NULL, LLM_WIRE_STORED_ONLY, true},
};

enum { TYPES = sizeof(table) / sizeof(table[0]) };

const struct llm_type *llm_types(size_t *count)
{
    *count = TYPES;
    return table;
}

const struct llm_type *llm_type_find(const char *name)
{
    if (!name)
        return NULL;
    if (strcmp(name, "vertex") == 0)
        name = "vertex_ai";
    for (size_t i = 0; i < TYPES; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

const char *llm_finish_name(enum llm_finish f)
{
    switch (f) {
    case LLM_LENGTH:
        return "length";
    case LLM_TOOL_CALLS:
        return "tool_calls";
    case LLM_CONTENT_FILTER:
        return "content_filter";
    case LLM_STOP:
        break;
    }
    return "stop";
}

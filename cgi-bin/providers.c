/* providers: the model APIs agents run on (contract 04 §1). Nothing here connects: chat verifies and lists models. */
#include "providers/host.h"
#include "providers/rules.h"
#include "web/resource.h"
#include "web/service.h"

#define N(a) (sizeof(a) / sizeof *(a))

static const struct field provider_fields[] = {
    FIELD_ROW_ID,
    {.name = "name", .kind = FIELD_SLUG, .flags = FIELD_REQUIRED, .max = 50,
     .doc = "Unique in the tenant; agents name their provider by it"},
    {.name = "display_name", .kind = FIELD_TEXT, .flags = FIELD_OMIT, .max = 255, .doc = "For people"},
    {.name = "provider_type", .kind = FIELD_ENUM, .flags = FIELD_NO_NULL, .preset = "openai_compat",
     .values = "openai_compat|anthropic_native|anthropic_oauth|gemini_native|openrouter|groq|deepseek|mistral|xai|"
               "minimax_native|cohere|perplexity|dashscope|bailian|yescale|zai|zai_coding|ollama|ollama_cloud|novita|"
               "byteplus|byteplus_coding|kimi_coding|offline|suno|chatgpt_oauth|claude_cli|acp|vertex_ai|"
               "vertex=vertex_ai",
     .doc = "Which API it speaks; offline is the model built into the gateway"},
    {.name = "api_base", .kind = FIELD_TEXT, .flags = FIELD_OMIT | FIELD_BYTES | FIELD_TRIM, .max = 2048,
     .aliases = "base_url", .doc = "Where the API is; empty means the type's own address"},
    {.name = "api_key", .kind = FIELD_SECRET, .max = 8192, .doc = "Sent to that address and nowhere else"},
    {.name = "enabled", .kind = FIELD_BOOL, .preset = "true", .doc = "Whether agents may use it"},
    {.name = "host_managed", .kind = FIELD_BOOL, .flags = FIELD_OMIT, .sql = "0",
     .doc = "It stands in the configuration file and cannot be changed here"},
    {.name = "settings", .kind = FIELD_OBJECT, .max = PROVIDER_SETTINGS_MAX,
     .doc = "default_model, embedding, reasoning_defaults and whatever else belongs to it"},
    FIELD_ROW_CREATED,
    FIELD_ROW_UPDATED,
};

static const struct field provider_inputs[] = {
    {.name = "default_model", .kind = FIELD_TEXT, .doc = "Goes to settings.default_model"},
};

const struct resource providers = {
    .name = "Provider",
    .noun = "provider",
    .audit = "provider",
    .list_key = "providers",
    .table = "llm_providers",
    .doc = "A model API agents run on",
    .made = RESOURCE_MADE,
    .fields = provider_fields,
    .field_count = N(provider_fields),
    .inputs = provider_inputs,
    .input_count = N(provider_inputs),
    .unique = "name",
    .order = "name",
    .put_answer = PUT_STATUS_UPDATED,
    .delete_answer = DELETE_STATUS_ID,
    .generation = "provider",
    .open = provider_open,
    .before_write = provider_check,
};

static const struct route routes[] = {
    {METHOD_GET, "/v1/providers", ROLE_VIEWER, USER_UNUSED, BODY_DEFAULT, providers_list, "Providers",
     "List providers", 0, &providers},
    {METHOD_POST, "/v1/providers", ROLE_ADMIN, USER_UNUSED, BODY_DEFAULT, resource_create, "Providers",
     "Add a provider", 0, &providers},
    {METHOD_GET, "/v1/providers/{id}", ROLE_VIEWER, USER_UNUSED, BODY_DEFAULT, provider_get, "Providers",
     "Get a provider", 0, &providers},
    {METHOD_PUT, "/v1/providers/{id}", ROLE_ADMIN, USER_UNUSED, BODY_DEFAULT, resource_update, "Providers",
     "Change a provider; the next model call uses it", ROUTE_LATE_BODY, &providers},
    {METHOD_DELETE, "/v1/providers/{id}", ROLE_ADMIN, USER_UNUSED, BODY_DEFAULT, resource_delete, "Providers",
     "Delete a provider; agents that name it stop running", ROUTE_NO_BODY, &providers},
};

int main(int argc, char **argv)
{
    static const struct program program = {
        .name = "providers", .routes = routes, .route_count = N(routes), .model = PROGRAM_PREFORK};
    return service_main(&program, argc, argv);
}

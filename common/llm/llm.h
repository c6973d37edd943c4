/* One call to a language model, whatever protocol it speaks.
 *
 * llm_call picks the wire of the provider's type (OpenAI-compatible, Anthropic,
 * or the built-in offline model), retries as contract 03 §5.4 says, streams deltas to
 * a sink, and returns one normalised answer. It knows nothing of HTTP requests
 * to us, sessions or tools. Blocks; thread-safe; everything returned lives in
 * the given arena.
 */
#ifndef CLAWGATE_LLM_LLM_H
#define CLAWGATE_LLM_LLM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/cancel.h"
#include "base/fault.h"
#include "base/json.h"

/* A usable provider row, key decrypted (contract 04 §1). */
struct llm_provider {
    const char *name;
    const char *type;         /* provider_type */
    const char *base_url;     /* effective, no trailing slash; "" for offline */
    const char *api_key;      /* plain text, "" when none */
    const char *default_model;/* settings.default_model, else the type's, else "" */
    bool private_allowed;     /* contract 04 §0.1 */
};

struct llm_tool_call {
    const char *id;        /* as the model gave it, "" when it gave none */
    const char *name;
    const char *arguments; /* JSON text of an object ("{}" when empty) */
    bool malformed;        /* arguments are not a JSON object; text kept as it came */
    const char *signature; /* Gemini signs what it thought before a call and wants it back; NULL when there is none */
};

/* A tool turn as the model gave it, piece by piece: an API that signs what was thought wants it back unchanged. */
enum llm_block_kind { LLM_BLOCK_TEXT, LLM_BLOCK_THINKING, LLM_BLOCK_REDACTED, LLM_BLOCK_CALL };

struct llm_block {
    enum llm_block_kind kind;  /* the n-th LLM_BLOCK_CALL is the n-th of the message's tool calls */
    const char *text;          /* of text and thinking, else "" */
    const char *signature;     /* of thinking; of redacted thinking its data; else "" */
};

enum llm_role { LLM_SYSTEM, LLM_USER, LLM_ASSISTANT, LLM_TOOL };

struct llm_message {
    enum llm_role role;
    const char *text;                       /* "" when none */
    const struct llm_tool_call *tool_calls; /* assistant only */
    size_t tool_call_count;
    const struct llm_block *blocks;         /* assistant only: text and tool_calls again, in the model's pieces */
    size_t block_count;                     /* 0 unless the model thought before it called */
    const char *tool_call_id;               /* tool only */
    const char *tool_name;                  /* tool only, may be NULL */
    bool is_error;                          /* tool only */
};

struct llm_tool {
    const char *name;
    const char *description;
    const char *parameters; /* JSON Schema as text, type object */
    bool sound; /* parameters is known to be an object schema with type and properties, without references */
};

/* Values a request may set; absent = NULL / NAN / negative (contract 03 §1.2, §5.2). */
struct llm_params {
    int64_t max_tokens;           /* > 0 */
    double temperature;           /* NAN = absent */
    double top_p;
    double presence_penalty;
    double frequency_penalty;
    bool has_seed;
    int64_t seed;
    json_object *stop;            /* string or array, borrowed */
    json_object *response_format; /* object, borrowed */
    const char *reasoning_effort;
    json_object *tool_choice;     /* string or object, borrowed; NULL = "auto" when tools are given */
    int parallel_tool_calls;      /* -1 absent, 0, 1 */
};

/* The params of a request that sets nothing (needs math.h). */
#define LLM_PARAMS_NONE                                                                                                \
    ((struct llm_params){.temperature = NAN,                                                                           \
                         .top_p = NAN,                                                                                 \
                         .presence_penalty = NAN,                                                                      \
                         .frequency_penalty = NAN,                                                                     \
                         .parallel_tool_calls = -1})

struct llm_request {
    const char *model;
    const struct llm_message *messages;
    size_t message_count;
    const struct llm_tool *tools;
    size_t tool_count;
    struct llm_params params;
    bool stream;
};

enum llm_finish { LLM_STOP, LLM_LENGTH, LLM_TOOL_CALLS, LLM_CONTENT_FILTER };
const char *llm_finish_name(enum llm_finish f); /* "stop", "length", "tool_calls", "content_filter" */

struct llm_usage {
    int64_t prompt_tokens; /* all of the prompt, those from the provider's cache and those written to it included */
    int64_t completion_tokens, total_tokens;
    int64_t cached_tokens, cache_creation_tokens, reasoning_tokens;
};

struct llm_answer {
    const char *text;     /* "" when none */
    const char *thinking; /* "" when none */
    const struct llm_tool_call *tool_calls;
    size_t tool_call_count;
    const struct llm_block *blocks; /* for the message that hands the tool calls back; 0 for most answers */
    size_t block_count;
    enum llm_finish finish;
    struct llm_usage usage;
    int attempts;         /* HTTP requests made, 1.. */
    bool context_overflow; /* with a fault: the conversation does not fit the model (compact and call again) */
};

/* Where a streamed answer goes. All calls come from the calling thread. */
struct llm_sink {
    /* Bytes of visible text, never cut inside a UTF-8 sequence. Any may be NULL. */
    void (*text)(void *ctx, const char *s, size_t n);
    void (*thinking)(void *ctx, const char *s, size_t n);
    /* After all deltas of one read from the upstream: the moment to flush. */
    void (*flush)(void *ctx);
    /* At least once a second while waiting, also before the first byte (keepalives). */
    void (*tick)(void *ctx);
    /* Before an attempt is repeated, contract 03 §3.14 run.retrying: the attempt that failed (1..), scrubbed reason. */
    void (*retrying)(void *ctx, int attempt, int max_attempts, const char *why);
    void *ctx;
};

/* true: *answer is filled. false: *fault says what to tell the client (kind, message, scrubbed
 * detail of at most 500 characters in args[1]); *answer holds what was received so far (usage, text,
 * attempts), for the trace. When `c` was fired, fault->kind is FAULT_NONE and cancel_check(c) says why.
 * upstream_error (may be NULL) gets a longer, redacted text for the trace, at most 2000 bytes. */
bool llm_call(struct arena *a, const struct llm_provider *p, const struct llm_request *r, const struct llm_sink *sink,
              struct cancel *c, struct llm_answer *answer, struct fault *fault, const char **upstream_error);

/* Process-wide state: certificate store, pooled handles. Call once before threads start / after they ended.
 * llm_start reads the clocks CLAWGATE_UPSTREAM_{CONNECT,FIRST_BYTE,STALL,TOTAL,RETRY}_MS; the first call to an upstream
 * wakes libcurl and opens the certificate store (SSL_CERT_FILE, SSL_CERT_DIR).
 * The program must ignore SIGPIPE. */
void llm_start(void);
void llm_stop(void);
/* Closes idle upstream connections older than 60 s; called about once a second. */
void llm_housekeeping(void);

/* Contract 04 §1.2; false for a value outside the enum. NULL results are allowed for base and model. */
struct llm_type {
    const char *name;
    const char *base_url;
    const char *default_model;
    enum { LLM_WIRE_OPENAI, LLM_WIRE_ANTHROPIC, LLM_WIRE_OFFLINE, LLM_WIRE_STORED_ONLY } wire;
    bool needs_key;
};
const struct llm_type *llm_type_find(const char *name);
const struct llm_type *llm_types(size_t *count);

#endif

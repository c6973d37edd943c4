/* The OpenAI-compatible protocol without a network (private to this room): contract 03 §5.2 and §5.3. */
#ifndef CLAWGATE_LLM_OPENAI_H
#define CLAWGATE_LLM_OPENAI_H

#include "llm/sse.h"
#include "llm/upstream_json.h"
#include "llm/wire.h"

/* Where a request goes and what that host wants to be different. */
struct openai_target {
    const char *url; /* of chat completions */
    bool native;     /* api.openai.com */
    bool azure;
    bool gemini;
    bool mistral;
    bool together;
    bool streams; /* false when this provider cannot stream what is asked for */
};

/* A provider's base URL, taken apart. */
struct openai_base {
    const char *root;  /* without trailing slashes */
    const char *query; /* "?…", or "" */
    char host[256];
    bool azure;
};

/* false when the provider has no usable base URL. */
bool openai_base(struct arena *a, const struct llm_provider *p, struct openai_base *b);
bool openai_target(struct arena *a, const struct llm_provider *p, const struct llm_request *r, struct openai_target *t);
/* The header line that carries the key; NULL when there is none to send. */
const char *openai_key_header(struct arena *a, const struct llm_provider *p, bool azure);
/* May this provider reach private addresses at url? Ollama always may on this machine (contract 04 §0.1). */
bool openai_private_allowed(const struct llm_provider *p, const char *url);
/* The request body. false when it is larger than out may hold. */
bool openai_request(struct buf *out, const struct openai_target *t, const struct wire_call *call);

enum openai_form { OPENAI_UNDECIDED, OPENAI_JSON, OPENAI_EVENTS, OPENAI_ALIEN };

/* Reads one answer's body, plain or streamed, told apart by its first byte. Pure. */
struct openai_reader {
    struct arena *arena;
    struct reply *reply;
    enum openai_form form;
    bool accepted; /* the status was 2xx */
    int status;
    const char *content_type;
    struct sse_parser sse;
    struct upstream_json json;
    struct buf body;   /* a plain answer, or the start of an error's */
    unsigned events;   /* complete data events so far */
    bool done;         /* [DONE] */
    bool failed;       /* *result is final */
    struct wire_result *result;
};

void openai_reader_init(struct openai_reader *rd, struct arena *a, struct reply *reply, struct wire_result *result,
                        int status, const char *content_type);
void openai_reader_release(struct openai_reader *rd);
/* false: nothing more is needed, the rest need not be read. */
bool openai_reader_feed(struct openai_reader *rd, const char *bytes, size_t n);
/* All pieces of one read from the socket were fed: their text may leave together. */
void openai_reader_flush(struct openai_reader *rd);
/* End of the body: fills *result. network_error NULL = the body ended as HTTP says it should. */
void openai_reader_finish(struct openai_reader *rd, const char *network_error);

#endif

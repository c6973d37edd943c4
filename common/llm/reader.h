/* Reads the body of one answer, plain or streamed, told apart by its first byte (private to this room). Pure.
 *
 * What all APIs have in common is here: events, limits, errors of every shape, answers that end too early. What an
 * object means is the dialect's: it adds to the reply and says when the answer is complete.
 */
#ifndef CLAWGATE_LLM_READER_H
#define CLAWGATE_LLM_READER_H

#include "llm/sse.h"
#include "llm/upstream_json.h"
#include "llm/wire.h"

struct reader;

struct dialect {
    /* One object of a stream with its event's name ("" when it had none), or a whole plain answer (event NULL).
     * false after one of the reader_fail. */
    bool (*take)(struct reader *rd, const struct json_node *root, const char *event);
    const char *end; /* the data of the last event; NULL when that is an object like the others */
};

enum reader_form { READER_UNDECIDED, READER_JSON, READER_EVENTS, READER_ALIEN };

struct reader {
    const struct dialect *dialect;
    struct arena *arena;
    struct reply *reply;
    enum reader_form form;
    bool accepted; /* the status was 2xx */
    int status;
    const char *content_type;
    struct sse_parser sse;
    struct upstream_json json;
    struct buf body; /* a plain answer, or the start of an error's */
    unsigned events; /* complete data events so far; not those that only keep the line alive */
    bool done;       /* the answer said that it is complete */
    bool failed;     /* *result is final */
    struct wire_result *result;
};

void reader_init(struct reader *rd, const struct dialect *dialect, struct arena *a, struct reply *reply,
                 struct wire_result *result, int status, const char *content_type);
void reader_release(struct reader *rd);
/* false: nothing more is needed, the rest need not be read. */
bool reader_feed(struct reader *rd, const char *bytes, size_t n);
/* All pieces of one read from the socket were fed: their text may leave together. */
void reader_flush(struct reader *rd);
/* End of the body: fills *result. network_error NULL = the body ended as HTTP says it should. */
void reader_finish(struct reader *rd, const char *network_error);

/* For dialects. The fail functions return false. */
typedef bool reply_fn(struct reply *r, const char *s, size_t n);

bool reader_fail(struct reader *rd, int status, bool transient, const char *reason);
/* o holds an error object; its status is read from its words. */
bool reader_fail_in_band(struct reader *rd, const struct json_node *o);
/* The reply took no more. */
bool reader_fail_size(struct reader *rd);
/* Hands a string on; true also for what is none. */
bool reader_text(struct reader *rd, const struct json_node *string, reply_fn *to);
/* A number of tokens: 0 when absent or absurd. */
int64_t reader_count(const struct json_node *o, const char *key);

#endif

/* Sessions and their messages (contract 03 §6): one row a message, so that appending costs the same for ever. */
#ifndef CLAWGATE_STORE_SESSIONS_H
#define CLAWGATE_STORE_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "store/db.h"

struct session {
    const char *id, *tenant_id, *key, *agent_id, *user_id;
    const char *agent_key, *agent_name; /* joined; NULL when the agent is gone */
    const char *channel, *label, *model, *provider, *summary;
    const char *metadata; /* JSON object text */
    int64_t input_tokens, output_tokens, compaction_count, last_prompt_tokens, message_count, message_bytes;
    int64_t context_window, context_start; /* first message number the model sees */
    const char *created_at, *updated_at;
};

struct message {
    int64_t seq;          /* 1.. within the session */
    const char *id, *role, *content;
    const char *thinking;     /* NULL when none */
    const char *tool_calls;   /* JSON array text [{"id","name","arguments":{…},"signature"?}], NULL when none */
    const char *tool_call_id; /* NULL unless role is tool */
    const char *media_refs;   /* JSON array text, NULL when none */
    bool is_error;
    const char *created_at;
};

/* Is there one of this key? DB_ROW, or DB_OK. */
enum db_rc session_taken(struct db *db, const char *tenant_id, const char *key);
enum db_rc session_find(struct db *db, struct arena *a, const char *tenant_id, const char *key, struct session *out);
/* Messages seq >= from, oldest first. before > 0: only seq < before; limit newest ones, still oldest first.
 * limit <= 0: all. */
enum db_rc session_messages(struct db *db, struct arena *a, const char *session_id, int64_t from, int64_t before,
                            int64_t limit, struct message **out, size_t *count);
/* The number of a message named by its id. DB_ROW found, DB_OK not. */
enum db_rc session_message_seq(struct db *db, const char *session_id, const char *message_id, int64_t *seq);
/* The session in which an assistant message made this client tool call, unless the session has made others since;
 * newest first. */
enum db_rc session_by_tool_call(struct db *db, struct arena *a, const char *tenant_id, const char *tool_call_id,
                                const char **key);

struct session_filter {
    const char *tenant_id;
    const char *user_id;  /* NULL = everybody */
    const char *agent_id; /* NULL = any */
    const char *channel;  /* NULL = any; matches the column or the key's third part */
    const char *before;   /* session key: page by key */
    int64_t limit, offset;
};
enum db_rc session_list(struct db *db, struct arena *a, const struct session_filter *f, struct session **out,
                        size_t *count, int64_t *total, bool *total_capped);

/* Called inside a transaction (writer jobs). */
struct session_write {
    bool is_new;                  /* most likely nobody made it meanwhile */
    const char *spare_key;        /* is_new: taken when the key is taken; NULL = then it goes on in that session */
    bool spared;                  /* set: it was */
    const char *tenant_id, *key, *agent_id;
    const char *user_id; /* NULL = whoever owns it (an admin's run in another user's session) */
    const char *channel, *model, *provider; /* NULL = unchanged */
    const char *label;                      /* only fills an empty one; may be NULL */
    int64_t add_input_tokens, add_output_tokens;
    int64_t last_prompt_tokens; /* -1 = unchanged */
    int64_t context_window;     /* 0 = unchanged */
    const char *began;          /* id of the session the run began in, NULL when there was none */
    char id[UUID_SIZE];         /* set: of the session that was written to, "" when nothing was */
};
/* Creates the session if it is missing, adds the counters, appends the messages (seq is given here, id and
 * created_at must be set). DB_CONSTRAINT when the key belongs to another user. When the agent was deleted meanwhile,
 * or the session it began in was deleted or reset, nothing is written and DB_OK comes back: late writes are
 * dropped. */
enum db_rc session_append(struct db *db, struct session_write *s, const struct message *messages, size_t n);

/* What was before message number `to` is summed up: the summary takes its place in what the model sees, the messages
 * stay. DB_ROW done, DB_OK: the session is not that one any more, or was summed up meanwhile (it begins at `from` no
 * more). */
enum db_rc session_sum_up(struct db *db, const char *tenant_id, const char *key, const char *id, int64_t from,
                          int64_t to, const char *summary);

/* Tokens spent for it that were no run's. */
enum db_rc session_spend(struct db *db, const char *tenant_id, const char *key, int64_t input_tokens,
                         int64_t output_tokens);

/* Stores these three; whoever calls has merged them. DB_OK also when there is no such session, as below. */
enum db_rc session_update(struct db *db, const char *tenant_id, const char *key, const char *label, const char *model,
                          const char *metadata, const char *now);
/* Messages, summary and context pointer go, token counters stay. The session gets another id, so that what a run
 * that is still going on wants to append is dropped. Its runs are marked to be cancelled, here and in the delete. */
enum db_rc session_reset(struct db *db, const char *tenant_id, const char *key, const char *now);
enum db_rc session_delete(struct db *db, const char *tenant_id, const char *key);

#endif

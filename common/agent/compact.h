/* Making a conversation shorter (contract 03 §3.11): when it is time, which of its messages are summed up, what a
 * model is asked for that, and asking it.
 *
 * All but compact_ask is pure. Messages are those of the conversation, without the system message.
 */
#ifndef CLAWGATE_AGENT_COMPACT_H
#define CLAWGATE_AGENT_COMPACT_H

#include "base/config.h"
#include "llm/llm.h"

enum { COMPACT_MESSAGES_MIN = 6 }; /* fewer are never summed up */

/* The agent's compaction_config, and the settings where it says nothing, or nothing that can be used. */
struct compact_rules {
    double share;         /* of the context window: from here on it is time; 0 = never for its size */
    int64_t min_messages; /* more than these are too many, however short */
    int64_t keep_last;    /* messages that stay as they are */
};
struct compact_rules compact_rules_of(struct arena *a, const struct config *config, const char *compaction_config);

/* Do that many tokens fill the window's share? window 0 = unknown: no. */
bool compact_is_full(const struct compact_rules *rules, int64_t window, int64_t tokens);
/* How many of the first messages to sum up when the last `keep` shall stay; 0 = it is not worth it. A call is never
 * parted from its results. */
size_t compact_split(const struct llm_message *m, size_t n, size_t keep);

/* What is asked. prior: the summary of what was before, "" when there is none. Of the conversation at most about
 * max_chars characters are shown: long messages lose their middle, then the conversation does. */
struct compact_job {
    const char *prior;
    const struct llm_message *messages;
    size_t count;
    size_t max_chars;
};
const char *compact_prompt(struct arena *a, const struct compact_job *job);
/* What stands in for a model where none can write. */
const char *compact_without_model(struct arena *a, const struct compact_job *job);

/* One call of the model; blocks. The summary, or NULL with a reason in *error; *answer holds usage and overflow either
 * way. */
const char *compact_ask(struct arena *a, const struct llm_provider *p, const char *model, const struct compact_job *job,
                        const struct llm_sink *sink, struct cancel *c, struct llm_answer *answer, const char **error);

#endif

#include "sessions/session.h"

#include "base/crypto.h"

enum { BASE_TOKENS = 12000 };

void session_write(struct jsonw *w, const struct session *s)
{
    jw_kstr(w, "key", s->key);
    jw_kstr(w, "session_key", s->key);
    jw_kint(w, "messageCount", s->message_count);
    jw_kstr(w, "created", s->created_at);
    jw_kstr(w, "updated", s->updated_at);
    jw_kopt(w, "label", s->label);
    jw_kopt(w, "channel", s->channel);
    jw_kopt(w, "userID", s->user_id);
    jw_kopt(w, "user_id", s->user_id);
    if (s->metadata && strcmp(s->metadata, "{}") != 0)
        jw_kraw(w, "metadata", s->metadata);
    jw_kopt(w, "model", s->model);
    jw_kopt(w, "provider", s->provider);
    if (s->input_tokens) {
        jw_kint(w, "inputTokens", s->input_tokens);
        jw_kint(w, "input_tokens", s->input_tokens);
    }
    if (s->output_tokens) {
        jw_kint(w, "outputTokens", s->output_tokens);
        jw_kint(w, "output_tokens", s->output_tokens);
    }
    jw_kopt(w, "agentName", s->agent_name);
    jw_kopt(w, "agent_id", s->agent_key);
    jw_kint(w, "estimatedTokens", s->message_bytes / 4 + BASE_TOKENS);
    if (s->context_window)
        jw_kint(w, "contextWindow", s->context_window);
    if (s->compaction_count)
        jw_kint(w, "compactionCount", s->compaction_count);
}

bool session_open(struct request *req, struct db *db, struct session *s, struct fault *f)
{
    const char *key = req->params[0];
    enum db_rc rc = session_find(db, req->arena, req->who.tenant_id, key, s);
    if (rc == DB_OK)
        return fault_set(f, FAULT_NOT_FOUND, MSG_not_found, "key", "session", key);
    if (rc != DB_ROW)
        return fault_set(f, FAULT_UNAVAILABLE, MSG_unavailable, NULL, NULL, NULL);
    bool own = s->user_id && req->who.user && strcmp(s->user_id, req->who.user) == 0;
    if (req->who.role < ROLE_ADMIN && !own)
        return fault_set(f, FAULT_FORBIDDEN, MSG_no_access, NULL, "session", NULL);
    return true;
}

const char *session_etag(struct arena *a, const struct session *s)
{
    char hex[SHA256_HEX_SIZE];
    const char *text = arena_printf(a, "%s\n%s\n%lld\n%lld\n%s\n%s\n%s\n%s", s->id, s->updated_at,
                                    (long long)s->message_count, (long long)s->output_tokens, s->label, s->model,
                                    s->metadata, s->summary);
    sha256_hex(text, strlen(text), hex);
    return arena_printf(a, "\"%.32s\"", hex);
}

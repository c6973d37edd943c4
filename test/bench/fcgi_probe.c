/* fcgi_probe: the least a gateway must do, the yardstick for what our gateway adds.
 *
 * Per request: SHA-256 of the bearer token, one indexed read of its key and agent from SQLite, the body parsed,
 * one POST to the upstream over a kept-alive connection, the answer parsed and written anew. It writes nothing
 * to the database after start.
 */
#include <curl/curl.h>
#include <fcgiapp.h>
#include <json-c/json.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>

#define THREADS_MAX 1024
#define BODY_MAX (1024 * 1024)
#define KEYS 1000

static const char usage_text[] =
    "usage: fcgi_probe THREADS DATABASE UPSTREAM_URL   (descriptor 0 is the listening socket)\n"
    "  DATABASE      made when missing, with the keys probe-token and probe-token-1 … probe-token-999\n"
    "  UPSTREAM_URL  full URL of chat/completions; PROBE_UPSTREAM in the environment wins over it\n"
    "Answers POST with an OpenAI-shaped body; 401 for an unknown key, 400 for a body that is not JSON,\n"
    "502 when the upstream gives no JSON.\n";

struct settings {
    const char *database, *upstream;
};

struct text {
    char *p;
    size_t len, cap;
};

struct worker {
    sqlite3 *db;
    sqlite3_stmt *find_key;
    CURL *curl;
    struct curl_slist *headers;
    struct text in, out;
};

static bool text_add(struct text *t, const char *p, size_t n)
{
    if (t->cap - t->len < n) {
        size_t cap = (t->len + n) * 2;
        char *grown = realloc(t->p, cap);
        if (!grown) {
            return false;
        }
        t->p = grown;
        t->cap = cap;
    }
    memcpy(t->p + t->len, p, n);
    t->len += n;
    return true;
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    return text_add(ctx, p, size * n) ? size * n : 0;
}

/* --- the database ------------------------------------------------------------------------------------------- */

static void key_hash(const char *token, size_t n, unsigned char hash[SHA256_DIGEST_LENGTH])
{
    SHA256((const unsigned char *)token, n, hash);
}

static bool insert_keys(sqlite3 *db)
{
    sqlite3_stmt *insert = NULL;
    bool ok = sqlite3_prepare_v2(db, "INSERT OR IGNORE INTO api_keys (hash, agent, model) VALUES (?1, ?2, ?3)", -1,
                                 &insert, NULL) == SQLITE_OK;
    for (int i = 0; ok && i < KEYS; i++) {
        char token[64], agent[64];
        unsigned char hash[SHA256_DIGEST_LENGTH];
        snprintf(token, sizeof token, i ? "probe-token-%d" : "probe-token", i);
        snprintf(agent, sizeof agent, "agent-%d", i);
        key_hash(token, strlen(token), hash);
        sqlite3_bind_blob(insert, 1, hash, sizeof hash, SQLITE_TRANSIENT);
        sqlite3_bind_text(insert, 2, agent, -1, SQLITE_TRANSIENT);
        sqlite3_bind_text(insert, 3, "upstream-small", -1, SQLITE_STATIC);
        ok = sqlite3_step(insert) == SQLITE_DONE;
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
    return ok;
}

static bool database_make(const char *path)
{
    sqlite3 *db = NULL;
    bool ok = sqlite3_open(path, &db) == SQLITE_OK && sqlite3_busy_timeout(db, 10000) == SQLITE_OK &&
              sqlite3_exec(db, "PRAGMA journal_mode = WAL; BEGIN IMMEDIATE;"
                               "CREATE TABLE IF NOT EXISTS api_keys (hash BLOB PRIMARY KEY, agent TEXT NOT NULL,"
                               " model TEXT NOT NULL) WITHOUT ROWID",
                           NULL, NULL, NULL) == SQLITE_OK &&
              insert_keys(db) && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
    if (!ok) {
        fprintf(stderr, "fcgi_probe: %s\n", sqlite3_errmsg(db));
    }
    sqlite3_close(db);
    return ok;
}

/* --- one worker --------------------------------------------------------------------------------------------- */

static bool worker_open(struct worker *w, const struct settings *s)
{
    *w = (struct worker){.curl = curl_easy_init()};
    w->headers = curl_slist_append(NULL, "Content-Type: application/json");
    w->headers = curl_slist_append(w->headers, "Authorization: Bearer upstream-key");
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX;
    if (!w->curl || sqlite3_open_v2(s->database, &w->db, flags, NULL) != SQLITE_OK ||
        sqlite3_prepare_v3(w->db, "SELECT agent, model FROM api_keys WHERE hash = ?1", -1, SQLITE_PREPARE_PERSISTENT,
                           &w->find_key, NULL) != SQLITE_OK) {
        return false;
    }
    curl_easy_setopt(w->curl, CURLOPT_URL, s->upstream);
    curl_easy_setopt(w->curl, CURLOPT_HTTPHEADER, w->headers);
    curl_easy_setopt(w->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(w->curl, CURLOPT_TIMEOUT, 60L);
    curl_easy_setopt(w->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(w->curl, CURLOPT_WRITEDATA, &w->out);
    return true;
}

static void worker_close(struct worker *w)
{
    sqlite3_finalize(w->find_key);
    sqlite3_close(w->db);
    curl_easy_cleanup(w->curl);
    curl_slist_free_all(w->headers);
    free(w->in.p);
    free(w->out.p);
}

static bool key_find(struct worker *w, const char *authorization, char *agent, char *model, size_t size)
{
    static const char scheme[] = "Bearer ";
    if (!authorization || strncmp(authorization, scheme, sizeof scheme - 1) != 0) {
        return false;
    }
    const char *token = authorization + sizeof scheme - 1;
    unsigned char hash[SHA256_DIGEST_LENGTH];
    key_hash(token, strlen(token), hash);
    sqlite3_bind_blob(w->find_key, 1, hash, sizeof hash, SQLITE_STATIC);
    bool found = sqlite3_step(w->find_key) == SQLITE_ROW;
    if (found) {
        snprintf(agent, size, "%s", (const char *)sqlite3_column_text(w->find_key, 0));
        snprintf(model, size, "%s", (const char *)sqlite3_column_text(w->find_key, 1));
    }
    sqlite3_reset(w->find_key);
    return found;
}

static json_object *text_parse(const struct text *t)
{
    json_tokener *tokener = json_tokener_new();
    json_object *value = tokener && t->len ? json_tokener_parse_ex(tokener, t->p, (int)t->len) : NULL;
    json_tokener_free(tokener);
    return value;
}

static bool body_read(FCGX_Stream *in, struct text *t)
{
    char chunk[16384];
    t->len = 0;
    for (int n; (n = FCGX_GetStr(chunk, sizeof chunk, in)) > 0;) {
        if (t->len + (size_t)n > BODY_MAX || !text_add(t, chunk, (size_t)n)) {
            return false;
        }
    }
    return true;
}

static bool upstream_ask(struct worker *w, json_object *question)
{
    size_t len = 0;
    const char *body = json_object_to_json_string_length(question, JSON_C_TO_STRING_PLAIN, &len);
    w->out.len = 0;
    curl_easy_setopt(w->curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(w->curl, CURLOPT_POSTFIELDSIZE, (long)len);
    return curl_easy_perform(w->curl) == CURLE_OK;
}

static void reply(FCGX_Stream *out, int status, const char *body, size_t n)
{
    FCGX_FPrintF(out, "Status: %d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", status, (int)n);
    FCGX_PutStr(body, (int)n, out);
}

static void refuse(FCGX_Stream *out, int status, const char *body)
{
    reply(out, status, body, strlen(body));
}

static void request_serve(struct worker *w, FCGX_Request *r)
{
    char agent[128], model[128];
    if (!key_find(w, FCGX_GetParam("HTTP_AUTHORIZATION", r->envp), agent, model, sizeof agent)) {
        refuse(r->out, 401, "{\"error\":{\"message\":\"unknown key\"}}");
        return;
    }
    json_object *question = body_read(r->in, &w->in) ? text_parse(&w->in) : NULL;
    if (!json_object_is_type(question, json_type_object)) {
        refuse(r->out, 400, "{\"error\":{\"message\":\"the body is not a JSON object\"}}");
        json_object_put(question);
        return;
    }
    json_object_object_add(question, "model", json_object_new_string(model));
    json_object *answer = upstream_ask(w, question) ? text_parse(&w->out) : NULL;
    if (json_object_is_type(answer, json_type_object)) {
        json_object_object_add(answer, "model", json_object_new_string(agent));
        size_t len = 0;
        const char *body = json_object_to_json_string_length(answer, JSON_C_TO_STRING_PLAIN, &len);
        reply(r->out, 200, body, len);
    } else {
        refuse(r->out, 502, "{\"error\":{\"message\":\"the upstream gave no JSON\"}}");
    }
    json_object_put(answer);
    json_object_put(question);
}

static void *serve(void *ctx)
{
    struct worker w;
    FCGX_Request request;
    bool ok = worker_open(&w, ctx) && FCGX_InitRequest(&request, 0, 0) == 0;
    while (ok && FCGX_Accept_r(&request) >= 0) {
        request_serve(&w, &request);
        FCGX_Finish_r(&request);
    }
    worker_close(&w);
    return NULL;
}

int main(int argc, char **argv)
{
    char *end = NULL;
    long threads = argc > 1 ? strtol(argv[1], &end, 10) : 0;
    if (argc != 4 || *end || threads < 1 || threads > THREADS_MAX) {
        bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
        fputs(usage_text, help ? stdout : stderr);
        return help ? 0 : 2;
    }
    struct settings settings = {.database = argv[2], .upstream = argv[3]};
    const char *from_environment = getenv("PROBE_UPSTREAM");
    settings.upstream = from_environment ? from_environment : settings.upstream;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || FCGX_Init() != 0 || !database_make(settings.database)) {
        return 1;
    }
    for (long i = 1; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, &settings) != 0) {
            return 1;
        }
    }
    serve(&settings);
    return 0;
}

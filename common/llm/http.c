#include "llm/http.h"

#include <curl/curl.h>
#include <malloc.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "llm/http_head.h"
#include "llm/ssrf.h"

enum {
    IDLE_MAX = 256,
    IDLE_MS = 60000,
    TRIM_AT = 16, /* so many closed handles are worth giving memory back */
    HANDLE_SOCKETS = 8,
    HEADER_LINES = 8, /* of ours, with the one that is added */
    KEY_SIZE = 300,
    HEADERS_MAX = 64 << 10,
    DOWNLOAD_BUFFER = 8 << 10,
    UPLOAD_BUFFER = 16 << 10, /* libcurl's least */
    TLS_RECORD = 4 << 10,
    TICK_MS = 100,
    DAY_MS = 86400000,
};

/* An easy handle with at most one live connection. */
struct http_handle {
    CURL *easy;
    CURLU *url;     /* taken apart */
    char *url_text; /* what it was made of; calls of one provider have the same again and again */
    struct http_handle *next;
    char key[KEY_SIZE]; /* origin and address rule */
    int64_t idle_since;
    int sockets[HANDLE_SOCKETS]; /* open ones, the newest last */
    int socket_count;
    char error[CURL_ERROR_SIZE];
    /* Of the call in progress, NULL in the pool. */
    struct http_call *call;
    bool ended; /* call->end was decided by a callback */
    bool refused;
    bool unread;    /* on_body was called since the last on_read_end */
    size_t header_bytes;
    int64_t clock;         /* streams: the moment the running clock fires */
    const char *clock_why; /* what to say then */
    int64_t last_tick;
};

static struct {
    pthread_mutex_t lock;
    struct http_handle *idle; /* the last one given back first */
    int idle_count;
    int closed; /* by housekeeping, since memory was last given back */
    bool awake, ready;
    X509_STORE *store;
    CURLSH *share;
    pthread_mutex_t share_locks[CURL_LOCK_DATA_LAST];
    int64_t connect_ms, first_byte_ms, stall_ms, total_ms, retry_ms;
} http = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int64_t env_ms(const char *name, int64_t fallback)
{
    const char *text = getenv(name);
    if (!text || !*text)
        return fallback;
    char *end;
    long value = strtol(text, &end, 10);
    return *end == 0 && value > 0 && value <= DAY_MS ? value : fallback;
}

static void share_lock(CURL *easy, curl_lock_data data, curl_lock_access access, void *ctx)
{
    (void)easy, (void)access, (void)ctx;
    pthread_mutex_lock(&http.share_locks[data]);
}

static void share_unlock(CURL *easy, curl_lock_data data, void *ctx)
{
    (void)easy, (void)ctx;
    pthread_mutex_unlock(&http.share_locks[data]);
}

/* TLS sessions are shared, so that a new connection to a known host needs no full handshake. */
static bool share_start(void)
{
    http.share = curl_share_init();
    if (!http.share)
        return false;
    for (int i = 0; i < CURL_LOCK_DATA_LAST; i++)
        pthread_mutex_init(&http.share_locks[i], NULL);
    return curl_share_setopt(http.share, CURLSHOPT_LOCKFUNC, share_lock) == CURLSHE_OK &&
           curl_share_setopt(http.share, CURLSHOPT_UNLOCKFUNC, share_unlock) == CURLSHE_OK &&
           curl_share_setopt(http.share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) == CURLSHE_OK;
}

void http_start(void)
{
    http.connect_ms = env_ms("CLAWGATE_UPSTREAM_CONNECT_MS", 10000);
    http.first_byte_ms = env_ms("CLAWGATE_UPSTREAM_FIRST_BYTE_MS", 300000);
    http.stall_ms = env_ms("CLAWGATE_UPSTREAM_STALL_MS", 120000);
    http.total_ms = env_ms("CLAWGATE_UPSTREAM_TOTAL_MS", 300000);
    http.retry_ms = env_ms("CLAWGATE_UPSTREAM_RETRY_MS", 300);
}

/* libcurl and TLS cost memory and start-up time: they wake with the first call. */
static void wake(void)
{
    http.awake = true;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !share_start())
        return;
    http.store = X509_STORE_new();
    if (http.store && X509_STORE_set_default_paths(http.store) == 1) {
        X509_STORE_set_flags(http.store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
        http.ready = true;
    }
}

/* false when libcurl or the certificate store does not start. */
static bool ready(void)
{
    pthread_mutex_lock(&http.lock);
    if (!http.awake)
        wake();
    bool yes = http.ready;
    pthread_mutex_unlock(&http.lock);
    return yes;
}

static void handle_free(struct http_handle *h)
{
    curl_easy_cleanup(h->easy);
    curl_url_cleanup(h->url);
    free(h->url_text);
    free(h);
}

static void handles_free(struct http_handle *h)
{
    while (h) {
        struct http_handle *next = h->next;
        handle_free(h);
        h = next;
    }
}

void http_stop(void)
{
    handles_free(http.idle);
    http.idle = NULL;
    http.idle_count = 0;
    if (!http.awake)
        return;
    if (http.share) {
        curl_share_cleanup(http.share);
        http.share = NULL;
        for (int i = 0; i < CURL_LOCK_DATA_LAST; i++)
            pthread_mutex_destroy(&http.share_locks[i]);
    }
    X509_STORE_free(http.store);
    http.store = NULL;
    curl_global_cleanup();
    http.awake = http.ready = false;
}

void http_housekeeping(void)
{
    int64_t now = clock_mono_ms();
    struct http_handle *old = NULL;
    pthread_mutex_lock(&http.lock);
    for (struct http_handle **at = &http.idle; *at;) {
        struct http_handle *h = *at;
        if (now - h->idle_since < IDLE_MS) {
            at = &h->next;
            continue;
        }
        *at = h->next;
        http.idle_count--;
        http.closed++;
        h->next = old;
        old = h;
    }
    pthread_mutex_unlock(&http.lock);
    handles_free(old);
    /* A peak's handles grow old together: memory is given back when the last of them is gone. */
    if (!old && http.closed >= TRIM_AT) {
        malloc_trim(0);
        http.closed = 0;
    }
}

int64_t http_retry_base_ms(void)
{
    return http.retry_ms > 0 ? http.retry_ms : 300;
}

static void set_rules(struct http_handle *h);

static struct http_handle *handle_take(const char *key)
{
    struct http_handle *found = NULL;
    pthread_mutex_lock(&http.lock);
    for (struct http_handle **at = &http.idle; *at; at = &(*at)->next) {
        if (strcmp((*at)->key, key) != 0)
            continue;
        found = *at;
        *at = found->next;
        http.idle_count--;
        break;
    }
    pthread_mutex_unlock(&http.lock);
    if (found)
        return found;
    found = calloc(1, sizeof(*found));
    if (!found)
        return NULL;
    found->easy = curl_easy_init();
    found->url = curl_url();
    if (!found->easy || !found->url) {
        handle_free(found);
        return NULL;
    }
    snprintf(found->key, sizeof(found->key), "%s", key);
    set_rules(found);
    return found;
}

static void handle_give(struct http_handle *h)
{
    bool keep = h->socket_count == 1;
    h->idle_since = clock_mono_ms();
    pthread_mutex_lock(&http.lock);
    keep = keep && http.idle_count < IDLE_MAX;
    if (keep) {
        h->next = http.idle;
        http.idle = h;
        http.idle_count++;
    }
    pthread_mutex_unlock(&http.lock);
    if (!keep)
        handle_free(h);
}

/* Decides how the call ends; the first decision stays. Returns what makes curl stop. */
static int end_call(struct http_handle *h, enum http_end end, const char *error)
{
    if (!h->ended) {
        h->ended = true;
        h->call->end = end;
        snprintf(h->call->error, sizeof(h->call->error), "%s", error);
    }
    return 1;
}

static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *addr)
{
    (void)purpose;
    struct http_handle *h = ctx;
    enum address_class class = address_class(&addr->addr);
    if (h->refused || class == ADDRESS_NEVER || (class == ADDRESS_PRIVATE && !h->call->private_allowed)) {
        h->refused = true;
        return CURL_SOCKET_BAD;
    }
    if (h->socket_count == HANDLE_SOCKETS)
        return CURL_SOCKET_BAD;
    int fd = socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    if (!cancel_watch_fd(h->call->cancel, fd)) {
        close(fd);
        return CURL_SOCKET_BAD;
    }
    h->sockets[h->socket_count++] = fd;
    return fd;
}

static int on_close_socket(void *ctx, curl_socket_t fd)
{
    struct http_handle *h = ctx;
    int kept = 0;
    for (int i = 0; i < h->socket_count; i++)
        if (h->sockets[i] != fd)
            h->sockets[kept++] = h->sockets[i];
    h->socket_count = kept;
    if (h->call) {
        cancel_unwatch_fd(h->call->cancel, fd);
        if (kept > 0)
            cancel_watch_fd(h->call->cancel, h->sockets[kept - 1]);
    }
    return close(fd);
}

static void read_ended(struct http_handle *h)
{
    h->unread = false;
    if (h->call->on_read_end)
        h->call->on_read_end(h->call);
}

/* libcurl calls this after every read from the socket, and about once a second while nothing comes. */
static int on_progress(void *ctx, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal, curl_off_t ulnow)
{
    (void)dltotal, (void)dlnow, (void)ultotal, (void)ulnow;
    struct http_handle *h = ctx;
    struct http_call *call = h->call;
    if (h->unread)
        read_ended(h);
    if (cancel_check(call->cancel) != CANCEL_NONE)
        return end_call(h, HTTP_CANCELLED, "cancelled");
    int64_t now = clock_mono_ms();
    if (call->on_tick && now - h->last_tick >= TICK_MS) {
        h->last_tick = now;
        call->on_tick(call);
    }
    if (h->clock > 0 && now >= h->clock)
        return end_call(h, call->grace_ms > 0 ? HTTP_DONE : HTTP_TIMEOUT, h->clock_why);
    return 0;
}

static size_t on_write(char *bytes, size_t size, size_t count, void *ctx)
{
    struct http_handle *h = ctx;
    struct http_call *call = h->call;
    int64_t grace = call->grace_ms;
    call->progressed = false;
    h->unread = true;
    if (!call->on_body(call, bytes, size * count)) {
        end_call(h, HTTP_STOPPED, "");
        return CURL_WRITEFUNC_ERROR;
    }
    if (call->grace_ms > 0) {
        if (call->grace_ms != grace)
            h->clock = clock_mono_ms() + call->grace_ms;
    } else if (call->stream && call->progressed) {
        h->clock = clock_mono_ms() + http.stall_ms;
        h->clock_why = "the stream stalled";
    }
    return size * count;
}

static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
    struct http_handle *h = ctx;
    size_t len = size * count;
    h->header_bytes += len;
    if (h->header_bytes > HEADERS_MAX) {
        end_call(h, HTTP_NETWORK, "the answer's headers are larger than 64 KiB");
        return 0;
    }
    http_head_line(h->call, line, len);
    return len;
}

static CURLcode on_tls_context(CURL *easy, void *context, void *ctx)
{
    (void)easy, (void)ctx;
    SSL_CTX_set1_cert_store(context, http.store);
    SSL_CTX_set_max_send_fragment(context, TLS_RECORD); /* the write buffer lives as long as the connection */
    return CURLE_OK;
}

/* What every exchange of a handle has in common; set once. */
static void set_rules(struct http_handle *h)
{
    CURL *e = h->easy;
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, h->error);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "Clawgate");
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_MAXCONNECTS, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)DOWNLOAD_BUFFER);
    curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER);
    curl_easy_setopt(e, CURLOPT_SHARE, http.share);
    /* A cancelled call does not wait for the name server. */
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(e, CURLOPT_CAINFO, NULL);
    curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(e, CURLOPT_SSL_CTX_FUNCTION, on_tls_context);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, h);
    curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, h);
    curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(e, CURLOPT_XFERINFODATA, h);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, h);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, h);
}

static int64_t at_most(int64_t ms, int64_t left)
{
    int64_t least = ms < left ? ms : left;
    return least < DAY_MS ? least : DAY_MS;
}

static void set_clocks(struct http_handle *h)
{
    struct http_call *call = h->call;
    /* A little past the deadline, so that the token is the one that says so. */
    int64_t left = cancel_time_left(call->cancel);
    left = left < DAY_MS ? left + 20 : DAY_MS;
    curl_easy_setopt(h->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)at_most(http.connect_ms, left));
    curl_easy_setopt(h->easy, CURLOPT_TIMEOUT_MS, (long)at_most(call->stream ? DAY_MS : http.total_ms, left));
    h->clock = call->stream ? clock_mono_ms() + http.first_byte_ms : 0;
    h->clock_why = "no answer came in time";
}

/* A list of libcurl's, without copies: it lives as long as the call. */
static bool header_list(const struct http_call *call, struct curl_slist list[HEADER_LINES])
{
    static char no_expect[] = "Expect:";
    size_t n = 0;
    for (const char *const *line = call->headers; line && *line; line++, n++) {
        if (n == HEADER_LINES - 1)
            return false;
        list[n] = (struct curl_slist){(char *)(uintptr_t)*line, &list[n + 1]};
    }
    list[n] = (struct curl_slist){no_expect, NULL};
    return true;
}

static bool set_url(struct http_handle *h)
{
    const char *url = h->call->url;
    if (h->url_text && strcmp(h->url_text, url) == 0)
        return true;
    free(h->url_text);
    bool ok = curl_url_set(h->url, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_easy_setopt(h->easy, CURLOPT_CURLU, h->url) == CURLE_OK;
    h->url_text = ok ? strdup(url) : NULL;
    return ok;
}

static bool set_request(struct http_handle *h, struct curl_slist *headers)
{
    struct http_call *call = h->call;
    curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, headers);
    if (call->body) {
        curl_easy_setopt(h->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(h->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
        curl_easy_setopt(h->easy, CURLOPT_POSTFIELDS, call->body);
    } else {
        curl_easy_setopt(h->easy, CURLOPT_HTTPGET, 1L);
    }
    return set_url(h);
}

static void judge(struct http_handle *h, CURLcode code)
{
    struct http_call *call = h->call;
    if (cancel_check(call->cancel) != CANCEL_NONE && code != CURLE_OK) {
        h->ended = false;
        end_call(h, HTTP_CANCELLED, "cancelled");
        return;
    }
    if (h->ended)
        return;
    if (code == CURLE_OK) {
        call->end = HTTP_DONE;
        return;
    }
    if (h->refused) {
        end_call(h, HTTP_BLOCKED, "the address is private or reserved and not allowed for this provider");
        return;
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        curl_off_t ready = 0;
        curl_easy_getinfo(h->easy, CURLINFO_PRETRANSFER_TIME_T, &ready);
        end_call(h, HTTP_TIMEOUT,
                 ready > 0 ? "the answer took too long" : "the connection could not be opened in time");
        return;
    }
    end_call(h, HTTP_NETWORK, h->error[0] ? h->error : curl_easy_strerror(code));
}

static bool refuse(struct http_call *call, const char *why)
{
    call->end = HTTP_BLOCKED;
    snprintf(call->error, sizeof(call->error), "%s", why);
    return false;
}

/* The pool's key: scheme, host and port as written, and the rule its connections were opened under. */
static bool origin_key(struct http_call *call, char key[KEY_SIZE])
{
    const char *why;
    if (!outbound_url_check(call->url, call->private_allowed, &why))
        return refuse(call, why);
    size_t scheme = (size_t)(strstr(call->url, "://") - call->url) + 3;
    size_t authority = strcspn(call->url + scheme, "/?");
    int n = snprintf(key, KEY_SIZE, "%c%.*s", call->private_allowed ? 'p' : '-', (int)(scheme + authority), call->url);
    if (n >= KEY_SIZE)
        return refuse(call, "the host is too long");
    for (const char *const *line = call->headers; line && *line; line++)
        if (strpbrk(*line, "\r\n"))
            return refuse(call, "a header holds a line break; is the key complete and on one line?");
    return ready() ? true : refuse(call, "the HTTP client does not start");
}

void http_perform(struct http_call *call)
{
    char key[KEY_SIZE];
    call->status = 0;
    call->content_type[0] = call->error[0] = 0;
    call->retry_after_ms = -1;
    call->encoded = call->progressed = false;
    call->grace_ms = 0;
    if (!origin_key(call, key))
        return;
    struct http_handle *h = handle_take(key);
    if (!h) {
        call->end = HTTP_NETWORK;
        snprintf(call->error, sizeof(call->error), "out of memory");
        return;
    }
    h->call = call;
    h->ended = h->refused = h->unread = false;
    h->header_bytes = 0;
    h->last_tick = 0;
    h->error[0] = 0;
    struct curl_slist headers[HEADER_LINES];
    set_clocks(h);
    CURLcode code = !header_list(call, headers) ? CURLE_OUT_OF_MEMORY
                    : !set_request(h, headers)  ? CURLE_URL_MALFORMAT
                                                : CURLE_OK;
    /* A connection that is reused was opened by another call: its socket is known, but nobody watches it. */
    if (h->socket_count > 0)
        cancel_watch_fd(call->cancel, h->sockets[h->socket_count - 1]);
    judge(h, code == CURLE_OK ? curl_easy_perform(h->easy) : code);
    for (int i = 0; i < h->socket_count; i++)
        cancel_unwatch_fd(call->cancel, h->sockets[i]);
    if (h->unread)
        read_ended(h);
    h->call = NULL;
    curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(h->easy, CURLOPT_POSTFIELDS, NULL);
    handle_give(h);
}

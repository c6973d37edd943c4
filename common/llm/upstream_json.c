#include "llm/upstream_json.h"

#include "base/arena.h"
#include "base/utf8.h"

/* A byte that belongs to no character travels through the gate as this private-use character plus its value. */
enum { BYTE_CARRIER = 0x10FF00, CARRIER_LEN = 4, ESCAPE_LEN = 6, INT64_DIGITS = 19 };

static void carrier_add(struct buf *out, unsigned char byte)
{
    uint32_t cp = BYTE_CARRIER + byte;
    char s[CARRIER_LEN] = {(char)0xF4, (char)0x8F, (char)(0x80 | ((cp >> 6) & 0x3F)), (char)(0x80 | (cp & 0x3F))};
    buf_add(out, s, sizeof(s));
}

/* The value of \uXXXX at s, -1 when it is none. */
static int escape_value(const char *s, size_t n)
{
    if (n < ESCAPE_LEN || s[0] != '\\' || s[1] != 'u')
        return -1;
    int value = 0;
    for (int i = 2; i < ESCAPE_LEN; i++) {
        const char *digits = "0123456789abcdef";
        const char *digit = s[i] ? strchr(digits, s[i] | 0x20) : NULL;
        if (!digit)
            return -1;
        value = value * 16 + (int)(digit - digits);
    }
    return value;
}

/* Copies the escape at s, or puts U+FFFD in its place; returns how many bytes it took. */
static size_t escape_repair(struct buf *out, const char *s, size_t n)
{
    int value = escape_value(s, n);
    if (value < 0) {
        size_t len = n < 2 ? n : 2;
        buf_add(out, s, len);
        return len;
    }
    if (value >= 0xD800 && value < 0xDC00) {
        int low = escape_value(s + ESCAPE_LEN, n - ESCAPE_LEN);
        if (low >= 0xDC00 && low < 0xE000) {
            buf_add(out, s, 2 * ESCAPE_LEN);
            return 2 * ESCAPE_LEN;
        }
    }
    if (value == 0 || (value >= 0xD800 && value < 0xE000))
        buf_adds(out, "\\ufffd");
    else
        buf_add(out, s, ESCAPE_LEN);
    return ESCAPE_LEN;
}

/* Copies the digits at s; a number that may be beyond 64 bits becomes a floating one. Returns how many bytes it took. */
static size_t digits_repair(struct buf *out, const char *s, size_t n)
{
    size_t len = 0;
    while (len < n && s[len] >= '0' && s[len] <= '9')
        len++;
    buf_add(out, s, len);
    if (len >= INT64_DIGITS && (len == n || !strchr(".eE", s[len])))
        buf_adds(out, "e0");
    return len;
}

static bool repair(struct buf *out, const char *s, size_t n)
{
    bool in_string = false;
    while (n > 0) {
        unsigned char c = (unsigned char)*s;
        uint32_t cp;
        size_t took = 1;
        if (c == '\\' && in_string) {
            took = escape_repair(out, s, n);
        } else if (c >= 0x80) {
            size_t len = utf8_decode(s, n, &cp);
            if (len > 0)
                buf_add(out, s, len);
            else
                carrier_add(out, c);
            took = len > 0 ? len : 1;
        } else if (c >= '0' && c <= '9' && !in_string) {
            took = digits_repair(out, s, n);
        } else if (c < ' ' && in_string) {
            buf_addf(out, "\\u%04x", c == 0 ? 0xFFFD : c);
        } else {
            if (c == '"')
                in_string = !in_string;
            buf_addc(out, (char)c);
        }
        s += took;
        n -= took;
    }
    return !out->failed;
}

void upstream_json_release(struct upstream_json *j)
{
    json_tree_release(&j->tree);
    buf_release(&j->text);
    buf_release(&j->scratch);
}

void upstream_json_read(struct upstream_json *j, const char *text, size_t len)
{
    j->repaired = false;
    j->root = json_tree_read(&j->tree, text, len, 0, NULL);
    if (j->root)
        return;
    buf_release(&j->text);
    buf_init(&j->text, len * ESCAPE_LEN + 1);
    if (repair(&j->text, text, len))
        j->root = json_tree_read(&j->tree, buf_str(&j->text), j->text.len, 0, NULL);
    j->repaired = j->root != NULL;
}

const char *upstream_json_text(struct upstream_json *j, const struct json_node *string, size_t *n)
{
    *n = string->len;
    if (!j->repaired)
        return string->text;
    buf_release(&j->scratch);
    buf_init(&j->scratch, string->len + 1);
    for (size_t i = 0; i < string->len;) {
        uint32_t cp;
        size_t len = utf8_decode(string->text + i, string->len - i, &cp);
        if (len == CARRIER_LEN && cp > BYTE_CARRIER)
            buf_addc(&j->scratch, (char)(cp - BYTE_CARRIER));
        else
            buf_add(&j->scratch, string->text + i, len);
        i += len > 0 ? len : 1;
    }
    *n = j->scratch.len;
    return buf_str(&j->scratch);
}

/* The first of these members that is a text with something in it. */
static const char *first_text(const struct json_node *o, const char *const *names)
{
    for (; *names; names++) {
        const char *text = json_node_str(o, *names);
        if (text && *text)
            return text;
    }
    return NULL;
}

static const struct json_node *first_element(const struct json_node *o)
{
    return json_node_is(o, JSON_ARRAY) && o->first ? o->first : o;
}

const char *upstream_error_text(const struct json_node *root)
{
    static const char *const texts[] = {"message", "msg", "detail", "error", "status_msg", "title", "code", NULL};
    static const char *const holders[] = {"error", "errors", "detail", "base_resp", NULL};
    root = first_element(root);
    if (!json_node_is(root, JSON_OBJECT))
        return NULL;
    for (const char *const *holder = holders; *holder; holder++) {
        const struct json_node *inner = first_element(json_node_get(root, *holder));
        if (json_node_is(inner, JSON_STRING) && inner->len > 0)
            return inner->text;
        const char *text = json_node_is(inner, JSON_OBJECT) ? first_text(inner, texts) : NULL;
        if (text)
            return text;
    }
    return first_text(root, texts);
}

const char *upstream_error_said(struct arena *a, const char *text, size_t len)
{
    struct json_tree tree;
    json_tree_init(&tree);
    const char *said = upstream_error_text(json_tree_read(&tree, text, len, 0, NULL));
    said = said ? arena_strdup(a, said) : NULL;
    json_tree_release(&tree);
    return said;
}

static int status_of_word(const char *word)
{
    static const struct {
        const char *part;
        int status;
    } words[] = {
        {"context_length", 400}, {"invalid_request", 400}, {"content_filter", 400}, {"authentication", 401},
        {"invalid_api_key", 401}, {"insufficient_quota", 402}, {"billing", 402}, {"permission", 403},
        {"not_found", 404}, {"rate_limit", 429}, {"resource_exhausted", 429}, {"overloaded", 529},
        {"unavailable", 503}, {"timeout", 504}, {"server_error", 500}, {"too_large", 413},
    };
    for (size_t i = 0; word && i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasestr(word, words[i].part))
            return words[i].status;
    return 0;
}

/* MiniMax numbers its errors and sends them with the status 200. */
static int status_of_base_resp(int64_t code)
{
    static const struct {
        int64_t code;
        int status;
    } codes[] = {
        {1000, 500}, {1001, 504}, {1002, 429}, {1004, 401}, {1008, 402}, {1024, 500}, {1026, 400}, {1027, 400},
        {1033, 500}, {1039, 429}, {1041, 429}, {2013, 400}, {2049, 401}, {2056, 402},
    };
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i].code == code)
            return codes[i].status;
    return 0;
}

bool upstream_is_base_error(const struct json_node *root)
{
    return json_node_int(json_node_get(root, "base_resp"), "status_code", 0) != 0;
}

int upstream_error_status(const struct json_node *root)
{
    static const char *const numbers[] = {"code", "status", "status_code", NULL};
    const struct json_node *error = json_node_get(root, "error");
    if (!json_node_is(error, JSON_OBJECT))
        error = root;
    for (const char *const *name = numbers; *name; name++) {
        int64_t code = json_node_int(error, *name, 0);
        if (code >= 400 && code <= 599)
            return (int)code;
    }
    int status = status_of_word(json_node_str(error, "code"));
    if (status == 0)
        status = status_of_base_resp(json_node_int(json_node_get(root, "base_resp"), "status_code", 0));
    if (status == 0)
        status = status_of_word(json_node_str(error, "type"));
    if (status == 0)
        status = status_of_word(json_node_str(error, "status"));
    return status > 0 ? status : 502;
}

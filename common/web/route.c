/* The route table: matching, Allow, start-up check, names. */
#include "web/route.h"

#include "base/arena.h"

static const char *const method_names[] = {
    [METHOD_GET] = "GET",       [METHOD_POST] = "POST",       [METHOD_PUT] = "PUT",   [METHOD_PATCH] = "PATCH",
    [METHOD_DELETE] = "DELETE", [METHOD_OPTIONS] = "OPTIONS", [METHOD_HEAD] = "HEAD", [METHOD_OTHER] = "OTHER",
};

const char *method_name(enum method m)
{
    return method_names[m];
}

enum method method_parse(const char *s)
{
    for (int m = METHOD_GET; m < METHOD_OTHER; m++)
        if (strcmp(s, method_names[m]) == 0)
            return (enum method)m;
    return METHOD_OTHER;
}

const char *role_name(enum role r)
{
    static const char *const names[] = {
        [ROLE_UNSET] = "unset",       [ROLE_PUBLIC] = "public", [ROLE_VIEWER] = "viewer",
        [ROLE_OPERATOR] = "operator", [ROLE_ADMIN] = "admin",   [ROLE_OWNER] = "owner",
    };
    return names[r];
}

const char *user_rule_name(enum user_rule u)
{
    static const char *const names[] = {
        [USER_UNSET] = "unset",
        [USER_UNUSED] = "unused",
        [USER_OPTIONAL] = "optional",
        [USER_ADMIN_MAY_OMIT] = "admin_may_omit",
        [USER_REQUIRED] = "required",
    };
    return names[u];
}

size_t route_body_max(const struct route *r, size_t chat_max)
{
    if (r->body_max == BODY_DEFAULT)
        return (size_t)1 << 20;
    return r->body_max == BODY_CHAT ? chat_max : r->body_max;
}

/* ---- patterns ---- */

enum piece_kind { PIECE_END, PIECE_LITERAL, PIECE_PARAM, PIECE_REST };
struct piece {
    enum piece_kind kind;
    const char *text; /* of a literal */
    size_t len;
};

/* Takes the next segment off a pattern; *p stands on a slash or at the end. */
static struct piece piece_next(const char **p)
{
    while (**p == '/')
        ++*p;
    struct piece piece = {.kind = PIECE_END, .text = *p, .len = (size_t)(strchrnul(*p, '/') - *p)};
    if (piece.len == 0)
        return piece;
    *p += piece.len;
    if (piece.text[0] != '{')
        piece.kind = PIECE_LITERAL;
    else if (piece.len >= 5 && memcmp(piece.text + piece.len - 4, "...}", 4) == 0)
        piece.kind = PIECE_REST;
    else
        piece.kind = PIECE_PARAM;
    return piece;
}

static bool piece_fits(const struct piece *piece, const char *seg)
{
    return piece->kind != PIECE_LITERAL || (strncmp(seg, piece->text, piece->len) == 0 && seg[piece->len] == '\0');
}

static bool pattern_matches(const char *pattern, const struct path *path)
{
    int i = 0;
    for (;;) {
        struct piece piece = piece_next(&pattern);
        if (piece.kind == PIECE_END)
            return i == path->n;
        if (i == path->n || !piece_fits(&piece, path->seg[i]))
            return false;
        if (piece.kind == PIECE_REST)
            return true;
        i++;
    }
}

/* Negative when a is the more exact of two patterns that match the same path: the first difference decides. */
static int pattern_compare(const char *a, const char *b)
{
    for (;;) {
        struct piece x = piece_next(&a);
        struct piece y = piece_next(&b);
        if (x.kind != y.kind)
            return (int)x.kind - (int)y.kind;
        if (x.kind == PIECE_END || x.kind == PIECE_REST)
            return 0;
    }
}

static const char *rest_join(struct arena *a, const struct path *path, int from)
{
    size_t len = 0;
    for (int i = from; i < path->n; i++)
        len += strlen(path->seg[i]) + 1;
    char *text = arena_alloc(a, len);
    size_t at = 0;
    for (int i = from; i < path->n; i++) {
        size_t n = strlen(path->seg[i]);
        memcpy(text + at, path->seg[i], n);
        at += n;
        text[at++] = i + 1 < path->n ? '/' : '\0';
    }
    return text;
}

static void params_fill(const char *pattern, const struct path *path, const char **params, struct arena *a)
{
    int filled = 0;
    for (int i = 0;; i++) {
        struct piece piece = piece_next(&pattern);
        if (piece.kind == PIECE_PARAM)
            params[filled++] = path->seg[i];
        else if (piece.kind == PIECE_REST)
            params[filled++] = rest_join(a, path, i);
        else if (piece.kind == PIECE_END)
            break;
    }
    if (filled < PATH_SEGMENTS_MAX)
        params[filled] = NULL;
}

static const char *allow_text(unsigned methods, struct arena *a)
{
    const char *text = "";
    if (methods & 1U << METHOD_GET)
        methods |= 1U << METHOD_HEAD;
    static const enum method order[] = {METHOD_GET, METHOD_HEAD, METHOD_POST, METHOD_PUT, METHOD_PATCH, METHOD_DELETE};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (methods & 1U << order[i])
            text = arena_printf(a, "%s%s, ", text, method_names[order[i]]);
    return arena_printf(a, "%sOPTIONS", text);
}

const struct route *route_find(const struct route *routes, size_t n, const struct path *path, enum method m,
                               const char **params, const char **allow, struct arena *a)
{
    const struct route *best = NULL;
    unsigned methods = 0;
    bool fits = false;
    for (size_t i = 0; i < n; i++) {
        const struct route *r = &routes[i];
        /* Rows of one pattern mostly stand together, one a method. */
        if (i == 0 || strcmp(r->pattern, routes[i - 1].pattern) != 0)
            fits = pattern_matches(r->pattern, path);
        if (!fits)
            continue;
        methods |= 1U << r->method;
        if (r->method == m && (best == NULL || pattern_compare(r->pattern, best->pattern) < 0))
            best = r;
    }
    *allow = best == NULL && methods != 0 ? allow_text(methods, a) : NULL;
    if (best != NULL)
        params_fill(best->pattern, path, params, a);
    return best;
}

/* ---- start-up check ---- */

static bool param_name_valid(const struct piece *piece)
{
    size_t tail = piece->kind == PIECE_REST ? 4 : 1;
    if (piece->len < tail + 2 || piece->text[piece->len - 1] != '}')
        return false;
    for (size_t i = 1; i < piece->len - tail; i++) {
        char c = piece->text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'))
            return false;
    }
    return true;
}

static const char *pattern_mistake(const char *pattern)
{
    if (pattern == NULL || pattern[0] != '/')
        return "pattern must begin with a slash";
    size_t len = strlen(pattern);
    if (strstr(pattern, "//") != NULL || (len > 1 && pattern[len - 1] == '/'))
        return "pattern has an empty segment";
    int pieces = 0;
    for (bool rest = false;; pieces++) {
        struct piece piece = piece_next(&pattern);
        if (piece.kind == PIECE_END)
            break;
        if (rest)
            return "a {name...} segment must be the last";
        rest = piece.kind == PIECE_REST;
        if (piece.kind != PIECE_LITERAL && !param_name_valid(&piece))
            return "malformed {name}";
        if (piece.kind == PIECE_LITERAL && memchr(piece.text, '{', piece.len) != NULL)
            return "a parameter must be a whole segment";
    }
    return pieces > PATH_SEGMENTS_MAX ? "too many segments" : NULL;
}

static const char *route_mistake(const struct route *r)
{
    const char *mistake = pattern_mistake(r->pattern);
    if (mistake != NULL)
        return mistake;
    if (r->method >= METHOD_OPTIONS)
        return "method is answered by the house";
    if (r->role <= ROLE_UNSET || r->role > ROLE_OWNER)
        return "no role";
    if (r->user <= USER_UNSET || r->user > USER_REQUIRED)
        return "no user rule";
    if (r->role == ROLE_PUBLIC && r->user != USER_UNUSED)
        return "a public route has no user";
    if (r->handler == NULL)
        return "no handler";
    if (r->tag == NULL || r->summary == NULL)
        return "no tag or summary";
    unsigned body = r->flags & (ROUTE_NO_BODY | ROUTE_RAW_BODY | ROUTE_LATE_BODY);
    return (body & (body - 1)) != 0 ? "more than one body flag" : NULL;
}

/* Same shape: no path could ever reach the second one. */
static bool pattern_same(const char *a, const char *b)
{
    for (;;) {
        struct piece x = piece_next(&a);
        struct piece y = piece_next(&b);
        if (x.kind != y.kind)
            return false;
        if (x.kind == PIECE_END)
            return true;
        if (x.kind == PIECE_LITERAL && (x.len != y.len || memcmp(x.text, y.text, x.len) != 0))
            return false;
    }
}

bool routes_check(const struct route *routes, size_t n, char *err, size_t errsize)
{
    for (size_t i = 0; i < n; i++) {
        const struct route *r = &routes[i];
        const char *mistake = route_mistake(r);
        for (size_t k = 0; k < i && mistake == NULL; k++)
            if (routes[k].method == r->method && pattern_same(routes[k].pattern, r->pattern))
                mistake = "an earlier row is the same";
        if (mistake != NULL) {
            snprintf(err, errsize, "route %zu (%s): %s", i, r->pattern != NULL ? r->pattern : "?", mistake);
            return false;
        }
    }
    return true;
}

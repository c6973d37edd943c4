#include "docs/pages.h"

#include <limits.h>

#include "base/crypto.h"

#define N(a) (sizeof(a) / sizeof *(a))

/* What may change with an upgrade is asked for again each time; the ETag makes that cheap. */
#define ASK_AGAIN "no-cache"
#define KEEP "public, max-age=3600"
#define HTML "text/html; charset=utf-8"

struct page {
    const char *name, *type, *cache;
};

static const struct page assets[] = {
    {"swagger-ui.css", "text/css; charset=utf-8", KEEP},
    {"swagger-ui-bundle.js", "text/javascript; charset=utf-8", KEEP},
    {"init.js", "text/javascript; charset=utf-8", ASK_AGAIN},
    {"favicon-32x32.png", "image/png", KEEP},
    {"reference.html", HTML, ASK_AGAIN},
};
static const struct page interactive = {"index.html", HTML, ASK_AGAIN};
static const struct page document = {"openapi.json", "application/json", ASK_AGAIN};

/* ---- files ---- */

static bool share_dir(char dir[PATH_MAX])
{
    const char *set = getenv("CLAWGATE_SHARE");
    if (set != NULL && *set != '\0')
        return snprintf(dir, PATH_MAX, "%s", set) < PATH_MAX;
    ssize_t n = readlink("/proc/self/exe", dir, PATH_MAX - 1);
    dir[n > 0 ? n : 0] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(dir, '/');
        if (slash == NULL)
            return false;
        *slash = '\0';
    }
    return true;
}

/* The file's bytes in req->out; false when there is no such file. */
static bool file_read(struct request *req, const char *sub, const char *name)
{
    char dir[PATH_MAX], path[2 * PATH_MAX], piece[65536];
    if (!share_dir(dir))
        return false;
    snprintf(path, sizeof path, "%s/%s%s", dir, sub, name);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    buf_clear(req->out);
    for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;)
        buf_add(req->out, piece, n);
    bool whole = !ferror(f) && !req->out->failed;
    fclose(f);
    return whole;
}

/* ---- answers ---- */

static bool is_known_to_client(const struct request *req, const char *etag)
{
    const char *have = req_header(req, "If-None-Match");
    return have != NULL && (strcmp(have, "*") == 0 || strstr(have, etag) != NULL);
}

static reply file_reply(struct request *req, const struct page *page)
{
    char hex[SHA256_HEX_SIZE];
    sha256_hex(buf_str(req->out), req->out->len, hex);
    const char *etag = arena_printf(req->arena, "\"%.32s\"", hex);
    reply_header(req, "ETag", etag);
    reply_header(req, "Cache-Control", page->cache);
    if (strcmp(page->type, HTML) == 0)
        reply_header(req, "Content-Security-Policy",
                     "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
                     "frame-ancestors 'none'");
    if (is_known_to_client(req, etag))
        return reply_bytes(req, 304, NULL, "", 0);
    return reply_bytes(req, 200, page->type, buf_str(req->out), req->out->len);
}

static reply missing(struct request *req)
{
    return reply_error(req, FAULT_NOT_FOUND, MSG_not_found, NULL, "page", req->path_text);
}

reply docs_document(struct request *req)
{
    if (!file_read(req, "", document.name))
        return missing(req);
    reply_header(req, "Access-Control-Allow-Origin", "*");
    return file_reply(req, &document);
}

reply docs_page(struct request *req)
{
    bool found = file_read(req, "docs-assets/", interactive.name) || file_read(req, "docs-assets/", "reference.html");
    return found ? file_reply(req, &interactive) : missing(req);
}

reply docs_asset(struct request *req)
{
    for (size_t i = 0; i < N(assets); i++)
        if (strcmp(assets[i].name, req->params[0]) == 0 && file_read(req, "docs-assets/", assets[i].name))
            return file_reply(req, &assets[i]);
    return missing(req);
}

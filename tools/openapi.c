/* openapi: the API document, from what the programs describe of themselves.
 *
 *   openapi [--html | --check] FILE…
 *
 * The files may stand in any order; what each is, its members tell:
 *   "openapi"      the head of the document: info, tags, shared parameters, answers and schemas
 *   "program"      the output of `PROGRAM --describe`
 *   "operations"   hand-written parts: "METHOD PATH" -> members of the operation, which beat the made ones, or the
 *                  name of another operation that is described the same way; "schemas" -> the same for schemas
 *
 * It prints the document, with --html the same as a page without scripts. --check prints what is missing instead: a
 * route that is no ready handler of a resource and has no hand-written part, and a hand-written part without a route.
 */
#include "openapi/openapi.h"

enum { FILE_MAX = 8 << 20, ROUTES_MAX = 1000, PART_NAME_MAX = 400 };

struct entry {
    json_object *route, *resource;
};

struct book {
    json_object *document, *operations, *schemas; /* the last two are the hand-written parts of all files */
    json_object *files;                           /* keeps what was read */
    struct entry routes[ROUTES_MAX];
    size_t count;
};

static void fail(const char *file, const char *why)
{
    fprintf(stderr, "openapi: %s: %s\n", file, why);
    exit(1);
}

/* ---- reading ---- */

static json_object *file_read(const char *path)
{
    struct buf text = BUF_INIT(FILE_MAX);
    struct json_fault fault = {"it is empty", 0};
    FILE *f = fopen(path, "re");
    char piece[65536];
    if (f == NULL)
        fail(path, "cannot be read");
    for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;)
        buf_add(&text, piece, n);
    fclose(f);
    json_object *o = text.failed ? NULL : json_parse_owned(buf_str(&text), text.len, 0, &fault);
    if (o == NULL)
        fail(path, fault.reason);
    buf_release(&text);
    return o;
}

static void program_take(struct book *b, json_object *program)
{
    json_object *routes = json_get(program, "routes"), *resources = json_get(program, "resources");
    for (size_t i = 0; i < json_object_array_length(routes) && b->count < ROUTES_MAX; i++) {
        json_object *route = json_object_array_get_idx(routes, i);
        const char *name = json_str(route, "resource");
        b->routes[b->count++] = (struct entry){route, name != NULL ? json_get(resources, name) : NULL};
    }
}

static void book_read(struct book *b, int count, char **files)
{
    b->files = json_object_new_array();
    b->operations = json_object_new_object();
    b->schemas = json_object_new_object();
    for (int i = 0; i < count; i++) {
        json_object *o = file_read(files[i]);
        json_object_array_add(b->files, o);
        if (json_has(o, "openapi"))
            b->document = tree_copy(o);
        else if (json_has(o, "program"))
            program_take(b, o);
        else if (json_has(o, "operations") || json_has(o, "schemas")) {
            tree_merge(b->operations, tree_child(o, "operations"));
            tree_merge(b->schemas, tree_child(o, "schemas"));
        } else
            fail(files[i], "neither head, nor description, nor hand-written part");
    }
    if (b->document == NULL)
        fail("the files", "none is the head of the document");
}

/* ---- order ---- */

static int method_rank(json_object *route)
{
    static const char *const order[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    int rank = 0;
    while (rank < 5 && strcmp(order[rank], json_str(route, "method")) != 0)
        rank++;
    return rank;
}

static int by_path(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int paths = strcmp(json_str(x->route, "path"), json_str(y->route, "path"));
    return paths != 0 ? paths : method_rank(x->route) - method_rank(y->route);
}

/* ---- building ---- */

static void part_name(char out[PART_NAME_MAX], json_object *route)
{
    struct buf path = BUF_INIT(PART_NAME_MAX);
    operation_path(&path, json_str(route, "path"));
    snprintf(out, PART_NAME_MAX, "%s %s", json_str(route, "method"), buf_str(&path));
    buf_release(&path);
}

/* The hand-written part of a route; a text names another one's. */
static json_object *part_of(const struct book *b, json_object *route)
{
    char name[PART_NAME_MAX];
    part_name(name, route);
    json_object *part = json_get(b->operations, name);
    if (json_object_is_type(part, json_type_string))
        part = json_get(b->operations, json_object_get_string(part));
    return json_object_is_type(part, json_type_object) ? part : NULL;
}

/* Two paths that differ in the names of their parameters alone. */
static bool same_shape(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        if (*a == '{') {
            a = strchr(a, '}');
            b = strchr(b, '}');
        }
        a++;
        b++;
    }
    return *a == *b;
}

/* A document may not hold two paths of one shape: the first one's names are kept. */
static const char *path_known(json_object *paths, const char *path)
{
    json_object_object_foreach(paths, known, value) {
        (void)value;
        if (strcmp(known, path) != 0 && same_shape(known, path))
            return known;
    }
    return path;
}

static void tag_add(json_object *tags, const char *name)
{
    for (size_t i = 0; i < json_object_array_length(tags); i++)
        if (strcmp(json_str(json_object_array_get_idx(tags, i), "name"), name) == 0)
            return;
    json_object *tag = json_object_new_object();
    json_object_object_add(tag, "name", tree_text(name));
    json_object_array_add(tags, tag);
}

static void route_add(struct book *b, const struct entry *e)
{
    json_object *schemas = tree_child(tree_child(b->document, "components"), "schemas");
    json_object *paths = tree_child(b->document, "paths");
    const char *resource = json_str(e->route, "resource"), *name = json_str(e->route, "path");
    if (resource != NULL && e->resource != NULL && !json_has(schemas, resource))
        schema_add(schemas, resource, e->resource);
    struct buf path = BUF_INIT(PART_NAME_MAX);
    const char *known = path_known(paths, name);
    operation_path(&path, name);
    json_object *item = tree_child(paths, known != name ? known : buf_str(&path));
    if (known != name) /* its parameters go by the names of the path they are filed under */
        json_object_object_add(e->route, "path", tree_text(known));
    buf_release(&path);
    json_object *operation = operation_new(e->route, e->resource), *part = part_of(b, e->route);
    if (part != NULL)
        tree_merge(operation, part);
    operation_finish(operation, e->route, part);
    char method[16];
    snprintf(method, sizeof method, "%s", json_str(e->route, "method"));
    for (char *m = method; *m != '\0'; m++)
        *m = (char)(*m | 0x20);
    json_object_object_add(item, method, operation);
    tag_add(json_get(b->document, "tags"), json_str(e->route, "tag"));
}

static void document_build(struct book *b)
{
    qsort(b->routes, b->count, sizeof *b->routes, by_path);
    for (size_t i = 0; i < b->count; i++)
        route_add(b, &b->routes[i]);
    tree_merge(tree_child(tree_child(b->document, "components"), "schemas"), b->schemas);
}

/* ---- judging ---- */

static bool is_described(const struct book *b, const char *part)
{
    for (size_t i = 0; i < b->count; i++) {
        char name[PART_NAME_MAX];
        part_name(name, b->routes[i].route);
        if (strcmp(name, part) == 0)
            return true;
    }
    return false;
}

static int check(const struct book *b)
{
    int bad = 0;
    for (size_t i = 0; i < b->count; i++) {
        const char *operation = json_str(b->routes[i].route, "operation");
        bool made = operation != NULL && strcmp(operation, "action") != 0;
        char name[PART_NAME_MAX];
        part_name(name, b->routes[i].route);
        if (!made && part_of(b, b->routes[i].route) == NULL)
            bad = printf("%s: neither a resource's ready handler nor a part in docs/openapi\n", name);
    }
    json_object_object_foreach(b->operations, part, value) {
        (void)value;
        if (!is_described(b, part))
            bad = printf("%s: in docs/openapi, but no program describes it\n", part);
    }
    return bad != 0;
}

static int document_print(json_object *document, bool html)
{
    struct buf out = BUF_INIT((size_t)FILE_MAX * 4);
    if (html)
        page_write(&out, document);
    else
        buf_addf(&out, "%s\n", json_object_to_json_string_ext(document, JSON_C_TO_STRING_NOSLASHESCAPE));
    bool written = !out.failed && fwrite(out.data, 1, out.len, stdout) == out.len && fflush(stdout) == 0;
    buf_release(&out);
    return written ? 0 : 1;
}

int main(int argc, char **argv)
{
    static struct book book;
    bool html = argc > 1 && strcmp(argv[1], "--html") == 0, only_check = argc > 1 && strcmp(argv[1], "--check") == 0;
    int first = html || only_check ? 2 : 1;
    if (argc <= first) {
        fputs("usage: openapi [--html | --check] FILE…\n", stderr);
        return 2;
    }
    book_read(&book, argc - first, argv + first);
    int status = 0;
    if (only_check)
        status = check(&book);
    else {
        document_build(&book);
        status = document_print(book.document, html);
    }
    json_object_put(book.document);
    json_object_put(book.operations);
    json_object_put(book.schemas);
    json_object_put(book.files);
    return status;
}

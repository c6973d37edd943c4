/* --describe: what a program serves, as JSON. */
#include "web/resource.h"
#include "web/serve.h"
#include "web/service.h"

enum { DESCRIBE_CHAT_MAX = 10 * 1024 * 1024 }; /* default of gateway.max_body_bytes */

static void route_write(struct jsonw *w, const struct route *r)
{
    jw_obj(w);
    jw_kstr(w, "method", method_name(r->method));
    jw_kstr(w, "path", r->pattern);
    jw_kstr(w, "role", role_name(r->role));
    jw_kstr(w, "user", user_rule_name(r->user));
    jw_kstr(w, "tag", r->tag);
    jw_kstr(w, "summary", r->summary);
    jw_kint(w, "body_max", r->flags & ROUTE_NO_BODY ? 0 : (int64_t)route_body_max(r, DESCRIBE_CHAT_MAX));
    jw_kbool(w, "alias", (r->flags & ROUTE_ALIAS) != 0);
    jw_kbool(w, "run", (r->flags & ROUTE_RUN) != 0);
    if (r->resource != NULL) {
        jw_kstr(w, "resource", r->resource->name);
        jw_kstr(w, "operation", resource_operation(r));
    }
    jw_obj_end(w);
}

/* Each resource once, in the order of the routes. */
static void resources_write(struct jsonw *w, const struct program *program)
{
    jw_kobj(w, "resources");
    for (size_t i = 0; i < program->route_count; i++) {
        const struct resource *r = program->routes[i].resource;
        bool first = r != NULL;
        for (size_t k = 0; k < i && first; k++)
            first = program->routes[k].resource != r;
        if (!first)
            continue;
        jw_key(w, r->name);
        resource_describe(w, r);
    }
    jw_obj_end(w);
}

bool program_check(const struct program *program, char *err, size_t errsize)
{
    return routes_check(program->routes, program->route_count, err, errsize) &&
           resources_check(program->routes, program->route_count, err, errsize);
}

int describe_program(const struct program *program)
{
    char err[200];
    if (!program_check(program, err, sizeof err)) {
        fprintf(stderr, "%s: %s\n", program->name, err);
        return 1;
    }
    struct buf out = BUF_INIT((size_t)4 << 20);
    struct jsonw w;
    jw_init(&w, &out);
    jw_obj(&w);
    jw_kstr(&w, "program", program->name);
    jw_kstr(&w, "model", program->model == PROGRAM_THREADED ? "threaded" : "prefork");
    jw_karr(&w, "routes");
    for (size_t i = 0; i < program->route_count; i++)
        route_write(&w, &program->routes[i]);
    jw_arr_end(&w);
    resources_write(&w, program);
    jw_obj_end(&w);
    buf_addc(&out, '\n');
    bool written = !out.failed && fwrite(out.data, 1, out.len, stdout) == out.len && fflush(stdout) == 0;
    buf_release(&out);
    return written ? 0 : 1;
}

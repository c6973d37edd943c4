#include "web/service.h"

#include <limits.h>
#include <sys/socket.h>

#include "base/log.h"
#include "web/process.h"
#include "web/serve.h"

enum { ERR_SIZE = 512, EXIT_USAGE = 2 };

static bool stdin_listens(void)
{
    int listens = 0;
    socklen_t size = sizeof listens;
    return getsockopt(STDIN_FILENO, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens;
}

/* The file that SIGHUP executes: the name we were started by, so that a link that was moved to a new
 * version is followed; what the kernel knows when the name was found through PATH. */
static bool own_path(const char *name, char *out, size_t size)
{
    char dir[PATH_MAX];
    int n;
    if (name && name[0] == '/') {
        n = snprintf(out, size, "%s", name);
    } else if (name && strchr(name, '/') && getcwd(dir, sizeof dir)) {
        n = snprintf(out, size, "%s/%s", dir, name);
    } else {
        ssize_t len = readlink("/proc/self/exe", out, size - 1);
        n = (int)len;
        if (len > 0)
            out[len] = '\0';
    }
    return n > 0 && (size_t)n < size;
}

static int usage(const char *name)
{
    fprintf(stderr,
            "%s is a FastCGI program: start it with a listening socket as standard input\n"
            "(clawgate serve, lighttpd, spawn-fcgi), or as a CGI program.\n"
            "  --describe  prints its routes as JSON\n"
            "  --check     reads the settings and ends\n",
            name);
    return EXIT_USAGE;
}

int service_main(const struct program *program, int argc, char **argv)
{
    char err[ERR_SIZE] = "";
    log_init(program->name, LOG_INFO);
    if (!program_check(program, err, sizeof err)) {
        log_event(LOG_ERROR, 3331, "service.routes", LOG_S, "reason", err, LOG_END);
        return 1;
    }
    bool check = argc > 1 && strcmp(argv[1], "--check") == 0;
    if (argc > 1 && strcmp(argv[1], "--describe") == 0)
        return describe_program(program);
    bool listens = stdin_listens();
    if (!check && !listens && !getenv("GATEWAY_INTERFACE"))
        return usage(program->name);

    static const struct config *config; /* to the end of the process; leak checkers look for it here */
    config = config_load(NULL, err, sizeof err);
    if (!config) {
        log_event(LOG_ERROR, 3332, "service.config", LOG_S, "reason", err, LOG_END);
        return 1;
    }
    log_init(program->name, (enum log_level)config->log_level);
    db_patience((int)config->database_wait_ms);
    if (check)
        return 0;
    if (!listens)
        return cgi_run(program, config);

    char path[PATH_MAX];
    if (!own_path(argv[0], path, sizeof path)) {
        log_event(LOG_ERROR, 3333, "service.path", LOG_END);
        return 1;
    }
    return supervisor_run(program, config, path, argv);
}

/* A home of its own for each test of the settings: made, filled, loaded, removed. */
#ifndef CLAWGATE_TEST_CONFIG_HOME_H
#define CLAWGATE_TEST_CONFIG_HOME_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/config.h"
#include "base/log.h"
#include "test/unit/rule.h"

static char home[] = "/tmp/clawgate-config-XXXXXX";
static char err[400];
static struct arena *arena;
static const struct config *config;

static const char *const variables[] = {
    "CLAWGATE_HOME", "GOCLAW_CONFIG", "GOCLAW_HOST", "GOCLAW_PORT", "GOCLAW_GATEWAY_TOKEN", "GOCLAW_OWNER_IDS",
    "GOCLAW_ALLOWED_ORIGINS", "GOCLAW_LANE_MAIN", "GOCLAW_DATA_DIR", "GOCLAW_SQLITE_PATH", "GOCLAW_WORKSPACE",
    "GOCLAW_PROVIDER", "GOCLAW_MODEL", "GOCLAW_ALLOW_INSECURE_NO_AUTH", "GOCLAW_ALLOW_PRIVATE_PROVIDER_URLS",
    "GOCLAW_LOG_LEVEL", "GOCLAW_TRACE_VERBOSE", "GOCLAW_ENCRYPTION_KEY",
};

static inline const char *in_home(const char *name)
{
    return arena_printf(arena, "%s/%s", home, name);
}

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    memcpy(home + sizeof home - 7, "XXXXXX", 6);
    arena = arena_new();
    config = NULL;
    *err = 0;
    return mkdtemp(home) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    config_free(config);
    static const char *const files[] = {"config.json", "other.json", "data/encryption.key", "deep/er/encryption.key"};
    static const char *const dirs[] = {"data", "deep/er", "deep", ""};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(in_home(files[i]));
    int rc = -1;
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        rc = rmdir(in_home(dirs[i]));
    arena_free(arena);
    return rc;
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(in_home(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(in_home(name), 0600), 0);
}

static void load(void)
{
    config_free(config);
    config = config_load(home, err, sizeof err);
    if (!config)
        fail_msg("%s", err);
}

static void load_file(const char *text)
{
    write_file("config.json", text);
    load();
}

static void assert_refused(const char *name)
{
    assert_null(config_load(home, err, sizeof err));
    if (strncmp(err, name, strlen(name)) != 0 || err[strlen(name)] != ':')
        fail_msg("\"%s\" does not name %s", err, name);
}

static void assert_file_refused(const char *text, const char *name)
{
    write_file("config.json", text);
    assert_refused(name);
}

/* {"a":{"b":VALUE}} for the path a.b */
static inline const char *nested(const char *path, const char *value)
{
    const char *dot = strchr(path, '.');
    if (!dot)
        return arena_printf(arena, "{\"%s\":%s}", path, value);
    return arena_printf(arena, "{\"%.*s\":%s}", (int)(dot - path), path, nested(dot + 1, value));
}

#define IN_HOME(test) RULE_TEST_AROUND("10", test, set_up, tear_down)

#endif

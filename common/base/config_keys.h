/* The table of settings and how a value becomes a member of struct config. Used by config.c only. */
#ifndef CLAWGATE_BASE_CONFIG_KEYS_H
#define CLAWGATE_BASE_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/config.h"

enum { CONFIG_KEYS_MAX = 64 };

enum config_kind {
    KIND_TEXT,    /* min..max bytes */
    KIND_PATH,    /* made absolute against the home */
    KIND_INT,     /* min..max */
    KIND_INT_OFF, /* as KIND_INT, and everything <= 0 means the default */
    KIND_NUMBER,  /* min..max */
    KIND_BOOL,
    KIND_TRISTATE,
    KIND_CHOICE,  /* one of `words`, kept as text */
    KIND_ENUM,    /* one of `words`, kept as its position */
    KIND_LIST,    /* texts; separated by commas in the environment */
    KIND_NETS,    /* list of addresses or networks in CIDR form */
    KIND_PRICES,  /* object of objects of numbers */
};

struct config_key {
    const char *path;     /* in the file; NULL = environment only */
    const char *env;      /* NULL = file only */
    bool env_is_fallback; /* the file wins */
    enum config_kind kind;
    size_t offset;        /* in struct config */
    const char *preset;   /* default as text; NULL = none */
    int64_t min, max;
    const char *words;    /* "one|two" */
};

const struct config_key *config_key_table(size_t *count);
/* Both leave "must be …" in why when the value does not fit. c->home must be set. */
bool config_set_text(struct config *c, struct arena *a, const struct config_key *k, const char *text, char *why,
                     size_t size);
bool config_set_json(struct config *c, struct arena *a, const struct config_key *k, json_object *value, char *why,
                     size_t size);

#endif

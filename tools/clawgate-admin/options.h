/* What stands behind a command of clawgate-admin: options with a value, and at most one word of its own. */
#ifndef CLAWGATE_ADMIN_OPTIONS_H
#define CLAWGATE_ADMIN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct options {
    const char *home, *port, *token;
    const char *name, *scopes, *tenant, *owner, *expires_in;
    const char *type, *base_url, *api_key, *model, *provider, *user, *display_name;
    const char *is_default;
    const char *word;
};

/* takes: what the command knows beside --home, "WORD --name --scopes …"; anything else is refused, with a message. */
bool options_parse(struct options *o, const char *takes, int argc, char **argv);

/* OPTION_FILLED: more than blanks. */
enum option_rule { OPTION_TEXT, OPTION_FILLED, OPTION_BYTES };

/* Is an option's value (NULL when it is not there) as long as the API takes it? If not, a message says so. */
bool option_fits(const char *name, const char *value, size_t most, enum option_rule rule);

#endif

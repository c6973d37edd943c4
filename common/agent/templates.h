/* The context files a predefined agent begins with (contract 02 §8.2); the texts are common/agent/templates/NAME. */
#ifndef CLAWGATE_AGENT_TEMPLATES_H
#define CLAWGATE_AGENT_TEMPLATES_H

#include <stdbool.h>
#include <stddef.h>

struct template {
    const char *name, *text;
};

/* AGENTS.md, SOUL.md, IDENTITY.md, USER_PREDEFINED.md. */
const struct template *templates(size_t *count);
/* NULL when there is none of that name. */
const char *template_text(const char *name);

#endif

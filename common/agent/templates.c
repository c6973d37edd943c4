#include "agent/templates.h"

#include <string.h>

/* templates_embed.S */
extern const char clawgate_template_agents[], clawgate_template_soul[], clawgate_template_identity[],
    clawgate_template_user_predefined[];

static const struct template list[] = {
    {"AGENTS.md", clawgate_template_agents},
    {"SOUL.md", clawgate_template_soul},
    {"IDENTITY.md", clawgate_template_identity},
    {"USER_PREDEFINED.md", clawgate_template_user_predefined},
};

const struct template *templates(size_t *count)
{
    *count = sizeof list / sizeof *list;
    return list;
}

const char *template_text(const char *name)
{
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (strcmp(list[i].name, name) == 0)
            return list[i].text;
    return NULL;
}

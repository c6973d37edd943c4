/* The table of tools, by name. */
#include "tool/tools.h"

static const struct tool table[] = {
    {
        .name = "datetime",
        .summary = "current date and time",
        .description = "Tells the current date and time in UTC and, when asked, in one time zone.",
        .parameters = "{\"type\":\"object\",\"properties\":{\"timezone\":{\"type\":\"string\",\"description\":"
                      "\"IANA time zone such as Europe/Berlin; UTC alone when left out\"}}}",
        .read_only = true,
        .run = datetime_run,
    },
};

const struct tool *tool_table(size_t *count)
{
    *count = sizeof table / sizeof *table;
    return table;
}

const struct tool *tool_find(const char *name)
{
    for (size_t i = 0; name != NULL && i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    }
    return NULL;
}

/* datetime: {utc, unix_ms, local?, timezone?} (contract 03 §4.5). */
#include "base/clock.h"
#include "base/jsonw.h"
#include "tool/tools.h"
#include "tool/zone.h"

enum { ANSWER_MAX = 1024, SECONDS_LEN = 19 }; /* YYYY-MM-DDTHH:MM:SS */

static struct tool_result fail(const char *text)
{
    return (struct tool_result){.text = text, .is_error = true};
}

/* The wall clock over there with its offset: 2026-01-31T12:00:00+01:00. */
static const char *local_text(struct arena *a, int64_t ms, int32_t offset)
{
    char shifted[TIME_TEXT_SIZE];
    time_format(ms + (int64_t)offset * 1000, shifted);
    int minutes = (offset < 0 ? -offset : offset) / 60;
    return arena_printf(a, "%.*s%c%02d:%02d", SECONDS_LEN, shifted, offset < 0 ? '-' : '+', minutes / 60,
                        minutes % 60);
}

struct tool_result datetime_run(const struct tool_env *env, json_object *args)
{
    json_object *given = json_get(args, "timezone");
    if (given != NULL && !json_object_is_type(given, json_type_string))
        return fail("timezone must be a string with an IANA name such as Europe/Berlin.");
    const char *zone = given == NULL ? "" : json_object_get_string(given);
    int64_t now = clock_ms();
    int32_t offset = 0;
    if (*zone != '\0' && !zone_offset(zone, now / 1000, &offset))
        return fail("Unknown timezone. Use an IANA name such as Europe/Berlin, or leave it out for UTC.");

    char utc[TIME_TEXT_SIZE];
    time_format(now, utc);
    struct buf *out = buf_new(env->arena, ANSWER_MAX);
    struct jsonw w;
    jw_init(&w, out);
    jw_obj(&w);
    jw_kstr(&w, "utc", utc);
    jw_kint(&w, "unix_ms", now);
    if (*zone != '\0') {
        jw_kstr(&w, "local", local_text(env->arena, now, offset));
        jw_kstr(&w, "timezone", zone);
    }
    jw_obj_end(&w);
    return (struct tool_result){.text = buf_str(out)};
}

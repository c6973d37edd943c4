/* Structured log: one JSON object a line on standard error.
 *
 * Guarantees:
 *  1. One write(2) a line, so lines of several processes do not mix.
 *  2. Every abnormal line carries a number of its own, listed in docs/log-events.md
 *     (made by tools/log-events; a number used twice fails the build).
 *  3. No secrets and no query strings: callers pass paths and names only; values
 *     are JSON-escaped and cut at 2000 bytes; a field that would make the line
 *     longer than 8 KiB is left out whole.
 */
#ifndef CLAWGATE_BASE_LOG_H
#define CLAWGATE_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* program: name put on each line ("chat", "sessions"); kept, not copied. Before threads start. */
void log_init(const char *program, enum log_level least);
bool log_wants(enum log_level level);

/* Fields follow as (type, name, value) triples, closed by LOG_END:
 *   log_event(LOG_WARN, 2103, "db.busy", LOG_S, "request_id", id, LOG_I, "ms", (int64_t)12, LOG_END);
 * number 0 is for ordinary lines. LOG_S with a NULL value is left out; LOG_I takes int64_t. */
enum log_field { LOG_END, LOG_S, LOG_I };
void log_event(enum log_level level, int number, const char *event, ...);

#endif

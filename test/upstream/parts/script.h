/* What a request asks the server to do: key=value,key=value,… (see README.md). */
#ifndef UPSTREAM_SCRIPT_H
#define UPSTREAM_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

enum script_stall { STALL_NONE, STALL_HEADERS, STALL_MID, STALL_COMMENTS };
enum script_cut { CUT_NONE, CUT_HEADERS, CUT_MID, CUT_RESET, CUT_SOFT };

struct script {
    char *text, *tool, *args, *reasoning, *inband, *finish, *location, *type, *models, *signature;
    long tokens, pace, delay, first, status, retry_after, times, split, drip, big, tools, at, dims;
    long usage_in, usage_out, usage_cached;
    long stall, cut; /* enum script_stall, enum script_cut */
    bool emoji, crlf, cr, nospace, noevent_end, nofinish, html, garbage, endless, fragment, nousage, echo;
    bool empty, sse, loop;
};

void script_init(struct script *s);
/* Applies n bytes of options on top of what is there. false: error says which option is wrong. */
bool script_apply(struct script *s, const char *options, size_t n, char *error, size_t error_size);
/* Forgets every option that makes the answer fail (times=N used up). */
void script_forgive(struct script *s);
void script_free(struct script *s);

#endif

#include "agent/guard.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>

#include "base/buf.h"
#include "base/log.h"

enum { MATCH_LIMIT = 100000, NAMES_MAX = 1024 };

/* NUL bytes never get this far: the JSON gate refuses them. */
static const struct {
    const char *name, *pattern;
} table[] = {
    {"ignore_instructions", "\\bignore\\s+(?:all\\s+)?(?:the\\s+|your\\s+|my\\s+)?(?:previous|prior|above|earlier|preceding)\\s+"
                            "(?:instruction|rule|prompt|directive|guideline)s?\\b"},
    {"role_override", "\\b(?:you\\s+are\\s+now|from\\s+now\\s+on\\s+you\\s+are|pretend\\s+you\\s+are|act\\s+as\\s+if\\s+you\\s+are|"
                      "imagine\\s+you\\s+are)\\b"},
    {"system_tags", "</?system>|\\[/?SYSTEM\\]|\\[/?INST\\]|<</?SYS>>|<\\|im_start\\|>\\s*system"},
    {"instruction_injection", "\\bnew\\s+instructions?\\s*:|\\boverride\\s*:|\\bsystem\\s+prompt\\s*:|<\\|system\\|>"},
    {"delimiter_escape", "\\bend\\s+of\\s+system\\b|\\bbegin\\s+user\\s+input\\b|</?(?:instructions?|rules|prompt|context)>"},
};

enum { PATTERNS = sizeof table / sizeof *table };

static pcre2_code *compiled[PATTERNS];
static pcre2_match_context *limits;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void compile(void)
{
    limits = pcre2_match_context_create(NULL);
    if (limits)
        pcre2_set_match_limit(limits, MATCH_LIMIT);
    for (size_t i = 0; i < PATTERNS; i++) {
        int error = 0;
        PCRE2_SIZE at = 0;
        compiled[i] = pcre2_compile((PCRE2_SPTR)table[i].pattern, PCRE2_ZERO_TERMINATED, PCRE2_CASELESS | PCRE2_UTF,
                                    &error, &at, NULL);
        if (!compiled[i])
            log_event(LOG_ERROR, 5201, "guard.pattern", LOG_S, "name", table[i].name, LOG_I, "error", (int64_t)error,
                      LOG_END);
        else
            pcre2_jit_compile(compiled[i], PCRE2_JIT_COMPLETE); /* where that is not allowed it is interpreted */
    }
}

/* The text came through the JSON gate: it is UTF-8. */
static int match(const pcre2_code *code, const char *text, size_t n, pcre2_match_data *data)
{
    int rc = pcre2_match(code, (PCRE2_SPTR)text, n, 0, PCRE2_NO_UTF_CHECK, data, limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(code, (PCRE2_SPTR)text, n, 0, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data, limits);
    return rc;
}

const char *guard_scan(struct arena *a, const char *text)
{
    pthread_once(&once, compile);
    struct buf *names = buf_new(a, NAMES_MAX);
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    size_t n = strlen(text);
    for (size_t i = 0; data && i < PATTERNS; i++) {
        int rc = compiled[i] ? match(compiled[i], text, n, data) : PCRE2_ERROR_NOMATCH;
        if (rc >= 0 || rc == PCRE2_ERROR_MATCHLIMIT)
            buf_addf(names, "%s%s", names->len ? ", " : "", table[i].name);
    }
    pcre2_match_data_free(data);
    return names->len ? buf_str(names) : NULL;
}

/* Formats of text and %s alone, which most are, need no vsnprintf (inner part of arena and buf). */
#ifndef CLAWGATE_BASE_PLAIN_FORMAT_H
#define CLAWGATE_BASE_PLAIN_FORMAT_H

#include <stdarg.h>
#include <string.h>
#include <sys/types.h>

/* The length of what comes of it, without the NUL; -1: it is another format, or a string is NULL. */
static inline ssize_t plain_format_length(const char *fmt, va_list ap)
{
    size_t n = 0;
    for (const char *p = fmt; *p; p++) {
        if (*p != '%') {
            n++;
            continue;
        }
        const char *s = *++p == 's' ? va_arg(ap, const char *) : NULL;
        if (!s)
            return -1;
        n += strlen(s);
    }
    return (ssize_t)n;
}

/* out has room for it and the NUL. */
static inline void plain_format_write(char *out, const char *fmt, va_list ap)
{
    while (*fmt) {
        const char *mark = strchrnul(fmt, '%');
        out = mempcpy(out, fmt, (size_t)(mark - fmt));
        fmt = mark;
        if (*mark) {
            out = stpcpy(out, va_arg(ap, const char *));
            fmt = mark + 2;
        }
    }
    *out = '\0';
}

#endif

#include "base/complain.h"

#include <stdarg.h>
#include <stdio.h>

int complain(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("clawgate: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    return 1;
}

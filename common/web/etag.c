#include "web/etag.h"

#include <stddef.h>
#include <string.h>

bool etag_allows(const char *if_match, const char *etag)
{
    size_t n = strlen(etag);
    for (const char *p = if_match; p != NULL && *p != '\0';) {
        p += strspn(p, " \t,");
        size_t len = strcspn(p, " \t,");
        if ((len == 1 && *p == '*') || (len == n && strncmp(p, etag, n) == 0))
            return true;
        p += len;
    }
    return if_match == NULL;
}

/* Percent-encoding. */
#include "base/percent.h"

#include "base/buf.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool percent_decode(char *s, size_t n, bool plus, size_t *len)
{
    size_t w = 0;
    for (size_t r = 0; r < n; r++) {
        char c = s[r];
        if (c == '%') {
            int hi = n - r > 2 ? hex_value(s[r + 1]) : -1;
            int lo = hi >= 0 ? hex_value(s[r + 2]) : -1;
            if (lo < 0)
                return false;
            c = (char)(hi * 16 + lo);
            r += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        s[w++] = c;
    }
    s[w] = '\0';
    *len = w;
    return true;
}

void percent_encode_path(struct buf *out, const char *s)
{
    static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/";
    for (; *s != '\0'; s++) {
        if (strchr(safe, *s) != NULL)
            buf_addc(out, *s);
        else
            buf_addf(out, "%%%02X", (unsigned)(unsigned char)*s);
    }
}

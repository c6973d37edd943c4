#include "base/decimal.h"

size_t decimal_format(int64_t v, char out[DECIMAL_SIZE])
{
    char reversed[DECIMAL_SIZE];
    size_t n = 0, len = 0;
    uint64_t rest = v < 0 ? -(uint64_t)v : (uint64_t)v;
    do {
        reversed[n++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (v < 0)
        out[len++] = '-';
    while (n > 0)
        out[len++] = reversed[--n];
    out[len] = 0;
    return len;
}

#include <string.h>

#include "base/arena.h"
#include "store/internal.h"

void *rows_add(struct arena *a, void *rows_pointer, size_t *count, size_t row_size)
{
    char *rows;
    memcpy(&rows, rows_pointer, sizeof rows);
    size_t n = *count;
    if ((n & (n - 1)) == 0) { /* full at 0, 1, 2, 4, … */
        char *bigger = arena_alloc(a, (n ? 2 * n : 1) * row_size);
        if (n)
            memcpy(bigger, rows, n * row_size);
        rows = bigger;
        memcpy(rows_pointer, &rows, sizeof rows);
    }
    *count = n + 1;
    return rows + n * row_size;
}

enum db_rc total_read(struct db_stmt *s, int64_t *total, bool *capped)
{
    enum db_rc rc = db_next(s);
    if (rc != DB_ROW)
        return rc == DB_OK ? DB_ERROR : rc;
    int64_t n = db_int(s, 0);
    db_reset(s);
    *capped = n > TOTAL_CAP;
    *total = n > TOTAL_CAP ? TOTAL_CAP : n;
    return DB_OK;
}

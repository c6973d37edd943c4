/* A small reader of TZif files: the block of 64-bit times, then the rule in the footer for later moments. */
#include "tool/zone.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ZONE_FILE_MAX = 65536, HEADER_SIZE = 44, TYPE_SIZE = 6, RULE_MAX = 128 };

static const char zone_root[] = "/usr/share/zoneinfo";

/* ---- the footer's rule ---- */

/* Reads digits; false when there are none or the number is above max. */
static bool take_number(const char **s, int max, int *out)
{
    const char *p = *s;
    int value = 0;
    if (*p < '0' || *p > '9')
        return false;
    while (*p >= '0' && *p <= '9' && value <= max)
        value = value * 10 + (*p++ - '0');
    *s = p;
    *out = value;
    return value <= max;
}

/* [+-]h[h][h][:mm[:ss]] in seconds. */
static bool take_time(const char **s, int32_t *seconds)
{
    int sign = 1, part[3] = {0, 0, 0};
    if (**s == '-' || **s == '+')
        sign = *(*s)++ == '-' ? -1 : 1;
    if (!take_number(s, 167, &part[0]))
        return false;
    for (int i = 1; i < 3 && **s == ':'; i++) {
        (*s)++;
        if (!take_number(s, 59, &part[i]))
            return false;
    }
    *seconds = sign * (part[0] * 3600 + part[1] * 60 + part[2]);
    return true;
}

static bool take_name(const char **s)
{
    const char *start = *s;
    if (**s == '<') {
        const char *close = strchr(*s, '>');
        if (close == NULL)
            return false;
        *s = close + 1;
        return true;
    }
    while ((**s >= 'A' && **s <= 'Z') || (**s >= 'a' && **s <= 'z'))
        (*s)++;
    return *s > start;
}

/* Days since 1970 of a civil date (proleptic Gregorian). */
static int64_t day_number(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t year_of(int64_t unix_seconds)
{
    int64_t day = unix_seconds / 86400 - (unix_seconds % 86400 < 0);
    int64_t year = 1970 + day * 400 / 146097;
    while (day_number(year, 1, 1) > day)
        year--;
    while (day_number(year + 1, 1, 1) <= day)
        year++;
    return year;
}

/* Week 1..5 (5 = last) of a month, weekday 0 = Sunday. */
static int64_t weekday_in_month(int64_t year, int month, int week, int weekday)
{
    int64_t first = day_number(year, month, 1);
    int64_t next = month == 12 ? day_number(year + 1, 1, 1) : day_number(year, month + 1, 1);
    int64_t day = first + (weekday - (int)((first % 7 + 11) % 7) + 7) % 7 + (int64_t)(week - 1) * 7;
    return day < next ? day : day - 7;
}

/* One of the rule's two changes: ,Mm.w.d or ,Jn or ,n, then /time. Local seconds since 1970. */
static bool take_change(const char **s, int64_t year, int64_t *local)
{
    int month = 0, week = 0, weekday = 0, n = 0;
    int32_t time = 7200;
    int64_t day;
    if (*(*s)++ != ',')
        return false;
    if (**s == 'M') {
        (*s)++;
        if (!take_number(s, 12, &month) || month < 1 || *(*s)++ != '.' || !take_number(s, 5, &week) || week < 1 ||
            *(*s)++ != '.' || !take_number(s, 6, &weekday))
            return false;
        day = weekday_in_month(year, month, week, weekday);
    } else if (**s == 'J') {
        (*s)++;
        if (!take_number(s, 365, &n) || n < 1)
            return false;
        day = day_number(year, 1, 1) + n - 1 + (is_leap(year) && n > 59);
    } else {
        if (!take_number(s, 365, &n))
            return false;
        day = day_number(year, 1, 1) + n;
    }
    if (**s == '/') {
        (*s)++;
        if (!take_time(s, &time))
            return false;
    }
    *local = day * 86400 + time;
    return true;
}

bool zone_offset_by_rule(const char *rule, int64_t unix_seconds, int32_t *offset)
{
    int32_t standard = 0, summer;
    int64_t begin = 0, end = 0;
    const char *s = rule;
    if (!take_name(&s) || !take_time(&s, &standard))
        return false;
    standard = -standard; /* POSIX counts west of Greenwich */
    *offset = standard;
    if (*s == '\0')
        return true;
    summer = standard + 3600;
    if (!take_name(&s))
        return false;
    if (*s != ',') {
        if (!take_time(&s, &summer))
            return false;
        summer = -summer;
    }
    int64_t year = year_of(unix_seconds + standard);
    if (!take_change(&s, year, &begin) || !take_change(&s, year, &end) || *s != '\0')
        return false;
    begin -= standard;
    end -= summer;
    bool is_summer = begin < end ? unix_seconds >= begin && unix_seconds < end
                                 : unix_seconds >= begin || unix_seconds < end;
    *offset = is_summer ? summer : standard;
    return true;
}

/* ---- TZif ---- */

static uint32_t read32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t read64(const unsigned char *p)
{
    return (int64_t)((uint64_t)read32(p) << 32 | read32(p + 4));
}

/* One data block: where its tables begin and how long they are. */
struct tz_block {
    const unsigned char *times, *indices, *types, *end;
    uint32_t time_count, type_count;
};

/* The block at p with times of `width` bytes. */
static bool block_at(const unsigned char *p, size_t n, size_t width, struct tz_block *b)
{
    enum { COUNTS_AT = 20, COUNTS = 6 };
    uint32_t counts[COUNTS]; /* isut, isstd, leap, time, type, char */
    if (n < HEADER_SIZE || memcmp(p, "TZif", 4) != 0)
        return false;
    for (size_t i = 0; i < COUNTS; i++) {
        counts[i] = read32(p + COUNTS_AT + 4 * i);
        if (counts[i] > ZONE_FILE_MAX)
            return false;
    }
    b->time_count = counts[3];
    b->type_count = counts[4];
    size_t size = counts[3] * (width + 1) + counts[4] * TYPE_SIZE + counts[5] + counts[2] * (width + 4) + counts[1] +
                  counts[0];
    if (size > n - HEADER_SIZE || b->type_count == 0)
        return false;
    b->times = p + HEADER_SIZE;
    b->indices = b->times + b->time_count * width;
    b->types = b->indices + b->time_count;
    b->end = b->times + size;
    return true;
}

/* The footer is a rule between two line feeds. */
static bool footer_offset(const unsigned char *p, size_t n, int64_t unix_seconds, int32_t *offset)
{
    char rule[RULE_MAX];
    const unsigned char *close = n > 2 && *p == '\n' ? memchr(p + 1, '\n', n - 1) : NULL;
    size_t len = close == NULL ? 0 : (size_t)(close - p - 1);
    if (len == 0 || len >= sizeof rule)
        return false;
    memcpy(rule, p + 1, len);
    rule[len] = '\0';
    return zone_offset_by_rule(rule, unix_seconds, offset);
}

bool zone_offset_in(const unsigned char *file, size_t n, int64_t unix_seconds, int32_t *offset)
{
    struct tz_block b;
    if (!block_at(file, n, 4, &b) || file[4] < '2')
        return false;
    const unsigned char *second = b.end;
    if (!block_at(second, n - (size_t)(second - file), 8, &b))
        return false;
    uint32_t low = 0, high = b.time_count; /* transitions at or before the moment */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (read64(b.times + (size_t)middle * 8) <= unix_seconds)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == b.time_count && footer_offset(b.end, n - (size_t)(b.end - file), unix_seconds, offset))
        return true;
    unsigned type = low == 0 ? 0 : b.indices[low - 1];
    if (type >= b.type_count)
        return false;
    *offset = (int32_t)read32(b.types + (size_t)type * TYPE_SIZE);
    return true;
}

/* ---- files ---- */

/* Area/City: letters, digits, _ + - and single inner slashes; so nothing leaves the directory. */
static bool name_is_safe(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > ZONE_NAME_MAX || name[0] == '/' || name[n - 1] == '/' || strstr(name, "//") != NULL)
        return false;
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/") == n;
}

static size_t read_all(int fd, unsigned char *out, size_t max)
{
    size_t n = 0;
    ssize_t got;
    while (n < max && (got = read(fd, out + n, max - n)) > 0)
        n += (size_t)got;
    return n;
}

bool zone_offset(const char *name, int64_t unix_seconds, int32_t *offset)
{
    if (strcmp(name, "UTC") == 0 || strcmp(name, "Etc/UTC") == 0) {
        *offset = 0;
        return true;
    }
    if (!name_is_safe(name))
        return false;
    char path[sizeof zone_root + 1 + ZONE_NAME_MAX];
    snprintf(path, sizeof path, "%s/%s", zone_root, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    struct stat st;
    bool ok = false;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size <= ZONE_FILE_MAX) {
        unsigned char *file = malloc((size_t)st.st_size);
        if (file != NULL) {
            size_t n = read_all(fd, file, (size_t)st.st_size);
            ok = zone_offset_in(file, n, unix_seconds, offset);
        }
        free(file);
    }
    close(fd);
    return ok;
}

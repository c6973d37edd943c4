#include "base/clock.h"

#include <time.h>

/* Calendar arithmetic of our own: gmtime_r and timegm take the time zone lock of the C library. */

enum { DAY_MS = 86400000, DAYS_400_YEARS = 146097 };

#define TIME_MIN_MS INT64_C(-62167219200000) /* 0000-01-01T00:00:00.000Z */
#define TIME_MAX_MS INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_ms(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t clock_mono_ms(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in_month(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Days from 0000-01-01 to the first of January; year 0..9999. */
static int64_t days_before_year(int64_t year)
{
    if (year == 0)
        return 0;
    int64_t last = year - 1;
    return year * 365 + last / 4 - last / 100 + last / 400 + 1;
}

static int64_t days_since_1970(int64_t year, int month, int day)
{
    int64_t days = days_before_year(year) - days_before_year(1970) + day - 1;
    for (int m = 1; m < month; m++)
        days += days_in_month(year, m);
    return days;
}

static void put_digits(char *at, int width, int64_t value)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        at[i] = (char)('0' + value % 10);
}

void time_format(int64_t ms, char out[TIME_TEXT_SIZE])
{
    ms = ms < TIME_MIN_MS ? TIME_MIN_MS : ms > TIME_MAX_MS ? TIME_MAX_MS : ms;
    int64_t since_zero = ms - TIME_MIN_MS;
    int64_t days = since_zero / DAY_MS;
    int64_t rest = since_zero % DAY_MS;
    int64_t year = days * 400 / DAYS_400_YEARS; /* off by one at most */
    while (days_before_year(year + 1) <= days)
        year++;
    while (days_before_year(year) > days)
        year--;
    days -= days_before_year(year);
    int month = 1;
    while (days >= days_in_month(year, month))
        days -= days_in_month(year, month++);

    memcpy(out, "0000-00-00T00:00:00.000Z", TIME_TEXT_SIZE);
    put_digits(out, 4, year);
    put_digits(out + 5, 2, month);
    put_digits(out + 8, 2, days + 1);
    put_digits(out + 11, 2, rest / 3600000);
    put_digits(out + 14, 2, rest / 60000 % 60);
    put_digits(out + 17, 2, rest / 1000 % 60);
    put_digits(out + 20, 3, rest % 1000);
}

/* The readers below advance *s and are false when the text differs. */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool take_digits(const char **s, int width, int low, int high, int *value)
{
    *value = 0;
    for (int i = 0; i < width; i++, (*s)++) {
        if (!is_digit(**s))
            return false;
        *value = *value * 10 + (**s - '0');
    }
    return *value >= low && *value <= high;
}

static bool take(const char **s, char c)
{
    if (**s != c)
        return false;
    (*s)++;
    return true;
}

static bool take_date(const char **s, int64_t *days)
{
    int year, month, day;
    if (!take_digits(s, 4, 0, 9999, &year) || !take(s, '-') || !take_digits(s, 2, 1, 12, &month) || !take(s, '-') ||
        !take_digits(s, 2, 1, days_in_month(year, month), &day))
        return false;
    *days = days_since_1970(year, month, day);
    return true;
}

/* Second 60 is a leap second; it becomes the first moment of the next minute. */
static bool take_time(const char **s, int64_t *ms)
{
    int hour, minute, second, fraction = 0;
    if (!take_digits(s, 2, 0, 23, &hour) || !take(s, ':') || !take_digits(s, 2, 0, 59, &minute) || !take(s, ':') ||
        !take_digits(s, 2, 0, 60, &second))
        return false;
    if (take(s, '.')) {
        if (!is_digit(**s))
            return false;
        for (int scale = 100; is_digit(**s); scale /= 10, (*s)++)
            fraction += (**s - '0') * scale;
    }
    *ms = ((int64_t)hour * 60 + minute) * 60000 + second * 1000 + (second == 60 ? 0 : fraction);
    return true;
}

static bool take_offset(const char **s, int64_t *ms)
{
    *ms = 0;
    if (take(s, 'Z') || take(s, 'z'))
        return true;
    int sign = take(s, '+') ? 1 : take(s, '-') ? -1 : 0;
    int hour, minute;
    if (!sign || !take_digits(s, 2, 0, 23, &hour) || !take(s, ':') || !take_digits(s, 2, 0, 59, &minute))
        return false;
    *ms = sign * ((int64_t)hour * 60 + minute) * 60000;
    return true;
}

bool time_parse(const char *s, int64_t *ms)
{
    int64_t days, of_day = 0, offset = 0;
    if (!s || !take_date(&s, &days))
        return false;
    if (*s) {
        if (!(take(&s, 'T') || take(&s, 't')) || !take_time(&s, &of_day) || !take_offset(&s, &offset) || *s)
            return false;
    }
    *ms = days * DAY_MS + of_day - offset;
    return true;
}

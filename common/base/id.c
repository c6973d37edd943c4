#include "base/id.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"

enum { SLUG_MAX = 100, POOL_SIZE = 512 };

/* The 74 bits after the time are one counter: random whenever the millisecond
 * is new, stepped by a random amount while it is not (or the clock went back). */
static struct {
    pthread_mutex_t lock;
    int64_t ms;
    uint64_t high;              /* 12 bits after the version */
    uint64_t low;               /* 62 bits after the variant */
    unsigned char pool[POOL_SIZE]; /* random bytes not used yet: one system call serves many ids */
    size_t left;
} uuids = {.lock = PTHREAD_MUTEX_INITIALIZER};

#define HIGH_MASK UINT64_C(0xFFF)
#define LOW_MASK UINT64_C(0x3FFFFFFFFFFFFFFF)

void random_bytes(void *out, size_t n)
{
    unsigned char *p = out;
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            log_event(LOG_ERROR, 1002, "random.none", LOG_END);
            abort();
        }
        p += got;
        n -= (size_t)got;
    }
}

static void lock_uuids(void)
{
    pthread_mutex_lock(&uuids.lock);
}

static void unlock_uuids(void)
{
    pthread_mutex_unlock(&uuids.lock);
}

/* The child must not draw what its parent will draw: forget the pool, and the counter with it. */
static void reseed_child(void)
{
    uuids.left = 0;
    uuids.ms = 0;
    unlock_uuids();
}

static void watch_forks(void)
{
    pthread_atfork(lock_uuids, unlock_uuids, reseed_child);
}

static uint64_t pool_draw(void)
{
    uint64_t v;
    if (uuids.left < sizeof v) {
        random_bytes(uuids.pool, POOL_SIZE);
        uuids.left = POOL_SIZE;
    }
    uuids.left -= sizeof v;
    memcpy(&v, uuids.pool + uuids.left, sizeof v);
    memset(uuids.pool + uuids.left, 0, sizeof v);
    return v;
}

static void counter_advance(int64_t now)
{
    if (now > uuids.ms) {
        uuids.ms = now;
        uuids.high = pool_draw() & (HIGH_MASK >> 1); /* half empty: room to count up */
        uuids.low = pool_draw() & LOW_MASK;
        return;
    }
    uuids.low += 1 + (pool_draw() & UINT32_MAX);
    if (uuids.low > LOW_MASK) {
        uuids.low &= LOW_MASK;
        uuids.high++;
    }
    if (uuids.high > HIGH_MASK) {
        uuids.high = 0;
        uuids.ms++;
    }
}

static void put_big_endian(unsigned char *out, uint64_t v, int n)
{
    for (int i = n - 1; i >= 0; i--, v >>= 8)
        out[i] = (unsigned char)v;
}

/* 32 hex digits in groups of 8, 4, 4, 4 and 12. */
static void put_dashed(const char *hex, char out[UUID_SIZE])
{
    for (int i = 0; i < UUID_LEN; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        out[i] = dash ? '-' : *hex++;
    }
    out[UUID_LEN] = 0;
}

void uuid_new(char out[UUID_SIZE])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);

    unsigned char raw[16];
    lock_uuids();
    counter_advance(clock_ms());
    put_big_endian(raw, (uint64_t)uuids.ms, 6);
    put_big_endian(raw + 6, 0x7000 | uuids.high, 2);
    put_big_endian(raw + 8, UINT64_C(1) << 63 | uuids.low, 8);
    unlock_uuids();

    char hex[33];
    hex_encode(raw, sizeof raw, hex);
    put_dashed(hex, out);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool uuid_parse(const char *s, char out[UUID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    char copy[UUID_SIZE] = {0};
    if (!s)
        return false;
    for (int i = 0; i < UUID_LEN; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        int value = dash ? 0 : hex_value(s[i]);
        if (value < 0 || (dash && s[i] != '-'))
            return false;
        copy[i] = dash ? '-' : digits[value];
    }
    if (s[UUID_LEN])
        return false;
    if (out)
        memcpy(out, copy, UUID_SIZE);
    return true;
}

void uuid_hex(const char *uuid, char out[33])
{
    size_t n = 0;
    for (; *uuid && n < 32; uuid++)
        if (*uuid != '-')
            out[n++] = *uuid;
    out[n] = 0;
}

static bool is_slug_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool slug_valid(const char *s)
{
    size_t n = s ? strnlen(s, SLUG_MAX + 1) : 0;
    if (n < 1 || n > SLUG_MAX || s[0] == '-' || s[n - 1] == '-')
        return false;
    for (size_t i = 0; i < n; i++)
        if (s[i] != '-' && !is_slug_char(s[i]))
            return false;
    return true;
}

void hex_encode(const unsigned char *in, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
    out[2 * n] = 0;
}

bool hex_decode(const char *in, size_t hexlen, unsigned char *out)
{
    if (hexlen % 2)
        return false;
    for (size_t i = 0; i < hexlen / 2; i++) {
        int high = hex_value(in[2 * i]), low = hex_value(in[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

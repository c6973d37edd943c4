#include "web/params.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

static uint64_t word_at(const char *p, size_t n)
{
    uint64_t word = 0;
    memcpy(&word, p, n < sizeof word ? n : sizeof word);
    return word;
}

/* Beginning, end and length. Names that collide on purpose cost a walk over the few hundred parameters a front server
 * lets through. */
static size_t name_hash(const char *name, size_t n)
{
    uint64_t tail = n > sizeof tail ? word_at(name + n - sizeof tail, sizeof tail) : n;
    uint64_t h = (word_at(name, n) ^ (tail << 29 | tail >> 35) ^ n) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(h >> 32);
}

/* The slot of the name, or the free one where it belongs. */
static const char **slot_of(const struct params *p, const char *name, size_t n)
{
    for (size_t i = name_hash(name, n);; i++) {
        const char **slot = &p->slots[i & p->mask];
        if (*slot == NULL || (strncmp(*slot, name, n) == 0 && ((*slot)[n] == '=' || (*slot)[n] == '\0')))
            return slot;
    }
}

/* HTTP_X_GOCLAW_USER_ID -> X-GoClaw-User-Id. */
static const char *http_name(struct arena *a, const char *param)
{
    bool header = strncmp(param, "HTTP_", 5) == 0;
    if (!header && strncmp(param, "CONTENT_", 8) != 0)
        return arena_strndup(a, param, strcspn(param, "="));
    const char *from = header ? param + 5 : param;
    char *name = arena_strndup(a, from, strcspn(from, "="));
    bool start = true;
    for (char *c = name; *c != '\0'; c++) {
        *c = *c == '_' ? '-' : (char)(start ? toupper((unsigned char)*c) : tolower((unsigned char)*c));
        start = *c == '-';
    }
    if (strncmp(name, "X-Goclaw-", 9) == 0)
        name[4] = 'C';
    return name;
}

void params_index(struct params *p, struct arena *a, char *const *env)
{
    size_t n = 0, slots = 64;
    while (env[n] != NULL)
        n++;
    while (slots < 2 * n)
        slots *= 2;
    *p = (struct params){.slots = ARENA_ARRAY(a, const char *, slots), .mask = slots - 1};
    for (size_t i = 0; i < n; i++) {
        const char **slot = slot_of(p, env[i], (size_t)(strchrnul(env[i], '=') - env[i]));
        if (*slot == NULL)
            *slot = env[i];
        else if (p->doubled == NULL)
            p->doubled = http_name(a, env[i]);
    }
}

const char *params_get(const struct params *p, const char *name)
{
    size_t n = strlen(name);
    const char *entry = *slot_of(p, name, n);
    return entry != NULL && entry[n] == '=' ? entry + n + 1 : NULL;
}

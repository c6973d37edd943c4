#include "base/json_keys.h"

#include <endian.h>
#include <pthread.h>
#include <stdbool.h>

#include "base/id.h"
#include "base/json_inner.h"
#include "base/sip.h"

/* A key, read byte by byte after unescaping. */
struct reader {
    const char *at;
    char rest[4]; /* what is left of an escaped code point, last byte first */
    int left;
};

static int read_escape(struct reader *r)
{
    char bytes[4];
    size_t n;
    r->at = json_unescape(r->at, bytes, &n);
    while (n > 1)
        r->rest[r->left++] = bytes[--n];
    return (unsigned char)bytes[0];
}

/* The next byte, -1 at the closing quote. */
static int read_byte(struct reader *r)
{
    if (r->left > 0)
        return (unsigned char)r->rest[--r->left];
    if (*r->at == '"')
        return -1;
    unsigned char c = (unsigned char)*r->at++;
    return c == '\\' ? read_escape(r) : c;
}

static bool same_key(const char *a, const char *b)
{
    struct reader ra = {.at = a}, rb = {.at = b};
    int ca, cb;
    do {
        ca = read_byte(&ra);
        cb = read_byte(&rb);
    } while (ca == cb && ca >= 0);
    return ca == cb;
}

/* SipHash-1-3 over the unescaped bytes, with the object in front. */

static uint64_t seed[2];

static void draw_seed(void)
{
    random_bytes(seed, sizeof seed);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

/* The last word has the bytes left over below the length. */
static uint64_t sip_end(uint64_t v[4], uint64_t word, uint64_t n)
{
    sip_word(v, word | n << 56);
    v[2] ^= 0xFF;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t hash_escaped(uint64_t v[4], const char *key)
{
    struct reader r = {.at = key};
    uint64_t word = 0;
    uint64_t n = 0;
    for (int c = read_byte(&r); c >= 0; c = read_byte(&r)) {
        word |= (uint64_t)c << (n % 8 * 8);
        if (++n % 8 == 0) {
            sip_word(v, word);
            word = 0;
        }
    }
    return sip_end(v, word, n);
}

/* The same for a key that stands for itself, a word at a step. */
static uint64_t hash_plain(uint64_t v[4], const char *key, size_t len)
{
    uint64_t word;
    size_t i = 0;
    for (; len - i >= sizeof word; i += sizeof word) {
        memcpy(&word, key + i, sizeof word);
        sip_word(v, le64toh(word));
    }
    word = 0;
    for (size_t shift = 0; i < len; i++, shift += 8)
        word |= (uint64_t)(unsigned char)key[i] << shift;
    return sip_end(v, word, len);
}

static uint64_t hash_key(uint32_t object, const char *key, size_t len)
{
    uint64_t v[4] = {
        seed[0] ^ UINT64_C(0x736f6d6570736575),
        seed[1] ^ UINT64_C(0x646f72616e646f6d),
        seed[0] ^ UINT64_C(0x6c7967656e657261),
        seed[1] ^ UINT64_C(0x7465646279746573),
    };
    sip_word(v, object);
    return memchr(key, '\\', len) ? hash_escaped(v, key) : hash_plain(v, key, len);
}

void json_keys_init(struct json_keys *k, const char *text)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, draw_seed);
    k->text = text;
    k->slots = k->first;
    k->size = JSON_KEYS_INLINE;
    k->count = 0;
    memset(k->first, 0, sizeof k->first);
}

void json_keys_release(struct json_keys *k)
{
    if (k->slots != k->first)
        free(k->slots);
}

/* Linear probing; tables are at most half full. */
static struct json_key *next_slot(const struct json_keys *k, const struct json_key *slot)
{
    return slot + 1 == k->slots + k->size ? k->slots : (struct json_key *)slot + 1;
}

static bool grow(struct json_keys *k)
{
    struct json_keys larger = {.size = k->size * 4};
    larger.slots = calloc(larger.size, sizeof *larger.slots);
    if (!larger.slots)
        return false;
    for (size_t i = 0; i < k->size; i++) {
        if (!k->slots[i].object)
            continue;
        struct json_key *slot = &larger.slots[k->slots[i].hash & (larger.size - 1)];
        while (slot->object)
            slot = next_slot(&larger, slot);
        *slot = k->slots[i];
    }
    json_keys_release(k);
    k->slots = larger.slots;
    k->size = larger.size;
    return true;
}

enum json_keys_result json_keys_add(struct json_keys *k, uint32_t object, size_t offset, size_t len)
{
    if (k->count * 2 >= k->size && !grow(k))
        return JSON_KEYS_NO_MEMORY;
    const char *key = k->text + offset;
    uint64_t hash = hash_key(object, key, len);
    struct json_key *slot = &k->slots[hash & (k->size - 1)];
    for (; slot->object; slot = next_slot(k, slot))
        if (slot->hash == hash && slot->object == object && same_key(k->text + slot->offset, key))
            return JSON_KEYS_TWICE;
    *slot = (struct json_key){.hash = hash, .object = object, .offset = (uint32_t)offset};
    k->count++;
    return JSON_KEYS_ADDED;
}

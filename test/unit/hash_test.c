/* The reference values of SipHash-2-4: key 00…0f, text 00, 01, 02, … */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/hash.h"

static void reference(void **state)
{
    static const struct {
        size_t n;
        uint64_t hash;
    } rows[] = {{0, 0x726fdb47dd0e0e31}, {1, 0x74f839c593dc67fd}, {7, 0xab0200f58b01d137}, {8, 0x93f5f5799a932462},
                {15, 0xa129ca6149be45e5}, {16, 0x3f2acc7f57c29bdb}, {63, 0x958a324ceb064572}};
    unsigned char seed[HASH_SEED_SIZE], text[64];
    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (unsigned char)i;
    memcpy(seed, text, sizeof seed);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(hash_seeded(seed, text, rows[i].n), rows[i].hash);
}

/* The reference values with 128 bits; the last word of a text of 0 or 8 bytes is its length in the highest byte. */
static void reference_128(void **state)
{
    unsigned char seed[HASH_SEED_SIZE];
    uint64_t out[2];
    struct hash h;
    (void)state;
    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (unsigned char)i;
    hash_start(&h, seed);
    hash_number(&h, 0);
    hash_end(&h, out);
    assert_int_equal(out[0], 0xe6a825ba047f81a3);
    assert_int_equal(out[1], 0x930255c71472f66d);
    hash_start(&h, seed);
    hash_number(&h, UINT64_C(1) << 56);
    hash_end(&h, out);
    assert_int_equal(out[0], 0x44af996bd8c187da);
    assert_int_equal(out[1], 0x45fc229b11597634);
}

static uint64_t hash_of(const char *a, const char *b)
{
    static const unsigned char seed[HASH_SEED_SIZE];
    uint64_t out[2];
    struct hash h;
    hash_start(&h, seed);
    hash_text(&h, a);
    hash_text(&h, b);
    hash_end(&h, out);
    return out[0];
}

/* Where one value ends and the next begins counts, and so does every byte of a word that is not whole. */
static void texts(void **state)
{
    (void)state;
    assert_int_equal(hash_of("ab", "c"), hash_of("ab", "c"));
    assert_int_not_equal(hash_of("ab", "c"), hash_of("a", "bc"));
    assert_int_not_equal(hash_of("", "abc"), hash_of("abc", ""));
    assert_int_not_equal(hash_of("12345678", ""), hash_of("1234567", "8"));
    assert_int_not_equal(hash_of("123456789", ""), hash_of("12345678a", ""));
    assert_int_not_equal(hash_of("12345678", ""), hash_of("a2345678", ""));
}

static void seed_matters(void **state)
{
    unsigned char a[HASH_SEED_SIZE] = {0}, b[HASH_SEED_SIZE] = {0};
    (void)state;
    for (size_t i = 0; i < sizeof b; i++) {
        b[i] ^= 1;
        assert_int_not_equal(hash_seeded(a, "key", 3), hash_seeded(b, "key", 3));
        b[i] ^= 1;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reference), cmocka_unit_test(reference_128), cmocka_unit_test(texts),
                                       cmocka_unit_test(seed_matters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

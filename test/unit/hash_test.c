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
    const struct CMUnitTest tests[] = {cmocka_unit_test(reference), cmocka_unit_test(seed_matters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

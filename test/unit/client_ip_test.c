/* The client's address behind trusted proxies (contract 01 §4.4). */
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "web/client_ip.h"
#include "test/unit/rule.h"

static const char *const nobody[] = {NULL};
static const char *const local[] = {"127.0.0.1", "10.0.0.0/8", "2001:db8::/33", "broken/x", "10.0.0.0/99", NULL};

struct ip_case {
    const char *peer, *forwarded;
    const char *const *trusted;
    const char *expected;
};

static const struct ip_case cases[] = {
    {"192.0.2.1", NULL, nobody, "192.0.2.1"},
    {"192.0.2.1", NULL, NULL, "192.0.2.1"},
    {NULL, NULL, nobody, ""},
    {"", NULL, nobody, ""},
    /* a stranger's header counts for nothing */
    {"192.0.2.1", "198.51.100.7", local, "192.0.2.1"},
    {"127.0.0.1", "198.51.100.7", nobody, "127.0.0.1"},
    {"127.0.0.1", "198.51.100.7", local, "198.51.100.7"},
    /* the right-most address that is not trusted; what a client put left of it is ignored */
    {"127.0.0.1", "1.1.1.1, 198.51.100.7", local, "198.51.100.7"},
    {"127.0.0.1", "1.1.1.1,198.51.100.7 ,10.1.2.3", local, "198.51.100.7"},
    {"127.0.0.1", "10.0.0.1, 10.255.255.255", local, "10.0.0.1"},
    {"127.0.0.1", "11.0.0.0, 10.0.0.1", local, "11.0.0.0"},
    /* ports and brackets */
    {"127.0.0.1", "198.51.100.7:1234", local, "198.51.100.7"},
    {"127.0.0.1", "[2001:db9::1]:443", local, "2001:db9::1"},
    {"127.0.0.1", "2001:db9::1", local, "2001:db9::1"},
    /* a prefix that ends inside a byte */
    {"2001:db8:7fff::1", "198.51.100.7", local, "198.51.100.7"},
    {"2001:db8:8000::1", "198.51.100.7", local, "2001:db8:8000::1"},
    /* IPv4 in IPv6 clothes */
    {"::ffff:10.0.0.1", "198.51.100.7", local, "198.51.100.7"},
    {"::ffff:192.0.2.1", NULL, nobody, "192.0.2.1"},
    /* what cannot be read ends the walk */
    {"127.0.0.1", "garbage", local, "127.0.0.1"},
    {"127.0.0.1", "1.1.1.1, garbage, 10.0.0.1", local, "10.0.0.1"},
    {"127.0.0.1", ",,", local, "127.0.0.1"},
    {"127.0.0.1", "", local, "127.0.0.1"},
};

static void address_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena *a = arena_new();
        const char *got = client_ip_find(a, cases[i].peer, cases[i].forwarded, cases[i].trusted);
        if (strcmp(got, cases[i].expected) != 0)
            fail_msg("case %zu: %s, not %s", i, got, cases[i].expected);
        arena_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {RULE_TEST("4.4", address_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <curl/curl.h>

#include "llm/ssrf.h"

enum { PUB = ADDRESS_PUBLIC, PRIV = ADDRESS_PRIVATE, NEVER = ADDRESS_NEVER };

struct row {
    const char *text;
    int class;
};

/* First and last address of each block, and their neighbours. */
static const struct row addresses[] = {
    {"0.0.0.0", NEVER}, {"0.255.255.255", NEVER}, {"1.0.0.0", PUB}, {"8.8.8.8", PUB},
    {"9.255.255.255", PUB}, {"10.0.0.0", PRIV}, {"10.255.255.255", PRIV}, {"11.0.0.0", PUB},
    {"100.63.255.255", PUB}, {"100.64.0.0", PRIV}, {"100.127.255.255", PRIV}, {"100.128.0.0", PUB},
    {"100.100.100.199", PRIV}, {"100.100.100.200", NEVER}, {"100.100.100.201", PRIV},
    {"126.255.255.255", PUB}, {"127.0.0.0", PRIV}, {"127.0.0.1", PRIV}, {"127.255.255.255", PRIV}, {"128.0.0.0", PUB},
    {"169.253.255.255", PUB}, {"169.254.0.0", NEVER}, {"169.254.169.254", NEVER}, {"169.254.255.255", NEVER},
    {"169.255.0.0", PUB},
    {"172.15.255.255", PUB}, {"172.16.0.0", PRIV}, {"172.31.255.255", PRIV}, {"172.32.0.0", PUB},
    {"191.255.255.255", PUB}, {"192.0.0.0", NEVER}, {"192.0.0.192", NEVER}, {"192.0.0.255", NEVER}, {"192.0.1.0", PUB},
    {"192.0.1.255", PUB}, {"192.0.2.0", NEVER}, {"192.0.2.255", NEVER}, {"192.0.3.0", PUB},
    {"192.31.196.1", PUB}, {"192.52.193.1", PUB}, {"192.175.48.1", PUB},
    {"192.88.98.255", PUB}, {"192.88.99.0", NEVER}, {"192.88.99.255", NEVER}, {"192.88.100.0", PUB},
    {"192.167.255.255", PUB}, {"192.168.0.0", PRIV}, {"192.168.255.255", PRIV}, {"192.169.0.0", PUB},
    {"198.17.255.255", PUB}, {"198.18.0.0", PRIV}, {"198.19.255.255", PRIV}, {"198.20.0.0", PUB},
    {"198.51.99.255", PUB}, {"198.51.100.0", NEVER}, {"198.51.100.255", NEVER}, {"198.51.101.0", PUB},
    {"203.0.112.255", PUB}, {"203.0.113.0", NEVER}, {"203.0.113.255", NEVER}, {"203.0.114.0", PUB},
    {"223.255.255.255", PUB}, {"224.0.0.0", NEVER}, {"239.255.255.255", NEVER}, {"240.0.0.0", NEVER},
    {"255.255.255.254", NEVER}, {"255.255.255.255", NEVER},
    /* as getaddrinfo reads them */
    {"2130706433", PRIV}, {"0x7f000001", PRIV}, {"0x7f.1", PRIV}, {"0177.0.0.1", PRIV}, {"127.1", PRIV},
    {"2852039166", NEVER}, {"0xa9fea9fe", NEVER}, {"0251.0376.0251.0376", NEVER}, {"169.16689662", NEVER},
    {"0", NEVER}, {"0x08080808", PUB}, {"134744072", PUB},
    /* IPv6 */
    {"::", NEVER}, {"::1", PRIV}, {"::2", NEVER}, {"::127.0.0.1", NEVER}, {"::8.8.8.8", NEVER},
    {"::ffff:127.0.0.1", PRIV}, {"::ffff:8.8.8.8", PUB}, {"::ffff:169.254.169.254", NEVER}, {"::ffff:10.0.0.1", PRIV},
    {"::ffff:0:127.0.0.1", PRIV}, {"::ffff:0:169.254.169.254", NEVER},
    {"64:ff9b::7f00:1", PRIV}, {"64:ff9b::8.8.8.8", PUB}, {"64:ff9b::a9fe:a9fe", NEVER}, {"64:ff9b:1::1", NEVER},
    {"64:ff9b:0:0:0:1:808:808", NEVER},
    {"2002:7f00:1::", PRIV}, {"2002:a9fe:a9fe::1", NEVER}, {"2002:808:808::1", PUB}, {"2002:c0a8:1::1", PRIV},
    {"100::1", NEVER}, {"100:0:0:1::1", NEVER}, {"2001::1", NEVER}, {"2001:2::1", NEVER}, {"2001:10::1", NEVER},
    {"2001:1ff:ffff::", NEVER}, {"2001:200::1", PUB}, {"2001:db7:ffff::1", PUB}, {"2001:db8::1", NEVER},
    {"2001:db8:ffff::1", NEVER}, {"2001:db9::1", PUB}, {"2001:4860:4860::8888", PUB}, {"2606:4700::1111", PUB},
    {"2620:4f:8000::1", PUB}, {"3ffe:ffff::1", PUB}, {"3fff::1", NEVER}, {"3fff:fff::1", NEVER}, {"3fff:1000::1", PUB},
    {"4000::1", NEVER}, {"5f00::1", NEVER}, {"fbff::1", NEVER}, {"fc00::1", PRIV}, {"fdff:ffff::1", PRIV},
    {"fd00:ec2::254", NEVER}, {"fd00:ec2::253", PRIV}, {"fd20:ce::254", NEVER}, {"fe00::1", NEVER},
    {"fe80::1", NEVER}, {"febf::1", NEVER}, {"fec0::1", PRIV}, {"feff::1", PRIV}, {"ff00::", NEVER}, {"ff02::1", NEVER},
};

static void table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        const struct row *r = &addresses[i];
        struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM}, *list;
        if (getaddrinfo(r->text, "80", &hints, &list) != 0)
            fail_msg("%s is not an address", r->text);
        if ((int)address_class(list->ai_addr) != r->class || (int)host_class(r->text) != r->class)
            fail_msg("%s: address %d, host %d, wanted %d", r->text, (int)address_class(list->ai_addr),
                     (int)host_class(r->text), r->class);
        freeaddrinfo(list);
    }
    struct sockaddr unix_socket = {.sa_family = AF_UNIX};
    assert_int_equal(address_class(&unix_socket), NEVER);
}

static void names(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"localhost", PRIV}, {"LOCALHOST", PRIV}, {"localhost.", PRIV}, {"a.localhost", PRIV},
        {"host.docker.internal", PRIV}, {"printer.local", PRIV}, {"Printer.LOCAL.", PRIV}, {"db.internal", PRIV},
        {"metadata.google.internal", NEVER}, {"Metadata.Google.Internal.", NEVER},
        {"api.openai.com", PUB}, {"notlocalhost", PUB}, {"local", PUB}, {"internal", PUB}, {"xlocal", PUB},
        {"127.0.0.1.", PRIV}, {"[::1]", PRIV}, {"[::ffff:7f00:1]", PRIV}, {"[fe80::1%25eth0]", NEVER},
        {"fe80::1%eth0", NEVER}, {"", NEVER}, {".", NEVER}, {"[]", NEVER},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if ((int)host_class(rows[i].text) != rows[i].class)
            fail_msg("%s: %d", rows[i].text, (int)host_class(rows[i].text));
}

static void urls(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        int least; /* 0 always allowed, 1 when private ones are, 2 never */
    } rows[] = {
        {"https://api.openai.com/v1", 0}, {"HTTP://Example.COM", 0}, {"https://example.com:8443/x?y=z", 0},
        {"http://8.8.8.8/", 0}, {"https://[2606:4700::1111]:443/", 0}, {"https://example.com:1", 0},
        {"https://example.com:65535", 0}, {"https://a_b.example-x.com", 0}, {"https://example.com?x=@y", 0},
        {"https://example.com/@user", 0}, {"http://xn--mnchen-3ya.example/", 0},
        {"http://localhost:11434/v1", 1}, {"http://127.0.0.1:1", 1}, {"http://[::1]/", 1}, {"http://10.1.2.3", 1},
        {"http://2130706433/", 1}, {"http://0x7f.1/", 1}, {"http://[::ffff:127.0.0.1]/", 1}, {"http://x.local", 1},
        {"http://169.254.169.254/latest", 2}, {"http://0/", 2}, {"http://[::]/", 2}, {"http://[fe80::1]/", 2},
        {"http://metadata.google.internal/", 2}, {"http://100.100.100.200/", 2}, {"http://[::ffff:a9fe:a9fe]", 2},
        {"ftp://example.com", 2}, {"file:///etc/passwd", 2}, {"example.com", 2}, {"//example.com", 2}, {"", 2},
        {"http:/example.com", 2}, {"http://", 2}, {"http:///x", 2}, {"http://?x", 2}, {"http://:80/", 2},
        {"http://user@example.com", 2}, {"http://user:pw@example.com/", 2}, {"http://@example.com", 2},
        {"http://example.com#@127.0.0.1/", 2}, {"http://127.0.0.1#.example.com", 2}, {"http://a\\@b.com", 2},
        {"http://exa mple.com", 2}, {"http://example.com/\n", 2}, {"http://example.com/\x7f", 2},
        {"http://ex%61mple.com", 2}, {"http://\xEF\xBC\x91.com", 2}, {"http://example.com:0", 2},
        {"http://example.com:65536", 2}, {"http://example.com:", 2}, {"http://example.com:80x", 2},
        {"http://example.com:99999999999999999999", 2}, {"http://[::1", 2}, {"http://[::1]x", 2}, {"http://[::1]x:80", 2},
        {"http://[fe80::1%25lo]/", 2}, {"http://a[b]/", 2}, {"http://[]/", 2}, {"http://a,b.com", 2}, {"http://a;b", 2},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *why = NULL;
        bool strict = outbound_url_check(rows[i].url, false, &why);
        assert_true(strict == (why == NULL));
        bool loose = outbound_url_check(rows[i].url, true, &why);
        int least = strict ? 0 : loose ? 1 : 2;
        if (least != rows[i].least)
            fail_msg("%s: %d (%s)", rows[i].url, least, why ? why : "");
        if (!loose)
            continue;
        /* Whatever passes means the same host to the HTTP library. */
        char host[256], *theirs = NULL;
        assert_true(outbound_url_host(rows[i].url, host, sizeof(host)));
        CURLU *u = curl_url();
        assert_int_equal(curl_url_set(u, CURLUPART_URL, rows[i].url, 0), CURLUE_OK);
        assert_int_equal(curl_url_get(u, CURLUPART_HOST, &theirs, 0), CURLUE_OK);
        if (host_class(theirs) != host_class(host))
            fail_msg("%s: %s and %s", rows[i].url, host, theirs);
        curl_free(theirs);
        curl_url_cleanup(u);
    }
}

static void url_length(void **state)
{
    (void)state;
    char url[2100];
    const char *why;
    memset(url, 'a', sizeof(url));
    memcpy(url, "https://example.com/", 20);
    url[2048] = 0;
    assert_true(outbound_url_check(url, false, &why));
    url[2048] = 'a';
    url[2049] = 0;
    assert_false(outbound_url_check(url, false, &why));
    memset(url, 'a', 300);
    memcpy(url, "http://", 7);
    url[7 + 255] = 0;
    assert_true(outbound_url_check(url, false, &why));
    url[7 + 255] = 'a';
    url[7 + 256] = 0;
    assert_false(outbound_url_check(url, false, &why));
}

static void loopback(void **state)
{
    (void)state;
    assert_true(outbound_url_is_loopback("http://LocalHost:11434/v1"));
    assert_true(outbound_url_is_loopback("http://127.9.9.9"));
    assert_true(outbound_url_is_loopback("http://[::1]:80/"));
    assert_true(outbound_url_is_loopback("http://host.docker.internal:11434"));
    assert_false(outbound_url_is_loopback("http://10.0.0.1"));
    assert_false(outbound_url_is_loopback("http://localhost.example.com"));
    assert_false(outbound_url_is_loopback("http://localhost@10.0.0.1"));
    assert_false(outbound_url_is_loopback("nonsense"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),      cmocka_unit_test(names),    cmocka_unit_test(urls),
        cmocka_unit_test(url_length), cmocka_unit_test(loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

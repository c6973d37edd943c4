#include "llm/ssrf.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <strings.h>

enum { URL_MAX = 2048, HOST_MAX = 255 };

struct net4 {
    uint32_t net;
    int bits;
    enum address_class class;
};

/* IANA IPv4 special-purpose registry, multicast and class E; first match wins. The blocks that the registry calls
 * globally reachable (192.31.196/24, 192.52.193/24, 192.175.48/24) stay public. */
static const struct net4 nets4[] = {
    {0x646464C8, 32, ADDRESS_NEVER},   /* 100.100.100.200: a cloud's metadata service inside 100.64/10 */
    {0x00000000, 8, ADDRESS_NEVER},    /* 0/8 "this network" */
    {0x0A000000, 8, ADDRESS_PRIVATE},  /* 10/8 */
    {0x64400000, 10, ADDRESS_PRIVATE}, /* 100.64/10 shared address space */
    {0x7F000000, 8, ADDRESS_PRIVATE},  /* 127/8 loopback */
    {0xA9FE0000, 16, ADDRESS_NEVER},   /* 169.254/16 link local, metadata */
    {0xAC100000, 12, ADDRESS_PRIVATE}, /* 172.16/12 */
    {0xC0000000, 24, ADDRESS_NEVER},   /* 192.0.0/24 protocol assignments, metadata at .192 */
    {0xC0000200, 24, ADDRESS_NEVER},   /* 192.0.2/24 documentation */
    {0xC0586300, 24, ADDRESS_NEVER},   /* 192.88.99/24 6to4 relay anycast, withdrawn */
    {0xC0A80000, 16, ADDRESS_PRIVATE}, /* 192.168/16 */
    {0xC6120000, 15, ADDRESS_PRIVATE}, /* 198.18/15 benchmarking; local proxies hand it out as fake addresses */
    {0xC6336400, 24, ADDRESS_NEVER},   /* 198.51.100/24 documentation */
    {0xCB007100, 24, ADDRESS_NEVER},   /* 203.0.113/24 documentation */
    {0xE0000000, 4, ADDRESS_NEVER},    /* 224/4 multicast */
    {0xF0000000, 4, ADDRESS_NEVER},    /* 240/4 reserved, broadcast */
};

/* Where an IPv6 block carries an IPv4 address: its first byte, or none. */
enum { NO_IPV4 = -1 };

struct net6 {
    const char *net;
    int bits;
    enum address_class class;
    int ipv4_at;
};

/* IANA IPv6 special-purpose registry; first match wins, what is left outside 2000::/3 is not allocated. */
static const struct net6 nets6[] = {
    {"::1", 128, ADDRESS_PRIVATE, NO_IPV4},
    {"::ffff:0:0", 96, ADDRESS_NEVER, 12},          /* IPv4-mapped */
    {"::ffff:0:0:0", 96, ADDRESS_NEVER, 12},        /* IPv4-translated */
    {"64:ff9b::", 96, ADDRESS_NEVER, 12},           /* NAT64 */
    {"2002::", 16, ADDRESS_NEVER, 2},               /* 6to4 */
    {"fd00:ec2::254", 128, ADDRESS_NEVER, NO_IPV4}, /* metadata services inside fc00::/7 */
    {"fd20:ce::254", 128, ADDRESS_NEVER, NO_IPV4},
    {"fc00::", 7, ADDRESS_PRIVATE, NO_IPV4},
    {"fec0::", 10, ADDRESS_PRIVATE, NO_IPV4}, /* site local, deprecated */
    {"2001::", 23, ADDRESS_NEVER, NO_IPV4},   /* protocol assignments, Teredo, ORCHID, benchmarking */
    {"2001:db8::", 32, ADDRESS_NEVER, NO_IPV4},
    {"3fff::", 20, ADDRESS_NEVER, NO_IPV4}, /* documentation */
    {"2000::", 3, ADDRESS_PUBLIC, NO_IPV4},
};

static enum address_class ipv4_class(uint32_t host_order)
{
    for (size_t i = 0; i < sizeof(nets4) / sizeof(nets4[0]); i++)
        if (((host_order ^ nets4[i].net) >> (32 - nets4[i].bits)) == 0)
            return nets4[i].class;
    return ADDRESS_PUBLIC;
}

static bool prefix_equal(const unsigned char *a, const unsigned char *b, int bits)
{
    int bytes = bits / 8, rest = bits % 8;
    return memcmp(a, b, (size_t)bytes) == 0 && (rest == 0 || ((a[bytes] ^ b[bytes]) >> (8 - rest)) == 0);
}

static enum address_class ipv6_class(const struct in6_addr *addr)
{
    const unsigned char *b = addr->s6_addr;
    for (size_t i = 0; i < sizeof(nets6) / sizeof(nets6[0]); i++) {
        struct in6_addr net;
        if (inet_pton(AF_INET6, nets6[i].net, &net) != 1 || !prefix_equal(b, net.s6_addr, nets6[i].bits))
            continue;
        int at = nets6[i].ipv4_at;
        if (at == NO_IPV4)
            return nets6[i].class;
        return ipv4_class((uint32_t)b[at] << 24 | (uint32_t)b[at + 1] << 16 | (uint32_t)b[at + 2] << 8 | b[at + 3]);
    }
    return ADDRESS_NEVER;
}

enum address_class address_class(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        return ipv4_class(ntohl(in.sin_addr.s_addr));
    }
    if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof(in6));
        return ipv6_class(&in6.sin6_addr);
    }
    return ADDRESS_NEVER;
}

static bool name_ends(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n > m && strcasecmp(name + n - m, suffix) == 0;
}

static enum address_class name_class(const char *name)
{
    if (strcasecmp(name, "metadata.google.internal") == 0)
        return ADDRESS_NEVER;
    if (strcasecmp(name, "localhost") == 0 || name_ends(name, ".localhost") || name_ends(name, ".local") ||
        name_ends(name, ".internal"))
        return ADDRESS_PRIVATE;
    return ADDRESS_PUBLIC;
}

/* The host without brackets, zone and the dot of the root. false when it is empty or too long. */
static bool host_bare(const char *host, char out[HOST_MAX + 1])
{
    size_t n = strlen(host);
    if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
        host++;
        n -= 2;
    }
    const char *zone = memchr(host, '%', n);
    if (zone)
        n = (size_t)(zone - host);
    if (n > 0 && host[n - 1] == '.')
        n--;
    if (n == 0 || n > HOST_MAX)
        return false;
    memcpy(out, host, n);
    out[n] = 0;
    return true;
}

enum address_class host_class(const char *host)
{
    char bare[HOST_MAX + 1];
    if (!host_bare(host, bare))
        return ADDRESS_NEVER;
    struct in6_addr in6;
    if (inet_pton(AF_INET6, bare, &in6) == 1)
        return ipv6_class(&in6);
    struct in_addr in;
    if (inet_aton(bare, &in))
        return ipv4_class(ntohl(in.s_addr));
    return name_class(bare);
}

static bool host_char(char c, bool bracketed)
{
    if ((c >= '0' && c <= '9') || c == '.')
        return true;
    if (bracketed)
        return c == ':' || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

static const char *port_check(const char *port, const char *end)
{
    long value = 0;
    if (port == end)
        return "the port is empty";
    for (; port < end; port++) {
        if (*port < '0' || *port > '9' || value > 65535)
            return "the port is not a number from 1 to 65535";
        value = value * 10 + (*port - '0');
    }
    return value >= 1 && value <= 65535 ? NULL : "the port is not a number from 1 to 65535";
}

/* Splits what stands between "://" and the path. NULL when it is well-formed. */
static const char *authority_check(const char *s, size_t n, const char **host, size_t *host_len)
{
    const char *end = s + n, *stop;
    bool bracketed = n > 0 && s[0] == '[';
    if (bracketed) {
        s++;
        stop = memchr(s, ']', (size_t)(end - s));
        if (!stop)
            return "the host's bracket is not closed";
    } else {
        stop = memchr(s, ':', n);
        if (!stop)
            stop = end;
    }
    *host = s;
    *host_len = (size_t)(stop - s);
    if (*host_len == 0)
        return "the host is missing";
    if (*host_len > HOST_MAX)
        return "the host is too long";
    for (const char *c = s; c < stop; c++)
        if (!host_char(*c, bracketed))
            return "the host holds a character that no host name has (write international names in punycode)";
    if (bracketed)
        stop++;
    if (stop == end)
        return NULL;
    return *stop == ':' ? port_check(stop + 1, end) : "the host is followed by something that is not a port";
}

static const char *form_check(const char *url, const char **host, size_t *host_len)
{
    size_t n = strlen(url);
    if (n > URL_MAX)
        return "the URL is longer than 2048 bytes";
    for (const char *c = url; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7F || *c == '\\')
            return "the URL holds a blank, a control character or a backslash";
    size_t skip = strncasecmp(url, "http://", 7) == 0 ? 7 : strncasecmp(url, "https://", 8) == 0 ? 8 : 0;
    if (skip == 0)
        return "the scheme must be http or https";
    if (strchr(url, '#'))
        return "the URL must not have a fragment";
    size_t len = strcspn(url + skip, "/?");
    if (memchr(url + skip, '@', len))
        return "the URL must not hold a user name or password";
    return authority_check(url + skip, len, host, host_len);
}

bool outbound_url_host(const char *url, char *host, size_t size)
{
    const char *at;
    size_t n;
    if (!url || form_check(url, &at, &n) || n >= size)
        return false;
    for (size_t i = 0; i < n; i++)
        host[i] = (char)(at[i] >= 'A' && at[i] <= 'Z' ? at[i] + ('a' - 'A') : at[i]);
    host[n] = 0;
    return true;
}

bool outbound_url_is_loopback(const char *url)
{
    char host[HOST_MAX + 1];
    struct in_addr in;
    if (!outbound_url_host(url, host, sizeof(host)))
        return false;
    if (strcmp(host, "localhost") == 0 || strcmp(host, "host.docker.internal") == 0 || strcmp(host, "::1") == 0)
        return true;
    return inet_pton(AF_INET, host, &in) == 1 && (ntohl(in.s_addr) >> 24) == 127;
}

bool outbound_url_check(const char *url, bool private_allowed, const char **why)
{
    const char *at;
    size_t n;
    const char *reason = form_check(url, &at, &n);
    if (!reason) {
        char host[HOST_MAX + 1];
        memcpy(host, at, n);
        host[n] = 0;
        enum address_class class = host_class(host);
        if (class == ADDRESS_NEVER)
            reason = "the address is reserved and never allowed";
        else if (class == ADDRESS_PRIVATE && !private_allowed)
            reason = "private addresses are not allowed here";
    }
    *why = reason;
    return !reason;
}

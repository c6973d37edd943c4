/* Client address behind trusted proxies. */
#include "web/client_ip.h"

#include <arpa/inet.h>
#include <stdbool.h>

#include "base/arena.h"

/* Every address as IPv6; IPv4 as ::ffff:a.b.c.d, so that one comparison serves both. */
struct address {
    unsigned char bytes[16];
    bool v4;
};

static bool address_parse(const char *s, struct address *out)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (inet_pton(AF_INET, s, out->bytes + 12) == 1) {
        memcpy(out->bytes, mapped, sizeof mapped);
        out->v4 = true;
        return true;
    }
    if (inet_pton(AF_INET6, s, out->bytes) != 1)
        return false;
    out->v4 = memcmp(out->bytes, mapped, sizeof mapped) == 0;
    return true;
}

/* "10.0.0.0/8", "::1"; a malformed entry covers nothing. */
static bool cidr_covers(const char *cidr, const struct address *addr)
{
    char host[64];
    size_t n = strcspn(cidr, "/");
    if (n >= sizeof host)
        return false;
    memcpy(host, cidr, n);
    host[n] = '\0';
    struct address net = {.v4 = false};
    if (!address_parse(host, &net) || net.v4 != addr->v4)
        return false;
    long most = strchr(host, ':') == NULL ? 32 : 128;
    long bits = most;
    if (cidr[n] == '/') {
        char *end;
        bits = strtol(cidr + n + 1, &end, 10);
        if (end == cidr + n + 1 || *end != '\0' || bits < 0 || bits > most)
            return false;
    }
    size_t prefix = (size_t)(bits + 128 - most);
    size_t whole = prefix / 8;
    if (memcmp(net.bytes, addr->bytes, whole) != 0)
        return false;
    unsigned rest = prefix % 8;
    return rest == 0 || ((unsigned)(net.bytes[whole] ^ addr->bytes[whole]) & 0xffU << (8 - rest) & 0xffU) == 0;
}

static bool is_trusted(const char *const *trusted, const struct address *addr)
{
    for (; trusted != NULL && *trusted != NULL; trusted++)
        if (cidr_covers(*trusted, addr))
            return true;
    return false;
}

static const char *address_text(struct arena *a, const struct address *addr)
{
    char text[INET6_ADDRSTRLEN];
    const unsigned char *start = addr->v4 ? addr->bytes + 12 : addr->bytes;
    return arena_strdup(a, inet_ntop(addr->v4 ? AF_INET : AF_INET6, start, text, sizeof text));
}

/* One element of X-Forwarded-For: blanks, a port and the brackets of IPv6 are taken off. */
static bool hop_parse(const char *s, size_t n, struct address *out)
{
    while (n > 0 && (*s == ' ' || *s == '\t')) {
        s++;
        n--;
    }
    while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
        n--;
    char text[64];
    if (n == 0 || n >= sizeof text)
        return false;
    memcpy(text, s, n);
    text[n] = '\0';
    char *host = text;
    char *colon = strchr(text, ':');
    if (text[0] == '[') {
        host = text + 1;
        host[strcspn(host, "]")] = '\0';
    } else if (colon != NULL && strchr(colon + 1, ':') == NULL) {
        *colon = '\0';
    }
    return address_parse(host, out);
}

const char *client_ip_find(struct arena *a, const char *peer, const char *forwarded_for, const char *const *trusted)
{
    struct address addr = {.v4 = false};
    if (peer == NULL)
        return "";
    if (!address_parse(peer, &addr))
        return arena_strdup(a, peer);
    size_t end = forwarded_for != NULL ? strlen(forwarded_for) : 0;
    if (end == 0 && strchr(peer, ':') == NULL) /* IPv4 is written in one way only */
        return arena_strdup(a, peer);
    while (end > 0 && is_trusted(trusted, &addr)) {
        size_t start = end;
        while (start > 0 && forwarded_for[start - 1] != ',')
            start--;
        /* Something unreadable: the last proxy we trust is all that is known. */
        struct address hop = {.v4 = false};
        if (!hop_parse(forwarded_for + start, end - start, &hop))
            break;
        addr = hop;
        end = start > 0 ? start - 1 : 0;
    }
    return address_text(a, &addr);
}

/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* accept4 */
#include "net/net_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

static const char in_use_hint[] = "another process has it; choose another, or port 0 for any";
static const char addr_hint[] = "use host:port, 127.0.0.1:port, [::1]:port or unix:/path";

static ccz_rc addr_fail(const char *text, const char *why, struct ccz_err *err)
{
    char shown[CCZ_ADDR_TEXT_SIZE];
    ccz_escape(shown, sizeof(shown), ccz_span_str(text));
    ccz_rc rc = ccz_fail(err, CCZ_E_FORMAT, "net:address", 0, "%s: %s", why, shown);
    return ccz_hint(err, rc, addr_hint);
}

/* Decimal 0..65535 without sign, space or superfluous zero. */
static bool parse_port(uint16_t *port, const char *text)
{
    unsigned v = 0;
    size_t n = strlen(text);
    if (n == 0 || n > 5 || (n > 1 && text[0] == '0'))
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        v = 10 * v + (unsigned)(*text - '0');
    }
    *port = (uint16_t)v;
    return v <= 65535;
}

static ccz_rc parse_unix(struct cczi_target *out, const char *text, struct ccz_err *err)
{
    const char *path = text + strlen("unix:");
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (*path == 0 || strlen(path) >= sizeof(un.sun_path))
        return addr_fail(text, "the path must have 1 to 107 characters", err);
    memcpy(un.sun_path, path, strlen(path) + 1);
    memcpy(&out->addr.ss, &un, sizeof(un));
    out->addr.size = sizeof(un);
    out->literal = true;
    return CCZ_OK;
}

static bool parse_literal(struct cczi_addr *out, const char *host, uint16_t port, bool bracketed)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (!bracketed && inet_pton(AF_INET, host, &in4.sin_addr) == 1) {
        memcpy(&out->ss, &in4, sizeof(in4));
        out->size = sizeof(in4);
        return true;
    }
    if (bracketed && inet_pton(AF_INET6, host, &in6.sin6_addr) == 1) {
        memcpy(&out->ss, &in6, sizeof(in6));
        out->size = sizeof(in6);
        return true;
    }
    return false;
}

/* What may stand in a name, so that nothing strange reaches the resolver or a log. */
static bool is_name(const char *host)
{
    for (const char *p = host; *p; p++) {
        bool ok = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                  (*p >= '0' && *p <= '9') || *p == '-' || *p == '.' || *p == '_';
        if (!ok)
            return false;
    }
    return *host != 0;
}

ccz_rc cczi_addr_parse(struct cczi_target *out, const char *text, struct ccz_err *err)
{
    *out = (struct cczi_target){0};
    if (strncmp(text, "unix:", strlen("unix:")) == 0)
        return parse_unix(out, text, err);
    bool bracketed = text[0] == '[';
    const char *host = bracketed ? text + 1 : text;
    const char *end = bracketed ? strstr(text, "]:") : strchr(text, ':');
    const char *port = end ? end + (bracketed ? 2 : 1) : NULL;
    if (!end || !parse_port(&out->port, port))
        return addr_fail(text, "no valid port", err);
    size_t size = (size_t)(end - host);
    if (size == 0 || size >= sizeof(out->host))
        return addr_fail(text, "no valid host", err);
    memcpy(out->host, host, size);
    out->literal = parse_literal(&out->addr, out->host, out->port, bracketed);
    if (!out->literal && (bracketed || !is_name(out->host)))
        return addr_fail(text, "neither an IP address nor a name", err);
    return CCZ_OK;
}

void cczi_addr_text(char out[CCZ_ADDR_TEXT_SIZE], const struct sockaddr *sa, socklen_t size)
{
    char ip[INET6_ADDRSTRLEN] = "";
    struct sockaddr_storage ss = {0};
    memcpy(&ss, sa, size < sizeof(ss) ? size : sizeof(ss));
    if (ss.ss_family == AF_INET) {
        struct sockaddr_in in4;
        memcpy(&in4, &ss, sizeof(in4));
        inet_ntop(AF_INET, &in4.sin_addr, ip, sizeof(ip));
        (void)snprintf(out, CCZ_ADDR_TEXT_SIZE, "%s:%u", ip, ntohs(in4.sin_port));
    } else if (ss.ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, &ss, sizeof(in6));
        inet_ntop(AF_INET6, &in6.sin6_addr, ip, sizeof(ip));
        (void)snprintf(out, CCZ_ADDR_TEXT_SIZE, "[%s]:%u", ip, ntohs(in6.sin6_port));
    } else {
        struct sockaddr_un un = {0};
        memcpy(&un, &ss, size < sizeof(un) ? size : sizeof(un));
        (void)snprintf(out, CCZ_ADDR_TEXT_SIZE, "unix:%.*s", (int)sizeof(un.sun_path), un.sun_path);
    }
}

static bool bind_and_listen(int fd, const struct cczi_addr *addr, const struct ccz_listen_cfg *cfg)
{
    int on = 1;
    bool inet = addr->ss.ss_family != AF_UNIX;
    if (inet && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
        return false;
    if (inet && cfg->reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
        return false;
    if (addr->ss.ss_family == AF_INET6 && /* an address means what it says, on every system */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0)
        return false;
    return bind(fd, (const struct sockaddr *)&addr->ss, addr->size) == 0 &&
           listen(fd, cfg->backlog > 0 ? cfg->backlog : 1024) == 0;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage ss = {0};
    socklen_t size = sizeof(ss);
    if (getsockname(fd, (struct sockaddr *)&ss, &size) != 0)
        return 0;
    struct sockaddr_in in4; /* sin_port and sin6_port share their place */
    memcpy(&in4, &ss, sizeof(in4));
    return ss.ss_family == AF_INET || ss.ss_family == AF_INET6 ? ntohs(in4.sin_port) : 0;
}

ccz_rc cczi_listen_socket(int *fd, uint16_t *port, const struct ccz_listen_cfg *cfg,
                          struct cczi_addr *bound, struct ccz_err *err)
{
    struct cczi_target target;
    ccz_rc rc = cczi_addr_parse(&target, cfg->address, err);
    if (rc != CCZ_OK)
        return rc;
    if (!target.literal)
        return addr_fail(cfg->address, "a listener needs an IP address", err);
    int s = socket(target.addr.ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0 || !bind_and_listen(s, &target.addr, cfg)) {
        int e = errno;
        if (s >= 0)
            close(s);
        rc = ccz_fail(err, CCZ_E_IO, "net:listen", e, "cannot listen on %s: %s", cfg->address,
                      strerror(e));
        return e == EADDRINUSE ? ccz_hint(err, rc, in_use_hint) : rc;
    }
    *fd = s;
    *port = bound_port(s);
    *bound = target.addr;
    return CCZ_OK;
}

void cczi_unlink_addr(const struct cczi_addr *bound)
{
    struct sockaddr_un un;
    memcpy(&un, &bound->ss, sizeof(un));
    if (bound->ss.ss_family == AF_UNIX)
        (void)unlink(un.sun_path);
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TUNNEL_FIXTURE_H
#define CCZ_TUNNEL_FIXTURE_H
/* Both ends of a tunnel in this process, a plain client and a plain server in the test's hands, and what was logged. */
#define _GNU_SOURCE
#include <cczoo/tunnel.h>

#include "ccz_test.h"
#include "ratls/toy_evidence.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { WAIT_S = 20 };

/* ------------------------------------------------------------------------------------------ log */

static struct {
    pthread_mutex_t lock;
    char text[1 << 16];
    size_t size;
} logged = {.lock = PTHREAD_MUTEX_INITIALIZER};

static inline void log_keep(void *arg, enum ccz_log_level level, const char *module,
                            const char *line)
{
    (void)arg, (void)level;
    if (strcmp(module, "tunnel") != 0)
        return;
    pthread_mutex_lock(&logged.lock);
    size_t left = sizeof(logged.text) - logged.size;
    int n = snprintf(logged.text + logged.size, left, "%s\n", line);
    if (n > 0 && (size_t)n < left)
        logged.size += (size_t)n;
    pthread_mutex_unlock(&logged.lock);
}

/* Waits for a line that contains all of these; NULL = nothing more. */
static inline bool log_has(const char *a, const char *b, const char *c)
{
    for (int i = 0; i < WAIT_S * 100; i++) {
        bool found = false;
        pthread_mutex_lock(&logged.lock);
        for (char *line = logged.text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
            *end = 0;
            found =
                found || (strstr(line, a) && (!b || strstr(line, b)) && (!c || strstr(line, c)));
            *end = '\n';
        }
        pthread_mutex_unlock(&logged.lock);
        if (found)
            return true;
        usleep(10000);
    }
    fprintf(stderr, "not logged: %s %s %s; but:\n%s", a, b ? b : "", c ? c : "", logged.text);
    return false;
}

static inline size_t log_count(const char *what)
{
    size_t n = 0;
    pthread_mutex_lock(&logged.lock);
    for (const char *p = logged.text; (p = strstr(p, what)) != NULL; p++)
        n++;
    pthread_mutex_unlock(&logged.lock);
    return n;
}

/* -------------------------------------------------------------------------------------- sockets */

static inline void set_limits(int fd)
{
    struct timeval limit = {.tv_sec = WAIT_S};
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0);
}

static inline struct sockaddr_in local(uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return in;
}

static inline int listen_local(uint16_t *port)
{
    struct sockaddr_in in = local(0);
    socklen_t size = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0 && listen(fd, 128) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&in, &size) == 0);
    set_limits(fd);
    *port = ntohs(in.sin_port);
    return fd;
}

static inline int try_dial(uint16_t port)
{
    struct sockaddr_in in = local(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    set_limits(fd);
    if (connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0)
        return fd;
    close(fd);
    return -1;
}

static inline int dial(uint16_t port)
{
    int fd = try_dial(port);
    CHECK(fd >= 0);
    return fd;
}

static inline int dial_unix(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0);
    set_limits(fd);
    return fd;
}

static inline int take(int listener)
{
    int fd = accept(listener, NULL, NULL);
    CHECK(fd >= 0);
    set_limits(fd);
    return fd;
}

static inline void send_all(int fd, const void *p, size_t size)
{
    const char *from = p;
    while (size > 0) {
        ssize_t n = send(fd, from, size, MSG_NOSIGNAL);
        CHECK(n > 0);
        from += n;
        size -= (size_t)n;
    }
}

static inline void recv_text(int fd, const char *want)
{
    char got[256];
    size_t size = strlen(want), have = 0;
    CHECK(size < sizeof(got));
    while (have < size) {
        ssize_t n = recv(fd, got + have, size - have, 0);
        CHECK(n > 0);
        have += (size_t)n;
    }
    CHECK(memcmp(got, want, size) == 0);
}

static inline bool at_end(int fd)
{
    char byte;
    return recv(fd, &byte, 1, 0) == 0;
}

/* Closed, in whatever way, before a byte came: a time limit of ours is no end. */
static inline bool is_closed(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

/* The connection was reset, whatever came before. */
static inline bool is_cut(int fd)
{
    static char bin[65536];
    ssize_t n;
    while ((n = recv(fd, bin, sizeof(bin), 0)) > 0)
        continue;
    return n < 0 && errno == ECONNRESET;
}

/* Bytes that depend on their position. */
static inline uint8_t pattern(uint64_t i)
{
    return (uint8_t)((i * 0x9e3779b97f4a7c15u) >> 56);
}

struct bulk {
    int fd;
    uint64_t size;
    bool end; /* shut the direction down behind it */
};

static inline void *send_bulk(void *arg)
{
    const struct bulk *b = arg;
    uint8_t buf[50000];
    for (uint64_t at = 0; at < b->size;) {
        size_t n = b->size - at < sizeof(buf) ? (size_t)(b->size - at) : sizeof(buf);
        for (size_t i = 0; i < n; i++)
            buf[i] = pattern(at + i);
        send_all(b->fd, buf, n);
        at += n;
    }
    if (b->end)
        CHECK(shutdown(b->fd, SHUT_WR) == 0);
    return NULL;
}

static inline void recv_bulk(int fd, uint64_t size, bool end)
{
    static uint8_t buf[70000];
    for (uint64_t at = 0; at < size;) {
        size_t room = size - at < sizeof(buf) ? (size_t)(size - at) : sizeof(buf);
        ssize_t n = recv(fd, buf, room, 0);
        CHECK(n > 0);
        for (ssize_t i = 0; i < n; i++)
            CHECK(buf[i] == pattern(at + (uint64_t)i));
        at += (uint64_t)n;
    }
    CHECK(!end || at_end(fd));
}

/* ----------------------------------------------------------------------------------- PROXY header */

static inline size_t be16(const uint8_t *p)
{
    return (size_t)p[0] << 8 | p[1];
}

/* A reader of its own, after the specification: the value of the first TLV @p type. */
static inline bool find_tlv(struct ccz_span *value, struct ccz_span tlvs, uint8_t type)
{
    bool found = false;
    while (tlvs.size > 0) {
        CHECK(tlvs.size >= 3 && be16(tlvs.ptr + 1) <= tlvs.size - 3);
        size_t size = be16(tlvs.ptr + 1);
        if (tlvs.ptr[0] == type && !found) {
            *value = CCZ_SPAN(tlvs.ptr + 3, size);
            found = true;
        }
        tlvs = CCZ_SPAN(tlvs.ptr + 3 + size, tlvs.size - 3 - size);
    }
    return found;
}

static inline void recv_exact(int fd, uint8_t *p, size_t size)
{
    for (size_t have = 0; have < size;) {
        ssize_t n = recv(fd, p + have, size - have, 0);
        CHECK(n > 0);
        have += (size_t)n;
    }
}

/* ------------------------------------------------------------------------------------- both ends */

struct fx {
    struct toy server_toy, client_toy; /* what each makes and judges with */
    struct ccz_ratls_ctx *server, *client;
    struct ccz_tunnel *in, *out; /* the attested side, the plain side */
    int listener;                /* of the plain server */
    uint16_t listener_port;
    /* before fx_open() */
    struct ccz_tunnel_cfg cfg;
    struct ccz_tunnel_map in_map, out_map;
    int64_t reattest_ms;
    enum ccz_ratls_profile profile;
    bool one_way;         /* clients are not asked .. */
    ccz_ratls_pin_fn pin; /* .. but for their key */
    uint16_t via;         /* the client end goes through this port instead */
};

static inline struct ccz_ratls_ctx *fx_ctx(struct fx *f, bool server)
{
    struct ccz_err err;
    struct ccz_ratls_ctx *ctx;
    struct toy *toy = server ? &f->server_toy : &f->client_toy;
    struct ccz_ratls_cfg cfg = {.profile = f->profile,
                                .server = server,
                                .now_s = 1767225600,
                                .attest = toy_attest,
                                .attest_arg = toy,
                                .appraise = toy_appraise,
                                .appraise_arg = toy,
                                .reattest_interval_ms = f->reattest_ms};
    if (f->one_way && server) {
        cfg.appraise = NULL;
        cfg.peer_evidence_optional = true;
        cfg.pin = f->pin;
        cfg.reattest_interval_ms = 0;
    } else if (f->one_way) {
        cfg.attest = NULL;
    }
    CHECK(ccz_ratls_ctx_new(&ctx, &cfg, &err) == CCZ_OK);
    return ctx;
}

static inline struct ccz_tunnel *fx_tunnel(struct fx *f, const struct ccz_tunnel_map *map)
{
    struct ccz_err err = {0};
    struct ccz_tunnel *t;
    struct ccz_tunnel_cfg cfg = f->cfg;
    cfg.maps = map;
    cfg.maps_len = 1;
    if (ccz_tunnel_new(&t, &cfg, &err) != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(t && ccz_tunnel_start(t, &err) == CCZ_OK);
    return t;
}

static inline void fx_open(struct fx *f)
{
    char to_server[64], to_tunnel[64];
    logged.size = 0;
    memset(logged.text, 0, sizeof(logged.text));
    ccz_log_install(log_keep, NULL, CCZ_LOG_DEBUG);
    f->listener = listen_local(&f->listener_port);
    f->server = fx_ctx(f, true);
    f->client = fx_ctx(f, false);
    (void)snprintf(to_server, sizeof(to_server), "127.0.0.1:%u", f->listener_port);
    f->in_map.name = "in";
    f->in_map.side = CCZ_TUNNEL_IN;
    f->in_map.ratls = f->server;
    f->in_map.anyone = f->one_way && !f->pin;
    f->in_map.listen = f->in_map.listen ? f->in_map.listen : "127.0.0.1:0";
    f->in_map.connect = f->in_map.connect ? f->in_map.connect : to_server;
    f->in = fx_tunnel(f, &f->in_map);
    (void)snprintf(to_tunnel, sizeof(to_tunnel), "127.0.0.1:%u",
                   f->via ? f->via : ccz_tunnel_port(f->in, 0));
    f->out_map.name = "out";
    f->out_map.ratls = f->client;
    f->out_map.listen = f->out_map.listen ? f->out_map.listen : "127.0.0.1:0";
    f->out_map.connect = f->out_map.connect ? f->out_map.connect : to_tunnel;
    f->out = fx_tunnel(f, &f->out_map);
}

static inline void fx_close(struct fx *f)
{
    ccz_tunnel_free(f->out);
    ccz_tunnel_free(f->in);
    ccz_ratls_ctx_free(f->client);
    ccz_ratls_ctx_free(f->server);
    close(f->listener);
    ccz_log_install(NULL, NULL, CCZ_LOG_ERROR);
}

static inline int fx_dial(const struct fx *f)
{
    return dial(ccz_tunnel_port(f->out, 0));
}

/* A plain client and server that are connected through the tunnel. */
static inline void fx_connect(const struct fx *f, int *client, int *server)
{
    *client = fx_dial(f);
    *server = take(f->listener);
}

/* No connection reaches the plain server. */
static inline bool fx_unreached(const struct fx *f)
{
    struct pollfd p = {.fd = f->listener, .events = POLLIN};
    return poll(&p, 1, 0) == 0;
}

/* Waits until nothing is open at either end. */
static inline void fx_quiet(const struct fx *f)
{
    struct ccz_tunnel_stats in, out;
    for (int i = 0; i < WAIT_S * 100; i++) {
        ccz_tunnel_stats(&in, f->in);
        ccz_tunnel_stats(&out, f->out);
        if (in.open == 0 && out.open == 0)
            return;
        usleep(10000);
    }
    CHECK(!"connections are left");
}
#endif

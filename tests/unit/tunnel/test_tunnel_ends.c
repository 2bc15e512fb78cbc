/* SPDX-License-Identifier: Apache-2.0 */
/* How a tunnel refuses, is cut, limits and stops; and the PROXY header. */
#include "tunnel/tunnel_fixture.h"

#include <stdatomic.h>

enum { MIB = 1 << 20 };

/* ------------------------------------------------------------------------------------- refusals */

/* Whoever is refused: nothing reaches the plain server, the plain client is cut, and both logs say why. */
static void test_refused(void)
{
    for (int i = 0; i < 2; i++) {
        struct fx f = {0};
        struct ccz_tunnel_stats in, out;
        struct toy *judge = i ? &f.client_toy : &f.server_toy;
        const char *judging = i ? "refused map=out" : "refused map=in";
        const char *judged = i ? "refused map=in" : "refused map=out";
        judge->appraise_rc = CCZ_E_POLICY;
        fx_open(&f);
        int client = fx_dial(&f);
        send_all(client, "for nobody", 10);
        CHECK(is_cut(client));
        CHECK(log_has(judging, "where=policy:mrenclave", "got=\"11aa\" expected=\"22bb\""));
        CHECK(log_has(judged, "where=peer:policy:mrenclave", "got=\"11aa\" expected=\"22bb\""));
        fx_quiet(&f);
        CHECK(fx_unreached(&f));
        ccz_tunnel_stats(&in, f.in);
        ccz_tunnel_stats(&out, f.out);
        CHECK(in.refused == 1 && out.refused == 1 && in.failed == 0 && out.failed == 0);
        CHECK(in.bytes_in == 0 && out.bytes_out == 0);
        close(client);

        judge->appraise_rc = CCZ_OK; /* the tunnel goes on */
        int server;
        fx_connect(&f, &client, &server);
        send_all(client, "hello", 5);
        recv_text(server, "hello");
        close(client);
        close(server);
        fx_close(&f);
    }
}

/* The server end asks, the client end has no evidence; or nobody asks. */
static void test_no_evidence(void)
{
    struct fx f = {0};
    fx_open(&f);
    ccz_tunnel_free(f.out);
    ccz_ratls_ctx_free(f.client);
    struct fx other = {.one_way = true};
    other.client = f.client = fx_ctx(&other, false);
    f.client_toy = other.client_toy;
    f.out_map.ratls = f.client;
    char to_tunnel[64];
    (void)snprintf(to_tunnel, sizeof(to_tunnel), "127.0.0.1:%u", ccz_tunnel_port(f.in, 0));
    f.out_map.connect = to_tunnel;
    f.out = fx_tunnel(&f, &f.out_map);
    int client = fx_dial(&f);
    CHECK(is_cut(client) && fx_unreached(&f));
    CHECK(log_has("refused map=in", "where=ratls:no-evidence", NULL));
    CHECK(log_has("refused map=out", "where=peer:ratls:no-evidence", NULL));
    close(client);
    fx_close(&f);

    struct fx open = {.one_way = true};
    int server;
    fx_open(&open);
    fx_connect(&open, &client, &server);
    send_all(client, "anyone", 6);
    recv_text(server, "anyone");
    CHECK(log_has("open map=in", "attested=0", "measurement=none") &&
          log_has("open map=out", "attested=1", NULL));
    close(client);
    close(server);
    fx_close(&open);
}

/* Somebody who speaks no RA-TLS, or says nothing at all. */
static void test_strangers(void)
{
    struct fx f = {.cfg = {.handshake_timeout_ms = 200}};
    char byte;
    fx_open(&f);
    int fd = dial(ccz_tunnel_port(f.in, 0));
    send_all(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
    while (recv(fd, &byte, 1, 0) > 0) /* an alert may come */
        continue;
    CHECK(log_has("refused map=in", "where=tls:not-tls", NULL));
    close(fd);
    fd = dial(ccz_tunnel_port(f.in, 0));
    CHECK(recv(fd, &byte, 1, 0) <= 0);
    CHECK(log_has("failed map=in", "where=tunnel:handshake-timeout", NULL));
    close(fd);
    fd = dial(ccz_tunnel_port(f.in, 0)); /* goes away at once */
    close(fd);
    CHECK(log_has("failed map=in", "where=net:", NULL));
    fx_quiet(&f);
    CHECK(fx_unreached(&f));
    fx_close(&f);
}

/* ------------------------------------------------------------------------------------------ cuts */

/* Carries one connection, and cuts it on demand. */
struct relay {
    int listener, from, to;
    uint16_t port, target;
    atomic_bool stop;
};

static void *run_relay(void *arg)
{
    struct relay *r = arg;
    char buf[65536];
    r->from = take(r->listener);
    r->to = dial(r->target);
    while (!r->stop) {
        struct pollfd p[2] = {{.fd = r->from, .events = POLLIN}, {.fd = r->to, .events = POLLIN}};
        if (poll(p, 2, 20) <= 0)
            continue;
        for (int i = 0; i < 2; i++) {
            if (!(p[i].revents & POLLIN))
                continue;
            ssize_t n = recv(p[i].fd, buf, sizeof(buf), 0);
            if (n > 0)
                send_all(p[1 - i].fd, buf, (size_t)n);
        }
    }
    return NULL;
}

/* The attested connection breaks, or ends without its end in order (an attacker can do that): no half is taken for
 * the whole, on neither side. */
static void test_cut(void)
{
    for (int i = 0; i < 4; i++) {
        bool reset = i % 2;
        struct relay r = {0};
        r.listener = listen_local(&r.port);
        struct fx f = {.via = r.port, .reattest_ms = i / 2 ? 60000 : 0};
        fx_open(&f);
        r.target = ccz_tunnel_port(f.in, 0);
        pthread_t t;
        CHECK(pthread_create(&t, NULL, run_relay, &r) == 0);
        int client, server;
        fx_connect(&f, &client, &server);
        send_all(client, "half of", 7);
        recv_text(server, "half of");
        send_all(server, "an answer", 9);
        recv_text(client, "an answer");
        r.stop = true;
        pthread_join(t, NULL);
        struct linger hard = {.l_onoff = reset};
        CHECK(setsockopt(r.from, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) == 0 &&
              setsockopt(r.to, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) == 0);
        close(r.from);
        close(r.to);
        CHECK(is_cut(client) && is_cut(server));
        CHECK(log_has("cut map=in", reset ? "where=net:read" : "where=net:eof", NULL) &&
              log_has("cut map=out", reset ? "where=net:read" : "where=net:eof", NULL));
        fx_quiet(&f);
        close(client);
        close(server);
        close(r.listener);
        fx_close(&f);
    }
}

/* A plain program dies in the middle: the other one sees a reset, not an end. */
static void test_plain_dies(void)
{
    for (int i = 0; i < 2; i++) {
        struct fx f = {0};
        struct linger hard = {.l_onoff = 1};
        int client, server;
        fx_open(&f);
        fx_connect(&f, &client, &server);
        send_all(client, "hello", 5);
        recv_text(server, "hello");
        int dies = i ? server : client, lives = i ? client : server;
        CHECK(setsockopt(dies, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) == 0);
        close(dies);
        CHECK(is_cut(lives));
        close(lives);
        fx_quiet(&f);
        struct ccz_tunnel_stats in, out;
        ccz_tunnel_stats(&in, f.in);
        ccz_tunnel_stats(&out, f.out);
        CHECK(in.failed == 1 && out.failed == 1);
        fx_close(&f);
    }
}

/* Nobody listens behind the tunnel, or at its other end. */
static void test_nobody(void)
{
    struct fx f = {.in_map = {.connect = "127.0.0.1:1"}};
    fx_open(&f);
    int client = fx_dial(&f);
    CHECK(is_cut(client));
    CHECK(log_has("failed map=in", "where=net:connect", "Connection refused") &&
          log_has("cut map=out", "where=net:eof", NULL));
    close(client);
    fx_quiet(&f);
    fx_close(&f);
    f = (struct fx){.out_map = {.connect = "127.0.0.1:1"}};
    fx_open(&f);
    client = fx_dial(&f);
    CHECK(is_cut(client));
    CHECK(log_has("failed map=out", "where=net:connect", "Connection refused"));
    close(client);
    fx_quiet(&f);
    fx_close(&f);
}

/* ---------------------------------------------------------------------------------------- limits */

static void test_limits(void)
{
    struct fx f = {.cfg = {.connections_max = 2}};
    struct ccz_tunnel_stats s;
    int client[3], server[2];
    fx_open(&f);
    for (int i = 0; i < 2; i++)
        fx_connect(&f, &client[i], &server[i]);
    client[2] = fx_dial(&f);
    char byte;
    CHECK(recv(client[2], &byte, 1, 0) <= 0); /* taken and closed at once */
    CHECK(log_has("refused map=out", "where=tunnel:connections", "limit=2"));
    ccz_tunnel_stats(&s, f.out);
    CHECK(s.accepted == 2 && s.limited == 1 && s.open == 2);
    close(client[2]);
    close(client[0]);
    close(server[0]);
    for (int i = 0; i < WAIT_S * 100 && s.open == 2; i++) {
        usleep(10000);
        ccz_tunnel_stats(&s, f.out);
        struct ccz_tunnel_stats in;
        ccz_tunnel_stats(&in, f.in);
        s.open = in.open > s.open ? in.open : s.open;
    }
    fx_connect(&f, &client[0], &server[0]); /* room again */
    send_all(client[0], "me", 2);
    recv_text(server[0], "me");
    for (int i = 0; i < 2; i++) {
        close(client[i]);
        close(server[i]);
    }
    fx_quiet(&f);
    fx_close(&f);
}

static void test_idle(void)
{
    struct fx f = {.cfg = {.idle_timeout_ms = 3000}};
    int client, server;
    fx_open(&f);
    fx_connect(&f, &client, &server);
    for (int i = 0; i < 8; i++) { /* longer than the limit in all, and in one direction only */
        send_all(client, "x", 1);
        recv_text(server, "x");
        usleep(500000);
    }
    CHECK(log_count("tunnel:idle") == 0);
    CHECK(is_cut(client) && is_cut(server));
    CHECK(log_has("cut map=", "where=tunnel:idle", NULL));
    close(client);
    close(server);
    fx_quiet(&f);
    fx_close(&f);
}

/* ------------------------------------------------------------------------------------------ stop */

struct stopper {
    struct ccz_tunnel *tunnel;
    int64_t grace_ms, took_ms;
};

static void *stop_tunnel(void *arg)
{
    struct stopper *s = arg;
    int64_t start_ms = ccz_mono_ms();
    ccz_tunnel_stop(s->tunnel, s->grace_ms);
    s->took_ms = ccz_mono_ms() - start_ms;
    return NULL;
}

/* What runs may end, nothing new begins. */
static void test_stop(void)
{
    struct fx f = {.cfg = {.threads = 2, .connections_max = 1}}; /* whom we ask is not let in */
    int client, server;
    fx_open(&f);
    fx_connect(&f, &client, &server);
    struct stopper s = {.tunnel = f.out, .grace_ms = INT64_MAX}; /* no sum wraps */
    pthread_t t;
    CHECK(pthread_create(&t, NULL, stop_tunnel, &s) == 0);
    for (int fd; (fd = try_dial(ccz_tunnel_port(f.out, 0))) >= 0; close(fd))
        usleep(10000); /* until the port is closed */
    send_all(client, "still works", 11);
    CHECK(shutdown(client, SHUT_WR) == 0);
    recv_text(server, "still works");
    CHECK(at_end(server));
    struct bulk b = {server, 3 * MIB, true};
    pthread_t sender;
    CHECK(pthread_create(&sender, NULL, send_bulk, &b) == 0);
    recv_bulk(client, 3 * MIB, true);
    pthread_join(sender, NULL);
    pthread_join(t, NULL);
    CHECK(s.took_ms < 50000);
    struct ccz_err err;
    CHECK(ccz_tunnel_start(f.out, &err) == CCZ_E_ARG); /* once */
    close(client);
    close(server);
    fx_close(&f);
}

/* New connections show the new identity, the open one goes on with the old. */
static void test_renew(void)
{
    struct fx f = {.in_map = {.proxy_v2 = true}};
    static uint8_t head[2][65536];
    struct ccz_span spki[2];
    int client[2], server[2];
    fx_open(&f);
    for (int i = 0; i < 2; i++) {
        fx_connect(&f, &client[i], &server[i]);
        recv_exact(server[i], head[i], 28);
        size_t size = be16(head[i] + 14) - 12;
        recv_exact(server[i], head[i], size);
        CHECK(find_tlv(&spki[i], CCZ_SPAN(head[i], size), CCZ_PP2_TYPE_SPKI));
        struct ccz_ratls_ctx *fresh = fx_ctx(&f, false);
        struct ccz_err err;
        CHECK(ccz_tunnel_set_ratls(f.out, 0, fresh, &err) == CCZ_OK);
        CHECK(ccz_tunnel_set_ratls(f.out, 9, fresh, &err) == CCZ_E_ARG); /* no such map */
        CHECK(ccz_tunnel_set_ratls(f.out, 0, f.server, &err) == CCZ_E_ARG);
        CHECK(strcmp(err.where, "tunnel:config") == 0);
        ccz_ratls_ctx_free(fresh);
    }
    CHECK(!ccz_span_eq(spki[0], spki[1]));
    for (int i = 0; i < 2; i++) {
        send_all(client[i], "goes on", 7);
        recv_text(server[i], "goes on");
        close(client[i]);
        close(server[i]);
    }
    fx_quiet(&f);
    fx_close(&f);
}

/* Who does not end within the grace is cut. */
static void test_stop_cuts(void)
{
    for (int i = 0; i < 2; i++) {
        struct fx f = {0};
        int client, server;
        fx_open(&f);
        fx_connect(&f, &client, &server);
        struct stopper s = {.tunnel = i ? f.in : f.out, .grace_ms = i ? 0 : 100};
        (void)stop_tunnel(&s);
        CHECK(is_cut(client) && is_cut(server) && s.took_ms >= s.grace_ms);
        close(client);
        close(server);
        fx_close(&f);
    }
    /* in the middle of a handshake */
    struct fx f = {0};
    f.server_toy.delay_ms = 300;
    fx_open(&f);
    int client = fx_dial(&f);
    usleep(100000);
    ccz_tunnel_stop(f.in, 0);
    CHECK(is_cut(client));
    close(client);
    fx_close(&f);
}

/* ---------------------------------------------------------------------------------------- config */

static void check_refused(const struct ccz_tunnel_cfg *cfg, ccz_rc rc, const char *where)
{
    struct ccz_err err = {0};
    struct ccz_tunnel *t;
    CHECK(ccz_tunnel_new(&t, cfg, &err) == rc && !t);
    if (strcmp(err.where, where) != 0)
        fprintf(stderr, "got %s, want %s\n", err.where, where);
    CHECK(strcmp(err.where, where) == 0);
}

static void test_config(void)
{
    struct fx f = {0};
    fx_open(&f);
    struct ccz_tunnel_map good = {
        .listen = "127.0.0.1:0", .connect = "127.0.0.1:1", .ratls = f.client};
    struct ccz_tunnel_map maps[] = {good, good, good, good, good, good};
    maps[0].listen = NULL;
    maps[1].connect = NULL;
    maps[2].ratls = NULL;
    maps[3].proxy_v2 = true;
    maps[4].side = (enum ccz_tunnel_side)2;
    maps[5].side = CCZ_TUNNEL_IN;
    maps[5].ratls = f.server;
    maps[5].proxy_v2_short = true;
    for (size_t i = 0; i < 6; i++)
        check_refused(&(struct ccz_tunnel_cfg){.maps = &maps[i], .maps_len = 1}, CCZ_E_ARG,
                      "tunnel:config");
    check_refused(&(struct ccz_tunnel_cfg){.maps = &good}, CCZ_E_ARG, "tunnel:config");
    const struct ccz_tunnel_cfg bad[] = {
        {.maps = &good, .maps_len = 257},
        {.maps = &good, .maps_len = 1, .threads = 65},
        {.maps = &good, .maps_len = 1, .buffer_size = 1},
        {.maps = &good, .maps_len = 1, .buffer_size = (size_t)1 << 30},
        {.maps = &good, .maps_len = 1, .idle_timeout_ms = -1},
        {.maps = &good, .maps_len = 1, .connect_timeout_ms = -1},
        {.maps = &good, .maps_len = 1, .handshake_timeout_ms = -1},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        check_refused(&bad[i], CCZ_E_ARG, "tunnel:config");
    struct ccz_tunnel_map two[] = {good, good}; /* the second one cannot listen */
    two[1].listen = "nowhere";
    check_refused(&(struct ccz_tunnel_cfg){.maps = two, .maps_len = 2, .threads = 2}, CCZ_E_FORMAT,
                  "net:address");
    char taken[64];
    (void)snprintf(taken, sizeof(taken), "127.0.0.1:%u", f.listener_port);
    two[1].listen = taken;
    check_refused(&(struct ccz_tunnel_cfg){.maps = two, .maps_len = 2}, CCZ_E_IO, "net:listen");
    fx_close(&f);
}

/* ----------------------------------------------------------------------------------------- PROXY */

static bool is_text(struct ccz_span v, const char *text)
{
    return v.size == strlen(text) && memcmp(v.ptr, text, v.size) == 0;
}

static void check_header(const struct fx *f, int server, bool v6, bool attested)
{
    static uint8_t head[16 + 65535];
    struct ccz_span v;
    recv_exact(server, head, 16);
    CHECK(memcmp(head, "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a", 12) == 0);
    size_t size = be16(head + 14), addrs = v6 ? 36 : 12;
    CHECK(head[12] == 0x21 && head[13] == (v6 ? 0x21 : 0x11) && size > addrs);
    recv_exact(server, head + 16, size);
    const uint8_t *ports = head + 16 + addrs - 4;
    CHECK(be16(ports + 2) == ccz_tunnel_port(f->in, 0));
    if (v6)
        CHECK(memcmp(head + 16, &in6addr_loopback, 16) == 0 &&
              memcmp(head + 32, &in6addr_loopback, 16) == 0);
    else
        CHECK(memcmp(head + 16, "\x7f\0\0\x01\x7f\0\0\x01", 8) == 0);
    char logged_peer[64]; /* the source is the attested client, as logged */
    (void)snprintf(logged_peer, sizeof(logged_peer), "peer=%s:%zu", v6 ? "[::1]" : "127.0.0.1",
                   be16(ports));
    CHECK(log_has("open map=in", logged_peer, NULL));
    struct ccz_span tlvs = CCZ_SPAN(head + 16 + addrs, size - addrs);
    CHECK(find_tlv(&v, tlvs, 0x20) && v.size > 5 && v.ptr[0] == 0x03 &&
          memcmp(v.ptr + 1, attested ? "\0\0\0" : "\0\0\0\1", 4) == 0);
    CHECK(find_tlv(&v, CCZ_SPAN(v.ptr + 5, v.size - 5), 0x21) && is_text(v, "TLSv1.3"));
    CHECK(find_tlv(&v, tlvs, CCZ_PP2_TYPE_STATUS) && v.size == 1 &&
          v.ptr[0] == (attested ? CCZ_PP2_ATTESTED | CCZ_PP2_FRESH : 0));
    CHECK(find_tlv(&v, tlvs, CCZ_PP2_TYPE_SPKI) && v.size == 32);
    CHECK(find_tlv(&v, tlvs, CCZ_PP2_TYPE_MEASUREMENT) == attested);
    CHECK(!attested || (v.size == 64 && v.ptr[0] == '0'));
    CHECK(find_tlv(&v, tlvs, CCZ_PP2_TYPE_CLAIMS) == attested);
    CHECK(!attested || (v.ptr[0] == '{' && v.ptr[v.size - 1] == '}' &&
                        memmem(v.ptr, v.size, "\"isv_svn\":7", 11)));
    CHECK(size < 4096); /* what nginx reads at most */
}

static void test_proxy(void)
{
    for (int i = 0; i < 4; i++) {
        bool v6 = i % 2, attested = i / 2;
        struct fx f = {.one_way = !attested, .in_map = {.proxy_v2 = true}};
        char to_tunnel[64];
        if (v6) {
            int probe = socket(AF_INET6, SOCK_STREAM, 0);
            struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
            socklen_t size = sizeof(in);
            if (probe < 0 || bind(probe, (struct sockaddr *)&in, sizeof(in)) != 0)
                continue;
            CHECK(getsockname(probe, (struct sockaddr *)&in, &size) == 0);
            close(probe);
            (void)snprintf(to_tunnel, sizeof(to_tunnel), "[::1]:%u", ntohs(in.sin6_port));
            f.in_map.listen = f.out_map.connect = to_tunnel;
        }
        int client, server;
        fx_open(&f);
        fx_connect(&f, &client, &server);
        send_all(client, "payload", 7); /* behind the header, whole */
        check_header(&f, server, v6, attested);
        recv_text(server, "payload");
        send_all(server, "answer", 6); /* no header on the way back */
        recv_text(client, "answer");
        close(client);
        CHECK(at_end(server));
        close(server);
        fx_quiet(&f);
        fx_close(&f);
    }
}

/* Addresses alone. */
static void test_proxy_short(void)
{
    struct fx f = {.in_map = {.proxy_v2 = true, .proxy_v2_short = true}};
    uint8_t head[28];
    int client, server;
    fx_open(&f);
    fx_connect(&f, &client, &server);
    send_all(client, "payload", 7);
    recv_exact(server, head, sizeof(head));
    CHECK(head[12] == 0x21 && head[13] == 0x11 && be16(head + 14) == 12);
    CHECK(be16(head + 26) == ccz_tunnel_port(f.in, 0));
    recv_text(server, "payload");
    close(client);
    close(server);
    fx_quiet(&f);
    fx_close(&f);
}

/* An attested port on a unix socket has no addresses to tell. */
static void test_proxy_unix(void)
{
    char dir[] = "/tmp/tunnel-XXXXXX", at[80];
    uint8_t head[16];
    CHECK(mkdtemp(dir));
    (void)snprintf(at, sizeof(at), "unix:%s/in", dir);
    struct fx f = {.in_map = {.listen = at, .proxy_v2 = true}, .out_map = {.connect = at}};
    int client, server;
    fx_open(&f);
    fx_connect(&f, &client, &server);
    recv_exact(server, head, sizeof(head));
    CHECK(head[12] == 0x21 && head[13] == 0);
    static uint8_t tlvs[65535];
    struct ccz_span v;
    recv_exact(server, tlvs, be16(head + 14));
    CHECK(find_tlv(&v, CCZ_SPAN(tlvs, be16(head + 14)), CCZ_PP2_TYPE_STATUS) && v.ptr[0] == 3);
    close(client);
    CHECK(at_end(server));
    close(server);
    fx_quiet(&f);
    fx_close(&f);
    CHECK(rmdir(dir) == 0);
}

/* A plain client that leaves in the middle of its download is noticed, although its stream has ended in order before. */
static void test_leaves(void)
{
    struct fx f = {0};
    int client, server;
    fx_open(&f);
    fx_connect(&f, &client, &server);
    send_all(client, "hello", 5);
    recv_text(server, "hello");
    close(client);
    CHECK(at_end(server));
    for (int i = 0; i < 5; i++) { /* the first one makes its kernel say that nobody is there */
        (void)!send(server, "download", 8, MSG_NOSIGNAL);
        usleep(50000);
    }
    close(server);
    fx_quiet(&f);
    CHECK(log_has("cut map=out", "where=net:", NULL));
    fx_close(&f);
}

static const struct ccz_test tests[] = {
    {"tunnel.refused", test_refused},       {"tunnel.no_evidence", test_no_evidence},
    {"tunnel.strangers", test_strangers},   {"tunnel.cut", test_cut},
    {"tunnel.plain_dies", test_plain_dies}, {"tunnel.nobody", test_nobody},
    {"tunnel.limits", test_limits},         {"tunnel.idle", test_idle},
    {"tunnel.renew", test_renew},           {"tunnel.stop", test_stop},
    {"tunnel.stop_cuts", test_stop_cuts},   {"tunnel.config", test_config},
    {"tunnel.proxy", test_proxy},           {"tunnel.proxy_short", test_proxy_short},
    {"tunnel.proxy_unix", test_proxy_unix}, {"tunnel.leaves", test_leaves},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

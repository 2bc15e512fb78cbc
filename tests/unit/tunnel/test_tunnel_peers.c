/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a tunnel serves, and what it tells the server behind it about them. */
#include "tunnel/tunnel_fixture.h"

#include <stdatomic.h>

/* --------------------------------------------------------------------------------- PROXY header */

static ccz_rc accept_key(void *arg, struct ccz_span spki, struct ccz_err *err)
{
    (void)arg, (void)spki, (void)err;
    return CCZ_OK;
}

static const struct {
    struct fx f;
    uint8_t flags, verify, status; /* what the header has to say */
} cases[] = {
    {{.one_way = true}, 0x03, 1, 0}, /* a certificate that nobody judged */
    {{.one_way = true, .profile = CCZ_RATLS_CERTIFICATE}, 0x01, 1, 0}, /* not even one */
    {{.one_way = true, .pin = accept_key}, 0x03, 0, 0},
    {{.one_way = true, .pin = accept_key, .profile = CCZ_RATLS_CERTIFICATE}, 0x03, 0, 0},
    {{.profile = CCZ_RATLS_CERTIFICATE}, 0x03, 0, CCZ_PP2_ATTESTED},
    {{.profile = CCZ_RATLS_SESSION}, 0x03, 0, CCZ_PP2_ATTESTED | CCZ_PP2_FRESH},
    {{.server_toy.simulated = true}, 0x03, 0, CCZ_PP2_ATTESTED | CCZ_PP2_FRESH | CCZ_PP2_SIMULATED},
};

/* Servers that look at the standard TLV alone must not take a stranger for a verified client. */
static void test_proxy_verified(void)
{
    static uint8_t head[65535];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fx f;
        struct ccz_span v, tlvs;
        int client, server;
        memcpy(&f, &cases[i].f, sizeof(f));
        f.in_map.proxy_v2 = true;
        fx_open(&f);
        fx_connect(&f, &client, &server);
        recv_exact(server, head, 16 + 12);
        tlvs = CCZ_SPAN(head, be16(head + 14) - 12);
        recv_exact(server, head, tlvs.size);
        CHECK(find_tlv(&v, tlvs, 0x20) && v.size > 5 && v.ptr[0] == cases[i].flags);
        CHECK(memcmp(v.ptr + 1, "\0\0\0", 3) == 0 && v.ptr[4] == cases[i].verify);
        CHECK(find_tlv(&v, tlvs, CCZ_PP2_TYPE_STATUS) && v.size == 1);
        CHECK(v.ptr[0] == cases[i].status);
        CHECK(find_tlv(&v, tlvs, CCZ_PP2_TYPE_SPKI) == (cases[i].flags == 0x03));
        close(client);
        CHECK(at_end(server));
        close(server);
        fx_quiet(&f);
        fx_close(&f);
    }
}

/* Linked with --wrap: the header does not fit, or cannot be stored. */
struct cczi_proxy_addrs;
struct ccz_conn;
ccz_rc __real_cczi_proxy_put(struct ccz_buf *out, const struct cczi_proxy_addrs *addrs,
                             const struct ccz_ratls_peer *peer);
ccz_rc __wrap_cczi_proxy_put(struct ccz_buf *out, const struct cczi_proxy_addrs *addrs,
                             const struct ccz_ratls_peer *peer);
ccz_rc __real_ccz_conn_write(struct ccz_conn *c, struct ccz_span data);
ccz_rc __wrap_ccz_conn_write(struct ccz_conn *c, struct ccz_span data);
static atomic_bool no_header, no_write;

ccz_rc __wrap_cczi_proxy_put(struct ccz_buf *out, const struct cczi_proxy_addrs *addrs,
                             const struct ccz_ratls_peer *peer)
{
    return atomic_exchange(&no_header, false) ? CCZ_E_LIMIT
                                              : __real_cczi_proxy_put(out, addrs, peer);
}

/* The first one to begin with the header's signature. */
ccz_rc __wrap_ccz_conn_write(struct ccz_conn *c, struct ccz_span data)
{
    bool header = data.size > 16 && memcmp(data.ptr, "\r\n\r\n\0\r\nQUIT\n", 12) == 0;
    return header && atomic_exchange(&no_write, false) ? CCZ_E_NOMEM
                                                       : __real_ccz_conn_write(c, data);
}

/* A server that expects the header takes whatever comes first for it: nothing of the peer may. */
static void test_proxy_fails(void)
{
    for (int i = 0; i < 2; i++) {
        struct fx f = {.in_map = {.proxy_v2 = true}};
        fx_open(&f);
        atomic_store(i ? &no_write : &no_header, true);
        int client = fx_dial(&f);
        send_all(client, "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n", 34);
        int server = take(f.listener);
        CHECK(is_closed(server) && is_cut(client));
        CHECK(!no_header && !no_write);
        CHECK(log_has("cut map=in", "where=tunnel:proxy", NULL));
        close(client);
        close(server);
        fx_quiet(&f);
        fx_close(&f);
    }
}

/* ------------------------------------------------------------------------------------- contexts */

enum { OUT = CCZ_TUNNEL_OUT, IN = CCZ_TUNNEL_IN };

/* A tunnel of this name attests somebody, and lets in strangers only if that was said. */
static void test_contexts(void)
{
    static const struct {
        enum ccz_ratls_profile profile;
        bool server, attest, appraise, optional, pin, anyone;
        int side;
        bool fine;
    } all[] = {
        {CCZ_RATLS_SESSION, true, true, true, false, false, false, IN, true},
        {CCZ_RATLS_SESSION, true, false, true, false, false, false, IN, true},
        {CCZ_RATLS_SESSION, true, true, false, true, false, true, IN, true},
        {CCZ_RATLS_SESSION, true, true, true, true, false, true, IN, true},
        {CCZ_RATLS_SESSION, true, true, true, true, true, false, IN, true},
        {CCZ_RATLS_HANDSHAKE, false, true, true, false, false, false, OUT, true},
        {CCZ_RATLS_SESSION, false, false, true, false, false, false, OUT, true},
        {CCZ_RATLS_SESSION, false, true, false, true, true, false, OUT, true},
        /* the other role */
        {CCZ_RATLS_SESSION, false, true, true, false, false, false, IN, false},
        {CCZ_RATLS_SESSION, true, true, true, false, false, false, OUT, false},
        /* nobody attests */
        {CCZ_RATLS_TLS_ONLY_INSECURE, true, false, false, false, false, true, IN, false},
        {CCZ_RATLS_TLS_ONLY_INSECURE, true, false, false, false, true, false, IN, false},
        {CCZ_RATLS_TLS_ONLY_INSECURE, false, false, false, false, true, false, OUT, false},
        {CCZ_RATLS_SESSION, true, false, false, true, false, true, IN, false},
        {CCZ_RATLS_SESSION, false, false, false, true, true, false, OUT, false},
        /* any server */
        {CCZ_RATLS_SESSION, false, true, false, true, false, false, OUT, false},
        {CCZ_RATLS_SESSION, false, true, true, true, false, false, OUT, false},
        {CCZ_RATLS_SESSION, false, true, true, true, false, true, OUT, false},
        /* any client, and nobody said so */
        {CCZ_RATLS_SESSION, true, true, false, true, false, false, IN, false},
        {CCZ_RATLS_CERTIFICATE, true, true, true, true, false, false, IN, false},
        /* said so, but it is not the case */
        {CCZ_RATLS_SESSION, true, true, true, false, false, true, IN, false},
        {CCZ_RATLS_SESSION, false, true, true, false, false, true, OUT, false},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct toy toy = {0};
        struct ccz_err err = {0};
        struct ccz_ratls_ctx *ctx;
        struct ccz_tunnel *t;
        const struct ccz_ratls_cfg cfg = {.profile = all[i].profile,
                                          .server = all[i].server,
                                          .now_s = 1767225600,
                                          .attest = all[i].attest ? toy_attest : NULL,
                                          .attest_arg = &toy,
                                          .appraise = all[i].appraise ? toy_appraise : NULL,
                                          .appraise_arg = &toy,
                                          .peer_evidence_optional = all[i].optional,
                                          .pin = all[i].pin ? accept_key : NULL};
        CHECK(ccz_ratls_ctx_new(&ctx, &cfg, &err) == CCZ_OK);
        const struct ccz_tunnel_map map = {.side = (enum ccz_tunnel_side)all[i].side,
                                           .listen = "127.0.0.1:0",
                                           .connect = "127.0.0.1:1",
                                           .ratls = ctx,
                                           .anyone = all[i].anyone};
        ccz_rc rc = ccz_tunnel_new(&t, &(struct ccz_tunnel_cfg){.maps = &map, .maps_len = 1}, &err);
        if ((rc == CCZ_OK) != all[i].fine)
            fprintf(stderr, "case %zu: %s\n", i, err.msg);
        CHECK(rc == (all[i].fine ? CCZ_OK : CCZ_E_ARG) && !t == !all[i].fine);
        CHECK(all[i].fine || strcmp(err.where, "tunnel:config") == 0);
        ccz_tunnel_free(t);
        ccz_ratls_ctx_free(ctx);
    }
}

/* ------------------------------------------------------------------------------------- strangers */

/* More idle sockets than there may be connections: whoever attests is served all the same, before and after they came, and
 * the longest idle ones go first. */
static void test_crowd(void)
{
    enum { MAX = 40, SHARE = 16, CROWD = 100 };
    for (unsigned threads = 1; threads <= 2; threads++) {
        struct fx f = {.cfg = {.connections_max = MAX, .threads = threads}};
        struct ccz_tunnel_stats s;
        int crowd[CROWD], client[3], server[3];
        fx_open(&f);
        fx_connect(&f, &client[0], &server[0]);
        for (int i = 0; i < CROWD; i++) {
            crowd[i] = dial(ccz_tunnel_port(f.in, 0));
            if (i >= SHARE) /* one by one: it was taken, and another one made room */
                CHECK(is_closed(crowd[i - SHARE]));
        }
        for (int i = 0; i < WAIT_S * 100; i++) { /* counted a moment after it is closed */
            ccz_tunnel_stats(&s, f.in);
            if (s.open == 1 + SHARE)
                break;
            usleep(10000);
        }
        CHECK(s.open == 1 + SHARE && s.limited == CROWD - SHARE && s.accepted == 1 + CROWD);
        CHECK(log_has("failed map=in", "where=tunnel:handshakes", NULL));
        for (int i = 1; i < 3; i++)
            fx_connect(&f, &client[i], &server[i]);
        for (int i = 0; i < 3; i++) {
            send_all(client[i], "attested", 8);
            recv_text(server[i], "attested");
            close(client[i]);
            close(server[i]);
        }
        for (int i = 0; i < CROWD; i++)
            close(crowd[i]);
        fx_quiet(&f);
        fx_close(&f);
    }
}

/* Those that are attested are no part of the share, and nothing closes them. */
static void test_crowd_open(void)
{
    enum { MAX = 8, LEN = 8 };
    struct fx f = {.cfg = {.connections_max = MAX}};
    struct ccz_tunnel_stats s;
    int client[LEN], server[LEN];
    fx_open(&f);
    for (int i = 0; i < LEN; i++)
        fx_connect(&f, &client[i], &server[i]);
    ccz_tunnel_stats(&s, f.in);
    CHECK(s.open == LEN && s.limited == 0);
    ccz_tunnel_stats(&s, f.out); /* on this side nobody is a stranger */
    CHECK(s.open == LEN && s.limited == 0);
    for (int i = 0; i < LEN; i++) {
        send_all(client[i], "here", 4);
        recv_text(server[i], "here");
        close(client[i]);
        close(server[i]);
    }
    fx_quiet(&f);
    fx_close(&f);
}

/* The program side has no strangers: many that wait for one slow server all get their turn. */
static void test_crowd_out(void)
{
    enum { MAX = 8, LEN = 8 };
    struct fx f = {.cfg = {.connections_max = MAX}};
    struct ccz_tunnel_stats s;
    uint16_t port;
    int silent = listen_local(&port), client[LEN];
    f.via = port; /* nobody answers there */
    fx_open(&f);
    for (int i = 0; i < LEN; i++)
        client[i] = fx_dial(&f);
    for (int i = 0; i < WAIT_S * 100; i++) {
        ccz_tunnel_stats(&s, f.out);
        if (s.accepted == LEN)
            break;
        usleep(10000);
    }
    usleep(50000);
    ccz_tunnel_stats(&s, f.out);
    CHECK(s.accepted == LEN && s.open == LEN && s.limited == 0 && s.failed == 0);
    for (int i = 0; i < LEN; i++)
        close(client[i]);
    fx_close(&f);
    close(silent);
}

/* A handshake that ends in time is not cut by its deadline later; one that does not is, in each of its states, and not
 * before it is time. */
static void test_handshake_time(void)
{
    struct fx f = {.cfg = {.handshake_timeout_ms = 1000}};
    int client, server;
    fx_open(&f);
    fx_connect(&f, &client, &server);
    int64_t start_ms = ccz_mono_ms();
    int silent = dial(ccz_tunnel_port(f.in, 0)), half = dial(ccz_tunnel_port(f.in, 0));
    send_all(half, "\x16\x03\x01", 3); /* the head of a record */
    CHECK(is_closed(silent) && is_closed(half));
    CHECK(ccz_mono_ms() - start_ms >= 999); /* two clocks that are cut off */
    CHECK(log_has("failed map=in", "where=tunnel:handshake-timeout", "1000 ms"));
    f.server_toy.delay_ms = 3000; /* evidence takes too long: cut while it is made */
    int late = fx_dial(&f);
    CHECK(is_cut(late));
    CHECK(log_has("failed map=in", "where=tunnel:handshake-timeout", NULL));
    send_all(client, "still", 5);
    recv_text(server, "still");
    CHECK(log_count("cut map=") == 0);
    close(client);
    close(server);
    close(silent);
    close(half);
    close(late);
    fx_quiet(&f);
    fx_close(&f);
}

static const struct ccz_test tests[] = {
    {"tunnel.crowd", test_crowd},
    {"tunnel.crowd_open", test_crowd_open},
    {"tunnel.crowd_out", test_crowd_out},
    {"tunnel.handshake_time", test_handshake_time},
    {"tunnel.contexts", test_contexts},
    {"tunnel.proxy_verified", test_proxy_verified},
    {"tunnel.proxy_fails", test_proxy_fails},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

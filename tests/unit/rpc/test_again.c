/* SPDX-License-Identifier: Apache-2.0 */
/* Long connections that ask for evidence again while calls run, and are cut off when it is bad. */
#include "rpc/rpc_fixture.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "ratls/ratls_priv.h"

enum { INTERVAL_MS = 60 };

static void wait_for(atomic_int *n, int want)
{
    for (int i = 0; i < 5000 && atomic_load(n) < want; i++)
        usleep(1000);
    CHECK(atomic_load(n) == want);
}

static struct ccz_ratls_ctx *asking_ctx(bool server, struct toy *toy, int64_t timeout_ms)
{
    struct ccz_ratls_ctx *ctx = NULL;
    struct ccz_ratls_cfg cfg = {.server = server,
                                .now_s = INT64_C(1767225600),
                                .attest = toy_attest,
                                .attest_arg = toy,
                                .appraise = toy_appraise,
                                .appraise_arg = toy,
                                .require_fresh = true,
                                .reattest_interval_ms = INTERVAL_MS,
                                .reattest_timeout_ms = timeout_ms};
    CHECK(ccz_ratls_ctx_new(&ctx, &cfg, NULL) == CCZ_OK);
    return ctx;
}

static void open_both(struct fixture *f, bool server_asks, bool client_asks, int64_t timeout_ms)
{
    memset(f, 0, sizeof(*f));
    if (server_asks)
        f->server_ctx = asking_ctx(true, &f->server_toy, timeout_ms);
    if (client_asks)
        f->client_ctx = asking_ctx(false, &f->client_toy, timeout_ms);
    start_server(f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
    make_client(f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){0});
    struct ccz_err err = {0};
    CHECK(ccz_rpc_client_connect(NULL, f->client, &err) == CCZ_OK);
}

struct pending {
    atomic_int over;
    enum ccz_rpc_code code;
    struct ccz_err err;
};

static void on_done(void *arg, struct ccz_span response, const struct ccz_rpc_result *res,
                    const struct ccz_err *err)
{
    (void)response;
    struct pending *p = arg;
    p->code = res->code;
    if (err)
        p->err = *err;
    atomic_fetch_add(&p->over, 1);
}

static void begin(struct fixture *f, struct pending *p, const char *path)
{
    memset(p, 0, sizeof(*p));
    CHECK(ccz_rpc_unary_async(f->client, path, ccz_span_str("x"), NULL, on_done, p) == CCZ_OK);
}

static void echo_bytes(struct fixture *f, struct ccz_span request)
{
    CCZ_AUTO_BUF response;
    struct ccz_err err = {0};
    ccz_buf_init(&response, 1 << 22);
    ccz_rc rc = ccz_rpc_unary(&response, NULL, f->client, "/t.T/Echo", request, NULL, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK && ccz_span_eq(request, ccz_buf_span(&response)));
}

/* Calls small and large go on over one connection; each side gets its evidence again and again. */
static void calls_go_on(bool server_asks, bool client_asks)
{
    static uint8_t large[700000];
    struct fixture f;
    struct pending held;
    open_both(&f, server_asks, client_asks, 0);
    begin(&f, &held, "/t.T/Hold");
    wait_for(&f.started, 1);
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (uint8_t)(i * 13);
    int64_t until = ccz_mono_ms() + 4000;
    unsigned want_c = server_asks ? 5 : 1, want_s = client_asks ? 5 : 1;
    while ((f.client_toy.attested < want_c || f.server_toy.attested < want_s) &&
           ccz_mono_ms() < until) {
        echo_bytes(&f, ccz_span_str("small"));
        echo_bytes(&f, CCZ_SPAN(large, sizeof(large)));
    }
    CHECK(f.client_toy.attested >= want_c && f.server_toy.attested >= want_s);
    struct ccz_ratls_peer peer;
    struct ccz_err err = {0};
    CHECK(ccz_rpc_client_connect(&peer, f.client, &err) == CCZ_OK && peer.attested && peer.fresh);
    CHECK((peer.rounds > 0) == client_asks);
    if (!client_asks) /* one connection, however often the other side was asked */
        CHECK(f.server_toy.attested == 1);
    if (!server_asks)
        CHECK(f.client_toy.attested == 1);
    CHECK(atomic_load(&held.over) == 0); /* the call of before still runs */
    teardown(&f);
}

static void test_calls(void)
{
    calls_go_on(true, false);
    calls_go_on(false, true);
    calls_go_on(true, true);
}

/* What was accepted at first is refused later: the call that runs ends with the reason, on both sides' terms. */
static void test_cut_by_server(void)
{
    struct fixture f;
    struct pending held;
    struct ccz_err err = {0};
    open_both(&f, true, false, 0);
    begin(&f, &held, "/t.T/Hold");
    wait_for(&f.started, 1);
    usleep(3 * INTERVAL_MS * 1000);
    CHECK(atomic_load(&held.over) == 0);
    int64_t from = ccz_mono_ms();
    f.server_toy.appraise_rc = CCZ_E_REVOKED;
    wait_for(&held.over, 1);
    CHECK(ccz_mono_ms() - from < INTERVAL_MS + 2000); /* an interval, and a busy machine */
    CHECK(held.code == CCZ_RPC_PERMISSION_DENIED);
    CHECK(strcmp(held.err.where, "peer:policy:mrenclave") == 0 &&
          strcmp(held.err.got, "11aa") == 0);
    wait_for(&f.cancelled, 1);
    CHECK(ccz_rpc_client_connect(NULL, f.client, &err) == CCZ_E_PEER);
    teardown(&f);
}

static void test_cut_by_client(void)
{
    struct fixture f;
    struct pending held;
    open_both(&f, false, true, 0);
    begin(&f, &held, "/t.T/Hold");
    wait_for(&f.started, 1);
    usleep(3 * INTERVAL_MS * 1000);
    CHECK(atomic_load(&held.over) == 0);
    f.client_toy.appraise_rc = CCZ_E_REVOKED;
    wait_for(&held.over, 1);
    CHECK(held.code == ccz_rpc_code_of(CCZ_E_REVOKED) && held.code != CCZ_RPC_UNAVAILABLE);
    CHECK(strcmp(held.err.where, "policy:mrenclave") == 0);
    wait_for(&f.cancelled, 1); /* the server heard of it */
    teardown(&f);
}

/* Evidence takes long: calls wait, on this connection, and nothing of them is lost. */
static void test_slow(void)
{
    struct fixture f;
    struct pending calls[20];
    open_both(&f, true, true, 0);
    f.client_toy.delay_ms = f.server_toy.delay_ms = 150;
    int64_t until = ccz_mono_ms() + 1200;
    while (ccz_mono_ms() < until || f.client_toy.attested <= 2 || f.server_toy.attested <= 2) {
        for (size_t i = 0; i < 20; i++)
            begin(&f, &calls[i], i % 2 ? "/t.T/Later" : "/t.T/Echo");
        for (size_t i = 0; i < 20; i++) {
            wait_for(&calls[i].over, 1);
            CHECK(calls[i].code == CCZ_RPC_OK);
        }
    }
    teardown(&f);
}

static void test_timeout(void)
{
    struct fixture f;
    struct pending held;
    open_both(&f, true, false, 80);
    begin(&f, &held, "/t.T/Hold");
    wait_for(&f.started, 1);
    f.client_toy.delay_ms = 1500;
    wait_for(&held.over, 1);
    CHECK(held.code == CCZ_RPC_PERMISSION_DENIED);
    CHECK(strcmp(held.err.where, "peer:ratls:reattest-timeout") == 0);
    wait_for(&f.cancelled, 1);
    teardown(&f);
}

/* Stopping, and leaving, while evidence is being made. */
static void test_stop(void)
{
    for (int i = 0; i < 6; i++) {
        struct fixture f;
        struct pending held;
        open_both(&f, true, true, 0);
        f.client_toy.delay_ms = f.server_toy.delay_ms = 100;
        begin(&f, &held, "/t.T/Hold");
        wait_for(&f.started, 1);
        usleep((useconds_t)(INTERVAL_MS + 20 * i) * 1000);
        if (i % 2)
            ccz_rpc_server_stop(f.server, 20);
        else
            ccz_rpc_client_free(f.client), f.client = NULL;
        wait_for(&held.over, 1);
        wait_for(&f.done, 1);
        teardown(&f);
    }
}

/* Without anybody asking, nobody is asked. */
static void test_never(void)
{
    struct fixture f;
    setup(&f, CCZ_RATLS_SESSION);
    echo_bytes(&f, ccz_span_str("x"));
    usleep(3 * INTERVAL_MS * 1000);
    echo_bytes(&f, ccz_span_str("y"));
    CHECK(f.client_toy.attested == 1 && f.server_toy.attested == 1);
    teardown(&f);
}

/* ------------------------------------------------------------------- challenges without end */

static ccz_rc any_cert(void *arg, void *conn, struct ccz_span der, struct ccz_err *err)
{
    (void)arg, (void)conn, (void)der, (void)err;
    return CCZ_OK;
}

/* A client of its own making: TLS, the session, and then whatever it likes. */
struct rogue {
    int fd;
    struct ccz_tls_ctx *ctx;
    struct ccz_tls *tls;
    struct ccz_buf spki, plain;
    struct cczi_session s;
    struct ccz_ratls_cfg cfg;
};

static void rogue_send(struct rogue *r)
{
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 1 << 24);
    CHECK(ccz_tls_drain(&wire, r->tls) == CCZ_OK);
    for (size_t at = 0; at < wire.size;) {
        ssize_t n = send(r->fd, wire.ptr + at, wire.size - at, MSG_NOSIGNAL);
        CHECK(n > 0);
        at += (size_t)n;
    }
}

static void rogue_fill(struct rogue *r)
{
    static uint8_t bytes[65536];
    ssize_t n = recv(r->fd, bytes, sizeof(bytes), 0);
    CHECK(n > 0 && ccz_tls_feed(r->tls, CCZ_SPAN(bytes, (size_t)n)) == CCZ_OK);
}

static void rogue_session(struct rogue *r, struct ccz_span peer_spki)
{
    struct ccz_err err = {0};
    struct cczi_session_in in = {.cfg = &r->cfg,
                                 .version = CCZI_RATLS_VERSION_2,
                                 .own_spki = ccz_buf_span(&r->spki),
                                 .peer_spki = peer_spki};
    CHECK(ccz_tls_export(in.exporter, sizeof(in.exporter), r->tls, CCZI_RATLS_EXPORTER_LABEL,
                         (struct ccz_span){0}) == CCZ_OK);
    CHECK(cczi_session_init(&r->s, &in, &err) == CCZ_OK);
    for (;;) {
        CHECK(ccz_tls_write(r->tls, ccz_buf_span(&r->s.out), &err) == CCZ_OK);
        ccz_buf_clear(&r->s.out);
        rogue_send(r);
        if (cczi_session_ready(&r->s))
            return;
        rogue_fill(r);
        CHECK(ccz_tls_read(&r->s.in, r->tls, &err) == CCZ_OK);
        CHECK(cczi_session_step(&r->s, &err) == CCZ_OK);
    }
}

static void rogue_open(struct rogue *r, struct fixture *f)
{
    static const char *const alpn[] = {CCZ_RATLS_ALPN_2, NULL};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(ccz_rpc_server_port(f->server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO(ccz_cert) peer = NULL;
    CCZ_AUTO_BUF der;
    int small = 4096;
    memset(r, 0, sizeof(*r));
    ccz_buf_init(&der, 4096);
    ccz_buf_init(&r->spki, 256);
    ccz_buf_init(&r->plain, 1 << 20);
    r->cfg = (struct ccz_ratls_cfg){.attest = toy_attest,
                                    .attest_arg = &f->client_toy,
                                    .appraise = toy_appraise,
                                    .appraise_arg = &f->client_toy};
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK && ccz_key_spki(&r->spki, key) == CCZ_OK);
    const struct ccz_cert_cfg cert = {
        .cn = "rogue", .key = key, .not_after_s = INT64_C(4000000000)};
    CHECK(ccz_cert_issue(&der, &cert, NULL) == CCZ_OK);
    const struct ccz_tls_cfg tls = {
        .cert_der = ccz_buf_span(&der), .key = key, .verify = any_cert, .alpn = alpn};
    CHECK(ccz_tls_ctx_new(&r->ctx, &tls, NULL) == CCZ_OK);
    CHECK(ccz_tls_new(&r->tls, r->ctx, NULL, NULL) == CCZ_OK);
    r->fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(r->fd >= 0 && setsockopt(r->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) == 0);
    CHECK(connect(r->fd, (struct sockaddr *)&to, sizeof(to)) == 0);
    for (;;) {
        CHECK(ccz_tls_step(r->tls, NULL) == CCZ_OK);
        rogue_send(r);
        if (ccz_tls_ready(r->tls))
            break;
        rogue_fill(r);
    }
    CHECK(ccz_cert_parse(&peer, ccz_tls_peer_cert(r->tls), NULL) == CCZ_OK);
    rogue_session(r, ccz_cert_spki(peer));
}

static void rogue_close(struct rogue *r)
{
    cczi_session_deinit(&r->s);
    ccz_tls_free(r->tls);
    ccz_tls_ctx_free(r->ctx);
    ccz_buf_free(&r->spki);
    ccz_buf_free(&r->plain);
    close(r->fd);
}

/* Evidence is large, and a challenge small. Who asks and does not read is answered until the connection is full, not
 * until memory is; once he reads, it goes on. */
static void test_flood(void)
{
    enum { ASKED = 600, EVIDENCE_SIZE = 60000, FULL = 300, QUIET_MS = 500 };
    struct fixture f;
    struct rogue r;
    struct ccz_err err = {0};
    memset(&f, 0, sizeof(f));
    /* it sends no HTTP/2 at all, for which the server would end it */
    start_server(&f, CCZ_RATLS_SESSION,
                 (struct ccz_rpc_server_cfg){.handshake_timeout_ms = 300000});
    rogue_open(&r, &f);
    CHECK(f.server_toy.attested == 1);
    f.server_toy.filler = EVIDENCE_SIZE;
    for (int i = 0; i < ASKED; i++)
        CHECK(cczi_round_challenge(&r.s, &err) == CCZ_OK);
    CHECK(ccz_tls_write(r.tls, ccz_buf_span(&r.s.out), &err) == CCZ_OK);
    rogue_send(&r);
    unsigned seen = 1, same = 0; /* nothing happens before the first answer, on a busy machine */
    for (int i = 0; i < 60000 && same < QUIET_MS && f.server_toy.attested <= FULL; i++) {
        same = seen > 1 && f.server_toy.attested == seen ? same + 1 : 0;
        seen = f.server_toy.attested;
        usleep(1000);
    }
    CHECK(f.server_toy.attested > 1 && f.server_toy.attested <= FULL);
    int large = 1 << 20; /* what it has asked for need not come through a straw */
    CHECK(setsockopt(r.fd, SOL_SOCKET, SO_RCVBUF, &large, sizeof(large)) == 0);
    size_t got = 0;
    while (got < (size_t)ASKED * (EVIDENCE_SIZE + CCZI_RATLS_HEAD_SIZE)) {
        rogue_fill(&r);
        ccz_buf_clear(&r.plain);
        CHECK(ccz_tls_read(&r.plain, r.tls, &err) == CCZ_OK);
        got += r.plain.size;
    }
    CHECK(f.server_toy.attested == 1 + ASKED);
    rogue_close(&r);
    teardown(&f);
}

static const struct ccz_test tests[] = {
    {"rpc.again_never", test_never},
    {"rpc.again_flood", test_flood},
    {"rpc.again", test_calls},
    {"rpc.again_cut_by_server", test_cut_by_server},
    {"rpc.again_cut_by_client", test_cut_by_client},
    {"rpc.again_slow", test_slow},
    {"rpc.again_timeout", test_timeout},
    {"rpc.again_stop", test_stop},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Long connections that ask for evidence again while calls run, and are cut off when it is bad. */
#include "rpc/rpc_fixture.h"

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
    for (int turn = 0; ccz_mono_ms() < until; turn++) {
        for (size_t i = 0; i < 20; i++)
            begin(&f, &calls[i], i % 2 ? "/t.T/Later" : "/t.T/Echo");
        for (size_t i = 0; i < 20; i++) {
            wait_for(&calls[i].over, 1);
            CHECK(calls[i].code == CCZ_RPC_OK);
        }
    }
    CHECK(f.client_toy.attested > 2 && f.server_toy.attested > 2);
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

static const struct ccz_test tests[] = {
    {"rpc.again_never", test_never},
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

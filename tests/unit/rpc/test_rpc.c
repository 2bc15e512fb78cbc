/* SPDX-License-Identifier: Apache-2.0 */
/* Client and server over real sockets and RA-TLS: what calls do. Connections: test_channel.c. */
#include "rpc/rpc_fixture.h"
#include "rpc/server.h"

/* ------------------------------------------------------------------------------------- unary */

static void expect_echo(struct fixture *f, struct ccz_span text)
{
    struct ccz_rpc_result res;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, text.size + 1);
    ccz_rc rc = ccz_rpc_unary(&out, &res, f->client, "/t.T/Echo", text, NULL, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK && res.code == CCZ_RPC_OK && res.attempts == 1 && res.message[0] == 0);
    CHECK(ccz_span_eq(ccz_buf_span(&out), text));
}

static void unary_over(enum ccz_ratls_profile profile)
{
    struct fixture f;
    struct ccz_ratls_peer peer;
    struct ccz_err err = {0};
    setup(&f, profile);
    CHECK(ccz_rpc_client_connect(&peer, f.client, &err) == CCZ_OK);
    CHECK(peer.attested == (profile != CCZ_RATLS_TLS_ONLY_INSECURE));
    CHECK(peer.fresh == (profile == CCZ_RATLS_SESSION));
    expect_echo(&f, ccz_span_str("hello"));
    expect_echo(&f, ccz_span_str(""));
    teardown(&f);
}

static void test_unary(void)
{
    unary_over(CCZ_RATLS_SESSION);
    unary_over(CCZ_RATLS_CERTIFICATE);
    unary_over(CCZ_RATLS_TLS_ONLY_INSECURE);
}

static void test_metadata(void)
{
    struct fixture f;
    struct ccz_rpc_result res;
    struct ccz_err err = {0};
    uint8_t raw[257];
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    for (size_t i = 0; i < sizeof(raw); i++)
        raw[i] = (uint8_t)i;
    setup(&f, CCZ_RATLS_TLS_ONLY_INSECURE);
    for (size_t size = 0; size < sizeof(raw); size += 64) { /* every padding */
        const struct ccz_rpc_md md[] = {{"x-text", ccz_span_str("a text, with = and %")},
                                        {"x-raw-bin", CCZ_SPAN(raw, size)}};
        struct ccz_rpc_call_cfg cfg = {.metadata = md, .metadata_len = 2};
        ccz_buf_clear(&out);
        CHECK(ccz_rpc_unary(&out, &res, f.client, "/t.T/Metadata", (struct ccz_span){0}, &cfg,
                            &err) == CCZ_OK);
        CHECK(ccz_span_eq(ccz_buf_span(&out), CCZ_SPAN(raw, size)));
        CHECK(strcmp(res.replica, "server-1") == 0);
    }
    static const char *const forbidden[] = {"grpc-x", "te", "content-type", "Upper", ":path",
                                            "a b",    ""};
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        const struct ccz_rpc_md md = {forbidden[i], ccz_span_str("v")};
        struct ccz_rpc_call_cfg cfg = {.metadata = &md, .metadata_len = 1};
        CHECK(ccz_rpc_unary(&out, &res, f.client, "/t.T/Echo", (struct ccz_span){0}, &cfg, &err) ==
              CCZ_E_ARG);
    }
    const struct ccz_rpc_md newline = {"x-text", ccz_span_str("a\r\nx: y")};
    struct ccz_rpc_call_cfg cfg = {.metadata = &newline, .metadata_len = 1};
    CHECK(ccz_rpc_unary(&out, &res, f.client, "/t.T/Echo", (struct ccz_span){0}, &cfg, &err) ==
          CCZ_E_ARG);
    teardown(&f);
}

static void test_status(void)
{
    struct fixture f;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    setup(&f, CCZ_RATLS_TLS_ONLY_INSECURE);
    for (uint8_t code = 1; code <= CCZ_RPC_UNAUTHENTICATED; code++) {
        struct ccz_rpc_result res;
        struct ccz_err err = {0};
        ccz_rc rc =
            ccz_rpc_unary(&out, &res, f.client, "/t.T/Status", CCZ_SPAN(&code, 1), NULL, &err);
        CHECK((uint8_t)res.code == code && rc == ccz_rpc_rc_of(res.code) && rc != CCZ_OK &&
              err.rc == rc);
        CHECK(strcmp(res.message, "as asked: 100 %, \\xc3\\xa9") ==
              0); /* UTF-8 is escaped for logs */
        CHECK(strcmp(err.where, "rpc:status") == 0 && strstr(err.msg, ccz_rpc_code_name(res.code)));
    }
    struct ccz_rpc_result res;
    struct ccz_err err = {0};
    CHECK(ccz_rpc_unary(&out, &res, f.client, "/t.T/Status", (struct ccz_span){0}, NULL, &err) ==
          CCZ_E_UNSUPPORTED); /* OK without a message is no unary answer */
    CHECK(res.code == CCZ_RPC_UNIMPLEMENTED);
    CHECK(ccz_rpc_unary(&out, &res, f.client, "/t.T/Nothing", (struct ccz_span){0}, NULL, &err) ==
          CCZ_E_UNSUPPORTED);
    CHECK(res.code == CCZ_RPC_UNIMPLEMENTED && strstr(res.message, "/t.T/Nothing"));
    CHECK(ccz_rpc_unary(&out, &res, f.client, "no-slash", (struct ccz_span){0}, NULL, &err) ==
          CCZ_E_ARG);
    teardown(&f);
}

static void test_refusal(void)
{
    struct fixture f;
    struct ccz_rpc_result res;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    setup(&f, CCZ_RATLS_TLS_ONLY_INSECURE);
    CHECK(ccz_rpc_unary(&out, &res, f.client, "/t.T/Refuse", (struct ccz_span){0}, NULL, &err) ==
          CCZ_E_DENIED);
    CHECK(res.code == CCZ_RPC_PERMISSION_DENIED && strcmp(err.where, "policy:mrenclave") == 0);
    CHECK(strcmp(err.got, "11 %aa\\x0a") == 0 && strcmp(err.expected, "22bb") == 0);
    CHECK(err.aux == CCZ_E_POLICY && strcmp(err.hint, "add it to the policy") == 0);
    CHECK(strncmp(err.msg, "got 11 %aa", 10) == 0);
    CHECK(ccz_rpc_unary(&out, NULL, f.client, "/t.T/Refuse", (struct ccz_span){0}, NULL, &err) ==
          CCZ_E_DENIED);
    CHECK(strcmp(err.hint, "add it to the policy") == 0);
    teardown(&f);
}

static void fallback(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)request;
    CHECK(arg == NULL &&
          strcmp(ccz_rpc_metadata(call, ":path").size ? ccz_rpc_call_path(call) : "", "/x/Y") == 0);
    CHECK(strncmp(ccz_rpc_peer_address(call), "127.0.0.1:", 10) == 0 &&
          ccz_rpc_peer(call)->attested);
    ccz_rpc_reply(call, ccz_span_str(ccz_rpc_call_path(call)));
}

static void test_fallback(void)
{
    struct fixture f = {0};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    f.server_ctx = make_ctx(CCZ_RATLS_SESSION, true, &f.server_toy);
    struct ccz_rpc_server_cfg cfg = {.listen = "127.0.0.1:0", .ratls = f.server_ctx};
    CHECK(ccz_rpc_server_new(&f.server, &cfg, NULL) == CCZ_OK);
    ccz_rpc_server_set_fallback(f.server, fallback, NULL);
    CHECK(ccz_rpc_server_start(f.server, NULL) == CCZ_OK);
    CHECK(ccz_rpc_server_start(f.server, NULL) == CCZ_E_ARG);
    CHECK(ccz_rpc_server_add_unary(f.server, "/late/Method", fallback, NULL) == CCZ_E_ARG);
    (void)snprintf(f.target, sizeof(f.target), "127.0.0.1:%u", ccz_rpc_server_port(f.server));
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){0});
    CHECK(ccz_rpc_unary(&out, NULL, f.client, "/x/Y", (struct ccz_span){0}, NULL, NULL) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_buf_span(&out), ccz_span_str("/x/Y")));
    teardown(&f);
}

static void test_other_thread(void)
{
    struct fixture f;
    struct ccz_rpc_result res;
    setup(&f, CCZ_RATLS_SESSION);
    for (int i = 0; i < 20; i++) {
        CCZ_AUTO_BUF out;
        ccz_buf_init(&out, 4096);
        const struct ccz_rpc_md md = {"x-text", ccz_span_str("from the pool")};
        struct ccz_rpc_call_cfg cfg = {.metadata = &md, .metadata_len = 1};
        CHECK(ccz_rpc_unary(&out, &res, f.client, "/t.T/Later", (struct ccz_span){0}, &cfg, NULL) ==
              CCZ_OK);
        CHECK(ccz_span_eq(ccz_buf_span(&out), ccz_span_str("from the pool")));
        CHECK(strcmp(res.replica, "thread") == 0); /* what was queued kept its order */
    }
    teardown(&f);
}

/* The thread answers after the client has gone and after the server was freed: nothing happens. */
static void test_answer_after_end(void)
{
    struct fixture f;
    struct ccz_rpc_call_cfg cfg = {.timeout_ms = 5};
    struct ccz_rpc_result res;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 64);
    setup(&f, CCZ_RATLS_TLS_ONLY_INSECURE);
    CHECK(ccz_rpc_client_connect(NULL, f.client, NULL) == CCZ_OK);
    ccz_rc rc = ccz_rpc_unary(&out, &res, f.client, "/t.T/Later", (struct ccz_span){0}, &cfg, NULL);
    CHECK(rc == CCZ_E_TIMEOUT || rc == CCZ_OK);
    teardown(&f);
    usleep(50000); /* the thread still holds its call */
}

static _Atomic(struct ccz_rpc_call *) kept_call;
static struct ccz_span kept_request;

static void keep(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg;
    if (atomic_load(&kept_call)) /* asked twice on a slow machine */
        return;
    kept_request = request;
    ccz_rpc_call_ref(call);
    atomic_store(&kept_call, call);
}

static void add_keep(struct fixture *f)
{
    CHECK(ccz_rpc_server_add_unary(f->server, "/t.T/Keep", keep, NULL) == CCZ_OK);
}

/* A call that is kept keeps what it needs of its server: its request, and the memory of its answers, small and large. */
static void outlive(struct ccz_span request)
{
    enum { LARGE = 200000 };
    static const uint8_t large[LARGE];
    struct fixture f = {.before_start = add_keep};
    struct ccz_rpc_call_cfg cfg = {.timeout_ms = 200};
    struct ccz_rpc_result res;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 64);
    atomic_store(&kept_call, NULL);
    start_server(&f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_server_cfg){0});
    make_client(&f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_client_cfg){0});
    CHECK(ccz_rpc_client_connect(NULL, f.client, NULL) == CCZ_OK);
    for (int i = 0; i < 100 && !atomic_load(&kept_call); i++)
        CHECK(ccz_rpc_unary(&out, &res, f.client, "/t.T/Keep", request, &cfg, NULL) ==
              CCZ_E_TIMEOUT);
    teardown(&f);
    struct ccz_rpc_call *call = atomic_load(&kept_call);
    CHECK(call && ccz_rpc_cancelled(call));
    CHECK(ccz_span_eq(kept_request, request));
    ccz_rpc_add_header(call, "ccz-replica", ccz_span_str("late"));
    ccz_rpc_send(call, ccz_span_str("small"));
    ccz_rpc_send(call, CCZ_SPAN(large, LARGE));
    ccz_rpc_reply(call, kept_request);
    ccz_rpc_call_unref(call);
}

static void test_call_outlives_server(void)
{
    enum { LARGE = 300000 }; /* its memory is the stock's */
    static uint8_t large[LARGE];
    memset(large, 0x5a, sizeof(large));
    outlive(ccz_span_str("small"));
    outlive(CCZ_SPAN(large, LARGE));
}

/* ---------------------------------------------------------------------- sizes and concurrency */

static void test_large(void)
{
    struct fixture f;
    size_t size = (size_t)32 << 20;
    uint8_t *big = malloc(size);
    CHECK(big);
    for (size_t i = 0; i < size; i++)
        big[i] = (uint8_t)(i * 2654435761u >> 24);
    setup(&f, CCZ_RATLS_SESSION);
    expect_echo(&f, CCZ_SPAN(big, size));
    expect_echo(&f, CCZ_SPAN(big, 1000000));
    free(big);
    teardown(&f);
}

static void test_limits(void)
{
    struct fixture f = {0};
    struct ccz_rpc_result res;
    struct ccz_err err = {0};
    static uint8_t bytes[5000];
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 20);
    start_server(&f, CCZ_RATLS_TLS_ONLY_INSECURE,
                 (struct ccz_rpc_server_cfg){.message_size_max = 4000});
    make_client(&f, CCZ_RATLS_TLS_ONLY_INSECURE,
                (struct ccz_rpc_client_cfg){.message_size_max = 3000});
    CHECK(ccz_rpc_unary(&out, &res, f.client, "/t.T/Echo", CCZ_SPAN(bytes, 3000), NULL, &err) ==
          CCZ_OK);
    CHECK(ccz_rpc_unary(&out, &res, f.client, "/t.T/Echo", CCZ_SPAN(bytes, 3001), NULL, &err) ==
          CCZ_E_LIMIT);
    CHECK(res.code == CCZ_RPC_RESOURCE_EXHAUSTED &&
          atomic_load(&f.echoes) == 2); /* refused by the client */
    CHECK(ccz_rpc_unary(&out, &res, f.client, "/t.T/Echo", CCZ_SPAN(bytes, 4001), NULL, &err) ==
          CCZ_E_LIMIT);
    CHECK(res.code == CCZ_RPC_RESOURCE_EXHAUSTED &&
          atomic_load(&f.echoes) == 2); /* and by the server */
    CHECK(ccz_rpc_unary(&out, &res, f.client, "/t.T/Echo", CCZ_SPAN(bytes, 10), NULL, &err) ==
          CCZ_OK);
    ccz_buf_free(&out);
    ccz_buf_init(&out, 5);
    CHECK(ccz_rpc_unary(&out, &res, f.client, "/t.T/Echo", CCZ_SPAN(bytes, 6), NULL, &err) ==
          CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "rpc:response") == 0);
    teardown(&f);
}

struct tally {
    atomic_int ok, failed;
};

static void on_done(void *arg, struct ccz_span response, const struct ccz_rpc_result *res,
                    const struct ccz_err *err)
{
    struct tally *t = arg;
    bool ok = res->code == CCZ_RPC_OK && !err && response.size == 100 &&
              response.ptr[0] == response.ptr[99];
    atomic_fetch_add(ok ? &t->ok : &t->failed, 1);
}

static void concurrent(unsigned threads, unsigned connections)
{
    enum { CALLS = 1000 };
    struct fixture f = {0};
    struct tally t = {0};
    start_server(&f, CCZ_RATLS_SESSION,
                 (struct ccz_rpc_server_cfg){.threads = threads, .streams_max = 100});
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.connections = connections});
    for (int i = 0; i < CALLS; i++) {
        uint8_t body[100];
        memset(body, i, sizeof(body));
        CHECK(ccz_rpc_unary_async(f.client, "/t.T/Echo", CCZ_SPAN(body, sizeof(body)), NULL,
                                  on_done, &t) == CCZ_OK);
    }
    for (int i = 0; i < 20000 && atomic_load(&t.ok) + atomic_load(&t.failed) < CALLS; i++)
        usleep(1000);
    CHECK(atomic_load(&t.ok) == CALLS && atomic_load(&f.echoes) == CALLS);
    teardown(&f);
}

static void test_concurrent(void)
{
    concurrent(1, 1);
    concurrent(3, 4);
}

static void *call_many(void *arg)
{
    for (int i = 0; i < 50; i++)
        expect_echo(arg, ccz_span_str("from one of many threads"));
    return NULL;
}

static void test_threads(void)
{
    struct fixture f;
    pthread_t t[8];
    setup(&f, CCZ_RATLS_TLS_ONLY_INSECURE);
    for (size_t i = 0; i < 8; i++)
        CHECK(pthread_create(&t[i], NULL, call_many, &f) == 0);
    for (size_t i = 0; i < 8; i++)
        pthread_join(t[i], NULL);
    teardown(&f);
}

/* ------------------------------------------------------------------------- deadline and cancel */

static void wait_for(atomic_int *n, int want)
{
    for (int i = 0; i < 5000 && atomic_load(n) < want; i++)
        usleep(1000);
    CHECK(atomic_load(n) == want);
}

/* A server's own deadline may come first: its reset, with our deadline passed but our timer not run yet. */
struct late {
    _Atomic(struct ccz_rpc_call *) held;
    atomic_bool busy, go_on;
    atomic_int code;
};
static struct late late;

static void late_start(struct ccz_rpc_call *call, void *arg)
{
    (void)arg;
    ccz_rpc_call_ref(call);
    atomic_store(&late.held, call);
}

static void late_reset(void *arg)
{
    struct ccz_rpc_call *call = arg;
    cczi_stream_reset(&call->st, NGHTTP2_CANCEL);
    cczi_sconn_flush(call->conn);
    ccz_rpc_call_unref(call);
    atomic_store(&late.go_on, true);
}

static void late_done(void *arg, struct ccz_span response, const struct ccz_rpc_result *result,
                      const struct ccz_err *err)
{
    (void)arg, (void)response;
    CHECK(err && err->rc == ccz_rpc_rc_of(result->code));
    atomic_store(&late.code, (int)result->code);
}

/* Keeps the client's loop until the reset waits in its socket and the deadline is over. */
static void keep_loop(void *arg, struct ccz_span response, const struct ccz_rpc_result *result,
                      const struct ccz_err *err)
{
    (void)response, (void)result, (void)err;
    atomic_store(&late.busy, true);
    while (!atomic_load(&late.go_on))
        usleep(1000);
    while (ccz_mono_ms() <= *(const int64_t *)arg + 20)
        usleep(1000);
}

static void add_late(struct fixture *f)
{
    struct ccz_rpc_handler handler = {.on_start = late_start};
    CHECK(ccz_rpc_server_add(f->server, "/t.T/Late", &handler, NULL) == CCZ_OK);
}

static void test_deadline_reset(void)
{
    enum { TIMEOUT_MS = 400 };
    struct fixture f = {.before_start = add_late};
    const struct ccz_rpc_call_cfg cfg = {.timeout_ms = TIMEOUT_MS};
    late = (struct late){0};
    atomic_store(&late.code, -1);
    start_server(&f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_server_cfg){0});
    make_client(&f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_client_cfg){0});
    CHECK(ccz_rpc_client_connect(NULL, f.client, NULL) == CCZ_OK);
    CHECK(ccz_rpc_unary_async(f.client, "/t.T/Late", (struct ccz_span){0}, &cfg, late_done, NULL) ==
          CCZ_OK);
    int64_t deadline = ccz_mono_ms() + TIMEOUT_MS;
    while (!atomic_load(&late.held))
        usleep(1000);
    CHECK(ccz_rpc_unary_async(f.client, "/t.T/Echo", (struct ccz_span){0}, NULL, keep_loop,
                              &deadline) == CCZ_OK);
    while (!atomic_load(&late.busy))
        usleep(1000);
    struct ccz_rpc_call *call = atomic_load(&late.held);
    CHECK(ccz_loop_post(call->loop, late_reset, call) == CCZ_OK);
    for (int i = 0; i < 2000 && atomic_load(&late.code) < 0; i++)
        usleep(1000);
    CHECK(atomic_load(&late.code) == CCZ_RPC_DEADLINE_EXCEEDED);
    teardown(&f);
}

static void test_deadline(void)
{
    struct fixture f;
    struct ccz_rpc_result res;
    struct ccz_err err = {0};
    struct ccz_rpc_call_cfg cfg = {.timeout_ms = 60};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 64);
    setup(&f, CCZ_RATLS_SESSION);
    CHECK(ccz_rpc_client_connect(NULL, f.client, NULL) == CCZ_OK);
    do { /* on a busy machine it may be over before the server has heard of it */
        int64_t before = ccz_mono_ms();
        CHECK(ccz_rpc_unary(&out, &res, f.client, "/t.T/Hold", (struct ccz_span){0}, &cfg, &err) ==
              CCZ_E_TIMEOUT);
        int64_t took = ccz_mono_ms() - before;
        CHECK(res.code == CCZ_RPC_DEADLINE_EXCEEDED && took >= 60 && took < 30000);
        expect_echo(&f, ccz_span_str("behind it"));
    } while (atomic_load(&f.started) == 0);
    wait_for(&f.done, 1);
    CHECK(atomic_load(&f.started) == 1 && atomic_load(&f.cancelled) == 1);
    expect_echo(&f, ccz_span_str("the connection goes on"));
    teardown(&f);
}

static void test_cancel(void)
{
    struct fixture f;
    struct ccz_rpc_stream *s = NULL;
    struct ccz_rpc_result res = {0};
    struct ccz_err err = {0};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 64);
    setup(&f, CCZ_RATLS_SESSION);
    CHECK(ccz_rpc_stream_open(&s, f.client, "/t.T/Hold", NULL, &err) == CCZ_OK);
    CHECK(ccz_rpc_stream_send(s, ccz_span_str("x")) == CCZ_OK);
    wait_for(&f.started, 1);
    ccz_rpc_stream_cancel(s);
    CHECK(ccz_rpc_stream_recv(&out, s, &res, &err) == CCZ_E_CLOSED &&
          res.code == CCZ_RPC_CANCELLED);
    CHECK(ccz_rpc_stream_send(s, ccz_span_str("x")) == CCZ_E_CLOSED);
    ccz_rpc_stream_free(s);
    wait_for(&f.done, 1);
    CHECK(atomic_load(&f.cancelled) == 1);

    CHECK(ccz_rpc_stream_open(&s, f.client, "/t.T/Hold", NULL, &err) == CCZ_OK); /* by freeing it */
    wait_for(&f.started, 2);
    ccz_rpc_stream_free(s);
    wait_for(&f.cancelled, 2);

    CHECK(ccz_rpc_stream_open(&s, f.client, "/t.T/Hold", NULL, &err) ==
          CCZ_OK); /* by freeing the client */
    wait_for(&f.started, 3);
    ccz_rpc_client_free(f.client);
    f.client = NULL;
    CHECK(ccz_rpc_stream_recv(&out, s, &res, &err) == CCZ_E_CLOSED &&
          strcmp(err.where, "rpc:cancelled") == 0);
    ccz_rpc_stream_free(s);
    wait_for(&f.cancelled, 3);
    teardown(&f);
}

/* ----------------------------------------------------------------------------------- streaming */

static void test_client_streaming(void)
{
    struct fixture f;
    struct ccz_rpc_stream *s = NULL;
    struct ccz_rpc_result res = {0};
    struct ccz_err err = {0};
    static uint8_t block[10000];
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 64);
    setup(&f, CCZ_RATLS_SESSION);
    CHECK(ccz_rpc_stream_open(&s, f.client, "/t.T/Sum", NULL, &err) == CCZ_OK);
    for (int i = 0; i < 2000; i++) /* 20 MB: more than any window */
        CHECK(ccz_rpc_stream_send(s, CCZ_SPAN(block, sizeof(block))) == CCZ_OK);
    CHECK(ccz_rpc_stream_half_close(s) == CCZ_OK);
    CHECK(ccz_rpc_stream_send(s, CCZ_SPAN(block, 1)) == CCZ_E_CLOSED);
    CHECK(ccz_rpc_stream_recv(&out, s, &res, &err) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_buf_span(&out), ccz_span_str("20000000 in 2000")));
    CHECK(ccz_rpc_stream_recv(&out, s, &res, &err) == CCZ_E_NOT_FOUND && res.code == CCZ_RPC_OK);
    ccz_rpc_stream_free(s);
    wait_for(&f.done, 1);
    teardown(&f);
}

static void test_server_streaming(void)
{
    struct fixture f;
    struct ccz_rpc_stream *s = NULL;
    struct ccz_rpc_result res = {0};
    struct ccz_err err = {0};
    size_t len = 0;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    setup(&f, CCZ_RATLS_SESSION);
    CHECK(ccz_rpc_stream_open(&s, f.client, "/t.T/Count", NULL, &err) == CCZ_OK);
    CHECK(ccz_rpc_stream_send(s, ccz_span_str("20000")) == CCZ_OK &&
          ccz_rpc_stream_half_close(s) == CCZ_OK);
    usleep(100000); /* a slow reader: flow control holds the server back (count_done checks) */
    ccz_rc rc;
    while ((rc = ccz_rpc_stream_recv(&out, s, &res, &err)) == CCZ_OK) {
        CHECK(out.size == 1000);
        ccz_buf_clear(&out);
        len++;
    }
    CHECK(rc == CCZ_E_NOT_FOUND && len == 20000 && res.code == CCZ_RPC_OK);
    ccz_rpc_stream_free(s);
    teardown(&f);
}

static void test_bidi(void)
{
    struct fixture f;
    struct ccz_rpc_stream *s = NULL;
    struct ccz_rpc_result res = {0};
    struct ccz_err err = {0};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    setup(&f, CCZ_RATLS_SESSION);
    CHECK(ccz_rpc_stream_open(&s, f.client, "/t.T/Bidi", NULL, &err) == CCZ_OK);
    for (int i = 0; i < 300; i++) { /* ping-pong */
        char text[32];
        (void)snprintf(text, sizeof(text), "message %d", i);
        ccz_buf_clear(&out);
        CHECK(ccz_rpc_stream_send(s, ccz_span_str(text)) == CCZ_OK);
        CHECK(ccz_rpc_stream_recv(&out, s, &res, &err) == CCZ_OK);
        CHECK(ccz_span_eq(ccz_buf_span(&out), ccz_span_str(text)));
    }
    CHECK(ccz_rpc_stream_half_close(s) == CCZ_OK);
    CHECK(ccz_rpc_stream_recv(&out, s, &res, &err) == CCZ_E_NOT_FOUND);
    ccz_rpc_stream_free(s);

    CHECK(ccz_rpc_stream_open(&s, f.client, "/t.T/Nothing", NULL, &err) == CCZ_OK);
    CHECK(ccz_rpc_stream_recv(&out, s, &res, &err) == CCZ_E_UNSUPPORTED &&
          res.code == CCZ_RPC_UNIMPLEMENTED);
    ccz_rpc_stream_free(s);
    CHECK(ccz_rpc_stream_open(&s, f.client, "bad", NULL, &err) == CCZ_E_ARG &&
          strcmp(err.where, "rpc:path") == 0);
    teardown(&f);
}

/* A unary method gets no message, or two. */
static void test_cardinality(void)
{
    struct fixture f;
    struct ccz_rpc_stream *s = NULL;
    struct ccz_rpc_result res = {0};
    struct ccz_err err = {0};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    setup(&f, CCZ_RATLS_TLS_ONLY_INSECURE);
    for (int messages = 0; messages <= 2; messages += 2) {
        CHECK(ccz_rpc_stream_open(&s, f.client, "/t.T/Echo", NULL, &err) == CCZ_OK);
        for (int i = 0; i < messages; i++)
            CHECK(ccz_rpc_stream_send(s, ccz_span_str("x")) == CCZ_OK);
        CHECK(ccz_rpc_stream_half_close(s) == CCZ_OK || messages == 2);
        CHECK(ccz_rpc_stream_recv(&out, s, &res, &err) == CCZ_E_UNSUPPORTED &&
              res.code == CCZ_RPC_UNIMPLEMENTED);
        ccz_rpc_stream_free(s);
    }
    for (int answers = 0; answers <= 2; answers += 2) { /* and a unary call gets none, or two */
        const char *n = answers ? "2" : "0";
        CHECK(ccz_rpc_unary(&out, &res, f.client, "/t.T/Count", ccz_span_str(n), NULL, &err) ==
              CCZ_E_UNSUPPORTED);
        CHECK(res.code == CCZ_RPC_UNIMPLEMENTED);
    }
    CHECK(atomic_load(&f.echoes) == 0);
    CHECK(ccz_rpc_unary(&out, &res, f.client, "/t.T/Bidi", ccz_span_str("x"), NULL, &err) ==
          CCZ_OK);
    teardown(&f);
}

/* ---------------------------------------------------------------------------- limits that never come */

/* INT64_MAX is no limit, and no sum of it wraps: other deadlines of the client stay what they are. */
static void test_never(void)
{
    static struct fixture f;
    struct ccz_err err = {0};
    struct ccz_rpc_result res;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1000);
    start_server(&f, CCZ_RATLS_TLS_ONLY_INSECURE,
                 (struct ccz_rpc_server_cfg){.keepalive_ms = INT64_MAX,
                                             .handshake_timeout_ms = INT64_MAX,
                                             .connection_age_ms = INT64_MAX,
                                             .connection_age_grace_ms = INT64_MAX});
    make_client(&f, CCZ_RATLS_TLS_ONLY_INSECURE,
                (struct ccz_rpc_client_cfg){.reconnect = true,
                                            .keepalive_ms = INT64_MAX,
                                            .connect_timeout_ms = INT64_MAX,
                                            .backoff_max_ms = INT64_MAX});
    const struct ccz_rpc_call_cfg never = {.timeout_ms = INT64_MAX, .retries = 3};
    CHECK(ccz_rpc_unary(&out, &res, f.client, "/t.T/Echo", ccz_span_str("x"), &never, &err) ==
          CCZ_OK);
    CHECK(ccz_rpc_unary(&out, &res, f.client, "/t.T/Left", ccz_span_str("x"), &never, &err) ==
          CCZ_OK);
    CHECK(
        ccz_span_eq(ccz_buf_span(&out), ccz_span_str("xnone"))); /* nor is the server told of one */
    ccz_rpc_server_free(f.server);
    f.server = NULL;
    const struct ccz_rpc_call_cfg soon = {.timeout_ms = 500, .wait_for_ready = true};
    CHECK(ccz_rpc_unary(&out, &res, f.client, "/t.T/Echo", ccz_span_str("x"), &soon, &err) ==
          CCZ_E_TIMEOUT);
    CHECK(strcmp(err.where, "rpc:deadline") == 0);
    teardown(&f);
}

static void *stop_server_never(void *arg)
{
    ccz_rpc_server_stop(arg, INT64_MAX);
    return NULL;
}

/* A grace without end waits for the last call. */
static void test_never_stop(void)
{
    static struct fixture f;
    struct ccz_err err = {0};
    struct ccz_rpc_stream *s;
    struct ccz_rpc_result res;
    pthread_t t;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1000);
    setup(&f, CCZ_RATLS_TLS_ONLY_INSECURE);
    const struct ccz_rpc_call_cfg never = {.timeout_ms = INT64_MAX};
    CHECK(ccz_rpc_stream_open(&s, f.client, "/t.T/Bidi", &never, &err) == CCZ_OK);
    CHECK(ccz_rpc_stream_send(s, ccz_span_str("a")) == CCZ_OK);
    CHECK(ccz_rpc_stream_recv(&out, s, &res, &err) == CCZ_OK);
    CHECK(pthread_create(&t, NULL, stop_server_never, f.server) == 0);
    usleep(700000); /* some ticks, in which it would be cancelled */
    CHECK(ccz_rpc_stream_send(s, ccz_span_str("b")) == CCZ_OK);
    CHECK(ccz_rpc_stream_recv(&out, s, &res, &err) == CCZ_OK);
    CHECK(ccz_rpc_stream_half_close(s) == CCZ_OK);
    CHECK(ccz_rpc_stream_recv(&out, s, &res, &err) == CCZ_E_NOT_FOUND && res.code == CCZ_RPC_OK);
    CHECK(ccz_span_eq(ccz_buf_span(&out), ccz_span_str("ab")));
    CHECK(pthread_join(t, NULL) == 0);
    ccz_rpc_stream_free(s);
    teardown(&f);
}

static const struct ccz_test tests[] = {
    {"rpc.unary", test_unary},
    {"rpc.metadata", test_metadata},
    {"rpc.status", test_status},
    {"rpc.refusal", test_refusal},
    {"rpc.fallback", test_fallback},
    {"rpc.other_thread", test_other_thread},
    {"rpc.answer_after_end", test_answer_after_end},
    {"rpc.call_outlives_server", test_call_outlives_server},
    {"rpc.large", test_large},
    {"rpc.limits", test_limits},
    {"rpc.concurrent", test_concurrent},
    {"rpc.threads", test_threads},
    {"rpc.deadline", test_deadline},
    {"rpc.deadline_reset", test_deadline_reset},
    {"rpc.cancel", test_cancel},
    {"rpc.client_streaming", test_client_streaming},
    {"rpc.server_streaming", test_server_streaming},
    {"rpc.bidi", test_bidi},
    {"rpc.never", test_never},
    {"rpc.never_stop", test_never_stop},
    {"rpc.cardinality", test_cardinality},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that speak RA-TLS correctly and HTTP/2 with bad intentions, or leave at a bad moment. */
#include "raw_client.h"

/* Everything queued leaves in one piece, so that the server's TLS sees data and the end at once:
 * what it answers to the data cannot be sent any more. */
static void leave(struct fixture *f, const void *last, size_t size)
{
    struct raw r;
    raw_open(&r, f);
    raw_write(&r, preface, PREFACE_SIZE);
    raw_write(&r, last, size);
    ccz_ratls_close(r.ratls);
    raw_flush(&r);
    while (raw_fill(&r)) /* until the server is done with us */
        ;
    raw_close(&r);
}

static void test_leave_while_answering(void)
{
    static const uint8_t ping[] = {0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
    static const uint8_t bad[] = {0, 0, 1, 6, 0, 0, 0, 0, 0, 0}; /* PING has 8 bytes: GOAWAY */
    struct fixture f;
    setup(&f, CCZ_RATLS_SESSION);
    for (int i = 0; i < 4; i++) {
        leave(&f, ping, sizeof(ping));
        leave(&f, bad, sizeof(bad));
    }
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 64);
    CHECK(ccz_rpc_unary(&out, NULL, f.client, "/t.T/Echo", ccz_span_str("alive"), NULL, NULL) ==
          CCZ_OK);
    CHECK(ccz_span_eq(ccz_buf_span(&out), ccz_span_str("alive")));
    teardown(&f);
}

/* Keeps its call, and so the request, until the test says otherwise. */
struct kept {
    pthread_mutex_t lock;
    struct ccz_rpc_call *call[8];
    size_t len;
};

static void keep(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    struct kept *k = arg;
    (void)request;
    pthread_mutex_lock(&k->lock);
    CHECK(k->len < 8);
    ccz_rpc_call_ref(call);
    k->call[k->len++] = call;
    pthread_mutex_unlock(&k->lock);
}

struct outcome {
    atomic_int ok, exhausted, other;
};

static void on_outcome(void *arg, struct ccz_span response, const struct ccz_rpc_result *res,
                       const struct ccz_err *err)
{
    struct outcome *o = arg;
    (void)response, (void)err;
    atomic_fetch_add(res->code == CCZ_RPC_OK                   ? &o->ok
                     : res->code == CCZ_RPC_RESOURCE_EXHAUSTED ? &o->exhausted
                                                               : &o->other,
                     1);
}

static size_t kept_len(struct kept *k)
{
    pthread_mutex_lock(&k->lock);
    size_t len = k->len;
    pthread_mutex_unlock(&k->lock);
    return len;
}

/* Many connections, each within its own limits: the server's limit over all of them holds. */
static void test_requests_size_max(void)
{
    enum { SIZE = 600000, CLIENTS = 6 };
    struct fixture f = {0};
    struct kept k = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct outcome o = {0};
    struct ccz_rpc_client *clients[CLIENTS];
    uint8_t *request = calloc(1, SIZE);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 64);
    CHECK(request);
    f.server_ctx = make_ctx(CCZ_RATLS_SESSION, true, &f.server_toy);
    struct ccz_rpc_server_cfg cfg = {.listen = "127.0.0.1:0",
                                     .ratls = f.server_ctx,
                                     .threads = 2,
                                     .message_size_max = 1 << 20,
                                     .requests_size_max = 2 << 20};
    CHECK(ccz_rpc_server_new(&f.server, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_rpc_server_add_unary(f.server, "/t.T/Keep", keep, &k) == CCZ_OK);
    CHECK(ccz_rpc_server_start(f.server, NULL) == CCZ_OK);
    (void)snprintf(f.target, sizeof(f.target), "127.0.0.1:%u", ccz_rpc_server_port(f.server));
    for (int i = 0; i < CLIENTS; i++) {
        make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){0});
        clients[i] = f.client;
        CHECK(ccz_rpc_unary_async(clients[i], "/t.T/Keep", CCZ_SPAN(request, SIZE), NULL,
                                  on_outcome, &o) == CCZ_OK);
        while (kept_len(&k) + (size_t)atomic_load(&o.exhausted) < (size_t)i + 1)
            usleep(1000);
    }
    CHECK(k.len == 3 && o.exhausted == 3); /* 3 of 600,000 bytes fit into 2 MiB */
    ccz_rpc_client_free(
        clients[0]); /* its stream is gone, its request is still held by the handler */
    clients[0] = NULL;
    while (!ccz_rpc_cancelled(k.call[0]))
        usleep(1000);
    CHECK(ccz_rpc_unary(&out, NULL, clients[5], "/t.T/Keep", CCZ_SPAN(request, SIZE), NULL, NULL) ==
          CCZ_E_LIMIT);
    for (size_t i = 0; i < k.len; i++) {
        ccz_rpc_reply(k.call[i], (struct ccz_span){0});
        ccz_rpc_call_unref(k.call[i]);
    }
    while (atomic_load(&o.ok) < 2)
        usleep(1000);
    k.len = 0; /* and what was given back can be used again */
    CHECK(ccz_rpc_unary_async(clients[5], "/t.T/Keep", CCZ_SPAN(request, SIZE), NULL, on_outcome,
                              &o) == CCZ_OK);
    while (kept_len(&k) == 0 && atomic_load(&o.exhausted) == 3)
        usleep(1000);
    CHECK(kept_len(&k) == 1);
    f.client = NULL;
    for (int i = 0; i < CLIENTS; i++)
        ccz_rpc_client_free(clients[i]);
    teardown(&f);
    ccz_rpc_call_unref(k.call[0]); /* a call may outlive even its server */
    free(request);
}

/* An attested client that does not speak HTTP/2. */
static void test_no_preface(void)
{
    struct fixture f;
    struct raw r;
    setup(&f, CCZ_RATLS_SESSION);
    raw_open(&r, &f);
    raw_write(&r, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
    raw_flush(&r);
    while (raw_fill(&r)) /* the server ends the connection */
        ;
    raw_close(&r);
    teardown(&f);
}

/* ------------------------------------------------------------- clients that ignore their own deadline */

static void wait_for(atomic_int *n, int want)
{
    for (int i = 0; i < 5000 && atomic_load(n) < want; i++)
        usleep(1000);
    CHECK(atomic_load(n) == want);
}

/* The server keeps the deadline itself: with a status, or by a reset if the answer is not taken. */
static void test_server_deadline(void)
{
    struct fixture f;
    setup(&f, CCZ_RATLS_SESSION);
    for (int stuck = 0; stuck < 2; stuck++) {
        static const uint8_t window_0[] = {0, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0, 0, 0, 0};
        struct raw r;
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, 4096);
        raw_open(&r, &f);
        ccz_buf_put(&b, preface, PREFACE_SIZE);
        if (stuck) /* Sum has answered, but no byte of it can leave */
            put_frame(&b, NGHTTP2_SETTINGS, 0, 0, CCZ_SPAN(window_0, sizeof(window_0)));
        put_request(&b, stuck ? "/t.T/Sum" : "/t.T/Hold", "200m");
        if (stuck)
            put_frame(&b, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, (struct ccz_span){0});
        raw_write(&r, b.ptr, b.size);
        int64_t from = ccz_mono_ms();
        raw_flush(&r);
        wait_for(&f.done, stuck + 1);
        CHECK(ccz_mono_ms() - from >= 190 && ccz_mono_ms() - from < 3000);
        raw_close(&r);
    }
    CHECK(atomic_load(&f.cancelled) == 1);
    teardown(&f);
}

static const struct ccz_test tests[] = {
    {"rpc.requests_size_max", test_requests_size_max},
    {"rpc.no_preface", test_no_preface},
    {"rpc.server_deadline", test_server_deadline},
    {"rpc.leave_while_answering", test_leave_while_answering},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers that passed attestation and then try to use up a client's memory or time. Each call ends with an error, at its deadline
 * at the latest; the memory of the process stays within a bound, and calls to another server go on.
 */
#include "raw_client.h"
#include "rpc/rpc_priv.h"

#include <poll.h>

enum { MIB = 1 << 20, CALL_MS = 1500, MEMORY_MAX = 16 * MIB };

/* What the server says once a request came, and how often. */
struct lie {
    const char *name;
    void (*put)(struct ccz_buf *b, unsigned turn);
    unsigned turns;
    bool reads;                      /* it takes what the client answers */
    enum ccz_rpc_code code, or_code; /* how the call ends */
};

static struct cczi_out *bomb; /* a message of 32 MiB, compressed */

static void put_answer(struct ccz_buf *b, const char *encoding, uint8_t flags)
{
    CCZ_AUTO_BUF block;
    ccz_buf_init(&block, 1024);
    put_header(&block, ":status", "200");
    put_header(&block, "content-type", "application/grpc");
    if (encoding)
        put_header(&block, "grpc-encoding", encoding);
    put_frame(b, NGHTTP2_HEADERS, flags, 1, ccz_buf_span(&block));
}

static void put_garbage(struct ccz_buf *b, unsigned turn)
{
    for (unsigned i = 0; i < 4096; i++)
        ccz_buf_u8(b, (uint8_t)((i * 2654435761u + turn) >> 13));
}

static void put_continuations(struct ccz_buf *b, unsigned turn)
{
    CCZ_AUTO_BUF block;
    ccz_buf_init(&block, 1024);
    put_header(&block, "x-more", "and more");
    if (turn == 0)
        put_answer(b, NULL, 0);
    for (int i = 0; i < 100; i++)
        put_frame(b, NGHTTP2_CONTINUATION, 0, 1, ccz_buf_span(&block));
}

static void put_table_bomb(struct ccz_buf *b, unsigned turn)
{
    enum { VALUE = 4000, REFERENCES = 12000 };
    CCZ_AUTO_BUF block;
    ccz_buf_init(&block, 1 << 16);
    put_header(&block, ":status", turn == 0 ? "103" : "200");
    put_header(&block, "content-type", "application/grpc");
    ccz_buf_put(&block, "\x40\6x-bomb\x7f", 9);
    ccz_buf_u8(&block, 0x80 | ((VALUE - 127) & 0x7f));
    ccz_buf_u8(&block, (VALUE - 127) >> 7);
    uint8_t *p = ccz_buf_extend(&block, VALUE + REFERENCES);
    CHECK(p);
    memset(p, 'b', VALUE);
    memset(p + VALUE, 0x80 | 62, REFERENCES);
    put_frame(b, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, ccz_buf_span(&block));
}

static void put_informational(struct ccz_buf *b, unsigned turn)
{
    CCZ_AUTO_BUF block;
    (void)turn;
    ccz_buf_init(&block, 1024);
    put_header(&block, ":status", "103");
    put_header(&block, "x-early", "hint");
    for (int i = 0; i < 100; i++)
        put_frame(b, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, ccz_buf_span(&block));
}

static void put_oversized(struct ccz_buf *b, unsigned turn)
{
    (void)turn;
    put_answer(b, NULL, NGHTTP2_FLAG_END_HEADERS);
    put_frame(b, NGHTTP2_DATA, 0, 1, CCZ_SPAN("\0\xff\xff\xff\xff....", 9));
}

static void put_compressed(struct ccz_buf *b, unsigned turn)
{
    enum { PIECE = 16384 };
    (void)turn;
    put_frame(b, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, (struct ccz_span){0});
    put_answer(b, "gzip", NGHTTP2_FLAG_END_HEADERS);
    for (size_t at = 0; at < bomb->size; at += PIECE) {
        size_t n = bomb->size - at < PIECE ? bomb->size - at : PIECE;
        put_frame(b, NGHTTP2_DATA, 0, 1, CCZ_SPAN(bomb->bytes + at, n));
    }
}

static void put_ping(struct ccz_buf *b, unsigned turn)
{
    (void)turn;
    for (int i = 0; i < 200; i++)
        put_frame(b, NGHTTP2_PING, 0, 0, ccz_span_str("12345678"));
}

static void put_settings(struct ccz_buf *b, unsigned turn)
{
    (void)turn;
    for (int i = 0; i < 200; i++)
        put_frame(b, NGHTTP2_SETTINGS, 0, 0, (struct ccz_span){0});
}

static void put_empty_data(struct ccz_buf *b, unsigned turn)
{
    if (turn == 0)
        put_answer(b, NULL, NGHTTP2_FLAG_END_HEADERS);
    for (int i = 0; i < 200; i++)
        put_frame(b, NGHTTP2_DATA, 0, 1, (struct ccz_span){0});
}

/* Before it has said that it heard of our SETTINGS, which forbid it, and after. */
static void put_push(struct ccz_buf *b, unsigned turn)
{
    uint8_t body[] = {0, 0, 0, (uint8_t)(2 * turn + 2), 0x82, 0x87, 0x84};
    if (turn == 300)
        put_frame(b, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, (struct ccz_span){0});
    body[2] = (uint8_t)((2 * turn + 2) >> 8);
    put_frame(b, NGHTTP2_PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, 1, CCZ_SPAN(body, sizeof(body)));
}

static void put_nothing(struct ccz_buf *b, unsigned turn)
{
    (void)b, (void)turn;
}

static const struct lie lies[] = {
    {"garbage", put_garbage, 1, true, CCZ_RPC_UNAVAILABLE, CCZ_RPC_UNAVAILABLE},
    {"continuation", put_continuations, 1, true, CCZ_RPC_UNAVAILABLE, CCZ_RPC_UNAVAILABLE},
    {"table bomb", put_table_bomb, 2, true, CCZ_RPC_INTERNAL, CCZ_RPC_RESOURCE_EXHAUSTED},
    {"informational", put_informational, 2000, true, CCZ_RPC_INTERNAL, CCZ_RPC_RESOURCE_EXHAUSTED},
    {"oversized", put_oversized, 1, true, CCZ_RPC_RESOURCE_EXHAUSTED, CCZ_RPC_RESOURCE_EXHAUSTED},
    {"gzip bomb", put_compressed, 1, true, CCZ_RPC_RESOURCE_EXHAUSTED, CCZ_RPC_RESOURCE_EXHAUSTED},
    {"ping", put_ping, 2000, false, CCZ_RPC_UNAVAILABLE, CCZ_RPC_DEADLINE_EXCEEDED},
    {"settings", put_settings, 2000, false, CCZ_RPC_UNAVAILABLE, CCZ_RPC_DEADLINE_EXCEEDED},
    {"empty data", put_empty_data, 500, true, CCZ_RPC_DEADLINE_EXCEEDED, CCZ_RPC_DEADLINE_EXCEEDED},
    {"push", put_push, 301, true, CCZ_RPC_UNAVAILABLE, CCZ_RPC_UNAVAILABLE},
    {"nothing", put_nothing, 0, true, CCZ_RPC_DEADLINE_EXCEEDED, CCZ_RPC_DEADLINE_EXCEEDED},
};

/* ---------------------------------------------------------------------------------- the server */

struct mock {
    int listener;
    struct ccz_ratls_ctx *ctx;
    const struct lie *lie;
};

static bool say(int fd, struct ccz_ratls *r, struct ccz_span plain)
{
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 1 << 22);
    if (plain.size)
        CHECK(ccz_ratls_write(r, plain, NULL) == CCZ_OK);
    CHECK(ccz_ratls_drain(&wire, r) == CCZ_OK);
    for (size_t at = 0; at < wire.size;) {
        ssize_t n = send(fd, wire.ptr + at, wire.size - at, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

/* @return false if the client has gone */
static bool take(int fd, struct ccz_ratls *r, struct ccz_buf *plain, int wait_ms)
{
    uint8_t bytes[16384];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, wait_ms) == 0)
        return true;
    ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
    if (n <= 0 || ccz_ratls_feed(r, CCZ_SPAN(bytes, (size_t)n)) != CCZ_OK)
        return false;
    if (!ccz_ratls_ready(r))
        CHECK(ccz_ratls_step(r, NULL) == CCZ_OK);
    return !ccz_ratls_ready(r) || ccz_ratls_read(plain, r, NULL) == CCZ_OK;
}

static void *run_mock(void *arg)
{
    const struct mock *m = arg;
    const struct lie *lie = m->lie;
    struct ccz_ratls *r = NULL;
    CCZ_AUTO_BUF plain;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&plain, 1 << 26);
    ccz_buf_init(&b, 1 << 20);
    int fd = accept(m->listener, NULL, NULL);
    CHECK(fd >= 0 && ccz_ratls_new(&r, m->ctx) == CCZ_OK);
    bool alive = true;
    while (alive && plain.size < NGHTTP2_CLIENT_MAGIC_LEN + 100) /* the request is in it */
        alive = take(fd, r, &plain, 10000) && say(fd, r, (struct ccz_span){0});
    if (lie->turns)
        put_frame(&b, NGHTTP2_SETTINGS, 0, 0, (struct ccz_span){0});
    for (unsigned i = 0; alive && i < lie->turns; i++) {
        lie->put(&b, i);
        CHECK(!b.bad);
        alive = say(fd, r, ccz_buf_span(&b));
        ccz_buf_clear(&b);
        if (lie->reads)
            alive = alive && take(fd, r, &plain, 0);
        ccz_buf_clear(&plain);
    }
    for (; alive; ccz_buf_clear(&plain))
        alive = take(fd, r, &plain, 100);
    ccz_ratls_free(r);
    close(fd);
    return NULL;
}

/* ------------------------------------------------------------------------------------ the client */

static void echo_once(struct fixture *f)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 64);
    CHECK(ccz_rpc_unary(&out, NULL, f->client, "/t.T/Echo", ccz_span_str("x"), NULL, NULL) ==
          CCZ_OK);
}

static void be_told(const struct lie *lie, struct fixture *honest)
{
    struct fixture f = {0};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    struct mock m = {.listener = socket(AF_INET, SOCK_STREAM, 0), .lie = lie};
    pthread_t t;
    m.ctx = f.server_ctx = make_ctx(CCZ_RATLS_SESSION, true, &f.server_toy);
    CHECK(bind(m.listener, (struct sockaddr *)&at, size) == 0 && listen(m.listener, 1) == 0);
    CHECK(getsockname(m.listener, (struct sockaddr *)&at, &size) == 0);
    size_t base = memory();
    CHECK(pthread_create(&t, NULL, run_mock, &m) == 0);
    (void)snprintf(f.target, sizeof(f.target), "127.0.0.1:%u", ntohs(at.sin_port));
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.message_size_max = MIB});
    CCZ_AUTO_BUF out;
    struct ccz_rpc_result res = {0};
    struct ccz_err err = {0};
    ccz_buf_init(&out, MIB);
    CHECK(ccz_rpc_unary(&out, &res, f.client, "/t.T/Echo", ccz_span_str("request"),
                        &(struct ccz_rpc_call_cfg){.timeout_ms = CALL_MS}, &err) != CCZ_OK);
    if (res.code != lie->code && res.code != lie->or_code)
        fprintf(stderr, "%s: %s %s\n", lie->name, ccz_rpc_code_name(res.code), err.msg);
    CHECK(res.code == lie->code || res.code == lie->or_code);
    size_t now = memory();
    if (now > base + MEMORY_MAX)
        fprintf(stderr, "%s: grown by %zu bytes\n", lie->name, now - base);
    CHECK(now <= base + MEMORY_MAX);
    echo_once(honest);
    ccz_rpc_client_free(f.client);
    f.client = NULL;
    pthread_join(t, NULL);
    close(m.listener);
    teardown(&f);
}

static void test_lies(void)
{
    struct fixture honest;
    uint8_t *zeros = calloc(1, 32 * MIB);
    CHECK(zeros);
    bomb = cczi_out_gzip(CCZ_SPAN(zeros, 32 * MIB));
    free(zeros);
    CHECK(bomb && bomb->size < 250000);
    setup(&honest, CCZ_RATLS_SESSION);
    echo_once(&honest);
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
        be_told(&lies[i], &honest);
    cczi_out_free(bomb);
    teardown(&honest);
}

static const struct ccz_test tests[] = {{"rpc.hostile_server", test_lies}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

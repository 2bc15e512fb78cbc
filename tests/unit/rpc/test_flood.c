/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers that passed attestation, or never begin it, and then try to use up memory, connections or time. Each test runs one of
 * them against a server while an ordinary client makes calls: every one of these must succeed, and the memory of the process
 * (which holds both ends) stays within a bound.
 */
#include "raw_client.h"
#include "rpc/rpc_priv.h"

#include <errno.h>
#include <sys/time.h>

/* --------------------------------------------------------------------------------- the bystander */

struct scene {
    struct fixture f;
    pthread_t thread;
    atomic_bool stop;
    atomic_uint calls;
    _Atomic size_t peak;
    size_t base;
};

static void *bystand(void *arg)
{
    struct scene *s = arg;
    while (!atomic_load(&s->stop)) {
        CCZ_AUTO_BUF out;
        struct ccz_err err = {0};
        ccz_buf_init(&out, 256);
        ccz_rc rc =
            ccz_rpc_unary(&out, NULL, s->f.client, "/t.T/Echo", ccz_span_str("me"), NULL, &err);
        if (rc != CCZ_OK)
            fprintf(stderr, "bystander: %s: %s\n", err.where, err.msg);
        CHECK(rc == CCZ_OK && out.size == 2);
        atomic_fetch_add(&s->calls, 1);
        size_t now = memory();
        if (now > atomic_load(&s->peak))
            atomic_store(&s->peak, now);
        usleep(500);
    }
    return NULL;
}

static void begin(struct scene *s, struct ccz_rpc_server_cfg cfg)
{
    memset(s, 0, sizeof(*s));
    start_server(&s->f, CCZ_RATLS_SESSION, cfg);
    make_client(&s->f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){0});
    CHECK(ccz_rpc_client_connect(NULL, s->f.client, NULL) == CCZ_OK);
    s->base = memory();
    CHECK(pthread_create(&s->thread, NULL, bystand, s) == 0);
}

static void finish(struct scene *s, size_t memory_max)
{
    unsigned from = atomic_load(&s->calls);
    while (atomic_load(&s->calls) < from + 5) /* also afterwards */
        usleep(1000);
    atomic_store(&s->stop, true);
    pthread_join(s->thread, NULL);
    size_t peak = atomic_load(&s->peak), grown = peak > s->base ? peak - s->base : 0;
    if (grown > memory_max)
        fprintf(stderr, "grown by %zu bytes, allowed %zu\n", grown, memory_max);
    CHECK(grown <= memory_max);
    teardown(&s->f);
}

/* ------------------------------------------------------------------------------------ the attacker */

/* What a client has received, as far as a test cares. */
struct heard {
    nghttp2_hd_inflater *inflater;
    struct ccz_buf bytes;
    unsigned statuses, resets, calmed; /* RST_STREAM: all, and with ENHANCE_YOUR_CALM */
    unsigned status[17];               /* how often each grpc-status came */
    bool goaway, closed;
    uint32_t goaway_code;
};

static void hear_block(struct heard *h, struct ccz_span in)
{
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t n = nghttp2_hd_inflate_hd2(h->inflater, &nv, &flags, in.ptr, in.size, 1);
        CHECK(n >= 0);
        in = CCZ_SPAN(in.ptr + n, in.size - (size_t)n);
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) && nv.namelen == 11 &&
            memcmp(nv.name, "grpc-status", 11) == 0) {
            char text[4] = "";
            CHECK(nv.valuelen < sizeof(text));
            memcpy(text, nv.value, nv.valuelen);
            h->status[strtoul(text, NULL, 10) % 17]++;
            h->statuses++;
        }
        if (flags & NGHTTP2_HD_INFLATE_FINAL)
            break;
    }
    nghttp2_hd_inflate_end_headers(h->inflater);
}

static void hear_frames(struct heard *h)
{
    enum { HEAD = 9 };
    while (h->bytes.size >= HEAD) {
        const uint8_t *p = h->bytes.ptr;
        size_t size = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
        if (h->bytes.size < HEAD + size)
            return;
        if (p[3] == NGHTTP2_HEADERS)
            hear_block(h, CCZ_SPAN(p + HEAD, size));
        if (p[3] == NGHTTP2_RST_STREAM) {
            h->resets++;
            h->calmed += p[HEAD + 3] == NGHTTP2_ENHANCE_YOUR_CALM;
        }
        if (p[3] == NGHTTP2_GOAWAY) {
            struct ccz_rd r = ccz_rd_from(CCZ_SPAN(p + HEAD + 4, 4));
            h->goaway = true;
            h->goaway_code = ccz_rd_be32(&r);
        }
        ccz_buf_consume(&h->bytes, HEAD + size);
    }
}

/* Reads what is there, or waits for @p ms. @return false if nothing came */
static bool hear(struct heard *h, struct raw *r, int ms)
{
    uint8_t bytes[16384];
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    (void)setsockopt(r->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    ssize_t n = recv(r->fd, bytes, sizeof(bytes), ms ? 0 : MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return false;
    h->closed |= n <= 0;
    if (n <= 0)
        return false;
    CHECK(ccz_ratls_feed(r->ratls, CCZ_SPAN(bytes, (size_t)n)) == CCZ_OK);
    size_t before;
    do {
        before = h->bytes.size;
        h->closed |= ccz_ratls_read(&h->bytes, r->ratls, NULL) != CCZ_OK;
    } while (h->bytes.size > before);
    hear_frames(h);
    return true;
}

static void attack_open(struct raw *r, struct heard *h, struct scene *s)
{
    *h = (struct heard){0};
    ccz_buf_init(&h->bytes, 1 << 22);
    CHECK(nghttp2_hd_inflate_new(&h->inflater) == 0);
    raw_open(r, &s->f);
}

static void attack_close(struct raw *r, struct heard *h)
{
    nghttp2_hd_inflate_del(h->inflater);
    ccz_buf_free(&h->bytes);
    raw_close(r);
}

/* @return false if the server has closed the connection */
static bool push(struct raw *r, struct ccz_span plain)
{
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 1 << 22);
    CHECK(ccz_ratls_write(r->ratls, plain, NULL) == CCZ_OK);
    CHECK(ccz_ratls_drain(&wire, r->ratls) == CCZ_OK);
    for (size_t at = 0; at < wire.size;) {
        ssize_t n = send(r->fd, wire.ptr + at, wire.size - at, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

/* Until the server closes, which it must. */
static void must_close(struct raw *r, struct heard *h)
{
    while (!h->closed)
        CHECK(hear(h, r, 20000) || h->closed);
}

static void put_preface(struct ccz_buf *b)
{
    ccz_buf_put(b, preface, PREFACE_SIZE);
}

/* The last of a request's bytes, in frames of the size that every server takes. */
static void put_body(struct ccz_buf *b, uint32_t stream, struct ccz_span body)
{
    enum { PIECE = 16384 };
    for (size_t at = 0; at < body.size; at += PIECE) {
        bool last = body.size - at <= PIECE;
        put_frame(b, NGHTTP2_DATA, last ? NGHTTP2_FLAG_END_STREAM : 0, stream,
                  ccz_span_sub(body, at, last ? body.size - at : PIECE));
    }
}

/* Our SETTINGS are taken note of: frames may be as large as they say. */
static void put_ack(struct ccz_buf *b)
{
    put_frame(b, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, (struct ccz_span){0});
}

/* ------------------------------------------------------------------------------------------ floods */

/* A block of frames that is sent again and again. */
struct flood {
    const char *name;
    void (*put)(struct ccz_buf *b, unsigned turn); /* frames of one turn */
    unsigned turns;
    int reads;   /* ms that the attacker waits for answers; -1 = it takes none until the end */
    bool closes; /* the server must end it, else it must bear it */
    uint32_t code;
};

static void put_ping(struct ccz_buf *b, unsigned turn)
{
    (void)turn;
    for (int i = 0; i < 200; i++)
        put_frame(b, NGHTTP2_PING, 0, 0, ccz_span_str("12345678"));
}

static void put_settings(struct ccz_buf *b, unsigned turn)
{
    uint8_t iv[6] = {0, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0, (uint8_t)turn, 0, 0};
    for (int i = 0; i < 200; i++)
        put_frame(b, NGHTTP2_SETTINGS, 0, 0, CCZ_SPAN(iv, sizeof(iv)));
}

/* Above the limit of one frame. */
static void put_large_settings(struct ccz_buf *b, unsigned turn)
{
    static uint8_t iv[6 * 100];
    (void)turn;
    put_frame(b, NGHTTP2_SETTINGS, 0, 0, CCZ_SPAN(iv, sizeof(iv)));
}

static void put_priority(struct ccz_buf *b, unsigned turn)
{
    for (unsigned i = 0; i < 200; i++) {
        uint8_t body[5] = {0, 0, 0, 0, 16};
        put_frame(b, NGHTTP2_PRIORITY, 0, 2 * (200 * turn + i) + 1, CCZ_SPAN(body, sizeof(body)));
    }
}

static void put_empty_data(struct ccz_buf *b, unsigned turn)
{
    if (turn == 0)
        put_request(b, "/t.T/Sum", NULL);
    for (int i = 0; i < 200; i++)
        put_frame(b, NGHTTP2_DATA, 0, 1, (struct ccz_span){0});
}

static void put_continuations(struct ccz_buf *b, unsigned turn)
{
    CCZ_AUTO_BUF block;
    ccz_buf_init(&block, 1024);
    put_header(&block, "x-more", "and more");
    if (turn == 0)
        put_request_on(b, 1, 0, "/t.T/Echo", NULL);
    for (int i = 0; i < 200; i++)
        put_frame(b, NGHTTP2_CONTINUATION, 0, 1, ccz_buf_span(&block));
}

static void put_resets(struct ccz_buf *b, unsigned turn)
{
    for (unsigned i = 0; i < 20; i++) {
        uint32_t id = 2 * (20 * turn + i) + 1;
        put_request_on(b, id, NGHTTP2_FLAG_END_HEADERS, "/t.T/Hold", NULL);
        put_frame(b, NGHTTP2_RST_STREAM, 0, id, CCZ_SPAN("\0\0\0\x08", 4));
    }
}

/* The server is made to reset them: CVE-2025-8671. */
static void put_made_resets(struct ccz_buf *b, unsigned turn)
{
    for (unsigned i = 0; i < 20; i++) {
        uint32_t id = 2 * (20 * turn + i) + 1;
        put_request_on(b, id, NGHTTP2_FLAG_END_HEADERS, "/t.T/Hold", NULL);
        put_frame(b, NGHTTP2_WINDOW_UPDATE, 0, id, CCZ_SPAN("\x7f\xff\xff\xff", 4));
    }
}

/* More requests than may be open at a time, by a client that does not acknowledge the limit: each is refused. */
static void put_refused(struct ccz_buf *b, unsigned turn)
{
    for (unsigned i = 0; i < 100; i++)
        put_request_on(b, 2 * (100 * turn + i) + 1, NGHTTP2_FLAG_END_HEADERS, "/t.T/Hold", NULL);
}

static void put_closed(struct ccz_buf *b, unsigned turn)
{
    if (turn == 0) {
        put_request(b, "/t.T/Echo", NULL);
        put_frame(b, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, CCZ_SPAN("\0\0\0\0\1x", 6));
    }
    for (int i = 0; i < 200; i++)
        put_frame(b, NGHTTP2_DATA, 0, 1, CCZ_SPAN("\0\0\0\0\1x", 6));
}

static void put_overflow(struct ccz_buf *b, unsigned turn)
{
    (void)turn;
    put_frame(b, NGHTTP2_WINDOW_UPDATE, 0, 0, CCZ_SPAN("\x7f\xff\xff\xff", 4));
}

static void put_garbage(struct ccz_buf *b, unsigned turn)
{
    uint32_t x = 2463534242u + turn;
    for (int i = 0; i < 4096; i++) {
        x ^= x << 13, x ^= x >> 17, x ^= x << 5;
        ccz_buf_u8(b, (uint8_t)x);
    }
}

/* A field of 4,000 bytes goes into the table; then each byte stands for it. */
static void put_table_bomb(struct ccz_buf *b, unsigned turn)
{
    enum { VALUE = 4000, REFERENCES = 100000, BLOCK = REFERENCES + VALUE + 1024 };
    CCZ_AUTO_BUF block;
    ccz_buf_init(&block, BLOCK);
    if (turn == 0)
        put_ack(b);
    put_header(&block, ":method", "POST");
    put_header(&block, ":scheme", "https");
    put_header(&block, ":path", "/t.T/Echo");
    ccz_buf_put(&block, "\x40\6x-bomb\x7f", 9);
    ccz_buf_u8(&block, 0x80 | ((VALUE - 127) & 0x7f));
    ccz_buf_u8(&block, (VALUE - 127) >> 7);
    uint8_t *p = ccz_buf_extend(&block, VALUE + REFERENCES);
    CHECK(p);
    memset(p, 'b', VALUE);
    memset(p + VALUE, 0x80 | 62, REFERENCES);
    put_frame(b, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 2 * turn + 1,
              ccz_buf_span(&block));
}

static void put_many_headers(struct ccz_buf *b, unsigned turn)
{
    CCZ_AUTO_BUF block;
    ccz_buf_init(&block, 1 << 18);
    put_header(&block, ":method", "POST");
    put_header(&block, ":scheme", "https");
    put_header(&block, ":path", "/t.T/Echo");
    put_header(&block, ":authority", "t");
    put_header(&block, "te", "trailers");
    if (turn == 0)
        put_ack(b);
    put_header(&block, "content-type", "application/grpc");
    for (int i = 0; i < 5000; i++)
        put_header(&block, "x-a", "b");
    put_frame(b, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 2 * turn + 1,
              ccz_buf_span(&block));
}

static void put_oversized(struct ccz_buf *b, unsigned turn)
{
    put_request_on(b, 2 * turn + 1, NGHTTP2_FLAG_END_HEADERS, "/t.T/Echo", NULL);
    put_frame(b, NGHTTP2_DATA, 0, 2 * turn + 1, CCZ_SPAN("\0\xff\xff\xff\xff....", 9));
}

static const struct flood floods[] = {
    {"ping", put_ping, 400, -1, true, 0},
    {"ping, read", put_ping, 30, 20, false, 0},
    {"settings", put_settings, 400, -1, true, 0},
    {"settings, read", put_settings, 30, 20, false, 0},
    {"large settings", put_large_settings, 1, 0, true, NGHTTP2_ENHANCE_YOUR_CALM},
    {"priority", put_priority, 200, 0, false, 0},
    {"empty data", put_empty_data, 200, 0, false, 0},
    {"continuation", put_continuations, 1, 0, true, 0},
    {"rapid reset", put_resets, 100, 0, true, NGHTTP2_ENHANCE_YOUR_CALM},
    {"made you reset", put_made_resets, 100, 0, true, NGHTTP2_ENHANCE_YOUR_CALM},
    {"refused streams", put_refused, 400, -1, false, 0},
    {"data on a closed stream", put_closed, 50, 0, true, NGHTTP2_STREAM_CLOSED},
    {"window overflow", put_overflow, 1, 0, true, NGHTTP2_FLOW_CONTROL_ERROR},
    {"garbage", put_garbage, 1, 0, true, NGHTTP2_FRAME_SIZE_ERROR},
    {"table bomb", put_table_bomb, 100, 0, false, 0},
    {"many headers", put_many_headers, 20, 0, false, 0},
    {"oversized", put_oversized, 100, 0, false, 0},
};

static const struct flood *flood_named(const char *name)
{
    for (size_t i = 0; i < sizeof(floods) / sizeof(floods[0]); i++)
        if (strcmp(floods[i].name, name) == 0)
            return &floods[i];
    CHECK(!"known");
    return NULL;
}

static void run_flood(struct heard *h, struct scene *s, const char *name)
{
    const struct flood *fl = flood_named(name);
    struct raw r;
    attack_open(&r, h, s);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 20);
    put_preface(&b);
    bool alive = true;
    for (unsigned i = 0; alive && i < fl->turns; i++) {
        fl->put(&b, i);
        CHECK(!b.bad);
        alive = push(&r, ccz_buf_span(&b));
        ccz_buf_clear(&b);
        while (fl->reads >= 0 && hear(h, &r, fl->reads))
            ;
        alive &= !h->closed;
    }
    if (fl->closes) {
        must_close(&r, h);
        if (fl->code)
            CHECK(h->goaway && h->goaway_code == fl->code);
    } else { /* it is still served: a PING is answered, and everything before it with it */
        CHECK(alive);
        while (hear(h, &r, 300))
            ;
        CHECK(!h->closed && !h->goaway);
    }
    attack_close(&r, h);
}

static void flood(const char *name, size_t memory_max)
{
    struct scene s;
    struct heard h;
    begin(&s, (struct ccz_rpc_server_cfg){0});
    run_flood(&h, &s, name);
    finish(&s, memory_max);
}

enum { MIB = 1 << 20 };

static void test_ping(void)
{
    flood("ping", 8 * MIB);
    flood("ping, read", 8 * MIB);
}

static void test_settings(void)
{
    flood("settings", 8 * MIB);
    flood("settings, read", 8 * MIB);
    flood("large settings", 8 * MIB);
}

static void test_priority(void)
{
    flood("priority", 8 * MIB);
}

static void test_empty_data(void)
{
    flood("empty data", 8 * MIB);
}

static void test_continuation(void)
{
    flood("continuation", 8 * MIB);
}

static void test_resets(void)
{
    flood("rapid reset", 8 * MIB);
    flood("made you reset", 8 * MIB);
}

static void test_refused_streams(void)
{
    flood("refused streams", 12 * MIB);
}

static void test_closed_stream(void)
{
    flood("data on a closed stream", 8 * MIB);
}

static void test_bytes(void)
{
    flood("window overflow", 8 * MIB);
    flood("garbage", 8 * MIB);
}

/* Headers that are larger than they look: refused, the connection goes on. */
static void test_header_bombs(void)
{
    struct scene s;
    struct heard h;
    begin(&s, (struct ccz_rpc_server_cfg){0});
    run_flood(&h, &s, "table bomb");
    CHECK(h.resets == 100); /* nobody reads to their end */
    run_flood(&h, &s, "many headers");
    CHECK(h.status[CCZ_RPC_RESOURCE_EXHAUSTED] == 20);
    finish(&s, 12 * MIB);
}

static void test_oversized(void)
{
    struct scene s;
    struct heard h;
    begin(&s, (struct ccz_rpc_server_cfg){0});
    run_flood(&h, &s, "oversized");
    CHECK(h.status[CCZ_RPC_RESOURCE_EXHAUSTED] == 100);
    finish(&s, 8 * MIB);
}

/* ------------------------------------------------------------------------------- compressed messages */

static void test_bomb(void)
{
    enum { LIMIT = 1 << 20, MANY = 50 };
    struct scene s;
    struct heard h;
    struct raw r;
    begin(&s, (struct ccz_rpc_server_cfg){.message_size_max = LIMIT});
    uint8_t *zeros = calloc(1, 64 * MIB);
    CHECK(zeros);
    struct cczi_out *bomb = cczi_out_gzip(CCZ_SPAN(zeros, 64 * MIB));
    free(zeros);
    CHECK(bomb && bomb->size < 500000);
    s.base = memory();
    atomic_store(&s.peak, 0);
    attack_open(&r, &h, &s);
    for (unsigned i = 0; i < MANY; i++) {
        CCZ_AUTO_BUF b;
        CCZ_AUTO_BUF headers;
        ccz_buf_init(&b, 1 << 20);
        ccz_buf_init(&headers, 1024);
        if (i == 0) {
            put_preface(&b);
            put_ack(&b);
        }
        put_header(&headers, ":method", "POST");
        put_header(&headers, ":scheme", "https");
        put_header(&headers, ":path", "/t.T/Echo");
        put_header(&headers, ":authority", "t");
        put_header(&headers, "te", "trailers");
        put_header(&headers, "content-type", "application/grpc");
        put_header(&headers, "grpc-encoding", "gzip");
        put_frame(&b, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 2 * i + 1, ccz_buf_span(&headers));
        put_body(&b, 2 * i + 1, CCZ_SPAN(bomb->bytes, bomb->size));
        CHECK(push(&r, ccz_buf_span(&b)));
        while (hear(&h, &r, 0))
            ;
    }
    while (h.status[CCZ_RPC_RESOURCE_EXHAUSTED] < MANY)
        CHECK(hear(&h, &r, 20000));
    attack_close(&r, &h);
    cczi_out_free(bomb);
    finish(&s, 8 * MIB);
}

/* -------------------------------------------------------------------------------- clients that wait */

/* Sends one byte at a time until the server has enough of it. @return how long it took since @p from, in ms */
static int64_t drip(int fd, struct ccz_span bytes, int64_t from)
{
    size_t at = 0;
    for (;;) {
        uint8_t none[4096];
        ssize_t n = recv(fd, none, sizeof(none), MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK))
            return ccz_mono_ms() - from;
        CHECK(ccz_mono_ms() - from < 20000);
        if (at < bytes.size) /* else it just stays silent */
            (void)send(fd, bytes.ptr + at++, 1, MSG_NOSIGNAL);
        usleep(20000);
    }
}

static int dial_scene(struct scene *s)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(ccz_rpc_server_port(s->f.server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
    return fd;
}

/* TLS byte by byte; then TLS at once, and the messages of RA-TLS byte by byte. */
static void test_slow_handshake(void)
{
    struct scene s;
    begin(&s, (struct ccz_rpc_server_cfg){.handshake_timeout_ms = 400});
    for (int late = 0; late < 2; late++) {
        struct ccz_ratls *ratls;
        struct ccz_err err = {0};
        CCZ_AUTO_BUF wire;
        ccz_buf_init(&wire, 1 << 20);
        const int64_t from = ccz_mono_ms();
        int fd = dial_scene(&s);
        CHECK(ccz_ratls_new(&ratls, s.f.client_ctx) == CCZ_OK);
        CHECK(ccz_ratls_step(ratls, &err) == CCZ_OK && ccz_ratls_drain(&wire, ratls) == CCZ_OK);
        if (late) { /* the server's flight, so that the next bytes are Finished and HELLO */
            uint8_t bytes[16384];
            CHECK(send(fd, wire.ptr, wire.size, 0) == (ssize_t)wire.size);
            ccz_buf_clear(&wire);
            ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
            CHECK(n > 0 && ccz_ratls_feed(ratls, CCZ_SPAN(bytes, (size_t)n)) == CCZ_OK);
            CHECK(ccz_ratls_step(ratls, &err) == CCZ_OK && ccz_ratls_drain(&wire, ratls) == CCZ_OK);
        }
        CHECK(wire.size > 50);
        CHECK(drip(fd, ccz_buf_span(&wire), from) >= 300);
        ccz_ratls_free(ratls);
        close(fd);
    }
    finish(&s, 8 * MIB);
}

/* Encrypted bytes of @p plain, each a record of its own. */
static void drip_plain(struct scene *s, struct ccz_span at_once, struct ccz_span slow)
{
    struct raw r;
    struct heard h;
    attack_open(&r, &h, s);
    int64_t from = ccz_mono_ms();
    bool alive = at_once.size == 0 || push(&r, at_once);
    for (size_t at = 0; alive && !h.closed; at++) {
        alive = at >= slow.size || push(&r, ccz_span_sub(slow, at, 1));
        (void)hear(&h, &r, 20);
        CHECK(ccz_mono_ms() - from < 20000);
    }
    CHECK(ccz_mono_ms() - from >= 300);
    attack_close(&r, &h);
}

/* The preface, then the headers of a request, byte by byte; and clients that stop in the middle. */
static void test_slow_http2(void)
{
    struct scene s;
    CCZ_AUTO_BUF half;
    CCZ_AUTO_BUF more;
    ccz_buf_init(&half, 4096);
    ccz_buf_init(&more, 1 << 16);
    begin(&s, (struct ccz_rpc_server_cfg){.handshake_timeout_ms = 400});
    struct ccz_span first = CCZ_SPAN(preface, PREFACE_SIZE), none = {0};
    drip_plain(&s, none, first);
    drip_plain(&s, none, none);
    put_preface(&half);
    put_request_on(&half, 1, 0, "/t.T/Echo", NULL);
    put_frame(&more, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, CCZ_SPAN(preface, 24));
    drip_plain(&s, ccz_buf_span(&half), ccz_buf_span(&more));
    drip_plain(&s, ccz_buf_span(&half), none);
    finish(&s, 8 * MIB);
}

/* Who has sent its preface and its headers may be silent. */
static void test_idle(void)
{
    struct scene s;
    struct raw r;
    struct heard h;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    begin(&s, (struct ccz_rpc_server_cfg){.handshake_timeout_ms = 300});
    attack_open(&r, &h, &s);
    put_preface(&b);
    put_request(&b, "/t.T/Hold", NULL);
    CHECK(push(&r, ccz_buf_span(&b)));
    for (int64_t from = ccz_mono_ms(); ccz_mono_ms() - from < 1200;)
        (void)hear(&h, &r, 100);
    CHECK(!h.closed && !h.goaway && h.resets == 0);
    attack_close(&r, &h);
    finish(&s, 8 * MIB);
}

/* --------------------------------------------------------------------------- answers nobody takes */

/* Asks for @p len streams of 90 MB on a connection, with windows of @p window bytes: handlers stop at 1 MiB each. */
static void ask_much(struct raw *r, struct heard *h, struct scene *s, uint8_t window, unsigned len)
{
    const uint8_t iv[] = {0, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0, 0, 0, window};
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 16);
    attack_open(r, h, s);
    put_preface(&b);
    put_frame(&b, NGHTTP2_SETTINGS, 0, 0, CCZ_SPAN(iv, sizeof(iv)));
    for (unsigned i = 0; i < len; i++) {
        put_request_on(&b, 2 * i + 1, NGHTTP2_FLAG_END_HEADERS, "/t.T/Count", NULL);
        put_body(&b, 2 * i + 1,
                 CCZ_SPAN("\0\0\0\0\5"
                          "90000",
                          10));
    }
    CHECK(!b.bad && push(r, ccz_buf_span(&b)));
}

/* Windows of 0 or 1 byte: answers wait, over many connections, up to a limit; then calls of those who take nothing are refused,
 * and after some time reset. Others do not notice. */
static void test_windows(void)
{
    enum { CONNS = 6, CALLS = 30, LIMIT = 2 * MIB };
    static struct raw r[CONNS];
    static struct heard h[CONNS];
    struct scene s;
    unsigned refused = 0, shed = 0;
    begin(&s, (struct ccz_rpc_server_cfg){.message_size_max = MIB, .requests_size_max = LIMIT});
    for (unsigned i = 0; i < CONNS; i++)
        ask_much(&r[i], &h[i], &s, i % 2, CALLS); /* 180 MiB, if they could */
    for (int64_t from = ccz_mono_ms(); shed == 0 && ccz_mono_ms() - from < 40000;) {
        refused = shed = 0;
        for (unsigned i = 0; i < CONNS; i++) {
            while (hear(&h[i], &r[i], 10))
                ;
            refused += h[i].status[CCZ_RPC_RESOURCE_EXHAUSTED];
            shed += h[i].calmed;
        }
    }
    CHECK(refused > CONNS * CALLS / 2 && shed > 0);
    for (unsigned i = 0; i < CONNS; i++)
        attack_close(&r[i], &h[i]);
    finish(
        &s,
        6 * LIMIT +
            8 * MIB); /* 4 times for answers, once for requests, a message more for each connection */
}

/* A client that lets the window grow and reads nothing from the socket, but is not silent: keepalive alone would not notice. */
static void test_stuck(void)
{
    struct scene s;
    struct raw r;
    struct heard h;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 16);
    begin(&s, (struct ccz_rpc_server_cfg){.keepalive_ms = 300});
    int small = 4096;
    attack_open(&r, &h, &s);
    (void)setsockopt(r.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    static const uint8_t iv[] = {0, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0x7f, 0xff, 0xff, 0xff};
    put_preface(&b);
    put_frame(&b, NGHTTP2_SETTINGS, 0, 0, CCZ_SPAN(iv, sizeof(iv)));
    put_frame(&b, NGHTTP2_WINDOW_UPDATE, 0, 0, CCZ_SPAN("\x7f\xfe\0\0", 4));
    put_request(&b, "/t.T/Count", NULL);
    put_frame(&b, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1,
              CCZ_SPAN("\0\0\0\0\6"
                       "900000",
                       11));
    CHECK(push(&r, ccz_buf_span(&b)));
    ccz_buf_clear(&b);
    put_frame(&b, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, ccz_span_str("12345678"));
    int64_t from = ccz_mono_ms();
    while (push(&r, ccz_buf_span(&b))) { /* "I am here" */
        CHECK(ccz_mono_ms() - from < 20000);
        usleep(20000);
    }
    attack_close(&r, &h);
    finish(&s, 16 * MIB);
}

/* ------------------------------------------------------------------------------------ connections */

/* All places are taken by connections that never begin: who is there goes on, and places become free again. */
static void test_connections(void)
{
    enum { PLACES = 64, DIALED = 300 };
    static int fd[DIALED];
    struct scene s;
    begin(&s, (struct ccz_rpc_server_cfg){.connections_max = PLACES, .handshake_timeout_ms = 500});
    for (int i = 0; i < DIALED; i++)
        fd[i] = dial_scene(&s);
    for (int i = 0; i < DIALED; i++)
        (void)drip(fd[i], (struct ccz_span){0},
                   ccz_mono_ms()); /* refused at once, or after the time of a handshake */
    struct raw r;
    raw_open(&r, &s.f);
    raw_close(&r);
    for (int i = 0; i < DIALED; i++)
        close(fd[i]);
    finish(&s, 16 * MIB);
}

static const struct ccz_test tests[] = {
    {"rpc.flood_ping", test_ping},
    {"rpc.flood_settings", test_settings},
    {"rpc.flood_priority", test_priority},
    {"rpc.flood_empty_data", test_empty_data},
    {"rpc.flood_continuation", test_continuation},
    {"rpc.flood_resets", test_resets},
    {"rpc.flood_refused_streams", test_refused_streams},
    {"rpc.flood_closed_stream", test_closed_stream},
    {"rpc.flood_bytes", test_bytes},
    {"rpc.flood_headers", test_header_bombs},
    {"rpc.flood_oversized", test_oversized},
    {"rpc.flood_bomb", test_bomb},
    {"rpc.slow_handshake", test_slow_handshake},
    {"rpc.slow_http2", test_slow_http2},
    {"rpc.slow_idle", test_idle},
    {"rpc.slow_windows", test_windows},
    {"rpc.slow_stuck", test_stuck},
    {"rpc.flood_connections", test_connections},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

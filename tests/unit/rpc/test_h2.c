/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP/2 engine over memory: against itself, and against a bare nghttp2 peer that breaks rules.
 */
#define _DEFAULT_SOURCE
#include "rpc/h2.h"

#include "ccz_test.h"

#include <stdio.h>
#include <sys/mman.h>

/* ------------------------------------------------------------------------------ engine ends */

struct end {
    struct cczi_h2 *h;
    bool echo, pause;
    unsigned requests, messages, half_closes, closes, responses, goaways, drained;
    enum ccz_rpc_code code;
    char message[CCZI_MESSAGE_SIZE];
    bool ended, refused;
    size_t bytes;
    struct cczi_stream *last;
};

static struct cczi_stream *new_stream(size_t max)
{
    struct cczi_stream *st = malloc(sizeof(*st));
    CHECK(st);
    cczi_stream_init(st, max);
    return st;
}

static struct cczi_stream *stream_new(void *arg)
{
    struct end *e = arg;
    e->last = new_stream(e->h->cfg.message_size_max);
    return e->last;
}

static void on_request(void *arg, struct cczi_stream *st)
{
    struct end *e = arg;
    e->requests++;
    if (e->pause)
        cczi_stream_pause(st, true);
}

static void on_response(void *arg, struct cczi_stream *st)
{
    (void)st;
    ((struct end *)arg)->responses++;
}

static void on_message(void *arg, struct cczi_stream *st, struct ccz_span msg)
{
    struct end *e = arg;
    e->messages++;
    e->bytes += msg.size;
    if (e->echo)
        cczi_stream_send(st, cczi_out_new(msg, NULL));
}

static void on_half_close(void *arg, struct cczi_stream *st)
{
    struct end *e = arg;
    e->half_closes++;
    if (e->echo)
        cczi_stream_finish(st, CCZ_RPC_OK, NULL);
}

static void on_drained(void *arg, struct cczi_stream *st)
{
    (void)st;
    ((struct end *)arg)->drained++;
}

static void on_close(void *arg, struct cczi_stream *st)
{
    struct end *e = arg;
    e->closes++;
    e->code = st->code;
    e->ended = st->ended;
    e->refused = st->refused;
    memcpy(e->message, st->message, sizeof(e->message));
    CHECK(!st->h2);
    cczi_stream_deinit(st);
    free(st);
}

static void on_goaway(void *arg)
{
    ((struct end *)arg)->goaways++;
}

static const struct cczi_h2_ops ops = {stream_new,    on_request, on_response, on_message,
                                       on_half_close, on_drained, on_close,    on_goaway};

static void open_end(struct end *e, bool server, size_t max)
{
    memset(e, 0, sizeof(*e));
    struct cczi_h2_cfg cfg = {
        .server = server, .ops = &ops, .arg = e, .message_size_max = max, .streams_max = 8};
    CHECK(cczi_h2_new(&e->h, &cfg) == CCZ_OK);
}

/* Everything that `from` has to say, in pieces of `step` bytes. */
static bool move(struct end *to, struct end *from, size_t step)
{
    struct ccz_err err;
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 1 << 26);
    CHECK(cczi_h2_pull(&wire, from->h, 1 << 20, &err) == CCZ_OK);
    for (size_t at = 0; at < wire.size; at += step)
        CHECK(cczi_h2_feed(to->h,
                           CCZ_SPAN(wire.ptr + at, wire.size - at < step ? wire.size - at : step),
                           &err) == CCZ_OK);
    return wire.size > 0;
}

static void run(struct end *c, struct end *s, size_t step)
{
    bool more = true;
    for (int i = 0; more && i < 1000; i++) {
        more = move(s, c, step);
        more |= move(c, s, step);
    }
}

static struct cczi_stream *request(struct end *c, const char *path)
{
    static struct cczi_md none;
    struct cczi_stream *st = new_stream(c->h->cfg.message_size_max);
    struct cczi_request rq = {
        .authority = "test", .path = path, .timeout_ms = 1000, .metadata = &none};
    CHECK(cczi_h2_request(c->h, st, &rq, NULL) == CCZ_OK);
    return st;
}

static void test_pair(void)
{
    static const size_t steps[] = {1, 2, 3, 7, 64, 100000};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct end c, s;
        open_end(&c, false, 1000);
        open_end(&s, true, 1000);
        s.echo = true;
        struct cczi_stream *st = request(&c, "/a/B");
        cczi_stream_send(st, cczi_out_new(ccz_span_str("hello"), NULL));
        cczi_stream_send(st, cczi_out_new(ccz_span_str(""), NULL));
        cczi_stream_half_close(st);
        run(&c, &s, steps[i]);
        CHECK(s.requests == 1 && s.messages == 2 && s.half_closes == 1 && s.closes == 1 && s.ended);
        CHECK(c.messages == 2 && c.bytes == 5 && c.responses == 1 && c.closes == 1 &&
              c.code == CCZ_RPC_OK);
        CHECK(cczi_h2_streams(c.h) == 0 && cczi_h2_streams(s.h) == 0 && cczi_h2_buffered(s.h) == 0);
        cczi_h2_free(c.h);
        cczi_h2_free(s.h);
    }
}

static void test_large_pair(void)
{
    struct end c, s;
    size_t size = (size_t)20 << 20; /* larger than the windows of stream and connection */
    uint8_t *big = calloc(1, size);
    CHECK(big);
    open_end(&c, false, size);
    open_end(&s, true, size);
    s.echo = true;
    struct cczi_stream *st = request(&c, "/a/B");
    cczi_stream_send(st, cczi_out_new(CCZ_SPAN(big, size), NULL));
    CHECK(st->above);
    cczi_stream_half_close(st);
    run(&c, &s, 65536);
    CHECK(c.closes == 1 && c.code == CCZ_RPC_OK && c.bytes == size && c.drained == 1 &&
          s.drained == 1);
    free(big);
    cczi_h2_free(c.h);
    cczi_h2_free(s.h);
}

/* A paused stream gets no credit: the sender stops at the window and goes on when it is released.
 */
static void test_pause(void)
{
    struct end c, s;
    static uint8_t block[100000];
    open_end(&c, false, 1 << 20);
    open_end(&s, true, 1 << 20);
    s.pause = true;
    struct cczi_stream *st = request(&c, "/a/B");
    for (int i = 0; i < 100; i++) /* 10 MB, more than the largest window */
        cczi_stream_send(st, cczi_out_new(CCZ_SPAN(block, sizeof(block)), NULL));
    run(&c, &s, 65536);
    CHECK(s.bytes > CCZI_H2_WINDOW_FIRST / 2 && s.bytes <= s.h->window.size &&
          st->out_size > 1000000);
    struct cczi_stream *other = request(&c, "/c/D"); /* another stream is not held up */
    s.pause = false;
    size_t before = s.bytes;
    cczi_stream_send(other, cczi_out_new(CCZ_SPAN(block, sizeof(block)), NULL));
    run(&c, &s, 65536);
    CHECK(s.bytes == before + sizeof(block) && s.requests == 2);
    cczi_stream_pause(s.h->first, false);
    run(&c, &s, 65536);
    CHECK(s.bytes == 101 * sizeof(block));
    cczi_h2_free(c.h);
    cczi_h2_free(s.h);
    CHECK(c.closes == 2 && c.code == CCZ_RPC_UNAVAILABLE && s.closes == 2 && !s.ended);
}

static void test_early_end(void)
{
    struct end c, s;
    open_end(&c, false, 1000);
    open_end(&s, true, 1000);
    struct cczi_stream *st = request(&c, "/a/B");
    cczi_stream_send(st, cczi_out_new(ccz_span_str("one"), NULL));
    run(&c, &s, 1000);
    cczi_stream_finish(s.last, CCZ_RPC_ABORTED, "enough"); /* while the client still may send */
    cczi_stream_finish(s.last, CCZ_RPC_OK, "too late");
    run(&c, &s, 1000);
    CHECK(c.closes == 1 && c.code == CCZ_RPC_ABORTED && strcmp(c.message, "enough") == 0 &&
          s.closes == 1 && s.ended);
    cczi_h2_free(c.h);
    cczi_h2_free(s.h);
}

static void test_abandon(void)
{
    struct end c, s;
    open_end(&c, false, 1000);
    open_end(&s, true, 1000);
    struct cczi_stream *st = request(&c, "/a/B");
    cczi_stream_send(st, cczi_out_new(ccz_span_str("one"), NULL));
    run(&c, &s, 1000);
    cczi_stream_abandon(st);
    cczi_stream_send(st, cczi_out_new(ccz_span_str("ignored"), NULL));
    cczi_stream_deinit(st);
    free(st);
    run(&c, &s, 1000);
    CHECK(c.closes == 0 && s.closes == 1 && !s.ended && cczi_h2_streams(c.h) == 0);
    st = request(&c, "/a/B"); /* before anything of it was sent */
    cczi_stream_abandon(st);
    cczi_stream_deinit(st);
    free(st);
    run(&c, &s, 1000);
    CHECK(c.closes == 0 && cczi_h2_streams(s.h) == 0);
    cczi_h2_free(c.h);
    cczi_h2_free(s.h);
}

static void test_drain(void)
{
    struct end c, s;
    open_end(&c, false, 1000);
    open_end(&s, true, 1000);
    s.echo = true;
    struct cczi_stream *st = request(&c, "/a/B");
    run(&c, &s, 1000);
    cczi_h2_drain(s.h);
    run(&c, &s, 1000);
    CHECK(c.goaways == 1 && !cczi_h2_done(s.h));
    cczi_stream_send(st, cczi_out_new(ccz_span_str("still served"), NULL));
    cczi_stream_half_close(st);
    run(&c, &s, 1000);
    CHECK(c.closes == 1 && c.code == CCZ_RPC_OK && cczi_h2_done(s.h) && cczi_h2_done(c.h));
    cczi_h2_free(c.h);
    cczi_h2_free(s.h);
}

/* A call that crosses the first GOAWAY on its way is served. */
static void test_drain_crossed(void)
{
    struct end c, s;
    open_end(&c, false, 1000);
    open_end(&s, true, 1000);
    s.echo = true;
    run(&c, &s, 1000);
    cczi_h2_drain(s.h);
    struct cczi_stream *st = request(&c, "/a/B");
    cczi_stream_half_close(st);
    run(&c, &s, 1000);
    CHECK(c.goaways == 1 && s.requests == 1 && c.closes == 1 && c.code == CCZ_RPC_OK && !c.refused);
    CHECK(cczi_h2_done(s.h) && cczi_h2_done(c.h));
    cczi_h2_free(c.h);
    cczi_h2_free(s.h);
    /* a client that does not answer does not hold it up */
    open_end(&s, true, 1000);
    open_end(&c, false, 1000);
    run(&c, &s, 1000);
    cczi_h2_drain(s.h);
    CCZ_AUTO_BUF lost;
    ccz_buf_init(&lost, 1 << 16);
    CHECK(cczi_h2_pull(&lost, s.h, 1 << 16, NULL) == CCZ_OK && lost.size && !cczi_h2_done(s.h));
    cczi_h2_drain_now(s.h);
    cczi_h2_drain_now(s.h);
    CHECK(cczi_h2_pull(&lost, s.h, 1 << 16, NULL) == CCZ_OK && cczi_h2_done(s.h));
    cczi_h2_free(c.h);
    cczi_h2_free(s.h);
}

/* A call that crosses GOAWAY on its way was not begun: the owner may send it again. */
static void test_refused(void)
{
    struct end c, s;
    open_end(&c, false, 1000);
    open_end(&s, true, 1000);
    run(&c, &s, 1000);
    cczi_h2_drain(s.h);
    (void)move(&c, &s, 1000); /* GOAWAY with nothing begun ... */
    struct cczi_stream *st = new_stream(1000);
    static struct cczi_md none;
    struct cczi_request rq = {.authority = "t", .path = "/a/B", .timeout_ms = 1, .metadata = &none};
    CHECK(c.goaways == 1 && cczi_h2_request(c.h, st, &rq, NULL) == CCZ_OK);
    run(&c, &s, 1000); /* ... and one that the client had not heard of yet */
    CHECK(c.closes == 1 && c.refused && c.code == CCZ_RPC_UNAVAILABLE && s.requests == 0);
    cczi_h2_free(c.h);
    cczi_h2_free(s.h);
}

/* More calls than the server allows wait in the client's engine and are all served. */
static void test_streams_max(void)
{
    struct end c, s;
    open_end(&c, false, 1000);
    open_end(&s, true, 1000);
    run(&c, &s, 1000); /* SETTINGS */
    struct cczi_stream *st[20];
    for (int i = 0; i < 20; i++)
        st[i] = request(&c, "/a/B");
    run(&c, &s, 1000);
    CHECK(s.requests == 8 && cczi_h2_streams(s.h) == 8);
    for (int i = 0; i < 20; i++) {
        s.echo = true;
        cczi_stream_half_close(st[i]);
        run(&c, &s, 1000);
    }
    CHECK(s.requests == 20 && c.closes == 20);
    cczi_h2_free(c.h);
    cczi_h2_free(s.h);
}

/* ----------------------------------------------------------------------- a bare nghttp2 peer */

struct raw {
    nghttp2_session *ng;
    char status[16], grpc_status[16], grpc_message[256], allow[16], accept[32];
    uint32_t rst, goaway;
    size_t body_size;
    bool closed, got_goaway;
};

static int raw_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                      size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                      void *user)
{
    (void)ng, (void)frame, (void)flags, (void)name_size, (void)value_size;
    struct raw *r = user;
    const char *k = (const char *)name, *v = (const char *)value;
    char *to = strcmp(k, ":status") == 0       ? r->status
               : strcmp(k, "grpc-status") == 0 ? r->grpc_status
               : strcmp(k, "allow") == 0       ? r->allow
                                               : NULL;
    if (to)
        (void)snprintf(to, 16, "%s", v);
    if (strcmp(k, "grpc-message") == 0)
        (void)snprintf(r->grpc_message, sizeof(r->grpc_message), "%s", v);
    if (strcmp(k, "grpc-accept-encoding") == 0)
        (void)snprintf(r->accept, sizeof(r->accept), "%s", v);
    return 0;
}

static int raw_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    (void)ng;
    struct raw *r = user;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        r->got_goaway = true;
        r->goaway = frame->goaway.error_code;
    }
    return 0;
}

static int raw_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data,
                    size_t size, void *user)
{
    (void)ng, (void)flags, (void)id, (void)data;
    ((struct raw *)user)->body_size += size;
    return 0;
}

static int raw_close(nghttp2_session *ng, int32_t id, uint32_t code, void *user)
{
    (void)ng, (void)id;
    struct raw *r = user;
    r->closed = true;
    r->rst = code;
    return 0;
}

static void open_raw(struct raw *r, bool server)
{
    memset(r, 0, sizeof(*r));
    nghttp2_session_callbacks *cb;
    nghttp2_option *opt;
    CHECK(nghttp2_session_callbacks_new(&cb) == 0 && nghttp2_option_new(&opt) == 0);
    nghttp2_session_callbacks_set_on_header_callback(cb, raw_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, raw_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, raw_close);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, raw_data);
    nghttp2_option_set_no_http_messaging(opt, 1);
    nghttp2_option_set_max_send_header_block_length(opt, 1 << 20);
    CHECK((server ? nghttp2_session_server_new2(&r->ng, cb, r, opt)
                  : nghttp2_session_client_new2(&r->ng, cb, r, opt)) == 0);
    CHECK(nghttp2_submit_settings(r->ng, NGHTTP2_FLAG_NONE, NULL, 0) == 0);
    nghttp2_option_del(opt);
    nghttp2_session_callbacks_del(cb);
}

static void run_raw(struct raw *r, struct end *e)
{
    struct ccz_err err;
    for (int i = 0; i < 50; i++) {
        const uint8_t *p;
        ssize_t n;
        while ((n = nghttp2_session_mem_send(r->ng, &p)) > 0)
            if (cczi_h2_feed(e->h, CCZ_SPAN(p, (size_t)n), &err) != CCZ_OK)
                return;
        CCZ_AUTO_BUF wire;
        ccz_buf_init(&wire, 1 << 24);
        CHECK(cczi_h2_pull(&wire, e->h, 1 << 20, &err) == CCZ_OK);
        if (wire.size && nghttp2_session_mem_recv(r->ng, wire.ptr, wire.size) < 0)
            return;
    }
}

#define NV(k, v)                                                                                   \
    {                                                                                              \
        (uint8_t *)(uintptr_t)(k), (uint8_t *)(uintptr_t)(v), strlen(k), strlen(v),                \
            NGHTTP2_NV_FLAG_NONE                                                                   \
    }

struct body {
    const char *ptr;
    size_t size;
};

static ssize_t raw_read(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t size, uint32_t *flags,
                        nghttp2_data_source *source, void *user)
{
    (void)ng, (void)id, (void)user;
    struct body *b = source->ptr;
    size_t n = b->size < size ? b->size : size;
    memcpy(buf, b->ptr, n);
    b->ptr += n;
    b->size -= n;
    if (b->size == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

/* One request with one header replaced or added, and a body; what the server makes of it. */
static void raw_request(struct raw *r, struct end *s, const char *key, const char *value,
                        struct body body)
{
    nghttp2_nv nv[] = {NV(":method", "POST"), NV(":scheme", "https"),
                       NV(":path", "/a/B"),   NV(":authority", "t"),
                       NV("te", "trailers"),  NV("content-type", "application/grpc"),
                       NV("x-extra", "1")};
    size_t len = sizeof(nv) / sizeof(nv[0]);
    for (size_t i = 0; key && i < len; i++) {
        bool same = nv[i].namelen == strlen(key) && memcmp(nv[i].name, key, nv[i].namelen) == 0;
        if (!same && i + 1 < len)
            continue;
        nv[i] = value ? (nghttp2_nv)NV(key, value) : (nghttp2_nv)NV("x-instead", "1");
        break;
    }
    open_raw(r, false);
    open_end(s, true, 100);
    s->echo = true;
    nghttp2_data_provider p = {.source = {.ptr = &body}, .read_callback = raw_read};
    CHECK(nghttp2_submit_request(r->ng, NULL, nv, len, body.ptr ? &p : NULL, NULL) > 0);
    run_raw(r, s);
    cczi_h2_free(s->h);
    nghttp2_session_del(r->ng);
}

static const struct body hello = {"\0\0\0\0\5hello", 10};

static void test_request_headers(void)
{
    static char long_value[2000];
    memset(long_value, 'x', sizeof(long_value) - 1);
    static const struct {
        const char *key, *value, *status, *grpc_status;
    } cases[] = {
        {NULL, NULL, "200", "0"},
        {":method", "GET", "405", ""},
        {":method", "PUT", "405", ""},
        {":method", "HEAD", "405", ""},
        {"content-type", "text/html", "415", ""},
        {"content-type", "application/grpcx", "415", ""},
        {"content-type", "application/grpc+proto", "200", "0"},
        {"content-type", "application/grpc;x=y", "200", "0"},
        {"te", NULL, "200", "13"},
        {"content-type", NULL, "415", ""},
        {"grpc-encoding", "gzip", "200", "0"}, /* the messages need not be */
        {"grpc-encoding", "deflate", "200", "0"},
        {"grpc-encoding", "snappy", "200", "12"},
        {"grpc-encoding", "", "200", "12"},
        {"grpc-encoding", "gzip,gzip", "200", "12"},
        {"grpc-encoding", "identity", "200", "0"},
        {"grpc-timeout", "5x", "200", "13"},
        {"grpc-timeout", "123456789m", "200", "13"},
        {"grpc-timeout", "5S", "200", "0"},
        {"x-raw-bin", "!!", "200", "13"},
        {"x-raw-bin", "AAE", "200", "0"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct raw r;
        struct end s;
        raw_request(&r, &s, cases[i].key, cases[i].value, hello);
        if (strcmp(r.status, cases[i].status) != 0 ||
            strcmp(r.grpc_status, cases[i].grpc_status) != 0)
            fprintf(stderr, "%s: %s: HTTP %s, gRPC %s (%s)\n", cases[i].key, cases[i].value,
                    r.status, r.grpc_status, r.grpc_message);
        CHECK(strcmp(r.status, cases[i].status) == 0 &&
              strcmp(r.grpc_status, cases[i].grpc_status) == 0);
        CHECK(s.requests == (strcmp(cases[i].grpc_status, "0") == 0) && s.closes == 1);
        CHECK(strcmp(r.allow, strcmp(r.status, "405") == 0 ? "POST" : "") == 0);
        bool head = cases[i].value && strcmp(cases[i].value, "HEAD") == 0;
        if (strcmp(r.status, "200") != 0) /* a line for people */
            CHECK(r.closed && r.rst == NGHTTP2_NO_ERROR && (r.body_size > 20) == !head);
        /* above all with UNIMPLEMENTED: the client learns what it may send */
        CHECK(strcmp(r.accept, strcmp(r.status, "200") == 0 ? CCZI_ACCEPT_ENCODING : "") == 0);
    }
}

static void test_header_limits(void)
{
    static char value[2000];
    memset(value, 'x', sizeof(value) - 1);
    struct raw r;
    struct end s;
    for (size_t fields = 20; fields <= 60; fields += 40) { /* 40 KB pass, 120 KB do not */
        nghttp2_nv nv[80] = {NV(":method", "POST"), NV(":scheme", "https"),
                             NV(":path", "/a/B"),   NV(":authority", "t"),
                             NV("te", "trailers"),  NV("content-type", "application/grpc")};
        for (size_t i = 0; i < fields; i++)
            nv[6 + i] = (nghttp2_nv)NV("x-long", value);
        open_raw(&r, false);
        open_end(&s, true, 100);
        s.echo = true;
        CHECK(nghttp2_submit_request(r.ng, NULL, nv, 6 + fields, NULL, NULL) > 0);
        run_raw(&r, &s);
        CHECK(s.requests == (fields == 20) && r.closed);
        if (fields == 60)
            CHECK(strcmp(r.grpc_status, "8") == 0);
        cczi_h2_free(s.h);
        nghttp2_session_del(r.ng);
    }
    nghttp2_nv many[6 + 70] = {NV(":method", "POST"), NV(":scheme", "https"),
                               NV(":path", "/a/B"),   NV(":authority", "t"),
                               NV("te", "trailers"),  NV("content-type", "application/grpc")};
    for (size_t i = 0; i < 70; i++)
        many[6 + i] = (nghttp2_nv)NV("x", "y");
    open_raw(&r, false);
    open_end(&s, true, 100);
    CHECK(nghttp2_submit_request(r.ng, NULL, many, 76, NULL, NULL) > 0);
    run_raw(&r, &s);
    CHECK(s.requests == 0 && strcmp(r.grpc_status, "8") == 0);
    cczi_h2_free(s.h);
    nghttp2_session_del(r.ng);
}

static void test_request_body(void)
{
    static const struct {
        struct body body;
        const char *grpc_status;
        unsigned messages;
    } cases[] = {
        {{"\0\0\0\0\5hello", 10}, "0", 1},
        {{"\0\0\0\0\5hello\0\0\0\0\0", 15}, "0", 2},
        {{"\0\0\0\0\5hell", 9}, "13", 0},
        {{"\0\0", 2}, "13", 0},
        {{"\0\0\0\0\x65", 5}, "8", 0},
        {{"\1\0\0\0\1x", 6}, "13", 0},
        {{"\2\0\0\0\1x", 6}, "13", 0},
        {{"\0\xff\xff\xff\xff", 5}, "8", 0},
        {{"\0\0\0\0\1a\1\0\0\0\1x", 12}, "13", 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct raw r;
        struct end s;
        raw_request(&r, &s, NULL, NULL, cases[i].body);
        if (strcmp(r.grpc_status, cases[i].grpc_status) != 0)
            fprintf(stderr, "case %zu: gRPC %s (%s)\n", i, r.grpc_status, r.grpc_message);
        CHECK(strcmp(r.grpc_status, cases[i].grpc_status) == 0 && s.messages == cases[i].messages);
        CHECK(s.closes == 1);
    }
}

static ssize_t raw_read_more(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t size,
                             uint32_t *flags, nghttp2_data_source *source, void *user)
{
    const nghttp2_nv trailer = NV(":method", "POST");
    ssize_t n = raw_read(ng, id, buf, size, flags, source, user);
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    CHECK(nghttp2_submit_trailer(ng, id, &trailer, 1) == 0);
    return n;
}

/* What HTTP/2 itself forbids in a request resets its stream, and only that. */
static void test_malformed(void)
{
    struct raw r;
    struct end s;
    raw_request(&r, &s, "content-length", "3", hello);
    CHECK(r.closed && r.rst == NGHTTP2_PROTOCOL_ERROR && !r.got_goaway && !r.grpc_status[0]);
    raw_request(&r, &s, "content-length", "10", hello);
    CHECK(r.closed && r.rst == NGHTTP2_NO_ERROR && strcmp(r.grpc_status, "0") == 0);
    raw_request(&r, &s, "te", "gzip", hello);
    CHECK(r.closed && r.rst == NGHTTP2_PROTOCOL_ERROR && s.requests == 0);
    raw_request(&r, &s, "connection", "close", hello);
    CHECK(r.closed && r.rst == NGHTTP2_PROTOCOL_ERROR && s.requests == 0);

    nghttp2_nv nv[] = {NV(":method", "POST"), NV(":scheme", "https"),
                       NV(":path", "/a/B"),   NV(":authority", "t"),
                       NV("te", "trailers"),  NV("content-type", "application/grpc")};
    struct body body = hello;
    nghttp2_data_provider p = {.source = {.ptr = &body}, .read_callback = raw_read_more};
    open_raw(&r, false);
    open_end(&s, true, 100);
    s.echo = true;
    CHECK(nghttp2_submit_request(r.ng, NULL, nv, 6, &p, NULL) > 0); /* ":method" as a trailer */
    run_raw(&r, &s);
    CHECK(s.messages == 1 && s.half_closes == 0);
    CHECK(r.closed && r.rst == NGHTTP2_PROTOCOL_ERROR && !r.got_goaway);
    cczi_h2_free(s.h);
    nghttp2_session_del(r.ng);
}

/* CVE-2023-44487: streams opened and reset at once. The connection is ended, memory does not grow.
 */
static void test_rapid_reset(void)
{
    struct raw r;
    struct end s;
    nghttp2_nv nv[] = {NV(":method", "POST"), NV(":scheme", "https"),
                       NV(":path", "/a/B"),   NV(":authority", "t"),
                       NV("te", "trailers"),  NV("content-type", "application/grpc")};
    open_raw(&r, false);
    open_end(&s, true, 100);
    int rounds = 0;
    while (!r.got_goaway && rounds++ < 2000) {
        int32_t id = nghttp2_submit_request(r.ng, NULL, nv, 6, NULL, NULL);
        run_raw(&r, &s);
        if (id > 0)
            (void)nghttp2_submit_rst_stream(r.ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        run_raw(&r, &s);
        CHECK(cczi_h2_streams(s.h) <= 8);
    }
    CHECK(r.got_goaway && r.goaway == NGHTTP2_ENHANCE_YOUR_CALM &&
          rounds <= CCZI_H2_RESETS_FREE + 2);
    CHECK(cczi_h2_done(s.h));
    cczi_h2_free(s.h);
    nghttp2_session_del(r.ng);
}

/* CVE-2025-8671: streams that the client makes *us* reset, here by overflowing their windows. */
static void test_made_reset(void)
{
    struct raw r;
    struct end s;
    nghttp2_nv nv[] = {NV(":method", "POST"), NV(":scheme", "https"),
                       NV(":path", "/a/B"),   NV(":authority", "t"),
                       NV("te", "trailers"),  NV("content-type", "application/grpc")};
    open_raw(&r, false);
    open_end(&s, true, 100);
    int rounds = 0;
    while (!r.got_goaway && rounds++ < 2000) {
        int32_t id = nghttp2_submit_request(r.ng, NULL, nv, 6, NULL, NULL);
        run_raw(&r, &s);
        const uint8_t overflow[] = {
            0,    0,    4,   NGHTTP2_WINDOW_UPDATE, 0, 0, 0, (uint8_t)(id >> 8), (uint8_t)id, 0x7f,
            0xff, 0xff, 0xff};
        if (id > 0)
            (void)(cczi_h2_feed(s.h, CCZ_SPAN(overflow, sizeof(overflow)), NULL) == CCZ_OK);
        run_raw(&r, &s);
    }
    CHECK(r.got_goaway && r.goaway == NGHTTP2_ENHANCE_YOUR_CALM &&
          rounds <= CCZI_H2_RESETS_FREE + 2);
    cczi_h2_free(s.h);
    nghttp2_session_del(r.ng);
}

/* Many incomplete messages at once: the connection's budget holds. */
static void test_budget(void)
{
    struct raw r;
    struct end s;
    static char part[100000];
    part[1] = 0, part[2] = 1, part[3] = (char)0x86, part[4] = (char)0xa0; /* announces 100,000 */
    nghttp2_nv nv[] = {NV(":method", "POST"), NV(":scheme", "https"),
                       NV(":path", "/a/B"),   NV(":authority", "t"),
                       NV("te", "trailers"),  NV("content-type", "application/grpc")};
    open_raw(&r, false);
    open_end(&s, true, 100000);
    run_raw(&r, &s);
    struct body body[8];
    for (int i = 0; i < 8; i++) {
        body[i] = (struct body){part, 90000};
        nghttp2_data_provider p = {.source = {.ptr = &body[i]}, .read_callback = raw_read};
        nghttp2_nv copy[6];
        memcpy(copy, nv, sizeof(nv));
        /* NO_END_STREAM: each message stays incomplete */
        CHECK(nghttp2_submit_headers(r.ng, NGHTTP2_FLAG_NONE, -1, NULL, copy, 6, NULL) > 0);
        run_raw(&r, &s);
        CHECK(nghttp2_submit_data(r.ng, NGHTTP2_FLAG_NONE, 1 + 2 * i, &p) == 0);
        run_raw(&r, &s);
        CHECK(cczi_h2_buffered(s.h) <= 4 * 100000 + 16384);
    }
    CHECK(strcmp(r.grpc_status, "8") == 0 && s.closes >= 1);
    cczi_h2_free(s.h);
    nghttp2_session_del(r.ng);
}

static void test_garbage(void)
{
    static const char *const garbage[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                                          "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nAAAAAAAAAAAAAAAA",
                                          "\x16\x03\x01\x02"};
    for (size_t i = 0; i < 3; i++) {
        struct end s;
        struct ccz_err err = {0};
        open_end(&s, true, 100);
        ccz_rc rc = cczi_h2_feed(s.h, ccz_span_str(garbage[i]), &err);
        CCZ_AUTO_BUF wire;
        ccz_buf_init(&wire, 1 << 20);
        if (cczi_h2_pull(&wire, s.h, 1 << 16, &err) == CCZ_OK)
            CHECK(rc != CCZ_OK || cczi_h2_done(s.h));
        cczi_h2_free(s.h);
    }
}

/* ------------------------------------------------------------- what a client makes of responses */

struct answer {
    const char *status, *content, *grpc_status; /* NULL = not sent */
    struct body body;
    uint32_t rst; /* instead of trailers */
    bool informational;
    const char *encoding;
};

static int32_t wait_request(struct raw *r, struct end *c)
{
    run_raw(r, c);
    return nghttp2_session_get_last_proc_stream_id(r->ng);
}

static void answer(struct raw *r, struct end *c, const struct answer *a)
{
    open_raw(r, true);
    open_end(c, false, 100);
    cczi_stream_half_close(request(c, "/a/B"));
    int32_t id = wait_request(r, c);
    CHECK(id == 1);
    nghttp2_nv early[] = {NV(":status", "103")}, nv[4] = {NV(":status", a->status)};
    size_t len = 1;
    if (a->informational)
        CHECK(nghttp2_submit_headers(r->ng, NGHTTP2_FLAG_NONE, id, NULL, early, 1, NULL) == 0);
    if (a->content)
        nv[len++] = (nghttp2_nv)NV("content-type", a->content);
    if (a->encoding)
        nv[len++] = (nghttp2_nv)NV("grpc-encoding", a->encoding);
    struct body body = a->body;
    nghttp2_data_provider p = {.source = {.ptr = &body}, .read_callback = raw_read};
    bool trailers = body.ptr && a->grpc_status;
    if (!body.ptr && a->grpc_status)
        nv[len++] = (nghttp2_nv)NV("grpc-status", a->grpc_status);
    CHECK(nghttp2_submit_headers(r->ng,
                                 body.ptr || a->rst ? NGHTTP2_FLAG_NONE : NGHTTP2_FLAG_END_STREAM,
                                 id, NULL, nv, len, NULL) == 0);
    run_raw(r, c);
    if (body.ptr && !c->closes) /* else it was refused already */
        CHECK(nghttp2_submit_data(r->ng,
                                  trailers || a->rst ? NGHTTP2_FLAG_NONE : NGHTTP2_FLAG_END_STREAM,
                                  id, &p) == 0);
    run_raw(r, c);
    nghttp2_nv last[] = {NV("grpc-status", a->grpc_status ? a->grpc_status : "")};
    if (trailers && !c->closes)
        CHECK(nghttp2_submit_trailer(r->ng, id, last, 1) == 0);
    if (a->rst)
        CHECK(nghttp2_submit_rst_stream(r->ng, NGHTTP2_FLAG_NONE, id, a->rst) == 0);
    run_raw(r, c);
    CHECK(c->closes == 1);
    cczi_h2_free(c->h);
    nghttp2_session_del(r->ng);
}

static void test_responses(void)
{
    static const char grpc[] = "application/grpc";
    static const struct {
        struct answer a;
        enum ccz_rpc_code code;
        unsigned messages;
    } cases[] = {
        {{.status = "200", .content = grpc, .grpc_status = "0", .body = {"\0\0\0\0\1x", 6}},
         CCZ_RPC_OK,
         1},
        {{.status = "200", .content = grpc, .grpc_status = "5"}, CCZ_RPC_NOT_FOUND, 0},
        {{.status = "200",
          .content = grpc,
          .grpc_status = "0",
          .body = {"\0\0\0\0\1x", 6},
          .informational = true},
         CCZ_RPC_OK,
         1},
        {{.status = "503", .content = "text/html", .body = {"<html>", 6}}, CCZ_RPC_UNAVAILABLE, 0},
        {{.status = "404"}, CCZ_RPC_UNIMPLEMENTED, 0},
        {{.status = "200", .content = "text/html", .body = {"\0\0\0\0\1x", 6}}, CCZ_RPC_UNKNOWN, 0},
        {{.status = "200", .content = grpc, .body = {"\0\0\0\0\1x", 6}}, CCZ_RPC_UNKNOWN, 1},
        {{.status = "200", .content = grpc, .grpc_status = "0", .body = {"\0\0\0\0\2x", 6}},
         CCZ_RPC_INTERNAL,
         0},
        {{.status = "200", .content = grpc, .grpc_status = "77", .body = {"\0\0\0\0\1x", 6}},
         CCZ_RPC_UNKNOWN,
         1},
        {{.status = "200", .content = grpc, .grpc_status = "0", .body = {"\0\0\0\0\x7fx", 6}},
         CCZ_RPC_RESOURCE_EXHAUSTED,
         0},
        {{.status = "200", .content = grpc, .grpc_status = "0", .body = {"\1\0\0\0\1x", 6}},
         CCZ_RPC_INTERNAL,
         0},
        {{.status = "200",
          .content = grpc,
          .encoding = "gzip",
          .grpc_status = "0",
          .body = {"\0\0\0\0\1x", 6}},
         CCZ_RPC_OK,
         1},
        {{.status = "200",
          .content = grpc,
          .encoding = "gzip",
          .grpc_status = "0",
          .body = {"\1\0\0\0\1x", 6}},
         CCZ_RPC_INTERNAL,
         0},
        {{.status = "200",
          .content = grpc,
          .encoding = "snappy",
          .grpc_status = "0",
          .body = {"\0\0\0\0\1x", 6}},
         CCZ_RPC_INTERNAL,
         0},
        {{.status = "200", .content = grpc, .rst = NGHTTP2_REFUSED_STREAM}, CCZ_RPC_UNAVAILABLE, 0},
        {{.status = "200", .content = grpc, .rst = NGHTTP2_CANCEL}, CCZ_RPC_CANCELLED, 0},
        {{.status = "200", .content = grpc, .rst = NGHTTP2_ENHANCE_YOUR_CALM},
         CCZ_RPC_RESOURCE_EXHAUSTED,
         0},
        {{.status = "200", .content = grpc, .rst = NGHTTP2_INADEQUATE_SECURITY},
         CCZ_RPC_PERMISSION_DENIED,
         0},
        {{.status = "200", .content = grpc, .rst = NGHTTP2_INTERNAL_ERROR}, CCZ_RPC_INTERNAL, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct raw r;
        struct end c;
        answer(&r, &c, &cases[i].a);
        if (c.code != cases[i].code || c.messages != cases[i].messages)
            fprintf(stderr, "case %zu: %s (%s), %u messages\n", i, ccz_rpc_code_name(c.code),
                    c.message, c.messages);
        CHECK(c.code == cases[i].code && c.messages == cases[i].messages);
    }
}

/* ------------------------------------------------------------------------------ peers that take nothing */

/* Each request above the limit is refused by a frame of ours; a client that takes none of them is ended. */
static void test_flood(void)
{
    static const uint8_t headers[] = {0x83, 0x87, 0x84, 0x41, 1, 't'}; /* POST https / t */
    struct end s;
    struct ccz_err err = {0};
    open_end(&s, true, 100);
    ccz_rc rc = cczi_h2_feed(s.h, ccz_span_str(NGHTTP2_CLIENT_MAGIC), &err);
    CHECK(rc == CCZ_OK);
    unsigned sent = 0;
    for (; rc == CCZ_OK && sent < 5000; sent++) {
        uint8_t frame[9 + sizeof(headers)] = {0, 0, sizeof(headers), NGHTTP2_HEADERS,
                                              NGHTTP2_FLAG_END_HEADERS};
        uint32_t id = 2 * sent + 1;
        if (sent == 0) /* SETTINGS come first */
            rc = cczi_h2_feed(s.h, CCZ_SPAN("\0\0\0\4\0\0\0\0\0", 9), &err);
        for (int i = 0; i < 4; i++)
            frame[5 + i] = (uint8_t)(id >> (24 - 8 * i));
        memcpy(frame + 9, headers, sizeof(headers));
        if (rc == CCZ_OK)
            rc = cczi_h2_feed(s.h, CCZ_SPAN(frame, sizeof(frame)), &err);
        CHECK(cczi_h2_streams(s.h) <= 8);
    }
    CHECK(rc == CCZ_E_PEER && strcmp(err.where, "rpc:flood") == 0 && sent > 1000 && sent < 1200);
    cczi_h2_free(s.h);
}

/* Answers of which nothing leaves are reset after some turns; what moves, or holds nothing, is not. */
static void test_shed(void)
{
    static uint8_t block[200000];
    struct end c, s;
    struct cczi_budget budget = {.max = 1000, .queued_max = 1000};
    atomic_init(&budget.refs, 1);
    open_end(&c, false, sizeof(block));
    open_end(&s, true, sizeof(block));
    s.h->cfg.budget = &budget;
    struct cczi_stream *slow = request(&c, "/a/B"), *idle = request(&c, "/c/D");
    run(&c, &s, 100000);
    cczi_stream_pause(slow, true);
    CHECK(s.h->first != s.h->last && s.h->last->id == idle->id);
    for (int i = 0; i < 30; i++) /* more than the window of the stream, 4 MiB */
        cczi_stream_send(s.h->first, cczi_out_new(CCZ_SPAN(block, sizeof(block)), NULL));
    run(&c, &s, 100000);
    CHECK(atomic_load(&budget.queued) == s.h->queued && s.h->queued == s.h->first->out_size &&
          s.h->queued > 1000000);
    CHECK(cczi_h2_shed(s.h, 2) == 0 && cczi_h2_shed(s.h, 2) == 0);
    cczi_stream_pause(slow, false); /* it moves: the turns count anew */
    cczi_stream_pause(slow, true);
    run(&c, &s, 100000);
    if (s.h->queued == 0)
        for (int i = 0; i < 30; i++)
            cczi_stream_send(s.h->first, cczi_out_new(CCZ_SPAN(block, sizeof(block)), NULL));
    run(&c, &s, 100000);
    CHECK(cczi_h2_shed(s.h, 2) == 0 && cczi_h2_shed(s.h, 2) == 0 && cczi_h2_shed(s.h, 2) == 1);
    run(&c, &s, 100000);
    struct cczi_stream *next = request(&c, "/e/F");
    run(&c, &s, 100000);
    CHECK(s.closes == 1 && c.closes == 1 && c.code == CCZ_RPC_RESOURCE_EXHAUSTED);
    CHECK(s.requests == 3 && next->h2 && s.h->queued == 0 && atomic_load(&budget.queued) == 0);
    cczi_h2_free(c.h);
    cczi_h2_free(s.h);
    CHECK(atomic_load(&budget.refs) == 1);
}

/* Who holds much when all together hold too much is refused; who holds little goes on, up to twice the limit. */
static void test_share(void)
{
    static uint8_t block[100000];
    struct cczi_budget budget = {.max = 50000, .queued_max = 50000};
    atomic_init(&budget.refs, 1);
    for (int answers = 0; answers < 2; answers++) {
        struct end c[2], s[2];
        for (int i = 0; i < 2; i++) {
            open_end(&c[i], false, sizeof(block));
            open_end(&s[i], true, sizeof(block));
            s[i].h->cfg.budget = &budget;
            s[i].echo = true;
        }
        atomic_store(answers ? &budget.queued : &budget.used, 60000); /* held elsewhere */
        s[0].h->buffered += answers ? 0 : 70000;
        s[0].h->queued += answers ? 70000 : 0;
        for (int i = 0; i < 2; i++) {
            cczi_stream_half_close(request(&c[i], "/a/B"));
            run(&c[i], &s[i], 100000);
        }
        CHECK(c[0].code == CCZ_RPC_RESOURCE_EXHAUSTED && s[0].requests == 0);
        CHECK(c[1].code == CCZ_RPC_OK && s[1].requests == 1);
        atomic_store(answers ? &budget.queued : &budget.used, 110000);
        cczi_stream_half_close(request(&c[1], "/a/B"));
        run(&c[1], &s[1], 100000);
        CHECK(c[1].code == CCZ_RPC_RESOURCE_EXHAUSTED && s[1].requests == 1);
        atomic_store(answers ? &budget.queued : &budget.used, 0);
        s[0].h->buffered = s[0].h->queued = 0;
        for (int i = 0; i < 2; i++) {
            cczi_h2_free(c[i].h);
            cczi_h2_free(s[i].h);
        }
    }
}

/* Memory is given back after everything that is sent, also of larger frames, and nothing that comes later is hurt. */
static void test_trim(void)
{
    static uint8_t big[300000];
    struct end c, s;
    open_end(&c, false, sizeof(big));
    open_end(&s, true, sizeof(big));
    s.echo = true;
    for (unsigned i = 0; i < 40; i++) {
        size_t size = i % 3 == 2 ? sizeof(big) : i * 17;
        struct cczi_stream *st = request(&c, "/a/B");
        cczi_stream_send(st, cczi_out_new(CCZ_SPAN(big, size), NULL));
        cczi_stream_half_close(st);
        for (bool more = true; more;) {
            more = move(&s, &c, i % 2 ? 5000 : 99);
            cczi_h2_trim(s.h);
            cczi_h2_trim(c.h);
            more |= move(&c, &s, i % 2 ? 5000 : 99);
            cczi_h2_trim(s.h);
            cczi_h2_trim(c.h);
        }
        CHECK(c.closes == i + 1 && c.code == CCZ_RPC_OK);
    }
    unsigned char there[64];
    CHECK(s.h->mem.frames && s.h->mem.frames_size > 65536 && s.h->mem.frames_size < 64 * 4096);
    CHECK(mincore(s.h->mem.frames, s.h->mem.frames_size, there) == 0);
    for (size_t i = 0; i < s.h->mem.frames_size / 4096; i++)
        CHECK(!(there[i] & 1));
    cczi_h2_free(c.h);
    cczi_h2_free(s.h);
}

static const struct ccz_test tests[] = {
    {"rpc.h2_pair", test_pair},
    {"rpc.h2_large", test_large_pair},
    {"rpc.h2_pause", test_pause},
    {"rpc.h2_early_end", test_early_end},
    {"rpc.h2_abandon", test_abandon},
    {"rpc.h2_drain", test_drain},
    {"rpc.h2_drain_crossed", test_drain_crossed},
    {"rpc.h2_refused", test_refused},
    {"rpc.h2_streams_max", test_streams_max},
    {"rpc.h2_request_headers", test_request_headers},
    {"rpc.h2_header_limits", test_header_limits},
    {"rpc.h2_request_body", test_request_body},
    {"rpc.h2_rapid_reset", test_rapid_reset},
    {"rpc.h2_made_reset", test_made_reset},
    {"rpc.h2_budget", test_budget},
    {"rpc.h2_flood", test_flood},
    {"rpc.h2_shed", test_shed},
    {"rpc.h2_share", test_share},
    {"rpc.h2_trim", test_trim},
    {"rpc.h2_garbage", test_garbage},
    {"rpc.h2_malformed", test_malformed},
    {"rpc.h2_responses", test_responses},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Flow control: windows that are small, that grow, and that are closed; memory of slow readers; large messages. */
#include "rpc_fixture.h"

#include "rpc/h2.h"

/* The byte at @p at of everything that is sent in one direction. */
static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 2654435761u >> 13);
}

/* -------------------------------------------------------------------------- two engines in memory */

enum { MESSAGE_MAX = 300000 };

struct end {
    struct cczi_h2 *h;
    struct cczi_stream *st;
    size_t to_send, sent, got, got_max; /* bytes of messages; paused at got_max, 0 = never */
    size_t message;                     /* size of those sent; 0 = of all sizes */
    size_t out_max;                     /* the most that waited */
    unsigned closes;
    enum ccz_rpc_code code;
};

/* As a handler does it: as long as not too much waits. */
static void send_more(struct end *e)
{
    static uint8_t bytes[MESSAGE_MAX];
    while (e->st && e->sent < e->to_send && e->st->out_size <= CCZI_H2_OUT_HIGH) {
        size_t n = e->message ? e->message : (e->sent * 7919) % MESSAGE_MAX;
        n = n < e->to_send - e->sent ? n : e->to_send - e->sent;
        n += n == 0;
        for (size_t i = 0; i < n; i++)
            bytes[i] = pattern(e->sent + i);
        cczi_stream_send(e->st, cczi_out_new(CCZ_SPAN(bytes, n), NULL));
        e->sent += n;
        e->out_max = e->st->out_size > e->out_max ? e->st->out_size : e->out_max;
    }
    if (!e->st || e->sent < e->to_send)
        return;
    if (!e->h->cfg.server)
        cczi_stream_half_close(e->st);
    else if (e->st->remote_closed)
        cczi_stream_finish(e->st, CCZ_RPC_OK, NULL);
}

static struct cczi_stream *stream_new(void *arg)
{
    struct end *e = arg;
    struct cczi_stream *st = malloc(sizeof(*st));
    CHECK(st);
    cczi_stream_init(st, e->h->cfg.message_size_max);
    return st;
}

static void on_request(void *arg, struct cczi_stream *st)
{
    struct end *e = arg;
    e->st = st;
    send_more(e);
}

static void on_response(void *arg, struct cczi_stream *st)
{
    (void)arg, (void)st;
}

static void on_message(void *arg, struct cczi_stream *st, struct ccz_span msg)
{
    struct end *e = arg;
    for (size_t i = 0; i < msg.size; i++)
        CHECK(msg.ptr[i] == pattern(e->got + i));
    e->got += msg.size;
    if (e->got_max && e->got >= e->got_max)
        cczi_stream_pause(st, true);
}

static void on_more(void *arg, struct cczi_stream *st)
{
    (void)st;
    send_more(arg);
}

static void on_close(void *arg, struct cczi_stream *st)
{
    struct end *e = arg;
    e->closes++;
    e->code = st->code;
    e->st = NULL;
    cczi_stream_deinit(st);
    free(st);
}

static void on_goaway(void *arg)
{
    (void)arg;
}

static const struct cczi_h2_ops ops = {.stream_new = stream_new,
                                       .on_request = on_request,
                                       .on_response = on_response,
                                       .on_message = on_message,
                                       .on_half_close = on_more,
                                       .on_drained = on_more,
                                       .on_close = on_close,
                                       .on_goaway = on_goaway};

static void open_end(struct end *e, bool server)
{
    memset(e, 0, sizeof(*e));
    struct cczi_h2_cfg cfg = {
        .server = server, .ops = &ops, .arg = e, .message_size_max = MESSAGE_MAX, .streams_max = 8};
    CHECK(cczi_h2_new(&e->h, &cfg) == CCZ_OK);
}

static void open_stream(struct end *c)
{
    static struct cczi_md none;
    struct cczi_request rq = {
        .authority = "test", .path = "/a/B", .timeout_ms = 1000, .metadata = &none};
    c->st = stream_new(c);
    CHECK(cczi_h2_request(c->h, c->st, &rq, NULL) == CCZ_OK);
    send_more(c);
}

/* At most @p size bytes (and a frame) that `from` has to say. @return how many */
static size_t carry(struct end *to, struct end *from, size_t size)
{
    struct ccz_err err;
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 1 << 26);
    CHECK(cczi_h2_pull(&wire, from->h, size, &err) == CCZ_OK);
    for (size_t at = 0, n; at < wire.size; at += n) {
        n = 1 + (at * 31 + wire.size) % 40000;
        n = n < wire.size - at ? n : wire.size - at;
        CHECK(cczi_h2_feed(to->h, CCZ_SPAN(wire.ptr + at, n), &err) == CCZ_OK);
    }
    return wire.size;
}

static void free_ends(struct end *c, struct end *s)
{
    cczi_h2_free(c->h);
    cczi_h2_free(s->h);
}

/* Much in both directions of one call at once, in unequal steps. */
static void test_both_ways(void)
{
    enum { SIZE = 12 << 20 };
    struct end c, s;
    open_end(&c, false);
    open_end(&s, true);
    c.to_send = s.to_send = SIZE;
    open_stream(&c);
    for (size_t i = 0, moved = 1; moved > 0; i++) {
        moved = carry(&s, &c, 1000 + i % 7 * 30000);
        moved += carry(&c, &s, 1000 + i % 5 * 50000);
    }
    CHECK(c.closes == 1 && s.closes == 1 && c.code == CCZ_RPC_OK);
    CHECK(c.got == SIZE && s.got == SIZE);
    CHECK(c.out_max <= CCZI_H2_OUT_HIGH + 2 * MESSAGE_MAX &&
          s.out_max <= CCZI_H2_OUT_HIGH + 2 * MESSAGE_MAX);
    free_ends(&c, &s);
}

/* A reader that stops costs the sender what it may queue, and the receiver one window; the connection goes on. */
static void test_slow_reader(void)
{
    enum { SIZE = 32 << 20, FIRST = 1000000 };
    struct end c, s;
    open_end(&c, false);
    open_end(&s, true);
    s.to_send = SIZE;
    c.got_max = FIRST;
    open_stream(&c);
    while (carry(&s, &c, 1 << 20) + carry(&c, &s, 1 << 20) > 0)
        ;
    CHECK(c.closes == 0 && c.got >= FIRST && c.got <= FIRST + c.h->window.size + MESSAGE_MAX);
    CHECK(s.out_max <= CCZI_H2_OUT_HIGH + 2 * MESSAGE_MAX && s.sent - c.got < 16 << 20);
    CHECK(!cczi_h2_wants_pull(s.h)); /* a loop that pulls while it should would never rest */
    c.got_max = 0;
    cczi_stream_pause(c.st, false);
    while (carry(&s, &c, 1 << 20) + carry(&c, &s, 1 << 20) > 0)
        ;
    CHECK(c.closes == 1 && c.code == CCZ_RPC_OK && c.got == SIZE);
    free_ends(&c, &s);
}

/* Windows double while they are what holds the sender up, up to the largest, and the sender is told. */
static void test_growth(void)
{
    struct end c, s;
    open_end(&c, false);
    open_end(&s, true);
    s.to_send = 64 << 20;
    open_stream(&c);
    uint32_t before = c.h->window.size;
    CHECK(before == CCZI_H2_WINDOW_FIRST);
    while (carry(&s, &c, SIZE_MAX / 2) + carry(&c, &s, SIZE_MAX / 2) > 0) {
        CHECK(c.h->window.size == before || c.h->window.size == 2 * before);
        before = c.h->window.size;
    }
    CHECK(c.got == s.to_send && before == CCZI_H2_WINDOW_MAX);
    CHECK(nghttp2_session_get_remote_settings(s.h->ng, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE) ==
          CCZI_H2_WINDOW_MAX);
    CHECK(nghttp2_session_get_effective_local_window_size(c.h->ng) ==
          CCZI_H2_CONN_WINDOWS * CCZI_H2_WINDOW_MAX);
    CHECK(s.h->window.size == CCZI_H2_WINDOW_FIRST); /* which received next to nothing */
    free_ends(&c, &s);
}

/* A sender that is slower than the window, for whatever reason, does not make it grow, and is asked more and more seldom. */
static void test_no_growth(void)
{
    struct end c, s;
    open_end(&c, false);
    open_end(&s, true);
    s.to_send = 8 << 20;
    s.message = 1000;
    open_stream(&c);
    size_t questions = 0, rest = 0;
    while (carry(&s, &c, 1 << 16) + carry(&c, &s, 1 << 16) > 0) {
        questions += c.h->window.rest != rest;
        rest = c.h->window.rest;
    }
    CHECK(c.got == s.to_send && c.h->window.size == CCZI_H2_WINDOW_FIRST);
    CHECK(questions > 1 && questions < 10);
    free_ends(&c, &s);
}

/* ------------------------------------------------------------------------------- a bare peer */

struct raw {
    nghttp2_session *ng;
    size_t got;
    bool ended;
    uint8_t bytes[200000];
};

static int raw_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data,
                    size_t size, void *user)
{
    (void)ng, (void)flags, (void)id;
    struct raw *r = user;
    CHECK(size <= sizeof(r->bytes) - r->got);
    memcpy(r->bytes + r->got, data, size);
    r->got += size;
    return 0;
}

static int raw_closed(nghttp2_session *ng, int32_t id, uint32_t code, void *user)
{
    (void)ng, (void)id;
    ((struct raw *)user)->ended = code == NGHTTP2_NO_ERROR;
    return 0;
}

/* A client with windows of @p window bytes for each stream, that gives no credit by itself. */
static void raw_open(struct raw *r, uint32_t window)
{
    memset(r, 0, sizeof(*r));
    nghttp2_session_callbacks *cb;
    nghttp2_option *opt;
    nghttp2_settings_entry iv = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window};
    CHECK(nghttp2_session_callbacks_new(&cb) == 0 && nghttp2_option_new(&opt) == 0);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, raw_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, raw_closed);
    nghttp2_option_set_no_auto_window_update(opt, 1);
    CHECK(nghttp2_session_client_new2(&r->ng, cb, r, opt) == 0);
    CHECK(nghttp2_submit_settings(r->ng, NGHTTP2_FLAG_NONE, &iv, 1) == 0);
    nghttp2_option_del(opt);
    nghttp2_session_callbacks_del(cb);
}

static int32_t raw_call(struct raw *r)
{
#define NV(k, v)                                                                                   \
    {                                                                                              \
        (uint8_t *)(uintptr_t)(k), (uint8_t *)(uintptr_t)(v), strlen(k), strlen(v),                \
            NGHTTP2_NV_FLAG_NONE                                                                   \
    }
    const nghttp2_nv nv[] = {NV(":method", "POST"), NV(":scheme", "https"),
                             NV(":path", "/a/B"),   NV(":authority", "t"),
                             NV("te", "trailers"),  NV("content-type", "application/grpc")};
    int32_t id = nghttp2_submit_request(r->ng, NULL, nv, sizeof(nv) / sizeof(nv[0]), NULL, NULL);
    CHECK(id > 0);
    return id;
}

/* Until nobody has anything to say. @return bytes that the server sent */
static size_t raw_run(struct raw *r, struct end *s)
{
    struct ccz_err err;
    size_t sent = 0;
    for (bool more = true; more;) {
        const uint8_t *p;
        ssize_t n;
        while ((n = nghttp2_session_mem_send(r->ng, &p)) > 0)
            CHECK(cczi_h2_feed(s->h, CCZ_SPAN(p, (size_t)n), &err) == CCZ_OK);
        CCZ_AUTO_BUF wire;
        ccz_buf_init(&wire, 1 << 24);
        CHECK(cczi_h2_pull(&wire, s->h, 1 << 20, &err) == CCZ_OK);
        if (wire.size)
            CHECK(nghttp2_session_mem_recv(r->ng, wire.ptr, wire.size) == (ssize_t)wire.size);
        sent += wire.size;
        more = wire.size > 0;
    }
    CHECK(!cczi_h2_wants_pull(s->h));
    return sent;
}

static void check_messages(const struct raw *r, size_t total)
{
    struct ccz_rd rd = ccz_rd_from(CCZ_SPAN(r->bytes, r->got));
    size_t at = 0;
    while (at < total) {
        CHECK(ccz_rd_u8(&rd) == 0);
        struct ccz_span msg = ccz_rd_take(&rd, ccz_rd_be32(&rd));
        CHECK(!rd.bad && msg.size > 0);
        for (size_t i = 0; i < msg.size; i++)
            CHECK(msg.ptr[i] == pattern(at + i));
        at += msg.size;
    }
    CHECK(ccz_rd_done(&rd));
}

/* One byte at a time: each credit brings one byte, and nothing else. */
static void test_one_byte(void)
{
    static struct raw r;
    struct end s;
    open_end(&s, true);
    s.to_send = 300;
    s.message = 100;
    raw_open(&r, 1);
    int32_t id = raw_call(&r);
    (void)raw_run(&r, &s);
    CHECK(r.got == 1);
    for (size_t i = 2; i <= 300 + 3 * CCZI_PREFIX_SIZE; i++) {
        CHECK(nghttp2_submit_window_update(r.ng, NGHTTP2_FLAG_NONE, id, 1) == 0);
        size_t sent = raw_run(&r, &s);
        CHECK(r.got == i && sent < 100); /* a frame's head, a byte, and at the end the status */
    }
    CHECK(s.closes == 1);
    check_messages(&r, 300);
    nghttp2_session_del(r.ng);
    cczi_h2_free(s.h);
}

/* No credit of the connection: all streams wait, without anything to pull, and go on when it comes. */
static void test_connection_window(void)
{
    enum { CONN_WINDOW = 65535, SIZE = 150000 };
    static struct raw r;
    struct end s;
    open_end(&s, true);
    s.to_send = SIZE;
    s.message = 10000;
    raw_open(&r, 1 << 20);
    (void)raw_call(&r);
    (void)raw_run(&r, &s);
    CHECK(r.got == CONN_WINDOW && !r.ended && s.closes == 0);
    size_t more = 1;
    for (size_t got = r.got; !r.ended; got = r.got, more = more * 3 + 1) {
        CHECK(nghttp2_submit_window_update(r.ng, NGHTTP2_FLAG_NONE, 0, (int32_t)more) == 0);
        (void)raw_run(&r, &s);
        CHECK(r.got - got <= more && r.got > got);
    }
    check_messages(&r, SIZE);
    nghttp2_session_del(r.ng);
    cczi_h2_free(s.h);
}

/* An answer to a question that was not asked opens no window. */
static void test_forged_answer(void)
{
    static struct raw r;
    struct end s;
    struct ccz_err err;
    static const uint8_t ack[] = {0,   0,   8,   6,   1,   0,   0, 0, 0, /* PING, ACK */
                                  'w', 'i', 'n', 'd', 'o', 'w', 0, 0};
    open_end(&s, true);
    raw_open(&r, 65535);
    (void)raw_run(&r, &s);
    for (int i = 0; i < 100; i++) {
        cczi_window_received(s.h, 1000); /* below what leads to a question */
        s.h->window.received = CCZI_H2_WINDOW_MAX;
        CHECK(cczi_h2_feed(s.h, CCZ_SPAN(ack, sizeof(ack)), &err) == CCZ_OK);
        s.h->window.received = 0;
    }
    CHECK(s.h->window.size == CCZI_H2_WINDOW_FIRST);
    nghttp2_session_del(r.ng);
    cczi_h2_free(s.h);
}

/* -------------------------------------------------------------------------- over real sockets */

struct flood { /* a stream without end */
    atomic_size_t sent;
    size_t message;
};

static void flood_more(struct ccz_rpc_call *call, void *arg)
{
    static const uint8_t block[MESSAGE_MAX];
    struct flood *fl = arg;
    while (ccz_rpc_pending(call) <= CCZ_RPC_PENDING_HIGH && !ccz_rpc_cancelled(call)) {
        ccz_rpc_send(call, CCZ_SPAN(block, fl->message));
        atomic_fetch_add(&fl->sent, fl->message);
    }
}

static struct flood flood;

static void add_flood(struct fixture *f)
{
    struct ccz_rpc_handler h = {.on_half_close = flood_more, .on_writable = flood_more};
    CHECK(ccz_rpc_server_add(f->server, "/t.T/Flood", &h, &flood) == CCZ_OK);
}

/* A client that does not read costs both ends a bounded amount. */
static void test_reader_sleeps(void)
{
    enum { BOUND = 64 << 20, MORE = 100 };
    struct fixture f = {.before_start = add_flood};
    struct ccz_rpc_stream *s;
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, MESSAGE_MAX);
    flood.message = 65536;
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){0});
    CHECK(ccz_rpc_stream_open(&s, f.client, "/t.T/Flood", NULL, NULL) == CCZ_OK &&
          ccz_rpc_stream_half_close(s) == CCZ_OK);
    size_t read = 0, before = 0;
    for (int still = 0; still < 20;) { /* reads little, until nothing moves without it */
        if (read < MORE) {
            ccz_buf_clear(&msg);
            CHECK(ccz_rpc_stream_recv(&msg, s, NULL, NULL) == CCZ_OK && msg.size == 65536);
            read++;
            continue;
        }
        usleep(10000);
        size_t now = atomic_load(&flood.sent);
        still = now == before ? still + 1 : 0;
        before = now;
        CHECK(now < BOUND);
    }
    for (int i = 0; i < 1000; i++) { /* and it goes on: more than ever was on its way */
        ccz_buf_clear(&msg);
        CHECK(ccz_rpc_stream_recv(&msg, s, NULL, NULL) == CCZ_OK && msg.size == 65536);
    }
    ccz_rpc_stream_free(s);
    teardown(&f);
}

/* Writer and reader of one call, much faster than either alone could be stored. */
struct writer {
    struct ccz_rpc_stream *s;
    size_t total, message;
};

static void *write_all(void *arg)
{
    struct writer *w = arg;
    uint8_t *bytes = malloc(w->message);
    CHECK(bytes);
    for (size_t at = 0; at < w->total; at += w->message) {
        for (size_t i = 0; i < w->message; i++)
            bytes[i] = pattern(at + i);
        CHECK(ccz_rpc_stream_send(w->s, CCZ_SPAN(bytes, w->message)) == CCZ_OK);
    }
    CHECK(ccz_rpc_stream_half_close(w->s) == CCZ_OK);
    free(bytes);
    return NULL;
}

static void echo_stream(struct fixture *f, size_t message, size_t total)
{
    struct writer w = {.total = total, .message = message};
    pthread_t thread;
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, message);
    CHECK(ccz_rpc_stream_open(&w.s, f->client, "/t.T/Bidi", NULL, NULL) == CCZ_OK);
    CHECK(pthread_create(&thread, NULL, write_all, &w) == 0);
    for (size_t at = 0; at < total; at += message) {
        ccz_buf_clear(&msg);
        CHECK(ccz_rpc_stream_recv(&msg, w.s, NULL, NULL) == CCZ_OK && msg.size == message);
        for (size_t i = 0; i < message; i++)
            CHECK(msg.ptr[i] == pattern(at + i));
    }
    CHECK(ccz_rpc_stream_recv(&msg, w.s, NULL, NULL) == CCZ_E_NOT_FOUND);
    pthread_join(thread, NULL);
    ccz_rpc_stream_free(w.s);
}

static void test_echo_both_ways(void)
{
    struct fixture f;
    setup(&f, CCZ_RATLS_SESSION);
    echo_stream(&f, 1, 1000);
    echo_stream(&f, 70000, 70000 * 100);
    echo_stream(&f, 1 << 20, 16 << 20);
    teardown(&f);
}

/* Large messages change hands; buffers that hold something, are too small or hold secrets get a copy, or nothing. */
static void test_large_messages(void)
{
    enum { SIZE = 100000 };
    struct fixture f;
    struct ccz_rpc_stream *s;
    struct ccz_err err;
    setup(&f, CCZ_RATLS_SESSION);
    uint8_t *bytes = malloc(SIZE);
    CHECK(bytes);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = pattern(i);
    CHECK(ccz_rpc_stream_open(&s, f.client, "/t.T/Bidi", NULL, NULL) == CCZ_OK);
    for (int kind = 0; kind < 5; kind++) {
        CCZ_AUTO_BUF msg;
        ccz_buf_init(&msg, kind == 3 ? SIZE - 1 : 2 * SIZE);
        msg.wipe = kind == 2;
        if (kind == 1)
            ccz_buf_put_str(&msg, "before");
        if (kind == 4)
            (void)ccz_buf_extend(&msg, 10), ccz_buf_clear(&msg);
        uint8_t *old = msg.ptr;
        CHECK(ccz_rpc_stream_send(s, CCZ_SPAN(bytes, SIZE)) == CCZ_OK);
        ccz_rc rc = ccz_rpc_stream_recv(&msg, s, NULL, &err);
        CHECK(rc == (kind == 3 ? CCZ_E_LIMIT : CCZ_OK));
        if (kind == 3)
            continue;
        size_t from = kind == 1 ? 6 : 0;
        CHECK(msg.size == from + SIZE && memcmp(msg.ptr + from, bytes, SIZE) == 0);
        CHECK(kind != 4 || msg.ptr != old);
        CHECK(strlen(ccz_buf_str(&msg)) <= msg.size); /* the byte behind is the buffer's too */
    }
    ccz_rpc_stream_free(s);
    free(bytes);
    teardown(&f);
}

/* --------------------------------------------------------------------- messages that are not copied */

/* Pieces of a lent message in frames of every size are the same bytes; small ones are copied at once. */
static void test_lent(void)
{
    enum { SIZE = 50000 };
    static uint8_t bytes[SIZE];
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = pattern(i);
    static const size_t sizes[] = {0, 1, 1000, 16383, 16384, SIZE};
    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        struct ccz_span msg = CCZ_SPAN(bytes, sizes[k]);
        struct cczi_out *copy = cczi_out_new(msg, NULL), *lent = cczi_out_lent(msg, NULL);
        CHECK(copy && lent && copy->size == lent->size &&
              (lent->lent != NULL) == (sizes[k] >= 16384));
        for (size_t at = 0, step = 1; at < lent->size; step = step * 3 % 4099) {
            struct ccz_span a = cczi_out_piece(copy, at), b = cczi_out_piece(lent, at);
            size_t n = step < b.size ? step : b.size;
            CHECK(n > 0 && a.size >= n && memcmp(a.ptr, b.ptr, n) == 0);
            at += n;
        }
        cczi_out_free(copy);
        cczi_out_free(lent);
    }
}

/* The part of the request that "from to" in it says. */
static void part(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg;
    unsigned from, to;
    char text[32];
    CHECK(request.size > sizeof(text));
    memcpy(text, request.ptr, sizeof(text));
    text[sizeof(text) - 1] = 0;
    CHECK(sscanf(text, "%u %u", &from, &to) == 2 && from <= to && to <= request.size);
    ccz_rpc_reply(call, ccz_span_sub(request, from, to - from));
}

static void *part_later(void *arg)
{
    struct ccz_rpc_call *call = arg;
    usleep(2000);
    part(call, NULL, ccz_rpc_metadata(call, "request-bin")); /* not of the request: copied */
    ccz_rpc_call_unref(call);
    return NULL;
}

static void part_elsewhere(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg, (void)request;
    pthread_t t;
    ccz_rpc_call_ref(call);
    CHECK(pthread_create(&t, NULL, part_later, call) == 0);
    pthread_detach(t);
}

static void add_part(struct fixture *f)
{
    CHECK(ccz_rpc_server_add_unary(f->server, "/t.T/Part", part, f) == CCZ_OK &&
          ccz_rpc_server_add_unary(f->server, "/t.T/PartLater", part_elsewhere, f) == CCZ_OK);
}

/* Answers out of the request, all of it or a part, while the client's own memory is lent to the call. */
static void test_part_of_request(void)
{
    enum { SIZE = 600000 };
    struct fixture f = {.before_start = add_part};
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){0});
    uint8_t *bytes = malloc(SIZE);
    CHECK(bytes);
    static const unsigned parts[][2] = {{0, SIZE},        {0, 0},     {SIZE, SIZE},
                                        {100000, 500000}, {5, 20000}, {SIZE - 1, SIZE}};
    for (size_t k = 0; k < sizeof(parts) / sizeof(parts[0]); k++) {
        for (size_t i = 0; i < SIZE; i++)
            bytes[i] = pattern(i);
        (void)snprintf((char *)bytes, 32, "%u %u", parts[k][0], parts[k][1]);
        CCZ_AUTO_BUF answer;
        ccz_buf_init(&answer, SIZE);
        CHECK(ccz_rpc_unary(&answer, NULL, f.client, "/t.T/Part", CCZ_SPAN(bytes, SIZE), NULL,
                            NULL) == CCZ_OK);
        CHECK(answer.size == parts[k][1] - parts[k][0] &&
              (answer.size == 0 || memcmp(answer.ptr, bytes + parts[k][0], answer.size) == 0));
    }
    (void)snprintf((char *)bytes, 32, "10 20000");
    struct ccz_rpc_md md = {"request-bin", CCZ_SPAN(bytes, 30000)};
    struct ccz_rpc_call_cfg cfg = {.metadata = &md, .metadata_len = 1};
    CCZ_AUTO_BUF answer;
    ccz_buf_init(&answer, SIZE);
    CHECK(ccz_rpc_unary(&answer, NULL, f.client, "/t.T/PartLater", CCZ_SPAN(bytes, SIZE), &cfg,
                        NULL) == CCZ_OK &&
          answer.size == 19990 && memcmp(answer.ptr, bytes + 10, answer.size) == 0);
    free(bytes);
    teardown(&f);
}

/* A call that ends before its request has left gives the lent bytes back by then. */
static void test_lent_early_end(void)
{
    enum { SIZE = 20 << 20 };
    struct fixture f;
    setup(&f, CCZ_RATLS_SESSION);
    for (int i = 0; i < 3; i++) {
        uint8_t *bytes = malloc(SIZE);
        CHECK(bytes);
        memset(bytes, 'x', SIZE);
        struct ccz_rpc_call_cfg cfg = {.timeout_ms = i == 0 ? 1 : 30000};
        struct ccz_rpc_result res;
        CCZ_AUTO_BUF answer;
        ccz_buf_init(&answer, SIZE);
        ccz_rc rc = ccz_rpc_unary(&answer, &res, f.client, i == 1 ? "/t.T/None" : "/t.T/Echo",
                                  CCZ_SPAN(bytes, SIZE), &cfg, NULL);
        memset(bytes, 0xee, SIZE);
        free(bytes); /* the sanitizer sees who still reads it */
        CHECK(i != 1 || (rc != CCZ_OK && res.code == CCZ_RPC_UNIMPLEMENTED));
        CHECK(i != 2 || (rc == CCZ_OK && answer.size == SIZE && answer.ptr[SIZE - 1] == 'x'));
    }
    teardown(&f);
}

/* ------------------------------------------------------------------------------------- stock */

static void test_stock(void)
{
    struct cczi_stock *s = cczi_stock_new();
    size_t cap, cap2;
    CHECK(s && cczi_stock_trim(s));
    void *p = cczi_stock_take(&cap, s, 100000);
    CHECK(p && cap >= 100000);
    cczi_stock_give(s, p, cap);
    CHECK(cczi_stock_take(&cap2, s, 90000) == p && cap2 == cap); /* used again ... */
    cczi_stock_give(s, p, cap);
    void *small = cczi_stock_take(&cap2, s, 1000); /* ... but not for next to nothing */
    CHECK(small && small != p && cap2 < 100000);
    cczi_stock_give(s, small, cap2);
    CHECK(cczi_stock_held(s) == cap && !cczi_stock_trim(s)); /* used since the last time */
    CHECK(cczi_stock_take(&cap2, s, 100000) == p);
    cczi_stock_give(s, p, cap2);
    CHECK(!cczi_stock_trim(s));                           /* and again */
    CHECK(cczi_stock_trim(s) && cczi_stock_held(s) == 0); /* not used since */
    void *many[40];
    for (int i = 0; i < 40; i++) {
        many[i] = cczi_stock_take(&cap, s, 4 << 20);
        CHECK(many[i] && cap == 4 << 20);
    }
    for (int i = 0; i < 40; i++) { /* bounded: what is above goes back at once */
        cczi_stock_give(s, many[i], cap);
        CHECK(cczi_stock_held(s) <= CCZI_STOCK_SIZE_MAX);
    }
    CHECK(cczi_stock_held(s) == CCZI_STOCK_SIZE_MAX);
    void *again = cczi_stock_take(&cap, s, 4 << 20);
    CHECK(again && cczi_stock_held(s) == CCZI_STOCK_SIZE_MAX - cap);
    cczi_stock_unref(s); /* its owner is gone, a block is not */
    cczi_stock_give(s, again, cap);
}

/* A large body with a stock: the same bytes, whatever pieces they come in, and it grows with what arrives. */
static void test_stocked_body(void)
{
    enum { SIZE = 1000000 };
    struct cczi_stock *stock = cczi_stock_new();
    uint8_t *wire = malloc(SIZE + CCZI_PREFIX_SIZE);
    CHECK(stock && wire);
    for (size_t piece = 1000; piece <= 1000000; piece *= 10) {
        struct cczi_framer f;
        struct ccz_span msg = {0};
        cczi_framer_init(&f, SIZE);
        cczi_framer_set_stock(&f, stock);
        f.keep = true;
        const uint8_t prefix[] = {0, SIZE >> 24, SIZE >> 16 & 255, SIZE >> 8 & 255, SIZE & 255};
        memcpy(wire, prefix, sizeof(prefix));
        for (size_t i = 0; i < SIZE; i++)
            wire[CCZI_PREFIX_SIZE + i] = pattern(i);
        for (size_t at = 0; at < SIZE + CCZI_PREFIX_SIZE; at += piece) {
            size_t left = SIZE + CCZI_PREFIX_SIZE - at;
            struct ccz_span chunk = CCZ_SPAN(wire + at, left < piece ? left : piece);
            size_t arrived = at + chunk.size;
            CHECK(cczi_framer_next(&msg, &f, &chunk) ==
                  (left <= piece ? CCZI_FRAME_MESSAGE : CCZI_FRAME_MORE));
            if (piece == 1000 && at == 0 && f.stocked)
                CHECK(f.body.cap <= CCZI_STOCK_BLOCK + 4 * arrived);
        }
        CHECK(msg.size == SIZE && memcmp(msg.ptr, wire + CCZI_PREFIX_SIZE, SIZE) == 0);
        size_t cap;
        void *mine = cczi_framer_steal(&cap, &f, msg);
        CHECK(mine == msg.ptr && cap > SIZE && cczi_framer_steal(&cap, &f, msg) == NULL);
        cczi_framer_free(&f);
        CHECK(memcmp(mine, wire + CCZI_PREFIX_SIZE, SIZE) == 0);
        cczi_stock_give(stock, mine, cap);
    }
    cczi_stock_unref(stock);
    free(wire);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"rpc.flow_both_ways", test_both_ways},
        {"rpc.flow_slow_reader", test_slow_reader},
        {"rpc.flow_growth", test_growth},
        {"rpc.flow_no_growth", test_no_growth},
        {"rpc.flow_one_byte", test_one_byte},
        {"rpc.flow_connection_window", test_connection_window},
        {"rpc.flow_forged_answer", test_forged_answer},
        {"rpc.flow_reader_sleeps", test_reader_sleeps},
        {"rpc.flow_echo_both_ways", test_echo_both_ways},
        {"rpc.flow_large_messages", test_large_messages},
        {"rpc.lent", test_lent},
        {"rpc.part_of_request", test_part_of_request},
        {"rpc.lent_early_end", test_lent_early_end},
        {"rpc.stock", test_stock},
        {"rpc.stocked_body", test_stocked_body},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP/2 engine over memory, against itself. */
#define _DEFAULT_SOURCE
#include "rpc/h2_ends.h"

#include <sys/mman.h>

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
    {"rpc.h2_flood", test_flood},
    {"rpc.h2_shed", test_shed},
    {"rpc.h2_share", test_share},
    {"rpc.h2_trim", test_trim},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

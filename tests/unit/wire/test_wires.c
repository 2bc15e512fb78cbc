/* SPDX-License-Identifier: Apache-2.0 */
/* RA-TLS connections on a loop: both ends on one loop of this process, deadlines, threads. */
#define _DEFAULT_SOURCE
#include "wire/wire.h"

#include "ccz_test.h"
#include "ratls/toy_evidence.h"

#include <stdio.h>
#include <unistd.h>

enum { LIMIT_MS = 20000 };
#define TEST_NOW INT64_C(1767225600)

/* ------------------------------------------------------------------------------------ fixture */

struct side {
    struct toy toy;
    struct ccz_ratls_ctx *ctx;
    struct cczi_wire *wire;
    struct ccz_buf got;
    unsigned ready, writable, attested, ended, closed;
    struct ccz_err why;
    bool free_in_ready, free_in_plain, end_in_plain, pause_in_ready, echo;
};
struct fx {
    struct ccz_loop *loop;
    struct cczi_wire_pool *pool;
    struct cczi_deadlines deadlines;
    struct ccz_listener *listener;
    struct ccz_timer *limit, *poll;
    struct ccz_buf scratch;
    struct side s, c;
    bool (*until)(struct fx *fx);
    bool met;
    int64_t reattest_ms;
    struct cczi_wire_ops ops;
};

static void on_limit(void *arg)
{
    ccz_loop_stop(((struct fx *)arg)->loop);
}

static void on_poll(void *arg)
{
    struct fx *fx = arg;
    if (fx->until(fx)) {
        fx->met = true;
        ccz_loop_stop(fx->loop);
    }
}

/* Runs the loop until the condition holds; false if it does not within the limit. */
static bool run_until(struct fx *fx, bool (*until)(struct fx *fx))
{
    fx->until = until;
    fx->met = false;
    ccz_timer_set(fx->limit, LIMIT_MS, 0);
    ccz_timer_set(fx->poll, 1, 1);
    CHECK(ccz_loop_run(fx->loop, NULL) == CCZ_OK);
    return fx->met;
}

static void on_ready(void *arg)
{
    struct side *s = arg;
    s->ready++;
    if (s->pause_in_ready)
        cczi_wire_pause(s->wire);
    if (!s->free_in_ready)
        return;
    cczi_wire_free(s->wire);
    s->wire = NULL;
}
static void on_plain(void *arg, struct ccz_span data)
{
    struct side *s = arg;
    CHECK(s->wire && !s->closed);
    ccz_buf_put(&s->got, data.ptr, data.size);
    if (s->echo)
        cczi_wire_send(s->wire, data);
    if (s->free_in_plain)
        cczi_wire_free(s->wire);
    else if (s->end_in_plain)
        cczi_wire_end(s->wire);
    else
        return;
    s->wire = NULL;
}
static void on_writable(void *arg)
{
    ((struct side *)arg)->writable++;
}
static void on_attested(void *arg)
{
    ((struct side *)arg)->attested++;
}
static void on_end(void *arg)
{
    ((struct side *)arg)->ended++;
}
static void on_closed(void *arg, const struct ccz_err *err)
{
    struct side *s = arg;
    s->closed++;
    s->why = *err;
    cczi_wire_free(s->wire);
    s->wire = NULL;
}

static struct cczi_wire_cfg side_cfg(struct side *s, struct fx *fx, bool server)
{
    struct ccz_ratls_cfg cfg = {.server = server,
                                .now_s = TEST_NOW,
                                .attest = toy_attest,
                                .appraise = toy_appraise,
                                .attest_arg = &s->toy,
                                .appraise_arg = &s->toy,
                                .reattest_interval_ms = fx->reattest_ms};
    ccz_buf_init(&s->got, 64 << 20);
    CHECK(ccz_ratls_ctx_new(&s->ctx, &cfg, NULL) == CCZ_OK);
    return (struct cczi_wire_cfg){.loop = fx->loop,
                                  .pool = fx->pool,
                                  .deadlines = &fx->deadlines,
                                  .ratls = s->ctx,
                                  .ops = &fx->ops,
                                  .arg = s,
                                  .scratch = &fx->scratch};
}

static void on_accept(void *arg, int fd, const char *peer)
{
    (void)peer;
    struct fx *fx = arg;
    struct cczi_wire_cfg cfg = side_cfg(&fx->s, fx, true);
    CHECK(cczi_wire_accept(&fx->s.wire, &cfg, fd) == CCZ_OK);
}

static void fx_open(struct fx *fx)
{
    char to[64];
    fx->ops =
        (struct cczi_wire_ops){on_ready, on_plain, on_writable, on_attested, on_end, on_closed};
    ccz_buf_init(&fx->scratch, 1 << 20);
    CHECK(ccz_loop_new(&fx->loop, NULL) == CCZ_OK);
    CHECK(cczi_wire_pool_new(&fx->pool, 2) == CCZ_OK);
    CHECK(cczi_deadlines_init(&fx->deadlines, fx->loop) == CCZ_OK);
    CHECK(ccz_timer_new(&fx->limit, fx->loop, on_limit, fx) == CCZ_OK);
    CHECK(ccz_timer_new(&fx->poll, fx->loop, on_poll, fx) == CCZ_OK);
    const struct ccz_listen_cfg in = {.address = "127.0.0.1:0", .on_accept = on_accept, .arg = fx};
    CHECK(ccz_listen(&fx->listener, fx->loop, &in, NULL) == CCZ_OK);
    (void)snprintf(to, sizeof(to), "127.0.0.1:%u", ccz_listener_port(fx->listener));
    struct cczi_wire_cfg cfg = side_cfg(&fx->c, fx, false);
    CHECK(cczi_wire_connect(&fx->c.wire, &cfg, to, NULL) == CCZ_OK);
}

static void fx_close(struct fx *fx)
{
    struct side *side[] = {&fx->s, &fx->c};
    for (int i = 0; i < 2; i++) {
        cczi_wire_free(side[i]->wire);
        CHECK(side[i]->closed <= 1);
    }
    cczi_wire_pool_free(
        fx->pool); /* steps under way post to the loop, which then frees their wires */
    ccz_listener_free(fx->listener);
    ccz_timer_free(fx->limit);
    ccz_timer_free(fx->poll);
    ccz_loop_free(fx->loop);
    cczi_deadlines_deinit(&fx->deadlines);
    for (int i = 0; i < 2; i++) {
        ccz_ratls_ctx_free(side[i]->ctx);
        ccz_buf_free(&side[i]->got);
    }
    ccz_buf_free(&fx->scratch);
}

static bool both_ready(struct fx *fx)
{
    return fx->s.ready && fx->c.ready;
}
static bool both_closed(struct fx *fx)
{
    return fx->s.closed && fx->c.closed;
}

/* ---------------------------------------------------------------------------------------- wires */

static bool got_echo(struct fx *fx)
{
    return fx->c.got.size == 4;
}

static void test_ready(void)
{
    struct fx fx = {.s.echo = true};
    fx_open(&fx);
    CHECK(!cczi_wire_peer(fx.c.wire));
    CHECK(run_until(&fx, both_ready));
    CHECK(fx.s.toy.appraised == 1 && fx.c.toy.appraised == 1);
    CHECK(cczi_wire_peer(fx.s.wire)->attested && cczi_wire_peer(fx.c.wire)->attested);
    CHECK(cczi_wire_writable(fx.c.wire) && !cczi_wire_busy(fx.c.wire));
    CHECK(strncmp(cczi_wire_address(fx.s.wire), "127.0.0.1:", 10) == 0);
    cczi_wire_send(fx.c.wire, ccz_span_str("ping"));
    CHECK(run_until(&fx, got_echo) && memcmp(fx.c.got.ptr, "ping", 4) == 0);
    cczi_wire_trim(fx.c.wire); /* buffers come back by themselves */
    cczi_wire_trim(fx.s.wire);
    ccz_buf_clear(&fx.c.got);
    cczi_wire_send(fx.c.wire, ccz_span_str("pong"));
    CHECK(run_until(&fx, got_echo) && memcmp(fx.c.got.ptr, "pong", 4) == 0);
    CHECK(cczi_wire_pending(fx.c.wire) == 0 && fx.c.ready == 1 && fx.s.ready == 1);
    fx_close(&fx);
}

/* Who is refused is told why, and neither side is ever ready. */
static void test_refused(void)
{
    struct fx fx = {0};
    fx.s.toy.appraise_rc = CCZ_E_POLICY;
    fx_open(&fx);
    CHECK(run_until(&fx, both_closed));
    CHECK(fx.s.ready == 0 && strcmp(fx.s.why.where, "policy:mrenclave") == 0);
    CHECK(fx.s.why.rc == CCZ_E_POLICY && fx.c.why.rc == CCZ_E_PEER);
    CHECK(strcmp(fx.c.why.where, "peer:policy:mrenclave") == 0 &&
          strcmp(fx.c.why.got, "11aa") == 0);
    CHECK(!fx.s.wire && !fx.c.wire);
    fx_close(&fx);
}

static void test_connect(void)
{
    struct fx fx = {0};
    struct ccz_err err = {0};
    fx_open(&fx);
    struct side other = {0};
    struct cczi_wire_cfg cfg = side_cfg(&other, &fx, false);
    CHECK(cczi_wire_connect(&other.wire, &cfg, "no port", &err) == CCZ_E_FORMAT && !other.wire);
    CHECK(strcmp(err.where, "net:address") == 0);
    CHECK(run_until(&fx, both_ready));
    /* nobody listens there any more */
    char to[64];
    (void)snprintf(to, sizeof(to), "127.0.0.1:%u", ccz_listener_port(fx.listener));
    ccz_listener_free(fx.listener);
    fx.listener = NULL;
    cczi_wire_free(fx.c.wire);
    ccz_buf_free(&fx.c.got);
    ccz_ratls_ctx_free(fx.c.ctx);
    fx.c = (struct side){0};
    cfg = side_cfg(&fx.c, &fx, false);
    CHECK(cczi_wire_connect(&fx.c.wire, &cfg, to, &err) == CCZ_OK);
    CHECK(run_until(&fx, both_closed)); /* the server's peer is gone, too */
    CHECK(fx.c.why.rc == CCZ_E_UNAVAILABLE && strcmp(fx.c.why.where, "net:connect") == 0);
    ccz_buf_free(&other.got);
    ccz_ratls_ctx_free(other.ctx);
    fx_close(&fx);
}

static bool is_stepping(struct fx *fx)
{
    return fx->s.wire && fx->s.toy.attested && cczi_wire_busy(fx->s.wire);
}

static bool client_closed(struct fx *fx)
{
    return fx->c.closed;
}

/* The owner frees a wire while a thread makes its evidence: the thread ends first, nobody is called. */
static void test_free_in_step(void)
{
    struct fx fx = {0};
    fx.s.toy.delay_ms = 200;
    fx_open(&fx);
    CHECK(run_until(&fx, is_stepping));
    cczi_wire_send(fx.s.wire, ccz_span_str("lost")); /* busy: takes nothing */
    cczi_wire_free(fx.s.wire);
    fx.s.wire = NULL;
    CHECK(run_until(&fx, client_closed));
    CHECK(fx.s.closed == 0 && fx.s.ready == 0);
    fx_close(&fx);
}

static void test_free_in_callbacks(void)
{
    struct fx fx = {.s.free_in_ready = true};
    fx_open(&fx);
    CHECK(run_until(&fx, client_closed));
    CHECK(fx.s.ready == 1 && fx.s.closed == 0);
    fx_close(&fx);

    fx = (struct fx){.s.free_in_plain = true};
    fx_open(&fx);
    CHECK(run_until(&fx, both_ready));
    cczi_wire_send(fx.c.wire, ccz_span_str("last words"));
    CHECK(run_until(&fx, client_closed));
    CHECK(fx.s.got.size == 10 && fx.s.closed == 0);
    fx_close(&fx);
}

static bool client_ended(struct fx *fx)
{
    return fx->c.ended;
}

/* What is queued when a wire ends arrives, and then its end, in order. */
static void test_end(void)
{
    struct fx fx = {.s.echo = true, .s.end_in_plain = true};
    fx_open(&fx);
    CHECK(run_until(&fx, both_ready));
    cczi_wire_send(fx.c.wire, ccz_span_str("ping"));
    CHECK(run_until(&fx, client_ended));
    CHECK(fx.c.got.size == 4 && fx.c.closed == 0);
    fx_close(&fx);

    fx = (struct fx){.s.echo = true, .s.end_in_plain = true};
    fx_open(&fx);
    fx.ops.on_end = NULL; /* then the end of a direction is the end of the wire */
    CHECK(run_until(&fx, both_ready));
    cczi_wire_send(fx.c.wire, ccz_span_str("ping"));
    CHECK(run_until(&fx, client_closed));
    CHECK(fx.c.why.rc == CCZ_E_CLOSED && fx.c.got.size == 4);
    fx_close(&fx);
}

static bool server_ended(struct fx *fx)
{
    return fx->s.ended;
}
static bool client_got_mib(struct fx *fx)
{
    return fx->c.got.size == 1 << 20;
}

/* One direction ends, the other goes on. */
static void test_half_close(void)
{
    static uint8_t mib[1 << 20];
    struct fx fx = {0};
    fx_open(&fx);
    CHECK(run_until(&fx, both_ready));
    unsigned before = fx.c.writable;
    cczi_wire_send(fx.c.wire, ccz_span_str("all I have"));
    cczi_wire_send_end(fx.c.wire);
    CHECK(run_until(&fx, server_ended));
    CHECK(fx.s.got.size == 10 && fx.c.writable > before); /* told that all has left */
    memset(mib, 'x', sizeof(mib));
    cczi_wire_send(fx.s.wire, CCZ_SPAN(mib, sizeof(mib)));
    CHECK(run_until(&fx, client_got_mib));
    CHECK(fx.s.ended == 1 && fx.s.closed == 0 && fx.c.closed == 0);
    fx_close(&fx);
}

/* The connection breaks without an end of TLS: that is no end in order, and must not pass as one. */
static void test_truncated(void)
{
    struct fx fx = {0};
    fx_open(&fx);
    CHECK(run_until(&fx, both_ready));
    cczi_wire_free(fx.s.wire);
    fx.s.wire = NULL;
    CHECK(run_until(&fx, client_closed));
    CHECK(fx.c.ended == 0);
    fx_close(&fx);
}

static bool server_got_all(struct fx *fx)
{
    return fx->s.got.size == 24 << 20;
}
static bool client_has_room(struct fx *fx)
{
    return fx->c.writable > 0;
}

/* A reader that pauses holds the writer back, and loses nothing. */
static void test_pause(void)
{
    static uint8_t part[1 << 20];
    struct fx fx = {.s.pause_in_ready = true};
    fx_open(&fx);
    CHECK(run_until(&fx, both_ready));
    for (unsigned i = 0; i < 24; i++) {
        memset(part, 'a' + (int)i, sizeof(part));
        cczi_wire_send(fx.c.wire, CCZ_SPAN(part, sizeof(part)));
    }
    CHECK(!cczi_wire_writable(fx.c.wire) && cczi_wire_pending(fx.c.wire) > 0);
    ccz_timer_set(fx.limit, 100, 0);
    fx.until = client_has_room;
    fx.met = false;
    CHECK(ccz_loop_run(fx.loop, NULL) == CCZ_OK && !fx.met); /* the limit came first */
    CHECK(fx.s.got.size == 0 && fx.c.writable == 0);
    cczi_wire_resume(fx.s.wire);
    CHECK(run_until(&fx, server_got_all) && client_has_room(&fx));
    for (size_t i = 0; i < fx.s.got.size; i++)
        CHECK(fx.s.got.ptr[i] == 'a' + i / sizeof(part));
    CHECK(cczi_wire_writable(fx.c.wire));
    fx_close(&fx);
}

static bool attested_thrice(struct fx *fx)
{
    return fx->s.attested >= 3 && fx->c.attested >= 3;
}

static void test_again(void)
{
    struct fx fx = {.reattest_ms = 20};
    fx_open(&fx);
    CHECK(run_until(&fx, attested_thrice));
    CHECK(cczi_wire_peer(fx.c.wire)->rounds >= 3 && fx.c.toy.appraised >= 4);
    fx.c.toy.appraise_rc = CCZ_E_REVOKED;
    CHECK(run_until(&fx, both_closed));
    CHECK(fx.c.why.rc == CCZ_E_REVOKED && fx.s.why.rc == CCZ_E_PEER);
    fx_close(&fx);
}

/* ------------------------------------------------------------------------- deadlines and threads */

enum { DEADLINES = 300 };
static struct {
    struct cczi_deadlines ds;
    struct ccz_loop *loop;
    struct cczi_deadline d[DEADLINES];
    unsigned fired;
    int64_t last_ms;
} heap;

static void on_deadline(struct cczi_deadline *d)
{
    CHECK(d->pos == 0 && d->at_ms >= heap.last_ms && ccz_mono_ms() >= d->at_ms);
    heap.last_ms = d->at_ms;
    heap.fired++;
    size_t i = (size_t)(d - heap.d);
    if (i % 5 == 0) /* its neighbours may be due in the same turn */
        cczi_deadline_cancel(&heap.ds, &heap.d[(i + 1) % DEADLINES]);
    if (heap.ds.len == 0)
        ccz_loop_stop(heap.loop);
}

/* Whatever is set, moved and cancelled in whatever order: all that are left fire, in order, none early. */
static void test_deadlines(void)
{
    uint32_t x = 12345;
    int64_t now = ccz_mono_ms();
    unsigned cancelled = 0;
    CHECK(ccz_loop_new(&heap.loop, NULL) == CCZ_OK);
    CHECK(cczi_deadlines_init(&heap.ds, heap.loop) == CCZ_OK);
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < DEADLINES; i++) {
            x = x * 1664525 + 1013904223;
            heap.d[i].fn = on_deadline;
            CHECK(cczi_deadline_set(&heap.ds, &heap.d[i], now + 20 + (x >> 16) % 60));
        }
    CHECK(heap.ds.len == DEADLINES); /* moved, not doubled */
    for (unsigned i = 0; i < DEADLINES; i += 7, cancelled++)
        cczi_deadline_cancel(&heap.ds, &heap.d[i]);
    cczi_deadline_cancel(&heap.ds, &heap.d[0]); /* again: nothing happens */
    CHECK(heap.ds.len == DEADLINES - cancelled);
    for (size_t i = 1; i < heap.ds.len; i++)
        CHECK(heap.ds.heap[(i - 1) / 2]->at_ms <= heap.ds.heap[i]->at_ms &&
              heap.ds.heap[i]->pos == i + 1);
    CHECK(ccz_loop_run(heap.loop, NULL) == CCZ_OK);
    /* a fifth of those that fired cancelled one each, which may have fired before */
    CHECK(heap.fired <= DEADLINES - cancelled && heap.fired >= (DEADLINES - cancelled) * 3 / 4);
    for (unsigned i = 0; i < DEADLINES; i++)
        CHECK(heap.d[i].pos == 0);
    cczi_deadlines_deinit(&heap.ds);
    ccz_loop_free(heap.loop);
}

static atomic_uint jobs_run;
static void run_job(struct cczi_job *job)
{
    (void)job;
    usleep(100);
    atomic_fetch_add(&jobs_run, 1);
}

/* Freeing a pool runs what was submitted: a step that vanished would leave its wire waiting for ever. */
static void test_pool(void)
{
    static struct cczi_job job[500];
    struct cczi_wire_pool *p;
    CHECK(cczi_wire_pool_new(&p, 3) == CCZ_OK);
    for (size_t i = 0; i < 500; i++) {
        job[i].run = run_job;
        cczi_wire_pool_submit(p, &job[i]);
    }
    cczi_wire_pool_free(p);
    CHECK(jobs_run == 500);
    cczi_wire_pool_free(NULL);
    CHECK(cczi_wire_pool_new(&p, 0) == CCZ_E_NOMEM && !p); /* no thread, nobody to run anything */
}

static const struct ccz_test tests[] = {
    {"wire.ready", test_ready},
    {"wire.refused", test_refused},
    {"wire.connect", test_connect},
    {"wire.free_in_step", test_free_in_step},
    {"wire.free_in_callbacks", test_free_in_callbacks},
    {"wire.end", test_end},
    {"wire.half_close", test_half_close},
    {"wire.truncated", test_truncated},
    {"wire.pause", test_pause},
    {"wire.again", test_again},
    {"wire.deadlines", test_deadlines},
    {"wire.pool", test_pool},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

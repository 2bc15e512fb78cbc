/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include <cczoo/chan.h>

#include "ccz_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

struct ends {
    struct ccz_chan *a, *b;
};

static struct ends make(size_t queue_size_max)
{
    struct ends e;
    CHECK(ccz_chan_pair(&e.a, &e.b,
                        &(struct ccz_chan_pair_cfg){.queue_size_max = queue_size_max,
                                                    .name = {"alice", "b\nob"}},
                        NULL) == CCZ_OK);
    return e;
}

static void drop(struct ends *e)
{
    ccz_chan_free(e->a);
    ccz_chan_free(e->b);
}

static void send_text(struct ccz_chan *c, const char *text)
{
    CHECK(ccz_chan_send(c, ccz_span_str(text), NULL) == CCZ_OK);
}

static void expect_text(struct ccz_chan *c, const char *text)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1000);
    CHECK(ccz_chan_recv(&b, c, NULL) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_buf_span(&b), ccz_span_str(text)));
}

static ccz_rc recv_rc(struct ccz_chan *c, struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1000);
    ccz_rc rc = ccz_chan_recv(&b, c, err);
    CHECK(rc == CCZ_OK || b.size == 0);
    return rc;
}

static void test_order(void)
{
    struct ends e = make(0);
    send_text(e.a, "one");
    send_text(e.a, "");
    send_text(e.b, "other way");
    send_text(e.a, "three");
    expect_text(e.b, "one");
    expect_text(e.b, "");
    expect_text(e.b, "three");
    expect_text(e.a, "other way");
    CHECK(strcmp(ccz_chan_name(e.a), "alice") == 0);
    CHECK(strcmp(ccz_chan_name(e.b), "b\\x0aob") == 0); /* names reach logs */
    drop(&e);
}

static void test_parts(void)
{
    struct ends e = make(0);
    const struct ccz_span parts[] = {
        CCZ_SPAN("head", 4), {0}, CCZ_SPAN(" and ", 5), CCZ_SPAN("body", 4)};
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 100);
    ccz_buf_put_str(&b, "before: ");
    CHECK(ccz_chan_send_parts(e.a, parts, 4, NULL) == CCZ_OK);
    CHECK(ccz_chan_send_parts(e.a, NULL, 0, NULL) == CCZ_OK);
    CHECK(ccz_chan_recv(&b, e.b, NULL) == CCZ_OK);
    CHECK(strcmp(ccz_buf_str(&b), "before: head and body") == 0); /* appended */
    expect_text(e.b, "");
    drop(&e);
}

/* The buffer is empty afterwards, whether its message left or not. */
static void test_buf(void)
{
    struct ends e = make(0);
    struct ccz_err err;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 100);
    for (int wipe = 0; wipe < 2; wipe++) {
        b.wipe = wipe;
        ccz_buf_put_str(&b, "whole");
        CHECK(ccz_chan_send_buf(e.a, &b, NULL) == CCZ_OK && b.size == 0);
        expect_text(e.b, "whole");
    }
    CHECK(!ccz_buf_extend(&b, 101));
    CHECK(ccz_chan_send_buf(e.a, &b, &err) == CCZ_E_ARG && !b.bad);
    CHECK(strcmp(err.where, "chan:buffer") == 0);
    ccz_buf_put_str(&b, "late");
    ccz_chan_close(e.a, "done");
    CHECK(ccz_chan_send_buf(e.a, &b, &err) == CCZ_E_CLOSED && b.size == 0);
    drop(&e);
}

/* Both send one message larger than the queue before either receives. */
static void test_exchange(void)
{
    static uint8_t big[100000], back[sizeof(big)];
    struct ends e = make(1000);
    memset(big, 0x5a, sizeof(big));
    ccz_chan_set_timeout(e.a, 2000);
    ccz_chan_set_timeout(e.b, 2000);
    CHECK(ccz_chan_send(e.a, CCZ_SPAN(big, sizeof(big)), NULL) == CCZ_OK);
    CHECK(ccz_chan_send(e.b, CCZ_SPAN(big, sizeof(big)), NULL) == CCZ_OK);
    CHECK(ccz_chan_recv_exact(back, sizeof(back), e.a, NULL) == CCZ_OK);
    CHECK(memcmp(big, back, sizeof(big)) == 0);
    CHECK(ccz_chan_recv_exact(back, sizeof(back), e.b, NULL) == CCZ_OK);
    CHECK(ccz_chan_stats(e.a).rounds == 1 && ccz_chan_stats(e.b).rounds == 1);
    drop(&e);
}

static atomic_bool taking;

static void *recv_later(void *arg)
{
    usleep(30000);
    atomic_store(&taking, true);
    expect_text(arg, "first");
    expect_text(arg, "second");
    return NULL;
}

/* A full queue holds the sender until the peer receives. */
static void test_bounded(void)
{
    struct ends e = make(1);
    pthread_t t;
    struct ccz_err err;
    send_text(e.a, "first");
    CHECK(pthread_create(&t, NULL, recv_later, e.b) == 0);
    send_text(e.a, "second");
    CHECK(atomic_load(&taking)); /* not before there was room */
    CHECK(pthread_join(t, NULL) == 0);
    /* empty messages are counted, too */
    ccz_chan_set_timeout(e.b, 1);
    send_text(e.b, "");
    CHECK(ccz_chan_send(e.b, (struct ccz_span){0}, &err) == CCZ_E_TIMEOUT);
    CHECK(strcmp(err.where, "chan:send-timeout") == 0);
    drop(&e);
}

static void test_timeouts(void)
{
    struct ends e = make(0);
    struct ccz_err err;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 100);
    ccz_chan_set_timeout(e.a, 20);
    int64_t start = ccz_mono_ms();
    CHECK(recv_rc(e.a, &err) == CCZ_E_TIMEOUT && strcmp(err.where, "chan:recv-timeout") == 0);
    CHECK(ccz_mono_ms() - start >= 19 && ccz_mono_ms() - start < 10000);
    CHECK(ccz_chan_recv_within(&b, e.a, 0, &err) == CCZ_E_TIMEOUT);
    CHECK(ccz_chan_recv_within(&b, e.a, -5, &err) == CCZ_E_TIMEOUT);
    /* not sticky: the message comes after all */
    send_text(e.b, "late");
    CHECK(ccz_chan_recv_within(&b, e.a, 0, &err) == CCZ_OK);
    CHECK(strcmp(ccz_buf_str(&b), "late") == 0);
    send_text(e.b, "no limit");
    ccz_chan_set_timeout(e.a, INT64_MAX);
    expect_text(e.a, "no limit");
    CHECK(ccz_chan_stats(e.a).waited_ns >= 19000000);
    drop(&e);
}

static void test_sticky(void)
{
    struct ends e = make(1);
    struct ccz_err err = {0}, again = {0};
    ccz_chan_set_timeout(e.a, 5);
    send_text(e.a, "in the way");
    CHECK(ccz_chan_send(e.a, ccz_span_str("x"), &err) == CCZ_E_TIMEOUT);
    expect_text(e.b, "in the way");
    CHECK(ccz_chan_send(e.a, ccz_span_str("x"), &again) == CCZ_E_TIMEOUT); /* there is room now */
    CHECK(strcmp(err.msg, again.msg) == 0 && strcmp(again.where, "chan:send-timeout") == 0);
    /* the other direction still works */
    send_text(e.b, "hello");
    expect_text(e.a, "hello");
    drop(&e);
}

static void test_limits(void)
{
    struct ends e = make(0);
    struct ccz_err err;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 6);
    ccz_buf_put_str(&b, "ab");
    send_text(e.a, "12345");
    send_text(e.a, "1234");
    CHECK(ccz_chan_recv(&b, e.b, &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "chan:message-size") == 0);
    CHECK(!b.bad && strcmp(ccz_buf_str(&b), "ab") == 0);
    CHECK(ccz_chan_recv(&b, e.b, &err) ==
          CCZ_E_LIMIT); /* sticky: the next one is not taken for it */
    const struct ccz_span huge[] = {CCZ_SPAN("", CCZ_CHAN_MESSAGE_SIZE_MAX), CCZ_SPAN("", 1)};
    CHECK(ccz_chan_send_parts(e.b, huge, 2, &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "chan:message-size") == 0);
    const struct ccz_span wrap[] = {CCZ_SPAN("", SIZE_MAX), CCZ_SPAN("", 2)};
    struct ends f = make(0);
    CHECK(ccz_chan_send_parts(f.a, wrap, 2, &err) == CCZ_E_LIMIT);
    b.bad = true;
    CHECK(ccz_chan_recv(&b, f.b, &err) == CCZ_E_ARG && strcmp(err.where, "chan:buffer") == 0);
    drop(&e);
    drop(&f);
}

static void test_exact(void)
{
    uint8_t out[4] = {1, 1, 1, 1};
    struct ccz_err err;
    static const char *const bad[] = {"", "123", "12345"};
    for (size_t i = 0; i < 3; i++) {
        struct ends e = make(0);
        send_text(e.a, "1234");
        send_text(e.a, "");
        send_text(e.a, bad[i]);
        send_text(e.a, "1234");
        CHECK(ccz_chan_recv_exact(out, 4, e.b, &err) == CCZ_OK && memcmp(out, "1234", 4) == 0);
        CHECK(ccz_chan_recv_exact(NULL, 0, e.b, &err) == CCZ_OK);
        CHECK(ccz_chan_recv_exact(out, 4, e.b, &err) == CCZ_E_PEER);
        CHECK(strcmp(err.where, "chan:size") == 0 && strcmp(err.expected, "4 bytes") == 0);
        CHECK(strcmp(err.got, i == 2 ? "more" : i ? "3 bytes" : "0 bytes") == 0);
        CHECK(memcmp(out, "\0\0\0\0", 4) == 0);
        CHECK(ccz_chan_recv_exact(out, 4, e.b, &err) == CCZ_E_PEER); /* sticky */
        CHECK(recv_rc(e.b, &err) == CCZ_E_PEER);
        drop(&e);
    }
}

static void test_close(void)
{
    struct ends e = make(0);
    struct ccz_err err;
    send_text(e.a, "last words");
    send_text(e.b, "nobody takes this");
    ccz_chan_close(e.a, "training is over");
    ccz_chan_close(e.a, "again");
    CHECK(ccz_chan_send(e.a, ccz_span_str("x"), &err) == CCZ_E_CLOSED);
    CHECK(strcmp(err.where, "chan:closed") == 0 && strcmp(err.msg, "this end is closed") == 0);
    CHECK(recv_rc(e.a, &err) == CCZ_E_CLOSED);
    CHECK(ccz_chan_send(e.b, ccz_span_str("x"), &err) == CCZ_E_CLOSED);
    CHECK(strcmp(err.msg, "training is over") == 0);
    expect_text(e.b, "last words");
    CHECK(recv_rc(e.b, &err) == CCZ_E_CLOSED && strcmp(err.msg, "training is over") == 0);
    ccz_chan_free(e.a);
    CHECK(recv_rc(e.b, &err) == CCZ_E_CLOSED);
    ccz_chan_free(e.b);
    /* freed without a word; the other end outlives it */
    e = make(0);
    ccz_chan_free(e.b);
    CHECK(recv_rc(e.a, &err) == CCZ_E_CLOSED && strcmp(err.msg, "closed by the peer") == 0);
    ccz_chan_free(e.a);
    ccz_chan_free(NULL);
}

static void *wait_for_message(void *arg)
{
    struct ccz_err err;
    CHECK(recv_rc(arg, &err) == CCZ_E_CLOSED);
    return NULL;
}

static void *wait_for_room(void *arg)
{
    struct ccz_err err;
    CHECK(ccz_chan_send(arg, ccz_span_str("waits"), &err) == CCZ_E_CLOSED);
    return NULL;
}

static void test_close_wakes(void)
{
    for (int own = 0; own < 2; own++) {
        struct ends e = make(1);
        pthread_t reader, writer;
        send_text(e.a, "fills the queue");
        CHECK(pthread_create(&reader, NULL, wait_for_message, e.a) == 0);
        CHECK(pthread_create(&writer, NULL, wait_for_room, e.a) == 0);
        usleep(20000);
        int64_t start = ccz_mono_ms();
        ccz_chan_close(own ? e.a : e.b, "enough");
        CHECK(pthread_join(reader, NULL) == 0 && pthread_join(writer, NULL) == 0);
        CHECK(ccz_mono_ms() - start < CCZ_CHAN_TIMEOUT_MS / 2);
        drop(&e);
    }
}

enum { MANY = 20000 };

static void *count_up(void *arg)
{
    for (uint64_t i = 0; i < MANY; i++)
        CHECK(ccz_chan_send(arg, CCZ_SPAN(&i, i % 9), NULL) == CCZ_OK);
    return NULL;
}

static void *expect_count(void *arg)
{
    for (uint64_t i = 0; i < MANY; i++) {
        uint64_t got;
        CHECK(ccz_chan_recv_exact(&got, i % 9, arg, NULL) == CCZ_OK);
        CHECK(memcmp(&got, &i, i % 9) == 0);
    }
    return NULL;
}

/* One thread per direction and end. */
static void test_two_threads(void)
{
    struct ends e = make(300);
    pthread_t t[4];
    CHECK(pthread_create(&t[0], NULL, count_up, e.a) == 0);
    CHECK(pthread_create(&t[1], NULL, count_up, e.b) == 0);
    CHECK(pthread_create(&t[2], NULL, expect_count, e.a) == 0);
    CHECK(pthread_create(&t[3], NULL, expect_count, e.b) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
    struct ccz_chan_stats s = ccz_chan_stats(e.a);
    CHECK(s.sent_len == MANY && s.received_len == MANY && s.sent_size == s.received_size);
    drop(&e);
}

static void test_stats(void)
{
    struct ends e = make(0);
    for (int i = 0; i < 3; i++) {
        send_text(e.a, "12345");
        send_text(e.a, "1");
        expect_text(e.b, "12345");
        expect_text(e.b, "1");
        send_text(e.b, "ok");
        expect_text(e.a, "ok");
    }
    struct ccz_chan_stats a = ccz_chan_stats(e.a), b = ccz_chan_stats(e.b);
    CHECK(a.sent_len == 6 && a.sent_size == 18 && a.received_len == 3 && a.received_size == 6);
    CHECK(b.sent_len == 3 && b.sent_size == 6 && b.received_len == 6 && b.received_size == 18);
    CHECK(a.rounds == 3 && b.rounds == 2);
    ccz_chan_close(e.a, NULL);
    CHECK(ccz_chan_send(e.a, ccz_span_str("x"), NULL) == CCZ_E_CLOSED);
    CHECK(recv_rc(e.b, NULL) == CCZ_E_CLOSED);
    CHECK(ccz_chan_stats(e.a).sent_len == 6 && ccz_chan_stats(e.b).received_len == 6);
    drop(&e);
}

static struct ends make_faulty(struct ccz_chan_fault_cfg cfg)
{
    struct ends e = make(0);
    struct ccz_chan *inner = e.a;
    CHECK(ccz_chan_fault_new(&e.a, inner, &cfg, NULL) == CCZ_OK);
    CHECK(strcmp(ccz_chan_name(e.a), "alice") == 0);
    return e;
}

static void test_fault(void)
{
    struct ccz_err err;
    struct ends e = make_faulty((struct ccz_chan_fault_cfg){.send_cut_after = 2});
    send_text(e.a, "1");
    send_text(e.a, "2");
    CHECK(ccz_chan_send(e.a, ccz_span_str("3"), &err) == CCZ_E_CLOSED);
    CHECK(strcmp(err.where, "chan:cut") == 0);
    expect_text(e.b, "1");
    expect_text(e.b, "2");
    CHECK(recv_rc(e.b, &err) == CCZ_E_CLOSED && strcmp(err.where, "chan:closed") == 0);
    drop(&e);

    e = make_faulty((struct ccz_chan_fault_cfg){.recv_cut_after = 1, .delay_ms = 1});
    send_text(e.b, "1");
    send_text(e.b, "2");
    expect_text(e.a, "1");
    CHECK(recv_rc(e.a, &err) == CCZ_E_CLOSED && strcmp(err.where, "chan:cut") == 0);
    CHECK(ccz_chan_send(e.b, ccz_span_str("x"), &err) == CCZ_E_CLOSED);
    drop(&e);

    e = make_faulty((struct ccz_chan_fault_cfg){.send_shorten = 1,
                                                .send_flip = 2,
                                                .send_repeat = 3,
                                                .send_drop = 4,
                                                .recv_shorten = 1,
                                                .recv_flip = 2});
    for (int i = 0; i < 5; i++)
        send_text(e.a, i == 4 ? "last" : "abc");
    static const char *const seen[] = {"ab", "acc", "abc", "abc", "last"};
    for (int i = 0; i < 5; i++)
        expect_text(e.b, seen[i]);
    send_text(e.b, "");
    send_text(e.b, "b");
    CHECK(ccz_chan_recv_exact(&(uint8_t){1}, 1, e.a, NULL) ==
          CCZ_OK); /* an empty one gains a byte */
    expect_text(e.a, "c");
    ccz_chan_free(e.a);
    CHECK(recv_rc(e.b, &err) == CCZ_E_CLOSED);
    ccz_chan_free(e.b);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"chan.order", test_order},
        {"chan.parts", test_parts},
        {"chan.buf", test_buf},
        {"chan.exchange", test_exchange},
        {"chan.bounded", test_bounded},
        {"chan.timeouts", test_timeouts},
        {"chan.sticky", test_sticky},
        {"chan.limits", test_limits},
        {"chan.exact", test_exact},
        {"chan.close", test_close},
        {"chan.close_wakes", test_close_wakes},
        {"chan.two_threads", test_two_threads},
        {"chan.stats", test_stats},
        {"chan.fault", test_fault},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

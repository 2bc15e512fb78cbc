/* SPDX-License-Identifier: Apache-2.0 */
/* OT extension: every output, several calls in a row, cheating receivers. */
#define _DEFAULT_SOURCE
#include "kit.h"

#include "test_rng.h"

/* What both do, one call after another. */
static const size_t lens[] = {1,    2,    127,    128,    129,    8191,
                              8192, 8193, 131071, 131072, 131073, 300001};
enum { CALLS = sizeof(lens) / sizeof(lens[0]), TOTAL = 1000000 };

static uint8_t choices[TOTAL / 8 + 1];

static void *ot_sender(void *arg)
{
    struct party *p = arg;
    CCZ_AUTO(ccz_ot_sender) s = NULL;
    p->rc = ccz_ot_sender_new(&s, p->chan, &p->cfg, &p->err);
    size_t at = 0;
    for (size_t i = 0; i < CALLS && p->rc == CCZ_OK; i++) {
        p->rc = i % 2 ? ccz_ot_send(p->x + at * 2, lens[i], s, &p->err)
                      : ccz_cot_send(p->x + at * 2, lens[i], s, &p->err);
        at += lens[i];
    }
    if (p->rc == CCZ_OK)
        p->delta = *ccz_ot_sender_delta(s);
    else
        ccz_chan_close(p->chan, p->err.where);
    return NULL;
}

static void *ot_receiver(void *arg)
{
    struct party *p = arg;
    CCZ_AUTO(ccz_ot_receiver) r = NULL;
    p->rc = ccz_ot_receiver_new(&r, p->chan, &p->cfg, &p->err);
    size_t at = 0;
    for (size_t i = 0; i < CALLS && p->rc == CCZ_OK; i++) {
        p->rc = i % 2 ? ccz_ot_recv(p->x + at, choices, lens[i], r, &p->err)
                      : ccz_cot_recv(p->x + at, choices, lens[i], r, &p->err);
        at += lens[i];
    }
    if (p->rc != CCZ_OK)
        ccz_chan_close(p->chan, p->err.where);
    return NULL;
}

static bool same(struct ccz_f128 a, struct ccz_f128 b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

static void check_call(const struct ccz_f128 *sent, const struct ccz_f128 *got, size_t len,
                       bool random, struct ccz_f128 delta)
{
    for (size_t i = 0; i < len; i++) {
        int bit = choices[i / 8] >> i % 8 & 1;
        if (random) {
            CHECK(same(got[i], sent[2 * i + (size_t)bit]));
            CHECK(!same(got[i], sent[2 * i + (size_t)(1 - bit)]));
        } else {
            struct ccz_f128 q = sent[i];
            q.lo ^= bit ? delta.lo : 0;
            q.hi ^= bit ? delta.hi : 0;
            CHECK(same(got[i], q));
        }
        CHECK(i == 0 || got[i].lo != got[i - 1].lo);
    }
}

static void test_outputs(void)
{
    uint64_t state = 7;
    for (size_t i = 0; i < sizeof(choices); i++)
        choices[i] = (uint8_t)(rnd(&state) >> 40);
    for (unsigned k = 0; k <= 8; k = k ? 2 * k : 1) {
        struct two t = two_new(TOTAL);
        t.p[0].cfg.k = t.p[1].cfg.k = k;
        two_run(&t, ot_sender, ot_receiver);
        CHECK(t.p[0].rc == CCZ_OK && t.p[1].rc == CCZ_OK);
        size_t at = 0;
        for (size_t i = 0; i < CALLS; i++) {
            check_call(t.p[0].x + at * 2, t.p[1].x + at, lens[i], i % 2, t.p[0].delta);
            at += lens[i];
        }
        /* rows of two calls have nothing in common */
        CHECK(!same(t.p[0].x[0], t.p[0].x[2 * (lens[0] + lens[1])]));
        two_free(&t);
    }
}

/* Choices behind the last are not looked at. */
static void test_spare_bits(void)
{
    memset(choices, 0xff, sizeof(choices));
    struct two t = two_new(TOTAL);
    two_run(&t, ot_sender, ot_receiver);
    CHECK(t.p[0].rc == CCZ_OK && t.p[1].rc == CCZ_OK);
    check_call(t.p[0].x, t.p[1].x, 1, false, t.p[0].delta);
    two_free(&t);
}

static void *bad_sender(void *arg)
{
    struct party *p = arg;
    CCZ_AUTO(ccz_ot_sender) s = NULL;
    CHECK(ccz_ot_sender_new(&s, p->chan, &p->cfg, &p->err) == CCZ_OK);
    p->rc = ccz_ot_send(p->x, 0, s, &p->err);
    CHECK(p->rc == CCZ_E_ARG && strcmp(p->err.where, "ot:len") == 0);
    p->rc = ccz_cot_send(p->x, CCZ_OT_LEN_MAX + 1, s, &p->err);
    CHECK(p->rc == CCZ_E_ARG && strcmp(p->err.where, "ot:len") == 0);
    return NULL;
}

static void *bad_receiver(void *arg)
{
    struct party *p = arg;
    CCZ_AUTO(ccz_ot_receiver) r = NULL;
    CHECK(ccz_ot_receiver_new(&r, p->chan, &p->cfg, &p->err) == CCZ_OK);
    p->rc = ccz_cot_recv(p->x, choices, 0, r, &p->err);
    CHECK(p->rc == CCZ_E_ARG && strcmp(p->err.where, "ot:len") == 0);
    p->rc = ccz_ot_recv(p->x, choices, CCZ_OT_LEN_MAX + 1, r, &p->err);
    CHECK(p->rc == CCZ_E_ARG && strcmp(p->err.where, "ot:len") == 0);
    return NULL;
}

static void test_arguments(void)
{
    struct two t = two_new(4);
    two_run(&t, bad_sender, bad_receiver);
    two_free(&t);
    ccz_ot_sender_free(NULL);
    ccz_ot_receiver_free(NULL);
}

static void test_broken(void)
{
    for (uint64_t n = 1; n <= 6; n++) {
        struct two t = two_new(TOTAL);
        CHECK(ccz_chan_fault_new(&t.p[1].chan, t.p[1].chan,
                                 &(struct ccz_chan_fault_cfg){.send_shorten = n}, NULL) == CCZ_OK);
        two_run(&t, ot_sender, ot_receiver);
        CHECK(t.p[0].rc == CCZ_E_PEER && strcmp(t.p[0].err.where, "chan:size") == 0);
        two_free(&t);
        t = two_new(TOTAL);
        CHECK(ccz_chan_fault_new(&t.p[1].chan, t.p[1].chan,
                                 &(struct ccz_chan_fault_cfg){.send_cut_after = n},
                                 NULL) == CCZ_OK);
        two_run(&t, ot_sender, ot_receiver);
        CHECK(t.p[0].rc == CCZ_E_CLOSED && t.p[1].rc == CCZ_E_CLOSED);
        two_free(&t);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"ot.outputs", test_outputs},
        {"ot.spare_bits", test_spare_bits},
        {"ot.arguments", test_arguments},
        {"ot.broken", test_broken},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_MPC_CMP_KIT_H
#define CCZ_TEST_MPC_CMP_KIT_H
/* Two parties of the comparison family whose OTs a dealer makes: an ideal functionality that both can compute, as they are in one
 * process. What is sent, and how many OTs are used, is counted. For the constant-time test OTs and randomness are secret, and what
 * is sent is public. */
#include "base/ct.h"
#include "mpc/cmp_priv.h"

#include "ccz_test.h"
#include "cmp_stub.h"
#include "test_rng.h"

#include <pthread.h>

struct dealt {
    unsigned party;
    struct ccz_chan *chan;
    uint64_t used[2]; /* OTs by sender */
    uint64_t sent, rounds;
    uint64_t state; /* of this party's randomness */
    struct cczi_cmp c;
    ccz_rc rc;
    struct ccz_err err;
    void (*run)(struct dealt *d);
    void *arg;
};

static inline uint64_t dealt_word(uint64_t a, uint64_t b)
{
    uint64_t state = a * 0x9e3779b97f4a7c15u + b;
    (void)rnd(&state);
    return rnd(&state);
}

static inline struct ccz_f128 dealt_delta(unsigned sender)
{
    return (struct ccz_f128){dealt_word(100 + sender, 1), dealt_word(100 + sender, 2)};
}

static inline struct ccz_f128 dealt_q(unsigned sender, uint64_t i)
{
    return (struct ccz_f128){dealt_word(200 + sender, i), dealt_word(300 + sender, i)};
}

static inline ccz_rc dealt_take_q(struct ccz_f128 *q, struct ccz_f128 *delta, uint64_t *first,
                                  size_t len, void *self, struct ccz_err *err)
{
    struct dealt *d = self;
    (void)err;
    *first = d->used[d->party];
    *delta = dealt_delta(d->party);
    for (size_t i = 0; i < len; i++)
        q[i] = dealt_q(d->party, *first + i);
    d->used[d->party] += len;
    CCZ_CT_SECRET(q, len * sizeof(*q));
    CCZ_CT_SECRET(delta, sizeof(*delta));
    return CCZ_OK;
}

static inline ccz_rc dealt_take_t(struct ccz_f128 *t, uint64_t *x, uint64_t *first, size_t len,
                                  void *self, struct ccz_err *err)
{
    struct dealt *d = self;
    unsigned sender = 1 - d->party;
    struct ccz_f128 delta = dealt_delta(sender);
    (void)err;
    *first = d->used[sender];
    for (size_t w = 0; w < cczi_words_of(len); w++)
        x[w] = dealt_word(400 + sender, *first + w * 64);
    for (size_t i = 0; i < len; i++) {
        uint64_t mask = 0 - (x[i / 64] >> i % 64 & 1);
        t[i] = cczi_f128_add(dealt_q(sender, *first + i), cczi_f128_and(delta, mask));
    }
    d->used[sender] += len;
    CCZ_CT_SECRET(t, len * sizeof(*t));
    CCZ_CT_SECRET(x, cczi_words_of(len) * sizeof(*x));
    return CCZ_OK;
}

static inline ccz_rc dealt_trade(void *in, size_t in_size, const void *out, size_t out_size,
                                 void *self, struct ccz_err *err)
{
    struct dealt *d = self;
    uint8_t *masked = malloc(out_size + 1); /* a copy: what it was made of stays secret */
    ccz_rc rc = CCZ_OK;
    CHECK(masked);
    if (out_size > 0) {
        memcpy(masked, out, out_size);
        CCZ_CT_PUBLIC(masked, out_size);
        rc = ccz_chan_send(d->chan, CCZ_SPAN(masked, out_size), err);
    }
    free(masked);
    if (rc == CCZ_OK && in_size > 0)
        rc = ccz_chan_recv_exact(in, in_size, d->chan, err);
    d->sent += out_size;
    d->rounds++;
    return rc;
}

static inline ccz_rc dealt_random(uint64_t *out, size_t len, void *self, struct ccz_err *err)
{
    struct dealt *d = self;
    (void)err;
    for (size_t i = 0; i < len; i++)
        out[i] = rnd(&d->state);
    CCZ_CT_SECRET(out, len * sizeof(*out));
    return CCZ_OK;
}

static inline void *dealt_thread(void *arg)
{
    static const struct cczi_cmp_ops ops = {stub_reserve, dealt_take_q, dealt_take_t, dealt_trade,
                                            dealt_random};
    struct dealt *d = arg;
    CHECK(cczi_cmp_init(&d->c, &ops, d, d->party, (const uint8_t *)"sixteen bytes of", NULL) ==
          CCZ_OK);
    d->run(d);
    if (d->rc != CCZ_OK)
        ccz_chan_close(d->chan, d->err.where);
    cczi_cmp_deinit(&d->c);
    return NULL;
}

/* Runs both parties; arg[p] is party p's. */
static inline void dealt_both(struct dealt d[2], void (*run)(struct dealt *d), void *arg0,
                              void *arg1, uint64_t seed)
{
    pthread_t t;
    memset(d, 0, 2 * sizeof(*d));
    CHECK(ccz_chan_pair(&d[0].chan, &d[1].chan, NULL, NULL) == CCZ_OK);
    for (unsigned p = 0; p < 2; p++) {
        ccz_chan_set_timeout(d[p].chan, 20000);
        d[p].party = p;
        d[p].run = run;
        d[p].arg = p ? arg1 : arg0;
        d[p].state = 1000 + seed * 2 + p;
    }
    CHECK(pthread_create(&t, NULL, dealt_thread, &d[0]) == 0);
    (void)dealt_thread(&d[1]);
    CHECK(pthread_join(t, NULL) == 0);
    ccz_chan_free(d[0].chan);
    ccz_chan_free(d[1].chan);
}

/* That a run worked and cost what the formula says. */
static inline void dealt_check(const struct dealt d[2], const struct cczi_cmp_need *need)
{
    for (int p = 0; p < 2; p++) {
        if (d[p].rc != CCZ_OK)
            fprintf(stderr, "party %d: %s %s\n", p, d[p].err.where, d[p].err.msg);
        CHECK(d[p].rc == CCZ_OK);
        CHECK(d[p].sent == need->sent[p]);
        CHECK(d[p].used[0] == need->ots[0] && d[p].used[1] == need->ots[1]);
        CHECK(d[p].rounds == need->rounds);
    }
}

static inline unsigned row_bit(const uint64_t *row, size_t i)
{
    return (unsigned)(row[i / 64] >> i % 64 & 1);
}

#endif

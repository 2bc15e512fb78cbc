/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run under valgrind: any branch or address that depends on a secret is reported. Secret are both parties' numbers, all OTs, and
 * random shares; what is sent is public. Valgrind cannot run AVX-512: that tier has no branches or addresses that depend on data by
 * construction. OTs are dealt out here, as those of ot.h have a test of their own.
 */
#define _DEFAULT_SOURCE
#include "base/ct.h"
#include "mpc/cmp_op.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 70, WORDS = 2, K = 16 };

struct party {
    unsigned role;
    struct ccz_chan *chan;
    uint64_t used[2], state;
    struct cczi_op o;
    uint64_t less[WORDS], low[WORDS], equal[WORDS], product[WORDS], out[N], out2[N];
    bool good;
};

/* A number that both parties can make: OTs of this test are known to all. */
static uint64_t word(uint64_t a, uint64_t b)
{
    uint64_t x = (a + 1) * 0x9e3779b97f4a7c15u + b * 0xbf58476d1ce4e5b9u;
    x ^= x >> 31;
    x *= 0x94d049bb133111ebu;
    return x ^ x >> 29;
}

static struct ccz_f128 dealt(unsigned sender, uint64_t i)
{
    return (struct ccz_f128){word(sender, i), word(sender + 2, i)};
}

static ccz_rc take_q(struct ccz_f128 *q, struct ccz_f128 *delta, uint64_t *first, size_t len,
                     void *self, struct ccz_err *err)
{
    struct party *p = self;
    (void)err;
    *first = p->used[p->role];
    *delta = dealt(p->role, UINT64_MAX);
    for (size_t i = 0; i < len; i++)
        q[i] = dealt(p->role, *first + i);
    p->used[p->role] += len;
    CCZ_CT_SECRET(q, len * sizeof(*q));
    CCZ_CT_SECRET(delta, sizeof(*delta));
    return CCZ_OK;
}

static ccz_rc take_t(struct ccz_f128 *t, uint64_t *x, uint64_t *first, size_t len, void *self,
                     struct ccz_err *err)
{
    struct party *p = self;
    const unsigned sender = 1 - p->role;
    const struct ccz_f128 delta = dealt(sender, UINT64_MAX);
    (void)err;
    *first = p->used[sender];
    for (size_t w = 0; w < cczi_words_of(len); w++)
        x[w] = word(sender + 4, *first + 64 * w);
    for (size_t i = 0; i < len; i++)
        t[i] = cczi_f128_add(dealt(sender, *first + i),
                             cczi_f128_and(delta, 0 - (x[i / 64] >> i % 64 & 1)));
    p->used[sender] += len;
    CCZ_CT_SECRET(t, len * sizeof(*t));
    CCZ_CT_SECRET(x, cczi_words_of(len) * sizeof(*x));
    return CCZ_OK;
}

static ccz_rc trade(void *in, size_t in_size, const void *out, size_t out_size, void *self,
                    struct ccz_err *err)
{
    struct party *p = self;
    uint8_t *copy = malloc(out_size + 1);
    ccz_rc rc = copy ? CCZ_OK : CCZ_E_NOMEM;
    if (rc == CCZ_OK)
        memcpy(copy, out, out_size);
    CCZ_CT_PUBLIC(copy, out_size); /* masked, by what this test claims */
    if (rc == CCZ_OK && out_size > 0)
        rc = ccz_chan_send(p->chan, CCZ_SPAN(copy, out_size), err);
    if (rc == CCZ_OK && in_size > 0)
        rc = ccz_chan_recv_exact(in, in_size, p->chan, err);
    free(copy);
    return rc;
}

static ccz_rc own_random(uint64_t *out, size_t len, void *self, struct ccz_err *err)
{
    struct party *p = self;
    (void)err;
    for (size_t i = 0; i < len; i++)
        out[i] = word(6 + p->role, p->state++);
    CCZ_CT_SECRET(out, len * sizeof(*out));
    return CCZ_OK;
}

static ccz_rc reserve(void *self, const uint64_t ots[2], struct ccz_err *err)
{
    (void)self;
    (void)ots;
    (void)err;
    return CCZ_OK;
}

static uint64_t number(unsigned role, size_t i)
{
    return word(8 + role, i / (1 + role)) & (i % 3 ? 0xffff : 0xff);
}

static ccz_rc protocols(struct party *p)
{
    uint64_t v[N], a[N], bit[WORDS] = {0x123456789abcdef0u, 0x2a};
    const struct cczi_range all = {0, N};
    for (size_t i = 0; i < N; i++)
        a[i] = v[i] = number(p->role, i);
    CCZ_CT_SECRET(v, sizeof(v));
    CCZ_CT_SECRET(a, sizeof(a));
    CCZ_CT_SECRET(bit, sizeof(bit));
    ccz_rc rc = cczi_cmp_less(p->less, p->low, v, N, K, 6, &p->o.c, NULL);
    if (rc == CCZ_OK)
        rc = cczi_cmp_equal(p->equal, v, N, K, &p->o.c, NULL);
    const struct cczi_and both = {.a = p->less, .b = p->equal, .z = p->product};
    if (rc == CCZ_OK)
        rc = cczi_cmp_and(&p->o.c, &both, 1, N, NULL);
    const struct cczi_cot cot = {.a = a,
                                 .a2 = a,
                                 .bit = bit,
                                 .send = all,
                                 .recv = all,
                                 .width = 13,
                                 .out = p->out,
                                 .out2 = p->out2};
    if (rc == CCZ_OK)
        rc = cczi_cmp_cot(&p->o.c, &cot, 1, NULL);
    for (int range = 0; range < 3 && rc == CCZ_OK; range++) {
        rc = cczi_op_truncate(p->out, v, N, 5, (enum ccz_mpc_range)range, true, &p->o, NULL);
        if (rc == CCZ_OK)
            rc = cczi_op_truncate(p->out, v, N, 5, (enum ccz_mpc_range)range, false, &p->o, NULL);
    }
    if (rc == CCZ_OK)
        rc = cczi_op_msb(bit, v, N, &p->o, NULL);
    return rc == CCZ_OK ? cczi_op_mux(p->out, NULL, bit, v, NULL, N, &p->o, NULL) : rc;
}

static void *run(void *arg)
{
    static const struct cczi_cmp_ops ops = {reserve, take_q, take_t, trade, own_random};
    struct party *p = arg;
    p->o = (struct cczi_op){.party = p->role, .k = K, .mask = 0xffff};
    p->good = cczi_cmp_init(&p->o.c, &ops, p, p->role, (const uint8_t *)"sixteen bytes of", NULL) ==
                  CCZ_OK &&
              protocols(p) == CCZ_OK;
    cczi_cmp_deinit(&p->o.c);
    CCZ_CT_PUBLIC(p->less, sizeof(p->less));
    CCZ_CT_PUBLIC(p->low, sizeof(p->low));
    CCZ_CT_PUBLIC(p->equal, sizeof(p->equal));
    return NULL;
}

static bool run_both(void)
{
    struct party p[2] = {{.role = 0}, {.role = 1}};
    pthread_t t;
    if (ccz_chan_pair(&p[0].chan, &p[1].chan, NULL, NULL) != CCZ_OK)
        return false;
    for (int i = 0; i < 2; i++)
        ccz_chan_set_timeout(p[i].chan, INT64_MAX);
    if (pthread_create(&t, NULL, run, &p[0]) != 0)
        return false;
    (void)run(&p[1]);
    (void)pthread_join(t, NULL);
    ccz_chan_free(p[0].chan);
    ccz_chan_free(p[1].chan);
    bool good = p[0].good && p[1].good;
    for (size_t i = 0; i < N; i++) {
        uint64_t x = number(0, i), y = number(1, i), w = i / 64, s = i % 64;
        good = good && ((p[0].less[w] ^ p[1].less[w]) >> s & 1) == (x < y) &&
               ((p[0].low[w] ^ p[1].low[w]) >> s & 1) == ((x & 63) < (y & 63)) &&
               ((p[0].equal[w] ^ p[1].equal[w]) >> s & 1) == (x == y);
    }
    return good;
}

/* An entry of a table by a secret number. */
static bool leak(void)
{
    static const char table[256] = {1, 2, 3};
    uint8_t entry = 3;
    CCZ_CT_SECRET(&entry, 1);
    return table[entry] == 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--leak") == 0)
        return leak() ? 0 : 1;
    printf("kernels: %s on %s\n", cczi_cmp_kernels()->name, cczi_ot_kernels()->name);
    return run_both() ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run under valgrind: any branch or address that depends on a secret is reported. Secret are both parties' numbers, all OTs, and
 * random shares; what is sent is public. Valgrind cannot run AVX-512: that tier has no branches or addresses that depend on data by
 * construction. OTs are dealt out here, as those of ot.h have a test of their own.
 */
#include "mpc/cmp_op.h"

#include "mpc/cmp_kit.h"

enum { N = 70, WORDS = 2, K = 16 };

struct outcome {
    uint64_t less[WORDS], low[WORDS], equal[WORDS], product[WORDS], out[N], out2[N];
};

static uint64_t number(unsigned role, size_t i)
{
    const unsigned of = i % 5 ? role : 0; /* every fifth: the same at both */
    return dealt_word(8 + of, i) & (i % 3 ? 0xffff : 0xff);
}

static ccz_rc protocols(struct outcome *p, struct cczi_op *o)
{
    uint64_t v[N], a[N], bit[WORDS] = {0x123456789abcdef0u, 0x2a};
    const struct cczi_range all = {0, N};
    for (size_t i = 0; i < N; i++)
        a[i] = v[i] = number(o->party, i);
    CCZ_CT_SECRET(v, sizeof(v));
    CCZ_CT_SECRET(a, sizeof(a));
    CCZ_CT_SECRET(bit, sizeof(bit));
    ccz_rc rc = cczi_cmp_less(p->less, p->low, v, N, K, 6, &o->c, NULL);
    if (rc == CCZ_OK)
        rc = cczi_cmp_equal(p->equal, v, N, K, &o->c, NULL);
    const struct cczi_and both = {.a = p->less, .b = p->equal, .z = p->product};
    if (rc == CCZ_OK)
        rc = cczi_cmp_and(&o->c, &both, 1, N, NULL);
    const struct cczi_cot cot = {.a = a,
                                 .a2 = a,
                                 .bit = bit,
                                 .send = all,
                                 .recv = all,
                                 .width = 13,
                                 .out = p->out,
                                 .out2 = p->out2};
    if (rc == CCZ_OK)
        rc = cczi_cmp_cot(&o->c, &cot, 1, NULL);
    for (int range = 0; range < 3 && rc == CCZ_OK; range++) {
        rc = cczi_op_truncate(p->out, v, N, 5, (enum ccz_mpc_range)range, true, o, NULL);
        if (rc == CCZ_OK)
            rc = cczi_op_truncate(p->out, v, N, 5, (enum ccz_mpc_range)range, false, o, NULL);
    }
    if (rc == CCZ_OK)
        rc = cczi_op_msb(bit, v, N, o, NULL);
    return rc == CCZ_OK ? cczi_op_mux(p->out, NULL, bit, v, NULL, N, o, NULL) : rc;
}

static void run(struct dealt *d)
{
    struct outcome *p = d->arg;
    struct cczi_op o = {.c = d->c, .party = d->party, .k = K, .mask = 0xffff}; /* c is d's */
    d->rc = protocols(p, &o);
    CCZ_CT_PUBLIC(p->less, sizeof(p->less));
    CCZ_CT_PUBLIC(p->low, sizeof(p->low));
    CCZ_CT_PUBLIC(p->equal, sizeof(p->equal));
}

static bool run_both(void)
{
    struct outcome p[2];
    struct dealt d[2];
    memset(p, 0, sizeof(p));
    dealt_both(d, run, &p[0], &p[1], 1);
    bool good = d[0].rc == CCZ_OK && d[1].rc == CCZ_OK;
    for (size_t i = 0; i < N; i++) {
        uint64_t x = number(0, i), y = number(1, i);
        good = good && (row_bit(p[0].less, i) ^ row_bit(p[1].less, i)) == (x < y) &&
               (row_bit(p[0].low, i) ^ row_bit(p[1].low, i)) == ((x & 63) < (y & 63)) &&
               (row_bit(p[0].equal, i) ^ row_bit(p[1].equal, i)) == (x == y);
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

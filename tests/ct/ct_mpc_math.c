/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run under valgrind: functions of shared values with secret shares, OTs and random words; plain twins with secret values; trees, routes of
 * one step and orders with secret places. What is sent is public. Products are those of the session, which ct_mpc_core tests.
 */
#include "mpc/math_priv.h"
#include "mpc/shuffle.h"

#include "mpc/cmp_kit.h"

enum { N = 70, K = 32, FRAC = 10 };

static uint64_t number(unsigned role, size_t i)
{
    return dealt_word(8 + role, i) & UINT32_MAX;
}

static const struct ccz_mpc_sigmoid_cfg spline = {.kind = CCZ_MPC_SIGMOID_SPLINE};

/* Straight pieces: what each party does with its shares. */
static void run(struct dealt *d)
{
    uint64_t x[N], *out = d->arg;
    struct cczi_op o = {.c = d->c, .party = d->party, .k = K, .mask = UINT32_MAX};
    struct cczi_pieces p;
    d->rc = cczi_pieces_init(&p, &spline, K, FRAC, NULL);
    for (size_t i = 0; i < N; i++)
        x[i] = d->party ? number(0, i) : (i * 400 - 14000 - number(0, i)) & UINT32_MAX;
    CCZ_CT_SECRET(x, sizeof(x));
    if (d->rc == CCZ_OK)
        d->rc = cczi_pieces_run(out, x, N, &p, &o, NULL);
    CCZ_CT_PUBLIC(out, N * sizeof(*out));
}

static bool pieces(void)
{
    uint64_t out[2][N], x[N], y[N];
    struct cczi_pieces p;
    struct dealt d[2];
    dealt_both(d, run, out[0], out[1], 1);
    bool good = d[0].rc == CCZ_OK && d[1].rc == CCZ_OK &&
                cczi_pieces_init(&p, &spline, K, FRAC, NULL) == CCZ_OK;
    for (size_t i = 0; i < N; i++)
        x[i] = (i * 400 - 14000) & UINT32_MAX;
    if (good)
        cczi_pieces_plain(y, x, N, &p, K);
    for (size_t i = 0; i < N && good; i++)
        good = cczi_plain_floor((out[0][i] + out[1][i]) & UINT32_MAX, p.shift, K) == y[i];
    return good;
}

static bool plain(void)
{
    const struct ccz_mpc_octaves octaves = {-4, 4};
    const struct ccz_mpc_sigmoid_cfg cheb = {.kind = CCZ_MPC_SIGMOID_CHEBYSHEV, .degree = 7};
    uint64_t x[N], y[N];
    for (size_t i = 0; i < N; i++)
        x[i] = 64 + i * 200;
    CCZ_CT_SECRET(x, sizeof(x));
    return ccz_mpc_sigmoid_plain(y, x, N, K, FRAC, &spline, NULL) == CCZ_OK &&
           ccz_mpc_sigmoid_plain(y, x, N, K, FRAC, &cheb, NULL) == CCZ_OK &&
           ccz_mpc_tanh_plain(y, x, N, K, FRAC, &spline, NULL) == CCZ_OK &&
           ccz_mpc_exp_plain(y, x, N, K, FRAC, CCZ_MPC_EXP_ANY, NULL) == CCZ_OK &&
           ccz_mpc_reciprocal_plain(y, x, N, K, FRAC, octaves, NULL) == CCZ_OK &&
           ccz_mpc_sqrt_plain(y, x, N, K, FRAC, octaves, NULL) == CCZ_OK &&
           ccz_mpc_rsqrt_plain(y, x, N, K, FRAC, octaves, NULL) == CCZ_OK &&
           ccz_mpc_softmax_plain(y, x, N / 7, 7, K, FRAC, NULL) == CCZ_OK;
}

static ccz_rc session(struct ccz_mpc **m, struct ccz_chan *chan, unsigned role)
{
    return ccz_mpc_new(m, chan, &(struct ccz_mpc_cfg){.role = role, .ring_bits = K}, NULL);
}

struct rows_arg {
    struct ccz_chan *chan;
    unsigned role;
    uint64_t v[3 * N];
    ccz_rc rc;
};

/* In a session with real OTs, whose randomness is marked where it is drawn. */
static void *rows(void *arg)
{
    struct rows_arg *a = arg;
    uint32_t order[N];
    CCZ_AUTO(ccz_mpc) m = NULL;
    CCZ_AUTO(ccz_mpc_tensor) x = NULL;
    CCZ_AUTO(ccz_mpc_tensor) y = NULL;
    CCZ_AUTO(ccz_mpc_tensor) z = NULL;
    uint64_t share[3 * N];
    for (size_t i = 0; i < 3 * N; i++)
        share[i] = a->role ? i : 0;
    for (uint32_t i = 0; i < N; i++)
        order[i] = (i * 3 + 1) % N;
    CCZ_CT_SECRET(share, sizeof(share));
    CCZ_CT_SECRET(order, sizeof(order));
    a->rc = session(&m, a->chan, a->role);
    if (a->rc == CCZ_OK)
        a->rc = ccz_mpc_import(&x, m, CCZ_MPC_SHARED, CCZ_MPC_SHAPE2(N, 3), 0, share, NULL);
    if (a->rc == CCZ_OK)
        a->rc = ccz_mpc_permute(&y, x, 0, a->role ? NULL : order, NULL);
    if (a->rc == CCZ_OK)
        a->rc = ccz_mpc_shuffle(&z, x, NULL);
    if (a->rc == CCZ_OK)
        a->rc = ccz_mpc_reveal(a->v, y, CCZ_MPC_TO_BOTH, "rows", NULL);
    CCZ_CT_PUBLIC(a->v, sizeof(a->v));
    return NULL;
}

static bool permuted(void)
{
    struct rows_arg a[2] = {{.role = 0}, {.role = 1}};
    pthread_t t;
    bool good = ccz_chan_pair(&a[0].chan, &a[1].chan, NULL, NULL) == CCZ_OK;
    if (!good || pthread_create(&t, NULL, rows, &a[0]) != 0)
        return false;
    (void)rows(&a[1]);
    good = pthread_join(t, NULL) == 0 && a[0].rc == CCZ_OK && a[1].rc == CCZ_OK;
    for (size_t i = 0; i < 3 * N && good; i++)
        good = a[0].v[i] == (i / 3 * 3 + 1) % N * 3 + i % 3 && a[1].v[i] == a[0].v[i];
    ccz_chan_free(a[0].chan);
    ccz_chan_free(a[1].chan);
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
    return pieces() && plain() && permuted() ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax along the last axis: e^(x - max), each over their sum, which is between 1 and the length d, so that only log2 d comparisons
 * bring it to [1/2, 1). */
#include "math_priv.h"

ccz_rc cczi_softmax_init(struct cczi_softmax *p, size_t d, unsigned k, unsigned frac,
                         struct ccz_err *err)
{
    const size_t most = k == 64 ? (size_t)1 << 16 : (size_t)1 << 10;
    struct ccz_mpc_octaves octaves = {0, 1};
    ccz_rc rc = cczi_exp_init(&p->exp, CCZ_MPC_EXP_NEGATIVE, k, frac, err);
    if (rc != CCZ_OK)
        return rc;
    if (d < 1 || d > most)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:softmax", (int64_t)d, (int64_t)most);
    p->work = k == 64 ? 24 : 13;
    if (frac > p->work)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:frac", frac, p->work);
    while ((size_t)1 << octaves.hi < d)
        octaves.hi++;
    return cczi_inverse_init(&p->inverse, CCZI_RECIPROCAL, k, p->work, octaves, err);
}

/* x less the largest of its row */
static struct ccz_mpc_tensor *below_max(struct cczi_calc *c, const struct ccz_mpc_tensor *x)
{
    struct ccz_mpc_tensor *max = NULL, *column = NULL, *d = NULL;
    struct ccz_mpc_shape shape = x->shape;
    shape.dim[shape.rank - 1] = 1;
    ccz_rc rc = ccz_mpc_max(&max, NULL, x, c->err);
    max = cczi_calc_keep(c, rc, max);
    if (rc == CCZ_OK)
        rc = ccz_mpc_reshape(&column, max, shape, c->err);
    column = cczi_calc_keep(c, rc, column);
    if (rc == CCZ_OK)
        rc = ccz_mpc_sub(&d, x, column, c->err);
    return cczi_calc_keep(c, rc, d);
}

static struct ccz_mpc_tensor *shared(struct cczi_calc *c, const struct ccz_mpc_tensor *x,
                                     const struct cczi_softmax *p)
{
    struct ccz_mpc_tensor *d = below_max(c, x), *sum = NULL;
    d = cczi_exp_shared(c, d, &p->exp, p->work);
    if (c->rc == CCZ_OK)
        c->rc = ccz_mpc_sum(&sum, d, x->shape.rank - 1, c->err);
    sum = cczi_calc_keep(c, c->rc, sum);
    d = cczi_times(c, d, cczi_inverse_shared(c, sum, &p->inverse, p->work));
    cczi_round(&d, 1, c, x->frac, CCZ_MPC_RANGE_POSITIVE);
    return d;
}

static void row_values(uint64_t *out, const uint64_t *x, size_t d, const struct cczi_softmax *p,
                       unsigned k)
{
    const unsigned s = 2 * p->work - p->exp.frac;
    const uint64_t mask = UINT64_MAX >> (64 - k);
    uint64_t max = x[0], sum = 0;
    for (size_t i = 1; i < d; i++)
        max ^= (max ^ x[i]) & cczi_plain_from(x[i], max, k);
    for (size_t i = 0; i < d; i++) {
        out[i] = cczi_exp_value((x[i] - max) & mask, &p->exp, p->work, k);
        sum += out[i];
    }
    sum = cczi_inverse_value(sum, &p->inverse, p->work, k);
    for (size_t i = 0; i < d; i++)
        out[i] = cczi_plain_round(out[i] * sum, s, k);
}

static ccz_rc softmax(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                      struct ccz_err *err)
{
    CCZI_AUTO_CALC c = {.m = x->m, .err = err};
    struct cczi_softmax p;
    const unsigned k = cczi_mpc_bits(x->m);
    const size_t d = x->shape.rank > 0 ? x->shape.dim[x->shape.rank - 1] : 0;
    ccz_rc rc = cczi_mpc_want_kind(x, CCZI_MATH_KINDS, "the operand of a softmax", err);
    if (rc == CCZ_OK)
        rc = cczi_softmax_init(&p, d, k, x->frac, err);
    if (rc == CCZ_OK && x->kind == CCZ_MPC_SHARED)
        return cczi_calc_leave(out, &c, shared(&c, x, &p));
    if (rc == CCZ_OK)
        rc = cczi_mpc_like(out, x, x->frac, err);
    for (size_t i = 0; rc == CCZ_OK && x->v && i < x->len; i += d)
        row_values((*out)->v + i, x->v + i, d, &p, k);
    return rc;
}

ccz_rc ccz_mpc_softmax(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                       struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    return rc == CCZ_OK ? cczi_op_leave(out, &r, x->m, softmax(&r, x, err), err) : rc;
}

ccz_rc ccz_mpc_softmax_plain(uint64_t *out, const uint64_t *x, size_t rows, size_t d,
                             unsigned ring_bits, unsigned frac, struct ccz_err *err)
{
    struct cczi_softmax p;
    ccz_rc rc = cczi_softmax_init(&p, d, ring_bits, frac, err);
    for (size_t i = 0; i < rows && rc == CCZ_OK; i++)
        row_values(out + i * d, x + i * d, d, &p, ring_bits);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * e^x = p(y)^(2^t), y = x / 2^t, p(y) = c0 + c1 y + y^2 (c2 + c3 y + c4 y^2): two products for a polynomial of degree 4, then t squares.
 * y^2 and the factor in brackets are rounded in the same batch, which is why c4 has few bits. Relative errors double with
 * every square: the fraction inside is as large as the ring allows.
 */
#include "math_priv.h"

/* Least relative error on [lo, hi] / 2^t, with c4 fixed (0 in the small ring, where rounding is the larger error). */
static const struct cczi_exp forms[2][2] = {
    {{.work = 12,
      .halvings = 5,
      .lo = -16,
      .hi = 4,
      .c = {1073791388, 1074085873, 531725509, 147637712}},
     {.work = 15,
      .halvings = 5,
      .lo = -16,
      .hi = 0,
      .c = {1073720033, 1072460825, 524486450, 138936904}}},
    {{.work = 24,
      .halvings = 6,
      .shift = 14,
      .lo = -16,
      .hi = 8,
      .c = {1073741698, 1073742735, 536921977, 178970752},
      .c4 = 640},
     {.work = 24,
      .halvings = 5,
      .shift = 14,
      .lo = -16,
      .hi = 0,
      .c = {1073741273, 1073690808, 536088580, 174650082},
      .c4 = 530}},
};

ccz_rc cczi_exp_init(struct cczi_exp *p, enum ccz_mpc_exp_range range, unsigned k, unsigned frac,
                     struct ccz_err *err)
{
    ccz_rc rc = cczi_math_ring(k, 32, err);
    if (rc != CCZ_OK)
        return rc;
    if ((unsigned)range > CCZ_MPC_EXP_NEGATIVE)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:exp-range", (int64_t)range,
                              CCZ_MPC_EXP_NEGATIVE);
    *p = forms[k == 64][range];
    p->frac = frac;
    p->negative = range == CCZ_MPC_EXP_NEGATIVE;
    if (frac > p->work)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:frac", frac, p->work);
    return CCZ_OK;
}

/* Constants at the fractions where they are used. */
static uint64_t wide(const struct cczi_exp *p)
{
    return 2 * p->work + p->shift;
}

/* -------------------------------------------------------------------------------------- shares */

static struct ccz_mpc_tensor *clamped(struct cczi_calc *c, const struct ccz_mpc_tensor *x,
                                      const struct cczi_exp *p)
{
    const uint64_t one = (uint64_t)1 << p->frac;
    struct ccz_mpc_tensor *t = NULL;
    if (!p->negative) {
        ccz_rc rc = ccz_mpc_clamp(&t, x, p->lo * (int64_t)one, p->hi * (int64_t)one, c->err);
        return cczi_calc_keep(c, rc, t);
    }
    struct ccz_mpc_tensor *above = cczi_affine(c, p->frac, (uint64_t)-p->lo * one, x, 1, NULL, 0);
    if (c->rc == CCZ_OK)
        c->rc = ccz_mpc_relu(&t, NULL, above, c->err);
    t = cczi_calc_keep(c, c->rc, t);
    return cczi_affine(c, p->frac, (uint64_t)p->lo * one, t, 1, NULL, 0);
}

/* p(y), not rounded yet */
static struct ccz_mpc_tensor *polynomial(struct cczi_calc *c, struct ccz_mpc_tensor *y,
                                         const struct cczi_exp *p)
{
    const unsigned w = p->work, all = (unsigned)wide(p);
    struct ccz_mpc_tensor *square = cczi_times(c, y, y), *part[2];
    part[0] = cczi_affine(c, all, 0, square, (uint64_t)1 << p->shift, NULL, 0);
    part[1] = cczi_affine(c, all, cczi_const(p->c[2], 30, all), y,
                          cczi_const(p->c[3], 30, w + p->shift), square, p->c4);
    cczi_round(part, 2, c, w, CCZ_MPC_RANGE_POSITIVE);
    struct ccz_mpc_tensor *high = cczi_times(c, part[0], part[1]);
    return cczi_affine(c, 2 * w, cczi_const(p->c[0], 30, 2 * w), high, 1, y,
                       cczi_const(p->c[1], 30, w));
}

struct ccz_mpc_tensor *cczi_exp_shared(struct cczi_calc *c, const struct ccz_mpc_tensor *x,
                                       const struct cczi_exp *p, unsigned out_frac)
{
    struct ccz_mpc_tensor *y = clamped(c, x, p);
    y = cczi_affine(c, p->frac + p->halvings, 0, y, 1, NULL, 0);
    y = cczi_at_frac(c, y, p->work, CCZ_MPC_RANGE_HALF);
    y = polynomial(c, y, p);
    for (unsigned i = 0; i < p->halvings; i++) {
        cczi_round(&y, 1, c, p->work, CCZ_MPC_RANGE_POSITIVE);
        y = cczi_times(c, y, y);
    }
    cczi_round(&y, 1, c, out_frac, CCZ_MPC_RANGE_POSITIVE);
    return y;
}

/* --------------------------------------------------------------------------------------- plain */

/* x, or lo or hi if it is beyond them */
static uint64_t plain_clamped(uint64_t x, const struct cczi_exp *p, unsigned k)
{
    const uint64_t lo = (uint64_t)p->lo << p->frac, hi = (uint64_t)p->hi << p->frac;
    uint64_t from = cczi_plain_from(x, lo, k), above = cczi_plain_from(hi, x, k);
    x = (x & from) | (lo & ~from);
    return p->negative ? x : (x & above) | (hi & ~above);
}

uint64_t cczi_exp_value(uint64_t x, const struct cczi_exp *p, unsigned out_frac, unsigned k)
{
    const unsigned w = p->work, all = (unsigned)wide(p), frac = p->frac + p->halvings;
    uint64_t y = plain_clamped(x, p, k);
    y = frac <= w ? y << (w - frac) : cczi_plain_round(y, frac - w, k);
    uint64_t square = cczi_plain_round(y * y << p->shift, w + p->shift, k);
    uint64_t high =
        cczi_const(p->c[2], 30, all) + cczi_const(p->c[3], 30, w + p->shift) * y + p->c4 * y * y;
    high = square * cczi_plain_round(high, w + p->shift, k);
    y = cczi_const(p->c[0], 30, 2 * w) + cczi_const(p->c[1], 30, w) * y + high;
    for (unsigned i = 0; i < p->halvings; i++) {
        y = cczi_plain_round(y, w, k);
        y *= y;
    }
    return cczi_plain_round(y, 2 * w - out_frac, k);
}

/* -------------------------------------------------------------------------------------- public */

static ccz_rc exponential(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                          enum ccz_mpc_exp_range range, struct ccz_err *err)
{
    CCZI_AUTO_CALC c = {.m = x->m, .err = err};
    struct cczi_exp p;
    ccz_rc rc = cczi_mpc_want_kind(x, CCZI_MATH_KINDS, "the operand of an exponential", err);
    if (rc == CCZ_OK)
        rc = cczi_exp_init(&p, range, cczi_mpc_bits(x->m), x->frac, err);
    if (rc == CCZ_OK && x->kind == CCZ_MPC_SHARED)
        return cczi_calc_leave(out, &c, cczi_exp_shared(&c, x, &p, x->frac));
    if (rc == CCZ_OK)
        rc = cczi_mpc_like(out, x, x->frac, err);
    for (size_t i = 0; rc == CCZ_OK && x->v && i < x->len; i++)
        (*out)->v[i] = cczi_exp_value(x->v[i], &p, x->frac, cczi_mpc_bits(x->m));
    return rc;
}

ccz_rc ccz_mpc_exp(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                   enum ccz_mpc_exp_range range, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    return rc == CCZ_OK ? cczi_op_leave(out, &r, x->m, exponential(&r, x, range, err), err) : rc;
}

ccz_rc ccz_mpc_exp_plain(uint64_t *out, const uint64_t *x, size_t len, unsigned ring_bits,
                         unsigned frac, enum ccz_mpc_exp_range range, struct ccz_err *err)
{
    struct cczi_exp p;
    ccz_rc rc = cczi_exp_init(&p, range, ring_bits, frac, err);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++)
        out[i] = cczi_exp_value(x[i], &p, frac, ring_bits);
    return rc;
}

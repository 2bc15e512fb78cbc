/* SPDX-License-Identifier: Apache-2.0 */
/* Sigmoid and tanh. */
#include "math_priv.h"

/* ------------------------------------------------------------------------------ straight pieces */

static ccz_rc shared_pieces(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                            const struct cczi_pieces *p, struct ccz_err *err)
{
    CCZI_AUTO_OP o = {0};
    CCZ_AUTO(ccz_mpc_tensor) wide = NULL;
    const struct cczi_cmp_need need = cczi_pieces_need(x->len, p, cczi_mpc_bits(x->m));
    ccz_rc rc =
        cczi_mpc_tensor_new(&wide, x->m, CCZ_MPC_SHARED, 0, x->shape, x->frac + p->shift, err);
    if (rc == CCZ_OK)
        rc = cczi_op_init_need(&o, x->m, &need, err);
    if (rc == CCZ_OK)
        rc = cczi_pieces_run(wide->v, x->v, x->len, p, &o, err);
    for (size_t i = 0; i < x->len && rc == CCZ_OK; i++)
        wide->v[i] &= o.mask;
    if (rc == CCZ_OK)
        rc = cczi_math_truncate(out, wide, p->shift, CCZ_MPC_RANGE_POSITIVE, err);
    return rc;
}

static ccz_rc pieces(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                     const struct ccz_mpc_sigmoid_cfg *cfg, struct ccz_err *err)
{
    struct cczi_pieces p;
    const unsigned k = cczi_mpc_bits(x->m);
    ccz_rc rc = cczi_pieces_init(&p, cfg, k, x->frac, err);
    if (rc == CCZ_OK && x->kind == CCZ_MPC_SHARED)
        return shared_pieces(out, x, &p, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_like(out, x, x->frac, err);
    if (rc == CCZ_OK && x->v)
        cczi_pieces_plain((*out)->v, x->v, x->len, &p, k);
    return rc;
}

/* ----------------------------------------------------------------------------------- polynomial */

/*
 * y = x / 8, s = y^2: y (c0 + c1 s), or y (c0 + c1 s) + s^2 (y (c2 + c3 s)). Factors in brackets come out of s before it is
 * rounded, in the same batch.
 */
struct odd {
    struct cczi_calc *c;
    const struct cczi_cheb *p;
    struct ccz_mpc_tensor *y, *square;
};

/* c0 + c1 s, before it is rounded */
static struct ccz_mpc_tensor *linear(const struct odd *o, unsigned term)
{
    const unsigned w = o->p->work;
    return cczi_affine(o->c, 2 * w + CCZI_CHEB_FRAC, (uint64_t)o->p->c[term] << 2 * w, o->square,
                       (uint64_t)o->p->c[term + 1], NULL, 0);
}

/* y (c2 + c3 s), before it is rounded: what is left of it in degree 5 needs no product. */
static struct ccz_mpc_tensor *high_line(const struct odd *o, struct ccz_mpc_tensor *product)
{
    const unsigned w = o->p->work;
    if (o->p->terms == 4)
        return product;
    return cczi_affine(o->c, 2 * w, 0, o->y, (uint64_t)o->p->c[2] << (w - CCZI_CHEB_FRAC), NULL, 0);
}

static struct ccz_mpc_tensor *higher_terms(const struct odd *o)
{
    struct cczi_calc *c = o->c;
    const unsigned w = o->p->work, len = o->p->terms - 1;
    struct ccz_mpc_tensor *t[3] = {
        linear(o, 0),
        cczi_affine(c, 2 * w + CCZI_CHEB_FRAC, 0, o->square, 1 << CCZI_CHEB_FRAC, NULL, 0),
        len == 3 ? linear(o, 2) : NULL};
    cczi_round(t, len, c, w, CCZ_MPC_RANGE_HALF);
    const struct ccz_mpc_product p[3] = {{CCZ_MPC_OP_MUL, o->y, t[0], 0, 0},
                                         {CCZ_MPC_OP_SQUARE, t[1], NULL, 0, 0},
                                         {CCZ_MPC_OP_MUL, o->y, t[2], 0, 0}};
    cczi_products(t, c, p, len);
    struct ccz_mpc_tensor *two[2] = {t[1], high_line(o, t[2])};
    cczi_round(two, 2, c, w, CCZ_MPC_RANGE_HALF);
    return cczi_affine(c, 2 * w, (uint64_t)1 << (2 * w - 1), t[0], 1, cczi_times(c, two[0], two[1]),
                       1);
}

static ccz_rc shared_cheb(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                          const struct cczi_cheb *p, struct ccz_err *err)
{
    CCZI_AUTO_CALC c = {.m = x->m, .err = err};
    const unsigned w = p->work;
    struct odd o = {.c = &c, .p = p};
    struct ccz_mpc_tensor *t;
    o.y = cczi_affine(&c, p->frac + 3, 0, x, 1, NULL, 0);
    o.y = cczi_at_frac(&c, o.y, w, CCZ_MPC_RANGE_HALF);
    o.square = cczi_times(&c, o.y, o.y);
    if (p->terms == 2) {
        t = linear(&o, 0);
        cczi_round(&t, 1, &c, w, CCZ_MPC_RANGE_HALF);
        t = cczi_affine(&c, 2 * w, (uint64_t)1 << (2 * w - 1), cczi_times(&c, o.y, t), 1, NULL, 0);
    } else {
        t = higher_terms(&o);
    }
    cczi_round(&t, 1, &c, p->frac, CCZ_MPC_RANGE_HALF);
    return cczi_calc_leave(out, &c, t);
}

static uint64_t cheb_value(uint64_t x, const struct cczi_cheb *p, unsigned k)
{
    const unsigned w = p->work, s = w + CCZI_CHEB_FRAC, frac = p->frac + 3;
    const uint64_t half = (uint64_t)1 << (2 * w - 1);
    uint64_t y = frac <= w ? x << (w - frac) : cczi_plain_round(x, frac - w, k), square = y * y;
    uint64_t low =
        y * cczi_plain_round(((uint64_t)p->c[0] << 2 * w) + (uint64_t)p->c[1] * square, s, k);
    uint64_t high = (uint64_t)p->c[2] << (w - CCZI_CHEB_FRAC);
    if (p->terms == 4)
        high = cczi_plain_round(((uint64_t)p->c[2] << 2 * w) + (uint64_t)p->c[3] * square, s, k);
    if (p->terms > 2) {
        square = cczi_plain_round(square << CCZI_CHEB_FRAC, s, k);
        low += cczi_plain_round(square * square, w, k) * cczi_plain_round(y * high, w, k);
    }
    return cczi_plain_round(low + half, 2 * w - p->frac, k);
}

static ccz_rc cheb(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                   const struct ccz_mpc_sigmoid_cfg *cfg, struct ccz_err *err)
{
    struct cczi_cheb p;
    const unsigned k = cczi_mpc_bits(x->m);
    ccz_rc rc = cczi_cheb_init(&p, cfg, k, x->frac, err);
    if (rc == CCZ_OK && x->kind == CCZ_MPC_SHARED)
        return shared_cheb(out, x, &p, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_like(out, x, x->frac, err);
    for (size_t i = 0; rc == CCZ_OK && x->v && i < x->len; i++)
        (*out)->v[i] = cheb_value(x->v[i], &p, k);
    return rc;
}

/* --------------------------------------------------------------------------------------- public */

static ccz_rc sigmoid(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                      const struct ccz_mpc_sigmoid_cfg *cfg, struct ccz_err *err)
{
    ccz_rc rc = cczi_mpc_want_kind(x, CCZI_MATH_KINDS, "the operand of a sigmoid", err);
    if (rc != CCZ_OK)
        return rc;
    return cfg->kind == CCZ_MPC_SIGMOID_CHEBYSHEV ? cheb(out, x, cfg, err)
                                                  : pieces(out, x, cfg, err);
}

ccz_rc ccz_mpc_sigmoid_as(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                          const struct ccz_mpc_sigmoid_cfg *cfg, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    return rc == CCZ_OK ? cczi_op_leave(out, &r, x->m, sigmoid(&r, x, cfg, err), err) : rc;
}

ccz_rc ccz_mpc_sigmoid(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                       enum ccz_mpc_sigmoid kind, struct ccz_err *err)
{
    return ccz_mpc_sigmoid_as(out, x, &(struct ccz_mpc_sigmoid_cfg){.kind = kind}, err);
}

/* s to 2 s - 1 */
static ccz_rc tanh_of(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                      const struct ccz_mpc_sigmoid_cfg *cfg, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) twice = NULL;
    CCZ_AUTO(ccz_mpc_tensor) s = NULL;
    CCZ_AUTO(ccz_mpc_tensor) up = NULL;
    struct ccz_mpc_sigmoid_cfg of_twice;
    ccz_rc rc = cczi_tanh_sigmoid(&of_twice, cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_scale(&twice, x, 2, 0, err);
    if (rc == CCZ_OK)
        rc = sigmoid(&s, twice, &of_twice, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_scale(&up, s, 2, 0, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_add_value(out, up, 0 - ((uint64_t)1 << x->frac), err);
    return rc;
}

ccz_rc ccz_mpc_tanh(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                    const struct ccz_mpc_sigmoid_cfg *cfg, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    return rc == CCZ_OK ? cczi_op_leave(out, &r, x->m, tanh_of(&r, x, cfg, err), err) : rc;
}

/* ---------------------------------------------------------------------------------------- plain */

ccz_rc ccz_mpc_sigmoid_plain(uint64_t *out, const uint64_t *x, size_t len, unsigned ring_bits,
                             unsigned frac, const struct ccz_mpc_sigmoid_cfg *cfg,
                             struct ccz_err *err)
{
    struct cczi_pieces p;
    struct cczi_cheb q;
    const bool straight = cfg->kind != CCZ_MPC_SIGMOID_CHEBYSHEV;
    ccz_rc rc = straight ? cczi_pieces_init(&p, cfg, ring_bits, frac, err)
                         : cczi_cheb_init(&q, cfg, ring_bits, frac, err);
    if (rc == CCZ_OK && straight)
        cczi_pieces_plain(out, x, len, &p, ring_bits);
    for (size_t i = 0; i < len && rc == CCZ_OK && !straight; i++)
        out[i] = cheb_value(x[i], &q, ring_bits);
    return rc;
}

ccz_rc ccz_mpc_tanh_plain(uint64_t *out, const uint64_t *x, size_t len, unsigned ring_bits,
                          unsigned frac, const struct ccz_mpc_sigmoid_cfg *cfg, struct ccz_err *err)
{
    struct ccz_mpc_sigmoid_cfg of_twice;
    ccz_rc rc = cczi_math_ring(ring_bits, 8, err);
    if (rc == CCZ_OK)
        rc = cczi_tanh_sigmoid(&of_twice, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    const uint64_t mask = UINT64_MAX >> (64 - ring_bits);
    for (size_t i = 0; i < len; i++)
        out[i] = (2 * x[i]) & mask;
    rc = ccz_mpc_sigmoid_plain(out, out, len, ring_bits, frac, &of_twice, err);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++)
        out[i] = (2 * out[i] - ((uint64_t)1 << frac)) & mask;
    return rc;
}

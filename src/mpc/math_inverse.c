/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 1 / x, square root, 1 / square root of x > 0. Comparisons with powers of two say which octave x is in (roots: which two); a product
 * with a power of two brings it to [1/2, 1) or [1/4, 1). There:
 *   1 / x      w = 11/4 - 7/4 x, e = 1 - x w (below 0.081); w (1 + e) (1 + e^2) (1 + e^4)..              (Goldschmidt 1964)
 *   roots      w = (21 - 25 x + 12 x^2) / 8, g = x w; r = (1 - g w) / 2; g and w times 1 + r; again      (the same, coupled)
 * g goes to the root and w to its reciprocal. Another product with a power of two brings the result back.
 */
#include "math_priv.h"

/* Numbers of the octaves, and constants. */
ccz_rc cczi_inverse_init(struct cczi_inverse *p, enum cczi_inverse_kind kind, unsigned k,
                         unsigned frac, struct ccz_mpc_octaves octaves, struct ccz_err *err)
{
    const int gap = kind == CCZI_RECIPROCAL ? 1 : 2, most = k == 64 ? 32 : 16;
    int lo = octaves.lo, hi = octaves.hi;
    ccz_rc rc = cczi_math_ring(k, 32, err);
    if (rc != CCZ_OK)
        return rc;
    *p = (struct cczi_inverse){.kind = kind, .frac = frac, .work = k == 64 ? 28 : 13};
    if (frac > p->work)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:frac", frac, p->work);
    const int f = (int)frac, product = (int)k - 2 - (int)p->work;
    int top = (int)k - 6 - f;
    if (kind == CCZI_RECIPROCAL && product < top) /* it is brought back by 2^-hi at most */
        top = product;
    if (lo < -f || hi < 1 || lo >= hi || hi > top || hi - lo > most)
        return ccz_fail(err, CCZ_E_ARG, "mpc:octaves", lo,
                        "2^%d to 2^%d, at least 2^-%d to 2^1, at most 2^%d and %d octaves", lo, hi,
                        f, top, most);
    if (gap == 2) { /* x = x' 2^e with even e */
        lo -= lo & 1;
        hi += hi & 1;
    }
    const int low = lo < 0 ? lo : 0;
    p->bits = (unsigned)(hi + f + 1);
    p->up_frac = (unsigned)hi;
    p->back_frac = (unsigned)(kind == CCZI_RECIPROCAL ? hi
                              : kind == CCZI_RSQRT    ? hi / 2
                                                      : -low / 2);
    for (int e = lo + gap; e <= hi; e += gap) {
        p->at[p->steps] = (uint64_t)1 << (e + f);
        p->up[p->steps] = (uint64_t)1 << (hi - e);
        p->back[p->steps++] = (uint64_t)1 << (kind == CCZI_RECIPROCAL ? hi - e
                                              : kind == CCZI_RSQRT    ? (hi - e) / 2
                                                                      : (e - low) / 2);
    }
    p->steps--;
    p->turns = kind != CCZI_RECIPROCAL || k == 32 ? 2 : 3;
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------- octaves */

/* levels[j n + i]: share of [x_i >= at[j]] */
static ccz_rc levels(uint64_t *out, const struct ccz_mpc_tensor *x, const struct cczi_inverse *p,
                     struct ccz_err *err)
{
    CCZI_AUTO_OP o = {0};
    CCZI_AUTO_STORE rows = {0}, product = {0};
    const size_t n = p->steps * x->len;
    const struct cczi_cmp_need need = cczi_inverse_need(x->len, p, cczi_mpc_bits(x->m));
    ccz_rc rc = cczi_store_init(&rows, cczi_words_of(n), err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&product, n, err);
    if (rc == CCZ_OK)
        rc = cczi_op_init_need(&o, x->m, &need, err);
    if (rc == CCZ_OK)
        rc = cczi_steps(rows.at, x->v, x->len, p->at, p->steps, p->bits, &o, err);
    for (size_t i = 0; i < n && rc == CCZ_OK; i++)
        out[i] = cczi_row_bit(rows.at, i);
    const struct cczi_cot cot = {.a = out,
                                 .bit = rows.at,
                                 .send = cczi_cmp_half(n, o.party),
                                 .recv = cczi_cmp_half(n, 1 - o.party),
                                 .width = o.k,
                                 .out = product.at};
    if (rc == CCZ_OK)
        rc = cczi_cmp_cot(&o.c, &cot, 1, err);
    for (size_t i = 0; i < n && rc == CCZ_OK; i++)
        out[i] -= 2 * product.at[i];
    return rc;
}

struct cczi_cmp_need cczi_inverse_need(size_t n, const struct cczi_inverse *p, unsigned k)
{
    struct cczi_cmp_need sum = {{0}, {0}, 0}, more;
    if (p->steps == 0)
        return sum;
    sum = cczi_cmp_less_need(p->steps * n, p->bits, 0);
    more = cczi_cmp_cot_half_need(p->steps * n, k);
    cczi_need_add(&sum, &more);
    return sum;
}

/* What belongs to the octave of each element: values[0], and a difference for each step. */
static struct ccz_mpc_tensor *chosen(struct cczi_calc *c, const struct ccz_mpc_tensor *x,
                                     const uint64_t *level, const struct cczi_inverse *p,
                                     const uint64_t *values, unsigned frac)
{
    struct ccz_mpc_tensor *t = NULL;
    if (c->rc != CCZ_OK)
        return NULL;
    const enum ccz_mpc_kind kind = p->steps > 0 ? CCZ_MPC_SHARED : CCZ_MPC_PUBLIC;
    const bool adds = p->steps == 0 || cczi_mpc_role(c->m) == 0;
    ccz_rc rc = cczi_mpc_tensor_new(&t, c->m, kind, 0, x->shape, frac, c->err);
    for (size_t i = 0; i < x->len && rc == CCZ_OK; i++) {
        uint64_t v = adds ? values[0] : 0;
        for (unsigned j = 0; j < p->steps; j++)
            v += level[j * x->len + i] * (values[j + 1] - values[j]);
        t->v[i] = v & cczi_mpc_mask(c->m);
    }
    return cczi_calc_keep(c, rc, t);
}

/* ------------------------------------------------------------------------------------- formulas */

static struct ccz_mpc_tensor *reciprocal(struct cczi_calc *c, struct ccz_mpc_tensor *x,
                                         const struct cczi_inverse *p)
{
    const unsigned w = p->work, all = 2 * w + 2;
    const uint64_t one = (uint64_t)1 << w;
    struct ccz_mpc_tensor *square = cczi_times(c, x, x), *t[2];
    t[0] = cczi_affine(c, all, 11 * one * one, x, 0 - 7 * one, NULL, 0);
    t[1] = cczi_affine(c, all, 4 * one * one, x, 0 - 11 * one, square, 7);
    cczi_round(t, 2, c, w, CCZ_MPC_RANGE_HALF);
    for (unsigned i = 1; i <= p->turns; i++) {
        const struct ccz_mpc_product both[2] = {
            {CCZ_MPC_OP_MUL, t[0], cczi_affine(c, w, one, t[1], 1, NULL, 0), 0, 0},
            {CCZ_MPC_OP_SQUARE, t[1], NULL, 0, 0}};
        const unsigned len = i < p->turns ? 2 : 1;
        cczi_products(t, c, both, len);
        cczi_round(t, len, c, w, CCZ_MPC_RANGE_HALF);
    }
    return t[0];
}

static struct ccz_mpc_tensor *root(struct cczi_calc *c, struct ccz_mpc_tensor *x,
                                   const struct cczi_inverse *p)
{
    const unsigned w = p->work;
    const uint64_t one = (uint64_t)1 << w;
    struct ccz_mpc_tensor *t[2], *r; /* the root, its reciprocal */
    t[1] = cczi_affine(c, 2 * w + 3, 21 * one * one, x, 0 - 25 * one, cczi_times(c, x, x), 12);
    cczi_round(t + 1, 1, c, w, CCZ_MPC_RANGE_POSITIVE);
    t[0] = cczi_times(c, x, t[1]);
    cczi_round(t, 1, c, w, CCZ_MPC_RANGE_HALF);
    for (unsigned i = 1; i <= p->turns; i++) {
        const bool last = i == p->turns;
        r = cczi_affine(c, 2 * w + 1, one * one, cczi_times(c, t[0], t[1]), UINT64_MAX, NULL, 0);
        cczi_round(&r, 1, c, w, CCZ_MPC_RANGE_HALF);
        r = cczi_affine(c, w, one, r, 1, NULL, 0);
        const struct ccz_mpc_product both[2] = {{CCZ_MPC_OP_MUL, t[0], r, 0, 0},
                                                {CCZ_MPC_OP_MUL, t[1], r, 0, 0}};
        const unsigned from = last && p->kind == CCZI_RSQRT, len = last ? 1 : 2;
        cczi_products(t + from, c, both + from, len);
        cczi_round(t + from, len, c, w, CCZ_MPC_RANGE_HALF);
    }
    return t[p->kind == CCZI_RSQRT];
}

struct ccz_mpc_tensor *cczi_inverse_shared(struct cczi_calc *c, const struct ccz_mpc_tensor *x,
                                           const struct cczi_inverse *p, unsigned out_frac)
{
    CCZI_AUTO_STORE level = {0};
    if (c->rc == CCZ_OK)
        c->rc = cczi_store_init(&level, p->steps * x->len, c->err);
    if (c->rc == CCZ_OK && p->steps > 0)
        c->rc = levels(level.at, x, p, c->err);
    struct ccz_mpc_tensor *up = chosen(c, x, level.at, p, p->up, p->up_frac);
    struct ccz_mpc_tensor *back = chosen(c, x, level.at, p, p->back, p->back_frac);
    struct ccz_mpc_tensor *y = cczi_times(c, x, up);
    y = cczi_at_frac(c, y, p->work, CCZ_MPC_RANGE_POSITIVE);
    y = cczi_times(c, p->kind == CCZI_RECIPROCAL ? reciprocal(c, y, p) : root(c, y, p), back);
    cczi_round(&y, 1, c, out_frac, CCZ_MPC_RANGE_HALF);
    return y;
}

/* --------------------------------------------------------------------------------------- plain */

static uint64_t reciprocal_value(uint64_t x, const struct cczi_inverse *p, unsigned k)
{
    const unsigned w = p->work;
    const uint64_t one = (uint64_t)1 << w;
    uint64_t y = cczi_plain_round(11 * one * one - 7 * one * x, w + 2, k);
    uint64_t e = cczi_plain_round(4 * one * one - 11 * one * x + 7 * x * x, w + 2, k);
    for (unsigned i = 1; i <= p->turns; i++) {
        y = cczi_plain_round(y * (one + e), w, k);
        e = cczi_plain_round(e * e, w, k);
    }
    return y;
}

static uint64_t root_value(uint64_t x, const struct cczi_inverse *p, unsigned k)
{
    const unsigned w = p->work;
    const uint64_t one = (uint64_t)1 << w;
    uint64_t y = cczi_plain_round(21 * one * one - 25 * one * x + 12 * x * x, w + 3, k);
    uint64_t g = cczi_plain_round(x * y, w, k);
    for (unsigned i = 1; i <= p->turns; i++) {
        uint64_t r = one + cczi_plain_round(one * one - g * y, w + 1, k);
        g = cczi_plain_round(g * r, w, k);
        y = cczi_plain_round(y * r, w, k);
    }
    return p->kind == CCZI_RSQRT ? y : g;
}

uint64_t cczi_inverse_value(uint64_t x, const struct cczi_inverse *p, unsigned out_frac, unsigned k)
{
    const unsigned frac = p->frac + p->up_frac;
    uint64_t up = p->up[0], back = p->back[0];
    for (unsigned j = 0; j < p->steps; j++) {
        const uint64_t in = cczi_plain_from(x, p->at[j], p->bits + 1);
        up += in & (p->up[j + 1] - p->up[j]);
        back += in & (p->back[j + 1] - p->back[j]);
    }
    uint64_t y = x * up;
    y = frac <= p->work ? y << (p->work - frac) : cczi_plain_round(y, frac - p->work, k);
    y = p->kind == CCZI_RECIPROCAL ? reciprocal_value(y, p, k) : root_value(y, p, k);
    return cczi_plain_round(y * back, p->work + p->back_frac - out_frac, k);
}

/* -------------------------------------------------------------------------------------- public */

static ccz_rc inverse(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                      enum cczi_inverse_kind kind, struct ccz_mpc_octaves octaves,
                      struct ccz_err *err)
{
    CCZI_AUTO_CALC c = {.m = x->m, .err = err};
    struct cczi_inverse p;
    ccz_rc rc = cczi_mpc_want_kind(x, CCZI_MATH_KINDS, "the operand", err);
    if (rc == CCZ_OK)
        rc = cczi_inverse_init(&p, kind, cczi_mpc_bits(x->m), x->frac, octaves, err);
    if (rc == CCZ_OK && x->kind == CCZ_MPC_SHARED)
        return cczi_calc_leave(out, &c, cczi_inverse_shared(&c, x, &p, x->frac));
    if (rc == CCZ_OK)
        rc = cczi_mpc_like(out, x, x->frac, err);
    for (size_t i = 0; rc == CCZ_OK && x->v && i < x->len; i++)
        (*out)->v[i] = cczi_inverse_value(x->v[i], &p, x->frac, cczi_mpc_bits(x->m));
    return rc;
}

static ccz_rc run(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                  enum cczi_inverse_kind kind, struct ccz_mpc_octaves octaves, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    return rc == CCZ_OK ? cczi_op_leave(out, &r, x->m, inverse(&r, x, kind, octaves, err), err)
                        : rc;
}

ccz_rc ccz_mpc_reciprocal(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                          struct ccz_mpc_octaves octaves, struct ccz_err *err)
{
    return run(out, x, CCZI_RECIPROCAL, octaves, err);
}

ccz_rc ccz_mpc_sqrt(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                    struct ccz_mpc_octaves octaves, struct ccz_err *err)
{
    return run(out, x, CCZI_SQRT, octaves, err);
}

ccz_rc ccz_mpc_rsqrt(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                     struct ccz_mpc_octaves octaves, struct ccz_err *err)
{
    return run(out, x, CCZI_RSQRT, octaves, err);
}

static ccz_rc plain(uint64_t *out, const uint64_t *x, size_t len, unsigned k, unsigned frac,
                    enum cczi_inverse_kind kind, struct ccz_mpc_octaves octaves,
                    struct ccz_err *err)
{
    struct cczi_inverse p;
    ccz_rc rc = cczi_inverse_init(&p, kind, k, frac, octaves, err);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++)
        out[i] = cczi_inverse_value(x[i], &p, frac, k);
    return rc;
}

ccz_rc ccz_mpc_reciprocal_plain(uint64_t *out, const uint64_t *x, size_t len, unsigned ring_bits,
                                unsigned frac, struct ccz_mpc_octaves octaves, struct ccz_err *err)
{
    return plain(out, x, len, ring_bits, frac, CCZI_RECIPROCAL, octaves, err);
}

ccz_rc ccz_mpc_sqrt_plain(uint64_t *out, const uint64_t *x, size_t len, unsigned ring_bits,
                          unsigned frac, struct ccz_mpc_octaves octaves, struct ccz_err *err)
{
    return plain(out, x, len, ring_bits, frac, CCZI_SQRT, octaves, err);
}

ccz_rc ccz_mpc_rsqrt_plain(uint64_t *out, const uint64_t *x, size_t len, unsigned ring_bits,
                           unsigned frac, struct ccz_mpc_octaves octaves, struct ccz_err *err)
{
    return plain(out, x, len, ring_bits, frac, CCZI_RSQRT, octaves, err);
}

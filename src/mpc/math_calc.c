/* SPDX-License-Identifier: Apache-2.0 */
/* Formulas on shared tensors: products, sums with public numbers, rounding in batches. */
#include "math_priv.h"

#include <assert.h>
#include <string.h>

void cczi_calc_deinit(struct cczi_calc *c)
{
    for (unsigned i = 0; i < c->len; i++)
        ccz_mpc_tensor_free(c->own[i]);
    *c = (struct cczi_calc){0};
}

struct ccz_mpc_tensor *cczi_calc_keep(struct cczi_calc *c, ccz_rc rc, struct ccz_mpc_tensor *t)
{
    if (c->rc == CCZ_OK)
        c->rc = rc;
    if (!t)
        return NULL;
    assert(c->len < CCZI_CALC_MAX);
    c->own[c->len++] = t;
    return t;
}

ccz_rc cczi_calc_leave(struct ccz_mpc_tensor **out, struct cczi_calc *c, struct ccz_mpc_tensor *t)
{
    for (unsigned i = 0; i < c->len && c->rc == CCZ_OK; i++)
        if (c->own[i] == t) {
            *out = t;
            c->own[i] = NULL;
        }
    return c->rc;
}

struct ccz_mpc_tensor *cczi_affine(struct cczi_calc *c, unsigned frac, uint64_t constant,
                                   const struct ccz_mpc_tensor *a, uint64_t ka,
                                   const struct ccz_mpc_tensor *b, uint64_t kb)
{
    struct ccz_mpc_tensor *t = NULL;
    if (c->rc != CCZ_OK)
        return NULL;
    const uint64_t own = cczi_mpc_role(c->m) == 0 ? constant : 0, mask = cczi_mpc_mask(c->m);
    ccz_rc rc = cczi_mpc_tensor_new(&t, c->m, CCZ_MPC_SHARED, 0, a->shape, frac, c->err);
    for (size_t i = 0; i < a->len && rc == CCZ_OK; i++)
        t->v[i] = (own + ka * a->v[i] + (b ? kb * b->v[i] : 0)) & mask;
    return cczi_calc_keep(c, rc, t);
}

void cczi_products(struct ccz_mpc_tensor **out, struct cczi_calc *c,
                   const struct ccz_mpc_product *p, size_t len)
{
    ccz_rc rc = CCZ_OK;
    memset(out, 0, len * sizeof(*out));
    if (c->rc == CCZ_OK)
        rc = ccz_mpc_products(out, p, len, c->err);
    for (size_t i = 0; i < len; i++)
        out[i] = cczi_calc_keep(c, rc, out[i]);
}

struct ccz_mpc_tensor *cczi_times(struct cczi_calc *c, const struct ccz_mpc_tensor *a,
                                  const struct ccz_mpc_tensor *b)
{
    struct ccz_mpc_tensor *out;
    cczi_products(&out, c, &(struct ccz_mpc_product){CCZ_MPC_OP_MUL, a, b, 0, 0}, 1);
    return out;
}

ccz_rc cczi_math_truncate(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x, unsigned s,
                          enum ccz_mpc_range range, struct ccz_err *err)
{
    const bool exact = ccz_mpc_cfg_of(x->m)->trunc == CCZ_MPC_TRUNC_FAITHFUL;
    return ccz_mpc_truncate_as(out, x, s, range,
                               exact ? CCZ_MPC_TRUNC_FAITHFUL : CCZ_MPC_TRUNC_ONE_BIT, err);
}

/* All elements of len tensors as one vector, half a unit added. */
static ccz_rc join(struct ccz_mpc_tensor **all, struct ccz_mpc_tensor *const *t, unsigned len,
                   unsigned s, struct ccz_err *err)
{
    struct ccz_mpc *m = t[0]->m;
    const size_t n = t[0]->len;
    const uint64_t half = s > 0 && cczi_mpc_role(m) == 0 ? (uint64_t)1 << (s - 1) : 0;
    ccz_rc rc =
        cczi_mpc_tensor_new(all, m, CCZ_MPC_SHARED, 0, CCZ_MPC_SHAPE1(len * n), t[0]->frac, err);
    for (unsigned j = 0; j < len && rc == CCZ_OK; j++)
        for (size_t i = 0; i < n; i++)
            (*all)->v[j * n + i] = (t[j]->v[i] + half) & cczi_mpc_mask(m);
    return rc;
}

void cczi_round(struct ccz_mpc_tensor **t, unsigned len, struct cczi_calc *c, unsigned frac,
                enum ccz_mpc_range range)
{
    CCZ_AUTO(ccz_mpc_tensor) wide = NULL;
    CCZ_AUTO(ccz_mpc_tensor) all = NULL;
    if (c->rc != CCZ_OK)
        return;
    const unsigned s = t[0]->frac - frac;
    const size_t n = t[0]->len;
    ccz_rc rc = join(&wide, t, len, s, c->err);
    if (rc == CCZ_OK)
        rc = cczi_math_truncate(&all, wide, s, range, c->err);
    for (unsigned j = 0; j < len; j++) {
        struct ccz_mpc_tensor *part = NULL;
        if (rc == CCZ_OK)
            rc = cczi_mpc_tensor_new(&part, c->m, CCZ_MPC_SHARED, 0, t[j]->shape, frac, c->err);
        if (rc == CCZ_OK)
            memcpy(part->v, all->v + j * n, n * sizeof(*part->v));
        t[j] = cczi_calc_keep(c, rc, part);
    }
}

struct ccz_mpc_tensor *cczi_at_frac(struct cczi_calc *c, struct ccz_mpc_tensor *t, unsigned frac,
                                    enum ccz_mpc_range range)
{
    if (c->rc != CCZ_OK)
        return NULL;
    if (t->frac <= frac)
        return cczi_affine(c, frac, 0, t, (uint64_t)1 << (frac - t->frac), NULL, 0);
    cczi_round(&t, 1, c, frac, range);
    return t;
}

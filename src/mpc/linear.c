/* SPDX-License-Identifier: Apache-2.0 */
/* What needs no messages: sums, and products with what both know. */
#include "session.h"

#include <cczoo/ring.h>

#include <string.h>

enum { ALL_BUT_BITS = 1u << CCZ_MPC_PUBLIC | 1u << CCZ_MPC_PRIVATE | 1u << CCZ_MPC_SHARED };

/* Shape of a and b together: aligned at the end, dimensions of 1 repeat. */
ccz_rc cczi_mpc_broadcast(struct ccz_mpc_shape *out, const struct ccz_mpc_shape *a,
                          const struct ccz_mpc_shape *b, struct ccz_err *err)
{
    unsigned rank = a->rank > b->rank ? a->rank : b->rank;
    *out = (struct ccz_mpc_shape){.rank = rank};
    for (unsigned i = 0; i < rank; i++) {
        size_t x = i + a->rank >= rank ? a->dim[i + a->rank - rank] : 1;
        size_t y = i + b->rank >= rank ? b->dim[i + b->rank - rank] : 1;
        if (x != y && x != 1 && y != 1)
            return cczi_mpc_refuse_shape(b, a, err);
        out->dim[i] = x == 1 ? y : x;
    }
    return CCZ_OK;
}

/* t, or *own with t repeated to the shape. */
ccz_rc cczi_mpc_expanded(const struct ccz_mpc_tensor **out, struct ccz_mpc_tensor **own,
                         const struct ccz_mpc_tensor *t, const struct ccz_mpc_shape *shape,
                         struct ccz_err *err)
{
    *own = NULL;
    *out = t;
    if (cczi_mpc_shape_eq(&t->shape, shape))
        return CCZ_OK;
    ccz_rc rc = ccz_mpc_expand(own, t, *shape, err);
    *out = *own;
    return rc;
}

/* ---------------------------------------------------------------------------------- a plus b */

/* Kind of a sum. Owner for PRIVATE. */
static enum ccz_mpc_kind sum_kind(unsigned *owner, const struct ccz_mpc_tensor *a,
                                  const struct ccz_mpc_tensor *b)
{
    *owner = a->kind == CCZ_MPC_PRIVATE ? a->owner : b->owner;
    if (a->kind == CCZ_MPC_SHARED || b->kind == CCZ_MPC_SHARED)
        return CCZ_MPC_SHARED;
    if (a->kind == CCZ_MPC_PRIVATE && b->kind == CCZ_MPC_PRIVATE && a->owner != b->owner)
        return CCZ_MPC_SHARED;
    return a->kind == CCZ_MPC_PUBLIC && b->kind == CCZ_MPC_PUBLIC ? CCZ_MPC_PUBLIC
                                                                  : CCZ_MPC_PRIVATE;
}

/* What this party adds of an operand to a sum of that kind; NULL: nothing. */
static const uint64_t *part(const struct ccz_mpc_tensor *t, enum ccz_mpc_kind sum)
{
    if (sum == CCZ_MPC_SHARED && t->kind == CCZ_MPC_PUBLIC && t->m->cfg.role != 0)
        return NULL;
    return t->v;
}

static ccz_rc fill_sum(struct ccz_mpc_tensor *r, const struct ccz_mpc_tensor *a,
                       const struct ccz_mpc_tensor *b, bool minus, struct ccz_err *err)
{
    struct ccz_mpc *m = a->m;
    const unsigned bits = cczi_mpc_bits(m);
    const uint64_t *x = part(a, r->kind), *y = part(b, r->kind);
    if (!r->v)
        return CCZ_OK; /* the other party's */
    if (r->kind == CCZ_MPC_SHARED && a->kind != CCZ_MPC_SHARED && b->kind != CCZ_MPC_SHARED) {
        ccz_rc rc = cczi_mpc_common(r->v, r->len, bits, m, err); /* makes the shares uniform */
        if (rc != CCZ_OK)
            return rc;
        if (m->cfg.role == 1) /* 0 - r */
            for (size_t i = 0; i < r->len; i++)
                r->v[i] = (0 - r->v[i]) & cczi_mpc_mask(m);
    }
    if (x)
        ccz_ring_add(r->v, r->v, x, r->len, bits);
    if (y && minus)
        ccz_ring_sub(r->v, r->v, y, r->len, bits);
    else if (y)
        ccz_ring_add(r->v, r->v, y, r->len, bits);
    return CCZ_OK;
}

static ccz_rc sum(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                  const struct ccz_mpc_tensor *b, bool minus, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) a_own = NULL;
    CCZ_AUTO(ccz_mpc_tensor) b_own = NULL;
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    struct ccz_mpc_shape shape;
    unsigned owner;
    ccz_rc rc = cczi_mpc_same_session(a, b, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_want_kind(a, ALL_BUT_BITS, "the first operand", err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_want_kind(b, ALL_BUT_BITS, "the second operand", err);
    if (rc == CCZ_OK && a->frac != b->frac) {
        (void)ccz_refuse_num(err, CCZ_E_ARG, "mpc:scale", b->frac, a->frac);
        rc = ccz_hint(err, CCZ_E_ARG, "scale or truncate one of the two first");
    }
    if (rc == CCZ_OK)
        rc = cczi_mpc_broadcast(&shape, &a->shape, &b->shape, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_expanded(&a, &a_own, a, &shape, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_expanded(&b, &b_own, b, &shape, err);
    if (rc != CCZ_OK)
        return rc;
    enum ccz_mpc_kind kind = sum_kind(&owner, a, b);
    rc = cczi_mpc_tensor_new(&r, a->m, kind, owner, shape, a->frac, err);
    if (rc == CCZ_OK)
        rc = fill_sum(r, a, b, minus, err);
    if (rc == CCZ_OK)
        *out = ccz_mpc_tensor_take(&r);
    return rc;
}

ccz_rc ccz_mpc_add(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                   const struct ccz_mpc_tensor *b, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(a->m, err);
    return rc == CCZ_OK ? cczi_mpc_leave(a->m, sum(out, a, b, false, err), err) : rc;
}

ccz_rc ccz_mpc_sub(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                   const struct ccz_mpc_tensor *b, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(a->m, err);
    return rc == CCZ_OK ? cczi_mpc_leave(a->m, sum(out, a, b, true, err), err) : rc;
}

/* ----------------------------------------------------------------------------- a with a value */

/* A tensor like a, without values; none is made for the other party's. */
ccz_rc cczi_mpc_like(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a, uint64_t frac,
                     struct ccz_err *err)
{
    ccz_rc rc = cczi_mpc_check_frac(a->m, frac, err);
    if (rc != CCZ_OK)
        return rc;
    return cczi_mpc_tensor_new(out, a->m, a->kind, a->owner, a->shape, (unsigned)frac, err);
}

static ccz_rc scaled(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a, uint64_t factor,
                     uint64_t frac, struct ccz_err *err)
{
    ccz_rc rc = cczi_mpc_enter(a->m, err);
    *out = NULL;
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_mpc_want_kind(a, ALL_BUT_BITS, "the operand", err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_like(out, a, frac, err);
    if (rc == CCZ_OK && (*out)->v)
        ccz_ring_scale((*out)->v, a->v, factor, a->len, cczi_mpc_bits(a->m));
    return cczi_mpc_leave(a->m, rc, err);
}

ccz_rc ccz_mpc_neg(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a, struct ccz_err *err)
{
    return scaled(out, a, UINT64_MAX, a->frac, err);
}

ccz_rc ccz_mpc_scale(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a, uint64_t factor,
                     unsigned frac, struct ccz_err *err)
{
    return scaled(out, a, factor, (uint64_t)a->frac + frac, err);
}

ccz_rc ccz_mpc_rescale(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a, unsigned frac,
                       struct ccz_err *err)
{
    if (frac < a->frac) {
        *out = NULL;
        (void)ccz_refuse_num(err, CCZ_E_ARG, "mpc:scale", frac, a->frac);
        (void)ccz_hint(err, CCZ_E_ARG, "to a smaller scale values have to be truncated");
        return cczi_mpc_leave(a->m, CCZ_E_ARG, err);
    }
    unsigned up = frac - a->frac;
    return scaled(out, a, up < 64 ? (uint64_t)1 << up : 0, frac, err);
}

ccz_rc ccz_mpc_reinterpret(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                           unsigned frac, struct ccz_err *err)
{
    return scaled(out, a, 1, frac, err);
}

static ccz_rc add_value(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a, uint64_t value,
                        struct ccz_err *err)
{
    struct ccz_mpc *m = a->m;
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    ccz_rc rc = cczi_mpc_want_kind(a, ALL_BUT_BITS, "the operand", err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_like(&r, a, a->frac, err);
    if (rc != CCZ_OK)
        return rc;
    uint64_t add = a->kind == CCZ_MPC_SHARED && m->cfg.role != 0 ? 0 : value;
    for (size_t i = 0; r->v && i < r->len; i++)
        r->v[i] = (a->v[i] + add) & cczi_mpc_mask(m);
    *out = ccz_mpc_tensor_take(&r);
    return CCZ_OK;
}

ccz_rc ccz_mpc_add_value(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                         uint64_t value, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(a->m, err);
    return rc == CCZ_OK ? cczi_mpc_leave(a->m, add_value(out, a, value, err), err) : rc;
}

/* --------------------------------------------------------------------------------------- sums */

static ccz_rc sum_axis(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a, unsigned axis,
                       struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    ccz_rc rc = cczi_mpc_want_kind(a, ALL_BUT_BITS, "the operand", err);
    if (rc == CCZ_OK && axis >= a->shape.rank)
        rc = ccz_refuse_num(err, CCZ_E_ARG, "mpc:axis", axis, (int64_t)a->shape.rank - 1);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_mpc_shape shape = a->shape;
    size_t n = shape.dim[axis], inner = 1;
    for (unsigned i = axis + 1; i < shape.rank; i++)
        inner *= shape.dim[i];
    shape.dim[axis] = 1;
    rc = cczi_mpc_tensor_new(&r, a->m, a->kind, a->owner, shape, a->frac, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t o = 0; r->v && o < r->len / inner; o++)
        for (size_t i = 0; i < n; i++)
            ccz_ring_add(r->v + o * inner, r->v + o * inner, a->v + (o * n + i) * inner, inner,
                         cczi_mpc_bits(a->m));
    *out = ccz_mpc_tensor_take(&r);
    return CCZ_OK;
}

ccz_rc ccz_mpc_sum(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a, unsigned axis,
                   struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(a->m, err);
    return rc == CCZ_OK ? cczi_mpc_leave(a->m, sum_axis(out, a, axis, err), err) : rc;
}

/* --------------------------------------------------------------------------------------- bits */

static ccz_rc xor_bits(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                       const struct ccz_mpc_tensor *b, struct ccz_err *err)
{
    ccz_rc rc = cczi_mpc_want_bit_pair(a, b, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(out, a->m, CCZ_MPC_BITS, 0, a->shape, 0, err);
    for (size_t i = 0; rc == CCZ_OK && i < a->words; i++)
        (*out)->v[i] = a->v[i] ^ b->v[i];
    return rc;
}

ccz_rc ccz_mpc_xor(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                   const struct ccz_mpc_tensor *b, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(a->m, err);
    return rc == CCZ_OK ? cczi_mpc_leave(a->m, xor_bits(out, a, b, err), err) : rc;
}

ccz_rc ccz_mpc_not(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(a->m, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_mpc_want_kind(a, 1u << CCZ_MPC_BITS, "the operand", err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(out, a->m, CCZ_MPC_BITS, 0, a->shape, 0, err);
    if (rc == CCZ_OK) {
        for (size_t i = 0; i < a->words; i++)
            (*out)->v[i] = a->m->cfg.role == 0 ? ~a->v[i] : a->v[i];
        cczi_mpc_trim(*out);
    }
    return cczi_mpc_leave(a->m, rc, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What needs no messages. */
#include "rep3_priv.h"

#include <string.h>

#define ARITHMETIC (1u << CCZ_REP3_PUBLIC | 1u << CCZ_REP3_SHARED | 1u << CCZ_REP3_PARTS)

/* A public value is added to share 0, which parties 0 and 2 have; of PARTS, to that of party 0. */
static bool takes_public(const struct ccz_rep3 *m, unsigned plane)
{
    return (m->cfg.role + plane) % 3 == 0;
}

/* This party's summand of t in a plane of a result of that kind; NULL: zero. */
static const uint64_t *summand(const struct ccz_rep3_tensor *t, enum ccz_rep3_kind kind,
                               unsigned plane)
{
    if (t->kind == CCZ_REP3_PUBLIC && kind != CCZ_REP3_PUBLIC)
        return takes_public(t->m, plane) ? t->v : NULL;
    return cczi_rep3_plane(
        t, plane); /* as PARTS, a SHARED one is its shares 0, 1, 2 at parties 0, 1, 2 */
}

static ccz_rc combine(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                      const struct ccz_rep3_tensor *b, bool minus, struct ccz_err *err)
{
    CCZ_AUTO(ccz_rep3_tensor) own_a = NULL;
    CCZ_AUTO(ccz_rep3_tensor) own_b = NULL;
    CCZ_AUTO(ccz_rep3_tensor) t = NULL;
    struct ccz_rep3_shape shape;
    ccz_rc rc = cczi_rep3_same_session(a, b, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_want_kind(a, ARITHMETIC, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_want_kind(b, ARITHMETIC, err);
    if (rc == CCZ_OK && a->frac != b->frac)
        rc = ccz_refuse_num(err, CCZ_E_ARG, "rep3:scale", b->frac, a->frac);
    if (rc == CCZ_OK)
        rc = cczi_rep3_broadcast(&shape, &a->shape, &b->shape, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_expanded(&a, &own_a, a, &shape, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_expanded(&b, &own_b, b, &shape, err);
    const enum ccz_rep3_kind kind = a->kind > b->kind ? a->kind : b->kind;
    if (rc == CCZ_OK)
        rc = cczi_rep3_tensor_new(&t, a->m, kind, &shape, a->frac, err);
    for (unsigned p = 0; rc == CCZ_OK && p < t->planes; p++) {
        uint64_t *r = cczi_rep3_plane(t, p);
        const uint64_t *x = summand(a, kind, p), *y = summand(b, kind, p);
        if (x)
            memcpy(r, x, t->len * sizeof(*r));
        if (y && minus)
            ccz_ring_sub(r, r, y, t->len, t->m->cfg.ring_bits);
        else if (y)
            ccz_ring_add(r, r, y, t->len, t->m->cfg.ring_bits);
    }
    if (rc == CCZ_OK)
        *out = ccz_rep3_tensor_take(&t);
    return rc;
}

ccz_rc ccz_rep3_add(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                    const struct ccz_rep3_tensor *b, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(a->m, err);
    return rc == CCZ_OK ? cczi_rep3_leave(a->m, combine(out, a, b, false, err), err) : rc;
}

ccz_rc ccz_rep3_sub(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                    const struct ccz_rep3_tensor *b, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(a->m, err);
    return rc == CCZ_OK ? cczi_rep3_leave(a->m, combine(out, a, b, true, err), err) : rc;
}

/* a at another scale; a copy, for the caller to change. */
static ccz_rc copy(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a, uint64_t frac,
                   struct ccz_err *err)
{
    ccz_rc rc = cczi_rep3_want_kind(a, ARITHMETIC, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_tensor_new(out, a->m, a->kind, &a->shape, frac, err);
    if (rc == CCZ_OK)
        memcpy((*out)->v, a->v, a->planes * a->words * sizeof(*a->v));
    return rc;
}

ccz_rc ccz_rep3_scale(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                      uint64_t factor, unsigned frac, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(a->m, err);
    if (rc != CCZ_OK)
        return rc;
    rc = copy(out, a, (uint64_t)a->frac + frac, err);
    if (rc == CCZ_OK)
        ccz_ring_scale((*out)->v, a->v, factor, a->planes * a->words, a->m->cfg.ring_bits);
    return cczi_rep3_leave(a->m, rc, err);
}

ccz_rc ccz_rep3_add_value(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                          uint64_t value, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(a->m, err);
    if (rc != CCZ_OK)
        return rc;
    rc = copy(out, a, a->frac, err);
    for (unsigned p = 0; rc == CCZ_OK && p < a->planes; p++)
        for (size_t i = 0; i < a->len && (a->kind == CCZ_REP3_PUBLIC || takes_public(a->m, p));
             i++) {
            uint64_t *v = cczi_rep3_plane(*out, p) + i;
            *v = (*v + value) & ccz_ring_mask(a->m->cfg.ring_bits);
        }
    return cczi_rep3_leave(a->m, rc, err);
}

ccz_rc ccz_rep3_reinterpret(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                            unsigned frac, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(a->m, err);
    return rc == CCZ_OK ? cczi_rep3_leave(a->m, copy(out, a, frac, err), err) : rc;
}

/* --------------------------------------------------------------------------------------- bits */

ccz_rc cczi_rep3_same_bits(const struct ccz_rep3_tensor *a, const struct ccz_rep3_tensor *b,
                           struct ccz_err *err)
{
    ccz_rc rc = cczi_rep3_same_session(a, b, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_want_kind(a, 1u << CCZ_REP3_BITS, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_want_kind(b, 1u << CCZ_REP3_BITS, err);
    if (rc == CCZ_OK && !cczi_rep3_shape_eq(&a->shape, &b->shape))
        rc = cczi_rep3_refuse_shape(&b->shape, &a->shape, err);
    return rc;
}

static ccz_rc xor_bits(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                       const struct ccz_rep3_tensor *b, struct ccz_err *err)
{
    ccz_rc rc = cczi_rep3_same_bits(a, b, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_tensor_new(out, a->m, CCZ_REP3_BITS, &a->shape, 0, err);
    for (size_t i = 0; rc == CCZ_OK && i < 2 * a->words; i++)
        (*out)->v[i] = a->v[i] ^ b->v[i];
    return rc;
}

ccz_rc ccz_rep3_xor(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                    const struct ccz_rep3_tensor *b, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(a->m, err);
    return rc == CCZ_OK ? cczi_rep3_leave(a->m, xor_bits(out, a, b, err), err) : rc;
}

ccz_rc ccz_rep3_not(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                    struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(a->m, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_rep3_want_kind(a, 1u << CCZ_REP3_BITS, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_tensor_new(out, a->m, CCZ_REP3_BITS, &a->shape, 0, err);
    for (unsigned p = 0; rc == CCZ_OK && p < 2; p++)
        for (size_t i = 0; i < a->words; i++)
            cczi_rep3_plane(*out, p)[i] =
                cczi_rep3_plane(a, p)[i] ^ (takes_public(a->m, p) ? UINT64_MAX : 0);
    if (rc == CCZ_OK)
        cczi_rep3_trim(*out);
    return cczi_rep3_leave(a->m, rc, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The same elements elsewhere: copies with strides; what moves where depends on shapes alone. */
#include "rep3_priv.h"

#include <string.h>

enum { RANK = CCZ_REP3_RANK_MAX };

/* Element (i0, i1, i2, i3) is at the sum of i_j by[j] behind `at`. */
struct place {
    size_t at, by[RANK];
};

static void move(const struct ccz_rep3_tensor *out, const struct place *to,
                 const struct ccz_rep3_tensor *in, const struct place *from, const size_t dim[RANK])
{
    for (unsigned p = 0; p < in->planes; p++)
        for (size_t a = 0; a < dim[0]; a++)
            for (size_t b = 0; b < dim[1]; b++)
                for (size_t c = 0; c < dim[2]; c++) {
                    uint64_t *o = cczi_rep3_plane(out, p) + to->at + a * to->by[0] + b * to->by[1] +
                                  c * to->by[2];
                    const uint64_t *i = cczi_rep3_plane(in, p) + from->at + a * from->by[0] +
                                        b * from->by[1] + c * from->by[2];
                    for (size_t d = 0; d < dim[3]; d++)
                        o[d * to->by[3]] = i[d * from->by[3]];
                }
}

/* Dimensions filled up with ones in front, and their strides. */
static struct place place_of(size_t dim[RANK], const struct ccz_rep3_shape *s)
{
    struct place p = {0};
    size_t by = 1;
    for (unsigned i = RANK; i-- > 0;) {
        unsigned skip = RANK - s->rank;
        dim[i] = i >= skip ? s->dim[i - skip] : 1;
        p.by[i] = by;
        by *= dim[i];
    }
    return p;
}

#define ARITHMETIC (1u << CCZ_REP3_PUBLIC | 1u << CCZ_REP3_SHARED | 1u << CCZ_REP3_PARTS)

static ccz_rc like(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                   const struct ccz_rep3_shape *shape, struct ccz_err *err)
{
    ccz_rc rc = cczi_rep3_want_kind(a, ARITHMETIC, err);
    return rc == CCZ_OK ? cczi_rep3_tensor_new(out, a->m, a->kind, shape, a->frac, err) : rc;
}

static ccz_rc reshape(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                      const struct ccz_rep3_shape *shape, struct ccz_err *err)
{
    if (cczi_rep3_shape_len(shape) != a->len)
        return cczi_rep3_refuse_shape(shape, &a->shape, err);
    ccz_rc rc = like(out, a, shape, err);
    if (rc == CCZ_OK)
        memcpy((*out)->v, a->v, a->planes * a->words * sizeof(*a->v));
    return rc;
}

ccz_rc ccz_rep3_reshape(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                        struct ccz_rep3_shape shape, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(a->m, err);
    return rc == CCZ_OK ? cczi_rep3_leave(a->m, reshape(out, a, &shape, err), err) : rc;
}

static ccz_rc expand(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                     const struct ccz_rep3_shape *shape, struct ccz_err *err)
{
    size_t dim[RANK], own[RANK];
    if (cczi_rep3_shape_len(shape) == 0 || shape->rank < a->shape.rank)
        return cczi_rep3_refuse_shape(shape, &a->shape, err);
    struct place to = place_of(dim, shape), from = place_of(own, &a->shape);
    for (unsigned i = 0; i < RANK; i++) {
        if (own[i] != 1 && own[i] != dim[i])
            return cczi_rep3_refuse_shape(shape, &a->shape, err);
        if (own[i] == 1)
            from.by[i] = 0;
    }
    ccz_rc rc = like(out, a, shape, err);
    if (rc == CCZ_OK)
        move(*out, &to, a, &from, dim);
    return rc;
}

ccz_rc ccz_rep3_expand(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                       struct ccz_rep3_shape shape, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(a->m, err);
    return rc == CCZ_OK ? cczi_rep3_leave(a->m, expand(out, a, &shape, err), err) : rc;
}

ccz_rc cczi_rep3_broadcast(struct ccz_rep3_shape *out, const struct ccz_rep3_shape *a,
                           const struct ccz_rep3_shape *b, struct ccz_err *err)
{
    *out = a->rank >= b->rank ? *a : *b;
    for (unsigned i = 1; i <= out->rank; i++) {
        size_t x = i <= a->rank ? a->dim[a->rank - i] : 1,
               y = i <= b->rank ? b->dim[b->rank - i] : 1;
        if (x != y && x != 1 && y != 1)
            return cczi_rep3_refuse_shape(b, a, err);
        out->dim[out->rank - i] = x == 1 ? y : x;
    }
    return CCZ_OK;
}

ccz_rc cczi_rep3_expanded(const struct ccz_rep3_tensor **out, struct ccz_rep3_tensor **own,
                          const struct ccz_rep3_tensor *t, const struct ccz_rep3_shape *shape,
                          struct ccz_err *err)
{
    *own = NULL;
    *out = t;
    if (cczi_rep3_shape_eq(&t->shape, shape))
        return CCZ_OK;
    ccz_rc rc = expand(own, t, shape, err);
    *out = *own;
    return rc;
}

static ccz_rc check_axis(const struct ccz_rep3_tensor *a, unsigned axis, struct ccz_err *err)
{
    if (axis >= a->shape.rank)
        return ccz_refuse_num(err, CCZ_E_ARG, "rep3:axis", axis, (int64_t)a->shape.rank - 1);
    return CCZ_OK;
}

static ccz_rc slice(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a, unsigned axis,
                    size_t from, size_t step, size_t len, struct ccz_err *err)
{
    size_t dim[RANK], own[RANK];
    ccz_rc rc = check_axis(a, axis, err);
    if (rc != CCZ_OK)
        return rc;
    size_t n = a->shape.dim[axis];
    if (len == 0 || step == 0 || from >= n || (len - 1) > (n - 1 - from) / step)
        return ccz_fail(err, CCZ_E_ARG, "rep3:slice", (int64_t)from,
                        "%zu elements from %zu in steps of %zu, of a dimension of %zu", len, from,
                        step, n);
    struct ccz_rep3_shape shape = a->shape;
    shape.dim[axis] = len;
    rc = like(out, a, &shape, err);
    if (rc != CCZ_OK)
        return rc;
    struct place to = place_of(dim, &shape), place = place_of(own, &a->shape);
    unsigned at = axis + RANK - a->shape.rank;
    place.at = from * place.by[at];
    place.by[at] *= step;
    move(*out, &to, a, &place, dim);
    return CCZ_OK;
}

ccz_rc ccz_rep3_slice(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a, unsigned axis,
                      size_t from, size_t step, size_t len, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(a->m, err);
    return rc == CCZ_OK ? cczi_rep3_leave(a->m, slice(out, a, axis, from, step, len, err), err)
                        : rc;
}

static ccz_rc concat(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                     const struct ccz_rep3_tensor *b, unsigned axis, struct ccz_err *err)
{
    ccz_rc rc = check_axis(a, axis, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_same_session(a, b, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_want_kind(b, 1u << a->kind, err);
    if (rc == CCZ_OK && a->frac != b->frac)
        rc = ccz_refuse_num(err, CCZ_E_ARG, "rep3:scale", b->frac, a->frac);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_rep3_shape shape = a->shape;
    if (b->shape.rank == shape.rank)
        shape.dim[axis] = b->shape.dim[axis];
    if (!cczi_rep3_shape_eq(&shape, &b->shape))
        return cczi_rep3_refuse_shape(&b->shape, &a->shape, err);
    shape.dim[axis] = a->shape.dim[axis] + b->shape.dim[axis];
    rc = like(out, a, &shape, err);
    if (rc != CCZ_OK)
        return rc;
    size_t dim[RANK], own[RANK];
    struct place to = place_of(dim, &shape), from = place_of(own, &a->shape);
    move(*out, &to, a, &from, own);
    unsigned at = axis + RANK - a->shape.rank;
    to.at = a->shape.dim[axis] * to.by[at];
    from = place_of(own, &b->shape);
    move(*out, &to, b, &from, own);
    return CCZ_OK;
}

ccz_rc ccz_rep3_concat(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                       const struct ccz_rep3_tensor *b, unsigned axis, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(a->m, err);
    return rc == CCZ_OK ? cczi_rep3_leave(a->m, concat(out, a, b, axis, err), err) : rc;
}

static ccz_rc transpose(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                        struct ccz_err *err)
{
    size_t dim[RANK], own[RANK];
    struct ccz_rep3_shape shape = a->shape;
    const unsigned r = shape.rank;
    if (r < 2)
        return ccz_refuse_num(err, CCZ_E_ARG, "rep3:axis", r, 2);
    shape.dim[r - 1] = a->shape.dim[r - 2];
    shape.dim[r - 2] = a->shape.dim[r - 1];
    ccz_rc rc = like(out, a, &shape, err);
    if (rc != CCZ_OK)
        return rc;
    struct place to = place_of(dim, &shape), from = place_of(own, &a->shape);
    size_t row = from.by[RANK - 2];
    from.by[RANK - 2] = from.by[RANK - 1];
    from.by[RANK - 1] = row;
    move(*out, &to, a, &from, dim);
    return CCZ_OK;
}

ccz_rc ccz_rep3_transpose(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                          struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(a->m, err);
    return rc == CCZ_OK ? cczi_rep3_leave(a->m, transpose(out, a, err), err) : rc;
}

static ccz_rc sum(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a, unsigned axis,
                  struct ccz_err *err)
{
    ccz_rc rc = check_axis(a, axis, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_rep3_shape shape = a->shape;
    shape.dim[axis] = 1;
    rc = like(out, a, &shape, err);
    if (rc != CCZ_OK)
        return rc;
    size_t inner = 1, n = a->shape.dim[axis];
    for (unsigned i = axis + 1; i < a->shape.rank; i++)
        inner *= a->shape.dim[i];
    for (unsigned p = 0; p < a->planes; p++)
        for (size_t o = 0; o < a->len / inner; o++) {
            uint64_t *r = cczi_rep3_plane(*out, p) + o / n * inner;
            ccz_ring_add(r, r, cczi_rep3_plane(a, p) + o * inner, inner, a->m->cfg.ring_bits);
        }
    return CCZ_OK;
}

ccz_rc ccz_rep3_sum(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a, unsigned axis,
                    struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(a->m, err);
    return rc == CCZ_OK ? cczi_rep3_leave(a->m, sum(out, a, axis, err), err) : rc;
}

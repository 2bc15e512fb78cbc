/* SPDX-License-Identifier: Apache-2.0 */
/* The same elements elsewhere. All of it is copies with strides; what moves where depends on shapes alone. */
#include "session.h"

#include <string.h>

/* Element (i0, i1, i2, i3) is at the sum of i_j by[j] behind `at`. */
struct place {
    size_t at, by[CCZ_MPC_RANK_MAX];
};

static uint64_t get_bit(const uint64_t *v, size_t i)
{
    return v[i / 64] >> i % 64 & 1;
}

static void put_bit(uint64_t *v, size_t i, uint64_t bit)
{
    v[i / 64] = (v[i / 64] & ~((uint64_t)1 << i % 64)) | bit << i % 64;
}

static void move_row(uint64_t *out, size_t o, size_t o_by, const uint64_t *in, size_t i,
                     size_t i_by, size_t len, bool bits)
{
    if (bits)
        for (size_t j = 0; j < len; j++)
            put_bit(out, o + j * o_by, get_bit(in, i + j * i_by));
    else if (o_by == 1 && i_by == 1)
        memcpy(out + o, in + i, len * sizeof(*in));
    else
        for (size_t j = 0; j < len; j++)
            out[o + j * o_by] = in[i + j * i_by];
}

static void move(struct ccz_mpc_tensor *out, const struct place *to,
                 const struct ccz_mpc_tensor *in, const struct place *from,
                 const size_t dim[CCZ_MPC_RANK_MAX])
{
    bool bits = in->kind == CCZ_MPC_BITS;
    if (!in->v || !out->v)
        return; /* the other party's */
    for (size_t a = 0; a < dim[0]; a++)
        for (size_t b = 0; b < dim[1]; b++)
            for (size_t c = 0; c < dim[2]; c++) {
                size_t o = to->at + a * to->by[0] + b * to->by[1] + c * to->by[2];
                size_t i = from->at + a * from->by[0] + b * from->by[1] + c * from->by[2];
                move_row(out->v, o, to->by[3], in->v, i, from->by[3], dim[3], bits);
            }
}

/* Dimensions filled up with ones in front, and their strides. */
static struct place place_of(size_t dim[CCZ_MPC_RANK_MAX], const struct ccz_mpc_shape *s)
{
    struct place p = {0};
    size_t by = 1;
    for (unsigned i = CCZ_MPC_RANK_MAX; i-- > 0;) {
        unsigned skip = CCZ_MPC_RANK_MAX - s->rank;
        dim[i] = i >= skip ? s->dim[i - skip] : 1;
        p.by[i] = by;
        by *= dim[i];
    }
    return p;
}

static ccz_rc same_but_shape(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                             const struct ccz_mpc_shape *shape, struct ccz_err *err)
{
    return cczi_mpc_tensor_new(out, a->m, a->kind, a->owner, *shape, a->frac, err);
}

static ccz_rc reshape(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                      const struct ccz_mpc_shape *shape, struct ccz_err *err)
{
    if (cczi_mpc_shape_len(shape) != a->len)
        return cczi_mpc_refuse_shape(shape, &a->shape, err);
    ccz_rc rc = same_but_shape(out, a, shape, err);
    if (rc == CCZ_OK && a->v)
        memcpy((*out)->v, a->v, a->words * sizeof(*a->v));
    return rc;
}

ccz_rc ccz_mpc_reshape(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                       struct ccz_mpc_shape shape, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(a->m, err);
    return rc == CCZ_OK ? cczi_mpc_leave(a->m, reshape(out, a, &shape, err), err) : rc;
}

ccz_rc ccz_mpc_copy(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                    struct ccz_err *err)
{
    return ccz_mpc_reshape(out, a, a->shape, err);
}

static ccz_rc expand(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                     const struct ccz_mpc_shape *shape, struct ccz_err *err)
{
    size_t dim[CCZ_MPC_RANK_MAX], own[CCZ_MPC_RANK_MAX];
    if (cczi_mpc_shape_len(shape) == 0 || shape->rank < a->shape.rank)
        return cczi_mpc_refuse_shape(shape, &a->shape, err);
    struct place to = place_of(dim, shape), from = place_of(own, &a->shape);
    for (unsigned i = 0; i < CCZ_MPC_RANK_MAX; i++) {
        if (own[i] != 1 && own[i] != dim[i])
            return cczi_mpc_refuse_shape(shape, &a->shape, err);
        if (own[i] == 1)
            from.by[i] = 0;
    }
    ccz_rc rc = same_but_shape(out, a, shape, err);
    if (rc == CCZ_OK)
        move(*out, &to, a, &from, dim);
    return rc;
}

ccz_rc ccz_mpc_expand(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                      struct ccz_mpc_shape shape, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(a->m, err);
    return rc == CCZ_OK ? cczi_mpc_leave(a->m, expand(out, a, &shape, err), err) : rc;
}

static ccz_rc check_axis(const struct ccz_mpc_tensor *a, unsigned axis, struct ccz_err *err)
{
    if (axis >= a->shape.rank)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:axis", axis, (int64_t)a->shape.rank - 1);
    return CCZ_OK;
}

static ccz_rc slice(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a, unsigned axis,
                    size_t from, size_t step, size_t len, struct ccz_err *err)
{
    size_t dim[CCZ_MPC_RANK_MAX], own[CCZ_MPC_RANK_MAX];
    ccz_rc rc = check_axis(a, axis, err);
    if (rc != CCZ_OK)
        return rc;
    size_t n = a->shape.dim[axis];
    if (len == 0 || step == 0 || from >= n || (len - 1) > (n - 1 - from) / step)
        return ccz_fail(err, CCZ_E_ARG, "mpc:slice", (int64_t)from,
                        "%zu elements from %zu in steps of %zu, of a dimension of %zu", len, from,
                        step, n);
    struct ccz_mpc_shape shape = a->shape;
    shape.dim[axis] = len;
    rc = same_but_shape(out, a, &shape, err);
    if (rc != CCZ_OK)
        return rc;
    struct place to = place_of(dim, &shape), at = place_of(own, &a->shape);
    unsigned i = CCZ_MPC_RANK_MAX - a->shape.rank + axis;
    at.at = from * at.by[i];
    at.by[i] *= step;
    move(*out, &to, a, &at, dim);
    return CCZ_OK;
}

ccz_rc ccz_mpc_slice(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a, unsigned axis,
                     size_t from, size_t step, size_t len, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(a->m, err);
    return rc == CCZ_OK ? cczi_mpc_leave(a->m, slice(out, a, axis, from, step, len, err), err) : rc;
}

static ccz_rc rows(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                   const uint32_t *numbers, size_t len, struct ccz_err *err)
{
    ccz_rc rc = check_axis(a, 0, err);
    if (rc != CCZ_OK)
        return rc;
    size_t n = a->shape.dim[0], row = a->len / n;
    struct ccz_mpc_shape shape = a->shape;
    for (size_t i = 0; i < len; i++)
        if (numbers[i] >= n)
            return ccz_refuse_num(err, CCZ_E_ARG, "mpc:slice", numbers[i], (int64_t)n - 1);
    shape.dim[0] = len;
    rc = same_but_shape(out, a, &shape, err);
    for (size_t i = 0; rc == CCZ_OK && a->v && i < len; i++)
        move_row((*out)->v, i * row, 1, a->v, numbers[i] * row, 1, row, a->kind == CCZ_MPC_BITS);
    return rc;
}

ccz_rc ccz_mpc_rows(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                    const uint32_t *numbers, size_t len, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(a->m, err);
    return rc == CCZ_OK ? cczi_mpc_leave(a->m, rows(out, a, numbers, len, err), err) : rc;
}

enum { PARTS_MAX = 64 };

/* Shape of all together; refuses what does not fit. */
static ccz_rc concat_shape(struct ccz_mpc_shape *shape, const struct ccz_mpc_tensor *const *parts,
                           size_t len, unsigned axis, struct ccz_err *err)
{
    if (len == 0 || len > PARTS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:concat", (int64_t)len, PARTS_MAX);
    ccz_rc rc = check_axis(parts[0], axis, err);
    if (rc != CCZ_OK)
        return rc;
    *shape = parts[0]->shape;
    for (size_t i = 1; i < len; i++) {
        const struct ccz_mpc_tensor *p = parts[i];
        struct ccz_mpc_shape other = p->shape;
        rc = cczi_mpc_same_session(parts[0], p, err);
        if (rc == CCZ_OK)
            rc = cczi_mpc_want_kind(p, 1u << parts[0]->kind, "a later part", err);
        if (rc != CCZ_OK)
            return rc;
        if (p->owner != parts[0]->owner)
            return ccz_refuse_num(err, CCZ_E_ARG, "mpc:owner", p->owner, parts[0]->owner);
        if (p->frac != parts[0]->frac)
            return ccz_refuse_num(err, CCZ_E_ARG, "mpc:scale", p->frac, parts[0]->frac);
        if (other.rank == shape->rank)
            other.dim[axis] = shape->dim[axis];
        if (!cczi_mpc_shape_eq(&other, shape))
            return cczi_mpc_refuse_shape(&p->shape, shape, err);
        shape->dim[axis] += p->shape.dim[axis];
    }
    return CCZ_OK;
}

ccz_rc ccz_mpc_concat(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *const *parts,
                      size_t len, unsigned axis, struct ccz_err *err)
{
    struct ccz_mpc_shape shape;
    size_t dim[CCZ_MPC_RANK_MAX], own[CCZ_MPC_RANK_MAX];
    *out = NULL;
    struct ccz_mpc *m = parts[0]->m;
    ccz_rc rc = cczi_mpc_enter(m, err);
    if (rc != CCZ_OK)
        return rc;
    rc = concat_shape(&shape, parts, len, axis, err);
    if (rc == CCZ_OK)
        rc = same_but_shape(out, parts[0], &shape, err);
    if (rc != CCZ_OK)
        return cczi_mpc_leave(m, rc, err);
    struct place to = place_of(dim, &shape);
    unsigned at = CCZ_MPC_RANK_MAX - shape.rank + axis;
    for (size_t i = 0; i < len; i++) {
        struct place from = place_of(own, &parts[i]->shape);
        move(*out, &to, parts[i], &from, own);
        to.at += own[at] * to.by[at];
    }
    return CCZ_OK;
}

static ccz_rc transpose(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                        struct ccz_err *err)
{
    size_t dim[CCZ_MPC_RANK_MAX], own[CCZ_MPC_RANK_MAX];
    ccz_rc rc = check_axis(a, 1, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_mpc_shape shape = a->shape;
    unsigned r = shape.rank;
    shape.dim[r - 1] = a->shape.dim[r - 2];
    shape.dim[r - 2] = a->shape.dim[r - 1];
    rc = same_but_shape(out, a, &shape, err);
    if (rc != CCZ_OK)
        return rc;
    struct place to = place_of(dim, &shape), from = place_of(own, &a->shape);
    size_t by = from.by[2];
    from.by[2] = from.by[3];
    from.by[3] = by;
    move(*out, &to, a, &from, dim);
    return CCZ_OK;
}

ccz_rc ccz_mpc_transpose(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                         struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(a->m, err);
    return rc == CCZ_OK ? cczi_mpc_leave(a->m, transpose(out, a, err), err) : rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products. Party i has x_i, x_(i+1), y_i, y_(i+1) and makes x_i y_i + x_i y_(i+1) + x_(i+1) y_i; the three together are all nine
 * products. With u = y_i + y_(i+1) two products do: x_i u + x_(i+1) y_i. Nothing is masked here: who sends parts does that.
 */
#include "rep3_priv.h"

#include <string.h>

#define ARITHMETIC (1u << CCZ_REP3_PUBLIC | 1u << CCZ_REP3_SHARED | 1u << CCZ_REP3_PARTS)

/* r += x y, for one pair of planes. */
struct kernel {
    bool elementwise;
    size_t m, k, n; /* elementwise: n alone */
    unsigned bits;
};

static void multiply(uint64_t *r, const uint64_t *x, const uint64_t *y, const struct kernel *f)
{
    if (f->elementwise)
        ccz_ring_mul_add(r, x, y, f->n, f->bits);
    else
        ccz_ring_matmul_add(r, x, y, f->m, f->k, f->n, f->bits);
}

/* The shorter operand's shares are added up. */
static ccz_rc shared_product(uint64_t *r, const struct ccz_rep3_tensor *x,
                             const struct ccz_rep3_tensor *y, const struct kernel *f,
                             struct ccz_err *err)
{
    const struct ccz_rep3_tensor *s = x->len <= y->len ? x : y;
    CCZI_REP3_WORDS both = {0};
    ccz_rc rc = cczi_rep3_words_init(&both, s->len, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_ring_add(both.v, s->v, cczi_rep3_plane(s, 1), s->len, f->bits);
    if (s == x) {
        multiply(r, both.v, y->v, f);
        multiply(r, x->v, cczi_rep3_plane(y, 1), f);
    } else {
        multiply(r, x->v, both.v, f);
        multiply(r, cczi_rep3_plane(x, 1), y->v, f);
    }
    return CCZ_OK;
}

/* Kinds are checked; the shape is that of the result. */
static ccz_rc product(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *x,
                      const struct ccz_rep3_tensor *y, const struct ccz_rep3_shape *shape,
                      const struct kernel *f, struct ccz_err *err)
{
    const bool x_public = x->kind == CCZ_REP3_PUBLIC, y_public = y->kind == CCZ_REP3_PUBLIC;
    const enum ccz_rep3_kind kind = x_public ? y->kind : y_public ? x->kind : CCZ_REP3_PARTS;
    CCZ_AUTO(ccz_rep3_tensor) t = NULL;
    ccz_rc rc = cczi_rep3_tensor_new(&t, x->m, kind, shape, (uint64_t)x->frac + y->frac, err);
    if (rc != CCZ_OK)
        return rc;
    if (x_public || y_public)
        for (unsigned p = 0; p < t->planes; p++)
            multiply(cczi_rep3_plane(t, p), cczi_rep3_plane(x, x_public ? 0 : p),
                     cczi_rep3_plane(y, y_public ? 0 : p), f);
    else
        rc = shared_product(t->v, x, y, f, err);
    if (rc == CCZ_OK)
        *out = ccz_rep3_tensor_take(&t);
    return rc;
}

static ccz_rc check_factors(const struct ccz_rep3_tensor *a, const struct ccz_rep3_tensor *b,
                            struct ccz_err *err)
{
    ccz_rc rc = cczi_rep3_same_session(a, b, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_want_kind(
            a, b->kind == CCZ_REP3_PUBLIC ? ARITHMETIC : ARITHMETIC & ~(1u << CCZ_REP3_PARTS), err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_want_kind(
            b, a->kind == CCZ_REP3_PUBLIC ? ARITHMETIC : ARITHMETIC & ~(1u << CCZ_REP3_PARTS), err);
    return rc;
}

static ccz_rc mul(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                  const struct ccz_rep3_tensor *b, struct ccz_err *err)
{
    CCZ_AUTO(ccz_rep3_tensor) own_a = NULL;
    CCZ_AUTO(ccz_rep3_tensor) own_b = NULL;
    struct ccz_rep3_shape shape;
    ccz_rc rc = check_factors(a, b, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_broadcast(&shape, &a->shape, &b->shape, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_expanded(&a, &own_a, a, &shape, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_expanded(&b, &own_b, b, &shape, err);
    if (rc != CCZ_OK)
        return rc;
    const struct kernel f = {.elementwise = true, .n = a->len, .bits = a->m->cfg.ring_bits};
    return product(out, a, b, &shape, &f, err);
}

ccz_rc ccz_rep3_mul(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                    const struct ccz_rep3_tensor *b, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(a->m, err);
    return rc == CCZ_OK ? cczi_rep3_leave(a->m, mul(out, a, b, err), err) : rc;
}

static ccz_rc matmul(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                     const struct ccz_rep3_tensor *b, struct ccz_err *err)
{
    ccz_rc rc = check_factors(a, b, err);
    if (rc != CCZ_OK)
        return rc;
    if (a->shape.rank != 2 || b->shape.rank != 2 || a->shape.dim[1] != b->shape.dim[0])
        return cczi_rep3_refuse_shape(&b->shape, &a->shape, err);
    const struct kernel f = {.m = a->shape.dim[0],
                             .k = a->shape.dim[1],
                             .n = b->shape.dim[1],
                             .bits = a->m->cfg.ring_bits};
    const struct ccz_rep3_shape shape = CCZ_REP3_SHAPE2(f.m, f.n);
    return product(out, a, b, &shape, &f, err);
}

ccz_rc ccz_rep3_matmul(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                       const struct ccz_rep3_tensor *b, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(a->m, err);
    return rc == CCZ_OK ? cczi_rep3_leave(a->m, matmul(out, a, b, err), err) : rc;
}

/* -------------------------------------------------------------------------------- convolution */

struct conv {
    size_t n, h, w, c, kh, kw, o, stride, pad, oh, ow;
};

static ccz_rc conv_of(struct conv *c, const struct ccz_rep3_tensor *x,
                      const struct ccz_rep3_tensor *k, size_t stride, size_t pad,
                      struct ccz_err *err)
{
    if (x->shape.rank != 4 || k->shape.rank != 4 || k->shape.dim[2] != x->shape.dim[3])
        return cczi_rep3_refuse_shape(&k->shape, &x->shape, err);
    *c = (struct conv){.n = x->shape.dim[0],
                       .h = x->shape.dim[1],
                       .w = x->shape.dim[2],
                       .c = x->shape.dim[3],
                       .kh = k->shape.dim[0],
                       .kw = k->shape.dim[1],
                       .o = k->shape.dim[3],
                       .stride = stride,
                       .pad = pad};
    if (stride == 0 || pad > CCZ_REP3_LEN_MAX || c->kh > c->h + 2 * pad || c->kw > c->w + 2 * pad)
        return ccz_fail(err, CCZ_E_ARG, "rep3:conv", (int64_t)stride,
                        "stride %zu, padding %zu, kernel %zu x %zu on %zu x %zu", stride, pad,
                        c->kh, c->kw, c->h, c->w);
    c->oh = (c->h + 2 * pad - c->kh) / stride + 1;
    c->ow = (c->w + 2 * pad - c->kw) / stride + 1;
    return CCZ_OK;
}

/* Rows of windows: [n oh ow][kh kw c], zero outside; out is zeroed. */
static void windows(uint64_t *out, const uint64_t *in, const struct conv *c)
{
    for (size_t b = 0; b < c->n; b++)
        for (size_t y = 0; y < c->oh; y++)
            for (size_t x = 0; x < c->ow; x++)
                for (size_t i = 0; i < c->kh; i++)
                    for (size_t j = 0; j < c->kw; j++, out += c->c) {
                        size_t row = y * c->stride + i, col = x * c->stride + j;
                        if (row >= c->pad && row < c->h + c->pad && col >= c->pad &&
                            col < c->w + c->pad)
                            memcpy(out,
                                   in + ((b * c->h + row - c->pad) * c->w + col - c->pad) * c->c,
                                   c->c * sizeof(*out));
                    }
}

static ccz_rc conv2d(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *x,
                     const struct ccz_rep3_tensor *weights, size_t stride, size_t pad,
                     struct ccz_err *err)
{
    CCZ_AUTO(ccz_rep3_tensor) rows = NULL;
    struct conv c = {0};
    ccz_rc rc = check_factors(x, weights, err);
    if (rc == CCZ_OK)
        rc = conv_of(&c, x, weights, stride, pad, err);
    if (rc != CCZ_OK)
        return rc;
    /* Each factor is at most LEN_MAX, so that tensor_new() refuses what does not fit. */
    const struct ccz_rep3_shape flat = CCZ_REP3_SHAPE4(c.n, c.oh, c.ow, c.kh * c.kw * c.c);
    const struct ccz_rep3_shape shape = CCZ_REP3_SHAPE4(c.n, c.oh, c.ow, c.o);
    rc = cczi_rep3_tensor_new(&rows, x->m, x->kind, &flat, x->frac, err);
    if (rc != CCZ_OK)
        return rc;
    for (unsigned p = 0; p < x->planes; p++)
        windows(cczi_rep3_plane(rows, p), cczi_rep3_plane(x, p), &c);
    const struct kernel f = {
        .m = c.n * c.oh * c.ow, .k = c.kh * c.kw * c.c, .n = c.o, .bits = x->m->cfg.ring_bits};
    return product(out, rows, weights, &shape, &f, err);
}

ccz_rc ccz_rep3_conv2d(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *x,
                       const struct ccz_rep3_tensor *weights, size_t stride, size_t pad,
                       struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(x->m, err);
    return rc == CCZ_OK ? cczi_rep3_leave(x->m, conv2d(out, x, weights, stride, pad, err), err)
                        : rc;
}

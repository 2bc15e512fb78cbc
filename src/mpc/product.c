/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products. With f bilinear (elementwise, matrices, convolution):
 *   both shared    d = x - a, e = y - b are opened; x y = c + f(d, b) + f(a, e) + f(d, e)          (Beaver 1991)
 *   x of party p, w of party q    q sends d = w - v; f(x, w) = f(x, d) + c, where c = f(x, v) was prepared
 * Each is a beginning, which takes the prepared item and puts messages, and an end behind the round; any number of
 * products begin before the same round.
 */
#include "session.h"

#include <cczoo/ring.h>

#include <stdlib.h>
#include <string.h>

enum { ALL_BUT_BITS = 1u << CCZ_MPC_PUBLIC | 1u << CCZ_MPC_PRIVATE | 1u << CCZ_MPC_SHARED };

/* How two arrays are multiplied. */
struct bilinear {
    enum ccz_mpc_op op;
    size_t m, k, n; /* matrices; n also elements */
    struct ccz_mpc_conv conv;
    unsigned bits;
};

/* One product under way. */
struct running {
    struct ccz_mpc *mpc;
    struct bilinear f;
    struct ccz_mpc_tensor *out;
    struct ccz_mpc_tensor *a_own,
        *b_own; /* repeated, shared or turned into windows for this product */
    const struct ccz_mpc_tensor *a, *b;
    enum { LOCAL, BEAVER, CROSS } how;
    bool square;
    bool fixed_b;   /* CROSS: which is the fixed operand */
    unsigned owner; /* CROSS: its owner */
    struct ccz_mpc_item item;
    struct cczi_words d, e; /* opened; CROSS: what the other operand lacks, in d */
};

/* ----------------------------------------------------------------------------------- windows */

/* Row (y, x) of windows of image b, without what lies outside. */
static void window(uint64_t *out, const uint64_t *in, const struct ccz_mpc_conv *c, size_t b,
                   size_t y, size_t x)
{
    for (size_t i = 0; i < c->kh; i++)
        for (size_t j = 0; j < c->kw; j++) {
            size_t row = y * c->stride + i, col = x * c->stride + j;
            if (row >= c->pad && col >= c->pad && row < c->h + c->pad && col < c->w + c->pad)
                memcpy(out + (i * c->kw + j) * c->c,
                       in + ((b * c->h + row - c->pad) * c->w + col - c->pad) * c->c,
                       c->c * sizeof(*in));
        }
}

void cczi_mpc_windows(uint64_t *out, const uint64_t *in, const struct ccz_mpc_conv *c)
{
    size_t row = c->kh * c->kw * c->c;
    memset(out, 0, c->batch * c->oh * c->ow * row * sizeof(*out));
    for (size_t b = 0; b < c->batch; b++)
        for (size_t y = 0; y < c->oh; y++)
            for (size_t x = 0; x < c->ow; x++)
                window(out + ((b * c->oh + y) * c->ow + x) * row, in, c, b, y, x);
}

/* Sizes of a convolution, "mpc:conv". */
static ccz_rc conv_of(struct ccz_mpc_conv *c, const struct ccz_mpc_shape *x, size_t kh, size_t kw,
                      size_t stride, size_t pad, struct ccz_err *err)
{
    if (x->rank != 4 || stride == 0 || kh == 0 || kw == 0 || pad > CCZ_MPC_LEN_MAX ||
        kh > x->dim[1] + 2 * pad || kw > x->dim[2] + 2 * pad || kh > CCZ_MPC_LEN_MAX / kw ||
        kh * kw > CCZ_MPC_LEN_MAX / (x->dim[3] ? x->dim[3] : 1)) {
        char text[CCZI_SHAPE_TEXT];
        cczi_mpc_shape_text(text, x);
        return ccz_refuse(
            err, CCZ_E_ARG, "mpc:conv", text,
            "[batch, height, width, channels] with room for a window, stride 1 or more");
    }
    *c = (struct ccz_mpc_conv){.batch = x->dim[0],
                               .h = x->dim[1],
                               .w = x->dim[2],
                               .c = x->dim[3],
                               .kh = kh,
                               .kw = kw,
                               .stride = stride,
                               .pad = pad};
    c->oh = (c->h + 2 * pad - kh) / stride + 1;
    c->ow = (c->w + 2 * pad - kw) / stride + 1;
    return CCZ_OK;
}

static ccz_rc windows(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                      const struct ccz_mpc_conv *c, struct ccz_err *err)
{
    struct ccz_mpc_shape shape = CCZ_MPC_SHAPE4(c->batch, c->oh, c->ow, c->kh * c->kw * c->c);
    ccz_rc rc = cczi_mpc_want_kind(x, ALL_BUT_BITS, "the operand", err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(out, x->m, x->kind, x->owner, shape, x->frac, err);
    if (rc == CCZ_OK && x->v && !cczi_mpc_planning(x->m))
        cczi_mpc_windows((*out)->v, x->v, c);
    return rc;
}

ccz_rc ccz_mpc_windows(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x, size_t kh,
                       size_t kw, size_t stride, size_t pad, struct ccz_err *err)
{
    struct ccz_mpc_conv c;
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    if (rc != CCZ_OK)
        return rc;
    rc = conv_of(&c, &x->shape, kh, kw, stride, pad, err);
    if (rc == CCZ_OK)
        rc = windows(out, x, &c, err);
    return cczi_mpc_leave(x->m, rc, err);
}

/* -------------------------------------------------------------------------------- arithmetic */

/* r += f(x, y); not in planning sessions. */
static ccz_rc apply(uint64_t *r, const uint64_t *x, const uint64_t *y, const struct bilinear *f,
                    struct ccz_err *err)
{
    const struct ccz_mpc_conv *c = &f->conv;
    switch (f->op) {
    case CCZ_MPC_OP_MATMUL:
        ccz_ring_matmul_add(r, x, y, f->m, f->k, f->n, f->bits);
        return CCZ_OK;
    case CCZ_MPC_OP_CONV2D: {
        size_t rows = c->batch * c->oh * c->ow, row = c->kh * c->kw * c->c;
        CCZI_AUTO_WORDS w = {0};
        ccz_rc rc = cczi_words_init(&w, rows * row, err);
        if (rc != CCZ_OK)
            return rc;
        cczi_mpc_windows(w.v, x, c);
        ccz_ring_matmul_add(r, w.v, y, rows, row, c->o, f->bits);
        return CCZ_OK;
    }
    default:
        ccz_ring_mul_add(r, x, y, f->n, f->bits);
        return CCZ_OK;
    }
}

/* ------------------------------------------------------------------------------------ shapes */

static ccz_rc shape_matmul(struct running *r, struct ccz_mpc_shape *out, struct ccz_err *err)
{
    const struct ccz_mpc_shape *a = &r->a->shape, *b = &r->b->shape;
    if (a->rank != 2 || b->rank != 2 || a->dim[1] != b->dim[0])
        return cczi_mpc_refuse_shape(b, a, err);
    r->f.m = a->dim[0];
    r->f.k = a->dim[1];
    r->f.n = b->dim[1];
    *out = CCZ_MPC_SHAPE2(r->f.m, r->f.n);
    return CCZ_OK;
}

static ccz_rc shape_conv(struct running *r, const struct ccz_mpc_product *p,
                         struct ccz_mpc_shape *out, struct ccz_err *err)
{
    const struct ccz_mpc_shape *b = &r->b->shape;
    struct ccz_mpc_conv *c = &r->f.conv;
    if (b->rank != 4 || r->a->shape.rank != 4 || b->dim[2] != r->a->shape.dim[3])
        return cczi_mpc_refuse_shape(b, &r->a->shape, err);
    ccz_rc rc = conv_of(c, &r->a->shape, b->dim[0], b->dim[1], p->stride, p->pad, err);
    if (rc != CCZ_OK)
        return rc;
    c->o = b->dim[3];
    *out = CCZ_MPC_SHAPE4(c->batch, c->oh, c->ow, c->o);
    return CCZ_OK;
}

static ccz_rc shape_elements(struct running *r, struct ccz_mpc_shape *out, struct ccz_err *err)
{
    ccz_rc rc = cczi_mpc_broadcast(out, &r->a->shape, &r->b->shape, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_expanded(&r->a, &r->a_own, r->a, out, err);
    if (rc == CCZ_OK && r->square)
        r->b = r->a;
    else if (rc == CCZ_OK)
        rc = cczi_mpc_expanded(&r->b, &r->b_own, r->b, out, err);
    if (rc == CCZ_OK)
        r->f.n = r->a->len;
    return rc;
}

/* ----------------------------------------------------------------------------------- choices */

static struct ccz_mpc_need cross_need(const struct running *r, bool fixed_b)
{
    const struct ccz_mpc_tensor *fixed = fixed_b ? r->b : r->a;
    struct ccz_mpc_need n = {.fixed = fixed->id, .owner = fixed->owner};
    switch (r->f.op) {
    case CCZ_MPC_OP_MATMUL:
        n.kind = CCZ_MPC_CROSS_MATMUL;
        n.m = fixed_b ? r->f.n : r->f.m;
        n.k = r->f.k;
        n.n = fixed_b ? r->f.m : r->f.n;
        n.transposed = fixed_b;
        break;
    case CCZ_MPC_OP_CONV2D:
        n.kind = CCZ_MPC_CROSS_CONV2D;
        n.conv = r->f.conv;
        break;
    default:
        n.kind = CCZ_MPC_CROSS_MUL;
        n.n = r->f.n;
    }
    return n;
}

/* PRIVATE with PRIVATE of the other party: what was prepared decides which of the two is fixed. */
static bool prepared_for_b(const struct running *r)
{
    const struct ccz_mpc *m = r->mpc;
    struct ccz_mpc_need n = cross_need(r, true);
    return m->ready_at < m->ready_len && cczi_mpc_need_eq(&m->ready[m->ready_at].need, &n);
}

/* How it is done, and what kind the result is. */
static enum ccz_mpc_kind choose(struct running *r, unsigned *owner)
{
    const struct ccz_mpc_tensor *a = r->a, *b = r->b;
    bool pa = a->kind == CCZ_MPC_PRIVATE, pb = b->kind == CCZ_MPC_PRIVATE;
    *owner = pa ? a->owner : b->owner;
    r->how = LOCAL;
    if (a->kind == CCZ_MPC_PUBLIC)
        return b->kind;
    if (b->kind == CCZ_MPC_PUBLIC)
        return a->kind;
    if (pa && pb && a->owner == b->owner)
        return CCZ_MPC_PRIVATE;
    r->how = pa || pb ? CROSS : BEAVER;
    if (r->how == CROSS) {
        r->fixed_b = r->f.op == CCZ_MPC_OP_CONV2D || !pa || (pb && prepared_for_b(r));
        r->owner = r->fixed_b ? b->owner : a->owner;
    }
    return CCZ_MPC_SHARED;
}

/* A convolution whose weights are not the fixed operand is a matrix product of windows. */
static ccz_rc conv_to_matmul(struct running *r, struct ccz_err *err)
{
    const struct ccz_mpc_conv c = r->f.conv;
    size_t rows = c.batch * c.oh * c.ow, row = c.kh * c.kw * c.c;
    CCZ_AUTO(ccz_mpc_tensor) w = NULL;
    ccz_rc rc = windows(&w, r->a, &c, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_reshape(&r->a_own, w, CCZ_MPC_SHAPE2(rows, row), err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_reshape(&r->b_own, r->b, CCZ_MPC_SHAPE2(row, c.o), err);
    if (rc != CCZ_OK)
        return rc;
    r->a = r->a_own;
    r->b = r->b_own;
    r->f.op = CCZ_MPC_OP_MATMUL;
    r->f.m = rows;
    r->f.k = row;
    r->f.n = c.o;
    return CCZ_OK;
}

/* ----------------------------------------------------------------------------------- beginning */

static void open_difference(struct cczi_words *d, const uint64_t *x, const uint64_t *mask,
                            const struct running *r)
{
    ccz_ring_sub(d->v, x, mask, d->len, r->f.bits);
    cczi_mpc_open_sum(r->mpc, d->v, d->len, r->f.bits);
}

static ccz_rc begin_beaver(struct running *r, struct ccz_err *err)
{
    const struct bilinear *f = &r->f;
    struct ccz_mpc_need n = {.kind = r->square ? CCZ_MPC_SQUARE : CCZ_MPC_MUL, .n = f->n};
    if (f->op == CCZ_MPC_OP_MATMUL)
        n = (struct ccz_mpc_need){.kind = CCZ_MPC_MATMUL, .m = f->m, .k = f->k, .n = f->n};
    ccz_rc rc = cczi_mpc_take(&r->item, r->mpc, &n, err);
    if (rc == CCZ_OK)
        rc = cczi_words_init(&r->d, r->a->len, err);
    if (rc == CCZ_OK && !r->square)
        rc = cczi_words_init(&r->e, r->b->len, err);
    if (rc != CCZ_OK)
        return rc;
    open_difference(&r->d, r->a->v, r->item.a, r);
    if (!r->square)
        open_difference(&r->e, r->b->v, r->item.b, r);
    return CCZ_OK;
}

static ccz_rc begin_cross(struct running *r, struct ccz_err *err)
{
    const struct ccz_mpc_tensor *other = r->fixed_b ? r->a : r->b;
    struct ccz_mpc_need n = cross_need(r, r->fixed_b);
    ccz_rc rc = cczi_mpc_take(&r->item, r->mpc, &n, err);
    if (rc == CCZ_OK)
        rc = cczi_words_init(&r->d, other->len, err);
    if (rc != CCZ_OK)
        return rc;
    if (r->mpc->cfg.role == r->owner) {
        cczi_mpc_want(r->mpc, r->d.v, r->d.len, r->f.bits);
        return CCZ_OK;
    }
    if (n.transposed) /* the mask is that of the transpose */
        ccz_ring_transpose(r->d.v, r->item.v, n.k, n.n);
    else
        memcpy(r->d.v, r->item.v, r->d.len * sizeof(*r->d.v));
    ccz_ring_sub(r->d.v, other->v, r->d.v, r->d.len, r->f.bits);
    cczi_mpc_put(r->mpc, r->d.v, r->d.len, r->f.bits);
    return CCZ_OK;
}

static ccz_rc check(const struct running *r, struct ccz_err *err)
{
    ccz_rc rc = cczi_mpc_want_kind(r->a, ALL_BUT_BITS, "the first operand", err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_want_kind(r->b, ALL_BUT_BITS, "the second operand", err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_same_session(r->a, r->b, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_check_frac(r->mpc, (uint64_t)r->a->frac + r->b->frac, err);
    return rc;
}

static ccz_rc begin(struct running *r, const struct ccz_mpc_product *p, struct ccz_err *err)
{
    struct ccz_mpc_shape shape = {0};
    unsigned owner;
    r->mpc = p->a->m;
    r->a = p->a;
    r->square = p->op == CCZ_MPC_OP_SQUARE || p->b == p->a;
    r->square = r->square && (p->op == CCZ_MPC_OP_SQUARE || p->op == CCZ_MPC_OP_MUL);
    r->b = r->square ? p->a : p->b;
    r->f = (struct bilinear){.op = p->op, .bits = cczi_mpc_bits(r->mpc)};
    ccz_rc rc = check(r, err);
    if (rc == CCZ_OK)
        rc = p->op == CCZ_MPC_OP_MATMUL   ? shape_matmul(r, &shape, err)
             : p->op == CCZ_MPC_OP_CONV2D ? shape_conv(r, p, &shape, err)
                                          : shape_elements(r, &shape, err);
    if (rc != CCZ_OK)
        return rc;
    unsigned frac = r->a->frac + r->b->frac;
    enum ccz_mpc_kind kind = choose(r, &owner);
    if (r->f.op == CCZ_MPC_OP_CONV2D &&
        (r->how == BEAVER || (r->how == CROSS && r->b->kind != CCZ_MPC_PRIVATE))) {
        rc = conv_to_matmul(r, err);
        if (rc == CCZ_OK)
            (void)choose(r, &owner);
    }
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(&r->out, r->mpc, kind, owner, shape, frac, err);
    if (rc == CCZ_OK && r->how == BEAVER)
        rc = begin_beaver(r, err);
    if (rc == CCZ_OK && r->how == CROSS)
        rc = begin_cross(r, err);
    return rc;
}

/* ----------------------------------------------------------------------------------------- end */

/* c + f(d, b) + f(a, e) + f(d, e), the last at party 0 alone: f(d, b + e) there. */
static ccz_rc end_beaver(struct running *r, struct ccz_err *err)
{
    const bool first = r->mpc->cfg.role == 0;
    struct ccz_mpc_item *t = &r->item;
    uint64_t *out = r->out->v;
    memcpy(out, t->c, t->c_len * sizeof(*out));
    if (r->square) { /* c + d (2 a + d) */
        ccz_ring_add(t->a, t->a, t->a, t->a_len, r->f.bits);
        if (first)
            ccz_ring_add(t->a, t->a, r->d.v, t->a_len, r->f.bits);
        return apply(out, r->d.v, t->a, &r->f, err);
    }
    if (first)
        ccz_ring_add(t->b, t->b, r->e.v, t->b_len, r->f.bits);
    ccz_rc rc = apply(out, r->d.v, t->b, &r->f, err);
    return rc == CCZ_OK ? apply(out, t->a, r->e.v, &r->f, err) : rc;
}

/* Owner: f(x, own share of the other + d) + c. The other party: c. */
static ccz_rc end_cross(struct running *r, struct ccz_err *err)
{
    const struct ccz_mpc_tensor *other = r->fixed_b ? r->a : r->b;
    const struct ccz_mpc_tensor *fixed = r->fixed_b ? r->b : r->a;
    uint64_t *out = r->out->v;
    if (r->f.op == CCZ_MPC_OP_MATMUL && r->fixed_b)
        ccz_ring_transpose(out, r->item.c, r->f.n, r->f.m);
    else
        memcpy(out, r->item.c, r->item.c_len * sizeof(*out));
    if (r->mpc->cfg.role != r->owner)
        return CCZ_OK;
    if (other->kind == CCZ_MPC_SHARED)
        ccz_ring_add(r->d.v, r->d.v, other->v, r->d.len, r->f.bits);
    return r->fixed_b ? apply(out, r->d.v, fixed->v, &r->f, err)
                      : apply(out, fixed->v, r->d.v, &r->f, err);
}

static ccz_rc end(struct running *r, struct ccz_err *err)
{
    if (cczi_mpc_planning(r->mpc))
        return CCZ_OK;
    if (r->how == BEAVER)
        return end_beaver(r, err);
    if (r->how == CROSS)
        return end_cross(r, err);
    return r->out->v ? apply(r->out->v, r->a->v, r->b->v, &r->f, err) : CCZ_OK;
}

static void running_deinit(struct running *r)
{
    ccz_mpc_tensor_free(r->out);
    ccz_mpc_tensor_free(r->a_own);
    ccz_mpc_tensor_free(r->b_own);
    cczi_mpc_item_deinit(&r->item);
    cczi_words_deinit(&r->d);
    cczi_words_deinit(&r->e);
}

static ccz_rc run(struct ccz_mpc_tensor **out, struct running *r, const struct ccz_mpc_product *p,
                  size_t len, struct ccz_err *err)
{
    struct ccz_mpc *m = p[0].a->m;
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < len && rc == CCZ_OK; i++) {
        rc = cczi_mpc_same_session(p[0].a, p[i].a, err);
        if (rc == CCZ_OK)
            rc = begin(&r[i], &p[i], err);
    }
    if (rc == CCZ_OK)
        rc = cczi_mpc_round(m, err);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++)
        rc = end(&r[i], err);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++)
        out[i] = ccz_mpc_tensor_take(&r[i].out);
    return rc;
}

ccz_rc ccz_mpc_products(struct ccz_mpc_tensor **out, const struct ccz_mpc_product *p, size_t len,
                        struct ccz_err *err)
{
    struct running *r = NULL;
    memset(out, 0, len * sizeof(*out));
    if (len == 0)
        return CCZ_OK;
    struct ccz_mpc *m = p[0].a->m;
    ccz_rc rc = cczi_mpc_enter(m, err);
    if (rc != CCZ_OK)
        return rc;
    if (len > CCZ_MPC_PRODUCTS_MAX)
        rc = ccz_refuse_num(err, CCZ_E_ARG, "mpc:products", (int64_t)len, CCZ_MPC_PRODUCTS_MAX);
    if (rc == CCZ_OK)
        rc = cczi_mpc_alloc(&r, len, sizeof(*r), err);
    if (rc == CCZ_OK)
        rc = run(out, r, p, len, err);
    for (size_t i = 0; r && i < len; i++)
        running_deinit(&r[i]);
    free(r);
    return cczi_mpc_leave(m, rc, err);
}

ccz_rc ccz_mpc_mul(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                   const struct ccz_mpc_tensor *b, struct ccz_err *err)
{
    return ccz_mpc_products(out, &(struct ccz_mpc_product){CCZ_MPC_OP_MUL, a, b, 0, 0}, 1, err);
}

ccz_rc ccz_mpc_square(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                      struct ccz_err *err)
{
    return ccz_mpc_products(out, &(struct ccz_mpc_product){CCZ_MPC_OP_SQUARE, a, NULL, 0, 0}, 1,
                            err);
}

ccz_rc ccz_mpc_matmul(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                      const struct ccz_mpc_tensor *b, struct ccz_err *err)
{
    return ccz_mpc_products(out, &(struct ccz_mpc_product){CCZ_MPC_OP_MATMUL, a, b, 0, 0}, 1, err);
}

ccz_rc ccz_mpc_conv2d(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                      const struct ccz_mpc_tensor *weights, size_t stride, size_t pad,
                      struct ccz_err *err)
{
    return ccz_mpc_products(
        out, &(struct ccz_mpc_product){CCZ_MPC_OP_CONV2D, x, weights, stride, pad}, 1, err);
}

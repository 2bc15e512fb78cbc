/* SPDX-License-Identifier: Apache-2.0 */
/* Cost of functions, from that of the steps they are made of, in the order of the formulas. */
#include "math_priv.h"
#include "shuffle.h"

struct counter {
    const struct ccz_mpc_math_call *call;
    struct ccz_mpc_math_cost sum;
};

static void add(struct counter *c, const struct cczi_cmp_need *need)
{
    for (int p = 0; p < 2; p++) {
        c->sum.sent[p] += need->sent[p];
        c->sum.ots[p] += need->ots[p];
    }
    c->sum.rounds += need->rounds;
}

static void operation(struct counter *c, enum ccz_mpc_cmp_op op, size_t n, size_t bits)
{
    const struct cczi_cmp_need need = cczi_op_need(op, n, c->call->ring_bits, (unsigned)bits);
    add(c, &need);
}

/* From one fraction to another, with a known range. */
static void rounding(struct counter *c, size_t n, unsigned from, unsigned to)
{
    const enum ccz_mpc_cmp_op op = c->call->trunc == CCZ_MPC_TRUNC_FAITHFUL
                                       ? CCZ_MPC_OP_TRUNC_FAITHFUL_RANGE
                                       : CCZ_MPC_OP_TRUNC_ONE_BIT_RANGE;
    if (from > to)
        operation(c, op, n, from - to);
}

/* Products and squares of n elements each, in one round. */
static void products(struct counter *c, size_t n, unsigned muls, unsigned squares)
{
    const uint64_t each = (uint64_t)n * (2 * muls + squares) * (c->call->ring_bits / 8);
    c->sum.sent[0] += each;
    c->sum.sent[1] += each;
    c->sum.rounds++;
    c->sum.muls += (uint64_t)n * muls;
    c->sum.squares += (uint64_t)n * squares;
}

static void sigmoid(struct counter *c, size_t n, const struct ccz_mpc_sigmoid_cfg *cfg)
{
    const struct ccz_mpc_math_call *call = c->call;
    struct cczi_pieces p;
    struct cczi_cheb q;
    if (cfg->kind != CCZ_MPC_SIGMOID_CHEBYSHEV) {
        if (cczi_pieces_init(&p, cfg, call->ring_bits, call->frac, NULL) != CCZ_OK)
            return;
        const struct cczi_cmp_need need = cczi_pieces_need(n, &p, call->ring_bits);
        add(c, &need);
        rounding(c, n, p.frac + p.shift, p.frac);
        return;
    }
    if (cczi_cheb_init(&q, cfg, call->ring_bits, call->frac, NULL) != CCZ_OK)
        return;
    const unsigned w = q.work;
    rounding(c, n, q.frac + 3, w);
    products(c, n, 0, 1);
    rounding(c, (q.terms - 1) * n, 2 * w + CCZI_CHEB_FRAC, w);
    products(c, n, q.terms == 4 ? 2 : 1, q.terms > 2);
    if (q.terms > 2) {
        rounding(c, 2 * n, 2 * w, w);
        products(c, n, 1, 0);
    }
    rounding(c, n, 2 * w, q.frac);
}

static void exponential(struct counter *c, const struct cczi_exp *p, size_t n, unsigned out_frac)
{
    const unsigned w = p->work;
    operation(c, p->negative ? CCZ_MPC_OP_RELU : CCZ_MPC_OP_CLAMP, n, 0);
    rounding(c, n, p->frac + p->halvings, w);
    products(c, n, 0, 1);
    rounding(c, 2 * n, 2 * w + p->shift, w);
    products(c, n, 1, 0);
    for (unsigned i = 0; i < p->halvings; i++) {
        rounding(c, n, 2 * w, w);
        products(c, n, 0, 1);
    }
    rounding(c, n, 2 * w, out_frac);
}

static void reciprocal(struct counter *c, const struct cczi_inverse *p, size_t n)
{
    const unsigned w = p->work;
    rounding(c, 2 * n, 2 * w + 2, w);
    for (unsigned i = 1; i <= p->turns; i++) {
        products(c, n, 1, i < p->turns);
        rounding(c, i < p->turns ? 2 * n : n, 2 * w, w);
    }
}

static void root(struct counter *c, const struct cczi_inverse *p, size_t n)
{
    const unsigned w = p->work;
    rounding(c, n, 2 * w + 3, w);
    products(c, n, 1, 0);
    rounding(c, n, 2 * w, w);
    for (unsigned i = 1; i <= p->turns; i++) {
        const unsigned len = i < p->turns ? 2 : 1;
        products(c, n, 1, 0);
        rounding(c, n, 2 * w + 1, w);
        products(c, n, len, 0);
        rounding(c, len * n, 2 * w, w);
    }
}

static void inverse(struct counter *c, const struct cczi_inverse *p, size_t n, unsigned out_frac)
{
    const struct cczi_cmp_need need = cczi_inverse_need(n, p, c->call->ring_bits);
    add(c, &need);
    if (p->steps > 0) /* else the factors are public */
        products(c, n, 1, 0);
    rounding(c, n, p->frac + p->up_frac, p->work);
    products(c, n, 0, 1);
    if (p->kind == CCZI_RECIPROCAL)
        reciprocal(c, p, n);
    else
        root(c, p, n);
    if (p->steps > 0)
        products(c, n, 1, 0);
    rounding(c, n, p->work + p->back_frac, out_frac);
}

static void softmax(struct counter *c, size_t rows, size_t d)
{
    struct cczi_softmax p;
    if (cczi_softmax_init(&p, d, c->call->ring_bits, c->call->frac, NULL) != CCZ_OK)
        return;
    operation(c, CCZ_MPC_OP_MAX, rows, d);
    exponential(c, &p.exp, rows * d, p.work);
    inverse(c, &p.inverse, rows, p.work);
    products(c, rows * d, 1, 0);
    rounding(c, rows * d, 2 * p.work, c->call->frac);
}

static void rows(struct counter *c, unsigned owner)
{
    struct cczi_order o;
    if (c->call->n > CCZ_MPC_ROWS_MAX || owner > 1)
        return;
    cczi_order_shape(&o, c->call->n, c->call->d);
    const struct cczi_cmp_need need = cczi_order_need(&o, owner, c->call->ring_bits);
    add(c, &need);
}

/* Of a tensor that there could be. */
static bool is_shape(const struct ccz_mpc_math_call *call)
{
    const bool rows = call->op == CCZ_MPC_MATH_SOFTMAX || call->op == CCZ_MPC_MATH_PERMUTE ||
                      call->op == CCZ_MPC_MATH_SHUFFLE;
    const size_t d = rows ? call->d : 1;
    return call->n > 0 && d > 0 && call->n <= CCZ_MPC_LEN_MAX / d;
}

struct ccz_mpc_math_cost ccz_mpc_math_cost(const struct ccz_mpc_math_call *call)
{
    struct counter c = {.call = call};
    struct cczi_exp exp;
    struct cczi_inverse inv;
    struct ccz_mpc_sigmoid_cfg twice;
    const unsigned k = call->ring_bits, f = call->frac;
    if (!cczi_mpc_is_ring(k) || !is_shape(call))
        return c.sum;
    switch (call->op) {
    case CCZ_MPC_MATH_SIGMOID:
        sigmoid(&c, call->n, &call->sigmoid);
        break;
    case CCZ_MPC_MATH_TANH:
        if (cczi_tanh_sigmoid(&twice, &call->sigmoid, NULL) == CCZ_OK)
            sigmoid(&c, call->n, &twice);
        break;
    case CCZ_MPC_MATH_EXP:
        if (cczi_exp_init(&exp, call->exp_range, k, f, NULL) == CCZ_OK)
            exponential(&c, &exp, call->n, f);
        break;
    case CCZ_MPC_MATH_RECIPROCAL:
    case CCZ_MPC_MATH_SQRT:
    case CCZ_MPC_MATH_RSQRT:
        if (cczi_inverse_init(&inv, (enum cczi_inverse_kind)(call->op - CCZ_MPC_MATH_RECIPROCAL), k,
                              f, call->octaves, NULL) == CCZ_OK)
            inverse(&c, &inv, call->n, f);
        break;
    case CCZ_MPC_MATH_SOFTMAX:
        softmax(&c, call->n, call->d);
        break;
    case CCZ_MPC_MATH_PERMUTE:
        rows(&c, call->owner);
        break;
    case CCZ_MPC_MATH_SHUFFLE:
        rows(&c, 0);
        rows(&c, 1);
        break;
    }
    return c.sum;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Bits to ring elements (b = b0 + b1 - 2 b0 b1), and ring elements to bits (an adder of the two shares, Sklansky 1960). */
#include "cmp_op.h"

#include <string.h>

static ccz_rc b2a(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *b, struct ccz_err *err)
{
    CCZI_AUTO_OP o = {0};
    CCZI_AUTO_STORE own = {0}, product = {0};
    ccz_rc rc = cczi_mpc_want_kind(b, 1u << CCZ_MPC_BITS, "an operand of b2a", err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&own, b->len, err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&product, b->len, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(out, b->m, CCZ_MPC_SHARED, 0, b->shape, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_op_init(&o, b->m, CCZ_MPC_OP_B2A, b->len, 0, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < b->len; i++)
        own.at[i] = cczi_row_bit(b->v, i);
    const struct cczi_cot cot = {.a = own.at,
                                 .bit = b->v,
                                 .send = cczi_cmp_half(b->len, o.party),
                                 .recv = cczi_cmp_half(b->len, 1 - o.party),
                                 .width = o.k,
                                 .out = product.at};
    rc = cczi_cmp_cot(&o.c, &cot, 1, err);
    for (size_t i = 0; i < b->len && rc == CCZ_OK; i++)
        (*out)->v[i] = own.at[i] - 2 * product.at[i];
    return rc;
}

ccz_rc ccz_mpc_b2a(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *b, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(b->m, err);
    return rc == CCZ_OK ? cczi_op_leave(out, &r, b->m, b2a(&r, b, err), err) : rc;
}

/* ------------------------------------------------------------------------------------------ adder */

/* Rows of an adder without its highest bit: g = a carry leaves the bits joined so far, p = one that enters would. */
struct adder {
    uint64_t *bits, *g, *p; /* [k][words], [k - 1][words] each */
    size_t n, words;
    struct cczi_op *o;
};

/* g = x0 and x1: shares (x0, 0) and (0, x1). */
static ccz_rc generate(struct adder *a, const uint64_t *zero, struct ccz_err *err)
{
    struct cczi_and ands[64];
    const unsigned len = a->o->k - 1;
    for (unsigned i = 0; i < len; i++) {
        const uint64_t *own = a->bits + i * a->words;
        ands[i] = (struct cczi_and){.a = a->o->party == 0 ? own : zero,
                                    .b = a->o->party == 0 ? zero : own,
                                    .z = a->g + i * a->words};
    }
    return cczi_cmp_and(&a->o->c, ands, len, a->n, err);
}

/* Level t joins the bits whose bit t is set with what is below their block. */
static ccz_rc carry_level(struct adder *a, unsigned t, uint64_t *tmp, struct ccz_err *err)
{
    struct cczi_and ands[64];
    unsigned count = 0, at[64];
    for (unsigned i = 0; i < a->o->k - 1; i++) {
        if (!(i >> t & 1))
            continue;
        unsigned below = (i >> t << t) - 1;
        bool both = i >> (t + 1) != 0; /* there is something below the joined block as well */
        at[count] = i;
        ands[count] = (struct cczi_and){.a = a->p + i * a->words,
                                        .b = a->g + below * a->words,
                                        .b2 = both ? a->p + below * a->words : NULL,
                                        .z = tmp + count * a->words,
                                        .z2 = a->p + i * a->words};
        count++;
    }
    ccz_rc rc = cczi_cmp_and(&a->o->c, ands, count, a->n, err);
    for (unsigned c = 0; c < count && rc == CCZ_OK; c++)
        for (size_t w = 0; w < a->words; w++)
            a->g[at[c] * a->words + w] ^= tmp[c * a->words + w];
    return rc;
}

/* Row i of the sum to out, which has k rows of n bits without gaps. */
static void put_sum(uint64_t *out, const struct adder *a)
{
    struct cczi_bits to = {out, 0};
    for (unsigned i = 0; i < a->o->k; i++) {
        for (size_t w = 0; i > 0 && w < a->words; w++)
            a->bits[i * a->words + w] ^= a->g[(i - 1) * a->words + w];
        cczi_bits_put(&to, a->bits + i * a->words, a->n);
    }
}

static ccz_rc add_shares(uint64_t *out, const uint64_t *x, size_t n, struct cczi_op *o,
                         struct ccz_err *err)
{
    CCZI_AUTO_STORE rows = {0};
    struct adder a = {.n = n, .words = cczi_words_of(n), .o = o};
    const size_t size = o->k * a.words;
    ccz_rc rc = cczi_store_init(&rows, 4 * size + a.words, err);
    if (rc != CCZ_OK)
        return rc;
    a.bits = rows.at;
    a.g = a.bits + size;
    a.p = a.g + size;
    cczi_rows_of(a.bits, a.words, x, n, o->k);
    memcpy(a.p, a.bits, size * sizeof(*a.p));
    rc = generate(&a, rows.at + 4 * size, err);
    for (unsigned t = 0; 1u << t < o->k && rc == CCZ_OK; t++)
        rc = carry_level(&a, t, a.p + size, err);
    if (rc == CCZ_OK)
        put_sum(out, &a);
    return rc;
}

static ccz_rc a2b(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *t, struct ccz_err *err)
{
    CCZI_AUTO_OP o = {0};
    CCZI_AUTO_OPERAND x = {0};
    CCZI_AUTO_STORE sum = {0};
    struct ccz_mpc_shape shape = {.rank = t->shape.rank + 1, .dim = {cczi_mpc_bits(t->m)}};
    if (t->shape.rank >= CCZ_MPC_RANK_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:shape", t->shape.rank, CCZ_MPC_RANK_MAX - 1);
    memcpy(shape.dim + 1, t->shape.dim, t->shape.rank * sizeof(*shape.dim));
    ccz_rc rc = cczi_operand_init(&x, t, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(out, t->m, CCZ_MPC_BITS, 0, shape, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&sum, (*out)->words + 1, err);
    if (rc == CCZ_OK)
        rc = cczi_op_init(&o, t->m, CCZ_MPC_OP_A2B, t->len, 0, err);
    if (rc == CCZ_OK)
        rc = add_shares(sum.at, x.t->v, t->len, &o, err);
    if (rc == CCZ_OK)
        memcpy((*out)->v, sum.at, (*out)->words * sizeof(*sum.at));
    return rc;
}

ccz_rc ccz_mpc_a2b(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    return rc == CCZ_OK ? cczi_op_leave(out, &r, x->m, a2b(&r, x, err), err) : rc;
}

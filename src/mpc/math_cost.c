/* SPDX-License-Identifier: Apache-2.0 */
/* Cost of functions, from that of the steps they are made of. */
#include "math_priv.h"

static void add_need(struct ccz_mpc_math_cost *sum, const struct cczi_cmp_need *a)
{
    for (int p = 0; p < 2; p++) {
        sum->sent[p] += a->sent[p];
        sum->ots[p] += a->ots[p];
    }
    sum->rounds += a->rounds;
}

static void add_trunc(struct ccz_mpc_math_cost *sum, const struct ccz_mpc_math_call *c, size_t n,
                      unsigned s)
{
    const enum ccz_mpc_cmp_op op = c->trunc == CCZ_MPC_TRUNC_FAITHFUL
                                       ? CCZ_MPC_OP_TRUNC_FAITHFUL_RANGE
                                       : CCZ_MPC_OP_TRUNC_ONE_BIT_RANGE;
    const struct cczi_cmp_need need = cczi_op_need(op, n, c->ring_bits, s);
    if (c->trunc != CCZ_MPC_TRUNC_LOCAL)
        add_need(sum, &need);
}

static void sigmoid(struct ccz_mpc_math_cost *sum, const struct ccz_mpc_math_call *c)
{
    struct cczi_pieces p;
    if (cczi_pieces_init(&p, &c->sigmoid, c->ring_bits, c->frac, NULL) != CCZ_OK)
        return;
    const struct cczi_cmp_need need = cczi_pieces_need(c->n, &p, c->ring_bits);
    add_need(sum, &need);
    add_trunc(sum, c, c->n, p.shift);
}

struct ccz_mpc_math_cost ccz_mpc_math_cost(const struct ccz_mpc_math_call *call)
{
    struct ccz_mpc_math_cost sum = {.rounds = 0};
    if (call->n > 0 && call->op == CCZ_MPC_MATH_SIGMOID)
        sigmoid(&sum, call);
    return sum;
}

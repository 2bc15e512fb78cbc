/* SPDX-License-Identifier: Apache-2.0 */
/* Cost of the operations on tensors, from that of the protocols below them. */
#include "cmp_op.h"

static struct cczi_cmp_need then(struct cczi_cmp_need a, struct cczi_cmp_need b)
{
    cczi_need_add(&a, &b);
    return a;
}

/* A sign, and a selection of one or two values. */
static struct cczi_cmp_need sign_and_select(size_t n, unsigned k, unsigned values)
{
    return then(cczi_cmp_less_need(n, k - 1, 0), cczi_cmp_cot_both_need(n, k, values));
}

static struct cczi_cmp_need adder(size_t n, unsigned k)
{
    struct cczi_cmp_need sum = cczi_cmp_and_need(n, k - 1, 0);
    for (unsigned t = 0; 1u << t < k; t++) {
        size_t count = 0, doubles = 0;
        for (unsigned i = 0; i < k - 1; i++) {
            count += i >> t & 1;
            doubles += (i >> t & 1) && i >> (t + 1) != 0;
        }
        sum = then(sum, cczi_cmp_and_need(n, count, doubles));
    }
    return sum;
}

static struct cczi_cmp_need tournament(size_t groups, unsigned k, size_t len, unsigned values)
{
    struct cczi_cmp_need sum = {{0}, {0}, 0};
    for (; len > 1; len = (len + 1) / 2)
        sum = then(sum, sign_and_select(groups * (len / 2), k, values));
    return sum;
}

/* Conversions of a truncation travel together: the messages of both, rounded up once. */
static struct cczi_cmp_need conversions(size_t n, unsigned k, unsigned s, bool exact)
{
    struct cczi_cmp_need sum = {.rounds = 2};
    for (unsigned p = 0; p < 2; p++) {
        uint64_t len = cczi_cmp_half(n, p).len;
        sum.ots[p] = len * (exact ? 2 : 1);
        sum.sent[p] += cczi_bits_size(len * (s + (exact ? k : 0)));
        sum.sent[1 - p] += cczi_bits_size(len * (exact ? 2 : 1));
    }
    return sum;
}

static struct cczi_cmp_need truncation(size_t n, unsigned k, unsigned s, bool exact, bool known)
{
    struct cczi_cmp_need sum = conversions(n, k, s, exact);
    if (s == 0)
        return (struct cczi_cmp_need){{0}, {0}, 0};
    if (!known)
        return then(cczi_cmp_less_need(n, k, exact ? s : 0), sum);
    return exact ? then(cczi_cmp_less_need(n, s, 0), sum) : sum;
}

struct cczi_cmp_need cczi_op_need(enum ccz_mpc_cmp_op op, size_t n, unsigned k, unsigned bits)
{
    switch (n > 0 ? op : CCZ_MPC_OPS) {
    case CCZ_MPC_OP_MILLIONAIRES:
        return cczi_cmp_less_need(n, bits, 0);
    case CCZ_MPC_OP_MSB:
        return cczi_cmp_less_need(n, k - 1, 0);
    case CCZ_MPC_OP_EQUAL:
        return cczi_cmp_equal_need(n, k);
    case CCZ_MPC_OP_WRAP:
        return cczi_cmp_less_need(n, k, 0);
    case CCZ_MPC_OP_B2A:
        return cczi_cmp_cot_half_need(n, k);
    case CCZ_MPC_OP_A2B:
        return adder(n, k);
    case CCZ_MPC_OP_MUX:
        return cczi_cmp_cot_both_need(n, k, 1);
    case CCZ_MPC_OP_RELU:
        return sign_and_select(n, k, 1);
    case CCZ_MPC_OP_CLAMP:
        return sign_and_select(2 * n, k, 1);
    case CCZ_MPC_OP_MAX:
        return tournament(n, k, bits, 1);
    case CCZ_MPC_OP_ARGMAX:
        return tournament(n, k, bits, 2);
    case CCZ_MPC_OP_TRUNC_FAITHFUL:
        return truncation(n, k, bits, true, false);
    case CCZ_MPC_OP_TRUNC_FAITHFUL_RANGE:
        return truncation(n, k, bits, true, true);
    case CCZ_MPC_OP_TRUNC_ONE_BIT:
        return truncation(n, k, bits, false, false);
    case CCZ_MPC_OP_TRUNC_ONE_BIT_RANGE:
        return truncation(n, k, bits, false, true);
    case CCZ_MPC_OPS:
        break;
    }
    return (struct cczi_cmp_need){{0}, {0}, 0};
}

struct ccz_mpc_cmp_cost ccz_mpc_cmp_cost(enum ccz_mpc_cmp_op op, size_t n, unsigned k,
                                         unsigned bits)
{
    struct cczi_cmp_need a = {{0}, {0}, 0};
    if (op == CCZ_MPC_OP_MILLIONAIRES || cczi_mpc_is_ring(k))
        a = cczi_op_need(op, n, k, bits);
    return (struct ccz_mpc_cmp_cost){{a.sent[0], a.sent[1]}, {a.ots[0], a.ots[1]}, a.rounds};
}

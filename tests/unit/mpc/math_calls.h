/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_MPC_MATH_CALLS_H
#define CCZ_TEST_MPC_MATH_CALLS_H
/* Each function of mpc_math.h of one operand, by number. */
#include <cczoo/mpc_math.h>

enum { MATH_CALLS = 10 };

static inline ccz_rc math_call(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                               int number, struct ccz_err *e)
{
    const struct ccz_mpc_octaves octaves = {-2, 4};
    const struct ccz_mpc_sigmoid_cfg cheb = {.kind = CCZ_MPC_SIGMOID_CHEBYSHEV, .degree = 7};
    const struct ccz_mpc_sigmoid_cfg tanh7 = {.kind = CCZ_MPC_SIGMOID_SPLINE};
    switch (number) {
    case 0:
        return ccz_mpc_sigmoid(out, x, CCZ_MPC_SIGMOID_3, e);
    case 1:
        return ccz_mpc_sigmoid(out, x, CCZ_MPC_SIGMOID_SPLINE, e);
    case 2:
        return ccz_mpc_sigmoid_as(out, x, &cheb, e);
    case 3:
        return ccz_mpc_tanh(out, x, &tanh7, e);
    case 4:
        return ccz_mpc_exp(out, x, CCZ_MPC_EXP_ANY, e);
    case 5:
        return ccz_mpc_exp(out, x, CCZ_MPC_EXP_NEGATIVE, e);
    case 6:
        return ccz_mpc_reciprocal(out, x, octaves, e);
    case 7:
        return ccz_mpc_sqrt(out, x, octaves, e);
    case 8:
        return ccz_mpc_rsqrt(out, x, octaves, e);
    default:
        return ccz_mpc_softmax(out, x, e);
    }
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Selection: b x with b = b0 xor b1, x = x0 + x1. Party p's part of it is x_p b = x_p b_p + b_(1-p) x_p (1 - 2 b_p): what the other
 * party's bit selects out of a value that p knows.
 */
#include "cmp_op.h"

#include <string.h>

/* z = b x at this party, a = x (1 - 2 b) */
static void own_part(uint64_t *z, uint64_t *a, const uint64_t *row, const uint64_t *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t m = cczi_ct_barrier64(0 - (uint64_t)cczi_row_bit(row, i)), v = x[i];
        a[i] = (v ^ m) - m;
        z[i] = v & m;
    }
}

ccz_rc cczi_op_mux(uint64_t *z, uint64_t *z2, const uint64_t *row, const uint64_t *x,
                   const uint64_t *x2, size_t n, struct cczi_op *o, struct ccz_err *err)
{
    CCZI_AUTO_STORE a = {0};
    const struct cczi_range all = {0, n};
    ccz_rc rc = cczi_store_init(&a, (x2 ? 2 : 1) * n, err);
    if (rc != CCZ_OK)
        return rc;
    own_part(z, a.at, row, x, n);
    if (x2)
        own_part(z2, a.at + n, row, x2, n);
    const struct cczi_cot cot = {.a = a.at,
                                 .a2 = x2 ? a.at + n : NULL,
                                 .bit = row,
                                 .send = all,
                                 .recv = all,
                                 .width = o->k,
                                 .out = z,
                                 .out2 = z2};
    return cczi_cmp_cot(&o->c, &cot, 1, err);
}

static ccz_rc mux(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *b,
                  const struct ccz_mpc_tensor *x, const struct ccz_mpc_tensor *y,
                  struct ccz_err *err)
{
    CCZI_AUTO_OP o = {0};
    CCZI_AUTO_OPERAND sx = {0}, sy = {0};
    CCZI_AUTO_STORE d = {0};
    ccz_rc rc = cczi_mpc_want_kind(b, 1u << CCZ_MPC_BITS, "the bit of a selection", err);
    if (rc == CCZ_OK)
        rc = cczi_check_pair(b, x, false, err);
    if (rc == CCZ_OK && y)
        rc = cczi_check_pair(x, y, true, err);
    if (rc == CCZ_OK)
        rc = cczi_operand_init(&sx, x, err);
    if (rc == CCZ_OK && y)
        rc = cczi_operand_init(&sy, y, err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&d, x->len, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(out, x->m, CCZ_MPC_SHARED, 0, x->shape, x->frac, err);
    if (rc == CCZ_OK)
        rc = cczi_op_init(&o, x->m, CCZ_MPC_OP_MUX, x->len, 0, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < x->len; i++)
        d.at[i] = sx.t->v[i] - (y ? sy.t->v[i] : 0);
    rc = cczi_op_mux((*out)->v, NULL, b->v, d.at, NULL, x->len, &o, err);
    for (size_t i = 0; y && i < x->len && rc == CCZ_OK; i++)
        (*out)->v[i] += sy.t->v[i];
    return rc;
}

static ccz_rc run_mux(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *b,
                      const struct ccz_mpc_tensor *x, const struct ccz_mpc_tensor *y,
                      struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    return rc == CCZ_OK ? cczi_op_leave(out, &r, x->m, mux(&r, b, x, y, err), err) : rc;
}

ccz_rc ccz_mpc_mux(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *b,
                   const struct ccz_mpc_tensor *x, struct ccz_err *err)
{
    return run_mux(out, b, x, NULL, err);
}

ccz_rc ccz_mpc_select(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *b,
                      const struct ccz_mpc_tensor *x, const struct ccz_mpc_tensor *y,
                      struct ccz_err *err)
{
    return run_mux(out, b, x, y, err);
}

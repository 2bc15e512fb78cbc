/* SPDX-License-Identifier: Apache-2.0 */
/* What is a sign and a selection: ReLU, absolute value, the larger of two, clamping. */
#include "cmp_op.h"

#include <string.h>

static ccz_rc relu(struct ccz_mpc_tensor **out, struct ccz_mpc_tensor **positive,
                   const struct ccz_mpc_tensor *t, struct ccz_err *err)
{
    CCZI_AUTO_OP o = {0};
    CCZI_AUTO_OPERAND x = {0};
    ccz_rc rc = cczi_operand_init(&x, t, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(out, t->m, CCZ_MPC_SHARED, 0, t->shape, t->frac, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(positive, t->m, CCZ_MPC_BITS, 0, t->shape, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_op_init(&o, t->m, CCZ_MPC_OP_RELU, t->len, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_op_msb((*positive)->v, x.t->v, t->len, &o, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_op_not((*positive)->v, t->len, &o);
    return cczi_op_mux((*out)->v, NULL, (*positive)->v, x.t->v, NULL, t->len, &o, err);
}

ccz_rc ccz_mpc_relu(struct ccz_mpc_tensor **out, struct ccz_mpc_tensor **positive,
                    const struct ccz_mpc_tensor *x, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    CCZ_AUTO(ccz_mpc_tensor) bits = NULL;
    *out = NULL;
    if (positive)
        *positive = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_op_leave(out, &r, x->m, relu(&r, &bits, x, err), err);
    if (rc == CCZ_OK && positive) {
        if (x->len % 64)
            bits->v[bits->words - 1] &= ((uint64_t)1 << x->len % 64) - 1;
        *positive = ccz_mpc_tensor_take(&bits);
    }
    return rc;
}

/* x - 2 x [x < 0] */
static ccz_rc absolute(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *t,
                       struct ccz_err *err)
{
    CCZI_AUTO_OP o = {0};
    CCZI_AUTO_OPERAND x = {0};
    CCZI_AUTO_STORE row = {0};
    ccz_rc rc = cczi_operand_init(&x, t, err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&row, cczi_words_of(t->len), err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(out, t->m, CCZ_MPC_SHARED, 0, t->shape, t->frac, err);
    if (rc == CCZ_OK)
        rc = cczi_op_init(&o, t->m, CCZ_MPC_OP_RELU, t->len, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_op_msb(row.at, x.t->v, t->len, &o, err);
    if (rc == CCZ_OK)
        rc = cczi_op_mux((*out)->v, NULL, row.at, x.t->v, NULL, t->len, &o, err);
    for (size_t i = 0; i < t->len && rc == CCZ_OK; i++)
        (*out)->v[i] = x.t->v[i] - 2 * (*out)->v[i];
    return rc;
}

ccz_rc ccz_mpc_abs(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    return rc == CCZ_OK ? cczi_op_leave(out, &r, x->m, absolute(&r, x, err), err) : rc;
}

/* x + (y - x) [x - y < 0] */
static ccz_rc larger(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *tx,
                     const struct ccz_mpc_tensor *ty, struct ccz_err *err)
{
    CCZI_AUTO_OP o = {0};
    CCZI_AUTO_OPERAND x = {0}, y = {0};
    CCZI_AUTO_STORE row = {0}, d = {0};
    ccz_rc rc = cczi_check_pair(tx, ty, true, err);
    if (rc == CCZ_OK)
        rc = cczi_operand_init(&x, tx, err);
    if (rc == CCZ_OK)
        rc = cczi_operand_init(&y, ty, err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&row, cczi_words_of(tx->len), err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&d, tx->len, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(out, tx->m, CCZ_MPC_SHARED, 0, tx->shape, tx->frac, err);
    if (rc == CCZ_OK)
        rc = cczi_op_init(&o, tx->m, CCZ_MPC_OP_RELU, tx->len, 0, err);
    for (size_t i = 0; i < tx->len && rc == CCZ_OK; i++)
        d.at[i] = x.t->v[i] - y.t->v[i];
    if (rc == CCZ_OK)
        rc = cczi_op_msb(row.at, d.at, tx->len, &o, err);
    if (rc == CCZ_OK)
        rc = cczi_op_mux((*out)->v, NULL, row.at, d.at, NULL, tx->len, &o, err);
    for (size_t i = 0; i < tx->len && rc == CCZ_OK; i++)
        (*out)->v[i] = x.t->v[i] - (*out)->v[i];
    return rc;
}

ccz_rc ccz_mpc_max2(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                    const struct ccz_mpc_tensor *y, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    return rc == CCZ_OK ? cczi_op_leave(out, &r, x->m, larger(&r, x, y, err), err) : rc;
}

/* x - d [d < 0] + e [e < 0] with d = x - lo, e = hi - x, both in one batch of twice the length. */
static ccz_rc clamp(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *t, int64_t lo,
                    int64_t hi, struct ccz_err *err)
{
    CCZI_AUTO_OP o = {0};
    CCZI_AUTO_OPERAND x = {0};
    CCZI_AUTO_STORE row = {0}, d = {0};
    const size_t n = t->len;
    if (lo > hi)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:clamp", lo, hi);
    ccz_rc rc = cczi_operand_init(&x, t, err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&row, cczi_words_of(2 * n), err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&d, 2 * n, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(out, t->m, CCZ_MPC_SHARED, 0, t->shape, t->frac, err);
    if (rc == CCZ_OK)
        rc = cczi_op_init(&o, t->m, CCZ_MPC_OP_CLAMP, n, 0, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < n; i++) {
        d.at[i] = x.t->v[i] - (o.party == 0 ? (uint64_t)lo : 0);
        d.at[n + i] = (o.party == 0 ? (uint64_t)hi : 0) - x.t->v[i];
    }
    rc = cczi_op_msb(row.at, d.at, 2 * n, &o, err);
    if (rc == CCZ_OK)
        rc = cczi_op_mux(d.at, NULL, row.at, d.at, NULL, 2 * n, &o, err);
    for (size_t i = 0; i < n && rc == CCZ_OK; i++)
        (*out)->v[i] = x.t->v[i] - d.at[i] + d.at[n + i];
    return rc;
}

ccz_rc ccz_mpc_clamp(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x, int64_t lo,
                     int64_t hi, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    return rc == CCZ_OK ? cczi_op_leave(out, &r, x->m, clamp(&r, x, lo, hi, err), err) : rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparisons of shares. [x0 + x1 >= 2^b] for numbers below 2^b is [2^b - 1 - x0 < x1]: a comparison of what each party knows.
 * The sign of x = x0 + x1 is the sum of both shares' highest bits and of the carry into them.
 */
#include "cmp_op.h"

#include <string.h>

void cczi_op_not(uint64_t *row, size_t n, const struct cczi_op *o)
{
    for (size_t w = 0; o->party == 0 && w < cczi_words_of(n); w++)
        row[w] = ~row[w];
}

/* This party's number for "do the low `bits` bits of the shares wrap". */
static void carry_operand(uint64_t *v, const uint64_t *x, size_t n, const struct cczi_op *o)
{
    uint64_t flip = o->party == 0 ? UINT64_MAX : 0;
    for (size_t i = 0; i < n; i++)
        v[i] = x[i] ^ flip;
}

ccz_rc cczi_op_sign(uint64_t *row, const uint64_t *x, size_t n, unsigned bits, struct cczi_op *o,
                    struct ccz_err *err)
{
    CCZI_AUTO_STORE v = {0};
    ccz_rc rc = cczi_store_init(&v, n, err);
    if (rc != CCZ_OK)
        return rc;
    carry_operand(v.at, x, n, o);
    rc = cczi_cmp_less(row, NULL, v.at, n, bits, 0, &o->c, err);
    for (size_t i = 0; i < n && rc == CCZ_OK; i++)
        row[i / 64] ^= (x[i] >> bits & 1) << i % 64;
    return rc;
}

ccz_rc cczi_op_msb(uint64_t *row, const uint64_t *x, size_t n, struct cczi_op *o,
                   struct ccz_err *err)
{
    return cczi_op_sign(row, x, n, o->k - 1, o, err);
}

static ccz_rc sign(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x, const uint64_t *v,
                   bool negate, struct ccz_err *err)
{
    CCZI_AUTO_OP o = {0};
    ccz_rc rc = cczi_mpc_tensor_new(out, x->m, CCZ_MPC_BITS, 0, x->shape, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_op_init(&o, x->m, CCZ_MPC_OP_MSB, x->len, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_op_msb((*out)->v, v, x->len, &o, err);
    if (rc == CCZ_OK && negate)
        cczi_op_not((*out)->v, x->len, &o);
    return rc;
}

/* [x + c < 0], or its negation */
static ccz_rc sign_of(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *t, uint64_t c,
                      bool negate, struct ccz_err *err)
{
    struct ccz_mpc *m = t->m;
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    CCZI_AUTO_OPERAND x = {0};
    CCZI_AUTO_STORE v = {0};
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(m, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_operand_init(&x, t, err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&v, t->len, err);
    for (size_t i = 0; i < t->len && rc == CCZ_OK; i++)
        v.at[i] = (x.t->v[i] + (cczi_mpc_role(m) == 0 ? c : 0)) & cczi_mpc_mask(m);
    if (rc == CCZ_OK)
        rc = sign(&r, x.t, v.at, negate, err);
    return cczi_op_leave(out, &r, m, rc, err);
}

ccz_rc ccz_mpc_msb(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x, struct ccz_err *err)
{
    return sign_of(out, x, 0, false, err);
}

ccz_rc ccz_mpc_drelu(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                     struct ccz_err *err)
{
    return sign_of(out, x, 0, true, err);
}

ccz_rc ccz_mpc_less_const(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x, int64_t c,
                          struct ccz_err *err)
{
    return sign_of(out, x, 0 - (uint64_t)c, false, err);
}

/* ------------------------------------------------------------------------------- two operands */

/* Shares of x - y. */
static ccz_rc difference(struct cczi_store *v, const struct ccz_mpc_tensor *x,
                         const struct ccz_mpc_tensor *y, struct ccz_err *err)
{
    CCZI_AUTO_OPERAND a = {0}, b = {0};
    ccz_rc rc = cczi_operand_init(&a, x, err);
    if (rc == CCZ_OK)
        rc = cczi_operand_init(&b, y, err);
    if (rc == CCZ_OK)
        rc = cczi_check_pair(x, y, true, err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(v, x->len, err);
    for (size_t i = 0; i < x->len && rc == CCZ_OK; i++)
        v->at[i] = (a.t->v[i] - b.t->v[i]) & cczi_mpc_mask(x->m);
    return rc;
}

ccz_rc ccz_mpc_less(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                    const struct ccz_mpc_tensor *y, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    CCZI_AUTO_STORE v = {0};
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    if (rc != CCZ_OK)
        return rc;
    rc = difference(&v, x, y, err);
    if (rc == CCZ_OK)
        rc = sign(&r, x, v.at, false, err);
    return cczi_op_leave(out, &r, x->m, rc, err);
}

/* x0 - y0 = -(x1 - y1) */
static ccz_rc equal(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x, uint64_t *v,
                    struct ccz_err *err)
{
    CCZI_AUTO_OP o = {0};
    ccz_rc rc = cczi_mpc_tensor_new(out, x->m, CCZ_MPC_BITS, 0, x->shape, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_op_init(&o, x->m, CCZ_MPC_OP_EQUAL, x->len, 0, err);
    for (size_t i = 0; i < x->len && rc == CCZ_OK && o.party == 1; i++)
        v[i] = 0 - v[i];
    if (rc == CCZ_OK)
        rc = cczi_cmp_equal((*out)->v, v, x->len, o.k, &o.c, err);
    return rc;
}

ccz_rc ccz_mpc_equal(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                     const struct ccz_mpc_tensor *y, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    CCZI_AUTO_STORE v = {0};
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    if (rc != CCZ_OK)
        return rc;
    rc = difference(&v, x, y, err);
    if (rc == CCZ_OK)
        rc = equal(&r, x, v.at, err);
    return cczi_op_leave(out, &r, x->m, rc, err);
}

static ccz_rc wrap(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x, struct ccz_err *err)
{
    CCZI_AUTO_OP o = {0};
    CCZI_AUTO_STORE v = {0};
    ccz_rc rc = cczi_mpc_want_kind(x, 1u << CCZ_MPC_SHARED, "an operand of wrap", err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&v, x->len, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(out, x->m, CCZ_MPC_BITS, 0, x->shape, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_op_init(&o, x->m, CCZ_MPC_OP_WRAP, x->len, 0, err);
    if (rc != CCZ_OK)
        return rc;
    carry_operand(v.at, x->v, x->len, &o);
    return cczi_cmp_less((*out)->v, NULL, v.at, x->len, o.k, 0, &o.c, err);
}

ccz_rc ccz_mpc_wrap(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                    struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    return rc == CCZ_OK ? cczi_op_leave(out, &r, x->m, wrap(&r, x, err), err) : rc;
}

/* ------------------------------------------------------------------------------- millionaires */

/* If party 1 has x: [x < y] = [not y < not x]. */
static ccz_rc millionaires(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                           const struct ccz_mpc_tensor *y, unsigned bits, struct ccz_err *err)
{
    CCZI_AUTO_OP o = {0};
    CCZI_AUTO_STORE v = {0};
    ccz_rc rc = cczi_mpc_want_kind(x, 1u << CCZ_MPC_PRIVATE, "an operand of millionaires", err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_want_kind(y, 1u << CCZ_MPC_PRIVATE, "an operand of millionaires", err);
    if (rc == CCZ_OK)
        rc = cczi_check_pair(x, y, true, err);
    if (rc == CCZ_OK && x->owner == y->owner)
        rc = ccz_refuse(err, CCZ_E_ARG, "mpc:kind", "two values of one party", "one of each");
    if (rc == CCZ_OK && (bits < 1 || bits > cczi_mpc_bits(x->m)))
        rc = ccz_refuse_num(err, CCZ_E_ARG, "mpc:bits", bits, cczi_mpc_bits(x->m));
    if (rc == CCZ_OK)
        rc = cczi_store_init(&v, x->len, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(out, x->m, CCZ_MPC_BITS, 0, x->shape, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_op_init(&o, x->m, CCZ_MPC_OP_MILLIONAIRES, x->len, bits, err);
    if (rc != CCZ_OK)
        return rc;
    const uint64_t *own = x->owner == o.party ? x->v : y->v, flip = x->owner ? UINT64_MAX : 0;
    for (size_t i = 0; own && i < x->len; i++)
        v.at[i] = own[i] ^ flip;
    return cczi_cmp_less((*out)->v, NULL, v.at, x->len, bits, 0, &o.c, err);
}

ccz_rc ccz_mpc_millionaires(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                            const struct ccz_mpc_tensor *y, unsigned bits, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    return rc == CCZ_OK ? cczi_op_leave(out, &r, x->m, millionaires(&r, x, y, bits, err), err) : rc;
}

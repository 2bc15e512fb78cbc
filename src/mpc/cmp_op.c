/* SPDX-License-Identifier: Apache-2.0 */
/* The protocols' table of functions for sessions, and what the operations on tensors share. */
#include "cmp_op.h"

#include <string.h>

/* --------------------------------------------------------------------- OTs, messages, randomness */

static ccz_rc reserve(void *self, const uint64_t ots[2], struct ccz_err *err)
{
    struct cczi_op *o = self;
    ccz_rc rc = CCZ_OK;
    for (unsigned s = 0; s < 2 && rc == CCZ_OK; s++)
        if (ots[s] > 0)
            rc = cczi_mpc_ot(&o->ot[s], o->m, s, (size_t)ots[s], err);
    return rc;
}

static ccz_rc take_q(struct ccz_f128 *q, struct ccz_f128 *delta, uint64_t *first, size_t len,
                     void *self, struct ccz_err *err)
{
    struct cczi_op *o = self;
    *first = o->used[o->party];
    o->used[o->party] += len;
    if (!o->ot[o->party]) { /* a plan */
        memset(q, 0, len * sizeof(*q));
        *delta = (struct ccz_f128){0};
        return CCZ_OK;
    }
    *delta = *ccz_ot_ext_delta(o->ot[o->party]);
    return ccz_ot_ext_rcot_send(q, len, o->ot[o->party], err);
}

static ccz_rc take_t(struct ccz_f128 *t, uint64_t *x, uint64_t *first, size_t len, void *self,
                     struct ccz_err *err)
{
    struct cczi_op *o = self;
    unsigned sender = 1 - o->party;
    *first = o->used[sender];
    o->used[sender] += len;
    memset(x, 0, cczi_words_of(len) * sizeof(*x));
    if (!o->ot[sender]) {
        memset(t, 0, len * sizeof(*t));
        return CCZ_OK;
    }
    return ccz_ot_ext_rcot_recv(t, (uint8_t *)x, len, o->ot[sender], err);
}

static ccz_rc trade(void *in, size_t in_size, const void *out, size_t out_size, void *self,
                    struct ccz_err *err)
{
    struct cczi_op *o = self;
    if (out_size > 0)
        cczi_mpc_put_raw(o->m, out, out_size);
    if (in_size > 0)
        cczi_mpc_want_raw(o->m, in, in_size);
    return cczi_mpc_round(o->m, err);
}

static ccz_rc own_random(uint64_t *out, size_t len, void *self, struct ccz_err *err)
{
    struct cczi_op *o = self;
    return cczi_mpc_random(out, len, 64, o->m, err);
}

ccz_rc cczi_op_init_need(struct cczi_op *o, struct ccz_mpc *m, const struct cczi_cmp_need *need,
                         struct ccz_err *err)
{
    static const struct cczi_cmp_ops ops = {reserve, take_q, take_t, trade, own_random};
    *o = (struct cczi_op){
        .m = m, .party = cczi_mpc_role(m), .k = cczi_mpc_bits(m), .mask = cczi_mpc_mask(m)};
    uint64_t key[2];
    ccz_rc rc = cczi_mpc_common(key, 2, 64, m, err);
    if (rc == CCZ_OK)
        rc = cczi_cmp_init(&o->c, &ops, o, o->party, (const uint8_t *)key, err);
    if (rc == CCZ_OK)
        rc = reserve(o, need->ots, err);
    return rc;
}

ccz_rc cczi_op_init(struct cczi_op *o, struct ccz_mpc *m, enum ccz_mpc_cmp_op op, size_t n,
                    unsigned bits, struct ccz_err *err)
{
    const struct cczi_cmp_need need = cczi_op_need(op, n, cczi_mpc_bits(m), bits);
    return cczi_op_init_need(o, m, &need, err);
}

void cczi_op_deinit(struct cczi_op *o)
{
    cczi_cmp_deinit(&o->c);
}

/* ------------------------------------------------------------------------------------- operands */

ccz_rc cczi_operand_init(struct cczi_operand *x, const struct ccz_mpc_tensor *t,
                         struct ccz_err *err)
{
    const unsigned kinds = 1u << CCZ_MPC_SHARED | 1u << CCZ_MPC_PRIVATE | 1u << CCZ_MPC_PUBLIC;
    *x = (struct cczi_operand){0};
    ccz_rc rc = cczi_mpc_want_kind(t, kinds, "an operand of a comparison", err);
    return rc == CCZ_OK ? cczi_mpc_as_shared(&x->t, &x->own, t, err) : rc;
}

void cczi_operand_deinit(struct cczi_operand *x)
{
    ccz_mpc_tensor_free(x->own);
}

ccz_rc cczi_check_pair(const struct ccz_mpc_tensor *a, const struct ccz_mpc_tensor *b, bool scales,
                       struct ccz_err *err)
{
    char got[CCZI_SHAPE_TEXT], expected[CCZI_SHAPE_TEXT];
    ccz_rc rc = cczi_mpc_same_session(a, b, err);
    if (rc == CCZ_OK && !cczi_mpc_shape_eq(&a->shape, &b->shape)) {
        cczi_mpc_shape_text(got, &b->shape);
        cczi_mpc_shape_text(expected, &a->shape);
        rc = ccz_refuse(err, CCZ_E_ARG, "mpc:shape", got, expected);
    }
    if (rc == CCZ_OK && scales && a->frac != b->frac)
        rc = ccz_refuse_num(err, CCZ_E_ARG, "mpc:scale", b->frac, a->frac);
    return rc;
}

ccz_rc cczi_op_leave(struct ccz_mpc_tensor **out, struct ccz_mpc_tensor **result, struct ccz_mpc *m,
                     ccz_rc rc, struct ccz_err *err)
{
    if (rc == CCZ_OK) {
        struct ccz_mpc_tensor *t = *result;
        if (t->kind == CCZ_MPC_BITS && t->len % 64)
            t->v[t->words - 1] &= ((uint64_t)1 << t->len % 64) - 1;
        for (size_t i = 0; t->kind == CCZ_MPC_SHARED && i < t->len; i++)
            t->v[i] &= cczi_mpc_mask(m);
        *out = ccz_mpc_tensor_take(result);
    }
    return cczi_mpc_leave(m, rc, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Sigmoid and tanh. */
#include "math_priv.h"

/* ------------------------------------------------------------------------------ straight pieces */

static ccz_rc shared_pieces(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                            const struct cczi_pieces *p, struct ccz_err *err)
{
    CCZI_AUTO_OP o = {0};
    CCZ_AUTO(ccz_mpc_tensor) wide = NULL;
    const struct cczi_cmp_need need = cczi_pieces_need(x->len, p, cczi_mpc_bits(x->m));
    ccz_rc rc =
        cczi_mpc_tensor_new(&wide, x->m, CCZ_MPC_SHARED, 0, x->shape, x->frac + p->shift, err);
    if (rc == CCZ_OK)
        rc = cczi_op_init_need(&o, x->m, &need, err);
    if (rc == CCZ_OK)
        rc = cczi_pieces_run(wide->v, x->v, x->len, p, &o, err);
    for (size_t i = 0; i < x->len && rc == CCZ_OK; i++)
        wide->v[i] &= o.mask;
    if (rc == CCZ_OK)
        rc = ccz_mpc_truncate(out, wide, p->shift, CCZ_MPC_RANGE_POSITIVE, err);
    return rc;
}

static ccz_rc pieces(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                     const struct ccz_mpc_sigmoid_cfg *cfg, struct ccz_err *err)
{
    struct cczi_pieces p;
    const unsigned k = cczi_mpc_bits(x->m);
    ccz_rc rc = cczi_pieces_init(&p, cfg, k, x->frac, err);
    if (rc == CCZ_OK && x->kind == CCZ_MPC_SHARED)
        return shared_pieces(out, x, &p, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_like(out, x, x->frac, err);
    if (rc == CCZ_OK && x->v)
        cczi_pieces_plain((*out)->v, x->v, x->len, &p, k);
    return rc;
}

/* --------------------------------------------------------------------------------------- public */

static ccz_rc sigmoid(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                      const struct ccz_mpc_sigmoid_cfg *cfg, struct ccz_err *err)
{
    ccz_rc rc = cczi_mpc_want_kind(x, CCZI_MATH_KINDS, "the operand of a sigmoid", err);
    return rc == CCZ_OK ? pieces(out, x, cfg, err) : rc;
}

ccz_rc ccz_mpc_sigmoid_as(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                          const struct ccz_mpc_sigmoid_cfg *cfg, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    return rc == CCZ_OK ? cczi_op_leave(out, &r, x->m, sigmoid(&r, x, cfg, err), err) : rc;
}

ccz_rc ccz_mpc_sigmoid(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                       enum ccz_mpc_sigmoid kind, struct ccz_err *err)
{
    return ccz_mpc_sigmoid_as(out, x, &(struct ccz_mpc_sigmoid_cfg){.kind = kind}, err);
}

ccz_rc ccz_mpc_sigmoid_plain(uint64_t *out, const uint64_t *x, size_t len, unsigned ring_bits,
                             unsigned frac, const struct ccz_mpc_sigmoid_cfg *cfg,
                             struct ccz_err *err)
{
    struct cczi_pieces p;
    ccz_rc rc = cczi_pieces_init(&p, cfg, ring_bits, frac, err);
    if (rc == CCZ_OK)
        cczi_pieces_plain(out, x, len, &p, ring_bits);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Ciphertexts for results on the way. */
#include "ckks_priv.h"

ccz_rc cczi_ckks_take(struct ccz_ckks_ct **out, struct ccz_ckks_eval *e, struct ccz_err *err)
{
    if (e->spare_len == 0)
        return ccz_ckks_ct_new(out, e->ctx, err);
    *out = e->spare[--e->spare_len];
    return CCZ_OK;
}

void cczi_ckks_give(struct ccz_ckks_eval *e, struct ccz_ckks_ct *ct)
{
    if (ct && e->spare_len < CCZI_CKKS_SPARES)
        e->spare[e->spare_len++] = ct;
    else
        ccz_ckks_ct_free(ct);
}

ccz_rc cczi_ckks_hand_out(struct ccz_ckks_ct *out, struct ccz_ckks_ct *result, struct ccz_err *err)
{
    if (out->ctx != result->ctx)
        return ccz_fail(err, CCZ_E_MISMATCH, "ckks:context", 0, "the output is of another context");
    struct ccz_ckks_ct old = *out;
    *out = *result;
    *result = old;
    return CCZ_OK;
}

void cczi_ckks_spares_free(struct ccz_ckks_eval *e)
{
    while (e->spare_len > 0)
        ccz_ckks_ct_free(e->spare[--e->spare_len]);
}

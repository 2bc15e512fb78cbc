/* SPDX-License-Identifier: Apache-2.0 */
/* What is done to a result before the owner of the key gets it. */
#include "bfv_priv.h"

#include <math.h>

ccz_rc ccz_bfv_mod_switch(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e,
                          const struct ccz_bfv_ct *a, size_t limbs, struct ccz_err *err)
{
    ccz_rc rc = cczi_bfv_operand(e, a, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_context(out->ctx == e->ctx, err);
    if (rc != CCZ_OK)
        return rc;
    if (limbs < 1 || limbs > a->ct.limbs)
        return ccz_refuse_num(err, CCZ_E_ARG, "bfv:limbs", (int64_t)limbs, (int64_t)a->ct.limbs);
    struct cczi_bfv_noise v = cczi_bfv_noise_of(a);
    for (size_t i = a->ct.limbs; i > limbs; i--)
        v = cczi_bfv_divided(v, log2((double)ccz_rlwe_prime(e->ctx->ring, i - 1)), e->ctx->n);
    const bool is_private = a->is_private;
    rc = cczi_bfv_fits(e->ctx, v, limbs, err);
    if (rc == CCZ_OK && a->ct.limbs == limbs && ccz_bfv_copy(out, a) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_NOMEM, "bfv:memory", 0, "out of memory");
    for (const struct ccz_bfv_ct *from = a; rc == CCZ_OK && from->ct.limbs > limbs; from = out)
        rc = ccz_rlwe_rescale(&out->ct, e->work, &from->ct, err);
    if (rc != CCZ_OK)
        return rc;
    out->sigma = v.sigma;
    out->fixed = v.fixed;
    out->is_private = is_private;
    return CCZ_OK;
}

ccz_rc ccz_bfv_flood(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e, const struct ccz_bfv_ct *a,
                     const struct ccz_rlwe_pk *pk, unsigned flood_bits, struct ccz_err *err)
{
    const struct ccz_bfv *c = e->ctx;
    ccz_rc rc = cczi_bfv_operand(e, a, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_same_key(ccz_rlwe_pk_id(pk), a->ct.key_id, err);
    if (rc != CCZ_OK)
        return rc;
    if (flood_bits < 1 || flood_bits > CCZ_BFV_FLOOD_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "bfv:flood-bits", flood_bits, 40);
    /* The room of the modulus keeps the width below the limit of ccz_rlwe_flood_uniform() in practice; it refuses else. */
    const unsigned bits = cczi_bfv_flood_bits(cczi_bfv_noise_of(a), c->n, flood_bits);
    struct cczi_bfv_noise zero = cczi_bfv_fresh_pk(c->n, ccz_rlwe_var_fresh_sk(c->ring));
    zero.fixed = (double)bits - 1;
    const struct cczi_bfv_noise v = cczi_bfv_plus(cczi_bfv_noise_of(a), zero);
    const size_t limbs = a->ct.limbs;
    rc = cczi_bfv_fits(c, v, limbs, err);
    if (rc == CCZ_OK)
        rc = ccz_rlwe_flood_uniform(e->poly[0], e->work, bits, limbs, err);
    if (rc == CCZ_OK)
        rc = ccz_rlwe_encrypt_pk(&e->tmp->ct, e->work, pk, limbs,
                                 (struct ccz_rlwe_msg){.residues = e->poly[0]}, err);
    ccz_wipe(e->poly[0], limbs * c->n * sizeof(*e->poly[0]));
    if (rc != CCZ_OK)
        return rc;
    e->tmp->sigma = zero.sigma;
    e->tmp->fixed = zero.fixed;
    rc = ccz_bfv_add(out, e, a, e->tmp, err);
    if (rc == CCZ_OK)
        out->is_private = false;
    return rc;
}

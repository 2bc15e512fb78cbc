/* SPDX-License-Identifier: Apache-2.0 */
/* Ciphertexts as bytes: rlwe's format with the bound of the noise. */
#include "bfv_priv.h"

#include <string.h>

enum { META_SIZE = 16 };

size_t ccz_bfv_ct_size(const struct ccz_bfv_ct *ct)
{
    return ccz_rlwe_ct_size(&ct->ct, META_SIZE);
}

/* IEEE 754, little-endian */
static void put(uint8_t *out, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    for (size_t i = 0; i < sizeof(bits); i++)
        out[i] = (uint8_t)(bits >> 8 * i);
}

static double get(const uint8_t *in)
{
    struct ccz_rd rd = ccz_rd_from(CCZ_SPAN(in, 8));
    uint64_t bits = ccz_rd_le64(&rd);
    double x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

ccz_rc ccz_bfv_ct_write(struct ccz_buf *out, const struct ccz_bfv_ct *ct, struct ccz_err *err)
{
    if (ct->is_private) {
        ccz_rc rc = ccz_fail(err, CCZ_E_POLICY, "bfv:not-flooded", 0,
                             "the key's owner could read a private plaintext off this ciphertext");
        return ccz_hint(err, rc,
                        "ccz_bfv_flood() first, or ccz_bfv_pt_declare_public() if it is no secret");
    }
    uint8_t meta[META_SIZE];
    put(meta, ct->sigma);
    put(meta + 8, ct->fixed);
    return ccz_rlwe_ct_write(out, &ct->ct, CCZ_SPAN(meta, sizeof(meta)), err);
}

static ccz_rc read_ct(struct cczi_bfv_noise *claimed, struct ccz_bfv_ct *out,
                      struct ccz_bfv_eval *e, struct ccz_span in, const uint8_t *key_id,
                      struct ccz_err *err)
{
    uint8_t meta[META_SIZE];
    ccz_rc rc = cczi_bfv_context(out->ctx == e->ctx, err);
    if (rc == CCZ_OK)
        rc = ccz_rlwe_ct_read(&out->ct, meta, sizeof(meta), e->work, in, key_id, err);
    if (rc != CCZ_OK)
        return rc;
    out->is_private = false;
    *claimed = (struct cczi_bfv_noise){get(meta), get(meta + 8)};
    if (out->ct.ntt && out->ct.parts == 2)
        return CCZ_OK;
    out->ct.parts = 0;
    return ccz_fail(err, CCZ_E_FORMAT, "bfv:form", 0, "not two parts in evaluation form");
}

ccz_rc ccz_bfv_ct_read(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e, struct ccz_span in,
                       const uint8_t *key_id, struct ccz_err *err)
{
    struct cczi_bfv_noise v;
    ccz_rc rc = read_ct(&v, out, e, in, key_id, err);
    if (rc != CCZ_OK)
        return rc;
    out->sigma = v.sigma;
    out->fixed = v.fixed;
    if (cczi_bfv_fits(e->ctx, v, out->ct.limbs, NULL) == CCZ_OK) /* no number: does not fit */
        return CCZ_OK;
    out->ct.parts = 0;
    return ccz_fail(err, CCZ_E_FORMAT, "bfv:meta", 0,
                    "noise of 2^%g and 2^%g: out of range for %zu primes", v.sigma, v.fixed,
                    out->ct.limbs);
}

ccz_rc ccz_bfv_ct_read_fresh(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e, struct ccz_span in,
                             const uint8_t *key_id, struct ccz_err *err)
{
    struct cczi_bfv_noise claimed;
    ccz_rc rc = read_ct(&claimed, out, e, in, key_id, err);
    if (rc != CCZ_OK)
        return rc;
    const struct cczi_bfv_noise v =
        out->ct.seeded ? cczi_bfv_fresh_sk(e->ctx)
                       : cczi_bfv_fresh_pk(e->ctx->n, ccz_rlwe_var_fresh_sk(e->ctx->ring));
    out->sigma = v.sigma;
    out->fixed = v.fixed;
    rc = cczi_bfv_fits(e->ctx, v, out->ct.limbs, err);
    if (rc != CCZ_OK)
        out->ct.parts = 0;
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Encryption, decryption, and decryption for others. */
#include "ckks_priv.h"

#include <math.h>
#include <string.h>

/* Rounding of coefficients, and 2^-48 of the bound for the transform in double precision. */
#define ENCODE_ERROR 0x1p-48

/*
 * What a fresh ciphertext shows: nothing of the values but what was declared. The bound is a power of
 * two times the scale; the noise is rounded up to an eighth of a bit, so that no low bit of the
 * encoder's figure is left in it.
 */
static void public_bounds(struct cczi_ckks_meta *out, const struct ccz_ckks_ct *ct,
                          const struct ccz_ckks_pt *p, double variance)
{
    double bound = p->bound;
    if (!p->declared)
        bound = p->scale * (p->bound > p->scale ? exp2(ceil(log2(p->bound / p->scale))) : 1);
    double noise =
        p->noise + (bound - p->bound) * ENCODE_ERROR + cczi_ckks_canon(ct->ctx, variance);
    out->scale = p->scale;
    out->bound = bound;
    out->noise = exp2(ceil(log2(noise) * 8) / 8);
}

static ccz_rc prepare(struct ccz_rlwe_msg *msg, struct cczi_ckks_meta *meta,
                      struct ccz_ckks_ct *out, const struct ccz_ckks_eval *e,
                      const struct ccz_ckks_pt *p, size_t *limbs, double variance,
                      struct ccz_err *err)
{
    if (p->ctx != e->ctx || out->ctx != e->ctx)
        return ccz_fail(err, CCZ_E_MISMATCH, "ckks:context", 0,
                        "plaintext or ciphertext is of another context than the evaluator");
    *limbs = *limbs ? *limbs : e->ctx->data_len;
    if (*limbs > e->ctx->data_len)
        return ccz_refuse_num(err, CCZ_E_ARG, "ckks:limbs", (int64_t)*limbs,
                              (int64_t)e->ctx->data_len);
    if (!p->has_coeff && p->limbs < *limbs)
        return ccz_refuse_num(err, CCZ_E_ARG, "ckks:plain-limbs", (int64_t)p->limbs,
                              (int64_t)*limbs);
    public_bounds(meta, out, p, variance);
    ccz_rc rc = cczi_ckks_fits(e->ctx, meta->bound, *limbs, err);
    if (rc != CCZ_OK)
        return rc;
    *msg = p->has_coeff ? (struct ccz_rlwe_msg){.coeff = p->coeff}
                        : (struct ccz_rlwe_msg){.poly = p->v};
    return CCZ_OK;
}

static void set_meta(struct ccz_ckks_ct *out, const struct cczi_ckks_meta *meta)
{
    out->scale = meta->scale;
    out->bound = meta->bound;
    out->noise = meta->noise;
}

ccz_rc ccz_ckks_encrypt_sk(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                           const struct ccz_rlwe_sk *sk, const struct ccz_ckks_pt *p, size_t limbs,
                           struct ccz_err *err)
{
    struct ccz_rlwe_msg msg;
    struct cczi_ckks_meta meta;
    ccz_rc rc = prepare(&msg, &meta, out, e, p, &limbs, ccz_rlwe_var_fresh_sk(e->ctx->ring), err);
    if (rc == CCZ_OK)
        rc = ccz_rlwe_encrypt_sk(&out->ct, e->work, sk, limbs, msg, err);
    if (rc == CCZ_OK)
        set_meta(out, &meta);
    return rc;
}

ccz_rc ccz_ckks_encrypt_pk(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                           const struct ccz_rlwe_pk *pk, const struct ccz_ckks_pt *p, size_t limbs,
                           struct ccz_err *err)
{
    struct ccz_rlwe_msg msg;
    struct cczi_ckks_meta meta;
    ccz_rc rc = prepare(&msg, &meta, out, e, p, &limbs, ccz_rlwe_var_fresh_pk(e->ctx->ring), err);
    if (rc == CCZ_OK)
        rc = ccz_rlwe_encrypt_pk(&out->ct, e->work, pk, limbs, msg, err);
    if (rc == CCZ_OK)
        set_meta(out, &meta);
    return rc;
}

/* Primes whose product is four times what the plaintext needs: decoding is exact with those. */
static size_t limbs_for(const struct ccz_ckks_ct *in, double size)
{
    for (size_t l = 1; l < in->ct.limbs; l++)
        if (cczi_ckks_log2_q(in->ctx, l) > log2(size) + 3)
            return l;
    return in->ct.limbs;
}

static ccz_rc decrypt(struct ccz_ckks_pt *out, struct ccz_ckks_eval *e,
                      const struct ccz_rlwe_sk *sk, const struct ccz_ckks_ct *in, double noise,
                      struct ccz_err *err)
{
    out->has_coeff = out->declared = false;
    out->limbs = 0;
    ccz_rc rc = cczi_ckks_operand(e, in, err);
    if (rc != CCZ_OK)
        return rc;
    if (out->ctx != e->ctx)
        return ccz_fail(err, CCZ_E_MISMATCH, "ckks:context", 0,
                        "the plaintext is of another context");
    const size_t limbs = limbs_for(in, in->bound + noise);
    rc = ccz_rlwe_phase(out->v, e->work, sk, &in->ct, limbs, err);
    if (rc != CCZ_OK)
        return rc;
    out->limbs = limbs;
    out->scale = in->scale;
    out->bound = in->bound;
    out->noise = noise;
    return CCZ_OK;
}

ccz_rc ccz_ckks_decrypt(struct ccz_ckks_pt *out, struct ccz_ckks_eval *e,
                        const struct ccz_rlwe_sk *sk, const struct ccz_ckks_ct *in,
                        struct ccz_err *err)
{
    return decrypt(out, e, sk, in, in->noise, err);
}

ccz_rc ccz_ckks_decrypt_shared(struct ccz_ckks_pt *out, struct ccz_ckks_eval *e,
                               const struct ccz_rlwe_sk *sk, const struct ccz_ckks_ct *in,
                               unsigned flood_bits, struct ccz_err *err)
{
    out->has_coeff = out->declared = false;
    out->limbs = 0;
    if (flood_bits < 1 || flood_bits > 58)
        return ccz_refuse_num(err, CCZ_E_ARG, "ckks:flood-bits", flood_bits, 40);
    ccz_rc rc = cczi_ckks_operand(e, in, err);
    if (rc != CCZ_OK)
        return rc;
    /* never less than the error of a fresh ciphertext, whatever the ciphertext says of itself */
    const double fresh = cczi_ckks_canon(e->ctx, ccz_rlwe_var_fresh_sk(e->ctx->ring));
    const double error = in->noise > fresh ? in->noise : fresh, unit = cczi_ckks_canon(e->ctx, 1);
    const double sigma = ldexp(error / unit, (int)flood_bits);
    const double noise = in->noise + sigma * unit;
    if (!(sigma < 0x1p57) || !(noise < in->scale / 2)) {
        rc = ccz_fail(err, CCZ_E_LIMIT, "ckks:flood-precision", flood_bits,
                      "noise of 2^%.1f leaves nothing of the scale 2^%.1f", log2(noise),
                      log2(in->scale));
        return ccz_hint(err, rc, "a larger scale, or fewer flood bits for fewer decryptions");
    }
    rc = decrypt(out, e, sk, in, noise, err);
    if (rc == CCZ_OK)
        rc = ccz_rlwe_flood(e->coeff, e->work, sigma, err);
    const struct ccz_kernels *k = ccz_kernels(NULL);
    uint64_t *tmp = (uint64_t *)(void *)e->slots[0];
    for (size_t i = 0; rc == CCZ_OK && i < out->limbs; i++) {
        const struct ccz_ntt *ntt = ccz_rlwe_ntt(e->ctx->ring, i);
        uint64_t *v = out->v + i * e->ctx->n;
        k->reduce_i64(tmp, e->coeff, e->ctx->n, ccz_ntt_modulus(ntt));
        ccz_ntt_forward(tmp, tmp, ntt);
        k->add(v, v, tmp, e->ctx->n, ccz_ntt_modulus(ntt));
    }
    ccz_wipe(e->coeff, e->ctx->n * sizeof(*e->coeff));
    ccz_wipe(tmp, e->ctx->n * sizeof(*tmp));
    if (rc != CCZ_OK) { /* nothing without its noise */
        ccz_wipe(out->v, out->limbs * e->ctx->n * sizeof(*out->v));
        out->limbs = 0;
    }
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Encryption, decryption, and the noise that is really there. */
#include "bfv_priv.h"

#include <math.h>
#include <stdlib.h>

/* --------------------------------------------------------------------------------- encryption */

static ccz_rc prepare(struct ccz_rlwe_msg *msg, struct ccz_bfv_ct *out, struct ccz_bfv_eval *e,
                      const struct ccz_bfv_pt *p, size_t *limbs, struct cczi_bfv_noise fresh,
                      struct ccz_err *err)
{
    ccz_rc rc = cczi_bfv_context(p->ctx == e->ctx && out->ctx == e->ctx, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_limbs(limbs, e->ctx, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_fits(e->ctx, fresh, *limbs, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_bfv_scale_up(e->poly[0], e, p->m, *limbs);
    *msg = (struct ccz_rlwe_msg){.residues = e->poly[0]};
    return CCZ_OK;
}

static void finish(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e, struct cczi_bfv_noise fresh)
{
    ccz_wipe(e->poly[0], out->ct.limbs * e->ctx->n * sizeof(*e->poly[0]));
    out->sigma = fresh.sigma;
    out->fixed = fresh.fixed;
    out->is_private = false;
}

ccz_rc ccz_bfv_encrypt_sk(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e,
                          const struct ccz_rlwe_sk *sk, const struct ccz_bfv_pt *p, size_t limbs,
                          struct ccz_err *err)
{
    struct ccz_rlwe_msg msg;
    const struct cczi_bfv_noise fresh = cczi_bfv_fresh_sk(e->ctx);
    ccz_rc rc = prepare(&msg, out, e, p, &limbs, fresh, err);
    if (rc == CCZ_OK)
        rc = ccz_rlwe_encrypt_sk(&out->ct, e->work, sk, limbs, msg, err);
    if (rc == CCZ_OK)
        finish(out, e, fresh);
    return rc;
}

ccz_rc ccz_bfv_encrypt_pk(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e,
                          const struct ccz_rlwe_pk *pk, const struct ccz_bfv_pt *p, size_t limbs,
                          struct ccz_err *err)
{
    struct ccz_rlwe_msg msg;
    const struct cczi_bfv_noise fresh =
        cczi_bfv_fresh_pk(e->ctx->n, ccz_rlwe_var_fresh_sk(e->ctx->ring));
    ccz_rc rc = prepare(&msg, out, e, p, &limbs, fresh, err);
    if (rc == CCZ_OK)
        rc = ccz_rlwe_encrypt_pk(&out->ct, e->work, pk, limbs, msg, err);
    if (rc == CCZ_OK)
        finish(out, e, fresh);
    return rc;
}

/* --------------------------------------------------------------------------------- decryption */

ccz_rc ccz_bfv_decrypt(struct ccz_bfv_pt *out, struct ccz_bfv_eval *e, const struct ccz_rlwe_sk *sk,
                       const struct ccz_bfv_ct *in, struct ccz_err *err)
{
    const size_t limbs = in->ct.limbs;
    ccz_rc rc = cczi_bfv_context(out->ctx == e->ctx, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_operand(e, in, err);
    if (rc == CCZ_OK)
        rc = ccz_rlwe_phase(e->poly[0], e->work, sk, &in->ct, limbs, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_bfv_pt_reset(out);
    cczi_bfv_scale_down(out->m, e, e->poly[0], limbs);
    ccz_wipe(e->poly[0], limbs * e->ctx->n * sizeof(*e->poly[0]));
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------- the budget */

enum { WORDS_MAX = CCZ_RLWE_PRIMES_MAX + 1 };

/* v = v a + b */
static void mul_add_word(uint64_t *v, size_t words, uint64_t a, uint64_t b)
{
    cczi_u128 carry = b;
    for (size_t i = 0; i < words; i++) {
        carry += (cczi_u128)v[i] * a;
        v[i] = (uint64_t)carry;
        carry >>= 64;
    }
}

/* v = w - v */
static void sub_from(uint64_t *v, const uint64_t *w, size_t words)
{
    uint64_t borrow = 0;
    for (size_t i = 0; i < words; i++) {
        const cczi_u128 d = (cczi_u128)w[i] - v[i] - borrow;
        v[i] = (uint64_t)d;
        borrow = (uint64_t)(d >> 64) & 1;
    }
}

static int compare(const uint64_t *a, const uint64_t *b, size_t words)
{
    for (size_t i = words; i-- > 0;)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

static double log2_words(const uint64_t *v, size_t words)
{
    while (words > 0 && v[words - 1] == 0)
        words--;
    if (words == 0)
        return -(double)INFINITY;
    double x = (double)v[words - 1] + (words > 1 ? ldexp((double)v[words - 2], -64) : 0);
    return log2(x) + 64 * (double)(words - 1);
}

/*
 * The number in [0, Q) with the residues digit[0 .. limbs), by mixed radix: digit i becomes the factor
 * of q_0 .. q_{i-1}.
 */
static void compose(uint64_t *v, size_t words, uint64_t *digit, const struct ccz_bfv *c,
                    size_t limbs)
{
    for (size_t i = 1; i < limbs; i++) {
        const struct ccz_modulus *m = cczi_bfv_modulus(c, i);
        for (size_t k = 0; k < i; k++) {
            const uint64_t q = ccz_mod_reduce(ccz_rlwe_prime(c->ring, k), m);
            digit[i] = ccz_mod_sub(digit[i], ccz_mod_reduce(digit[k], m), m);
            digit[i] = ccz_mod_mul(digit[i], ccz_mod_inv(q, m), m);
        }
    }
    for (size_t i = 0; i < words; i++)
        v[i] = 0;
    for (size_t i = limbs; i-- > 0;)
        mul_add_word(v, words, i + 1 < limbs ? ccz_rlwe_prime(c->ring, i) : 1, digit[i]);
}

/* Largest |t x mod Q| over the coefficients, as a logarithm; x[limbs][n] in coefficient form. */
static double largest(const struct ccz_bfv *c, const uint64_t *x, size_t limbs)
{
    uint64_t q[WORDS_MAX] = {1}, v[WORDS_MAX], w[WORDS_MAX], most[WORDS_MAX] = {0};
    uint64_t digit[CCZ_RLWE_PRIMES_MAX];
    const size_t words = limbs + 1;
    for (size_t i = 0; i < limbs; i++)
        mul_add_word(q, words, ccz_rlwe_prime(c->ring, i), 0);
    for (size_t at = 0; at < c->n; at++) {
        for (size_t i = 0; i < limbs; i++) {
            const struct ccz_modulus *m = cczi_bfv_modulus(c, i);
            const uint64_t t =
                c->plain_bits ? ccz_mod_pow(2, c->plain_bits, m) : ccz_mod_reduce(c->t.q, m);
            digit[i] = ccz_mod_mul(x[i * c->n + at], t, m);
        }
        compose(v, words, digit, c, limbs);
        for (size_t i = 0; i < words; i++)
            w[i] = v[i];
        sub_from(w, q, words);
        const uint64_t *least = compare(v, w, words) < 0 ? v : w;
        if (compare(least, most, words) > 0)
            for (size_t i = 0; i < words; i++)
                most[i] = least[i];
    }
    return log2_words(most, words);
}

ccz_rc ccz_bfv_noise_budget(double *out, struct ccz_bfv_eval *e, const struct ccz_rlwe_sk *sk,
                            const struct ccz_bfv_ct *in, struct ccz_err *err)
{
    const size_t limbs = in->ct.limbs;
    *out = 0;
    ccz_rc rc = cczi_bfv_operand(e, in, err);
    if (rc == CCZ_OK)
        rc = ccz_rlwe_phase(e->poly[0], e->work, sk, &in->ct, limbs, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_rlwe_inverse(e->poly[0], e->work, limbs);
    /* the phase is (Q m + t v) / t: t times it is t v modulo Q */
    *out = e->ctx->level[limbs - 1].log2_q - 1 - largest(e->ctx, e->poly[0], limbs);
    ccz_wipe(e->poly[0], limbs * e->ctx->n * sizeof(*e->poly[0]));
    return CCZ_OK;
}

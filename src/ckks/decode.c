/* SPDX-License-Identifier: Apache-2.0 */
/* Coefficients to numbers: as few primes as the bound needs, centred, embedded. */
#include "base/ct.h"
#include "ckks_priv.h"
#include "fft_priv.h"

#include <cczoo/num.h>

#include <math.h>
#include <string.h>

/* The fewest primes whose product holds the plaintext: Q / 2 above it. */
static size_t limbs_needed(const struct ccz_ckks_pt *in)
{
    double bits = log2(in->bound + in->noise + 1) + 1 + 0x1p-30;
    for (size_t l = 1; l < in->limbs; l++)
        if (cczi_ckks_log2_q(in->ctx, l) > bits)
            return l;
    return in->limbs;
}

/*
 * Digits of the mixed radix q_0, q_1 .. (Garner): digit i is what is left mod q_i after subtracting the
 * ones below and dividing by their primes. Taken in (-q/2, q/2), they are those of the centred number.
 * @shape digit[limbs + 1][n]; the last one is scratch
 */
static void mixed_radix(uint64_t *const *digit, const struct ccz_ckks_pt *in, size_t limbs)
{
    const struct ccz_kernels *k = ccz_kernels(NULL);
    size_t n = in->ctx->n;
    uint64_t *lifted = digit[limbs];
    for (size_t i = 0; i < limbs; i++) {
        const struct ccz_ntt *ntt = ccz_rlwe_ntt(in->ctx->ring, i);
        const struct ccz_modulus *m = ccz_ntt_modulus(ntt);
        ccz_ntt_inverse(digit[i], in->v + i * n, ntt);
        for (size_t j = 0; j < i; j++) {
            const struct ccz_modulus *from = ccz_ntt_modulus(ccz_rlwe_ntt(in->ctx->ring, j));
            uint64_t inverse = ccz_mod_inv(ccz_mod_reduce(from->q, m), m);
            k->lift(lifted, digit[j], n, from, m);
            k->sub_mul_const(digit[i], digit[i], lifted, ccz_mulc_from(inverse, m), n, m);
        }
    }
}

/* Coefficients as doubles, with the gap of the embedding: exact but for one rounding per prime. Every digit but the last one that is not
 * 0 adds less than half of what that one stands for, so nothing cancels. */
static void combine(double *out, uint64_t *const *digit, const struct ccz_ckks_pt *in, size_t limbs)
{
    const struct cczi_fft_kernel *k = in->ctx->fft->kernel;
    size_t half = in->ctx->n / 2;
    for (size_t i = limbs; i-- > 0;) {
        double q = (double)ccz_rlwe_prime(in->ctx->ring, i);
        k->horner(out, digit[i], half, q, q, i + 1 == limbs);
        k->horner(out + half + CCZI_FFT_GAP, digit[i] + half, half, q, q, i + 1 == limbs);
    }
}

static ccz_rc from_residues(double *out, struct ccz_ckks_eval *e, const struct ccz_ckks_pt *in,
                            struct ccz_err *err)
{
    enum { IN_SCRATCH = 2 };
    size_t n = in->ctx->n, limbs = limbs_needed(in);
    uint64_t *digit[CCZ_RLWE_PRIMES_MAX + 1], *more = NULL;
    if (limbs > IN_SCRATCH) {
        more = ccz_rlwe_words_new((limbs + 1) * n);
        if (!more)
            return ccz_fail(err, CCZ_E_NOMEM, "ckks:decode", 0, "out of memory");
        for (size_t i = 0; i <= limbs; i++)
            digit[i] = more + i * n;
    } else {
        uint64_t *scratch[3] = {(uint64_t *)e->coeff, (uint64_t *)(void *)e->slots[0],
                                (uint64_t *)(void *)out};
        memcpy(digit, scratch, sizeof(scratch));
        digit[limbs] = scratch[2];
    }
    mixed_radix(digit, in, limbs);
    combine(out, digit, in, limbs);
    if (more)
        ccz_wipe(more, (limbs + 1) * n * sizeof(*more));
    ccz_rlwe_words_free(more);
    return CCZ_OK;
}

/* The slots times scale into slots[0], parts apart. */
static ccz_rc decode(struct ccz_ckks_eval *e, const struct ccz_ckks_pt *in, size_t len,
                     struct ccz_err *err)
{
    const struct cczi_fft *fft = e->ctx->fft;
    size_t half = e->ctx->n / 2, im = half + CCZI_FFT_GAP;
    if (in->ctx != e->ctx)
        return ccz_fail(err, CCZ_E_MISMATCH, "ckks:context", 0,
                        "the plaintext is of another context than the evaluator");
    if (len > half)
        return ccz_refuse_num(err, CCZ_E_ARG, "ckks:slots", (int64_t)len, (int64_t)half);
    if (!in->has_coeff && in->limbs == 0)
        return ccz_fail(err, CCZ_E_ARG, "ckks:empty", 0, "the plaintext holds nothing");
    if (in->has_coeff) {
        for (size_t i = 0; i < half; i++) {
            e->slots[1][i] = (double)in->coeff[i];
            e->slots[1][im + i] = (double)in->coeff[half + i];
        }
    } else {
        ccz_rc rc = from_residues(e->slots[1], e, in, err);
        if (rc != CCZ_OK)
            return rc;
    }
    fft->kernel->to_slots(e->slots[0], e->slots[1], fft);
    return CCZ_OK;
}

/* Scales and noise may come from somebody else: what they make of the numbers has to be numbers. */
static ccz_rc check_finite(double *out, size_t len, struct ccz_err *err)
{
    double sum = 0; /* of zeros, if all are finite */
    for (size_t i = 0; i < len; i++)
        sum += out[i] * 0;
    CCZ_CT_PUBLIC(&sum, sizeof(sum));
    if (isfinite(sum))
        return CCZ_OK;
    memset(out, 0, len * sizeof(*out));
    return ccz_fail(err, CCZ_E_FORMAT, "ckks:value", 0,
                    "a slot is no finite number at the plaintext's scale");
}

ccz_rc ccz_ckks_decode(double *out, size_t len, struct ccz_ckks_eval *e,
                       const struct ccz_ckks_pt *in, struct ccz_err *err)
{
    ccz_rc rc = decode(e, in, len, err);
    if (rc != CCZ_OK) {
        memset(out, 0, len * sizeof(*out));
        return rc;
    }
    double factor = 1 / in->scale;
    for (size_t i = 0; i < len; i++)
        out[i] = e->slots[0][i] * factor;
    return check_finite(out, len, err);
}

ccz_rc ccz_ckks_decode_complex(struct ccz_complex *out, size_t len, struct ccz_ckks_eval *e,
                               const struct ccz_ckks_pt *in, struct ccz_err *err)
{
    ccz_rc rc = decode(e, in, len, err);
    if (rc != CCZ_OK) {
        memset(out, 0, len * sizeof(*out));
        return rc;
    }
    double factor = 1 / in->scale;
    const double *re = e->slots[0], *im = e->slots[0] + e->ctx->n / 2 + CCZI_FFT_GAP;
    for (size_t i = 0; i < len; i++)
        out[i] = (struct ccz_complex){re[i] * factor, im[i] * factor};
    return check_finite((double *)(void *)out, 2 * len, err);
}

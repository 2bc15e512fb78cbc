/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers to coefficients: checks, inverse embedding, rounding; residues where they are too large. */
#include "base/ct.h"
#include "ckks_priv.h"
#include "fft_priv.h"

#include <cczoo/num.h>

#include <math.h>
#include <string.h>

/* Coefficients below 2^61 are kept as integers; FFT errors cannot lift a smaller bound over it. */
#define COEFF_LIMIT (0x1p61 * (1 - 0x1p-40))
/* 6 standard deviations of the double precision transform in a slot, of the largest value: with a 2^-53
 * in each of 15 levels the root mean square is below 4 * 2^-53. */
#define FFT_ERROR 0x1p-48

static void make_empty(struct ccz_ckks_pt *p)
{
    p->has_coeff = p->declared = false;
    p->limbs = 0;
}

static ccz_rc check(const struct ccz_ckks_pt *out, const struct ccz_ckks_eval *e, size_t len,
                    double scale, size_t limbs, struct ccz_err *err)
{
    if (out->ctx != e->ctx)
        return ccz_fail(err, CCZ_E_MISMATCH, "ckks:context", 0,
                        "the plaintext is of another context than the evaluator");
    if (len > e->ctx->n / 2)
        return ccz_refuse_num(err, CCZ_E_ARG, "ckks:slots", (int64_t)len, (int64_t)(e->ctx->n / 2));
    if (!isfinite(scale) || scale < 1)
        return ccz_fail(err, CCZ_E_ARG, "ckks:scale", 0, "the scale %g is not 1 or more and finite",
                        scale);
    if (limbs > e->ctx->data_len)
        return ccz_refuse_num(err, CCZ_E_ARG, "ckks:limbs", (int64_t)limbs,
                              (int64_t)e->ctx->data_len);
    return CCZ_OK;
}

/* What a caller gave: `len` numbers, `per_slot` of them in a slot. */
struct input {
    const double *values;
    size_t len, per_slot;
};

/* The reason behind another refusal, if a value is not finite. */
static ccz_rc explain(struct input in, ccz_rc rc, struct ccz_err *err)
{
    for (size_t i = 0; i < in.len; i++)
        if (!isfinite(in.values[i]))
            return ccz_fail(err, CCZ_E_ARG, "ckks:value", (int64_t)(i / in.per_slot),
                            "value %zu is not finite", i / in.per_slot);
    return rc;
}

/* Sets scale and bounds of @p out, if values up to @p largest times the scale fit. */
static ccz_rc set_bound(struct ccz_ckks_pt *out, const struct ccz_ckks_eval *e, double largest,
                        double scale, size_t limbs, struct ccz_err *err)
{
    double bound = largest * scale;
    ccz_rc rc =
        cczi_ckks_fits(e->ctx, bound * (1 + 0x1p-40) + 1, limbs ? limbs : e->ctx->data_len, err);
    if (rc == CCZ_OK && limbs == 0 && bound >= COEFF_LIMIT) {
        rc = ccz_fail(err, CCZ_E_ARG, "ckks:overflow", 0,
                      "a value times the scale is 2^%.1f: not below 2^61", log2(bound));
        return ccz_hint(err, rc, "ask for residues (limbs), or take a smaller scale");
    }
    if (rc != CCZ_OK)
        return rc;
    out->scale = scale;
    out->declared = false;
    out->bound = bound;
    out->noise = cczi_ckks_canon(e->ctx, 1.0 / 12) + bound * FFT_ERROR;
    return CCZ_OK;
}

/* The coefficients in slots[1], too large for words, to residues. */
static void to_residues(struct ccz_ckks_pt *out, struct ccz_ckks_eval *e, double factor,
                        size_t limbs)
{
    size_t n = e->ctx->n;
    const double *coeff = e->slots[1], *high = coeff + CCZI_FFT_GAP; /* from n / 2 on */
    for (size_t l = 0; l < limbs; l++) {
        const struct ccz_modulus *m = ccz_ntt_modulus(ccz_rlwe_ntt(e->ctx->ring, l));
        for (size_t i = 0; i < n; i++)
            out->v[l * n + i] = cczi_ckks_residue(rint((i < n / 2 ? coeff : high)[i] * factor), m);
    }
    ccz_rlwe_forward(out->v, e->work, limbs);
    out->limbs = limbs;
}

/* The slots are in slots[0], up to @p largest in magnitude; what is not a number did not count. */
static ccz_rc encode(struct ccz_ckks_pt *out, struct ccz_ckks_eval *e, struct input in,
                     double largest, double scale, size_t limbs, struct ccz_err *err)
{
    const struct cczi_fft *fft = e->ctx->fft;
    CCZ_CT_PUBLIC(&largest, sizeof(largest)); /* whether it is refused shows */
    ccz_rc rc = set_bound(out, e, largest, scale, limbs, err);
    bool wide = rc == CCZ_OK && out->bound >= COEFF_LIMIT;
    if (rc != CCZ_OK || wide)
        rc = explain(in, rc, err);
    if (rc != CCZ_OK)
        return rc;
    double factor = scale / (double)fft->n; /* exact: a power of two divides */
    fft->kernel->to_coeffs(e->slots[1], e->slots[0], fft);
    if (wide) {
        to_residues(out, e, factor, limbs);
        return CCZ_OK;
    }
    bool good = fft->kernel->round(out->coeff, e->slots[1], fft->n, factor);
    good &= fft->kernel->round(out->coeff + fft->n, e->slots[1] + fft->n + CCZI_FFT_GAP, fft->n,
                               factor);
    CCZ_CT_PUBLIC(&good, sizeof(good));
    if (!good) {
        rc = ccz_fail(err, CCZ_E_INTERNAL, "ckks:encode", 0, "a coefficient exceeds its bound");
        return explain(in, rc, err);
    }
    out->has_coeff = true;
    rc = limbs ? ccz_ckks_pt_expand(out, e, limbs, err) : CCZ_OK;
    if (rc != CCZ_OK)
        make_empty(out);
    return rc;
}

ccz_rc ccz_ckks_encode(struct ccz_ckks_pt *out, struct ccz_ckks_eval *e, const double *values,
                       size_t len, double scale, size_t limbs, struct ccz_err *err)
{
    size_t n = e->ctx->n;
    make_empty(out);
    ccz_rc rc = check(out, e, len, scale, limbs, err);
    if (rc != CCZ_OK)
        return rc;
    if (len)
        memcpy(e->slots[0], values, len * sizeof(*values));
    memset(e->slots[0] + len, 0, (n + CCZI_FFT_GAP - len) * sizeof(*values));
    double largest = e->ctx->fft->kernel->largest(e->slots[0], n / 2);
    return encode(out, e, (struct input){values, len, 1}, largest, scale, limbs, err);
}

ccz_rc ccz_ckks_encode_complex(struct ccz_ckks_pt *out, struct ccz_ckks_eval *e,
                               const struct ccz_complex *values, size_t len, double scale,
                               size_t limbs, struct ccz_err *err)
{
    size_t half = e->ctx->n / 2;
    double *re = e->slots[0], *im = e->slots[0] + half + CCZI_FFT_GAP, *square = e->slots[1];
    make_empty(out);
    ccz_rc rc = check(out, e, len, scale, limbs, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < half; i++) {
        re[i] = i < len ? values[i].re : 0;
        im[i] = i < len ? values[i].im : 0;
    }
    const struct cczi_fft_kernel *k = e->ctx->fft->kernel;
    double part = cczi_fft_max(k->largest(re, half), k->largest(im, half));
    CCZ_CT_PUBLIC(&part, sizeof(part));
    double inverse = part > 0x1p-1000 ? 1 / part : 0; /* no square overflows */
    for (size_t i = 0; i < half; i++) {
        double x = re[i] * inverse, y = im[i] * inverse;
        square[i] = x * x + y * y;
    }
    double largest = k->largest(square, half);
    CCZ_CT_PUBLIC(&largest, sizeof(largest));
    largest = inverse > 0 ? sqrt(largest) * part : 2 * part;
    struct input in = {(const double *)(const void *)values, 2 * len, 2};
    return encode(out, e, in, largest, scale, limbs, err);
}

ccz_rc ccz_ckks_encode_const(struct ccz_ckks_pt *out, struct ccz_ckks_eval *e,
                             struct ccz_complex value, double scale, size_t limbs,
                             struct ccz_err *err)
{
    size_t n = e->ctx->n;
    make_empty(out);
    ccz_rc rc = check(out, e, 0, scale, limbs, err);
    rc = rc == CCZ_OK ? explain((struct input){(const double *)(const void *)&value, 2, 2}, rc, err)
                      : rc;
    rc = rc == CCZ_OK ? set_bound(out, e, hypot(value.re, value.im), scale, limbs, err) : rc;
    if (rc != CCZ_OK)
        return rc;
    out->noise = (value.im != 0 ? 0.75 : 0.5) + out->bound * 0x1p-52;
    if (out->bound >= COEFF_LIMIT) {
        memset(e->slots[1], 0, (n + CCZI_FFT_GAP) * sizeof(double));
        e->slots[1][0] = value.re;
        e->slots[1][n / 2 + CCZI_FFT_GAP] = value.im;
        to_residues(out, e, scale, limbs);
        return CCZ_OK;
    }
    memset(out->coeff, 0, n * sizeof(*out->coeff));
    out->coeff[0] = (int64_t)rint(value.re * scale);
    out->coeff[n / 2] = (int64_t)rint(value.im * scale);
    out->has_coeff = true;
    rc = limbs ? ccz_ckks_pt_expand(out, e, limbs, err) : CCZ_OK;
    if (rc != CCZ_OK)
        make_empty(out);
    return rc;
}

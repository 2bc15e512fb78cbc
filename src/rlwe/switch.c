/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hybrid key switching (Han-Ki 2020). The polynomial c is cut into digits of alpha primes; digit d is
 * taken as the centred integer [c] modulo the product of its primes and brought to every other prime.
 * The sums of digits times key polynomials are formed prime by prime, so that digits, sums and
 * rounding of one prime stay in the cache; special primes come first, because every other prime
 * needs their sums for the division by P. A rescale that follows is part of that division: by P times
 * the last data prime, at once.
 */
#include "rlwe_priv.h"

#include <string.h>

struct switch_job {
    struct ccz_rlwe_work *w;
    const uint64_t *poly; /* evaluation form */
    size_t limbs, dnum;   /* dnum: digits at this level */
    const struct ccz_rlwe_swk *k;
    const uint64_t *hoisted; /* digits made before; NULL: on the way */
    const struct cczi_divisor *div;
    bool rescale; /* the divisor's last prime is the last data prime */
    const uint64_t *add[2];
    uint64_t *out[2];
};

static size_t digit_len(const struct switch_job *j, size_t d)
{
    const size_t alpha = j->w->r->alpha, start = d * alpha;
    return j->limbs - start < alpha ? j->limbs - start : alpha;
}

/* y_l = [c (D / q_l)^-1] mod q_l: coefficients that base conversion starts from. */
static void coeff_limb(void *arg, size_t l, size_t thread)
{
    (void)thread;
    const struct switch_job *j = arg;
    const struct ccz_rlwe *r = j->w->r;
    const uint64_t *c = j->poly + l * r->n;
    uint64_t *y = j->w->coeff + l * r->stride;
    if (r->alpha == 1)
        ccz_ntt_inverse(y, c, r->ntt[l]);
    else
        ccz_ntt_inverse_scaled(y, c, &r->scale[l * r->alpha + digit_len(j, l / r->alpha) - 1],
                               r->ntt[l]);
}

/* How often D goes into sum y_l D / q_l: to the nearest, so that the digit is centred. */
static void round_digit(void *arg, size_t d, size_t thread)
{
    (void)thread;
    const struct switch_job *j = arg;
    const struct ccz_rlwe *r = j->w->r;
    const uint64_t *y[CCZ_RLWE_SPECIAL_MAX];
    for (size_t k = 0; k < digit_len(j, d); k++)
        y[k] = j->w->coeff + (d * r->alpha + k) * r->stride;
    r->k->round_sum(j->w->coeff + (r->data_len + d) * r->stride, y, r->inv + d * r->alpha,
                    digit_len(j, d), r->n);
}

/* Digit d modulo prime i: as it is if the prime is one of its own, else converted into `buf`. */
static const uint64_t *digit(const struct switch_job *j, size_t d, size_t i, uint64_t *buf)
{
    const struct ccz_rlwe *r = j->w->r;
    if (i < r->data_len && i / r->alpha == d)
        return j->poly + i * r->n;
    if (j->hoisted)
        return j->hoisted + (i * r->dnum + d) * r->stride;
    if (r->alpha == 1) {
        ccz_ntt_forward_lift_lazy(buf, j->w->coeff + d * r->stride, &r->mod[d], r->ntt[i]);
        return buf;
    }
    const uint64_t *y[CCZ_RLWE_SPECIAL_MAX + 1];
    uint64_t factor[CCZ_RLWE_SPECIAL_MAX + 1];
    const size_t t = digit_len(j, d), a = r->alpha, p = r->primes_len;
    for (size_t k = 0; k < t; k++) {
        y[k] = j->w->coeff + (d * a + k) * r->stride;
        factor[k] = r->conv[((d * a + k) * a + t - 1) * p + i];
    }
    y[t] = j->w->coeff + (r->data_len + d) * r->stride;
    factor[t] = r->conv_neg[(d * a + t - 1) * p + i];
    r->k->mac_scalar(buf, y, factor, t + 1, r->n, &r->mod[i], false);
    ccz_ntt_forward_lazy(buf, buf, r->ntt[i]);
    return buf;
}

/*
 * Sums over the digits of digit times key, modulo prime i. Digits are made and used in groups that take
 * half of a second-level cache of 1 MiB.
 */
static void sum_digits(uint64_t *const *sum, const struct switch_job *j, size_t i, uint64_t *buf)
{
    const struct ccz_rlwe *r = j->w->r;
    const size_t group = j->hoisted ? j->dnum : ((size_t)1 << 16) / r->n;
    const uint64_t *a[CCZ_RLWE_PRIMES_MAX], *b[2 * CCZ_RLWE_PRIMES_MAX];
    for (size_t d = 0; d < j->dnum;) {
        size_t len = 0;
        for (const size_t first = d; len < group && d < j->dnum; len++, d++) {
            a[len] = digit(j, d, i, buf + (d - first) * r->stride);
            b[2 * len] = cczi_rlwe_swk_at(j->k, i, d, 0);
            b[2 * len + 1] = cczi_rlwe_swk_at(j->k, i, d, 1);
        }
        r->k->mac2(sum, a, b, len, r->n, &r->mod[i], d > len);
    }
}

static uint64_t *special(const struct switch_job *j, size_t half, size_t k)
{
    const struct ccz_rlwe *r = j->w->r;
    return j->w->special + (half * (r->special_len + 2) + k) * r->stride;
}

/* Prime k of the divisor: both sums, as coefficients ready for base conversion. */
static void special_limb(void *arg, size_t k, size_t thread)
{
    const struct switch_job *j = arg;
    const struct ccz_rlwe *r = j->w->r;
    const size_t i = j->div->prime[k];
    uint64_t *sum[2] = {special(j, 0, k), special(j, 1, k)};
    sum_digits(sum, j, i, j->w->buf[thread]);
    for (size_t half = 0; half < 2; half++) {
        if (i < r->data_len && j->add[half])
            r->k->mul_const_add(sum[half], j->add[half] + i * r->n, r->p_mod[i], r->n, &r->mod[i]);
        if (j->div->len == 1)
            ccz_ntt_inverse(sum[half], sum[half], r->ntt[i]);
        else
            ccz_ntt_inverse_scaled(sum[half], sum[half], &j->div->scale[k], r->ntt[i]);
    }
}

static void round_special(void *arg, size_t half, size_t thread)
{
    (void)thread;
    const struct switch_job *j = arg;
    const uint64_t *y[CCZ_RLWE_SPECIAL_MAX + 1];
    for (size_t k = 0; k < j->div->len; k++)
        y[k] = special(j, half, k);
    j->w->r->k->round_sum(special(j, half, j->div->len), y, j->div->inv, j->div->len, j->w->r->n);
}

/* The sums modulo the divisor, centred, modulo data prime i in lazy evaluation form. */
static void remainder_at(uint64_t *out, const struct switch_job *j, size_t half, size_t i)
{
    const struct ccz_rlwe *r = j->w->r;
    const size_t len = j->div->len;
    if (len == 1) {
        ccz_ntt_forward_lift_lazy(out, special(j, half, 0), &r->mod[j->div->prime[0]], r->ntt[i]);
        return;
    }
    const uint64_t *y[CCZ_RLWE_SPECIAL_MAX + 2];
    for (size_t k = 0; k <= len; k++)
        y[k] = special(j, half, k);
    r->k->mac_scalar(out, y, j->div->conv + i * (len + 1), len + 1, r->n, &r->mod[i], false);
    ccz_ntt_forward_lazy(out, out, r->ntt[i]);
}

/* Data prime i: sums, division, what is to be added (times P, if it is divided as well), automorphism. */
static void data_limb(void *arg, size_t i, size_t thread)
{
    const struct switch_job *j = arg;
    const struct ccz_rlwe *r = j->w->r;
    const struct ccz_modulus *m = &r->mod[i];
    uint64_t *buf = j->w->buf[thread], *tmp = buf + (r->dnum + 2) * r->stride;
    uint64_t *sum[2] = {buf + r->dnum * r->stride, buf + (r->dnum + 1) * r->stride};
    sum_digits(sum, j, i, buf);
    for (size_t half = 0; half < 2; half++) {
        const uint64_t *add = j->add[half] ? j->add[half] + i * r->n : NULL;
        uint64_t *out = j->out[half] + i * r->n, *to = j->k->galois ? sum[half] : out;
        if (add && j->rescale)
            r->k->mul_const_add(sum[half], add, r->p_mod[i], r->n, m);
        remainder_at(tmp, j, half, i);
        r->k->sub_mul_const(add && !j->rescale ? sum[half] : to, sum[half], tmp, j->div->d_inv[i],
                            r->n, m);
        if (add && !j->rescale)
            r->k->add(to, sum[half], add, r->n, m);
        if (j->k->galois)
            r->k->galois(out, to, j->k->galois);
    }
}

static void to_coefficients(struct switch_job *j)
{
    cczi_pool_run(j->w->pool, j->limbs, coeff_limb, j);
    if (j->w->r->alpha > 1)
        cczi_pool_run(j->w->pool, j->dnum, round_digit, j);
}

static void run(struct switch_job *j)
{
    j->div = &j->w->r->div[j->rescale ? j->limbs - 1 : 0];
    if (!j->hoisted)
        to_coefficients(j);
    cczi_pool_run(j->w->pool, j->div->len, special_limb, j);
    if (j->div->len > 1)
        cczi_pool_run(j->w->pool, 2, round_special, j);
    cczi_pool_run(j->w->pool, j->rescale ? j->limbs - 1 : j->limbs, data_limb, j);
}

static size_t dnum_at(const struct ccz_rlwe *r, size_t limbs)
{
    return (limbs + r->alpha - 1) / r->alpha;
}

/* ------------------------------------------------------------------------------------ hoisting */

static void hoist_prime(void *arg, size_t item, size_t thread)
{
    (void)thread;
    const struct switch_job *j = arg;
    const struct ccz_rlwe *r = j->w->r;
    const size_t i = item < j->limbs ? item : r->data_len + item - j->limbs;
    for (size_t d = 0; d < j->dnum; d++)
        (void)digit(j, d, i, j->w->digits + (i * r->dnum + d) * r->stride);
}

ccz_rc ccz_rlwe_decompose(struct ccz_rlwe_digits *out, struct ccz_rlwe_work *w,
                          const uint64_t *poly, size_t limbs, struct ccz_err *err)
{
    *out = (struct ccz_rlwe_digits){0};
    const struct ccz_rlwe *r = w->r;
    if (r->special_len == 0)
        return ccz_fail(err, CCZ_E_ARG, "rlwe:no-special", 0,
                        "the parameters have no special prime for key switching");
    if (limbs < 1 || limbs > r->data_len)
        return ccz_refuse_num(err, CCZ_E_ARG, "rlwe:limbs", (int64_t)limbs, (int64_t)r->data_len);
    if (!w->digits)
        w->digits = ccz_rlwe_words_new(r->primes_len * r->dnum * r->stride);
    if (!w->digits)
        return ccz_fail(err, CCZ_E_NOMEM, "rlwe:decompose", 0, "out of memory");
    struct switch_job j = {.w = w, .poly = poly, .limbs = limbs, .dnum = dnum_at(r, limbs)};
    to_coefficients(&j);
    cczi_pool_run(w->pool, limbs + r->special_len, hoist_prime, &j);
    *out = (struct ccz_rlwe_digits){.poly = poly, .limbs = limbs};
    return CCZ_OK;
}

ccz_rc ccz_rlwe_switch(uint64_t *out0, uint64_t *out1, struct ccz_rlwe_work *w,
                       const struct ccz_rlwe_digits *d, const struct ccz_rlwe_swk *k,
                       const uint64_t *add0, const uint64_t *add1, struct ccz_err *err)
{
    ccz_rc rc = cczi_rlwe_same(k->r, w->r, err);
    if (rc != CCZ_OK)
        return rc;
    struct switch_job j = {.w = w,
                           .poly = d->poly,
                           .limbs = d->limbs,
                           .dnum = dnum_at(w->r, d->limbs),
                           .k = k,
                           .hoisted = w->digits,
                           .add = {add0, add1},
                           .out = {out0, out1}};
    run(&j);
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------- ciphertexts */

static ccz_rc check(const struct ccz_rlwe_ct *out, const struct ccz_rlwe_work *w,
                    const struct ccz_rlwe_ct *in, const struct ccz_rlwe_swk *k, struct ccz_err *err)
{
    ccz_rc rc = cczi_rlwe_same(in->ctx, w->r, err);
    if (rc == CCZ_OK)
        rc = cczi_rlwe_same(out->ctx, w->r, err);
    if (rc == CCZ_OK)
        rc = cczi_rlwe_same(k->r, w->r, err);
    if (rc != CCZ_OK)
        return rc;
    if (in->parts == 0)
        return ccz_fail(err, CCZ_E_ARG, "rlwe:empty", 0, "the ciphertext is empty");
    if (!in->ntt)
        return ccz_fail(err, CCZ_E_ARG, "rlwe:form", 0, "the ciphertext is not in evaluation form");
    return cczi_rlwe_same_key(k->id, in->key_id, err);
}

/* The output takes two parts, the level and the key of the input. */
static ccz_rc shape(struct ccz_rlwe_ct *out, const struct ccz_rlwe_ct *in, struct ccz_err *err)
{
    if (out != in)
        out->parts = 0;
    if (ccz_rlwe_ct_reserve(out, 2) != CCZ_OK)
        return ccz_fail(err, CCZ_E_NOMEM, "rlwe:switch", 0, "out of memory");
    if (out != in)
        memcpy(out->key_id, in->key_id, sizeof(out->key_id));
    out->limbs = in->limbs;
    out->ntt = true;
    out->seeded = false;
    return CCZ_OK;
}

static ccz_rc relinearize(struct ccz_rlwe_ct *out, struct ccz_rlwe_work *w,
                          const struct ccz_rlwe_ct *in, const struct ccz_rlwe_swk *k, bool rescale,
                          struct ccz_err *err)
{
    const size_t limbs = in->limbs;
    ccz_rc rc = shape(out, in, err);
    if (rc != CCZ_OK)
        return rc;
    struct switch_job j = {.w = w,
                           .poly = in->c[2],
                           .limbs = limbs,
                           .dnum = dnum_at(w->r, limbs),
                           .k = k,
                           .rescale = rescale,
                           .add = {in->c[0], in->c[1]},
                           .out = {out->c[0], out->c[1]}};
    run(&j);
    out->parts = 2;
    out->limbs = rescale ? limbs - 1 : limbs;
    return CCZ_OK;
}

static ccz_rc check_relin(const struct ccz_rlwe_ct *out, const struct ccz_rlwe_work *w,
                          const struct ccz_rlwe_ct *in, const struct ccz_rlwe_swk *k,
                          struct ccz_err *err)
{
    ccz_rc rc = check(out, w, in, k, err);
    if (rc == CCZ_OK && (k->elt || k->transfer))
        rc = ccz_fail(err, CCZ_E_ARG, "rlwe:relin-key", k->elt,
                      "another key where a relinearization key is needed");
    return rc;
}

ccz_rc ccz_rlwe_relinearize(struct ccz_rlwe_ct *out, struct ccz_rlwe_work *w,
                            const struct ccz_rlwe_ct *in, const struct ccz_rlwe_swk *k,
                            struct ccz_err *err)
{
    ccz_rc rc = check_relin(out, w, in, k, err);
    if (rc != CCZ_OK)
        return rc;
    if (in->parts == 2) {
        rc = ccz_rlwe_ct_copy(out, in);
        return rc == CCZ_OK ? rc : ccz_fail(err, rc, "rlwe:switch", 0, "out of memory");
    }
    return relinearize(out, w, in, k, false, err);
}

ccz_rc ccz_rlwe_relinearize_rescale(struct ccz_rlwe_ct *out, struct ccz_rlwe_work *w,
                                    const struct ccz_rlwe_ct *in, const struct ccz_rlwe_swk *k,
                                    struct ccz_err *err)
{
    ccz_rc rc = check_relin(out, w, in, k, err);
    if (rc != CCZ_OK)
        return rc;
    if (in->parts == 2 || in->limbs < 2) /* nothing to relinearize, or nothing to divide by */
        return ccz_rlwe_rescale(out, w, in, err);
    return relinearize(out, w, in, k, true, err);
}

static ccz_rc check_automorph(const struct ccz_rlwe_ct *out, const struct ccz_rlwe_work *w,
                              const struct ccz_rlwe_ct *in, const struct ccz_rlwe_swk *k,
                              struct ccz_err *err)
{
    ccz_rc rc = check(out, w, in, k, err);
    if (rc != CCZ_OK)
        return rc;
    if (!k->elt)
        return ccz_fail(err, CCZ_E_ARG, "rlwe:galois-key", 0,
                        "another key where a Galois key is needed");
    if (in->parts != 2) {
        rc = ccz_refuse_num(err, CCZ_E_ARG, "rlwe:parts", (int64_t)in->parts, 2);
        return ccz_hint(err, rc, "relinearize first");
    }
    return CCZ_OK;
}

/* The second part of @p in under another key, and the first beside it. */
static ccz_rc switch_second(struct ccz_rlwe_ct *out, struct ccz_rlwe_work *w,
                            const struct ccz_rlwe_ct *in, const struct ccz_rlwe_swk *k,
                            struct ccz_err *err)
{
    ccz_rc rc = shape(out, in, err);
    if (rc != CCZ_OK)
        return rc;
    struct switch_job j = {.w = w,
                           .poly = in->c[1],
                           .limbs = in->limbs,
                           .dnum = dnum_at(w->r, in->limbs),
                           .k = k,
                           .add = {in->c[0], NULL},
                           .out = {out->c[0], out->c[1]}};
    run(&j);
    out->parts = 2;
    return CCZ_OK;
}

ccz_rc ccz_rlwe_automorph(struct ccz_rlwe_ct *out, struct ccz_rlwe_work *w,
                          const struct ccz_rlwe_ct *in, const struct ccz_rlwe_swk *k,
                          struct ccz_err *err)
{
    ccz_rc rc = check_automorph(out, w, in, k, err);
    if (rc == CCZ_OK)
        rc = switch_second(out, w, in, k, err);
    return rc;
}

ccz_rc ccz_rlwe_automorph_many(struct ccz_rlwe_ct *const *out, struct ccz_rlwe_work *w,
                               const struct ccz_rlwe_ct *in, const struct ccz_rlwe_swk *const *keys,
                               size_t len, struct ccz_err *err)
{
    struct ccz_rlwe_digits d;
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < len; i++) {
        rc = check_automorph(out[i], w, in, keys[i], err);
        if (rc == CCZ_OK && out[i] == in)
            rc = ccz_fail(err, CCZ_E_ARG, "rlwe:output", (int64_t)i, "output %zu is the input", i);
        if (rc == CCZ_OK)
            rc = shape(out[i], in, err);
    }
    if (rc == CCZ_OK && len)
        rc = ccz_rlwe_decompose(&d, w, in->c[1], in->limbs, err);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++) {
        rc = ccz_rlwe_switch(out[i]->c[0], out[i]->c[1], w, &d, keys[i], in->c[0], NULL, err);
        if (rc == CCZ_OK)
            out[i]->parts = 2;
    }
    return rc;
}

/* -------------------------------------------------------------------------- other contexts */

static ccz_rc check_transfer(const struct ccz_rlwe_ct *out, const struct ccz_rlwe_work *w,
                             const struct ccz_rlwe_ct *in, const struct ccz_rlwe_swk *k,
                             struct ccz_err *err)
{
    ccz_rc rc = cczi_rlwe_same(out->ctx, w->r, err);
    if (rc == CCZ_OK)
        rc = cczi_rlwe_same(k->r, w->r, err);
    if (rc != CCZ_OK)
        return rc;
    if (!k->transfer)
        return ccz_fail(err, CCZ_E_ARG, "rlwe:transfer-key", k->elt,
                        "another key where a transfer key is needed");
    if (in->parts == 0)
        return ccz_fail(err, CCZ_E_ARG, "rlwe:empty", 0, "the ciphertext is empty");
    if (in->parts != 2)
        return ccz_refuse_num(err, CCZ_E_ARG, "rlwe:parts", (int64_t)in->parts, 2);
    if (!in->ntt)
        return ccz_fail(err, CCZ_E_ARG, "rlwe:form", 0, "the ciphertext is not in evaluation form");
    bool same = in->ctx->n == w->r->n && in->limbs <= w->r->data_len;
    for (size_t i = 0; same && i < in->limbs; i++)
        same = in->ctx->mod[i].q == w->r->mod[i].q;
    if (!same)
        return ccz_fail(err, CCZ_E_MISMATCH, "rlwe:transfer-primes", (int64_t)in->limbs,
                        "the ciphertext's primes are not the first of the other context");
    return cczi_rlwe_same_key(k->from_id, in->key_id, err);
}

ccz_rc ccz_rlwe_transfer(struct ccz_rlwe_ct *out, struct ccz_rlwe_work *w,
                         const struct ccz_rlwe_ct *in, const struct ccz_rlwe_swk *k,
                         struct ccz_err *err)
{
    ccz_rc rc = check_transfer(out, w, in, k, err);
    if (rc == CCZ_OK && out == in)
        rc = ccz_fail(err, CCZ_E_ARG, "rlwe:output", 0, "the output is the input");
    if (rc == CCZ_OK)
        rc = switch_second(out, w, in, k, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(out->key_id, k->id, sizeof(out->key_id));
    return CCZ_OK;
}

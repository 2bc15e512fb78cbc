/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts: primes with their tables and the constants of division and base conversion. */
#define _DEFAULT_SOURCE
#include "params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

uint64_t *ccz_rlwe_words_new(size_t words)
{
    /* large ones on whole huge pages: a polynomial of 64 KiB touches a page per row of a kernel */
    size_t size = words * sizeof(uint64_t), align = size >= 1u << 21 ? 1u << 21 : 64;
    if (words > SIZE_MAX / sizeof(uint64_t) - (1u << 21))
        return NULL;
    uint64_t *v = aligned_alloc(align, (size + align - 1) / align * align);
    if (v && align > 64)
        (void)madvise(v, size / align * align, MADV_HUGEPAGE);
    return v;
}

void ccz_rlwe_words_free(uint64_t *v)
{
    free(v);
}

/* Product of primes modulo m, but for the one at `skip` (SIZE_MAX: of all). */
static uint64_t product(const struct ccz_rlwe *r, const size_t *primes, size_t len, size_t skip,
                        const struct ccz_modulus *m)
{
    uint64_t d = 1;
    for (size_t k = 0; k < len; k++)
        if (k != skip)
            d = ccz_mod_mul(d, ccz_mod_reduce(r->mod[primes[k]].q, m), m);
    return d;
}

/* Inverse NTT modulo the prime at `k` that multiplies by (D / q)^-1 on its way. */
static struct ccz_ntt_scale scale_for(const struct ccz_rlwe *r, const size_t *primes, size_t len,
                                      size_t k)
{
    const struct ccz_modulus *m = &r->mod[primes[k]];
    uint64_t d = product(r, primes, len, k, m);
    return ccz_ntt_scale_from(ccz_mod_inv(d, m), r->ntt[primes[k]]);
}

/* Digit d if it is cut to t primes. */
static void fill_digit(struct ccz_rlwe *r, size_t d, size_t t)
{
    const size_t p = r->primes_len, a = r->alpha;
    size_t primes[CCZ_RLWE_SPECIAL_MAX];
    for (size_t k = 0; k < t; k++)
        primes[k] = d * a + k;
    for (size_t k = 0; k < t; k++) {
        r->scale[primes[k] * a + t - 1] = scale_for(r, primes, t, k);
        for (size_t i = 0; i < p; i++)
            r->conv[(primes[k] * a + t - 1) * p + i] = product(r, primes, t, k, &r->mod[i]);
    }
    for (size_t i = 0; i < p; i++)
        r->conv_neg[(d * a + t - 1) * p + i] =
            ccz_mod_sub(0, product(r, primes, t, SIZE_MAX, &r->mod[i]), &r->mod[i]);
}

static ccz_rc make_conversions(struct ccz_rlwe *r)
{
    const size_t p = r->primes_len, a = r->alpha, L = r->data_len;
    r->scale = calloc(L * a, sizeof(*r->scale));
    r->conv = calloc(L * a * p, sizeof(*r->conv));
    r->conv_neg = calloc(r->dnum * a * p, sizeof(*r->conv_neg));
    if (!r->scale || !r->conv || !r->conv_neg)
        return CCZ_E_NOMEM;
    for (size_t d = 0; d < r->dnum; d++)
        for (size_t t = 1; t <= a && d * a + t <= L; t++)
            fill_digit(r, d, t);
    return CCZ_OK;
}

/* P times data prime `last`, or P alone for 0: q_0 is never divided by. */
static ccz_rc make_divisor(struct cczi_divisor *d, const struct ccz_rlwe *r, size_t last)
{
    for (size_t k = 0; k < r->special_len; k++)
        d->prime[d->len++] = r->data_len + k;
    if (last)
        d->prime[d->len++] = last;
    d->conv = calloc(r->data_len * (d->len + 1), sizeof(*d->conv));
    d->d_inv = calloc(r->data_len, sizeof(*d->d_inv));
    if (!d->conv || !d->d_inv)
        return CCZ_E_NOMEM;
    for (size_t k = 0; k < d->len; k++) {
        d->scale[k] = scale_for(r, d->prime, d->len, k);
        d->inv[k] = 1.0 / (double)r->mod[d->prime[k]].q;
    }
    for (size_t i = 0; i < (last ? last : r->data_len); i++) {
        const struct ccz_modulus *m = &r->mod[i];
        uint64_t *row = d->conv + i * (d->len + 1);
        for (size_t k = 0; k < d->len; k++)
            row[k] = product(r, d->prime, d->len, k, m);
        uint64_t all = product(r, d->prime, d->len, SIZE_MAX, m);
        row[d->len] = ccz_mod_sub(0, all, m);
        d->d_inv[i] = ccz_mulc_from(ccz_mod_inv(all, m), m);
    }
    return CCZ_OK;
}

static ccz_rc make_divisors(struct ccz_rlwe *r)
{
    r->div = calloc(r->data_len, sizeof(*r->div));
    ccz_rc rc = r->div ? CCZ_OK : CCZ_E_NOMEM;
    for (size_t i = 0; rc == CCZ_OK && i < r->data_len; i++) {
        struct ccz_mulc *p = &r->p_mod[i];
        rc = make_divisor(&r->div[i], r, i);
        *p = ccz_mulc_from(product(r, r->div[0].prime, r->special_len, SIZE_MAX, &r->mod[i]),
                           &r->mod[i]);
    }
    return rc;
}

static ccz_rc make_constants(struct ccz_rlwe *r)
{
    const size_t L = r->data_len;
    r->q_inv = calloc(L * L, sizeof(*r->q_inv));
    if (!r->q_inv)
        return CCZ_E_NOMEM;
    for (size_t i = 0; i < r->primes_len; i++)
        r->inv[i] = 1.0 / (double)r->mod[i].q;
    for (size_t i = 0; i < L; i++) {
        const struct ccz_modulus *m = &r->mod[i];
        for (size_t last = i + 1; last < L; last++) {
            uint64_t q = ccz_mod_reduce(r->mod[last].q, m);
            r->q_inv[last * L + i] = ccz_mulc_from(ccz_mod_inv(q, m), m);
        }
    }
    ccz_rc rc = r->special_len ? make_divisors(r) : CCZ_OK;
    return rc == CCZ_OK && r->alpha > 1 ? make_conversions(r) : rc;
}

static ccz_rc make_tables(struct ccz_rlwe *r, const uint64_t *primes, struct ccz_err *err)
{
    for (size_t i = 0; i < r->primes_len; i++) {
        ccz_rc rc = ccz_modulus_init(&r->mod[i], primes[i], err);
        if (rc == CCZ_OK)
            rc = ccz_ntt_new(&r->ntt[i], &r->mod[i], r->n, NULL, err);
        if (rc != CCZ_OK)
            return rc;
    }
    ccz_rc rc = make_constants(r);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "rlwe:context", 0, "out of memory");
}

ccz_rc ccz_rlwe_new(struct ccz_rlwe **out, const struct ccz_rlwe_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    uint64_t primes[CCZ_RLWE_PRIMES_MAX] = {0};
    ccz_rc rc = cczi_rlwe_primes(primes, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    double log2_qp = 0;
    for (size_t i = 0; i < cfg->data_len + cfg->special_len; i++)
        log2_qp += log2((double)primes[i]);
    rc = cczi_rlwe_check_security(cfg, log2_qp, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_rlwe) r = calloc(1, sizeof(*r));
    if (!r)
        return ccz_fail(err, CCZ_E_NOMEM, "rlwe:context", 0, "out of memory");
    r->n = cfg->n;
    r->stride = cfg->n + 72;
    r->data_len = cfg->data_len;
    r->special_len = cfg->special_len;
    r->primes_len = cfg->data_len + cfg->special_len;
    r->alpha = cfg->special_len ? cfg->special_len : 1;
    r->dnum = (r->data_len + r->alpha - 1) / r->alpha;
    r->log2_qp = log2_qp;
    r->security = cczi_rlwe_security_of(r->n, log2_qp);
    r->k = ccz_kernels(NULL);
    rc = cczi_rlwe_identify(r->params_id, cfg, primes);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "rlwe:context", 0, "the hash failed");
    rc = make_tables(r, primes, err);
    if (rc != CCZ_OK)
        return rc;
    *out = ccz_rlwe_take(&r);
    return CCZ_OK;
}

void ccz_rlwe_free(struct ccz_rlwe *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->primes_len; i++)
        ccz_ntt_free(r->ntt[i]);
    for (size_t i = 0; r->div && i < r->data_len; i++) {
        free(r->div[i].conv);
        free(r->div[i].d_inv);
    }
    free(r->div);
    free(r->q_inv);
    free(r->scale);
    free(r->conv);
    free(r->conv_neg);
    free(r);
}

size_t ccz_rlwe_n(const struct ccz_rlwe *r)
{
    return r->n;
}

size_t ccz_rlwe_data_len(const struct ccz_rlwe *r)
{
    return r->data_len;
}

size_t ccz_rlwe_special_len(const struct ccz_rlwe *r)
{
    return r->special_len;
}

uint64_t ccz_rlwe_prime(const struct ccz_rlwe *r, size_t i)
{
    return i < r->primes_len ? r->mod[i].q : 0;
}

double ccz_rlwe_log2_qp(const struct ccz_rlwe *r)
{
    return r->log2_qp;
}

unsigned ccz_rlwe_security(const struct ccz_rlwe *r)
{
    return r->security;
}

const uint8_t *ccz_rlwe_params_id(const struct ccz_rlwe *r)
{
    return r->params_id;
}

const struct ccz_ntt *ccz_rlwe_ntt(const struct ccz_rlwe *r, size_t i)
{
    return i < r->primes_len ? r->ntt[i] : NULL;
}

/* Variances per coefficient. E[s^2] = 2/3 (ternary), V[e] = eta / 2, E[u^2] = 2/3. */
#define VAR_TERNARY (2.0 / 3)
#define VAR_ERROR   (CCZI_RLWE_ETA / 2.0)

double ccz_rlwe_var_fresh_sk(const struct ccz_rlwe *r)
{
    (void)r;
    return VAR_ERROR;
}

double ccz_rlwe_var_fresh_pk(const struct ccz_rlwe *r)
{
    return VAR_ERROR * (1 + 2 * VAR_TERNARY * (double)r->n);
}

double ccz_rlwe_var_round(const struct ccz_rlwe *r, size_t parts)
{
    double s = VAR_TERNARY * (double)r->n, sum = 1, power = 1;
    for (size_t i = 1; i < parts; i++) {
        power *= s;
        sum += power;
    }
    return sum / 12;
}

double ccz_rlwe_var_switch(const struct ccz_rlwe *r, size_t limbs)
{
    double p = 0, sum = 0;
    for (size_t i = r->data_len; i < r->primes_len; i++)
        p += log2((double)r->mod[i].q);
    for (size_t i = 0; i < limbs; i += r->alpha) {
        double digit = 0;
        for (size_t k = i; k < i + r->alpha && k < limbs; k++)
            digit += log2((double)r->mod[k].q);
        sum += exp2(2 * (digit - p)) / 12; /* centred digits, divided by P */
    }
    return (double)r->n * VAR_ERROR * sum + ccz_rlwe_var_round(r, 2);
}

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

/* Primes of the digit that prime l starts or belongs to, if it is cut to t primes: first .. first + t - 1. */
static size_t digit_start(const struct ccz_rlwe *r, size_t l)
{
    return l < r->data_len ? l / r->alpha * r->alpha : r->data_len;
}

/* D / q_skip mod m, D the product of the t primes from `start`; skip = SIZE_MAX: D. */
static uint64_t product(const struct ccz_rlwe *r, size_t start, size_t t, size_t skip,
                        const struct ccz_modulus *m)
{
    uint64_t d = 1;
    for (size_t i = start; i < start + t; i++)
        if (i != skip)
            d = ccz_mod_mul(d, ccz_mod_reduce(r->mod[i].q, m), m);
    return d;
}

static ccz_rc make_conversions(struct ccz_rlwe *r)
{
    const size_t p = r->primes_len, a = r->alpha;
    r->scale = calloc(p * a, sizeof(*r->scale));
    r->conv = calloc(p * a * p, sizeof(*r->conv));
    r->conv_neg = calloc((r->dnum + 1) * a * p, sizeof(*r->conv_neg));
    if (!r->scale || !r->conv || !r->conv_neg)
        return CCZ_E_NOMEM;
    for (size_t l = 0; l < p; l++) {
        const size_t start = digit_start(r, l), digit = l < r->data_len ? start / a : r->dnum;
        const size_t end = l < r->data_len ? r->data_len : p;
        for (size_t t = l - start + 1; t <= a && start + t <= end; t++) {
            uint64_t d = product(r, start, t, l, &r->mod[l]);
            r->scale[l * a + t - 1] = ccz_ntt_scale_from(ccz_mod_inv(d, &r->mod[l]), r->ntt[l]);
            for (size_t i = 0; i < p; i++) {
                const struct ccz_modulus *m = &r->mod[i];
                r->conv[(l * a + t - 1) * p + i] = product(r, start, t, l, m);
                r->conv_neg[(digit * a + t - 1) * p + i] =
                    ccz_mod_sub(0, product(r, start, t, SIZE_MAX, m), m);
            }
        }
    }
    return CCZ_OK;
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
        r->p_mod[i] = product(r, L, r->special_len, SIZE_MAX, m);
        r->p_inv[i] = ccz_mulc_from(ccz_mod_inv(r->p_mod[i], m), m);
        for (size_t last = i + 1; last < L; last++) {
            uint64_t q = ccz_mod_reduce(r->mod[last].q, m);
            r->q_inv[last * L + i] = ccz_mulc_from(ccz_mod_inv(q, m), m);
        }
    }
    return r->alpha > 1 ? make_conversions(r) : CCZ_OK;
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

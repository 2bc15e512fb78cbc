/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on ciphertexts, one by one and summed up. */
#include "base/ct.h"
#include "paillier/paillier_priv.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------ add */

static ccz_rc new_bound(struct cczi_bound *out, struct cczi_bound bound,
                        const struct ccz_paillier_vec *v, struct ccz_err *err)
{
    struct cczi_bound limit = cczi_limit(v->pub, v->pack);
    if (!cczi_bound_fits(bound, limit))
        return cczi_overflow(err, bound, limit);
    *out = bound;
    return CCZ_OK;
}

static void multiply(struct ccz_paillier_vec *v, const uint64_t *w, size_t w_len)
{
    if (w_len == 1)
        ccz_mont_mul_one(v->pub->m, v->w, v->w, w, v->len);
    else
        ccz_mont_mul(v->pub->m, v->w, v->w, w, v->len);
}

ccz_rc ccz_paillier_add(struct ccz_paillier_vec *v, const struct ccz_paillier_vec *w,
                        struct ccz_err *err)
{
    ccz_rc rc = cczi_vec_match(v, w, err);
    if (rc == CCZ_OK)
        rc = new_bound(&v->bound, cczi_bound_add(v->bound, w->bound), v, err);
    if (rc != CCZ_OK)
        return rc;
    multiply(v, w->w, w->len);
    v->random = w->random == CCZI_RANDOM_FULL ? v->random : CCZI_RANDOM_NONE;
    return CCZ_OK;
}

ccz_rc ccz_paillier_sub(struct ccz_paillier_vec *v, const struct ccz_paillier_vec *w,
                        struct ccz_err *err)
{
    ccz_rc rc = cczi_vec_match(v, w, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_paillier_vec) minus = NULL;
    rc = ccz_paillier_vec_slice(&minus, w, 0, w->len, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_neg(minus, err);
    return rc == CCZ_OK ? ccz_paillier_add(v, minus, err) : rc;
}

/*
 * out = 1 / v. Ciphertexts are units: made here, or checked when read. The time of the inversion depends on
 * the product of all, which is public if they may leave; if not, a random factor hides it.
 */
static ccz_rc inverses(uint64_t **out, const struct ccz_paillier_vec *v, struct ccz_err *err)
{
    const struct ccz_paillier_pub *pub = v->pub;
    bool hide = v->random != CCZI_RANDOM_FULL;
    size_t len = v->len + hide;
    uint8_t r[CCZ_PAILLIER_C_SIZE_MAX];
    ccz_rc rc = CCZ_OK;
    *out = cczi_resident_new(len, pub->len);
    if (!*out)
        return cczi_no_memory(err);
    memcpy(*out, v->w, 8 * v->len * pub->len);
    if (hide)
        rc = cczi_random_fill(NULL, r, 2 * pub->size, err);
    if (rc == CCZ_OK && hide) {
        rc = ccz_mont_from_bytes(pub->m, *out + v->len * pub->len, r, 2 * pub->size, 1);
        CCZ_CT_PUBLIC(*out, 8 * len * pub->len); /* for their product, which it now is */
    }
    if (rc == CCZ_OK && len > 0)
        rc = ccz_mont_inv_var(pub->m, *out, *out, len, err);
    if (rc != CCZ_OK) {
        cczi_resident_free(*out, len, pub->len);
        *out = NULL;
    }
    ccz_wipe(r, sizeof(r));
    return rc;
}

ccz_rc ccz_paillier_neg(struct ccz_paillier_vec *v, struct ccz_err *err)
{
    uint64_t *minus;
    ccz_rc rc = inverses(&minus, v, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_resident_free(v->w, v->len, v->pub->len);
    v->w = minus;
    return CCZ_OK;
}

ccz_rc ccz_paillier_add_plain(struct ccz_paillier_vec *v, const struct ccz_paillier_plain *p,
                              struct ccz_err *err)
{
    CCZ_AUTO(ccz_paillier_vec) w = NULL;
    ccz_rc rc = ccz_paillier_encrypt_trivial(&w, p, err);
    return rc == CCZ_OK ? ccz_paillier_add(v, w, err) : rc;
}

/* ------------------------------------------------------------------------------- multiply */

/* What multiplication by p makes of the exponent and the bound of v. */
static ccz_rc product_kind(int32_t *exponent, struct cczi_bound *bound,
                           const struct ccz_paillier_vec *v, const struct ccz_paillier_plain *p,
                           struct ccz_err *err)
{
    ccz_rc rc = cczi_same_key(v->pub, p->pub, err);
    if (rc != CCZ_OK)
        return rc;
    if (p->pack.slot_bits)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "paillier:packing", p->pack.slot_bits, 0);
    if (p->len != v->len && p->len != 1)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "paillier:len", (int64_t)p->len,
                              (int64_t)v->len);
    *exponent = v->exponent + p->exponent;
    if (*exponent < -CCZI_PAI_EXPONENT_MAX || *exponent > CCZI_PAI_EXPONENT_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "paillier:exponent", *exponent,
                              CCZI_PAI_EXPONENT_MAX);
    return new_bound(bound, cczi_bound_mul(v->bound, p->bound), v, err);
}

/* Declared bits of the multipliers: their bound is 2^bits, or a little more after sums. */
static size_t multiplier_bits(const struct ccz_paillier_plain *p)
{
    size_t bits = (size_t)p->bound.e + (p->bound.m > 1);
    return bits < p->pub->bits ? bits : p->pub->bits;
}

/*
 * out[i] = v[from + i]^p[..]: |p| as the exponent, of the item or its inverse. Which of the two is
 * chosen by a mask.
 */
struct work {
    uint64_t *out;
    const struct ccz_paillier_vec *v;
    const uint64_t *inverse;
    const struct ccz_paillier_plain *p;
    size_t bits;
};

static ccz_rc power_chunk(const struct work *work, size_t from, size_t len, struct ccz_err *err)
{
    const struct ccz_paillier_pub *pub = work->v->pub;
    const size_t size = (work->bits + 7) / 8;
    struct ccz_mont_job jobs[CCZI_PAI_CHUNK];
    uint64_t k[CCZI_PAI_WORDS_MAX];
    uint8_t *exps = malloc(len * size);
    if (!exps)
        return cczi_no_memory(err);
    for (size_t i = 0; i < len; i++) {
        size_t at = (from + i) * pub->len;
        const uint64_t *m = work->p->w + (work->p->len == 1 ? 0 : from + i) * pub->words;
        uint64_t negative = cczi_words_abs(k, m, pub->words);
        cczi_words_select(work->out + at, work->inverse + at, work->v->w + at, cczi_mask(negative),
                          pub->len);
        cczi_words_to_be(exps + i * size, size, k);
        jobs[i] = (struct ccz_mont_job){pub->m, work->out + at, work->out + at, exps + i * size};
    }
    ccz_rc rc = ccz_mont_pow(jobs, len, work->bits, err);
    ccz_wipe(k, sizeof(k));
    ccz_wipe(exps, len * size);
    free(exps);
    return rc;
}

/* New array of all products. */
static ccz_rc products(uint64_t **out, const struct ccz_paillier_vec *v,
                       const struct ccz_paillier_plain *p, struct ccz_err *err)
{
    uint64_t *inverse = NULL;
    *out = cczi_resident_new(v->len, v->pub->len);
    ccz_rc rc = *out ? inverses(&inverse, v, err) : cczi_no_memory(err);
    struct work work = {*out, v, inverse, p, multiplier_bits(p)};
    for (size_t i = 0; rc == CCZ_OK && i < v->len; i += CCZI_PAI_CHUNK)
        rc = power_chunk(&work, i, v->len - i < CCZI_PAI_CHUNK ? v->len - i : CCZI_PAI_CHUNK, err);
    cczi_resident_free(inverse, v->len, v->pub->len);
    if (rc != CCZ_OK) {
        cczi_resident_free(*out, v->len, v->pub->len);
        *out = NULL;
    }
    return rc;
}

ccz_rc ccz_paillier_mul_plain(struct ccz_paillier_vec *v, const struct ccz_paillier_plain *p,
                              struct ccz_err *err)
{
    uint64_t *w;
    int32_t exponent;
    struct cczi_bound bound;
    ccz_rc rc = product_kind(&exponent, &bound, v, p, err);
    if (rc == CCZ_OK)
        rc = products(&w, v, p, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_resident_free(v->w, v->len, v->pub->len);
    v->w = w;
    v->exponent = exponent;
    v->bound = bound;
    v->random = CCZI_RANDOM_NONE;
    return CCZ_OK;
}

ccz_rc ccz_paillier_shift(struct ccz_paillier_vec *v, unsigned bits, struct ccz_err *err)
{
    struct cczi_bound grown = {v->bound.m, v->bound.e + (int)bits};
    if (bits > v->pub->bits)
        return ccz_refuse_num(err, CCZ_E_ARG, "paillier:bits", bits, v->pub->bits);
    ccz_rc rc = new_bound(&v->bound, grown, v, err);
    for (unsigned i = 0; rc == CCZ_OK && i < bits; i++)
        ccz_mont_sqr(v->pub->m, v->w, v->w, v->len);
    return rc;
}

ccz_rc ccz_paillier_rescale(struct ccz_paillier_vec *v, int32_t exponent, struct ccz_err *err)
{
    if (exponent > v->exponent || exponent < -CCZI_PAI_EXPONENT_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "paillier:exponent", exponent, v->exponent);
    ccz_rc rc = ccz_paillier_shift(v, 4 * (unsigned)(v->exponent - exponent), err);
    if (rc == CCZ_OK)
        v->exponent = exponent;
    return rc;
}

/* ------------------------------------------------------------------------------------ sums */

/* One item: the sum of the @p len resident values at @p w, which are of the kind of v. */
static ccz_rc sum_up(struct ccz_paillier_vec **out, const struct ccz_paillier_vec *v,
                     const uint64_t *w, size_t len, struct cczi_bound bound, struct ccz_err *err)
{
    ccz_rc rc = new_bound(&bound, cczi_bound_times(bound, len ? len : 1), v, err);
    if (rc == CCZ_OK)
        rc = cczi_vec_new(out, v->pub, 1, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_mont_product(v->pub->m, (*out)->w, w, len);
    (*out)->exponent = v->exponent;
    (*out)->pack = v->pack;
    (*out)->bound = bound;
    (*out)->random = len ? v->random : CCZI_RANDOM_NONE;
    return CCZ_OK;
}

ccz_rc ccz_paillier_sum(struct ccz_paillier_vec **out, const struct ccz_paillier_vec *v,
                        struct ccz_err *err)
{
    *out = NULL;
    return sum_up(out, v, v->w, v->len, v->bound, err);
}

enum { SUMS_CHUNK = 255 };
struct sums {
    const struct ccz_paillier_vec *v;
    struct ccz_paillier_vec *out;
    const uint32_t *index;
    const size_t *begin;
};

/* Items of one group are copied side by side, SUMS_CHUNK at a time, and multiplied by the kernel for products. */
static void one_sum(struct sums *s, uint64_t *chunk, size_t g)
{
    const struct ccz_paillier_pub *pub = s->v->pub;
    uint64_t *sum = s->out->w + g * pub->len;
    size_t at = s->begin[g], end = s->begin[g + 1];
    ccz_mont_product(pub->m, sum, chunk, 0);
    while (at < end) {
        size_t len = end - at < SUMS_CHUNK ? end - at : SUMS_CHUNK;
        memcpy(chunk, sum, pub->len * sizeof(*chunk));
        for (size_t i = 0; i < len; i++)
            memcpy(chunk + (i + 1) * pub->len, s->v->w + s->index[at + i] * pub->len,
                   pub->len * sizeof(*chunk));
        ccz_mont_product(pub->m, sum, chunk, len + 1);
        at += len;
    }
}

static ccz_rc some_sums(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    struct sums *s = arg;
    uint64_t *chunk = cczi_resident_new(SUMS_CHUNK + 1, s->v->pub->len);
    if (!chunk)
        return cczi_no_memory(err);
    for (size_t g = from; g < from + len; g++)
        one_sum(s, chunk, g);
    cczi_resident_free(chunk, SUMS_CHUNK + 1, s->v->pub->len);
    return CCZ_OK;
}

ccz_rc ccz_paillier_sums(struct ccz_paillier_vec **out, const struct ccz_paillier_vec *v,
                         const uint32_t *index, const size_t *begin, size_t groups,
                         unsigned threads, struct ccz_err *err)
{
    struct cczi_bound bound = v->bound;
    size_t longest = 1;
    *out = NULL;
    for (size_t g = 0; g < groups; g++) {
        if (begin[g + 1] < begin[g])
            return ccz_refuse_num(err, CCZ_E_ARG, "paillier:index", (int64_t)begin[g + 1],
                                  (int64_t)begin[g]);
        longest = begin[g + 1] - begin[g] > longest ? begin[g + 1] - begin[g] : longest;
    }
    for (size_t i = groups ? begin[0] : 0; groups && i < begin[groups]; i++)
        if (index[i] >= v->len)
            return ccz_refuse_num(err, CCZ_E_ARG, "paillier:index", (int64_t)index[i],
                                  (int64_t)v->len);
    ccz_rc rc = new_bound(&bound, cczi_bound_times(bound, longest), v, err);
    if (rc == CCZ_OK)
        rc = cczi_vec_new(out, v->pub, groups, err);
    if (rc != CCZ_OK)
        return rc;
    struct sums s = {v, *out, index, begin};
    rc = ccz_parallel(some_sums, &s, groups, 1, threads, err);
    if (rc != CCZ_OK) {
        ccz_paillier_vec_free(*out);
        *out = NULL;
        return rc;
    }
    (*out)->exponent = v->exponent;
    (*out)->pack = v->pack;
    (*out)->bound = bound;
    (*out)->random = CCZI_RANDOM_NONE;
    return CCZ_OK;
}

ccz_rc ccz_paillier_dot(struct ccz_paillier_vec **out, const struct ccz_paillier_vec *v,
                        const struct ccz_paillier_plain *p, struct ccz_err *err)
{
    uint64_t *w = NULL;
    int32_t exponent;
    struct cczi_bound bound;
    *out = NULL;
    ccz_rc rc = product_kind(&exponent, &bound, v, p, err);
    if (rc == CCZ_OK && p->len != v->len)
        rc = ccz_refuse_num(err, CCZ_E_MISMATCH, "paillier:len", (int64_t)p->len, (int64_t)v->len);
    if (rc == CCZ_OK)
        rc = products(&w, v, p, err);
    if (rc == CCZ_OK)
        rc = sum_up(out, v, w, v->len, bound, err);
    cczi_resident_free(w, v->len, v->pub->len);
    if (rc != CCZ_OK)
        return rc;
    (*out)->exponent = exponent;
    (*out)->random = CCZI_RANDOM_NONE;
    return CCZ_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The sum that alternating least squares makes smaller, in double precision. */
#include "als_priv.h"

#include <math.h>
#include <string.h>

enum { ROWS_AT_ONCE = 1024 }; /* whose sum is one number, so that threads do not matter */

static double square(const float *x, size_t len)
{
    double s = 0;
    for (size_t i = 0; i < len; i++)
        s += (double)x[i] * (double)x[i];
    return s;
}

static double regularization(const struct cczi_als *als, const struct ccz_recsys_factors *f,
                             const uint64_t *ratings, uint32_t others)
{
    double sum = 0;
    for (uint32_t i = 0; i < f->len; i++) {
        double s = square(ccz_recsys_row(f, i), f->factors);
        if (f->bias)
            s += (double)f->bias[i] * (double)f->bias[i];
        sum += (double)cczi_als_reg(als, ratings[i], others) * s;
    }
    return sum;
}

/* Products of floats are exact; LANES sums, so that compilers make vector code of it. */
static double product(const float *x, const float *y, size_t stride)
{
    enum { LANES = 8 };
    double s[LANES] = {0};
    for (size_t j = 0; j < stride; j += LANES)
        for (size_t l = 0; l < LANES; l++)
            s[l] += (double)x[j + l] * (double)y[j + l];
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

struct stored {
    const struct cczi_als *als;
    const struct ccz_recsys_model *m;
    const struct ccz_recsys_csr *by_user;
    double *sum; /* of each ROWS_AT_ONCE users */
};

/* What a stored rating adds to the sum over all pairs, which knows it as one that was not observed. */
static double term(const struct cczi_als *als, double value, double score)
{
    const double alpha = (double)als->cfg.alpha;
    switch (als->cfg.kind) {
    case CCZ_RECSYS_IMPLICIT_HKV: {
        const double p = value > 0 ? 1 : 0;
        return (1 + alpha * value) * (p - score) * (p - score) - score * score;
    }
    case CCZ_RECSYS_IMPLICIT_IALS:
        return (1 - score) * (1 - score);
    default:
        return (value - score) * (value - score);
    }
}

static ccz_rc add_stored(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    const struct stored *s = arg;
    const struct ccz_recsys_model *m = s->m;
    (void)err;
    for (size_t u = from; u < from + len; u++) {
        const float *x = ccz_recsys_row(&m->user, (uint32_t)u);
        for (uint64_t k = s->by_user->start[u]; k < s->by_user->start[u + 1]; k++) {
            const uint32_t i = s->by_user->col[k];
            double score = product(x, ccz_recsys_row(&m->item, i), s->als->stride);
            if (m->user.bias)
                score += (double)m->mean + (double)m->user.bias[u] + (double)m->item.bias[i];
            s->sum[u / ROWS_AT_ONCE] += term(s->als, (double)s->by_user->value[k], score);
        }
    }
    return CCZ_OK;
}

/* Sum over all users and items of score^2: the sum over the elements of X' X times those of Y' Y. */
static ccz_rc all_pairs(double *sum, struct cczi_als *als, const struct ccz_recsys_model *m,
                        struct ccz_err *err)
{
    const size_t dims = als->stride;
    *sum = 0;
    double *first = cczi_recsys_alloc(dims * dims, sizeof(*first));
    if (!first)
        return cczi_recsys_no_memory(err);
    ccz_rc rc = cczi_als_gram(als, &m->user, err);
    memcpy(first, als->gram, dims * dims * sizeof(*first));
    if (rc == CCZ_OK)
        rc = cczi_als_gram(als, &m->item, err);
    for (size_t i = 0; i < dims; i++)
        for (size_t j = i; j < dims; j++)
            *sum += (j == i ? 1 : 2) * first[i * dims + j] * als->gram[i * dims + j];
    cczi_recsys_wipe_free(first, dims * dims * sizeof(*first));
    if (als->cfg.kind == CCZ_RECSYS_IMPLICIT_IALS)
        *sum *= (double)als->cfg.unobserved;
    return rc;
}

ccz_rc cczi_als_loss(double *loss, struct cczi_als *als, const struct ccz_recsys_model *m,
                     const struct ccz_recsys_csr *by_user, struct ccz_err *err)
{
    const size_t parts = ((size_t)by_user->rows + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE;
    const size_t counts_len = (size_t)by_user->rows + by_user->cols;
    double *sum = cczi_recsys_alloc(parts, sizeof(*sum)), all = 0;
    uint64_t *counts = cczi_recsys_alloc(counts_len, sizeof(*counts));
    ccz_rc rc = sum && counts ? CCZ_OK : cczi_recsys_no_memory(err);
    if (rc == CCZ_OK && als->base)
        rc = all_pairs(&all, als, m, err);
    struct stored s = {.als = als, .m = m, .by_user = by_user, .sum = sum};
    if (rc == CCZ_OK)
        rc = ccz_parallel(add_stored, &s, by_user->rows, ROWS_AT_ONCE, als->cfg.threads, err);
    if (rc == CCZ_OK) {
        for (size_t i = 0; i < parts; i++)
            all += sum[i];
        for (uint32_t u = 0; u < by_user->rows; u++)
            counts[u] = by_user->start[u + 1] - by_user->start[u];
        for (uint64_t k = 0; k < by_user->len; k++)
            counts[by_user->rows + by_user->col[k]]++;
        *loss = all + regularization(als, &m->user, counts, m->item.len) +
                regularization(als, &m->item, counts + by_user->rows, m->user.len);
    }
    cczi_recsys_wipe_free(sum, parts * sizeof(*sum));
    cczi_recsys_wipe_free(counts, counts_len * sizeof(*counts));
    return rc;
}

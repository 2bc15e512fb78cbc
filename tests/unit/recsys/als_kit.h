/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_ALS_KIT_H
#define CCZ_TEST_ALS_KIT_H
/* Small feedback, and alternating least squares written down as the papers have it: dense, in long double. */
#include "ccz_test.h"

#include <cczoo/dataset.h>
#include <cczoo/recsys_als.h>

#include <math.h>

/* Users whose number is 3 modulo 11 and items whose number is 2 modulo 13 have no ratings; user 0 has rated all others. */
static inline struct ccz_recsys_csr *feedback(uint32_t users, uint32_t items, double density,
                                              uint64_t seed)
{
    struct ccz_recsys_ratings r;
    struct ccz_recsys_csr *m;
    struct ccz_err err = {0};
    struct ccz_seeded rnd = ccz_seeded_from(seed, 0);
    CHECK(ccz_recsys_ratings_init(&r, users, items, (uint64_t)users * items, false, &err) ==
          CCZ_OK);
    r.len = 0;
    for (uint32_t u = 0; u < users; u++)
        for (uint32_t i = 0; i < items; i++)
            if (u % 11 != 3 && i % 13 != 2 && (u == 0 || ccz_seeded_unit(&rnd) < density)) {
                r.user[r.len] = u;
                r.item[r.len] = i;
                r.value[r.len++] = (float)(1 + ccz_seeded_below(&rnd, 5));
            }
    CHECK(ccz_recsys_csr_new(&m, &r, CCZ_RECSYS_TWICE_REFUSE, &err) == CCZ_OK);
    r.len = (uint64_t)users * items;
    ccz_recsys_ratings_deinit(&r);
    return m;
}

static inline struct ccz_recsys_als_cfg cfg_of(enum ccz_recsys_als_kind kind, bool biases,
                                               uint32_t factors)
{
    return (struct ccz_recsys_als_cfg){.kind = kind,
                                       .biases = biases,
                                       .factors = factors,
                                       .iterations = 1,
                                       .reg = kind == CCZ_RECSYS_IMPLICIT_HKV ? 0.7f
                                              : kind == CCZ_RECSYS_EXPLICIT   ? 0.1f
                                                                              : 0.05f,
                                       .alpha = 3,
                                       .unobserved = 0.2f,
                                       .nu = 0.6f,
                                       .deviation = 1,
                                       .seed = 5};
}

static inline struct ccz_recsys_model *trained(const struct ccz_recsys_csr *m,
                                               const struct ccz_recsys_als_cfg *cfg)
{
    struct ccz_recsys_model *model;
    struct ccz_err err = {0};
    const ccz_rc rc = ccz_recsys_als_train(&model, m, cfg, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK);
    return model;
}

static inline struct ccz_recsys_factors copy_of(const struct ccz_recsys_factors *f)
{
    struct ccz_recsys_factors c;
    struct ccz_err err = {0};
    CHECK(ccz_recsys_factors_init(&c, f->len, f->factors, f->bias != NULL, &err) == CCZ_OK);
    memcpy(c.v, f->v, (size_t)f->len * f->stride * sizeof(float));
    if (f->bias)
        memcpy(c.bias, f->bias, f->len * sizeof(float));
    return c;
}

static inline bool same_bits(const struct ccz_recsys_factors *a, const struct ccz_recsys_factors *b)
{
    return a->len == b->len && a->factors == b->factors && (!a->bias) == (!b->bias) &&
           memcmp(a->v, b->v, (size_t)a->len * a->stride * sizeof(float)) == 0 &&
           (!a->bias || memcmp(a->bias, b->bias, a->len * sizeof(float)) == 0);
}

static inline double largest(const struct ccz_recsys_factors *f)
{
    double most = 0;
    for (size_t i = 0; i < (size_t)f->len * f->stride; i++)
        most = fmax(most, fabs((double)f->v[i]));
    for (size_t i = 0; f->bias && i < f->len; i++)
        most = fmax(most, fabs((double)f->bias[i]));
    return most;
}

static inline double distance(const struct ccz_recsys_factors *a,
                              const struct ccz_recsys_factors *b)
{
    double off = 0;
    CHECK(a->len == b->len && a->stride == b->stride);
    for (size_t i = 0; i < (size_t)a->len * a->stride; i++) {
        CHECK(isfinite(a->v[i]) && isfinite(b->v[i]));
        off = fmax(off, fabs((double)a->v[i] - (double)b->v[i]));
    }
    for (size_t i = 0; a->bias && i < a->len; i++)
        off = fmax(off, fabs((double)a->bias[i] - (double)b->bias[i]));
    return off;
}

/* ------------------------------------------------------------------------------- the reference */

enum { DENSE_MAX = 80 };
struct dense {
    size_t len;
    long double a[DENSE_MAX][DENSE_MAX], b[DENSE_MAX], x[DENSE_MAX];
};

/* The system of a row: `bias` and mean are those of the other side and of the model. */
static inline void dense_system(struct dense *d, const struct ccz_recsys_als_cfg *cfg,
                                const struct ccz_recsys_csr *rows, uint32_t row,
                                const struct ccz_recsys_factors *other, float mean)
{
    const size_t f = cfg->factors;
    const uint64_t from = rows->start[row], to = rows->start[row + 1];
    memset(d, 0, sizeof(*d));
    d->len = f + cfg->biases;
    long double reg = (long double)cfg->reg;
    if (cfg->kind == CCZ_RECSYS_EXPLICIT)
        reg *= (long double)(to - from);
    if (cfg->kind == CCZ_RECSYS_IMPLICIT_IALS)
        reg *= powl((long double)(to - from) + (long double)cfg->unobserved * other->len,
                    (long double)cfg->nu);
    for (size_t i = 0; i < d->len; i++)
        d->a[i][i] = reg;
    for (uint32_t c = 0; c < other->len; c++) {
        const float *stored = NULL;
        for (uint64_t k = from; k < to; k++)
            if (rows->col[k] == c)
                stored = &rows->value[k];
        const long double r = stored ? (long double)*stored : 0;
        long double weight = 0, target = 0; /* weight (target - x y)^2 */
        if (cfg->kind == CCZ_RECSYS_IMPLICIT_HKV) {
            weight = 1 + (long double)cfg->alpha * r;
            target = r > 0 ? 1 : 0;
        } else if (cfg->kind == CCZ_RECSYS_IMPLICIT_IALS) {
            weight = (stored ? 1 : 0) + (long double)cfg->unobserved;
            target = stored ? 1 / weight : 0;
        } else if (stored) {
            weight = 1;
            target = r;
            if (cfg->biases)
                target -= (long double)mean + (long double)other->bias[c];
        }
        long double y[DENSE_MAX];
        for (size_t i = 0; i < f; i++)
            y[i] = (long double)ccz_recsys_row(other, c)[i];
        y[f] = 1;
        for (size_t i = 0; i < d->len; i++) {
            d->b[i] += weight * target * y[i];
            for (size_t j = 0; j < d->len; j++)
                d->a[i][j] += weight * y[i] * y[j];
        }
    }
}

/* Gaussian elimination with pivots. */
static inline void dense_solve(struct dense *d)
{
    static struct dense e;
    e = *d;
    for (size_t k = 0; k < e.len; k++) {
        size_t best = k;
        for (size_t i = k; i < e.len; i++)
            if (fabsl(e.a[i][k]) > fabsl(e.a[best][k]))
                best = i;
        for (size_t j = 0; j < e.len; j++) {
            const long double t = e.a[k][j];
            e.a[k][j] = e.a[best][j];
            e.a[best][j] = t;
        }
        const long double t = e.b[k];
        e.b[k] = e.b[best];
        e.b[best] = t;
        for (size_t i = k + 1; i < e.len; i++) {
            const long double m = e.a[i][k] / e.a[k][k];
            for (size_t j = k; j < e.len; j++)
                e.a[i][j] -= m * e.a[k][j];
            e.b[i] -= m * e.b[k];
        }
    }
    for (size_t k = e.len; k-- > 0;) {
        long double s = e.b[k];
        for (size_t j = k + 1; j < e.len; j++)
            s -= e.a[k][j] * d->x[j];
        d->x[k] = s / e.a[k][k];
    }
}

/* The sum that is made smaller, pair by pair. */
static inline long double dense_loss(const struct ccz_recsys_als_cfg *cfg,
                                     const struct ccz_recsys_csr *m,
                                     const struct ccz_recsys_model *model)
{
    long double loss = 0;
    uint64_t *count = calloc(m->cols, sizeof(*count));
    CHECK(count);
    for (uint32_t u = 0; u < m->rows; u++) {
        uint64_t k = m->start[u];
        for (uint32_t i = 0; i < m->cols; i++) {
            const bool stored = k < m->start[u + 1] && m->col[k] == i;
            const long double r = stored ? (long double)m->value[k] : 0;
            long double s = 0;
            for (size_t f = 0; f < cfg->factors; f++)
                s += (long double)ccz_recsys_row(&model->user, u)[f] *
                     (long double)ccz_recsys_row(&model->item, i)[f];
            if (cfg->biases)
                s += (long double)model->mean + (long double)model->user.bias[u] +
                     (long double)model->item.bias[i];
            if (cfg->kind == CCZ_RECSYS_IMPLICIT_HKV)
                loss += (1 + (long double)cfg->alpha * r) * powl((r > 0 ? 1 : 0) - s, 2);
            else if (cfg->kind == CCZ_RECSYS_IMPLICIT_IALS)
                loss += (long double)cfg->unobserved * s * s + (stored ? (1 - s) * (1 - s) : 0);
            else if (stored)
                loss += (r - s) * (r - s);
            k += stored;
            count[i] += stored;
        }
    }
    for (int side = 0; side < 2; side++) {
        const struct ccz_recsys_factors *f = side ? &model->item : &model->user;
        for (uint32_t i = 0; i < f->len; i++) {
            const long double n = (long double)(side ? count[i] : m->start[i + 1] - m->start[i]);
            long double reg = (long double)cfg->reg, s = 0;
            if (cfg->kind == CCZ_RECSYS_EXPLICIT)
                reg *= n;
            if (cfg->kind == CCZ_RECSYS_IMPLICIT_IALS)
                reg *= powl(n + (long double)cfg->unobserved * (side ? m->rows : m->cols),
                            (long double)cfg->nu);
            for (size_t j = 0; j < f->factors; j++)
                s += powl((long double)ccz_recsys_row(f, i)[j], 2);
            if (f->bias)
                s += powl((long double)f->bias[i], 2);
            loss += reg * s;
        }
    }
    free(count);
    return loss;
}
#endif

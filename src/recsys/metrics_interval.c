/* SPDX-License-Identifier: Apache-2.0 */
/* Intervals by resampling users, and errors of predicted values. */
#include "eval_priv.h"

#include <cczoo/dataset.h>
#include <cczoo/recsys_rank.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 16384 };

/* ---------------------------------------------------------------------------------------- bootstrap */

ccz_rc cczi_recsys_boot_check(double confidence, uint32_t resamples, struct ccz_err *err)
{
    if (!(confidence >= 0 && confidence < 1))
        return ccz_refuse(err, CCZ_E_ARG, "recsys:confidence", "a level out of range",
                          "between 0 and 1");
    if (resamples > CCZ_RECSYS_BOOTSTRAP_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:bootstrap", resamples,
                              CCZ_RECSYS_BOOTSTRAP_MAX);
    return CCZ_OK;
}

struct resampling {
    const struct cczi_recsys_boot *b;
    double *mean; /* [width][resamples] */
};

static ccz_rc some_resamples(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    const struct resampling *r = arg;
    const struct cczi_recsys_boot *b = r->b;
    double *sum = calloc(b->width, sizeof(*sum));
    uint64_t *count = calloc(b->width, sizeof(*count));
    const bool ok = sum && count;
    for (size_t i = from; ok && i < from + len; i++) {
        struct ccz_seeded rnd = ccz_seeded_from(b->seed, ~(uint64_t)i);
        memset(sum, 0, b->width * sizeof(*sum));
        memset(count, 0, b->width * sizeof(*count));
        for (size_t u = 0; u < b->units; u++) {
            const float *v = b->value + ccz_seeded_below(&rnd, b->units) * b->width;
            for (size_t m = 0; m < b->width; m++) {
                const bool there = !isnan(v[m]);
                sum[m] += there ? (double)v[m] : 0;
                count[m] += there;
            }
        }
        for (size_t m = 0; m < b->width; m++)
            r->mean[m * b->resamples + i] = count[m] ? sum[m] / (double)count[m] : (double)NAN;
    }
    free(sum);
    free(count);
    return ok ? CCZ_OK : cczi_recsys_no_memory(err);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* What leaves (1 - confidence) / 2 of the values at each end; NAN without any. Sorts them. */
static void percentiles(double *low, double *high, double *v, size_t len, double confidence)
{
    const double tail = (1 - (confidence > 0 ? confidence : 0.95)) / 2;
    const size_t cut = (size_t)(tail * (double)len);
    qsort(v, len, sizeof(*v), by_value);
    *low = len > 0 ? v[cut] : (double)NAN;
    *high = len > 0 ? v[len - 1 - cut] : (double)NAN;
}

ccz_rc cczi_recsys_intervals(double *low, double *high, const struct cczi_recsys_boot *b,
                             struct ccz_err *err)
{
    struct resampling r = {
        .b = b, .mean = cczi_recsys_alloc((uint64_t)b->width * b->resamples, sizeof(double))};
    if (!r.mean)
        return cczi_recsys_no_memory(err);
    ccz_rc rc = ccz_parallel(some_resamples, &r, b->resamples, 1, b->threads, err);
    for (size_t m = 0; rc == CCZ_OK && m < b->width; m++) {
        double *v = r.mean + m * b->resamples;
        size_t len = 0;
        for (size_t i = 0; i < b->resamples; i++)
            if (!isnan(v[i]))
                v[len++] = v[i];
        percentiles(&low[m], &high[m], v, len, b->confidence);
    }
    free(r.mean);
    return rc;
}

/* -------------------------------------------------------------------------------- predicted values */

ccz_rc ccz_recsys_predict(float *value, void *arg, const uint32_t *user, const uint32_t *item,
                          size_t len, struct ccz_err *err)
{
    return ccz_recsys_scores(value, arg, user, item, len, err);
}

struct errors {
    const struct ccz_recsys_csr *test;
    const struct ccz_recsys_error_cfg *cfg;
    double *square, *absolute; /* [users] sums */
    uint32_t user[CHUNK];
    float value[CHUNK];
};

static ccz_rc add_errors(struct errors *e, ccz_recsys_predict_fn predict, void *arg,
                         struct ccz_err *err)
{
    const struct ccz_recsys_csr *t = e->test;
    const bool cut = e->cfg->low != 0 || e->cfg->high != 0;
    ccz_rc rc = CCZ_OK;
    uint32_t row = 0;
    for (uint64_t from = 0; rc == CCZ_OK && from < t->len; from += CHUNK) {
        const size_t len = t->len - from < CHUNK ? (size_t)(t->len - from) : CHUNK;
        for (size_t i = 0; i < len; i++) {
            while (t->start[row + 1] <= from + i)
                row++;
            e->user[i] = row;
        }
        rc = predict(e->value, arg, e->user, t->col + from, len, err);
        for (size_t i = 0; rc == CCZ_OK && i < len; i++) {
            float v = e->value[i];
            if (!isfinite(v))
                return ccz_fail(err, CCZ_E_FORMAT, "recsys:prediction", (int64_t)(from + i),
                                "not a finite number");
            if (cut)
                v = v < e->cfg->low ? e->cfg->low : v > e->cfg->high ? e->cfg->high : v;
            const double d = (double)v - (double)t->value[from + i];
            e->square[e->user[i]] += d * d;
            e->absolute[e->user[i]] += fabs(d);
        }
    }
    return rc;
}

/* Ratios of sums: of squares, and of absolute errors, over numbers of ratings, of resampled users. Only of those who have any: a sample
 * without ratings would have no error. */
struct ratios {
    const struct errors *e;
    uint64_t seed;
    uint32_t *user; /* [users] that have ratings */
    size_t users;
    double *rmse, *mae;
};

static ccz_rc some_ratios(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    const struct ratios *r = arg;
    const struct ccz_recsys_csr *t = r->e->test;
    (void)err;
    for (size_t i = from; i < from + len; i++) {
        struct ccz_seeded rnd = ccz_seeded_from(r->seed, ~(uint64_t)i);
        double square = 0, absolute = 0, count = 0;
        for (size_t u = 0; u < r->users; u++) {
            const uint32_t v = r->user[ccz_seeded_below(&rnd, r->users)];
            square += r->e->square[v];
            absolute += r->e->absolute[v];
            count += (double)(t->start[v + 1] - t->start[v]);
        }
        r->rmse[i] = sqrt(square / count);
        r->mae[i] = absolute / count;
    }
    return CCZ_OK;
}

static ccz_rc error_intervals(struct ccz_recsys_errors *out, const struct errors *e,
                              struct ccz_err *err)
{
    const size_t n = e->cfg->bootstrap;
    const struct ccz_recsys_csr *t = e->test;
    double *room = cczi_recsys_alloc(2 * (uint64_t)n, sizeof(*room));
    uint32_t *user = cczi_recsys_alloc(t->rows, sizeof(*user));
    ccz_rc rc = room && user ? CCZ_OK : cczi_recsys_no_memory(err);
    struct ratios r = {.e = e, .seed = e->cfg->seed, .user = user, .rmse = room, .mae = room + n};
    for (uint32_t u = 0; rc == CCZ_OK && u < t->rows; u++)
        if (t->start[u + 1] > t->start[u])
            user[r.users++] = u;
    if (rc == CCZ_OK)
        rc = ccz_parallel(some_ratios, &r, n, 1, e->cfg->threads, err);
    if (rc == CCZ_OK) {
        percentiles(&out->rmse_low, &out->rmse_high, r.rmse, n, e->cfg->confidence);
        percentiles(&out->mae_low, &out->mae_high, r.mae, n, e->cfg->confidence);
    }
    free(room);
    free(user);
    return rc;
}

ccz_rc ccz_recsys_errors(struct ccz_recsys_errors *out, ccz_recsys_predict_fn predict, void *arg,
                         const struct ccz_recsys_csr *test, const struct ccz_recsys_error_cfg *cfg,
                         struct ccz_err *err)
{
    *out = (struct ccz_recsys_errors){0};
    ccz_rc rc = cczi_recsys_boot_check(cfg->confidence, cfg->bootstrap, err);
    if (rc != CCZ_OK)
        return rc;
    if (!isfinite(cfg->low) || !isfinite(cfg->high) ||
        ((cfg->low != 0 || cfg->high != 0) && !(cfg->low < cfg->high)))
        return ccz_refuse(err, CCZ_E_ARG, "recsys:range", "a range of nothing",
                          "low below high, or both 0");
    struct errors *e = calloc(1, sizeof(*e));
    double *room = cczi_recsys_alloc(2 * (uint64_t)test->rows, sizeof(*room));
    rc = e && room ? CCZ_OK : cczi_recsys_no_memory(err);
    if (rc == CCZ_OK) {
        e->test = test;
        e->cfg = cfg;
        e->square = room;
        e->absolute = room + test->rows;
        rc = add_errors(e, predict, arg, err);
    }
    if (rc == CCZ_OK) {
        double square = 0, absolute = 0;
        for (uint32_t u = 0; u < test->rows; u++) {
            square += e->square[u];
            absolute += e->absolute[u];
        }
        const double n = (double)test->len;
        *out = (struct ccz_recsys_errors){.len = test->len,
                                          .rmse = n > 0 ? sqrt(square / n) : (double)NAN,
                                          .mae = n > 0 ? absolute / n : (double)NAN,
                                          .rmse_low = NAN,
                                          .rmse_high = NAN,
                                          .mae_low = NAN,
                                          .mae_high = NAN};
        if (cfg->bootstrap > 0 && test->len > 0)
            rc = error_intervals(out, e, err);
        if (rc != CCZ_OK)
            *out = (struct ccz_recsys_errors){0};
    }
    cczi_recsys_wipe_free(e, sizeof(*e));
    cczi_recsys_wipe_free(room, 2 * (size_t)test->rows * sizeof(*room));
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* One row's system in double precision, for the few that float cannot solve: hardly any regularization, more factors than ratings.
 * Products of floats are exact here. */
#include "als_priv.h"

#include <math.h>
#include <string.h>

/* Pivots below it, relative to the diagonal: that factor depends on those before it. Regularization makes every pivot count and
 * keeps solutions small; without it what float could not hold well enough, 2^12 times what is usual, is cut off. */
static double tolerance(const struct cczi_als *als)
{
    return als->cfg.reg > 0 ? 0x1p-46 : 0x1p-24;
}

/* a += weight y y', b += target y */
static void add(double *a, double *b, size_t dims, double weight, double target, const double *y)
{
    for (size_t i = 0; i < dims; i++) {
        const double x = weight * y[i];
        b[i] += target * y[i];
        for (size_t j = i; j < dims; j++)
            a[i * dims + j] += x * y[j];
    }
}

static void system_of(double *a, double *b, double *y, const struct cczi_als *als,
                      const struct cczi_als_half *h, uint32_t row)
{
    const size_t dims = als->dims;
    const uint64_t start = h->rows->start[row], end = h->rows->start[row + 1];
    const double scale =
        als->cfg.kind == CCZ_RECSYS_IMPLICIT_IALS ? (double)als->cfg.unobserved : 1;
    for (size_t i = 0; i < dims * dims;
         i++) /* with a base there is no bias: dims are those of gram */
        a[i] = als->base ? scale * als->gram[i] : 0;
    for (size_t i = 0; i < als->cfg.factors + als->cfg.biases; i++)
        a[i * dims + i] += (double)cczi_als_reg(als, end - start, h->fixed->len);
    memset(b, 0, dims * sizeof(*b));
    memset(y, 0, dims * sizeof(*y));
    if (als->cfg.biases)
        y[als->cfg.factors] = 1;
    for (uint64_t k = start; k < end; k++) {
        const float *from = ccz_recsys_row(h->fixed, h->rows->col[k]);
        float weight, target;
        cczi_als_terms(&weight, &target, als, h, k, 1);
        for (size_t i = 0; i < als->cfg.factors; i++)
            y[i] = (double)from[i];
        add(a, b, dims, (double)weight, (double)target, y);
    }
}

/* b = A^-1 b by A = U' U, row by row; scratch [dims] */
static void cholesky(double *b, double *a, double *scratch, size_t dims, double least)
{
    for (size_t i = 0; i < dims; i++)
        scratch[i] = least * a[i * dims + i];
    for (size_t k = 0; k < dims; k++) {
        double *row = a + k * dims;
        const double scale = row[k] > scratch[k] ? 1 / sqrt(row[k]) : 0;
        scratch[k] = scale; /* also the inverse of what lies on the diagonal of U */
        b[k] *= scale;
        for (size_t j = k; j < dims; j++)
            row[j] *= scale;
        for (size_t i = k + 1; i < dims; i++) {
            const double x = row[i];
            b[i] -= x * b[k];
            for (size_t j = i; j < dims; j++)
                a[i * dims + j] -= x * row[j];
        }
    }
    for (size_t k = dims; k-- > 0;) {
        for (size_t j = k + 1; j < dims; j++)
            b[k] -= a[k * dims + j] * b[j];
        b[k] *= scratch[k];
    }
}

void cczi_als_double(const struct cczi_als *als, struct cczi_als_work *w,
                     const struct cczi_als_half *h, uint32_t row, const float *y)
{
    const size_t dims = als->dims;
    double *a = w->exact, *b = a + dims * dims, *scratch = b + dims;
    system_of(a, b, scratch, als, h, row);
    for (size_t i = 0; y && i < dims; i++)
        b[i] = (double)y[i];
    cholesky(b, a, scratch, dims, tolerance(als));
    for (size_t i = 0; i < dims; i++)
        w->x[i] = (float)b[i];
}

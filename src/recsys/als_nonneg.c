/* SPDX-License-Identifier: Apache-2.0 */
/*
 * min x' A x / 2 - b' x with x >= 0. Sweeps of coordinate descent, which cannot get worse, find out which x are 0; a Cholesky
 * solution of the others is then the answer if it agrees, that is, if it is above 0 and no gradient of the rest below it.
 */
#include "als_priv.h"

#include <math.h>
#include <string.h>

enum { ROUNDS = 64, SWEEPS = 4 };

bool cczi_als_solve_within(const struct cczi_als *als, struct cczi_als_work *w, const float *keep)
{
    const size_t dims = als->dims;
    for (size_t i = 0; i < dims; i++)
        for (size_t j = i / CCZI_ALS_BLOCK * CCZI_ALS_BLOCK; j < dims; j++)
            w->a2[i * dims + j] = keep[i] > 0 && keep[j] > 0 ? w->a[i * dims + j] : 0;
    for (size_t i = 0; i < dims; i++)
        w->x[i] = keep[i] > 0 ? w->x[i] : 0;
    return als->k->solve(w->x, w->a2, w->inverse, w->limit, dims, cczi_als_tolerance(dims));
}

/* g = A x - b */
static void gradient(const struct cczi_als *als, struct cczi_als_work *w, float *g, const float *x)
{
    memset(g, 0, als->dims * sizeof(*g));
    als->k->minus_product(g, w->a, x, als->dims);
    for (size_t i = 0; i < als->dims; i++)
        g[i] = -g[i] - w->b[i];
}

static void descend(const struct cczi_als *als, struct cczi_als_work *w, float *x, float *g)
{
    const size_t dims = als->dims;
    gradient(als, w, g, x);
    for (int s = 0; s < SWEEPS; s++)
        for (size_t i = 0; i < als->cfg.factors; i++) {
            const float d = w->a[i * dims + i], next = d > 0 ? fmaxf(0, x[i] - g[i] / d) : 0;
            if (next != x[i]) {
                als->k->axpy(g, next - x[i], w->a + i * dims, dims);
                x[i] = next;
            }
        }
}

/* max() would make 0 of what is no number. */
static bool finite(const struct cczi_als *als, const struct cczi_als_work *w)
{
    bool ok = true;
    for (size_t i = 0; i < als->dims; i++)
        ok = ok && isfinite(w->b[i]) && isfinite(w->a[i * als->dims + i]);
    return ok;
}

/* Whether w->x, a solution where keep > 0, is the answer. */
static bool agrees(const struct cczi_als *als, struct cczi_als_work *w, const float *keep, float *g)
{
    float most = 0;
    for (size_t i = 0; i < als->cfg.factors; i++) {
        most = fmaxf(most, fabsf(w->b[i]));
        if (keep[i] > 0 && !(w->x[i] >= 0))
            return false;
    }
    gradient(als, w, g, w->x);
    for (size_t i = 0; i < als->cfg.factors; i++)
        if (!(keep[i] > 0) && !(g[i] >= -cczi_als_tolerance(als->dims) * most))
            return false;
    return true;
}

void cczi_als_nonneg(const struct cczi_als *als, struct cczi_als_work *w)
{
    const size_t dims = als->dims;
    float *best = w->r, *g = w->q;
    if (!finite(als, w)) {
        w->x[0] = NAN; /* refused where it is stored */
        return;
    }
    for (size_t i = 0; i < dims; i++) /* below the diagonal blocks */
        for (size_t j = 0; j < i; j++)
            w->a[i * dims + j] = w->a[j * dims + i];
    for (size_t i = 0; i < dims; i++)
        w->p[i] = i < als->cfg.factors ? 1 : 0;
    memcpy(w->x, w->b, dims * sizeof(*w->x));
    const bool start = cczi_als_solve_within(als, w, w->p);
    for (size_t i = 0; i < dims; i++) /* it lies near */
        best[i] = start ? fmaxf(w->x[i], 0) : 0;
    for (int round = 0; round < ROUNDS; round++) {
        descend(als, w, best, g);
        memcpy(w->x, w->b, dims * sizeof(*w->x));
        if (cczi_als_solve_within(als, w, best) && agrees(als, w, best, g))
            return;
    }
    memcpy(w->x, best, dims * sizeof(*w->x));
}

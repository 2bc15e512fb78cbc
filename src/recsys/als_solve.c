/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of one side: terms, systems, solvers, and how threads share them. */
#include "als_priv.h"

#include <math.h>
#include <string.h>

enum {
    SYRK_FLOATS = 8192, /* of a panel, to stay in the first-level cache while it is multiplied */
    ROWS_AT_ONCE = 16
};

/* ------------------------------------------------------------------------------------- a system */

float cczi_als_reg(const struct cczi_als *als, uint64_t ratings, uint32_t others)
{
    const struct ccz_recsys_als_cfg *cfg = &als->cfg;
    if (cfg->kind == CCZ_RECSYS_EXPLICIT)
        return cfg->reg * (float)ratings;
    if (cfg->kind == CCZ_RECSYS_IMPLICIT_IALS && cfg->nu > 0)
        return (float)((double)cfg->reg *
                       pow((double)ratings + (double)cfg->unobserved * others, (double)cfg->nu));
    return cfg->reg;
}

void cczi_als_terms(float *w, float *t, const struct cczi_als *als, const struct cczi_als_half *h,
                    uint64_t from, size_t len)
{
    const float *v = h->rows->value + from, alpha = als->cfg.alpha;
    const uint32_t *col = h->rows->col + from;
    switch (als->cfg.kind) {
    case CCZ_RECSYS_IMPLICIT_HKV:
        for (size_t i = 0; i < len; i++) {
            w[i] = alpha * v[i];
            t[i] = v[i] > 0 ? 1 + alpha * v[i] : 0;
        }
        break;
    case CCZ_RECSYS_IMPLICIT_IALS:
        for (size_t i = 0; i < len; i++)
            w[i] = t[i] = 1;
        break;
    case CCZ_RECSYS_EXPLICIT:
        for (size_t i = 0; i < len; i++) {
            w[i] = 1;
            t[i] = als->cfg.biases ? v[i] - h->mean - h->fixed->bias[col[i]] : v[i];
        }
        break;
    }
}

/* Floats of a panel's row behind those of factors: of a bias, 1. */
static void panel_tail(const struct cczi_als *als, float *panel, size_t len)
{
    if (als->cfg.biases) {
        for (size_t k = 0; k < len; k++) {
            float *row = panel + k * als->dims;
            memset(row + als->stride, 0, (als->dims - als->stride) * sizeof(*row));
            row[als->cfg.factors] = 1;
        }
    }
}

static size_t chunk_len(const struct cczi_als *als)
{
    size_t len = SYRK_FLOATS / als->dims / CCZI_ALS_BLOCK * CCZI_ALS_BLOCK;
    len = len < CCZI_ALS_BLOCK ? CCZI_ALS_BLOCK : len;
    return len < als->panel_len ? len : als->panel_len;
}

void cczi_als_system(const struct cczi_als *als, struct cczi_als_work *w,
                     const struct cczi_als_half *h, uint32_t row)
{
    const uint64_t start = h->rows->start[row], end = h->rows->start[row + 1];
    const size_t dims = als->dims, chunk = chunk_len(als);
    const bool weighted = als->cfg.kind == CCZ_RECSYS_IMPLICIT_HKV;
    const float reg = cczi_als_reg(als, end - start, h->fixed->len);
    if (als->base)
        memcpy(w->a, als->base, dims * dims * sizeof(*w->a));
    else
        memset(w->a, 0, dims * dims * sizeof(*w->a));
    for (size_t i = 0; i < als->cfg.factors + als->cfg.biases; i++)
        w->a[i * dims + i] += reg;
    memset(w->b, 0, dims * sizeof(*w->b));
    for (uint64_t at = start; at < end; at += chunk) {
        const size_t len = end - at < chunk ? (size_t)(end - at) : chunk;
        cczi_als_terms(w->s, w->t, als, h, at, len);
        for (size_t i = 0; weighted && i < len; i++)
            w->s[i] = sqrtf(w->s[i]); /* on both sides of the product */
        als->k->gather(w->panel, w->b, dims, h->fixed->v, als->stride, h->rows->col + at,
                       weighted ? w->s : NULL, w->t, len);
        panel_tail(als, w->panel, len);
        for (size_t i = 0; als->cfg.biases && i < len; i++)
            w->b[als->cfg.factors] += w->t[i];
        als->k->syrk(w->a, dims, w->panel, dims, len);
    }
}

void cczi_als_exact(const struct cczi_als *als, struct cczi_als_work *w,
                    const struct cczi_als_half *h, uint32_t row, const float *y)
{
    memcpy(w->x, y ? y : w->b, als->dims * sizeof(*w->x));
    if (!als->k->solve(w->x, w->a, w->inverse, w->limit, als->dims, cczi_als_tolerance(als->dims)))
        cczi_als_double(als, w, h, row, y);
}

/* -------------------------------------------------------------------------- conjugate gradients */

static size_t whole_blocks(size_t len)
{
    return (len + CCZI_ALS_BLOCK - 1) / CCZI_ALS_BLOCK * CCZI_ALS_BLOCK;
}

/* out += (b if `first`) - sum of w y y' x over a row. The first one loads the panel; one that holds the whole row stays. */
static void stored_residual(const struct cczi_als *als, struct cczi_als_work *w,
                            const struct cczi_als_half *h, uint32_t row, float *out, const float *x,
                            bool first)
{
    const uint64_t start = h->rows->start[row], end = h->rows->start[row + 1];
    if (!first && end - start <= als->panel_len) {
        als->k->residual(out, w->panel, w->s, x, als->dims, whole_blocks((size_t)(end - start)));
        return;
    }
    for (uint64_t at = start; at < end; at += als->panel_len) {
        const size_t len = end - at < als->panel_len ? (size_t)(end - at) : als->panel_len;
        cczi_als_terms(w->s, w->t, als, h, at, len);
        for (size_t i = len; i < whole_blocks(len); i++)
            w->s[i] = w->t[i] = 0;
        if (!first)
            memset(w->t, 0, whole_blocks(len) * sizeof(*w->t));
        als->k->first_residual(out, w->panel, als->dims, h->fixed->v, als->stride,
                               h->rows->col + at, als->cfg.biases ? als->cfg.factors : 0, w->t,
                               w->s, x, len);
    }
}

/* out = (b if `first`) - A x */
static void residual(const struct cczi_als *als, struct cczi_als_work *w,
                     const struct cczi_als_half *h, uint32_t row, float *out, const float *x,
                     bool first)
{
    const uint64_t ratings = h->rows->start[row + 1] - h->rows->start[row];
    memset(out, 0, als->dims * sizeof(*out));
    stored_residual(als, w, h, row, out, x, first);
    if (als->base)
        als->k->minus_product(out, als->base, x, als->dims);
    als->k->axpy(out, -cczi_als_reg(als, ratings, h->fixed->len), x, als->dims);
}

/* From w->x. What is behind factors and bias is 0 in x and so in everything. It ends early where only rounding errors are left:
 * residuals that small beside the first one, or directions that A, beside others, makes 0. */
static void conjugate_gradients(const struct cczi_als *als, struct cczi_als_work *w,
                                const struct cczi_als_half *h, uint32_t row)
{
    const float residual_min = 0x1p-38f, curvature_min = 0x1p-20f;
    const size_t dims = als->dims;
    residual(als, w, h, row, w->r, w->x, true);
    memcpy(w->p, w->r, dims * sizeof(*w->p));
    const float first = als->k->dot(w->r, w->r, dims);
    float rr = first, pp = first, most = 0;
    for (uint32_t step = 0; step < als->cfg.cg_steps && rr > residual_min * first; step++) {
        residual(als, w, h, row, w->q, w->p, false); /* q = -A p */
        const float curvature = -als->k->dot(w->p, w->q, dims) / pp;
        most = fmaxf(most, curvature);
        if (curvature <= curvature_min * most)
            return;
        als->k->axpy(w->x, rr / pp / curvature, w->p, dims);
        als->k->axpy(w->r, rr / pp / curvature, w->q, dims);
        const float next = als->k->dot(w->r, w->r, dims), beta = next / rr;
        for (size_t i = 0; i < dims; i++)
            w->p[i] = w->r[i] + beta * w->p[i];
        rr = next;
        pp = als->k->dot(w->p, w->p, dims);
    }
    if (!isfinite(rr))
        w->x[0] = NAN; /* refused where it is stored */
}

/* ----------------------------------------------------------------------------------- many rows */

struct sweep {
    const struct cczi_als *als;
    const struct cczi_als_half *half;
    atomic_uint_fast64_t next;
};

static ccz_rc put(const struct cczi_als *als, struct ccz_recsys_factors *out, uint32_t row,
                  const float *x, struct ccz_err *err)
{
    for (size_t i = 0; i < als->cfg.factors + als->cfg.biases; i++)
        if (!isfinite(x[i]))
            return ccz_hint(err,
                            ccz_fail(err, CCZ_E_LIMIT, "recsys:overflow", row,
                                     "factors of row %u are beyond what float holds", row),
                            "smaller values, alpha or factors; more reg");
    memcpy(ccz_recsys_row(out, row), x, als->cfg.factors * sizeof(*x));
    if (als->cfg.biases)
        out->bias[row] = x[als->cfg.factors];
    return CCZ_OK;
}

static ccz_rc solve_row(const struct cczi_als *als, struct cczi_als_work *w,
                        const struct cczi_als_half *h, uint32_t row, struct ccz_err *err)
{
    memset(w->x, 0, als->dims * sizeof(*w->x));
    if (h->rows->start[row] == h->rows->start[row + 1])
        return put(als, h->out, row, w->x, err);
    if (als->cfg.solver == CCZ_RECSYS_ALS_CG) {
        memcpy(w->x, ccz_recsys_row(h->out, row), als->cfg.factors * sizeof(*w->x));
        if (als->cfg.biases)
            w->x[als->cfg.factors] = h->out->bias[row];
        conjugate_gradients(als, w, h, row);
    } else {
        cczi_als_system(als, w, h, row);
        if (als->cfg.nonneg)
            cczi_als_nonneg(als, w);
        else
            cczi_als_exact(als, w, h, row, NULL);
    }
    return put(als, h->out, row, w->x, err);
}

/* Rows take very different times: a thread takes the next few when it is done with its last ones. */
static ccz_rc work(void *arg, size_t worker, size_t len, struct ccz_err *err)
{
    struct sweep *s = arg;
    struct cczi_als_work w = s->als->work[worker];
    const uint32_t rows = s->half->rows->rows;
    ccz_rc rc = CCZ_OK;
    (void)len;
    for (uint64_t from; rc == CCZ_OK && (from = atomic_fetch_add(&s->next, ROWS_AT_ONCE)) < rows;)
        for (uint64_t row = from; rc == CCZ_OK && row < from + ROWS_AT_ONCE && row < rows; row++)
            rc = solve_row(s->als, &w, s->half, (uint32_t)row, err);
    if (rc != CCZ_OK)
        atomic_store(&s->next, rows); /* the others stop, too */
    return rc;
}

ccz_rc cczi_als_sweep(struct cczi_als *als, const struct cczi_als_half *h, struct ccz_err *err)
{
    struct sweep s = {.als = als, .half = h};
    atomic_init(&s.next, 0);
    return ccz_parallel(work, &s, als->cfg.threads, 1, als->cfg.threads, err);
}

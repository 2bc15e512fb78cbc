/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of one side: terms, systems, solvers, and how threads share them. */
#include "als_priv.h"

#include <math.h>
#include <string.h>

enum { ROWS_AT_ONCE = 16 };

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

void cczi_als_system(const struct cczi_als *als, struct cczi_als_work *w,
                     const struct cczi_als_half *h, uint32_t row)
{
    const uint64_t start = h->rows->start[row], end = h->rows->start[row + 1];
    const size_t dims = als->dims, chunk = als->panel_len;
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
    if (!als->k->solve(w->x, w->a, w->inverse, w->limit, als->dims,
                       cczi_als_tolerance_exact(als->dims)))
        cczi_als_double(als, w, h, row, y);
}

/* -------------------------------------------------------------------------- conjugate gradients */

/* Ratings of a row, CCZI_ALS_TERMS at a time, with their weights and targets in w->s and w->t; those of a row that is no longer stay
 * there from one call to the next. */
struct row {
    const struct cczi_als *als;
    struct cczi_als_work *w;
    const struct cczi_als_half *h;
    uint64_t start, end;
    float reg;
    bool loaded;
};

static size_t load_terms(struct row *r, uint64_t at)
{
    const size_t len = r->end - at < CCZI_ALS_TERMS ? (size_t)(r->end - at) : CCZI_ALS_TERMS;
    if (!r->loaded) {
        cczi_als_terms(r->w->s, r->w->t, r->als, r->h, at, len);
        for (size_t i = len; i % CCZI_ALS_BLOCK; i++)
            r->w->s[i] = r->w->t[i] = 0;
    }
    r->loaded = r->end - r->start <= CCZI_ALS_TERMS;
    return len;
}

static size_t one_of(const struct cczi_als *als)
{
    return als->cfg.biases ? als->cfg.factors : 0;
}

/* out = (b if `targets`) - A x */
static void residual(struct row *r, float *out, const float *x, bool targets)
{
    const struct cczi_als *als = r->als;
    memset(out, 0, als->dims * sizeof(*out));
    for (uint64_t at = r->start; at < r->end; at += CCZI_ALS_TERMS) {
        const size_t len = load_terms(r, at);
        als->k->residual(out, r->h->fixed->v, als->stride, r->h->rows->col + at, one_of(als),
                         targets ? r->w->t : NULL, r->w->s, x, len);
    }
    if (als->base)
        als->k->minus_product(out, als->base, x, als->dims);
    als->k->axpy(out, -r->reg, x, als->dims);
}

/* x' A x */
static float curvature(struct row *r, const float *x)
{
    const struct cczi_als *als = r->als;
    float sum = r->reg * als->k->dot(x, x, als->dims);
    for (uint64_t at = r->start; at < r->end; at += CCZI_ALS_TERMS) {
        const size_t len = load_terms(r, at);
        sum += als->k->curvature(r->h->fixed->v, als->stride, r->h->rows->col + at, one_of(als),
                                 r->w->s, x, len);
    }
    return als->base ? sum + als->k->quadratic(als->base, x, als->dims) : sum;
}

/* From w->x. What is behind factors and bias is 0 in x and so in everything. It ends early where a residual, so small beside the
 * first one, is rounding errors. The last step needs no new residual, only how far to go. */
static void conjugate_gradients(const struct cczi_als *als, struct cczi_als_work *w,
                                const struct cczi_als_half *h, uint32_t row)
{
    const float least = 0x1p-38f;
    const size_t dims = als->dims;
    struct row at = {
        .als = als, .w = w, .h = h, .start = h->rows->start[row], .end = h->rows->start[row + 1]};
    at.reg = cczi_als_reg(als, at.end - at.start, h->fixed->len);
    residual(&at, w->r, w->x, true);
    memcpy(w->p, w->r, dims * sizeof(*w->p));
    const float first = als->k->dot(w->r, w->r, dims);
    float rr = first;
    for (uint32_t step = 1; step <= als->cfg.cg_steps && rr > least * first; step++) {
        const bool last = step == als->cfg.cg_steps;
        if (!last)
            residual(&at, w->q, w->p, false); /* q = -A p */
        const float bend = last ? curvature(&at, w->p) : -als->k->dot(w->p, w->q, dims);
        if (bend <= 0)
            return;
        als->k->axpy(w->x, rr / bend, w->p, dims);
        if (last)
            return;
        als->k->axpy(w->r, rr / bend, w->q, dims);
        const float next = als->k->dot(w->r, w->r, dims), beta = next / rr;
        for (size_t i = 0; i < dims; i++)
            w->p[i] = w->r[i] + beta * w->p[i];
        rr = next;
    }
    if (!isfinite(rr))
        w->x[0] = NAN; /* refused where it is stored */
}

/* ----------------------------------------------------------------------------------- many rows */

struct sweep {
    const struct cczi_als *als;
    const struct cczi_als_half *half;
    atomic_uint_fast64_t next;
    atomic_uint_fast64_t bad; /* the first row that float cannot hold, so far */
};

/* False: float cannot hold it. */
static bool put(const struct cczi_als *als, struct ccz_recsys_factors *out, uint32_t row,
                const float *x)
{
    for (size_t i = 0; i < als->cfg.factors + als->cfg.biases; i++)
        if (!isfinite(x[i]))
            return false;
    memcpy(ccz_recsys_row(out, row), x, als->cfg.factors * sizeof(*x));
    if (als->cfg.biases)
        out->bias[row] = x[als->cfg.factors];
    return true;
}

static bool solve_row(const struct cczi_als *als, struct cczi_als_work *w,
                      const struct cczi_als_half *h, uint32_t row)
{
    memset(w->x, 0, als->dims * sizeof(*w->x));
    if (h->rows->start[row] == h->rows->start[row + 1])
        return put(als, h->out, row, w->x);
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
    return put(als, h->out, row, w->x);
}

/* Rows take very different times: a thread takes the next few when it is done with its last ones. Behind a bad row all stop; rows before it
 * have been taken, so that the first bad one is found whatever the threads. */
static ccz_rc work(void *arg, size_t worker, size_t len, struct ccz_err *err)
{
    struct sweep *s = arg;
    struct cczi_als_work w = s->als->work[worker];
    const uint32_t rows = s->half->rows->rows;
    (void)len;
    (void)err;
    for (uint64_t from; (from = atomic_fetch_add(&s->next, ROWS_AT_ONCE)) < atomic_load(&s->bad);)
        for (uint64_t row = from; row < from + ROWS_AT_ONCE && row < rows; row++) {
            uint_fast64_t bad = atomic_load(&s->bad);
            if (row >= bad)
                break;
            if (solve_row(s->als, &w, s->half, (uint32_t)row))
                continue;
            while (row < bad && !atomic_compare_exchange_weak(&s->bad, &bad, row))
                ;
            break;
        }
    return CCZ_OK;
}

ccz_rc cczi_als_sweep(struct cczi_als *als, const struct cczi_als_half *h, struct ccz_err *err)
{
    struct sweep s = {.als = als, .half = h};
    atomic_init(&s.next, 0);
    atomic_init(&s.bad, h->rows->rows);
    const ccz_rc rc = ccz_parallel(work, &s, als->cfg.threads, 1, als->cfg.threads, err);
    const uint64_t bad = atomic_load(&s.bad);
    if (rc != CCZ_OK || bad == h->rows->rows)
        return rc;
    return ccz_hint(err,
                    ccz_fail(err, CCZ_E_LIMIT, "recsys:overflow", (int64_t)bad,
                             "factors of row %u are beyond what float holds", (uint32_t)bad),
                    "smaller values, alpha or factors; more reg");
}
